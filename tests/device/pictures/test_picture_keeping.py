"""A picture from the camera to the disk: sealed, stored, told; and told where it could not be."""

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from picture_bench import OFFSET_MS, SOURCE, WHY, Bench, bench, photo, sha256_of
from volatile_disk import unusable, volatile_disk

from device.pictures.worker import PHOTOS_WAITING
from device.readings import PartBlind, PartSighted, PictureFailed, PictureGone, PictureTaken
from device.record.pictures import LEFT_TO_JOURNAL_BYTES
from device.record.sealing import open_sealed


def test_a_picture_is_on_the_disk_when_it_is_told_with_all_that_is_announced_of_it(tmp_path: Path) -> None:
    with bench(tmp_path) as post:
        shot = photo()
        told = post.store(shot)
        assert told == PictureTaken(
            told.at, WHY, sha256_of(shot.jpeg), len(shot.jpeg), None, (1920, 1080), shot.taken, OFFSET_MS
        )
        assert (post.folder / "new" / told.sha256).read_bytes() == shot.jpeg
        assert post.heard(PartBlind) == [] and len(post.heard(PartSighted)) == 1


def test_a_sealed_one_shows_nothing_on_the_disk_and_opens_with_the_private_key_alone(tmp_path: Path) -> None:
    headquarters = X25519PrivateKey.generate()
    seal_to = _base64url(headquarters.public_key().public_bytes_raw())
    with bench(tmp_path, camera={"seal_to": seal_to}) as post:
        shot = photo()
        told = post.store(shot)
        wire = (post.folder / "new" / told.sha256).read_bytes()
        assert (sha256_of(wire), len(wire)) == (told.sha256, told.length)
        assert told.plain_sha256 == hashlib.sha256(shot.jpeg).hexdigest()
        assert open_sealed(headquarters, SOURCE, wire) == shot.jpeg
        assert shot.jpeg[:32] not in b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_the_program_ends_between_the_store_and_the_event_and_the_next_start_removes_the_picture(
    tmp_path: Path,
) -> None:
    with bench(tmp_path) as post:
        post.store(photo())
    with bench(tmp_path) as post:
        post.until_heard(PartSighted)
        assert post.names("new") == post.names("waiting") == []


def test_the_program_ends_between_the_event_and_its_word_and_the_picture_still_waits(tmp_path: Path) -> None:
    with bench(tmp_path) as post:
        event = post.record_picture(post.store(photo()))
        post.store(photo(2))
    with bench(tmp_path) as post:
        post.until_heard(PartSighted)
        assert post.names("waiting") == [f"{sha256_of(photo().jpeg)}.{event.replace('/', '.')}"]
        assert post.names("new") == [] and post.heard(PictureGone) == []


def test_more_than_can_be_stored_in_time_is_refused_at_once(tmp_path: Path) -> None:
    post = Bench(tmp_path)  # its thread has not begun: the disk takes nothing for now
    for number in range(1_000):
        post.worker.store(photo(number, 100))
    failed = post.heard(PictureFailed)
    assert len(failed) == 1_000 - PHOTOS_WAITING
    assert failed[0].event == WHY and "the disk is too slow" in failed[0].why
    post.record.close()


@pytest.mark.skipif(unusable() is not None, reason=str(unusable()))
def test_a_full_disk_is_told_once_with_every_picture_that_failed_and_its_end_too(tmp_path: Path) -> None:
    with volatile_disk(tmp_path / "rig") as disk, bench(disk.mount) as post:
        post.store(photo(1))
        disk.fill(LEFT_TO_JOURNAL_BYTES)
        for number in range(3):
            post.worker.store(photo(number))
        failed = post.until_heard(PictureFailed, 3)
        assert "kept for events; make room" in failed.why
        [blind] = post.heard(PartBlind)
        assert (blind.part, blind.why) == ("pictures", failed.why)
        disk.well()
        post.clock.ahead_ms += 10_000
        post.until_heard(PartSighted, 2)
        post.store(photo(9))
        assert len(post.heard(PartBlind)) == 1


@pytest.mark.skipif(unusable() is not None, reason=str(unusable()))
def test_a_store_that_cannot_be_opened_is_blind_and_answers_until_it_can(tmp_path: Path) -> None:
    with volatile_disk(tmp_path / "rig") as disk, bench(disk.mount, thread=False) as post:
        disk.read_only()
        post.worker.start()
        assert "Read-only file system" in post.until_heard(PartBlind).why
        post.worker.store(photo())
        assert "Read-only file system" in post.until_heard(PictureFailed).why
        disk.well()
        post.clock.ahead_ms += 10_000
        post.until_heard(PartSighted)
        post.store(photo())


def _base64url(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode().rstrip("=")
