"""A post that seals real events, a store on a real disk, and a real Mosquitto on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from far_ends import Desk, Mosquitto, Post, broker_in


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "recorder.db")
    yield desk
    desk.store.close()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with broker_in(folder) as broker:
        yield broker
