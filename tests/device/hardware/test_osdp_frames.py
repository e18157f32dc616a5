"""OSDP frames: libosdp's own bytes, any cut of a stream, every broken bit, and who may answer what."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from osdp_bench import ACK, ADDRESS, BUSY, FORGED_CARD, NAK, PDCAP, PDID, RAW, frame

from device.hardware.readers.osdp_frames import MOST_BYTES, Block, Cutter, Frame, judge, read_frame
from device.hardware.readers.reader import FrameRefused

ID_COMMAND = bytes.fromhex("5303090004610020a8")
CHALLENGE = bytes.fromhex("530313000e03110176d3fe799cfb647706c247")
CRYPTOGRAM = bytes.fromhex("53832b000e03120176beba0100afbeaddec977e475066772154a152e243357532a14f4864d52b562667584")
SECURE_POLL = bytes.fromhex("53030e000e021560d3dad7972457")
SECURE_ACK = bytes.fromhex("53830e000e02164000c485593823")
"""From a line between libosdp's control panel and its peripheral device."""

MAC = bytes(4)
BLOCKS = [b"\x03\x11\x01", b"\x03\x12\x01", b"\x03\x13\x01", b"\x03\x14\x01", b"\x02\x15", b"\x02\x16", b"\x02\x17"]
QUIET = st.binary(max_size=30).map(lambda noise: noise.replace(b"\x53", b"\x54"))
"""Noise in which no frame begins."""


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    block = draw(st.sampled_from([b"", *BLOCKS]))
    return frame(
        draw(st.integers(0, 255)),
        draw(st.binary(max_size=60)),
        address=draw(st.integers(0, 126)),
        reply=draw(st.booleans()),
        sequence=draw(st.integers(0, 3)),
        block=block,
        mac=MAC if block[:1] == b"\x02" else b"",
        checksum=draw(st.booleans()),
    )


def cut(*pieces: bytes) -> tuple[list[bytes], int]:
    cutter = Cutter()
    found = [raw for piece in pieces for raw in cutter.feed(piece)]
    cutter.reset()
    return found, cutter.noise


def test_frames_of_libosdp_are_read() -> None:
    asked = read_frame(ID_COMMAND)
    assert asked == Frame(ID_COMMAND, 3, False, 0, None, None, 0x61, b"\x00")
    challenge = read_frame(CHALLENGE)
    assert (challenge.block, challenge.key, challenge.code, challenge.sequence) == (Block.CHALLENGE, 1, 0x76, 2)
    assert challenge.data == bytes.fromhex("d3fe799cfb647706")
    answer = read_frame(CRYPTOGRAM)
    assert (answer.block, answer.is_reply, len(answer.data)) == (Block.CLIENT_CRYPTOGRAM, True, 32)
    poll, ack = read_frame(SECURE_POLL), read_frame(SECURE_ACK)
    assert (poll.block, poll.code, poll.data) == (Block.COMMAND_MAC, 0x60, b"")
    assert (ack.block, ack.code, ack.data) == (Block.REPLY_MAC, ACK, b"")


@settings(deadline=None)
@given(st.lists(frames(), max_size=5), st.data())
def test_every_frame_in_a_stream_is_found_however_it_is_cut(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(data.draw(QUIET) + raw for raw in sent) + data.draw(QUIET)
    pieces, at = [], 0
    while at < len(stream):
        step = data.draw(st.integers(1, len(stream)))
        pieces.append(stream[at : at + step])
        at += step
    found, noise = cut(*pieces)
    assert found == sent
    assert noise == sum(byte not in b"\xff\x00" for byte in stream) - sum(
        byte not in b"\xff\x00" for byte in b"".join(sent)
    )


@settings(deadline=None)
@given(st.binary(max_size=3 * MOST_BYTES))
def test_whatever_comes_is_frames_or_noise(data: bytes) -> None:
    found, _ = cut(data)
    for raw in found:
        try:
            assert read_frame(raw).raw == raw
        except FrameRefused as refused:
            assert str(refused).isprintable()


@pytest.mark.parametrize("checksum", [False, True])
def test_a_frame_with_one_wrong_bit_is_none(checksum: bool) -> None:
    sent = frame(ACK, b"abc", sequence=2, checksum=checksum)
    for bit in range(8 * len(sent)):
        bent = (int.from_bytes(sent, "big") ^ 1 << bit).to_bytes(len(sent), "big")
        assert cut(bent)[0] == []


def test_a_false_begin_hides_nothing_that_is_whole() -> None:
    false = b"\x53\x83\x05\x00\x04"  # a header with a length that no frame has
    assert cut(false + SECURE_ACK) == ([SECURE_ACK], 4)
    assert cut(b"\x53\x53" + SECURE_ACK)[0] == [SECURE_ACK]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "no frame"),
        (frame(ACK)[:-1], "no frame"),
        (frame(ACK)[:-1] + b"\x00", "wrong check sum"),
        (frame(ACK, block=b"\x02\x19", mac=MAC), "unknown security block"),
        (frame(ACK, block=b"\x02\x12", mac=MAC), "wrong length"),
        (frame(ACK, block=b"\xff\x16", mac=MAC), "wrong length"),
        (frame(ACK, block=b"\x02\x16"), "too short for its MAC"),
        (frame(0x01, block=b"\x03\x12"), "without a code"),
    ],
)
def test_a_frame_that_is_not_as_the_standard_has_it_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(FrameRefused, match=why):
        read_frame(raw)


PLAIN = read_frame(ID_COMMAND)
POLL = read_frame(SECURE_POLL)
SEQUENCE = POLL.sequence


def answer_to(asked: Frame, code: int, data: bytes = b"", **keys: object) -> Frame:
    return read_frame(frame(code, data, **{"sequence": asked.sequence, **keys}))  # type: ignore[arg-type]


def test_what_a_reader_may_say_is_admitted() -> None:
    judge(PLAIN, answer_to(PLAIN, PDID, bytes(12)))
    judge(PLAIN, answer_to(PLAIN, PDCAP, bytes(9)))
    judge(PLAIN, answer_to(PLAIN, NAK, b"\x06"))
    judge(read_frame(CHALLENGE), read_frame(CRYPTOGRAM))
    judge(POLL, answer_to(POLL, ACK, block=b"\x02\x16", mac=MAC))
    judge(POLL, answer_to(POLL, RAW, bytes(16), block=b"\x02\x18", mac=MAC))
    judge(POLL, answer_to(POLL, NAK, b"\x04", sequence=0))  # it lost its session, and the count with it


@pytest.mark.parametrize("block", [b"", *BLOCKS[:5], b"\x02\x17"])
def test_on_a_secure_channel_no_badge_comes_without_a_reply_block_that_has_a_mac(block: bytes) -> None:
    mac = MAC if block[:1] == b"\x02" else b""
    with pytest.raises(FrameRefused, match="unsecured answer"):
        judge(POLL, answer_to(POLL, RAW, FORGED_CARD, block=block, mac=mac))


@pytest.mark.parametrize("code", [RAW, ACK, 0x48, 0x53, 0x76, 0x78, BUSY])
def test_outside_a_secure_channel_a_reader_names_itself_and_says_no_more(code: int) -> None:
    with pytest.raises(FrameRefused, match="needs a secure channel"):
        judge(PLAIN, answer_to(PLAIN, code, FORGED_CARD))


def test_a_handshake_is_answered_by_its_own_replies_only() -> None:
    challenge = read_frame(CHALLENGE)
    with pytest.raises(FrameRefused, match="needs a secure channel"):
        judge(challenge, answer_to(challenge, RAW, FORGED_CARD, block=b"\x03\x12\x01"))
    with pytest.raises(FrameRefused, match="unsecured answer"):
        judge(challenge, answer_to(challenge, 0x76, bytes(32)))


def test_nobody_answers_for_another_or_at_another_time() -> None:
    secured = {"block": b"\x02\x16", "mac": MAC}
    with pytest.raises(FrameRefused, match="not asked"):
        judge(POLL, answer_to(POLL, ACK, address=ADDRESS + 1, **secured))
    with pytest.raises(FrameRefused, match="not asked"):
        judge(POLL, answer_to(POLL, ACK, reply=False, **secured))
    with pytest.raises(FrameRefused, match="not asked"):
        judge(POLL, answer_to(POLL, ACK, sequence=(SEQUENCE + 1) % 4, **secured))


def test_only_while_a_reader_is_installed_it_may_take_its_key_in_the_clear() -> None:
    keyset = read_frame(frame(0x75, bytes(32), reply=False, sequence=1, block=b"\x02\x17", mac=MAC))
    judge(keyset, answer_to(keyset, ACK), installing=True)
    with pytest.raises(FrameRefused, match="unsecured answer"):
        judge(keyset, answer_to(keyset, ACK))
    with pytest.raises(FrameRefused, match="unsecured answer"):
        judge(POLL, answer_to(POLL, ACK), installing=True)


def test_noise_of_any_length_leaves_nothing_behind() -> None:
    chance = random.Random(5)
    cutter = Cutter()
    for _ in range(50):
        cutter.feed(chance.randbytes(4096))
        cutter.reset()
        assert cutter.feed(SECURE_ACK) == [SECURE_ACK]
