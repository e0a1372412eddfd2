"""What the hub tells homes, signed and retained; told again whenever the broker was away, because brokers forget."""

from __future__ import annotations

import logging
import threading

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hearth_core import topics
from hearth_core.messages import ModelDelivery, Plan
from hearth_core.signing import seal
from hearth_hub.mqtt import Broker

logger = logging.getLogger(__name__)


class Publisher:
    """Publishes plans, models and wishes; `must_repeat` tells when everything has to be told again."""

    def __init__(self, broker: Broker, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._mqtt = broker.client("worker")
        self._mqtt.on_connect = self._connected
        self._new_connection = threading.Event()

    def start(self) -> None:
        """Connect, now and whenever the connection is lost."""
        self._mqtt.loop_start()

    def stop(self) -> None:
        """Disconnect."""
        self._mqtt.disconnect()
        self._mqtt.loop_stop()

    def must_repeat(self) -> bool:
        """Tell once after each new connection that the broker may have forgotten what is retained."""
        if self._new_connection.is_set():
            self._new_connection.clear()
            return True
        return False

    def plan(self, plan: Plan) -> None:
        """Publish a plan."""
        self._publish(topics.topic(plan.home, topics.PLAN), plan)

    def model(self, delivery: ModelDelivery) -> None:
        """Publish a model."""
        self._publish(topics.topic(delivery.home, topics.MODEL, delivery.card.target), delivery)

    def wish(self, agent: str, kind: str, target: str, message: msgspec.Struct | None) -> bool:
        """Publish a wish, or with None clear the one that is retained; tell whether the broker could be told."""
        return self._publish(topics.topic(agent, kind, target), message)

    def _publish(self, topic: str, message: msgspec.Struct | None) -> bool:
        if not self._mqtt.is_connected():
            return False  # it is told on the next connection, from the database
        self._mqtt.publish(topic, b"" if message is None else seal(message, self._key), qos=1, retain=True)
        return True

    def _connected(self, _: Client, __: object, ___: ConnectFlags, reason: ReasonCode, ____: Properties | None) -> None:
        if reason.is_failure:
            logger.error("the broker refuses the hub: %s", reason)
            return
        self._new_connection.set()
        logger.info("connected to the broker")
