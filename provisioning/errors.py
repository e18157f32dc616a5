"""Provisioning's exceptions: every message is one line that says what, where and the mend.

ProvisioningError
└── UsageError     a command's words, or a folder that cannot be written: correct them and try again
"""

from device.errors import GuardpostError


class ProvisioningError(GuardpostError):
    """Base of all."""


class UsageError(ProvisioningError):
    """What was asked for cannot be done as it was written."""
