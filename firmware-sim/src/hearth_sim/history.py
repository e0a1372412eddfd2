"""Publishes the home's past through the ordinary way in, as a well-behaved agent would after a long time offline.

A window of unacknowledged messages is kept on the wire; only the hub's own acknowledgement (after its commit) counts.
The epoch follows from what is sent, so a second run of the same history goes on where the hub stopped, and sending
twice stores once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiomqtt

from hearth_core import topics
from hearth_core.broker import BrokerAddress
from hearth_core.errors import ConfigError, PoisonMessageError, TransientError
from hearth_core.messages import Ack, AgentState, Birth, DeviceBatch, Readings, Status, Tally, decode, encode
from hearth_sim.home import demo_devices, demo_site
from hearth_sim.mqtt import new_client, read_broker
from hearth_sim.past import Past, past_of
from hearth_sim.variation import konstanz_variation

logger = logging.getLogger(__name__)
_INSTANTS_A_MESSAGE = 60  # with every device about as large as an agent's backlog messages
_WINDOW = 16
_WEEK_S = 7 * 86_400


class HubSilentError(TransientError):
    """The hub did not acknowledge anything for too long."""


@dataclass(frozen=True)
class HistoryOrder:
    """Which past is wanted."""

    agent: str
    until_s: float
    weeks: int = 8
    step_s: int = 300
    seed: int = 1

    @property
    def start_s(self) -> float:
        """The first reading's instant [s since 1970 UTC]."""
        return self.until_s - self.weeks * _WEEK_S

    @property
    def epoch(self) -> str:
        """The same for the same history."""
        text = f"history 1 {self.agent} {self.until_s:.0f} {self.weeks} {self.step_s} {self.seed}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Patience:
    """How long to wait for the hub; real seconds."""

    first_ack_s: float = 5.0
    """After this the first messages are sent unasked."""
    resend_s: float = 10.0
    give_up_s: float = 60.0
    reconnect_s: float = 1.0


@dataclass
class _Progress:
    """What the hub has acknowledged, shared by listener and sender."""

    upto: int = -1
    """-1 until the hub has said anything."""
    moved_at_s: float = field(default_factory=time.monotonic)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, ack: Ack) -> None:
        if ack.upto > self.upto:
            self.upto = ack.upto
            self.moved_at_s = time.monotonic()
            self.news.set()


class HistoryPublisher:
    """Sends one past and waits until the hub has stored it."""

    def __init__(
        self, broker: BrokerAddress, order: HistoryOrder, past: Past, say: Callable[[str], None], patience: Patience
    ) -> None:
        self._broker, self._order, self._past, self._say, self._patience = broker, order, past, say, patience
        self._progress = _Progress()
        self._messages = -(-len(past.at_ms) // _INSTANTS_A_MESSAGE)
        self._told_tenth = 0

    @property
    def readings(self) -> int:
        """All readings of all devices."""
        return len(self._past.at_ms) * len(self._past.points)

    async def run(self) -> None:
        """Send everything, reconnecting as often as needed.

        Raises:
            HubSilentError: Nothing was acknowledged for `Patience.give_up_s`.
        """
        reason = "the hub does not acknowledge"
        while self._progress.upto < self._messages:
            self._check_patience(reason)
            try:
                async with new_client(self._broker, f"history-{self._order.agent}-{self._order.epoch[:4]}") as client:
                    await self._converse(client)
            except aiomqtt.MqttError as error:
                reason = f"broker {self._broker.host}:{self._broker.port}: {error}"
                await asyncio.sleep(self._patience.reconnect_s)

    async def _converse(self, client: aiomqtt.Client) -> None:
        agent = self._order.agent
        await client.subscribe(topics.topic(agent, topics.ACK), qos=1)
        await client.publish(topics.topic(agent, topics.BIRTH), encode(self._birth()), qos=1, retain=True)
        listener = asyncio.create_task(self._listen(client))
        try:
            await self._send_all(client)
            await client.publish(topics.topic(agent, topics.STATUS), encode(self._status()), qos=1, retain=True)
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            try:
                ack = decode(bytes(message.payload), Ack)
            except (PoisonMessageError, TypeError) as error:
                logger.warning("not an ack: %s", error)
                continue
            if ack.epoch == self._order.epoch:
                self._progress.take(ack)

    async def _send_all(self, client: aiomqtt.Client) -> None:
        progress, patience = self._progress, self._patience
        await self._news_within(patience.first_ack_s)
        following = max(progress.upto, 0) + 1
        while progress.upto < self._messages:
            while following <= min(self._messages, max(progress.upto, 0) + _WINDOW):
                payload = encode(self._message(following))
                await client.publish(topics.topic(self._order.agent, topics.READINGS), payload, qos=1)
                following += 1
            if await self._news_within(patience.resend_s):
                self._tell()
            else:
                self._check_patience("the hub does not acknowledge")
                following = max(progress.upto, 0) + 1

    async def _news_within(self, seconds: float) -> bool:
        if self._progress.upto >= self._messages:
            return True
        try:
            await asyncio.wait_for(self._progress.news.wait(), seconds)
        except TimeoutError:
            return False
        self._progress.news.clear()
        return True

    def _check_patience(self, reason: str) -> None:
        if time.monotonic() - self._progress.moved_at_s > self._patience.give_up_s:
            stored = max(self._progress.upto, 0)
            raise HubSilentError(
                f"{reason}; {stored} of {self._messages} messages are stored. "
                f"Is hearth-hub running on this broker? Run the same command again to go on."
            )

    def _tell(self) -> None:
        tenth = self._progress.upto * 10 // self._messages
        if tenth > self._told_tenth:
            self._told_tenth = tenth
            self._say(f"history {tenth * 10} % ({self._progress.upto} of {self._messages} messages stored)")

    def _birth(self) -> Birth:
        return Birth(
            session=f"history-{self._order.epoch}",
            at_ms=int(self._order.until_s * 1000),
            epoch=self._order.epoch,
            software="hearth-sim history",
            site=demo_site(),
            devices=demo_devices(),
        )

    def _status(self) -> Status:
        count = len(self._past.at_ms)
        return Status(
            state=AgentState.STOPPED,
            session=f"history-{self._order.epoch}",
            at_ms=int(self._order.until_s * 1000),
            epoch=self._order.epoch,
            last_seq=self._messages,
            tallies=[Tally(device=device, produced=count, spooled=0) for device in self._past.points],
            reason="history is told",
        )

    def _message(self, seq: int) -> Readings:
        part = slice((seq - 1) * _INSTANTS_A_MESSAGE, seq * _INSTANTS_A_MESSAGE)
        at_ms = self._past.at_ms[part]
        produced = (seq - 1) * _INSTANTS_A_MESSAGE + len(at_ms)
        batches = [
            DeviceBatch(
                device=device,
                at_ms=at_ms,
                points={name: values[part] for name, values in columns.items()},
                produced=produced,
            )
            for device, columns in self._past.points.items()
        ]
        return Readings(epoch=self._order.epoch, seq=seq, batches=batches)


async def publish_history(
    mqtt_url: str, order: HistoryOrder, say: Callable[[str], None], patience: Patience | None = None
) -> int:
    """Publish a past and wait until the hub has stored all of it; return the number of readings.

    Raises:
        ConfigError: The URL, the agent's name or the span cannot be used.
        HubSilentError: The hub does not answer.
    """
    broker = read_broker(mqtt_url)
    if not topics.is_name(order.agent):
        raise ConfigError("command line", "agent", order.agent, "Use lower case letters, digits and dashes.")
    past = past_of(konstanz_variation(order.seed), order.start_s, order.until_s, order.step_s)
    publisher = HistoryPublisher(broker, order, past, say, patience or Patience())
    await publisher.run()
    return publisher.readings
