"""The ingest process: takes messages from the broker, stores them, and only then acknowledges."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence

import psycopg
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hearth_core import topics
from hearth_core.clock import Clock
from hearth_core.messages import Ack, encode
from hearth_hub.ingest.intake import Intake, readings_of
from hearth_hub.ingest.records import MOST_BYTES
from hearth_hub.ingest.service import Incoming, Ingest, Opened, agent_of, open_message
from hearth_hub.mqtt import RECEIVE_MAXIMUM, Broker

logger = logging.getLogger(__name__)

_RETAINED = (topics.BIRTH, topics.STATUS, topics.FORECAST, topics.EVENT)
# A commit costs nearly as much for one record as for fifty. So the wait for company is a multiple of what the last
# one took: a small hub answers in milliseconds, a larger one is busy for a tenth of the time until it is large indeed.
_WAIT_PER_COMMIT = 9.0
_LONGEST_WAIT_S = 0.2
# A batch with so many readings is worth its commit, and its senders wait for the answer to send more: the next batch
# waits only until what they send upon it is here.
_BACKLOG_READINGS = 500
_BACKLOG_WAIT_S = 0.02
# While one half of what the broker may send unacknowledged is stored, the other half is read.
_MOST_MESSAGES = RECEIVE_MAXIMUM // 2
_LONGEST_BACK_OFF_S = 5.0
# One thread reads messages, the other feeds the database; at Python's usual 5 ms the database would wait for its turn
# with every piece it is given.
_SWITCH_S = 0.0001
_SEND_BYTES = 2 * 1024 * 1024
_COMPLAIN_S = 60.0
_MOST_COMPLAINTS = 1000
_LOOK_S = 0.5  # how often an idle process looks whether it shall stop


class IngestProcess:
    """Broker on one side, database on the other; either may vanish and return."""

    def __init__(self, database_url: str, broker: Broker, clock: Clock) -> None:
        self._database_url = database_url
        self._clock = clock
        self._intake = Intake(_MOST_MESSAGES)
        self._stopping = threading.Event()
        self._connections = 0
        self._mqtt = broker.client("ingest", manual_ack=True)
        self._shared = broker.protocol is MQTTProtocolVersion.MQTTv5
        self._mqtt.on_connect = self._subscribe
        self._mqtt.on_disconnect = self._lost
        self._mqtt.on_message = self._take
        self._due_s = 0.0
        self._complaints = _Complaints()

    def stop(self) -> None:
        """Let `run` return; may be called from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Work until stopped."""
        sys.setswitchinterval(_SWITCH_S)
        self._mqtt.loop_start()
        try:
            while not self._stopping.is_set():
                self._work_with_database()
        finally:
            self._intake.close()
            self._mqtt.disconnect()
            self._mqtt.loop_stop()

    def _work_with_database(self) -> None:
        """Store until stopped; waits for a database that is not there, holding what was not stored."""
        held: list[Opened] = []
        back_off_s = 0.1
        told = False
        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._database_url, autocommit=True, connect_timeout=5) as connection:
                    if told:
                        logger.info("the database is back")
                    told, back_off_s = False, 0.1
                    _widen(connection.fileno())
                    ingest = Ingest(connection, self._clock)
                    while not self._stopping.is_set():
                        held = held or self._intake.take(_LOOK_S, self._due_s)
                        if held:
                            self._store(ingest, held)
                            held = []
            except psycopg.OperationalError as error:
                if not told:
                    logger.warning("the database is gone, waiting for it: %s", str(error).strip())
                told = True
                self._stopping.wait(back_off_s)
                back_off_s = min(2 * back_off_s, _LONGEST_BACK_OFF_S)

    def _store(self, ingest: Ingest, messages: Sequence[Opened]) -> None:
        began_s = time.monotonic()
        self._acknowledge(messages, ingest.store(messages))
        done_s = time.monotonic()
        is_backlog = sum(readings_of(message) for message in messages) >= _BACKLOG_READINGS
        longest_s = _BACKLOG_WAIT_S if is_backlog else _LONGEST_WAIT_S
        self._due_s = done_s + min(_WAIT_PER_COMMIT * (done_s - began_s), longest_s)

    def _acknowledge(self, messages: Sequence[Opened], acks: Mapping[str, Sequence[Ack]]) -> None:
        """Tell the broker that it may forget the messages, and the agents that their readings are safe."""
        for message in messages:
            if message.incoming.connection == self._connections:
                self._release(message.incoming.mid)
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
        agent = agent_of(message.topic)
        if self._intake.has_room(agent):
            payload = bytes(message.payload[: MOST_BYTES + 1])  # one byte too many tells that it is too large
            incoming = Incoming(message.topic, payload, message.mid, self._connections)
            self._intake.put(open_message(incoming, self._clock))
        else:
            self._complaints.tell(agent)
            self._release(message.mid)  # it is not stored, so its agent is told nothing and sends it again

    def _release(self, mid: int) -> None:
        """Tell the broker that it may forget a message; one of QoS 0 has no number, and naming one ends the session."""
        if mid:
            self._mqtt.ack(mid, 1)


def _widen(database: int) -> None:
    """Let what is written to a socket wait in the kernel, so that the database has work while we read messages."""
    with socket.fromfd(database, socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)


class _Complaints:
    """Says which home sends too much, once a minute each, and never of more homes than a log can bear."""

    def __init__(self) -> None:
        self._said_s: dict[str, float] = {}

    def tell(self, agent: str) -> None:
        """Log it, unless that was done a moment ago."""
        now_s = time.monotonic()
        if now_s - self._said_s.get(agent, -_COMPLAIN_S) < _COMPLAIN_S:
            return
        if len(self._said_s) >= _MOST_COMPLAINTS:
            self._said_s.clear()
        self._said_s[agent] = now_s
        logger.warning("a home sends more than its share; what is beyond it is let go", extra={"home": agent})


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
