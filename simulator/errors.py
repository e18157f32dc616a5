"""The simulator's exceptions: every message is one line that says what, where and the mend."""


class SimulatorError(Exception):
    """Base of all."""


class CommandError(SimulatorError):
    """A control command that cannot be done as it was written."""


class ControlError(SimulatorError):
    """The control socket cannot be opened or reached."""
