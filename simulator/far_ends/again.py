"""A thread that does one thing again and again: what a reader at fault does."""

import threading
from collections.abc import Callable


class Again:
    """At rest until it is started."""

    def __init__(self) -> None:
        """At rest."""
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self, do: Callable[[], None], every_s: float) -> None:
        """Do ``do``, then wait ``every_s``, again and again, instead of what was done before."""
        self.stop()
        stopping = self._stopping = threading.Event()

        def run() -> None:
            while not stopping.is_set():
                do()
                stopping.wait(every_s)

        self._thread = threading.Thread(target=run, name="reader at fault")
        self._thread.start()

    def stop(self) -> None:
        """Returns once it rests."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None
