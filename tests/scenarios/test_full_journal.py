"""A post whose journal is full because nobody was listening, and headquarters that comes back."""

from pathlib import Path

import pytest
from backlog import fill, reading
from brokers import free_port, mosquitto
from posts import SimPost, recorder, recording, stored
from volatile_disk import unusable, volatile_disk
from waiting import until

from recorder.service import read_summary

SMALL = '[journal]\nmost_bytes = "4MiB"'


def test_a_full_post_is_red_until_the_recorder_is_back_and_loses_nothing(tmp_path: Path) -> None:
    """4 MiB of events that no broker ever took: the first receipts make room, and every number arrives."""
    port = free_port()
    gate = SimPost(tmp_path / "post", [f"mqtt://127.0.0.1:{port}"], link=SMALL)
    fill(gate.state, "/guardpost/jember/kpu-gate", 5_200)
    gate.start()
    try:
        assert "not recorded" in gate.tap(1)
        assert gate.command("check").stdout.count("are its limit, so check-ins are red") == 1
        store = tmp_path / "recorder.db"
        with mosquitto(tmp_path / "mosquitto", port=port) as broker, recording(store, broker.url):
            until(lambda: gate.tap(2).startswith("accepted"), 60, "a green light", every_s=0.2)
            with reading(gate.state) as journal:
                assert 1 < journal.oldest() < journal.newest()
            newest = gate.events()[-1]["seq"]
            until(lambda: stored(store) >= newest, 30, "all of it at headquarters")
            (chain,) = read_summary(store).chains
            assert (chain.gaps, chain.lost) == ((), ())
        storage = [event["data"]["room"] for event in gate.events() if event["data"].get("change") == "storage"]
        assert storage[-1] == "free"
    finally:
        assert gate.end() == 0
    assert gate.command("journal", "verify").returncode == 0
    assert recorder("verify", "--store", str(store)).returncode == 0


def test_a_post_that_is_started_on_a_full_disk_is_red_and_says_so_and_green_once_there_is_room(
    tmp_path: Path,
) -> None:
    if (why := unusable()) is not None:
        pytest.skip(why)
    with volatile_disk(tmp_path / "rig") as disk:
        gate = SimPost(tmp_path / "post", [f"mqtt://127.0.0.1:{free_port()}"])
        gate.config.write_text(gate.config.read_text().replace('"state"', f'"{disk.mount}/state"'))
        gate.state = disk.mount / "state"
        gate.start()
        assert gate.tap(1).startswith("accepted")
        gate.end()
        disk.fill(0)
        gate.start()
        try:
            assert "not recorded" in gate.tap(2)
            assert gate.told()[-2:] == ["system storage", "system boot"]
            assert gate.events()[-2]["data"]["room"] == "reserved"
            disk.well()
            until(lambda: gate.tap(3).startswith("accepted"), 20, "a green light", every_s=0.2)
            assert [e["data"]["room"] for e in gate.events() if "room" in e["data"]] == ["reserved", "free"]
        finally:
            assert gate.end() == 0
        assert gate.command("journal", "verify").returncode == 0
