"""The firmware: what runs on the post. It knows nothing of the simulator, the recorder or provisioning."""

__version__ = "0.1.0"
BUILT = "2026-11-24"
"""The day of this version (UTC): no post that runs it can be at an earlier time. Set anew with the version."""
