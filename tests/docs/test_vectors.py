"""The test vectors: made again they are the same bytes, and three verifiers agree on them."""

import json
import subprocess
import sys
from pathlib import Path

from vectors import ACCEPTED, DUPLICATE, FORK, LINK, SIGNATURE, SOURCE, TOPIC, UNREADABLE, TestKey, files, vectors

from device.errors import BadSignature, ChainError
from device.record.chain import read, verify
from recorder.intake import Flaw, Message
from recorder.ledger import Ledger
from recorder.store import Store

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "vectors"
KEYS = {key.kid: key.public for key in (TestKey("first key"), TestKey("second key"))}
FLAWS = {
    UNREADABLE: Flaw.UNREADABLE,
    TOPIC: Flaw.TOPIC,
    SIGNATURE: Flaw.SIGNATURE,
    LINK: Flaw.LINK,
    FORK: Flaw.FORK,
}


def test_the_files_are_what_the_program_writes() -> None:
    made = files()
    assert {file.name for file in FOLDER.iterdir() if file.is_file()} == {*made, "verify.py"}
    for name, content in made.items():
        assert (FOLDER / name).read_bytes() == content, f"python tests/docs/vectors.py docs/vectors writes {name}"


def test_the_firmware_verifies_each_event_and_refuses_the_spoilt_ones() -> None:
    for vector in vectors():
        try:
            verify(vector.payload, KEYS[read(vector.payload).keyid])
        except ChainError as error:
            assert vector.expect == (SIGNATURE if isinstance(error, BadSignature) else UNREADABLE), vector
        else:
            assert vector.expect in (ACCEPTED, DUPLICATE, TOPIC, FORK, LINK), vector


def test_the_page_long_subscriber_gives_every_expected_answer() -> None:
    done = subprocess.run([sys.executable, FOLDER / "verify.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("every answer is the one expected\n")


def test_the_recorder_finds_the_same(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.sqlite3")
    ledger = Ledger(store, "guardpost")
    identity = (FOLDER / "identity.json").read_bytes()
    with store.transaction():
        ledger.take(Message(f"{SOURCE[1:]}/identity", identity, 1))
        ledger.settle()
    for vector in vectors():
        count = "SELECT (SELECT count(*) FROM event), (SELECT total(times) FROM finding WHERE flaw = ?)"
        flaw = FLAWS.get(vector.expect)
        before = store.row(count, flaw)
        with store.transaction():
            ledger.take(Message(vector.topic, vector.payload, 1))
            ledger.settle()
        after = store.row(count, flaw)
        assert before is not None and after is not None
        kept = vector.expect in (ACCEPTED, FORK, LINK)
        assert (after[0] - before[0], after[1] - before[1]) == (int(kept), int(flaw is not None)), vector
    store.close()


def test_the_badge_number_is_hidden_as_the_page_says() -> None:
    import hashlib
    import hmac

    badge = json.loads((FOLDER / "vectors.json").read_text())["badge"]
    digest = hmac.new(bytes.fromhex(badge["site_key"]), badge["number"].encode("ascii"), hashlib.sha256)
    assert digest.hexdigest() == badge["badge"]
