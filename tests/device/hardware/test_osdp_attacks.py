"""Whoever is on the line: no badge comes from anything but the reader's own secure channel.

The controls show what libosdp 3.2.9 by itself would have taken.
"""

import ctypes
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import osdp
import osdp_sys
import pytest
from osdp_bench import (
    ACK,
    ADDRESS,
    BAUD,
    BUSY,
    FORGED,
    FORGED_CARD,
    KEY,
    NAK,
    PDCAP,
    PDID,
    RAW,
    a_section,
    asked,
    driver,
    far_ends,
    frame,
    why_silent,
    wired_readers,
)
from waiting import until

from device.hardware.readers import osdp_challenge
from device.hardware.readers.osdp_frames import Block, Command, Cutter, Frame, read_frame
from device.hardware.readers.osdp_key import DEFAULT_KEY, key_file, written
from device.hardware.readers.osdp_panel import Panel
from device.hardware.readers.presence import REPEATED_MS
from simulator.far_ends.osdp import Said
from simulator.osdp import Peripheral
from simulator.pty_line import PtyLine

BADGE, OTHER = bytes.fromhex("01020304"), bytes.fromhex("0A0B0C0D0E0F10")
CHALLENGE = 0x76
OWN_KEY = 1
"""In a handshake's security block; 0 stands for the default key."""
SECURE = 0x15
"""The first security block with a MAC."""

Bend = Callable[[bytes], bytes]


def once(do: Bend) -> Callable[[Peripheral, bytes], bytes]:
    """Somebody in the middle, who lets everything pass but one answer on a secure channel."""
    done: list[bytes] = []

    def answer(reader: Peripheral, command: bytes) -> bytes:
        said = reader.hear(command)
        block = read_frame(said.removeprefix(b"\xff")).block if said else None
        if done or block is None or block < SECURE:
            return said
        done.append(said)
        return do(said)

    return answer


def forged(block: bytes, mac: bytes = b"") -> Bend:
    """A badge number in the place of an answer, with its sequence number and a right CRC."""

    def do(said: bytes) -> bytes:
        sequence = read_frame(said.removeprefix(b"\xff")).sequence
        return frame(RAW, FORGED_CARD, sequence=sequence, block=block, mac=mac)

    return do


class BareWire:
    """libosdp's channel to whoever answers, in this process. ``commands``: all so far."""

    id = 1

    def __init__(self, answer: Bend) -> None:
        self.answer = answer
        self.commands: list[bytes] = []
        self._said = bytearray()

    def read(self, limit: int) -> bytes:
        data = bytes(self._said[:limit])
        del self._said[:limit]
        return data

    def write(self, data: bytes) -> int:
        self.commands.append(data)
        self._said += self.answer(data)
        return len(data)

    def flush(self) -> None:
        self._said.clear()


class Bare:
    """libosdp's control panel by itself, secure channel enforced."""

    def __init__(self, answer: Bend) -> None:
        osdp_sys.set_loglevel(osdp.LogLevel.Emergency)
        self.wire = BareWire(answer)
        self.badges: list[bytes] = []
        info = osdp.PDInfo(ADDRESS, self.wire, scbk=KEY, flags=[osdp.LibFlag.EnforceSecure])
        self._context = osdp_sys.ControlPanel([info.get()])
        self._context.set_event_callback(self._told)

    def until(self, condition: Callable[[], object]) -> None:
        def turned() -> object:
            self._context.refresh()
            return condition()

        until(turned, every_s=0.001)

    def is_secure(self) -> bool:
        return bool(self._context.status() & self._context.sc_status() & 1)

    def _told(self, _reader: int, event: dict[str, Any]) -> int:
        self.badges.append(event["data"])
        return 0


@pytest.mark.parametrize("block", [b"\x03\x12\x01", b"\x03\x14\x01"])
def test_control_libosdp_by_itself_takes_a_badge_without_a_mac_on_its_secure_channel(block: bytes) -> None:
    device = Peripheral(ADDRESS, KEY)
    bare = Bare(device.hear)
    bare.until(bare.is_secure)
    bare.wire.answer = partial(once(forged(block)), device)
    bare.until(lambda: bare.badges)
    assert bare.badges == [FORGED]


@pytest.mark.parametrize(
    ("block", "mac"),
    [(b"\x03\x12\x01", b""), (b"\x03\x14\x01", b""), (b"\x03\x11\x01", b""), (b"", b""), (b"\x02\x18", bytes(4))],
)
def test_a_badge_forged_on_the_line_is_never_taken(tmp_path: Path, block: bytes, mac: bytes) -> None:
    with wired_readers(tmp_path) as post:
        end = post.far["gate"]
        seen: list[int] = []

        def do(said: bytes) -> bytes:
            seen.append(1)
            return forged(block, mac)(said)

        end.line.answer = once(do)
        until(lambda: seen)
        if not mac:
            until(post.refused)
            assert "somebody else sends on the line" in post.refused()[0].why
        post.until_sees()
        end.place(BADGE)
        post.until_badges(BADGE)


def test_a_forged_mac_costs_the_session_and_the_reader_comes_back(tmp_path: Path) -> None:
    with wired_readers(tmp_path) as post:
        post.far["gate"].line.answer = once(forged(b"\x02\x16", b"\x01\x02\x03\x04"))
        assert "broke off its secure channel" in post.until_blind()
        post.until_sees()
        assert post.badges() == []


def test_a_tap_that_is_sent_again_in_its_own_session_is_no_second_tap(tmp_path: Path) -> None:
    """Byte by byte, at a poll with its sequence number, so late that it would count as one."""
    with wired_readers(tmp_path) as post:
        end = post.far["gate"]
        taps: list[bytes] = []
        sent_again: list[bytes] = []
        late_s = 0.0

        def again(reader: Peripheral, command: bytes) -> bytes:
            nonlocal late_s
            said = reader.hear(command)
            heard = read_frame(said.removeprefix(b"\xff")) if said else None
            if heard is None or sent_again:
                return said
            if heard.code == RAW:
                taps.append(said)
                late_s = time.monotonic() + 1.5 * REPEATED_MS / 1000
            elif taps and time.monotonic() > late_s and _sequence(taps[0]) == heard.sequence:
                sent_again.append(taps[0])
                return taps[0]
            return said

        end.line.answer = again
        end.place(BADGE)
        assert "broke off its secure channel" in post.until_blind()
        post.until_sees()
        assert sent_again
        assert post.badges() == [BADGE]


def _sequence(said: bytes) -> int:
    return read_frame(said.removeprefix(b"\xff")).sequence


def first_challenges(panel: Callable[[BareWire], Any]) -> bytes:
    """What is asked of a reader as the program starts, whose C library was never given a seed."""
    ctypes.CDLL(None).srand(1)
    device = Peripheral(ADDRESS, KEY)
    wire = BareWire(device.hear)
    turn = panel(wire)

    def challenge() -> bytes | None:
        turn()
        sent = [read_frame(raw) for raw in Cutter().feed(b"".join(wire.commands))]
        return next((asked.data for asked in sent if asked.block == Block.CHALLENGE), None)

    return bytes(until(challenge, every_s=0.001) or b"")


def bare_panel(wire: BareWire) -> Callable[[], object]:
    info = osdp.PDInfo(ADDRESS, wire, scbk=KEY, flags=[osdp.LibFlag.EnforceSecure])
    context = osdp_sys.ControlPanel([info.get()])
    return context.refresh  # type: ignore[no-any-return]


def our_panel(wire: Any) -> Callable[[], object]:
    return Panel(wire, [(ADDRESS, KEY)]).turn


def test_control_libosdp_by_itself_asks_the_same_at_every_start() -> None:
    assert first_challenges(bare_panel) == first_challenges(bare_panel)


def test_no_start_asks_what_another_has_asked() -> None:
    osdp_challenge.take_over()
    challenges = {first_challenges(our_panel) for _ in range(10)}
    assert len(challenges) == 10
    assert all(len(challenge) == 8 for challenge in challenges)


def recorded_session() -> list[bytes]:
    """A whole session of the unseeded libosdp with a reader, a tap in it: the reader's answers, in their order."""
    device = Peripheral(ADDRESS, KEY)
    said: list[bytes] = []

    def record(command: bytes) -> bytes:
        said.append(device.hear(command))
        return said[-1]

    ctypes.CDLL(None).srand(1)
    bare = Bare(record)
    bare.until(bare.is_secure)
    device.present(BADGE)
    bare.until(lambda: bare.badges)
    assert bare.badges == [BADGE]
    return said


def replayed(said: list[bytes]) -> Bend:
    """Somebody with a recording and nothing else."""
    left = iter(said)
    return lambda _command: next(left, b"")


def test_control_libosdp_by_itself_takes_a_recorded_tap_after_a_restart() -> None:
    said = recorded_session()
    ctypes.CDLL(None).srand(1)
    bare = Bare(replayed(said))
    bare.until(lambda: bare.badges)
    assert bare.badges == [BADGE]


@contextmanager
def somebody(folder: Path, answer: Bend) -> Iterator[PtyLine]:
    """At the far end of the post's line; the post knows the reader's key."""
    key_file(folder, "gate").write_bytes(written(KEY))

    def hear(data: bytes) -> Iterator[Said]:
        for raw in cutter.feed(data):
            if said := answer(raw):
                yield Said(said, 0)

    cutter = Cutter()
    line = PtyLine(folder / "rs485.tty", BAUD, hear, lambda: None)
    try:
        yield line
    finally:
        line.unplug()


def test_a_recording_is_worth_nothing_to_the_post(tmp_path: Path) -> None:
    said = recorded_session()
    left = [0]

    def again(command: bytes) -> bytes:
        asked_for = read_frame(command)
        left[0] += asked_for.code == CHALLENGE
        return next((raw for raw in said if _fits(read_frame(raw.removeprefix(b"\xff")), asked_for)), b"")

    ctypes.CDLL(None).srand(1)
    with somebody(tmp_path, again), asked(tmp_path, a_section(tmp_path)) as post:
        post.until_blind()
        until(lambda: left[0] >= 2, what="two challenges")
        assert not post.sees()
        assert post.badges() == []


def _fits(answer: Frame, command: Frame) -> bool:
    fits = {Command.ID: PDID, Command.CAPABILITIES: PDCAP, Command.CHALLENGE: 0x76}
    return answer.sequence == command.sequence and answer.code == fits.get(command.code, RAW)  # type: ignore[call-overload]


def plain_reader(secure_channel: int) -> Bend:
    """One that speaks in the clear, whatever is asked, and has a badge for every poll."""
    says = {
        Command.ID: (PDID, bytes(12)),
        Command.CAPABILITIES: (PDCAP, bytes([9, secure_channel, 0])),
        Command.POLL: (RAW, FORGED_CARD),
    }

    def answer(raw: bytes) -> bytes:
        command = read_frame(raw)
        code, data = says.get(command.code, (RAW, FORGED_CARD))  # type: ignore[call-overload]
        return frame(code, data, sequence=command.sequence)

    return answer


@pytest.mark.parametrize("secure_channel", [0, 1], ids=["says that it has none", "says that it has one"])
def test_a_reader_without_a_secure_channel_is_blind_and_nothing_it_says_counts(
    tmp_path: Path, secure_channel: int
) -> None:
    with somebody(tmp_path, plain_reader(secure_channel)), asked(tmp_path, a_section(tmp_path)) as post:
        post.until_blind()
        assert not post.sees()
        assert post.badges() == []


def test_a_reader_without_a_secure_channel_is_named_as_such(tmp_path: Path) -> None:
    with somebody(tmp_path, plain_reader(0)), driver(tmp_path, a_section(tmp_path)) as reader:
        until(lambda: "it offers no secure channel" in why_silent(reader))


@pytest.mark.parametrize("key", [None, DEFAULT_KEY, secrets.token_bytes(16)], ids=["factory", "default", "wrong"])
def test_a_reader_without_our_key_is_blind_and_says_how_to_install_it(tmp_path: Path, key: bytes | None) -> None:
    section = a_section(tmp_path)
    with far_ends(tmp_path, section) as far, driver(tmp_path, section) as reader:
        asked_for: list[Frame] = []

        def noted(device: Peripheral, command: bytes) -> bytes:
            asked_for.append(read_frame(command.removeprefix(b"\xff")))
            return device.hear(command)

        far["gate"].line.answer = noted
        far["gate"].device.reboot(key)
        far["gate"].place(BADGE)
        until(lambda: "run guardpost osdp install --reader gate" in why_silent(reader))
        until(lambda: sum(command.code == CHALLENGE for command in asked_for) >= 2, what="two handshakes")
        assert {command.key for command in asked_for} == {None, OWN_KEY}  # the default key is never tried
        assert Command.KEYSET not in {command.code for command in asked_for}
        assert far["gate"].device.key == key


def test_the_echo_of_a_transceiver_that_never_stops_listening_disturbs_nothing(tmp_path: Path) -> None:
    section = a_section(tmp_path)
    with far_ends(tmp_path, section) as far:
        far["gate"].line.answer = lambda reader, command: command + reader.hear(command)
        with asked(tmp_path, section, far=far) as post:
            post.until_sees()
            far["gate"].place(BADGE)
            post.until_badges(BADGE)
            assert post.refused() == []


def test_a_busy_reader_is_asked_again(tmp_path: Path) -> None:
    with wired_readers(tmp_path) as post:
        end = post.far["gate"]
        busy = [frame(BUSY)]
        end.line.answer = lambda reader, command: busy.pop() if busy else reader.hear(command)
        until(lambda: not busy)
        end.place(BADGE)
        post.until_badges(BADGE)
        assert post.refused() == []
        assert post.sees()


def test_a_nak_in_the_clear_ends_a_session_and_no_more(tmp_path: Path) -> None:
    with wired_readers(tmp_path) as post:
        post.far["gate"].line.answer = once(lambda _said: frame(NAK, b"\x06"))
        post.until_blind()
        post.until_sees()
        assert post.badges() == []


def test_an_unasked_answer_is_refused_and_counted(tmp_path: Path) -> None:
    with wired_readers(tmp_path) as post:
        end = post.far["gate"]
        end.line.answer = once(lambda said: said + frame(ACK, sequence=1) + frame(ACK, sequence=2))
        until(post.refused)
        assert "too late or twice" in post.refused()[0].why
        end.place(OTHER)
        post.until_badges(OTHER)
