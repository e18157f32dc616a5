"""Which public keys sign for a source, and how each came to be trusted."""

from device.events import Jwk
from device.record.chain import from_base64url
from recorder.errors import UsageError
from recorder.findings import note_signed, settle
from recorder.intake import Flaw
from recorder.store import Store

FIRST_SET, ANNOUNCED, PERSON = "first set", "announced", "person"

MAX_STRANGE_KEYS = 100
"""Of one source: keys that it showed and nobody vouched for."""


class Keyring:
    """The store's keys. Trust on first use: the first set, later only announced keys or a person's word."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def knows(self, source: str) -> bool:
        """Whether any key of this source is trusted yet."""
        return bool(self._store.row("SELECT 1 FROM key WHERE source = ? AND trust IS NOT NULL", source))

    def public(self, source: str, kid: str) -> bytes | None:
        """The raw public key, if it is trusted."""
        sql = "SELECT x FROM key WHERE source = ? AND kid = ? AND trust IS NOT NULL"
        row = self._store.row(sql, source, kid)
        return from_base64url(row["x"]) if row else None

    def remember(self, source: str, jwk: Jwk, at_ms: int, *, capped: bool = True) -> bool:
        """Note a key without trusting it. False: this source has shown too many strange ones already."""
        if self._store.row("SELECT 1 FROM key WHERE source = ? AND kid = ?", source, jwk.kid):
            return True
        strange = self._store.number("SELECT count(*) FROM key WHERE source = ? AND trust IS NULL", source)
        if capped and strange >= MAX_STRANGE_KEYS:
            why = f"{MAX_STRANGE_KEYS} keys that nobody announced are noted already; others are not"
            note_signed(self._store, source, Flaw.CROWDED, "keys", why, at_ms=at_ms)
            return False
        self._store.run("INSERT INTO key VALUES (?, ?, ?, NULL, ?)", source, jwk.kid, jwk.x, at_ms)
        return True

    def trust(self, source: str, kid: str, how: str, at_ms: int) -> bool:
        """Trust a remembered key; False if it was trusted before."""
        changed = self._store.run(
            "UPDATE key SET trust = ?, since_ms = ? WHERE source = ? AND kid = ? AND trust IS NULL",
            how,
            at_ms,
            source,
            kid,
        )
        if changed:
            settle(self._store, source, kid, at_ms)
        return changed > 0

    def check_can_be_trusted(self, source: str, kid: str) -> None:
        """A person may vouch only for a key that was seen. Raises UsageError."""
        row = self._store.row("SELECT trust FROM key WHERE source = ? AND kid = ?", source, kid)
        if row is None:
            seen = [each["kid"] for each in self._store.rows("SELECT kid FROM key WHERE source = ?", source)]
            raise UsageError(f"{source} has shown no key {kid}; seen: {', '.join(seen) or 'none'}")
        if row["trust"] is not None:
            raise UsageError(f"key {kid} of {source} is already trusted ({row['trust']})")

    def note_untrusted(self, source: str, kid: str, at_ms: int) -> None:
        """Events wait for a key of which nobody has said that it is the post's."""
        detail = f"events signed by key {kid} are held; `trust {source} {kid}` accepts it, if it is the post's"
        note_signed(self._store, source, Flaw.UNTRUSTED, kid, detail, at_ms=at_ms)

    def note_unannounced(self, source: str, kid: str, at_ms: int) -> None:
        """An identity set names a key that no verified event has announced."""
        detail = f"identity names key {kid}, which no event announced; it is not trusted"
        note_signed(self._store, source, Flaw.UNANNOUNCED, kid, detail, at_ms=at_ms)
