"""One home's MQTT 5 connection: packets by the mqtt5 library, sockets by asyncio, nothing in between.

A client library costs several times as much: with 2,000 clients gmqtt 0.8 took 48 us and 20 kB a client for what takes
15 us and 2 kB here (uvloop), replays by itself after a reconnect and cannot break off without a goodbye.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

import mqtt5
from mqtt5 import QoS

KEEPALIVE_S = 20
_QUIET_S = 0.75 * KEEPALIVE_S
_LAST_ID = 65_535
_FIRST_REFUSAL = 0x80


class Owner(Protocol):
    """Who is told what happens on a connection."""

    def on_ready(self, connection: Connection) -> None:
        """The broker has taken connection and subscriptions."""
        ...

    def on_message(self, topic: str, payload: bytes) -> None:
        """A message came down."""
        ...

    def on_taken(self, tag: int) -> None:
        """The broker took a message that was published with this tag."""
        ...

    def on_lost(self, connection: Connection, reason: str) -> None:
        """The connection is gone, or was never made."""
        ...


class Connection(asyncio.Protocol):
    """Used once: connect, subscribe, publish with QoS 1, end."""

    def __init__(
        self,
        owner: Owner,
        now_s: Callable[[], float],
        connect: mqtt5.ConnectPacket,
        subscriptions: list[str],
    ) -> None:
        self._owner, self._now_s = owner, now_s
        self._introduction, self._subscriptions = connect.write(), subscriptions
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._last_id = 0
        self._tags: dict[int, int] = {}  # by packet id: what the broker has not taken yet
        self._most_under_way = 0
        self._finished = False
        self._reason = "closed by the broker"
        self._heard_s = self._spoke_s = now_s()

    @property
    def has_room(self) -> bool:
        """True while the broker's receive maximum allows one more message."""
        return len(self._tags) < self._most_under_way

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce ourselves."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's streams do not inherit from it
        self._write(self._introduction)
        self._introduction = b""

    def data_received(self, data: bytes) -> None:
        """Read the packets that are complete."""
        self._heard_s = self._now_s()
        if self._rest:
            data = self._rest + data
        view, start, end = memoryview(data), 0, len(data)
        try:
            while start < end:
                packet, size = mqtt5.read(view[start:])
                start += size
                self._take(packet)
        except IndexError:
            pass  # the rest of a packet is still on its way
        except ValueError as error:
            self.drop(f"not MQTT 5: {error}")
            return
        self._rest = data[start:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner."""
        self._transport = None
        self._owner.on_lost(self, str(exc) if exc else self._reason)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, tag: int = 0) -> None:
        """Send with QoS 1; the caller asks `has_room` first. The tag comes back when the broker has taken it."""
        packet_id = self._last_id % _LAST_ID + 1
        while packet_id in self._tags:
            packet_id = packet_id % _LAST_ID + 1
        self._last_id = packet_id
        self._tags[packet_id] = tag
        packet = mqtt5.PublishPacket(topic, payload, qos=QoS.AT_LEAST_ONCE, retain=retain, packet_id=packet_id)
        self._write(packet.write())

    def tend(self, now_s: float) -> None:
        """Keep the line alive; drop it when the broker is silent for twice the time it has."""
        if now_s - self._heard_s > 2 * KEEPALIVE_S:
            self.drop("the broker is silent")
        elif now_s - min(self._spoke_s, self._heard_s) >= _QUIET_S:
            self._write(mqtt5.PingReqPacket().write())

    def drop(self, reason: str) -> None:
        """Break the line without a goodbye, so that the broker publishes the will."""
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()

    def goodbye(self) -> None:
        """Say the last word and leave the closing to the broker.

        Closing while an answer is on its way would reset the connection, and the broker might not read this word.
        """
        self._write(mqtt5.DisconnectPacket().write())
        self._finished = True

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._finished and not self._transport.is_closing():
            self._spoke_s = self._now_s()
            self._transport.write(data)

    def _take(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.PubAckPacket):
            tag = self._tags.pop(packet.packet_id, None)
            if tag is not None:
                self._owner.on_taken(tag)
        elif isinstance(packet, mqtt5.PublishPacket):
            if packet.packet_id is not None:
                self._write(mqtt5.PubAckPacket(packet.packet_id).write())
            self._owner.on_message(packet.topic, packet.payload)
        elif isinstance(packet, mqtt5.ConnAckPacket):
            self._take_welcome(packet)
        elif isinstance(packet, mqtt5.SubAckPacket):
            self._take_subscribed(packet)
        elif isinstance(packet, mqtt5.DisconnectPacket):
            self.drop(f"the broker says {packet.reason_code}")

    def _take_welcome(self, packet: mqtt5.ConnAckPacket) -> None:
        if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            self.drop(f"the broker says {packet.reason_code}")
            return
        self._most_under_way = packet.receive_max
        filters = [mqtt5.TopicFilter(one, max_qos=QoS.AT_LEAST_ONCE) for one in self._subscriptions]
        self._last_id = 1
        self._write(mqtt5.SubscribePacket(1, filters).write())

    def _take_subscribed(self, packet: mqtt5.SubAckPacket) -> None:
        if any(int(code) >= _FIRST_REFUSAL for code in packet.reason_codes):
            self.drop("the broker refuses a subscription")
        else:
            self._owner.on_ready(self)
