"""The firmware's exceptions: every message is one line that says what, where and the mend.

GuardpostError
├── ConfigError        the configuration, the roster or a command's words: correct them and start again
├── StateError         the state folder cannot be used: its owner, its disk or a second process
│   └── InUse          a second process: stop that one first
├── NotRecorded        a commit did not reach the disk; nothing of it holds
├── NotReadable        the disk does not give back what is on it, for now
├── JournalDamaged     what the journal gives back is not what was written (also a sqlite3.DatabaseError)
└── ChainError         bytes that claim to be an event and are not (also a ValueError)
    ├── Unreadable     not canonical JSON, or not an event of this contract
    ├── BadSignature   the signature does not belong to these bytes and that key
    └── BrokenLink     seq, prev or keyid does not follow the event before
"""

import sqlite3


class GuardpostError(Exception):
    """Base of all."""


class ConfigError(GuardpostError):
    """The configuration, the roster or a command line cannot be used as it is. Lines: one a problem."""


class StateError(GuardpostError):
    """The state folder cannot be used."""


class InUse(StateError):
    """Another process has the state folder."""


class NotRecorded(GuardpostError):
    """A durable commit failed; nothing of it holds."""


class StoreFull(NotRecorded):
    """What is there waits to be handed over, and does not go for this."""


class NotReadable(GuardpostError):
    """The disk does not give back what is on it; it may again."""


class JournalDamaged(GuardpostError, sqlite3.DatabaseError):
    """The journal's file is damaged: what verifies has to be saved into a new one.

    The message does not name the file: whoever sets it aside does.
    ``unrecorded``: taps that were shown red for it.
    """

    unrecorded = 0


class ChainError(GuardpostError, ValueError):
    """Bytes that claim to be an event and are not."""


class Unreadable(ChainError):
    """Not canonical JSON (RFC 8785), or not an event of the contract."""


class BadSignature(ChainError):
    """The signature does not belong to these bytes and that key."""


class BrokenLink(ChainError):
    """``seq``, ``prev`` or ``keyid`` does not follow the event before."""
