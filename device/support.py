"""``guardpost support``: one archive for whoever helps from afar, with all that tells of a post and no secret."""

import gzip
import io
import json
import os
import subprocess
import tarfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from device import machine
from device.check import results
from device.config import Config, PostSection, load
from device.errors import ConfigError, GuardpostError, JournalDamaged, StateError
from device.events import rfc3339
from device.hardware.clock import KernelClock
from device.readings import Clock
from device.record.journal_reader import JournalReader, Row
from device.record.opening import JOURNAL, LOCK
from device.result import Result
from device.secrecy import STRUCK, Secrets

LAST_EVENTS = 1_000
LOG_LINES = 2_000
COMMAND_WITHIN_S = 30.0
_SERVICE = ("systemctl", "status", "--no-pager", "--full", "guardpost")
_LOG = (
    "journalctl",
    "--no-pager",
    "--output",
    "short-iso-precise",
    "--lines",
    str(LOG_LINES),
    "--unit",
    "guardpost",
)

_README = """\
What a guard post told of itself, made by "guardpost support" at {time} for whoever helps from afar.

{contents}
It holds no secret key, no password and no badge number: where one would stand, there is {struck}; an event
with it does not verify any more. It does hold names of officers and when they tapped: treat it like the journal.
"""


@dataclass(frozen=True, slots=True)
class Post:
    """What is known of it before anything is opened. ``config``: None where it is ``refused``."""

    file: Path
    config: Config | None
    refused: str
    state_dir: Path
    clock: Clock

    @property
    def name(self) -> str:
        """For a file's name."""
        return "post" if self.config is None else f"{self.config.post.site}-{self.config.post.name}"


def support(file: Path, out: Path | None) -> int:
    """Write the archive and say where it is. Raises StateError where it cannot be written."""
    post = _post(file, KernelClock())
    now_ms = post.clock.now().wall_ms
    name = f"guardpost-support-{post.name}-{datetime.fromtimestamp(now_ms // 1000, UTC):%Y%m%dT%H%M%SZ}"
    archive = Path(f"{name}.tar.gz") if out is None else out
    secrets = Secrets.known(post.config, post.state_dir)
    members = [(member, secrets.strike(content)) for member, content in _members(post, now_ms)]
    size = _write(archive, name, members, now_ms // 1000)
    print(f"{archive.absolute()}: {size} bytes, with no keys, passwords or badge numbers in it")
    return 0


def _post(file: Path, clock: Clock) -> Post:
    try:
        config = load(file)
    except ConfigError as error:
        return Post(file, None, str(error), _state_dir(file), clock)
    return Post(file, config, "", config.post.state_dir, clock)


def _state_dir(file: Path) -> Path:
    """Of a configuration that is refused: as it says all the same, or where it is unless it says so."""
    default: Path = PostSection.model_fields["state_dir"].default
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))["post"]["state_dir"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return default
    return file.resolve().parent / found if isinstance(found, str) else default


def _members(post: Post, now_ms: int) -> Iterator[tuple[str, bytes]]:
    """Each file of the archive, in order; one that cannot be made says why."""
    parts: Sequence[tuple[str, str, Callable[[Post], str | bytes]]] = (
        ("versions.txt", "the firmware, what it stands on, the machine", lambda _: machine.versions()),
        ("configuration.json", "the configuration as the post reads it, or what is wrong with it", _configuration),
        ("check.txt", 'what "guardpost check" says now', _check),
        ("service.txt", "the service as systemd sees it", lambda _: _said(*_SERVICE)),
        ("state-folder.txt", "who holds it, every file with mode, owner, size and time, the disk", _state_folder),
        ("health.json", "the journal: chains, cursors, what the rules remember", _health),
        ("events.jsonl", f"the last {LAST_EVENTS} events, a line each, byte for byte", _events),
        ("log.txt", f"the last {LOG_LINES} lines of the service's log", lambda _: _said(*_LOG)),
    )
    contents = "".join(f"{name:<20}{what}\n" for name, what, _ in parts)
    yield "README.txt", _README.format(time=rfc3339(now_ms), contents=contents, struck=STRUCK).encode()
    for name, _, make in parts:
        try:
            made = make(post)
        except (GuardpostError, OSError) as error:
            made = f"cannot be told: {error}\n"
        yield name, made if isinstance(made, bytes) else made.encode("utf-8", "backslashreplace")


def _configuration(post: Post) -> str:
    if post.config is None:
        return f"cannot be used:\n{post.refused}\n"
    return f"{post.config.model_dump_json(indent=1)}\n"


def _check(post: Post) -> str:
    if post.config is None:
        return f"{Result('configuration', False, post.refused)}\n"
    return "".join(f"{result}\n" for result in results(post.config, post.clock))


def _said(*command: str) -> str:
    """What a program of the system says, on both its outputs."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not answer within {COMMAND_WITHIN_S:.0f} s\n"
    return done.stdout.decode("utf-8", "backslashreplace")


def _state_folder(post: Post) -> str:
    holder = machine.holder(post.state_dir / LOCK)
    runs = "no process holds it" if holder is None else f"process {holder} holds it"
    return f"{post.state_dir}: {runs}\n{machine.listing(post.state_dir)}\n{machine.disks(post.state_dir)}"


def _health(post: Post) -> str:
    journal = JournalReader.open(post.state_dir / JOURNAL)
    found: dict[str, Any] = {}
    reads: dict[str, Callable[[], object]] = {
        "oldest": journal.oldest,
        "newest": journal.newest,
        "used_bytes": journal.used_bytes,
        "chains": lambda: [chain._asdict() for chain in journal.chains()],
        "cursors": journal.cursors,
        "open_alarms": lambda: len(journal.alarms()),
        "rules": lambda: {rule: json.loads(state) for rule, state in journal.snapshots().items()},
    }
    try:
        for name, read in reads.items():
            try:
                found[name] = read()
            except (GuardpostError, ValueError) as error:
                found[name] = f"cannot be told: {error}"
    finally:
        journal.close()
    return f"{json.dumps(found, indent=1)}\n"


def _events(post: Post) -> bytes:
    journal = JournalReader.open(post.state_dir / JOURNAL)
    try:
        return b"".join(map(_line, _last_rows(journal)))
    finally:
        journal.close()


def _last_rows(journal: JournalReader) -> Sequence[Row]:
    """The newest rows; of a damaged journal, those of them that can be read."""
    newest = journal.newest()
    try:
        return journal.rows(newest - LAST_EVENTS, LAST_EVENTS, as_written=False)
    except JournalDamaged:
        pass
    found: dict[int, Row] = {}
    for position in range(newest - LAST_EVENTS, newest):
        try:
            found.update((row.position, row) for row in journal.rows(position, 1, as_written=False))
        except JournalDamaged:
            continue
    return list(found.values())


def _line(row: Row) -> bytes:
    """The exact bytes, as every event is one line; of what is none, because the journal is damaged, its hex."""
    if b"\n" in row.event:
        return json.dumps({"position": row.position, "hex": row.event.hex()}).encode() + b"\n"
    return row.event + b"\n"


def _write(archive: Path, folder: str, members: Sequence[tuple[str, bytes]], made_s: int) -> int:
    """Write a new file that only this user may read; its size. Raises StateError."""
    try:
        descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise StateError(f"{archive}: is there already; name another with --out") from None
    except OSError as error:
        raise StateError(f"{archive}: cannot be written ({error.strerror}); name another with --out") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            with (
                gzip.GzipFile("", "wb", fileobj=file, mtime=made_s) as packed,
                tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as tar,
            ):
                for name, content in members:
                    member = tarfile.TarInfo(f"{folder}/{name}")
                    member.size, member.mtime, member.mode = len(content), made_s, 0o600
                    tar.addfile(member, io.BytesIO(content))
            return file.tell()
    except OSError as error:
        archive.unlink(missing_ok=True)
        raise StateError(f"{archive}: cannot be written ({error.strerror}); name another with --out") from None
