"""A line of 64 kbit/s between a post and everybody else, in namespaces that end with whoever makes them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

BYTES_PER_S = 8_000
NEAR = "10.77.0.1"
"""The address of headquarters."""
_FAR, _NET = "10.77.1.1", "10.77.0.0/16"
_ROUTER = {"to-near": "10.77.0.2", "to-far": "10.77.1.2"}
_TBF = ("tbf", "rate", "64kbit", "burst", "1600", "latency")
_PROGRAMS = ("unshare", "nsenter", "ip", "tc")


BELOW = ("unshare", "--fork", "--kill-child")
"""The words before a command that is to run below a process of its own, as SimPost expects of a wrapper."""


class NoLine(Exception):
    """It cannot be made here. The text is for people."""


def apart(*command: str) -> list[str]:
    """The command, in a network of its own with nothing in it; all that it starts ends with it."""
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--net", "--pid", "--mount-proc", *as_root, "--fork", "--kill-child", *command]


def unusable() -> str | None:
    """Why there can be no such line here, or None: by trying."""
    if missing := [program for program in _PROGRAMS if shutil.which(program) is None]:
        return f"needs {', '.join(missing)}: apt-get install iproute2 util-linux"
    done = subprocess.run(
        apart(sys.executable, "-m", "bench.slow_line"), capture_output=True, text=True, check=False
    )
    return None if done.returncode == 0 else (done.stderr.splitlines() or ["no network namespaces"])[-1]


@contextmanager
def line(queue_ms: int = 400) -> Iterator[Sequence[str]]:
    """The line, behind a router as behind a modem; the words before a command that is to run at its far end.

    ``queue_ms``: how much waits in the router, either way, before more is lost. Raises NoLine.
    """
    with _network() as router, _network() as far:
        here = _Network((), "1")
        here.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "to-near", "netns", router.number)
        router.run("ip", "link", "add", "to-far", "type", "veth", "peer", "name", "far", "netns", far.number)
        for network, name, address in ((here, "near", NEAR), (far, "far", _FAR)):
            network.up(name, address)
        for name, address in _ROUTER.items():
            router.up(name, address)
            router.run("tc", "qdisc", "add", "dev", name, "root", *_TBF, f"{queue_ms}ms")
        router.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        here.run("ip", "route", "add", _NET, "via", _ROUTER["to-near"])
        far.run("ip", "route", "add", _NET, "via", _ROUTER["to-far"])
        yield [*BELOW, *far.inside]


@dataclass(frozen=True, slots=True)
class _Network:
    """A network. ``inside``: the words before a command that is to run in it."""

    inside: Sequence[str]
    number: str

    def run(self, *words: str) -> None:
        """Raises NoLine."""
        done = subprocess.run([*self.inside, *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NoLine(f"{' '.join(words)}: {done.stderr.strip()}")

    def up(self, name: str, address: str) -> None:
        """An interface with this address, and ``lo``. Raises NoLine."""
        self.run("ip", "address", "add", f"{address}/24", "dev", name)
        for each in ("lo", name):
            self.run("ip", "link", "set", each, "up")


@contextmanager
def _network() -> Iterator[_Network]:
    """A new one, which ends with the block, or with this process."""
    command = ["unshare", "--net", "sh", "-c", "echo there && exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        holder.stdout.readline()
        yield _Network(("nsenter", f"--net=/proc/{holder.pid}/ns/net"), str(holder.pid))
        holder.stdin.close()


if __name__ == "__main__":
    try:
        with line():
            pass
    except NoLine as none:
        sys.exit(str(none))
