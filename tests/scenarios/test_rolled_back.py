"""A disk that says it has flushed and has not: the power goes, and headquarters holds what the post has lost."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from brokers import Listener, listening, mosquitto
from disk_posts import DiskPost, post_on
from posts import recorder, recording
from volatile_disk import VolatileDisk, unusable, volatile_disk
from waiting import until

from device.record.chain import event_hash
from recorder.service import read_summary
from recorder.summary import ChainSummary

pytestmark = pytest.mark.skipif(unusable() is not None, reason=str(unusable()))


@dataclass
class Scene:
    """A post on a disk, what headquarters has stored, and what a foreign client hears."""

    disk: VolatileDisk
    store: Path
    gate: DiskPost
    heard: Listener

    def all_stored(self) -> bool:
        """Headquarters has receipted the newest event of the post, and that receipt is the retained one."""
        head = self.gate.events()[-1]
        receipts = self.heard.of("receipt")
        return bool(receipts) and _said(receipts[-1].json()) == (head["chain"], head["seq"])

    def chain(self, uuid: str) -> ChainSummary:
        return next(chain for chain in read_summary(self.store).chains if chain.chain == uuid)

    def log(self) -> list[bytes]:
        """The recorder's log: the bytes of every verified event."""
        return recorder("export", "--store", str(self.store)).stdout.encode().splitlines()

    def power_cut(self, share: float | None = None) -> None:
        """The post dies of it, and comes up again with it."""
        self.disk.cut(share)
        self.gate.buried()
        self.disk.power_on()
        self.gate.start()

    def began(self, why: str) -> dict[str, Any]:
        """The first event of the chain that the post began for that reason."""
        until(lambda: self._begun(why), 30, f"a chain that says {why}; the post said {self.gate.said()}")
        (event,) = self._begun(why)
        return event

    def _begun(self, *why: str) -> list[dict[str, Any]]:
        return [event for event in self.gate.events() if event["seq"] == 1 and event["data"]["why"] in why]


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    store = folder / "recorder.db"
    with (
        volatile_disk(folder / "rig") as disk,
        mosquitto(folder / "mosquitto") as broker,
        listening(broker.port) as heard,
        recording(store, broker.url),
        post_on(disk, folder / "post", broker.url) as gate,
    ):
        yield Scene(disk, store, gate, heard)


@pytest.mark.parametrize("lost", [1, 12])
def test_a_lying_disk_is_noticed_by_the_receipt_and_headquarters_keeps_both(tmp_path: Path, lost: int) -> None:
    """The post writes one row at its start: headquarters then ends where the post does, or beyond."""
    with scene(tmp_path) as at:
        for officer in (1, 2, 3):
            assert at.gate.tap(officer).startswith("accepted")
        until(at.all_stored)
        at.disk.drain()
        at.disk.lie(drains=0.0)
        for officer in range(4, 4 + lost):
            assert at.gate.tap(officer).startswith("accepted")
        until(at.all_stored)
        receipted = at.gate.raw()
        at.power_cut(share=0.0)
        assert at.gate.tap(30).startswith("accepted")

        began = at.began("rolled-back")
        remembered = next(row for row in reversed(at.gate.raw()) if json.loads(row)["chain"] != began["chain"])
        previous = began["data"]["previous"]
        assert previous["hash"] == event_hash(remembered)
        assert previous["chain"] == json.loads(receipted[0])["chain"]
        assert at.gate.tap(31).startswith("accepted")
        until(at.all_stored)

        log = at.log()
        assert set(receipted) <= set(log), "what was receipted is at headquarters, though the post has lost it"
        assert set(at.gate.raw()) <= set(log), "and so is all that the post has since"
        new = at.chain(began["chain"])
        assert (new.whole, new.verdict) == (new.last, "whole")
        findings = recorder("findings", "--store", str(at.store))
        assert findings.returncode == 1 and "fork" in findings.stdout
        # The post may let go of its old chain's rows in time: they are receipted to where it ended.
        until(lambda: previous in [receipt.json() for receipt in at.heard.of("receipt")])
        assert at.gate.command("journal", "verify").returncode == 0


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_lying_disk_leaves_the_post_goes_on_and_nothing_receipted_is_gone(
    tmp_path: Path, seed: int
) -> None:
    with scene(tmp_path) as at:
        assert at.gate.tap(1).startswith("accepted")
        at.disk.lie(drains=0.02)
        for officer in range(2, 20):
            assert at.gate.tap(officer).startswith("accepted")
        until(at.all_stored)
        receipted = at.gate.raw()
        at.power_cut()
        for officer in (30, 31):
            assert at.gate.tap(officer).startswith("accepted")
        until(at.all_stored, 30)
        assert {*receipted, *at.gate.raw()} == set(at.log())
        assert at.gate.command("journal", "verify").returncode == 0


def _said(receipt: dict[str, Any]) -> tuple[str, int]:
    return receipt["chain"], receipt["seq"]
