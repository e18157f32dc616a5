"""The post's topics (docs/contract.md)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics below ``{root}/{site}/{post}``."""

    base: str

    @classmethod
    def of(cls, source: str) -> "Topics":
        """From the CloudEvents source, which is the same with a slash before it."""
        return cls(source.removeprefix("/"))

    def event(self, kind: str) -> str:
        """One event."""
        return f"{self.base}/event/{kind}"

    @property
    def status(self) -> str:
        """Retained: online or not; also the last will."""
        return f"{self.base}/status"

    @property
    def state(self) -> str:
        """Retained: what holds now."""
        return f"{self.base}/state"

    @property
    def identity(self) -> str:
        """Retained: the post's public keys."""
        return f"{self.base}/identity"

    def alarm(self, kind: str) -> str:
        """A copy of an event that cannot wait."""
        return f"{self.base}/alarm/{kind}"

    def picture(self, sha256: str) -> str:
        """A picture's bytes, by their hash."""
        return f"{self.base}/picture/{sha256}"

    def reply(self, order: str) -> str:
        """The answer to one order."""
        return f"{self.base}/reply/{order}"

    @property
    def orders(self) -> str:
        """What to subscribe for orders; ``order_name`` reads a topic of it."""
        return f"{self.base}/order/#"

    @property
    def receipt(self) -> str:
        """Retained: how far headquarters has stored."""
        return f"{self.base}/receipt"

    def order_name(self, topic: str) -> str | None:
        """``replay`` of ``.../order/replay``; None for a topic that is no order's."""
        name = topic.removeprefix(f"{self.base}/order/")
        return name if name != topic else None
