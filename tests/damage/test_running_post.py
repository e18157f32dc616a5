"""The real program as a process, whose files are damaged under it or while it is away."""

import signal
from pathlib import Path

from backlog import fill, rows_of
from posts import BASE, SimPost, post
from waiting import until

from device.errors import StateError
from device.record.opening import JOURNAL

NOBODY = "mqtt://127.0.0.1:9"


def changes(gate: SimPost) -> list[str]:
    return [event["data"]["change"] for event in gate.events() if "change" in event["data"]]


def begun_anew(gate: SimPost) -> bool:
    """Whether the new journal is in its place, and has its first events."""
    try:
        return any(event["data"].get("why") == "damaged" for event in gate.events())
    except StateError:
        return False


def spoil(file: Path, place: int, content: bytes) -> None:
    with file.open("r+b") as stream:
        stream.seek(place)
        stream.write(content)


def test_a_card_forgets_an_old_event_while_the_post_runs_and_it_goes_on_by_itself_in_a_new_chain(
    tmp_path: Path,
) -> None:
    gate = SimPost(tmp_path / "gate", [NOBODY])
    fill(gate.state, f"/{BASE}", 700)
    old = rows_of(gate.state)
    with post(tmp_path / "gate", NOBODY) as gate:
        assert gate.tap(1).startswith("accepted")
        spoil(gate.state / JOURNAL, (gate.state / JOURNAL).read_bytes().index(old[599]) + 300, b"???")
        until((gate.state / f"{JOURNAL}.damaged-1").exists, what="the look at row 600")
        until(lambda: begun_anew(gate), what="the post in its next life")
        assert gate.tap(2).startswith("accepted")
        events = gate.events()
        (began,) = [event for event in events if event["data"].get("why") == "damaged"]
        assert began["data"]["change"] == "chain" and began["seq"] == 1
        (lost,) = [event["data"] for event in events if event["data"].get("change") == "lost"]
        assert (lost["chain"], lost["from"], lost["to"]) == (events[0]["chain"], 600, 600)
        assert [row for row in old if row not in rows_of(gate.state)] == [old[599]]
        said = gate.command("journal", "verify")
        assert (said.returncode, "1 are known to be lost" in said.stdout) == (0, True), said
        assert [event["data"].get("officer") for event in events].count("officer-1") == 1
        assert gate.end() == 0
        gate.start()
        assert changes(gate).count("lost") == 1


def test_keys_roster_copy_and_log_are_damaged_at_once_and_the_post_starts_and_keeps_what_was_green(
    tmp_path: Path,
) -> None:
    with post(tmp_path / "gate", NOBODY) as gate:
        for officer in range(1, 9):
            assert gate.tap(officer).startswith("accepted")
        gate.end(signal.SIGKILL)
        log = gate.state / f"{JOURNAL}-wal"
        spoil(log, log.stat().st_size // 2, b"???")
        spoil(gate.state / "signing.key", 0, b"garbage")
        spoil(gate.state / "site.key", 10, b"\xff\xff")
        spoil(gate.state / "roster.last-good.toml", 0, b"\x00\x00")
        said = gate.command("journal", "verify")
        assert (said.returncode, len(said.stdout.splitlines())) == (1, 1)
        gate.start()
        assert gate.tap(9).startswith("accepted")
        assert {f"officer-{number}" for number in range(1, 10)} <= {
            str(event["data"].get("officer")) for event in gate.events()
        }
        assert changes(gate).count("refused") >= 3  # the journal and both keys
        assert gate.command("journal", "verify").returncode == 0
        aside = sorted(file.name for file in gate.state.glob("*.damaged-*"))
        assert {"signing.key.damaged-1", "site.key.damaged-1", f"{JOURNAL}.damaged-1"} <= set(aside)
