"""What headquarters, or whoever can write its topics, sends: by Mosquitto's own client."""

import json
import subprocess
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from posts import BASE

RECEIPT = f"{BASE}/receipt"
REPLAY = f"{BASE}/order/replay"
NO_HASH = "0" * 64


def publish(port: int, topic: str, payload: bytes, *more: str) -> None:
    """One message, QoS 1 unless ``more`` says otherwise; returns once the broker has it."""
    content = "-s" if payload else "-n"
    subprocess.run([*_client(port, topic), content, *more], input=payload, check=True, timeout=20)


def publish_all(port: int, topic: str, payloads: Iterable[bytes]) -> None:
    """Many messages, as fast as the client sends them; returns once the broker has them."""
    subprocess.run([*_client(port, topic), "-l"], input=b"\n".join(payloads) + b"\n", check=True, timeout=60)


@contextmanager
def flooding(port: int, topic: str, payloads: Iterable[bytes], *more: str) -> Iterator["subprocess.Popen[bytes]"]:
    """``mosquitto_pub -l`` sends all of it while the block runs."""
    client = subprocess.Popen([*_client(port, topic), "-l", *more], stdin=subprocess.PIPE)
    assert client.stdin is not None
    with client.stdin as lines:
        lines.write(b"\n".join(payloads) + b"\n")
    try:
        yield client
    finally:
        client.kill()
        client.wait(10)


def receipt(chain: str, seq: int, event_hash: str = NO_HASH) -> bytes:
    return json.dumps({"chain": chain, "seq": seq, "hash": event_hash}).encode()


def order(ahead: timedelta = timedelta(hours=1), **members: Any) -> dict[str, Any]:
    """An order's members, with an id of its own and an expiry."""
    expires = (datetime.now(UTC) + ahead).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"id": str(uuid.uuid4()), "expires": expires, **members}


def as_bytes(members: dict[str, Any]) -> bytes:
    return json.dumps(members).encode()


def _client(port: int, topic: str) -> list[str]:
    return ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", topic]
