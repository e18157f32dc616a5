"""The demonstration's night: its people, its post, and what happens when."""

from dataclasses import dataclass
from pathlib import Path

SITE, POST = "demo", "gate"
ROOT = "guardpost-demo"

OFFICER_1, OFFICER_2 = "04A1B2C3D4E5F6", "04112233445566"
EXPIRED, REVOKED, UNKNOWN = "048899AABBCCDD", "0455AA55AA55AA", "DEADBEEF"

_ROSTER = f"""\
[[officer]]
id = "officer-1"
badges = ["{OFFICER_1}"]

[[officer]]
id = "officer-2"
badges = ["{OFFICER_2}"]

[[officer]]
id = "officer-3"
badges = ["{EXPIRED}"]
until = 2020-12-31

[[officer]]
id = "officer-4"
badges = ["{REVOKED}"]
revoked = true
"""

_CONFIG = """\
[post]
site = "{site}"
name = "{post}"
state_dir = "state"

[link]
brokers = ["mqtt://127.0.0.1:{port}"]
root = "{root}"
keepalive = "5s"

[roster]
file = "roster.toml"

[checkin]
repeat_after = "10s"

[[reader]]
name = "gate"
driver = "rc522"
reset_pin = 25

[[door]]
name = "front"
pin = 17
held_after = "5s"
forced_without_checkin = "4s"

[[button]]
name = "bell"
pin = 22
does = "checkin"

[indicator]
green = 5
red = 6
buzzer = 13

[camera]
size = [1280, 720]
on = ["checkin", "door"]
"""


@dataclass(frozen=True, slots=True)
class Act:
    """Something done at ``at_s`` of a round. ``command``: for the control socket, or ``cut`` and ``restore``.

    ``subject``: of the event that it should bring about, empty for none.
    """

    at_s: float
    did: str
    command: str
    subject: str = ""


ACTS = (
    Act(0.3, "officer-1 taps", f"tap {OFFICER_1}", "gate"),
    Act(1.2, "opens the front door", "open front", "front"),
    Act(2.0, "closes it", "close front", "front"),
    Act(2.8, "officer-1 taps again", f"tap {OFFICER_1}", "gate"),
    Act(3.6, "officer-3 taps, badge expired", f"tap {EXPIRED}", "gate"),
    Act(4.5, "THE LINE IS CUT", "cut"),
    Act(5.0, "officer-2 taps", f"tap {OFFICER_2}", "gate"),
    Act(5.8, "opens it and leaves it open", "open front", "front"),
    Act(6.8, "a stranger taps", f"tap {UNKNOWN}", "gate"),
    Act(7.6, "officer-4 taps, badge revoked", f"tap {REVOKED}", "gate"),
    Act(8.4, "somebody presses the bell", "press bell", "bell"),
    Act(12.0, "closes the front door", "close front", "front"),
    Act(12.5, "the line is restored", "restore"),
    Act(14.5, "somebody forces the front door", "open front", "front"),
    Act(15.5, "closes it", "close front", "front"),
)
ROUND_S = 18.0
"""Longer than ``repeat_after``, so that every round begins with an accepted tap."""


def furnish(folder: Path, port: int) -> Path:
    """Write the post's configuration and roster; the configuration's path. ``port``: of the line on loopback."""
    file = folder / "post.toml"
    file.write_text(_CONFIG.format(site=SITE, post=POST, root=ROOT, port=port), encoding="utf-8")
    (folder / "roster.toml").write_text(_ROSTER, encoding="utf-8")
    return file
