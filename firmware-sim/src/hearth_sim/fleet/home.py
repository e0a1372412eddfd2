"""One home of the fleet: samples, speaks and listens as an agent does, over the connection it has at the moment."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import mqtt5
import msgspec

from hearth_core import topics
from hearth_core.broker import BrokerAddress
from hearth_core.messages import Ack, AgentState, Birth, DeviceInfo, Status, Tally, encode
from hearth_core.points import DeviceKind
from hearth_core.site import Site
from hearth_sim.fleet.connection import KEEPALIVE_S, Connection
from hearth_sim.fleet.figures import Figures
from hearth_sim.fleet.settings import FleetSettings
from hearth_sim.fleet.story import DEVICE, Story
from hearth_sim.fleet.values import SERIES, Variant
from hearth_sim.fleet.window import Cut, Window
from hearth_sim.home import demo_site

logger = logging.getLogger(__name__)

STATUS_EVERY_S = 60.0
_ACKS = msgspec.json.Decoder(Ack)


@dataclass(frozen=True)
class Circumstances:
    """What all homes of a fleet share."""

    settings: FleetSettings
    broker: BrokerAddress
    figures: Figures
    session: str
    began_ms: int
    """Homes sample at this instant plus their share of the interval, and every interval from then on."""
    lost: Callable[[Home, str, bool], None]
    """Told why a home's connection is gone, and whether it had been ready."""
    ready: Callable[[Home], None]
    """Told when a home is connected."""
    site: Site = field(default_factory=demo_site)


class Home:
    """An agent with one inverter; everything it measured follows from how often it has sampled."""

    __slots__ = (
        "_counted_from",
        "_draining",
        "_epoch",
        "_shared",
        "_status_s",
        "_story",
        "_variant",
        "agent",
        "connection",
        "index",
        "window",
    )

    def __init__(self, index: int, variant: Variant, shared: Circumstances) -> None:
        settings = shared.settings
        self.index, self._variant, self._shared = index, variant, shared
        self.agent = f"{settings.name}-{index + 1:05d}"
        self._epoch = hashlib.sha256(f"{shared.session} {self.agent}".encode()).hexdigest()[:16]
        self._story: Story | None = None
        self.window = Window(settings.backlog_records)
        self._draining = settings.backlog_records > 0  # until the history that waited is acknowledged
        self._counted_from = 1
        self._status_s = 0.0
        self.connection: Connection | None = None
        """None while there is none that may be spoken over."""

    def new_connection(self) -> Connection:
        """Return what an event loop shall connect."""
        broker = self._shared.broker
        connect = mqtt5.ConnectPacket(
            f"hearth-{self.agent}-{self._shared.session[:8]}",
            username=broker.username,
            password=None if broker.password is None else broker.password.encode(),
            clean_start=True,
            keep_alive=KEEPALIVE_S,
            will=mqtt5.Will(
                topics.topic(self.agent, topics.STATUS),
                payload=encode(self._status(AgentState.LOST)),
                qos=mqtt5.QoS.AT_LEAST_ONCE,
                retain=True,
            ),
        )
        return Connection(self, time.monotonic, connect, list(topics.downward(self.agent)))

    def sample(self, at_ms: int) -> None:
        """Measure, and send it at once where that is possible; a home that was never connected does not run yet."""
        story, window = self._story, self.window
        if story is None or at_ms < story.at_ms(window.produced + 1):
            return
        window.produced += 1
        self._shared.figures.produced += 1
        now_s = time.monotonic()
        if self.connection is None or not self.connection.has_room:
            return
        if window.take_newest(now_s):
            self._send(Cut(window.produced, window.produced), tag=at_ms if self._draining else 0)
        if now_s - self._status_s >= STATUS_EVERY_S:
            self._tell(AgentState.ONLINE)

    def tend(self, now_s: float) -> None:
        """Look after the line and after a hub that does not answer."""
        if self.connection is None:
            return
        if self.window.is_silent(now_s):
            self.window.restart(now_s)
        self._drain()
        if self.connection is not None:
            self.connection.tend(now_s)

    def leave(self) -> None:
        """Say goodbye."""
        if self.connection is not None:
            if self.connection.has_room:
                self._tell(AgentState.STOPPED)
            self.connection.goodbye()

    def on_ready(self, connection: Connection) -> None:
        """Announce the home and begin to send what waits."""
        self.connection = connection
        if self._story is None:
            self._begin()
        self._publish(topics.BIRTH, encode(self._birth()), retain=True)
        self._tell(AgentState.ONLINE)
        # real agents did not start in the same minute: the first repetition comes earlier
        self._status_s -= STATUS_EVERY_S * self.index / self._shared.settings.homes
        self.window.restart(time.monotonic())
        self._shared.ready(self)
        self._drain()

    def on_taken(self, tag: int) -> None:
        """Note how a live reading fares beside backlog."""
        if tag:
            self._shared.figures.note_live_lag(time.time() * 1000 - tag)
        self._drain()

    def on_message(self, topic: str, payload: bytes) -> None:
        """Heed acknowledgements; plans and models are taken and forgotten."""
        if not topic.endswith("/ack"):
            return
        try:
            ack = _ACKS.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            logger.warning("%s: an acknowledgement that is none: %s", self.agent, error)
            return
        if ack.epoch == self._epoch:
            self._heed(ack.upto)

    def on_lost(self, connection: Connection, reason: str) -> None:
        """Do without until there is another connection."""
        was_ready = self.connection is connection
        if was_ready:
            self.connection = None
        self._shared.lost(self, reason, was_ready)

    def _heed(self, upto: int) -> None:
        window, figures = self.window, self._shared.figures
        before = window.acked
        window.acknowledge(upto, time.monotonic())
        figures.acknowledged += window.acked - before
        if self._draining:
            if window.acked >= self._shared.settings.backlog_records:
                self._draining = False
                self._counted_from = window.produced + 1
                figures.note_drained()
        elif self._story is not None and window.acked > before:
            now_ms = time.time() * 1000
            for seq in range(max(before + 1, self._counted_from), window.acked + 1):
                figures.note_latency(self._story.at_ms(seq), now_ms)
        self._drain()

    def _begin(self) -> None:
        """Live from the next instant of this home's phase on, with the history before it in the spool."""
        settings, window = self._shared.settings, self.window
        phase_ms = self._shared.began_ms + self.index * settings.interval_ms // settings.homes
        passed = (int(time.time() * 1000) - phase_ms) // settings.interval_ms
        first_ms = phase_ms + (passed + 1 - window.produced) * settings.interval_ms
        self._story = Story(self._epoch, self._variant, first_ms, settings.interval_ms, settings.series)
        self._shared.figures.produced += window.produced

    def _drain(self) -> None:
        window = self.window
        while window.waiting and self._story is not None and self.connection is not None and self.connection.has_room:
            cut = self._story.fitting(window.next_cut())
            self._shared.figures.resent += window.take(cut, time.monotonic())
            self._send(cut)

    def _send(self, cut: Cut, tag: int = 0) -> None:
        assert self._story is not None  # noqa: S101  a record was sampled
        self._shared.figures.readings_sent += cut.last - cut.first + 1
        self._publish(topics.READINGS, self._story.message(cut), tag=tag)

    def _birth(self) -> Birth:
        settings = self._shared.settings
        inverter = DeviceInfo(
            id=DEVICE,
            kind=DeviceKind.HYBRID_INVERTER,
            profile="sunspec-hybrid",
            manufacturer="Hearth",
            model="Fleet",
            points=list(SERIES[: settings.series]),
        )
        return Birth(
            session=self._shared.session,
            at_ms=int(time.time() * 1000),
            epoch=self._epoch,
            software="hearth-sim fleet",
            site=self._shared.site,
            devices=[inverter],
        )

    def _status(self, state: AgentState) -> Status:
        produced = self.window.produced
        return Status(
            state=state,
            session=self._shared.session,
            at_ms=int(time.time() * 1000),
            epoch=self._epoch,
            last_seq=produced,
            tallies=[Tally(device=DEVICE, produced=produced, spooled=produced - self.window.acked)],
        )

    def _tell(self, state: AgentState) -> None:
        self._status_s = time.monotonic()
        self._publish(topics.STATUS, encode(self._status(state)), retain=True)

    def _publish(self, part: str, payload: bytes, *, retain: bool = False, tag: int = 0) -> None:
        if self.connection is not None:
            self._shared.figures.messages += 1
            self.connection.publish(topics.topic(self.agent, part), payload, retain=retain, tag=tag)
