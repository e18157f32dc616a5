"""Where the broker is and who we are to it."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from recorder.errors import UsageError


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are to it."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = None
    ca: Path | None = None

    def __str__(self) -> str:
        """The URL without secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_broker(url: str, password: str | None = None, ca: Path | None = None) -> Broker:
    """``mqtt://[user@]host[:port]`` or ``mqtts://...``. Raises UsageError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"broker {url}: {error}") from None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise UsageError(f"broker {url}: write it as mqtt://host:port or mqtts://host:port")
    if parts.password is not None:
        raise UsageError("broker: a password in the URL is seen by everybody on this machine; use --password-file")
    if password is not None and not parts.username:
        raise UsageError(f"broker {url}: a password needs a user: mqtt://user@host:port")
    tls = parts.scheme == "mqtts"
    if ca is not None and (not tls or not ca.is_file()):
        raise UsageError(f"CA file {ca}: no such file" if tls else f"broker {url}: a CA file needs mqtts://")
    user = unquote(parts.username) if parts.username else None
    return Broker(parts.hostname, port or (8883 if tls else 1883), tls, user, password, ca)
