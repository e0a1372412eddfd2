"""A broker's address as the command line takes it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

import aiomqtt

from hearth_core.errors import ConfigError

_PROTOCOLS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}


@dataclass(frozen=True)
class Broker:
    """Where and how to connect."""

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    protocol: aiomqtt.ProtocolVersion
    encrypted: bool

    @classmethod
    def from_url(cls, url: str) -> Broker:
        """Read ``mqtt[s]://[user:password@]host:port[?protocol=3.1.1]``.

        Raises:
            ConfigError: It is something else.
        """
        remedy = "Write mqtt://host:port, with ?protocol=3.1.1 for a broker without MQTT 5."
        shown = url.rpartition("@")[2]
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError("command line", "mqtt", shown, remedy) from error
        options = parse_qs(parts.query, keep_blank_values=True)
        protocol = _PROTOCOLS.get(options.pop("protocol", ["5"])[-1])
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or protocol is None or options:
            raise ConfigError("command line", "mqtt", shown, remedy)
        encrypted = parts.scheme == "mqtts"
        name = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        return cls(parts.hostname, port or (8883 if encrypted else 1883), name, password, protocol, encrypted)

    def client(self, identifier: str) -> aiomqtt.Client:
        """Return a fresh client: a used one would send its leftovers again."""
        return aiomqtt.Client(
            self.host,
            self.port,
            username=self.username,
            password=self.password,
            identifier=identifier,
            protocol=self.protocol,
            tls_context=ssl.create_default_context() if self.encrypted else None,
        )
