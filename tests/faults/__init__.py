"""The hostile line: seeded rounds of faults, and what a bad broker or a bad headquarters may send."""
