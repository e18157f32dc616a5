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
