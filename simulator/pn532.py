"""The PN532's firmware at frame level (UM0701-02 rev. 02), with cards in its field and faults at will."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from device.hardware.readers.pn532 import MAX_EXCHANGE
from device.hardware.readers.pn532_answers import MORE_BIT
from device.hardware.readers.pn532_frames import CHIP, HOST, Code, Frame, FrameParser, Information, Sign, frame
from simulator.picc import Card as Picc
from simulator.picc import State

_AWAKE_AFTER_BYTES = 10
"""At 115200 baud, these pass while the oscillator starts."""
_WAIT_FOR_EVER = 0xFF
_TIMED_OUT, _NOT_NOW = 0x01, 0x27
_SAK, _SAK_ISO_DEP = 0x08, 0x20
_MAX_TARGETS = 2
_TRY_S, _LEVEL_S = 0.0005, 0.002
"""On the air: a request and its answer, or silence; anticollision and select of one cascade level."""


@dataclass(slots=True)
class Card:
    """One card. ``ats``: a smart one's, without its length. ``answers``: what it says to an APDU, if anything."""

    uid: bytes
    ats: bytes | None = None
    answers: Callable[[bytes], bytes | None] = lambda _: None
    state: State = State.IDLE
    told: bool = False


@dataclass(frozen=True, slots=True)
class Faults:
    """``Faults()`` is sound. The counts say how many of the coming answers, and may be ``math.inf``.

    ``dead``: nothing is heard or said. ``mute``: commands are acknowledged, not answered. ``lost_acks``: how
    many commands are done without an ACK. ``bad_lcs``, ``bad_dcs``: with a wrong check sum. ``cut_short``:
    without their second half. ``noise``: bytes ahead of everything it says.
    """

    dead: bool = False
    mute: bool = False
    lost_acks: float = 0
    bad_lcs: float = 0
    bad_dcs: float = 0
    cut_short: float = 0
    noise: bytes = b""


@dataclass(frozen=True, slots=True)
class Said:
    """Bytes that the chip sends ``after_s`` of work."""

    data: bytes
    after_s: float = 0.0


@dataclass(slots=True)
class _Settings:
    """What a reset undoes. ``awake_in``: bytes until it hears, None while it sleeps."""

    awake_in: int | None = None
    normal: bool = False
    field_on: bool = False
    tries: int = _WAIT_FOR_EVER
    targets: list[Card] = field(default_factory=list)
    last: bytes = b""
    telling: list[Card] = field(default_factory=list)


class Pn532:
    """One chip. One thread talks to it; any other may place cards and break things."""

    def __init__(self, firmware: bytes = b"\x32\x01\x06\x07") -> None:
        """``firmware``: what GetFirmwareVersion tells: IC, version, revision, support."""
        self._firmware = firmware
        self._changed = threading.Condition(threading.RLock())
        self._cards: dict[bytes, Card] = {}
        self._faults = Faults()
        self._parser = FrameParser()
        self._now = _Settings()
        self._was_set_up = False

    @property
    def faults(self) -> Faults:
        """What is wrong now; counts go down as they are used up."""
        with self._changed:
            return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        with self._changed:
            self._faults = faults

    @property
    def field_on(self) -> bool:
        """Whether its antenna radiates."""
        with self._changed:
            return self._now.field_on

    def reset(self) -> None:
        """Power comes: asleep, and nothing set up."""
        with self._changed:
            self._now = _Settings()
            self._parser.drop()
            self._power_off()

    def place(
        self, uid: bytes, ats: bytes | None = None, answers: Callable[[bytes], bytes | None] | None = None
    ) -> None:
        """Bring a card into the field; one that is there already stays. Raises ValueError for no UID.

        ``ats``, ``answers``: see Card.
        """
        Picc(uid)
        with self._changed:
            self._cards.setdefault(uid, Card(uid, ats, answers or (lambda _: None)))

    def remove(self, uid: bytes) -> None:
        """Take a card away; one that is not there is no error."""
        with self._changed:
            self._cards.pop(uid, None)
            self._changed.notify_all()

    def wait_read(self, uid: bytes, timeout_s: float) -> bool:
        """Wait until a placed card was told to the host; false after ``timeout_s`` or when it is taken away."""
        with self._changed:
            self._changed.wait_for(lambda: uid not in self._cards or self._cards[uid].told, timeout_s)
            return uid in self._cards and self._cards[uid].told

    def wait_set_up(self, timeout_s: float) -> bool:
        """Wait until the host has switched the field on for the first time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._was_set_up, timeout_s)

    def told(self) -> None:
        """What the chip said last has left it."""
        with self._changed:
            for card in self._now.telling:
                card.told = True
            self._now.telling = []
            self._changed.notify_all()

    def hear(self, data: bytes) -> list[Said]:
        """Bytes from the host; what the chip sends for them."""
        with self._changed:
            said: list[Said] = []
            if not self._faults.dead:
                for heard in self._parser.feed(self._awake(data)):
                    said += self._say(heard)
            return said

    def _awake(self, data: bytes) -> bytes:
        """The bytes that it is awake for: the first 0x55 wakes it (7.2.11)."""
        if self._now.awake_in is None:
            _, edges, data = data.partition(b"\x55")
            if not edges:
                return b""
            self._now.awake_in = _AWAKE_AFTER_BYTES
        missed = self._now.awake_in
        self._now.awake_in = max(0, missed - len(data))
        return data[missed:]

    def _say(self, heard: Frame) -> list[Said]:
        if heard is Sign.NACK and self._now.last:
            return [self._spoilt(self._now.last)]
        if not isinstance(heard, Information) or heard.tfi != HOST:
            return []  # an ACK ends what it does, which here is over at once
        said = []
        if self._faults.lost_acks:
            self._faults = replace(self._faults, lost_acks=self._faults.lost_acks - 1)
        else:
            said.append(Said(self._faults.noise + Sign.ACK.value))
        if not self._faults.mute and (answer := self._do(heard)) is not None:
            self._now.last = answer.data
            said.append(self._spoilt(answer.data, answer.after_s))
        return said

    def _do(self, asked: Information) -> Said | None:
        """A command's answer; None where it waits for ever."""
        after_s, data = 0.0, b""
        match asked.code, asked.data:
            case Code.SAM_CONFIGURATION, b"\x01":
                self._now.normal = True
            case Code.GET_FIRMWARE_VERSION, b"":
                data = self._firmware
            case Code.SET_PARAMETERS, b"\x14":
                pass
            case Code.RF_CONFIGURATION, setting if len(setting) == 4 and setting[0] == 0x05:
                self._now.tries = setting[3]
            case Code.RF_CONFIGURATION, b"\x01\x00" | b"\x01\x01" if self._now.normal:
                self._set_field(on=asked.data == b"\x01\x01")
            case Code.IN_LIST_PASSIVE_TARGET, wanted if len(wanted) == 2 and self._now.normal:
                found, after_s = self._search(min(wanted[0], _MAX_TARGETS))
                if not self._now.targets and self._now.tries == _WAIT_FOR_EVER:
                    return None
                data = found
            case Code.IN_DATA_EXCHANGE, out if len(out) > 1:
                data = self._exchange(out[0], out[1:])
            case _:
                return Said(Sign.SYNTAX_ERROR.value)
        return Said(frame(CHIP, asked.code + 1, data), after_s)

    def _search(self, wanted: int) -> tuple[bytes, float]:
        """InListPassiveTarget (7.3.5): the list, empty for nobody, and the time it took.

        Where the manual leaves open how it leaves cards behind, the least helpful reading: all but the last one
        HALTed, and only REQA sent the next time.
        """
        self._set_field(on=True)
        found: list[Card] = []
        took_s = 0.0
        for _ in range(min(self._now.tries, 2) + 1):
            while len(found) < wanted and (card := self._request()) is not None:
                card.state = State.ACTIVE if len(found) == wanted - 1 else State.HALT
                found.append(card)
                took_s += _TRY_S + _LEVEL_S * (1 + len(card.uid) // 7)
            took_s += _TRY_S
            if found:
                break
        self._now.targets = found
        return bytes([len(found)]) + b"".join(_listed(n, card) for n, card in enumerate(found, 1)), took_s

    def _request(self) -> Card | None:
        """REQA: cards that are IDLE answer, one that is selected takes it for an error (ISO/IEC 14443-3, 6.3)."""
        idle = [card for card in self._cards.values() if card.state is State.IDLE]
        for card in self._cards.values():
            if card.state is State.ACTIVE:
                card.state = State.IDLE
        return idle[0] if idle else None

    def _exchange(self, number: int, out: bytes) -> bytes:
        """InDataExchange (7.3.8): status and the card's answer."""
        if not 0 < number <= len(self._now.targets):
            return bytes([_NOT_NOW])
        card = self._now.targets[number - 1]
        answer = card.answers(out) if self._cards.get(card.uid) is card else None
        if answer is None:
            return bytes([_TIMED_OUT])
        return bytes([MORE_BIT if len(answer) > MAX_EXCHANGE else 0]) + answer[:MAX_EXCHANGE]

    def _set_field(self, *, on: bool) -> None:
        self._now.field_on = on
        self._was_set_up |= on
        if not on:
            self._power_off()
        self._changed.notify_all()

    def _power_off(self) -> None:
        self._now.targets = []
        for card in self._cards.values():
            card.state = State.IDLE

    def _spoilt(self, answer: bytes, after_s: float = 0.0) -> Said:
        """An answer as it arrives, the faults less the one that was used up."""
        faults, sent = self._faults, bytearray(answer)
        if faults.bad_lcs:
            self._faults = replace(faults, bad_lcs=faults.bad_lcs - 1)
            sent[4] ^= 0x01
        elif faults.bad_dcs:
            self._faults = replace(faults, bad_dcs=faults.bad_dcs - 1)
            sent[-2] ^= 0x01
        elif faults.cut_short:
            self._faults = replace(faults, cut_short=faults.cut_short - 1)
            del sent[len(sent) // 2 :]
        else:
            self._now.telling = list(self._now.targets)
        return Said(faults.noise + bytes(sent), after_s)


def _listed(number: int, card: Card) -> bytes:
    """Number, SENS_RES, SEL_RES, UID with its length, ATS with its (7.3.5)."""
    sak = _SAK if card.ats is None else _SAK_ISO_DEP
    sens_res = bytes([0x00, 0x04 | (len(card.uid) // 3 - 1) << 6])
    ats = b"" if card.ats is None else bytes([len(card.ats) + 1]) + card.ats
    return bytes([number, *sens_res, sak, len(card.uid)]) + card.uid + ats
