"""The tree: Debian trixie with libcamera of its backports, and the programs that the tests use."""

import subprocess
from pathlib import Path

SUITE = "trixie"
PYTHON = "3.13"

PACKAGES = (
    "python3", "python3-venv", "ca-certificates", "iproute2", "mount", "procps",
    # libcamera 0.7; trixie's own 0.4 is older than picamera2 wants and has no virtual pipeline.
    f"python3-libcamera/{SUITE}-backports", f"libcamera-ipa/{SUITE}-backports",
    # What picamera2 needs and PyPI has only as source, or only for this.
    "python3-prctl", "python3-piexif", "python3-av", "python3-libarchive-c", "python3-tqdm",
)  # fmt: skip
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


class NoMirror(Exception):
    """This machine's apt names no mirror of Debian."""


def _mirror(label: str) -> str | None:
    """The mirror with this label in the apt of this machine."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Label: {label}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return next(iter(told.stdout.split()), None)


def sources() -> str:
    """apt's lines for the tree. Raises NoMirror."""
    mirror = _mirror("Debian")
    if mirror is None:
        subprocess.run(["apt-get", "-qq", "update"], check=True)
        mirror = _mirror("Debian")
    if mirror is None:
        raise NoMirror("apt of this machine names no mirror of Debian in its sources")
    suites = [(mirror, suite) for suite in (SUITE, f"{SUITE}-updates", f"{SUITE}-backports")]
    if security := _mirror("Debian-Security"):
        suites.append((security, f"{SUITE}-security"))
    return "".join(f"deb {uri} {suite} main\n" for uri, suite in suites)


def definition(programs: tuple[str, ...]) -> list[str]:
    """All that a tree with these packages of programs depends on."""
    return [Path(__file__).read_text("utf-8"), *programs]


def make(folder: Path, programs: tuple[str, ...]) -> None:
    """Fills ``folder`` with the tree. Raises NoMirror, CalledProcessError."""
    subprocess.run(
        ["unshare", "--mount", "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory",
         "--dpkgopt=force-unsafe-io", *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
         f"--include={','.join((*PACKAGES, *programs))}", SUITE, str(folder), "-"],
        input=sources(), text=True, check=True,
    )  # fmt: skip
    (folder / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n", "utf-8")
