"""The hub's MQTT client: one connection that comes back by itself, in the protocol the broker speaks."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from hearth_core.broker import parse_broker_url

_KEEPALIVE_S = 30
RECEIVE_MAXIMUM = 500
"""How many messages the broker may send before we acknowledge."""
_LONGEST_RECONNECT_S = 10
_MAX_QUEUED_OUT = 1000


@dataclass(frozen=True)
class Broker:
    """Where the broker is and what it speaks."""

    host: str
    port: int
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5
    username: str | None = None
    password: str | None = None
    tls: bool = False

    @classmethod
    def from_url(cls, url: str) -> Broker:
        """Read ``mqtt[s]://[user:password@]host[:port][?protocol=3.1.1]``.

        Raises:
            ValueError: It is not such an address.
        """
        found = parse_broker_url(url)
        protocol = MQTTProtocolVersion(found.protocol)
        return cls(found.host, found.port, protocol, found.username, found.password, found.tls)

    def client(self, role: str, *, manual_ack: bool = False) -> Client:
        """Return a client that connects once its loop is started, and again whenever it was cut off.

        Its session is clean: nothing here relies on what a broker remembers.
        """
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"hearth-hub-{role}-{secrets.token_hex(4)}",
            protocol=self.protocol,
            manual_ack=manual_ack,
        )
        client.reconnect_delay_set(min_delay=1, max_delay=_LONGEST_RECONNECT_S)
        client.max_queued_messages_set(_MAX_QUEUED_OUT)
        client.max_inflight_messages_set(_MAX_QUEUED_OUT)
        if self.tls:
            client.tls_set()
        if self.username:
            client.username_pw_set(self.username, self.password)
        properties = None
        if self.protocol is MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no annotation here
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
        client.connect_async(self.host, self.port, keepalive=_KEEPALIVE_S, properties=properties)
        return client
