"""Listens at the broker beside everybody else, and remembers what was said when."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from tests.faults.processes import FaultsError

from hearth_core.messages import Ack, Readings, decode

_PATIENCE_S = 10.0


class Heard(NamedTuple):
    """A record or an acknowledgement on the wire."""

    at_s: float
    """Since 1970."""
    agent: str
    epoch: str
    upto: int
    """Its highest sequence number."""


class Ear:
    """A client that subscribes to every home's readings and acknowledgements."""

    def __init__(self, port: int) -> None:
        self.readings: list[Heard] = []
        self.acks: list[Heard] = []
        self._port = port
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe([("hearth/+/readings", 0), ("hearth/+/ack", 0)])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._hear

    def __enter__(self) -> Ear:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        if not self._subscribed.wait(_PATIENCE_S):
            raise FaultsError("the ear could not subscribe")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _: Client, __: Any, message: MQTTMessage) -> None:
        agent, what = message.topic.split("/")[1:3]
        if what == "ack":
            ack = decode(bytes(message.payload), Ack)
            self.acks.append(Heard(time.time(), agent, ack.epoch, ack.upto))
        else:
            record = decode(bytes(message.payload), Readings)
            self.readings.append(Heard(time.time(), agent, record.epoch, record.last_seq))

    def acked(self) -> dict[tuple[str, str], int]:
        """Return by (agent, epoch) how far the hub has said that readings are safe."""
        far: dict[tuple[str, str], int] = {}
        for ack in list(self.acks):
            far[ack.agent, ack.epoch] = max(ack.upto, far.get((ack.agent, ack.epoch), 0))
        return far

    def newest_sent(self, agent: str, before_s: float) -> int:
        """Return the highest sequence number an agent had sent before an instant."""
        return max((one.upto for one in list(self.readings) if one.agent == agent and one.at_s <= before_s), default=0)

    def sent(self, since_s: float, until_s: float) -> int:
        """Return how many messages with readings were heard in a span."""
        return sum(since_s <= one.at_s <= until_s for one in list(self.readings))
