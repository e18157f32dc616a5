"""The pins of a real Pi: gpiozero on lgpio, and nothing that gpiozero would fall back to."""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from gpiozero.exc import GPIOZeroError, PinFactoryFallback, SPISoftwareFallback
from gpiozero.pins import Factory

from device.errors import StateError


@contextmanager
def pi_factory() -> Iterator[tuple[Factory, type[Exception]]]:
    """The pin factory of this machine, and what its library raises. Raises StateError where there are no pins.

    A fall-back to slower or software-driven pins is an error, not a warning: it would lose edges.
    """
    warnings.simplefilter("error", PinFactoryFallback)
    warnings.simplefilter("error", SPISoftwareFallback)
    try:
        lgpio_error: type[Exception] = importlib.import_module("lgpio").error
        lgpio_factory = importlib.import_module("gpiozero.pins.lgpio").LGPIOFactory
    except (ImportError, AttributeError):  # a stub of the same name exports nothing
        mend = "apt install python3-lgpio on the Pi; without a Pi use guardpost-sim post"
        raise StateError(f"the pins need the lgpio library: {mend}") from None
    try:
        factory: Factory = lgpio_factory()
    except (OSError, GPIOZeroError, lgpio_error) as error:
        raise StateError(f"the pins cannot be used ({error}); is this a Pi, and may this user use gpio?") from None
    try:
        yield factory, lgpio_error
    finally:
        factory.close()
