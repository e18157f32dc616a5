"""One question to a time server: SNTP, RFC 4330 on the wire of RFC 5905."""

import secrets
import socket
import struct
import time
from dataclasses import dataclass

from device.errors import GuardpostError
from device.readings import Clock

WITHIN_S = 3.0

# RFC 5905, figure 8: leap, version and mode; stratum; poll; precision; root delay and dispersion (16.16 s);
# reference id; reference, origin, receive and transmit timestamp (32.32 s since 1900).
_HEADER = struct.Struct("!BBbbII4s8s8sQQ")
_VERSION, _CLIENT, _SERVER = 4, 3, 4
_LEAP_UNSYNCHRONISED = 3
_STRATUM_MOST = 15
_1970_S = 2_208_988_800
_ERA_S = 1 << 32


class NoTime(GuardpostError):
    """A time server that gives none; why."""


@dataclass(frozen=True, slots=True)
class ServerTime:
    """What a server said. ``ahead_ms``: how far its time is ahead of ours, right within ``error_ms``."""

    ahead_ms: int
    error_ms: int
    stratum: int


def ask(host: str, port: int, clock: Clock, within_s: float = WITHIN_S) -> ServerTime:
    """Ask once. Raises NoTime: no answer in time, or one that gives no time.

    The request says nothing of our own time; a random number stands where it would, and has to come back.
    """
    nonce = secrets.token_bytes(8)
    request = _HEADER.pack(_VERSION << 3 | _CLIENT, 0, 0, 0, 0, 0, bytes(4), bytes(8), bytes(8), 0, 0)[:40] + nonce
    try:
        with _dialled(host, port) as line:
            sent = clock.now()
            line.send(request)
            answer = _answer(line, nonce, within_s)
            came_ms = clock.now().uptime_ms - sent.uptime_ms
    except UnicodeError:
        raise NoTime("no such name") from None
    except OSError as error:
        raise NoTime(f"no answer ({error.strerror or error})") from None
    received_ms, transmitted_ms = (_since_1970_ms(moment) for moment in (answer.received, answer.transmitted))
    # RFC 4330, section 5, with the whole delay as bound of what the ways there and back may differ.
    ahead_ms = (received_ms - sent.wall_ms + transmitted_ms - sent.wall_ms - came_ms) / 2
    delay_ms = max(came_ms - (transmitted_ms - received_ms), 0)
    return ServerTime(round(ahead_ms), round(delay_ms / 2 + answer.root_ms) + 1, answer.stratum)


@dataclass(frozen=True, slots=True)
class _Answer:
    """``root_ms``: the server's own distance from the true time (RFC 5905, section 10)."""

    stratum: int
    root_ms: float
    received: int
    transmitted: int


def _dialled(host: str, port: int) -> socket.socket:
    """A datagram socket that hears this server alone; the first address that there is a way to."""
    why: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
        line = socket.socket(family, kind, protocol)
        try:
            line.connect(address)
        except OSError as error:
            line.close()
            why = error
        else:
            return line
    raise why or OSError("no address")


def _answer(line: socket.socket, nonce: bytes, within_s: float) -> _Answer:
    """The answer to this very request; what else comes meanwhile may be anybody's and is passed over."""
    until_s = time.monotonic() + within_s
    passed_over = ""
    while (left_s := until_s - time.monotonic()) > 0:
        line.settimeout(left_s)
        try:
            packet = line.recv(1024)
        except TimeoutError:
            break
        if len(packet) < _HEADER.size:
            passed_over = f"; {len(packet)} bytes came, which is no NTP packet"
            continue
        first, stratum, _, _, delay, dispersion, reference, _, origin, received, transmitted = _HEADER.unpack(
            packet[: _HEADER.size]
        )
        if origin != nonce or first & 0b111 != _SERVER:
            passed_over = "; what came is no answer to our request"
            continue
        if stratum == 0:
            code = reference.decode("ascii", "replace").rstrip("\0")
            raise NoTime(f"it refuses (kiss-o'-death {code!r})")
        if first >> 6 == _LEAP_UNSYNCHRONISED or stratum > _STRATUM_MOST or not transmitted or not received:
            raise NoTime("it answers that it does not know the time itself")
        return _Answer(stratum, (delay / 2 + dispersion) / 65.536, received, transmitted)
    raise NoTime(f"no answer within {within_s:g} s{passed_over}")


def _since_1970_ms(timestamp: int) -> int:
    """Of NTP's 32.32 s; without the first bit they are of the era after 2036-02-07 (RFC 4330, section 3)."""
    seconds = timestamp >> 32
    era = 0 if seconds >> 31 else 1
    return (seconds + era * _ERA_S - _1970_S) * 1000 + ((timestamp & 0xFFFF_FFFF) * 1000 >> 32)
