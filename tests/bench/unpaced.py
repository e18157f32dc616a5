"""``python -m bench.unpaced PYTHON -m simulator ...``: a post whose pictures go up a connection as any other."""

import sys

import paho.mqtt.client as mqtt

import simulator.__main__ as simulator
from device.link import picture_line

if __name__ == "__main__":
    picture_line.paced = lambda _rate: lambda _line: None  # type: ignore[attr-defined,assignment]
    picture_line.PiecemealClient = mqtt.Client  # type: ignore[attr-defined,assignment]
    sys.exit(simulator.main(sys.argv[4:]))
