"""The control commands: one line in, one line out."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from simulator.board import Board
from simulator.errors import CommandError

_T = TypeVar("_T")

HELP = (
    "tap UIDHEX [READER] | lay UIDHEX [READER] | take UIDHEX [READER] | press BUTTON | open DOOR | close DOOR"
    " | mains on|off | lights | input INPUT hums|quiet | button BUTTON stuck|free | reader READER FAULT"
    " | camera FAULT|well | edges lost|back | help"
)


class Commands:
    """Does commands on a board. Called from several clients' threads."""

    def __init__(self, board: Board) -> None:
        """``board``: the one they are done on."""
        self._board = board
        self._known: dict[str, tuple[Callable[..., str], range, str]] = {
            "tap": (self._tap, range(1, 3), "tap UIDHEX [READER]"),
            "lay": (self._lay, range(1, 3), "lay UIDHEX [READER]"),
            "take": (self._take, range(1, 3), "take UIDHEX [READER]"),
            "press": (self._press, range(1, 2), "press BUTTON"),
            "open": (self._open, range(1, 2), "open DOOR"),
            "close": (self._close, range(1, 2), "close DOOR"),
            "lights": (self._board.lights, range(1), "lights"),
            "mains": (self._mains, range(1, 2), "mains on|off"),
            "reader": (self._reader, range(2, 3), "reader READER FAULT"),
            "input": (self._input, range(2, 3), "input INPUT hums|quiet"),
            "button": (self._button, range(2, 3), "button BUTTON stuck|free"),
            "camera": (self._camera, range(1, 2), "camera FAULT|well"),
            "edges": (self._edges, range(1, 2), "edges lost|back"),
            "help": (lambda: HELP, range(1), "help"),
        }

    def __call__(self, line: str) -> str:
        """Do one command; its answer, or a line that begins with ``error:``."""
        verb, *words = line.split()
        try:
            if verb not in self._known:
                raise CommandError(f"no command {verb!r}; there is: {', '.join(self._known)}")
            do, count, usage = self._known[verb]
            if len(words) not in count:
                raise CommandError(f"wrong number of words after {verb!r}; write: {usage}")
            if verb != "help":
                self._board.wait_ready()
            return do(*words)
        except CommandError as error:
            return f"error: {error}"

    def _tap(self, uid_hex: str, reader: str | None = None) -> str:
        return f"tap {uid_hex}: {_carded(self._board.tap, uid_hex, reader)}"

    def _lay(self, uid_hex: str, reader: str | None = None) -> str:
        _carded(self._board.lay, uid_hex, reader)
        return f"card {uid_hex}: lies there"

    def _take(self, uid_hex: str, reader: str | None = None) -> str:
        _carded(self._board.take, uid_hex, reader)
        return f"card {uid_hex}: taken away"

    def _press(self, button: str) -> str:
        return f"press {button}: {self._board.press(button)}"

    def _open(self, door: str) -> str:
        self._board.open_door(door)
        return f"door {door}: open"

    def _close(self, door: str) -> str:
        self._board.close_door(door)
        return f"door {door}: closed"

    def _mains(self, state: str) -> str:
        self._board.mains(_chosen(state, {"on": True, "off": False}))
        return f"mains: {state}"

    def _reader(self, name: str, word: str) -> str:
        fault = _chosen(word, self._board.reader(name).faults)
        fault.do()
        return f"reader {name}: {fault.done}"

    def _input(self, name: str, state: str) -> str:
        self._board.hum(name, _chosen(state, {"hums": True, "quiet": False}))
        return f"input {name}: {state}"

    def _button(self, name: str, state: str) -> str:
        self._board.hold(name, _chosen(state, {"stuck": True, "free": False}))
        return f"button {name}: {state}"

    def _camera(self, fault: str) -> str:
        return f"camera: {self._board.camera(fault)}"

    def _edges(self, state: str) -> str:
        self._board.factory.deaf = _chosen(state, {"lost": True, "back": False})
        return f"edges: {state}"


def _chosen(word: str, choices: Mapping[str, _T]) -> _T:
    if word not in choices:
        raise CommandError(f"no {word!r} here; there is: {', '.join(choices)}")
    return choices[word]


def _carded(do: Callable[[bytes, str | None], _T], uid_hex: str, reader: str | None) -> _T:
    uid = _uid(uid_hex)
    try:
        return do(uid, reader)
    except ValueError as error:
        raise CommandError(f"no card has this number: {error}") from None


def _uid(text: str) -> bytes:
    if not re.fullmatch(r"([0-9A-Fa-f]{2})+", text):
        raise CommandError(f"{text!r} is no UID; write its bytes as hex digits without gaps, like 04A1B2C3D4E5F6")
    return bytes.fromhex(text)
