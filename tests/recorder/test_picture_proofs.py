"""One exported proof, checked on its own, and refused after any one byte is changed."""

import base64
import hashlib
import json
import re
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from brokers import Mosquitto
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from far_ends import SOURCE, Desk, Key, Post, publish
from programs import recording
from waiting import until

from device.events import Door, Picture
from provisioning.picture_key import make_picture_key
from recorder.__main__ import main
from recorder.errors import NoProof
from recorder.intake import Message
from recorder.proof import check
from recorder.proving import is_named
from recorder.store import Store

JPEG = b"\xff\xd8" + bytes(range(100)) + b"\xff\xd9"
OPENED = Door(door="front", change="opened", since="2026-11-18T01:15:00.000Z")


def from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sha(picture: Message) -> str:
    return picture.topic[-64:]


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, bytes]:
    """Headquarters' private key, and what posts get of it."""
    return tmp_path / "key.pem", from_base64url(make_picture_key(tmp_path / "key.pem"))


@pytest.fixture
def sealed(desk: Desk, post: Post, key: tuple[Path, bytes]) -> str:
    """A door opens, somebody taps, a sealed picture comes, and an event behind it is receipted; its SHA-256."""
    opened = post.seal(OPENED, "front")
    why = post.last
    tap, (event, picture), after = post.checkin(), post.picture(JPEG, why=why, seal_to=key[1]), post.checkin()
    desk.take(post.identity(), post.message(post.sealed[0]), opened, tap, event, picture, after)
    desk.give_receipts()
    return sha(picture)


@pytest.fixture
def proof(desk: Desk, sealed: str, key: tuple[Path, bytes], tmp_path: Path) -> bytes:
    """The exported file."""
    assert exported(desk, sealed, tmp_path / "proof.json", "--key", key[0]) == 0
    return (tmp_path / "proof.json").read_bytes()


def exported(desk: Desk, sha256: str, out: Path, *more: object) -> int:
    return main(["pictures", "export", "--store", str(desk.path), *map(str, more), sha256, str(out)])


def verified(content: bytes, file: Path, *more: object) -> int:
    file.write_bytes(content)
    return main(["verify-proof", *map(str, more), str(file)])


def refused(content: bytes) -> str:
    with pytest.raises(NoProof) as refusal:
        check(content)
    said = str(refusal.value)
    assert said.isprintable()
    assert len(said) < 500
    return said


def changed(proof: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The same file with another content, in the form that a proof has."""
    members = json.loads(proof)
    change(members)
    return rfc8785.dumps(members)


def test_a_proof_says_what_it_proves(
    desk: Desk, sealed: str, proof: bytes, post: Post, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    out = tmp_path / "front.jpeg"
    assert verified(proof, tmp_path / "p", "--jpeg", out) == 0
    told = dict(re.split(r"  +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert set(told) == {"post", "picture", "sealed", "taken", "asked by", "chain", "receipt", "key"}
    assert SOURCE in told["post"]
    assert sealed in told["picture"]
    assert told["asked by"].startswith("door front opened at 2026-")
    assert told["taken"].endswith("-2.960 s from the event that asked, by the post's clock")
    assert told["chain"].startswith("events 2-5 of ")
    assert f"event 5, hash {post.here.hash}" in told["receipt"]
    assert f"key {post.key.kid}, which this file itself brings: compare it" in told["key"]
    assert out.read_bytes() == JPEG
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_no_byte_of_a_proof_can_be_changed(proof: bytes) -> None:
    """Every byte that is not within base64 in three ways, and many of those that are."""
    assert rfc8785.dumps(json.loads(proof)) == proof
    inside = {at for run in re.finditer(rb"[A-Za-z0-9+/=]{100,}", proof) for at in range(*run.span())}
    tries = [(at, bits) for at in range(len(proof)) if at not in inside for bits in (0x01, 0x20, 0x80)]
    tries += [(at, 1 << at % 7) for at in sorted(inside)[::5]]
    assert len(tries) > 1500
    for at, bits in tries:
        spoiled = bytearray(proof)
        spoiled[at] ^= bits
        refused(bytes(spoiled))
    for at in range(0, len(proof), 97):
        refused(proof[:at] + proof[at + 1 :])
        refused(proof[:at] + b" " + proof[at:])
    for more in (b"\n", b" ", b"\0", b"{}"):
        refused(proof + more)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: m["events"].pop(1), "does not come after"),
        (lambda m: m["events"].pop(), "receipt: it is not for"),
        (lambda m: m["events"].pop(0), "which has nothing to do with the picture"),
        (lambda m: m["events"].clear(), "events: there are none"),
        (lambda m: m["events"].reverse(), "does not come after"),
        (lambda m: m.update(opened=base64.b64encode(JPEG + b"x").decode()), "opened: its SHA-256"),
        (lambda m: m.update(picture=m["opened"]), "picture: its SHA-256"),
        (lambda m: m.update(picture=m["picture"][:-2] + "=="), "picture:"),
        (lambda m: m.update(asked=m["events"][0]), "asked:"),
        (lambda m: m.update(asked=m["events"][3]), "asked:"),
        (lambda m: m.update(event=m["event"][:-1] + "3"), "announces no picture"),
        (lambda m: m.update(event=m["event"][:-1] + "9"), "is not among its events"),
        (lambda m: m["receipt"].update(seq=4), "receipt: it is not for"),
        (lambda m: m["receipt"].update(seq=True), "seq"),
        (lambda m: m["keys"].append(m["keys"][0]), "keys: not each once"),
        (lambda m: m["keys"].clear(), "not among its keys"),
        (lambda m: m["keys"][0].update(kid="0" * 16), "keys:"),
        (lambda m: m["keys"][0].update(more=1), "more"),
        (lambda m: m.update(more=1), "more"),
        (lambda m: m.pop("keys"), "member keys"),
        (lambda m: m.update(format="guardpost picture proof 2"), "format"),
    ],
)
def test_a_proof_that_was_put_together_otherwise_is_refused(
    proof: bytes, change: Callable[[dict[str, Any]], None], named: str
) -> None:
    assert named in refused(changed(proof, change))


def test_text_that_is_no_unicode_is_refused(proof: bytes) -> None:
    assert "not JSON" in refused(re.sub(rb'"picture":"[^"]+"', b'"picture":"\xed\xa0\x80"', proof))
    refused(re.sub(rb'"picture":"[^"]+"', rb'"picture":"\\ud800"', proof))


def test_events_of_another_key_do_not_continue_a_proof(proof: bytes, post: Post) -> None:
    """Someone with a key of his own signs what he likes; the links do not hold."""
    forger = Post(key=Key())
    forger.chain = replace(forger.chain, head=post.chain.head)
    forged = forger.checkin()

    def put(members: dict[str, Any]) -> None:
        members["events"].append(base64.b64encode(forged.payload).decode())
        members["keys"] = sorted([*members["keys"], forger.key.jwk.model_dump()], key=lambda key: str(key["kid"]))
        members["receipt"].update(seq=6, hash=hashlib.sha256(forged.payload).hexdigest())

    assert "which event 5 does not announce" in refused(changed(proof, put))


def test_anyone_can_check_a_proof_with_a_page_of_code(proof: bytes) -> None:
    """As docs/contract.md says it, with nothing of ours."""
    file = json.loads(proof)
    assert rfc8785.dumps(file) == proof
    keys = {key["kid"]: from_base64url(key["x"]) for key in file["keys"]}
    events, last = [], None
    for text in file["events"]:
        raw = base64.b64decode(text)
        event = json.loads(raw)
        signature = from_base64url(event.pop("signature"))
        assert hashlib.sha256(keys[event["keyid"]]).hexdigest()[:16] == event["keyid"]
        Ed25519PublicKey.from_public_bytes(keys[event["keyid"]]).verify(signature, rfc8785.dumps(event))
        assert last is None or event["prev"] == last
        last = hashlib.sha256(raw).hexdigest()
        events.append(event)
    assert file["receipt"] == {"chain": events[-1]["chain"], "seq": events[-1]["seq"], "hash": last}
    (announced,) = (event for event in events if event["id"] == file["event"])
    wire = base64.b64decode(file["picture"])
    assert (hashlib.sha256(wire).hexdigest(), len(wire)) == (
        announced["data"]["sha256"],
        announced["data"]["bytes"],
    )
    assert hashlib.sha256(base64.b64decode(file["opened"])).hexdigest() == announced["data"]["plain_sha256"]
    assert events[0]["id"] == announced["data"]["why"]


@pytest.mark.parametrize("how", ["kid", "jwk", "identity"])
def test_a_key_known_from_elsewhere_is_compared(
    proof: bytes, post: Post, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    def word(of: Post) -> object:
        file = tmp_path / "key.json"
        file.write_bytes(of.identity().payload if how == "identity" else of.key.jwk.model_dump_json().encode())
        return of.key.kid if how == "kid" else file

    assert verified(proof, tmp_path / "p", "--signed-by", word(post)) == 0
    assert f"signed by key {post.key.kid}, which you named" in capsys.readouterr().out
    assert verified(proof, tmp_path / "p", "--signed-by", word(Post())) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "which you named" in said


def test_of_two_keys_with_one_id_the_one_that_was_named_counts() -> None:
    """64 bits of a hash can be met by somebody who makes many keys; the whole key cannot."""
    kid, ours, other = "0123456789abcdef", bytes(32), bytes(31) + b"\1"
    assert is_named({kid: ours}, kid, ours)
    assert not is_named({kid: ours}, kid, other)
    assert is_named({kid: None}, kid, other)
    assert not is_named({"f" * 16: other}, kid, other)


@pytest.mark.parametrize("text", ["/does/not/exist", "0123", "", "{}"])
def test_a_word_for_a_key_that_is_none_is_one_line(
    proof: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    capsys.readouterr()
    file = tmp_path / "key.json"
    file.write_text(text)
    named = str(file) if text in ("", "{}") else text
    assert verified(proof, tmp_path / "p", "--signed-by", named) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff\xd8\xff", b"[" * 100_000, b'{"format":1,"format":1}']
)
def test_what_is_no_proof_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    assert verified(content, tmp_path / "p") == 1
    said = capsys.readouterr().err
    assert said.startswith(f"guardpost-recorder: {tmp_path}/p: ")
    assert said.count("\n") == 1
    assert main(["verify-proof", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_sealed_picture_can_be_proved_without_being_shown(
    desk: Desk, sealed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exported(desk, sealed[:8], tmp_path / "proof") == 0
    assert "sealed" in capsys.readouterr().out
    assert check((tmp_path / "proof").read_bytes()).jpeg is None
    assert main(["verify-proof", str(tmp_path / "proof")]) == 0
    assert "only headquarters can open it" in capsys.readouterr().out
    assert main(["verify-proof", str(tmp_path / "proof"), "--jpeg", str(tmp_path / "x.jpeg")]) == 2


def test_a_plain_picture_that_nobody_asked_for(desk: Desk, post: Post, tmp_path: Path) -> None:
    event, picture = post.picture(JPEG)
    desk.take(post.identity(), post.message(post.sealed[0]), event, picture)
    desk.give_receipts()
    assert exported(desk, sha(picture), tmp_path / "proof") == 0
    proven = check((tmp_path / "proof").read_bytes())
    assert (proven.jpeg, proven.asked, len(proven.chain)) == (JPEG, None, 1)


def test_an_event_that_asked_in_an_earlier_chain_stands_beside(
    desk: Desk, post: Post, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    door = post.seal(OPENED, "front")
    why = post.last
    desk.take(post.identity(), post.message(post.sealed[0]), door, post.begin("damaged", post.here))
    desk.take(*post.picture(JPEG, why=why))
    desk.give_receipts()
    assert exported(desk, next(iter(desk.pictures())), tmp_path / "proof") == 0
    proven = check((tmp_path / "proof").read_bytes())
    assert proven.asked is not None
    assert proven.asked.payload == door.payload
    assert [event.seq for event in proven.chain] == [2]
    assert main(["verify-proof", str(tmp_path / "proof")]) == 0
    assert "door front opened" in capsys.readouterr().out


def test_a_key_that_changed_between_is_part_of_the_chain(desk: Desk, post: Post, tmp_path: Path) -> None:
    event, picture = post.picture(JPEG)
    rotation = post.rotate()
    assert rotation is not None
    desk.take(post.identity(post.past[0]), post.message(post.sealed[0]), event, picture, rotation, post.checkin())
    desk.give_receipts()
    assert exported(desk, sha(picture), tmp_path / "proof") == 0
    proven = check((tmp_path / "proof").read_bytes())
    assert [each.keyid for each in proven.chain] == [post.past[0].kid] * 2 + [post.key.kid]


@pytest.mark.parametrize("case", ["no receipt", "hole", "lacking", "unknown", "ambiguous", "short"])
def test_what_cannot_be_proved_yet_is_one_line(
    desk: Desk, post: Post, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    event, picture = post.picture(JPEG)
    desk.take(post.identity(), post.message(post.sealed[0]), event)
    if case != "lacking":
        desk.take(picture)
    if case == "hole":
        post.checkin()
        desk.take(post.lose(3, 3))
    if case != "no receipt":
        desk.give_receipts()
    asked = {"unknown": "0" * 64, "short": sha(picture)[:7]}.get(case, sha(picture))
    if case == "ambiguous":
        other = Post(source="/guardpost/jember/gate-2")
        desk.take(other.identity(), other.message(other.sealed[0]), other.picture(JPEG)[0])
    assert exported(desk, asked, tmp_path / "proof") == (1 if case in ("no receipt", "hole") else 2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    words = {
        "no receipt": "covered by no receipt yet",
        "hole": "event 3 before that is not here",
        "lacking": "not here, lacking",
        "unknown": "nobody has announced it",
        "ambiguous": "name --source",
        "short": "first 8 digits",
    }
    assert words[case] in said
    assert not (tmp_path / "proof").exists()


def test_a_proof_ends_at_a_receipt_that_the_recorder_gave(mosquitto: Mosquitto, tmp_path: Path, post: Post) -> None:
    """Nothing here but the recorder itself, a broker, and a post."""
    path, (event, picture) = tmp_path / "r.db", post.picture(JPEG)

    def receipted() -> int:
        with Store.read(path) as store:
            return store.number("SELECT max(seq) FROM receipt")

    with recording(mosquitto.url, path) as recorder:
        until(lambda: "Sending SUBACK to guardpost-recorder-pictures" in mosquitto.log())
        publish(mosquitto, post.identity(), post.message(post.sealed[0]), event, picture)
        until(lambda: recorder.summary().pictures.stored == 1)
        until(lambda: receipted() == 2)
        desk = Desk(path)
        assert exported(desk, sha(picture), tmp_path / "proof") == 0
        desk.store.close()
    assert main(["verify-proof", str(tmp_path / "proof"), "--signed-by", post.key.kid]) == 0


def test_pictures_are_listed_with_why_they_were_taken(
    desk: Desk, sealed: str, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    lost, gone = post.picture(JPEG)
    desk.take(lost, post.lose_picture(sha(gone), "removed"))
    assert main(["pictures", "list", "--store", str(desk.path)]) == 0
    header, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert header == ["time", "source", "asked by", "offset", "bytes", "state", "picture"]
    assert [row[1:] for row in rows] == [
        [SOURCE, "door front opened", "-2.960", f"{len(JPEG) + 48} sealed", "stored", sealed],
        [SOURCE, "-", "-2.960", str(len(JPEG)), "lost: removed", sha(gone)],
    ]
    assert main(["pictures", "list", "--json", "--state", "lost", "--store", str(desk.path)]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["picture"], told["why"], told["width"]) == (sha(gone), None, 1920)


def test_a_sealed_picture_is_opened_with_its_key_alone(
    desk: Desk, sealed: str, key: tuple[Path, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pictures", "open", "--store", str(desk.path), sealed[:12], str(tmp_path / "front.jpeg")]
    assert main([*words, "--key", str(key[0])]) == 0
    assert (tmp_path / "front.jpeg").read_bytes() == JPEG
    assert stat.S_IMODE((tmp_path / "front.jpeg").stat().st_mode) == 0o600
    assert main([*words, "--key", str(key[0])]) == 2
    other, text = tmp_path / "other.pem", tmp_path / "text"
    make_picture_key(other)
    text.write_text("no key")
    capsys.readouterr()
    words[-1] = str(tmp_path / "new.jpeg")
    for wrong in ([], ["--key", str(other)], ["--key", str(text)], ["--key", "/does/not/exist"]):
        assert main([*words, *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "new.jpeg").exists()


def test_whoever_exports_a_proof_is_told_what_else_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pictures", "export", "--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "all events from the one that asked for it to the receipt, with officers' ids" in said


def test_what_is_sealed_must_be_what_the_event_has_signed(
    desk: Desk, post: Post, key: tuple[Path, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A post that signs one JPEG and seals another is found out by whoever opens it."""
    _, picture = post.picture(JPEG, seal_to=key[1])
    data = json.loads(post.sealed[-1].event)["data"]
    lie = post.seal(Picture.model_validate({**data, "plain_sha256": "0" * 64}), "camera")
    desk.take(post.identity(), post.message(post.sealed[0]), lie, picture)
    words = ["pictures", "open", "--store", str(desk.path), "--key", str(key[0])]
    assert main([*words, sha(picture), str(tmp_path / "x.jpeg")]) == 1
    assert "not what its event has signed" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["open", "export"])
def test_a_file_that_changed_on_the_disk_is_marked_and_will_be_asked_for(
    desk: Desk, sealed: str, key: tuple[Path, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    file = next(path for path in Path(f"{desk.path}.pictures").rglob("*") if path.is_file())
    file.write_bytes(b"x")
    assert (
        main(["pictures", what, "--store", str(desk.path), "--key", str(key[0]), sealed, str(tmp_path / "o")]) == 1
    )
    assert "changed on the disk" in capsys.readouterr().err
    assert list(desk.pictures().values()) == ["mismatch"]
    assert desk.flaws() == {"wrong picture": 1}
    assert desk.store.number("SELECT count(*) FROM picture WHERE since_ms = 0") == 1
