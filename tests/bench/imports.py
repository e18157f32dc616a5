"""``python tests/bench/imports.py``: the four libraries that the firmware stands on, imported and no more."""

import sys
import time

import gpiozero  # noqa: F401
import paho.mqtt.client  # noqa: F401
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: F401
from pydantic import BaseModel  # noqa: F401 - "import pydantic" alone loads nothing of it

print(time.monotonic_ns(), flush=True)
sys.stdin.read()
