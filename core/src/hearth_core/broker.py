"""Where the broker is: ``mqtt://user@host:port``, ``mqtts://`` for TLS, ``?protocol=3.1.1`` for older brokers."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_PROTOCOLS = {"5": 5, "3.1.1": 4}


class BrokerAddress(NamedTuple):
    """A parsed broker URL."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: bool
    protocol: int
    """As paho counts them: 5, or 4 for MQTT 3.1.1."""

    def __repr__(self) -> str:
        """Return the address without its secrets."""
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def parse_broker_url(url: str, password: str | None = None) -> BrokerAddress:
    """Parse a broker URL.

    Args:
        url: For example ``mqtt://127.0.0.1:1883?protocol=3.1.1``.
        password: Wins over one in the URL, so that the file needs to hold none.

    Raises:
        ValueError: What is wrong with it, as a remedy.

    Example:
        >>> parse_broker_url("mqtt://hub.example?protocol=3.1.1").port
        1883
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("Use mqtt://host:port or mqtts://host:port")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError as error:
        raise ValueError("The port must be a number from 1 to 65535") from error
    options = parse_qs(parts.query)
    protocol = options.pop("protocol", ["5"])[-1]
    if protocol not in _PROTOCOLS:
        raise ValueError(f"protocol={protocol} is unknown; use 5 or 3.1.1")
    if options:
        raise ValueError(f"{'&'.join(options)} is unknown; the only option is protocol")
    username = unquote(parts.username) if parts.username else None
    secret = password or (unquote(parts.password) if parts.password else None)
    return BrokerAddress(parts.hostname, port, username, secret, parts.scheme == "mqtts", _PROTOCOLS[protocol])
