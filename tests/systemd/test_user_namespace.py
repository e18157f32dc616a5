"""PrivateUsers= and the groups of the pins: what a process may open goes by the groups it joined before."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

USER, DEVICES = "62011", "62012"
"""Numbers that nobody has: the post's user, and the group that owns the pins."""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="owners and groups can only be set by root"),
    pytest.mark.skipif(
        not (shutil.which("setpriv") and shutil.which("unshare")), reason="needs setpriv and unshare (util-linux)"
    ),
]


def as_in_the_unit(groups: str, *command: object) -> subprocess.CompletedProcess[str]:
    """As systemd does it: the user's groups first, then a namespace that knows its own user and group alone."""
    joins = [f"--groups={groups}"] if groups else ["--clear-groups"]
    return subprocess.run(
        ["setpriv", f"--reuid={USER}", f"--regid={USER}", *joins,
         "unshare", "--user", "--map-current-user", *map(str, command)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _user_namespaces() -> None:
    done = as_in_the_unit("", "true")
    if done.returncode != 0:
        pytest.skip(f"no user namespaces on this machine: {done.stderr.strip()}")


@pytest.fixture
def pin() -> Iterator[Path]:
    """A device of the group, as udev makes those of the pins: mode 0660, root:gpio."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        device = folder / "gpiochip0"
        try:
            os.mknod(device, 0o660 | stat.S_IFCHR, os.makedev(1, 3))
            os.chown(device, 0, int(DEVICES))
            device.chmod(0o660)
            device.read_bytes()
        except PermissionError:
            pytest.skip("devices cannot be made here (a container without CAP_MKNOD)")
        yield device


def test_in_its_namespace_the_post_sees_no_group_but_its_own() -> None:
    assert as_in_the_unit(DEVICES, "id", "-G").stdout.split() == [USER, "65534"]


def test_a_device_of_a_group_that_was_joined_before_the_namespace_opens(pin: Path) -> None:
    done = as_in_the_unit(DEVICES, "sh", "-c", ': <>"$0"', pin)
    assert (done.returncode, done.stderr) == (0, "")


def test_and_it_is_the_group_that_opens_it(pin: Path) -> None:
    done = as_in_the_unit("", "sh", "-c", ': <>"$0"', pin)
    assert done.returncode != 0
    assert "Permission denied" in done.stderr
