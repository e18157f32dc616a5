"""What the firmware's tests share: moments, drafts, and events sealed as a post seals them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.events import Blind, ChainBegan, Checkin, Draft, Verdict
from device.hardware.clock import KernelClock
from device.readings import ClockState, Instant
from device.record.chain import Chain, Head, Sealed
from device.record.journal import Sent
from device.record.journal_reader import DONE
from device.record.keys import SigningKey

SOURCE = "/guardpost/jember/kpu-gate"
BOOT = "3f0c8bb4-9d53-4b8e-b0a5-0d1f3a2c4e5f"
LATER_BOOT = "5a1d7c22-1111-4222-8333-944455556666"
CHAIN = "0f4a3f52-7a5e-4d2f-9a51-6d8f7c1b2a30"
EPOCH_MS = 1_795_482_900_123
"""2026-11-24 01:15:00.123 UTC, the wall time at uptime 0 in ``at``."""


def at(uptime_ms: int = 100_000, *, clock: ClockState = "synced", step_ms: int = 0) -> Instant:
    """A moment of one boot; ``step_ms``: how far the wall clock has been stepped since its start."""
    return Instant(uptime_ms, EPOCH_MS + step_ms + uptime_ms, clock, 5)


class RunningClock:
    """A clock that really runs."""

    def now(self) -> Instant:
        return at(time.monotonic_ns() // 1_000_000)


@dataclass
class ShiftedClock(KernelClock):
    """The kernel's clock, ahead by what the test let pass; always synced."""

    ahead_ms: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def now(self) -> Instant:
        now = super().now()
        return Instant(now.uptime_ms + self.ahead_ms, now.wall_ms + self.ahead_ms, "synced", 1)


def tapped(verdict: Verdict = "accepted", reader: str = "gate") -> Draft:
    """The draft of a badge check-in."""
    data = Checkin(
        method="badge", officer="officer-1", badge="ab" * 32, verdict=verdict, assurance="uid", reader=reader
    )
    return Draft(subject=reader, data=data)


def blind(why: str) -> Draft:
    """A draft whose text can be anything."""
    return Draft(subject="post", data=Blind(what="reader gate", why=why))


def began(key: SigningKey) -> Draft:
    """The first event of a chain."""
    return Draft(subject="post", data=ChainBegan(why="first", previous=None, jwk=key.jwk()))


def new_key() -> SigningKey:
    """A key of its own."""
    return SigningKey(Ed25519PrivateKey.generate())


def acknowledged(done: int) -> Sent:
    """What the link knows: every event up to position ``done`` was acknowledged."""
    return Sent({DONE: done})


def sealed_all(drafts: Sequence[Draft], key: SigningKey, chain: Chain | None = None) -> tuple[Chain, list[Sealed]]:
    """Drafts sealed one after the other, a second apart; where no chain is given, a new one."""
    chain = chain or Chain(SOURCE, BOOT, key, Head(CHAIN))
    events = []
    for draft in drafts:
        chain, sealed = chain.seal(draft, at(100_000 + 1_000 * chain.head.seq))
        events.append(sealed)
    return chain, events
