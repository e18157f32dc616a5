"""Mosquitto's configuration for a fleet: who may connect, and who may write and read which topics."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from provisioning.errors import UsageError

CONFIGURATION, RULES, PASSWORDS = "guardpost.conf", "guardpost.acl", "guardpost.passwords"
RECORDER, HEADQUARTERS = "recorder", "headquarters"

_ROOT = re.compile(r"[A-Za-z0-9_-]{1,32}")

_CONFIGURATION = """\
# Mosquitto for guard posts, written by guardpost-provision. It can stand in a folder that mosquitto.conf
# includes (include_dir), or be started by itself: mosquitto -c {configuration}

listener {port} {address}
# A listener that other machines reach needs TLS: events would be readable, and passwords with them.
#certfile /etc/mosquitto/certs/broker.pem
#keyfile /etc/mosquitto/certs/broker.key

# Nobody without a name. Make the file and add each user; the user of a post is its site/name:
#   touch {passwords}
#   mosquitto_passwd {passwords} {recorder}
#   mosquitto_passwd {passwords} jember/kpu-gate
allow_anonymous false
password_file {passwords}
acl_file {rules}

# What waits for a recorder that is away survives a restart of the broker; if the broker is killed, what came
# within the last minute may not. Such a loss shows as a gap in the numbers.
persistence true
autosave_interval 60

# Mosquitto keeps 1000 messages for a subscriber that is away, then drops without a word.
# An event has about 800 bytes, 8 KiB at most.
max_queued_messages 100000
# And it has no bound in bytes, so that pictures (8 MiB at most) for one subscriber that keeps a session and is away
# could take all memory. This is enough for as many events as above.
max_queued_bytes 200000000
"""

_RULES = """\
# Who may do what, for Mosquitto, written by guardpost-provision. What no line allows is refused.

# The recorder hears everything. Of all that posts listen to it may write receipts, and orders, since it asks for
# what it lacks.
user {recorder}
topic read {root}/#
topic write {root}/+/+/receipt
topic write {root}/+/+/order/#

# Headquarters hears everything, gives orders and hands out rosters.
user {headquarters}
topic read {root}/#
topic write {root}/+/+/order/#
topic write {root}/+/+/roster

# Every user whose name is a post's site/name: its own branch alone, and there only what a post writes or reads.
# With "readwrite {root}/%u/#" a post could write its own receipts and orders.
{patterns}
"""

_POST_WRITES = ("event/#", "alarm/#", "picture/#", "reply/#", "status", "state", "identity")
_POST_READS = ("order/#", "receipt", "roster")


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the broker listens."""

    address: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ip_address(self.address).is_loopback


def parse_listener(text: str) -> Listener:
    """``127.0.0.1:1883`` or ``[::1]:1883``. Raises UsageError."""
    address, _, port = text.rpartition(":")
    try:
        listener = Listener(str(ip_address(address.removeprefix("[").removesuffix("]"))), int(port))
    except ValueError:
        listener = None
    if listener is None or not 1 <= listener.port <= 65535:
        raise UsageError(f"--listen {text}: write an address and a port, like 127.0.0.1:1883 or [::]:1883")
    return listener


def write_broker(folder: Path, listener: Listener, root: str) -> list[Path]:
    """Write configuration and rules into ``folder``; the files. Never over a file that says something else.

    Raises UsageError.
    """
    if not _ROOT.fullmatch(root):
        raise UsageError(f"--root {root}: write letters, digits, _ and -, at most 32 characters")
    folder = folder.absolute()
    if any(c.isspace() for c in str(folder)):
        raise UsageError(f"--out {folder}: Mosquitto cannot use a path with spaces; name another folder")
    contents = {folder / CONFIGURATION: configuration(folder, listener), folder / RULES: rules(root)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in contents.items():
            if file.exists() and file.read_text(encoding="utf-8") != content:
                raise UsageError(f"{file}: is there with other content; move it away or name another folder")
        for file, content in contents.items():
            file.write_text(content, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{folder}: cannot be used ({reason}); name another folder") from None
    return list(contents)


def configuration(folder: Path, listener: Listener) -> str:
    """``guardpost.conf``; its paths lie in ``folder``."""
    return _CONFIGURATION.format(
        configuration=folder / CONFIGURATION,
        rules=folder / RULES,
        passwords=folder / PASSWORDS,
        address=listener.address,
        port=listener.port,
        recorder=RECORDER,
    )


def rules(root: str) -> str:
    """``guardpost.acl``."""
    patterns = [f"pattern write {root}/%u/{branch}" for branch in _POST_WRITES]
    patterns += [f"pattern read {root}/%u/{branch}" for branch in _POST_READS]
    return _RULES.format(root=root, recorder=RECORDER, headquarters=HEADQUARTERS, patterns="\n".join(patterns))
