"""One connection to the broker: announce, listen, and send until it breaks.

PUBACK means nothing here: a record is done with when the hub's `Ack` says so. The birth asks where to resume, and no
reading is sent before the answer: it shows what the hub lacks, and whether this file is older than what the hub has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiomqtt

from hearth_agent.events import EventLog
from hearth_agent.spool.merge import MAX_BYTES, Record
from hearth_agent.spool.spool import Spool
from hearth_agent.uplink.outbox import Outbox
from hearth_agent.uplink.window import SILENCE_S, Window, next_size
from hearth_core import topics
from hearth_core.broker import BrokerAddress
from hearth_core.clock import Clock
from hearth_core.errors import PoisonMessageError
from hearth_core.messages import Ack, AgentState, Birth, Status, decode, encode

logger = logging.getLogger(__name__)

# a thin line is slow but not broken: what is published may have to wait behind a message of the backlog
_OPERATION_S = 15.0
_DELIVERY_S = 60.0
_ASK_AGAIN_S = 5.0
_KEEPALIVE_S = 20
_LOOK_S = 1.0
_PAUSE_S = 0.1
_STATUS_EVERY_S = 60.0
_MOST_UNDER_WAY = 20


class Voice(Protocol):
    """What the agent says of itself, asked for by the session."""

    def birth(self) -> Birth:
        """Return the birth certificate of the present epoch."""
        ...

    async def status(self, state: AgentState) -> Status:
        """Return the present status."""
        ...

    def mood(self) -> str:
        """Return a text that changes when the status is worth repeating before its time."""
        ...


Listener = Callable[[str, bytes], Awaitable[None]]


class Session:
    """Speaks and listens over one aiomqtt client, which is used once and thrown away."""

    def __init__(
        self,
        client: aiomqtt.Client,
        agent: str,
        spool: Spool,
        outbox: Outbox,
        events: EventLog,
        voice: Voice,
        listener: Listener,
        clock: Clock,
    ) -> None:
        self._client, self._agent, self._spool, self._outbox = client, agent, spool, outbox
        self._events, self._voice, self._listener, self._clock = events, voice, listener, clock
        self._epoch = spool.epoch
        self._heard = asyncio.Event()
        self._closed = False
        self._window = Window(spool.acked, time.monotonic())
        self._answered = False
        self._asked_s = 0.0
        self._patience_s = _ASK_AGAIN_S
        self._max_bytes = MAX_BYTES

    async def run(self) -> None:
        """Announce the agent, then send and listen until the connection breaks (`aiomqtt.MqttError`)."""
        async with asyncio.TaskGroup() as group:
            # the listener is the first to learn that the line broke, and ends the others
            group.create_task(self._listen(), name="uplink listen")
            for topic in topics.downward(self._agent):
                await self._client.subscribe(topic, qos=1)
            await self._announce()
            group.create_task(self._send(), name="uplink send")
            group.create_task(self._tell(), name="uplink tell")

    async def _announce(self) -> None:
        self._epoch = self._spool.epoch
        self._answered, self._asked_s = False, time.monotonic()
        await self._publish(topics.BIRTH, encode(self._voice.birth()), retain=True)
        await self.say(AgentState.ONLINE)

    async def say(self, state: AgentState) -> None:
        """Publish the status."""
        status = await self._voice.status(state)
        if self._closed and state is AgentState.ONLINE:
            return  # goodbye was said meanwhile
        await self._publish(topics.STATUS, encode(status), retain=True)

    async def _publish(self, part: str, payload: bytes, *, retain: bool) -> None:
        topic = topics.topic(self._agent, part)
        await self._client.publish(topic, payload, qos=1, retain=retain, timeout=_DELIVERY_S)

    async def _listen(self) -> None:
        prefix = topics.topic(self._agent, "")
        async for message in self._client.messages:
            part = message.topic.value.removeprefix(prefix)
            payload = message.payload if isinstance(message.payload, bytes) else b""
            if part == topics.ACK:
                await self._heed(payload)
            else:
                await self._listener(part, payload)

    async def _heed(self, payload: bytes) -> None:
        try:
            ack = decode(payload, Ack)
        except PoisonMessageError as error:
            logger.warning("an acknowledgement that is none: %s", error)
            return
        if ack.epoch != self._spool.epoch:
            return
        await self._spool.acknowledge(ack.upto, ack.ahead)
        if ack.epoch == self._spool.epoch == self._epoch:  # else the hub was ahead and a new epoch began
            if not self._answered:
                self._answered, self._window = True, Window(ack.upto, time.monotonic())
                self._patience_s = _ASK_AGAIN_S
            self._window.acknowledge(ack.upto, time.monotonic())
        self._heard.set()
        self._spool.grown.set()

    async def _send(self) -> None:
        """Send records while there are some and the window has room."""
        while not self._closed:
            self._spool.grown.clear()
            if self._spool.epoch != self._epoch:
                await self._announce()
            elif not self._answered and time.monotonic() - self._asked_s >= self._patience_s:
                self._patience_s = min(2 * self._patience_s, SILENCE_S)
                await self._announce()
            if self._window.heed_silence(time.monotonic()):
                logger.warning("no answer from the hub: sending again from %d", self._window.cursor)
            if not self._answered or not await self._send_some():
                await self._wait()

    async def _send_some(self) -> bool:
        """Send the newest record if nobody has it yet, and one message of the backlog; tell whether there was any."""
        window, last_seq = self._window, self._spool.last_seq
        sent = False
        if window.wants_live(last_seq):
            for record in await self._spool.fetch(last_seq, 1):
                window.sent_live(record, time.monotonic())
                await self._publish(topics.READINGS, record.payload, retain=False)
                sent = True
        cursor, count = window.cursor, window.backlog(last_seq)
        if count:
            for record in await self._spool.fetch(cursor, count, self._max_bytes):
                sent = True
                if self._window is window and window.cursor == cursor:  # else the hub's word moved it meanwhile
                    await self._publish_backlog(record)
        return sent

    async def _publish_backlog(self, record: Record) -> None:
        started_s = time.monotonic()
        self._window.sent_backlog(record, started_s)
        await self._publish(topics.READINGS, record.payload, retain=False)
        self._max_bytes = next_size(self._max_bytes, time.monotonic() - started_s)

    async def _wait(self) -> None:
        """Wait until there is a record or an answer, or it is time to look after silence."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._spool.grown.wait()

    async def _tell(self) -> None:
        """Repeat the status each minute of the clock and when the mood changes; tell events and forecasts."""
        said_s, mood = self._clock.monotonic(), self._voice.mood()
        while not self._closed:
            while (message := self._outbox.take()) is not None:
                await self._deliver(*message)
            while (event := self._events.first()) is not None:
                await self._publish(topics.EVENT, encode(event), retain=False)
                self._events.told(event)
            if self._clock.monotonic() - said_s >= _STATUS_EVERY_S or self._voice.mood() != mood:
                said_s, mood = self._clock.monotonic(), self._voice.mood()
                await self.say(AgentState.ONLINE)
            await asyncio.sleep(_PAUSE_S)

    async def _deliver(self, part: str, payload: bytes) -> None:
        try:
            await self._publish(part, payload, retain=True)
        except aiomqtt.MqttError:
            self._outbox.put_back(part, payload)
            raise

    def close(self) -> None:
        """Let the sending tasks end by themselves: a cancellation could be swallowed by a publish that just ended."""
        self._closed = True
        self._spool.grown.set()

    async def drained(self) -> None:
        """Wait until the hub has every record."""
        while self._spool.acked < self._spool.last_seq:
            self._heard.clear()
            await self._heard.wait()


def make_client(broker: BrokerAddress, agent: str, session: str, will: bytes) -> aiomqtt.Client:
    """Return a fresh client whose last will is the lost status."""
    return aiomqtt.Client(
        broker.host,
        broker.port,
        identifier=f"hearth-{agent}-{session[:8]}",
        username=broker.username,
        password=broker.password,
        protocol=aiomqtt.ProtocolVersion(broker.protocol),
        will=aiomqtt.Will(topics.topic(agent, topics.STATUS), will, qos=1, retain=True),
        timeout=_OPERATION_S,
        keepalive=_KEEPALIVE_S,
        tls_params=aiomqtt.TLSParameters() if broker.tls else None,
        max_inflight_messages=_MOST_UNDER_WAY,
    )
