"""What ``guardpost check`` found of one part: a line for people."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """``why``: what was found, and the mend where it failed. ``advised``: it works without, and worse."""

    part: str
    passed: bool
    why: str
    advised: bool = False

    def __str__(self) -> str:
        """One line for people."""
        word = "FAIL" if not self.passed else "note" if self.advised else "pass"
        return f"{word}  {self.part:<14}  {self.why}"
