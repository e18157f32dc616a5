"""Addresses of brokers and of time servers, and how the configuration writes them."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict

from device.problems import problem

NTP_PORT = 123
_HOST = re.compile(r"[A-Za-z0-9._:%-]+")


class Broker(BaseModel):
    """One broker's address."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        """As its owner wrote it, in full."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def _broker(value: object) -> object:
    mend = "write mqtts://host:8883, or mqtt://127.0.0.1:1883 for a broker on this machine"
    if not isinstance(value, str):
        raise problem(f"{value!r} is no broker address; {mend}")
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise problem(f"{value!r} is no broker address; {mend}") from None
    if url.username or url.password:
        raise problem("no user or password in an address; the user is site/name, put the password in password_file")
    host_named = url.hostname is not None and _HOST.fullmatch(url.hostname) is not None
    more = url.path.strip("/") or url.query or url.fragment
    if url.scheme not in ("mqtt", "mqtts") or not host_named or port == 0 or more:
        raise problem(f"{value!r} is no broker address; {mend}")
    tls = url.scheme == "mqtts"
    return {"host": url.hostname, "port": port or (8883 if tls else 1883), "tls": tls}


class TimeServer(BaseModel):
    """A time server's address."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    host: str
    port: int

    def __str__(self) -> str:
        """Without the port that all have."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == NTP_PORT else f"{host}:{self.port}"


def _time_server(value: object) -> object:
    try:
        url = urlsplit(f"//{value}" if isinstance(value, str) else "")
        address = {"host": url.hostname, "port": NTP_PORT if url.port is None else url.port}
    except ValueError:
        url, address = urlsplit(""), {}
    host_named = url.hostname is not None and _HOST.fullmatch(url.hostname) is not None
    if not host_named or url.port == 0 or "@" in url.netloc or url.path or url.query or url.fragment:
        raise problem(f'{value!r} is no time server; write its address, like "192.168.1.1"')
    return address


BrokerAddress = Annotated[Broker, BeforeValidator(_broker)]
TimeServerAddress = Annotated[TimeServer, BeforeValidator(_time_server)]
