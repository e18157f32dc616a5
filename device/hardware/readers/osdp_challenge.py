"""Challenges that nobody can foretell: libosdp draws them from rand(3), which its wheel never seeds.

Session keys come from the reader's key and our challenge alone (SIA OSDP 2.2, annex D). Without a seed every start
of the program makes the same challenges, and a recording of the line, taps included, is good for the next start.
"""

import ctypes
import secrets

from device.hardware.readers.reader import ReaderSilent

_STATE_BYTES = 256
"""The largest generator of random(3): 63 words and one for itself; a challenge takes 8 of them."""
_OWN_BYTES = 4

_state = ctypes.create_string_buffer(_STATE_BYTES)
"""The C library keeps a pointer to it, and has one generator for the whole process; so it lives as long."""


def take_over() -> None:
    """Let rand(3) draw from a state of ours. Raises ReaderSilent where the C library does not."""
    libc = ctypes.CDLL(None)
    libc.initstate.restype = ctypes.c_void_p
    libc.initstate(1, _state, _STATE_BYTES)
    _write(bytes(_STATE_BYTES - _OWN_BYTES))
    if [libc.rand() for _ in range(8)] != [0] * 8:  # sums of words that are all zero
        raise ReaderSilent("OSDP needs the GNU C library: the rand(3) of this one takes no state")
    renew()


def renew() -> None:
    """All words anew, from the kernel."""
    _write(secrets.token_bytes(_STATE_BYTES - _OWN_BYTES))


def _write(words: bytes) -> None:
    ctypes.memmove(ctypes.byref(_state, _OWN_BYTES), words, len(words))
