"""The firmware: what runs on the post. It knows nothing of the simulator, the recorder or provisioning."""

__version__ = "0.1.0"
