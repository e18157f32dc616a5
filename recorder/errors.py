"""The recorder's exceptions: every message is one line that says what, where and the mend.

RecorderError
├── UsageError     a command's words, the broker's URL or a password file: correct them and start again
├── StoreError     the store cannot be opened, read or written
│   └── DiskRefuses    not now: the disk is full, fails, or another process holds the store
├── OrderFailed    a post did not do what it was asked for
├── NotStored      a picture's file could not be written; its events are not concerned
├── Damaged        a picture's file is gone, or no longer what it was
├── NoProof        a proof cannot be made yet, or does not prove what it says
└── WorkerDied     a thread of the recorder ended by an error nobody expected
"""

from device.errors import GuardpostError


class RecorderError(GuardpostError):
    """Base of all."""


class UsageError(RecorderError):
    """What was asked for cannot be done as it was written."""


class StoreError(RecorderError):
    """The store cannot be used."""


class DiskRefuses(StoreError):
    """The disk takes nothing at this moment; nothing of the transaction holds, and it may be tried again."""


class OrderFailed(RecorderError):
    """No reply came to an order, or one that refuses it."""


class WorkerDied(RecorderError):
    """A thread of the recorder died; what was not committed will be delivered again."""


class NotStored(RecorderError):
    """The disk takes no picture now."""


class Damaged(RecorderError):
    """The stored bytes of a picture are not those that the post signed."""


class NoProof(RecorderError):
    """What is missing of a proof, or what in it differs."""
