"""The pins of the tree's Python are those of the lock, with the markers answered for it and not for this Python."""

from pi.python import pinned

LOCK = """\
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:dd
paho-mqtt==2.1.0 \\
    --hash=sha256:ee
"""


def test_of_two_versions_the_one_for_python_3_13_is_taken_with_its_hashes() -> None:
    assert pinned(LOCK) == (
        "numpy==2.5.5 \\\n    --hash=sha256:cc\n"
        "paho-mqtt==2.1.0 \\\n    --hash=sha256:ee\n"
    )  # fmt: skip
