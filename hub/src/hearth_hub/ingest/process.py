"""The ingest process: takes messages from the broker, stores them, and only then acknowledges."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Sequence

import psycopg
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hearth_core import topics
from hearth_core.clock import Clock
from hearth_core.messages import Ack, encode
from hearth_hub.ingest.service import Incoming, Ingest
from hearth_hub.mqtt import Broker

logger = logging.getLogger(__name__)

_RETAINED = (topics.BIRTH, topics.STATUS, topics.FORECAST, topics.EVENT)
# A commit costs about as much for one record as for fifty, so there are at most 20 of them a second; the first
# message after a quiet time does not wait.
_BETWEEN_COMMITS_S = 0.05
_MOST_MESSAGES = 100
_MOST_WAITING = 1000
_LONGEST_BACK_OFF_S = 5.0
_LOOK_S = 0.5  # how often an idle process looks whether it shall stop


class IngestProcess:
    """Broker on one side, database on the other; either may vanish and return."""

    def __init__(self, database_url: str, broker: Broker, clock: Clock) -> None:
        self._database_url = database_url
        self._clock = clock
        self._waiting: queue.Queue[Incoming] = queue.Queue(_MOST_WAITING)
        self._stopping = threading.Event()
        self._connections = 0
        self._mqtt = broker.client("ingest", manual_ack=True)
        self._shared = broker.protocol is MQTTProtocolVersion.MQTTv5
        self._mqtt.on_connect = self._subscribe
        self._mqtt.on_disconnect = self._lost
        self._mqtt.on_message = self._take
        self._last_commit_s = 0.0

    def stop(self) -> None:
        """Let `run` return; may be called from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Work until stopped."""
        self._mqtt.loop_start()
        try:
            while not self._stopping.is_set():
                self._work_with_database()
        finally:
            self._mqtt.disconnect()
            self._mqtt.loop_stop()

    def _work_with_database(self) -> None:
        """Store until stopped; waits for a database that is not there, holding what was not stored."""
        held: list[Incoming] = []
        back_off_s = 0.1
        told = False
        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._database_url, autocommit=True, connect_timeout=5) as connection:
                    if told:
                        logger.info("the database is back")
                    told, back_off_s = False, 0.1
                    ingest = Ingest(connection, self._clock)
                    while not self._stopping.is_set():
                        held = held or self._collect()
                        if held:
                            self._acknowledge(held, ingest.store(held))
                            held = []
            except psycopg.OperationalError as error:
                if not told:
                    logger.warning("the database is gone, waiting for it: %s", str(error).strip())
                told = True
                self._stopping.wait(back_off_s)
                back_off_s = min(2 * back_off_s, _LONGEST_BACK_OFF_S)

    def _collect(self) -> list[Incoming]:
        """Wait for a message, then take what comes until the next commit is due."""
        try:
            messages = [self._waiting.get(timeout=_LOOK_S)]
        except queue.Empty:
            return []
        due_s = self._last_commit_s + _BETWEEN_COMMITS_S
        with contextlib.suppress(queue.Empty):
            while len(messages) < _MOST_MESSAGES:
                left_s = due_s - time.monotonic()
                messages.append(self._waiting.get(timeout=left_s) if left_s > 0 else self._waiting.get_nowait())
        self._last_commit_s = time.monotonic()
        return messages

    def _acknowledge(self, messages: Sequence[Incoming], acks: dict[str, list[Ack]]) -> None:
        """Tell the broker that it may forget the messages, and the agents that their readings are safe."""
        for message in messages:
            if message.connection == self._connections:
                self._mqtt.ack(message.mid, 1)
        if not self._mqtt.is_connected():
            return  # agents ask again by sending again
        for agent, told in acks.items():
            for ack in told:
                self._mqtt.publish(topics.topic(agent, topics.ACK), encode(ack), qos=1)

    def _subscribe(
        self, client: Client, _: object, __: ConnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if reason.is_failure:
            logger.error("the broker refuses the hub: %s", reason)
            return
        self._connections += 1
        client.subscribe(_subscriptions(shared=self._shared))
        logger.info("connected to the broker")

    def _lost(self, _: Client, __: object, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None) -> None:
        if not self._stopping.is_set():
            logger.warning("the broker is gone, trying again: %s", reason)

    def _take(self, _: Client, __: object, message: MQTTMessage) -> None:
        incoming = Incoming(message.topic, bytes(message.payload), message.mid, self._connections)
        while not self._stopping.is_set():
            try:
                self._waiting.put(incoming, timeout=_LOOK_S)
            except queue.Full:
                continue
            return


def _subscriptions(*, shared: bool) -> list[tuple[str, int]]:
    """Return what is subscribed to.

    Any of several ingest processes may take a record. Shared subscriptions are MQTT 5: an older broker may grant one as
    if it were an ordinary topic and then deliver nothing, so there one process takes every record. What is retained
    cannot be shared, and is harmless twice.
    """
    readings = f"hearth/+/{topics.READINGS}"
    if shared:
        readings = f"$share/{topics.INGEST_GROUP}/{readings}"
    return [(readings, 1), *((f"hearth/+/{what}", 1) for what in _RETAINED)]
