"""Keeps the agent connected: a new client for every connection, a jittered pause between them. Blocks nobody."""

from __future__ import annotations

import asyncio
import logging
import random

import aiomqtt

from hearth_agent.events import EventLog
from hearth_agent.spool.spool import Spool
from hearth_agent.uplink.outbox import Outbox
from hearth_agent.uplink.session import Listener, Session, Voice, make_client
from hearth_core.broker import BrokerAddress
from hearth_core.clock import Clock, now_ms
from hearth_core.messages import AgentState, Status, encode

logger = logging.getLogger(__name__)

# at least half a pause passes between two attempts, so never more than one a second
_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 30.0
LAST_WORDS_S = 3.0


class Uplink:
    """The agent's line to its hub."""

    def __init__(
        self,
        broker: BrokerAddress,
        agent: str,
        session_id: str,
        spool: Spool,
        outbox: Outbox,
        events: EventLog,
        voice: Voice,
        listener: Listener,
        clock: Clock,
    ) -> None:
        self._broker, self._agent, self._session_id = broker, agent, session_id
        self._spool, self._outbox, self._events = spool, outbox, events
        self._voice, self._listener, self._clock = voice, listener, clock
        self._session: Session | None = None

    async def run(self) -> None:
        """Connect, speak until the line breaks, wait, and again, for ever."""
        pause_s = _FIRST_PAUSE_S
        told = False
        while True:
            connected = False
            try:
                async with self._connect() as client:
                    connected = True
                    if told:
                        self._events.info("hub_back", f"connected to {self._broker} again")
                    pause_s, told = _FIRST_PAUSE_S, False
                    await self._speak(client)
            except* aiomqtt.MqttError as group:
                if not told:
                    logger.warning("broker %s: %s", self._broker, _reason(group))
                told = True
            pause_s = _FIRST_PAUSE_S if connected else min(2 * pause_s, _LONGEST_PAUSE_S)
            # jitter, so that a street does not knock at once when its hub comes back
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311

    def _connect(self) -> aiomqtt.Client:
        will = Status(
            state=AgentState.LOST,
            session=self._session_id,
            at_ms=max(0, now_ms(self._clock)),
            epoch=self._spool.epoch or None,
            last_seq=self._spool.last_seq,
        )
        return make_client(self._broker, self._agent, self._session_id, encode(will))

    async def _speak(self, client: aiomqtt.Client) -> None:
        if not await self._spool.open():
            return  # without a spool there is nothing to say; it is tried again with the next connection
        session = Session(
            client, self._agent, self._spool, self._outbox, self._events, self._voice, self._listener, self._clock
        )
        self._session = session
        try:
            await session.run()
        finally:
            self._session = None

    async def finish(self) -> None:
        """Deliver what is left for a few real seconds, then say goodbye."""
        session = self._session
        if session is None:
            return
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await session.drained()
        except TimeoutError:
            logger.info("records %d..%d wait for the next start", self._spool.acked + 1, self._spool.last_seq)
        try:
            async with asyncio.timeout(1.0):
                session.close()
                await session.say(AgentState.STOPPED)
        except (TimeoutError, aiomqtt.MqttError) as error:
            logger.info("could not say goodbye: %s", error)


def _reason(group: BaseExceptionGroup[aiomqtt.MqttError]) -> str:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first)
