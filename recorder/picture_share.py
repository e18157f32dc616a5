"""How much of the disk one post's pictures may take."""

from recorder.store import Store

PICTURES_PER_POST = 10 * 10**9
"""Bytes: some 30,000 pictures of 300 kB."""


def has_share(store: Store, source: str, length: int, most_bytes: int | None) -> bool:
    """Whether a picture of ``length`` bytes still fits beside those that are stored of the same post."""
    if most_bytes is None:
        return True
    sql = "SELECT coalesce(sum(bytes), 0) FROM picture WHERE source = ? AND state = 'stored'"
    return store.number(sql, source) + length <= most_bytes
