"""A broker's address as the command line takes it, and a client for it."""

from __future__ import annotations

import ssl

import aiomqtt

from hearth_core.broker import BrokerAddress, parse_broker_url
from hearth_core.errors import ConfigError


def read_broker(url: str) -> BrokerAddress:
    """Read ``mqtt[s]://[user:password@]host:port[?protocol=3.1.1]``.

    Raises:
        ConfigError: It is something else.
    """
    try:
        return parse_broker_url(url)
    except ValueError as error:
        raise ConfigError("command line", "mqtt", url.rpartition("@")[2], str(error)) from error


def new_client(broker: BrokerAddress, identifier: str) -> aiomqtt.Client:
    """Return a fresh client: a used one would send its leftovers again."""
    return aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.password,
        identifier=identifier,
        protocol=aiomqtt.ProtocolVersion(broker.protocol),
        tls_context=ssl.create_default_context() if broker.tls else None,
    )
