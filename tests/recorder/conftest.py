"""A post that seals real events, a store on a real disk, and a real Mosquitto on loopback."""

from collections.abc import Iterator
from pathlib import Path

import brokers
import pytest
from far_ends import Desk, Post


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "recorder.db")
    yield desk
    desk.store.close()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[brokers.Mosquitto]:
    with brokers.mosquitto(tmp_path / "mosquitto") as broker:
        yield broker
