"""The agent's process: what it is made of, how it starts, and how it stops within a few seconds."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
import uuid
from collections.abc import Awaitable, Callable

import numpy as np

from hearth_agent import __version__
from hearth_agent.control.books import Books
from hearth_agent.control.flows import Flows, flows_of
from hearth_agent.control.heartbeat import beat, pipe_to_supervisor
from hearth_agent.control.leases import Lease, LeaseState
from hearth_agent.control.leasing import make_leases
from hearth_agent.control.loop import Controller
from hearth_agent.control.measuring import FRESH_S
from hearth_agent.control.orders import Cause, GridCaps, Reason
from hearth_agent.control.reassert import reassert
from hearth_agent.control.timetrust import TimeWatch
from hearth_agent.devices.bus import Bus
from hearth_agent.devices.device import Device
from hearth_agent.devices.poller import Poller
from hearth_agent.devices.snapshot import Measured, Snapshot
from hearth_agent.events import TAIL_NAME, EventLog
from hearth_agent.forecast.models import ModelStore
from hearth_agent.forecast.service import ForecastService
from hearth_agent.grid.limits import GridLimits
from hearth_agent.plan.home_planner import HomePlanner
from hearth_agent.plan.overrides import OverrideStore
from hearth_agent.plan.prices import PriceMemory
from hearth_agent.plan.store import PlanStore
from hearth_agent.settings import Home
from hearth_agent.spool.spool import Spool
from hearth_agent.uplink.link import Uplink
from hearth_agent.uplink.outbox import Outbox
from hearth_core import topics
from hearth_core.clock import Clock, now_ms
from hearth_core.messages import AgentState, Birth, DeviceInfo, Forecast, Status, encode
from hearth_core.points import DeviceKind
from hearth_models.sun import elevation_degrees

logger = logging.getLogger(__name__)

# real time
_RELEASE_S = 3.0
_RELEASE_AGAIN_S = 0.2
_REASSERT_S = 3.0
_RESTART_S = 1.0
_ASK_AGAIN_S = 0.1
_DAY_S = 86_400
# of the clock
_FIRST_FLUSH_S = 2.0
_AS_PLANNED = (Cause.FALLBACK, Cause.CLOCK, Cause.PLAN)


def make_devices(home: Home, clock: Clock, events: EventLog) -> dict[str, Device]:
    """Return the home's devices; none is contacted yet."""
    devices = {}
    buses = {endpoint: Bus(endpoint) for endpoint in home.endpoints.values()}
    for one in home.settings.devices:
        profile, endpoint = home.profiles[one.id], home.endpoints[one.id]
        unit = profile.unit if one.unit is None else one.unit
        bus = buses[endpoint]
        devices[one.id] = Device(one.id, profile, endpoint.host, endpoint.port, unit, clock, events, bus=bus)
    return devices


class Agent:
    """All rooms of the agent, wired together."""

    def __init__(self, home: Home, clock: Clock) -> None:
        settings = home.settings
        self._home, self._clock = home, clock
        self._session_id = uuid.uuid4().hex
        self.events = EventLog(clock, tail=home.data_dir / TAIL_NAME)
        self.snapshot = Snapshot()
        self.devices = make_devices(home, clock, self.events)
        cap_bytes = int(settings.spool_cap_mb * 1e6)
        path = home.data_dir / "spool.sqlite"
        history_s = settings.history_days * _DAY_S
        self.spool = Spool(path, clock, self.events, history_s, cap_bytes, [*self.devices], settings.agent)
        self.pollers = {id_: self._poller(device) for id_, device in self.devices.items()}
        key = home.public_key
        self.plans = PlanStore(home.data_dir / "plan.sealed", settings.agent, key, clock, self.events)
        kinds = {id_: home.profiles[id_].kind for id_ in self.devices}
        time_trusted = TimeWatch(clock, self.events)
        self.overrides = OverrideStore(home.data_dir, settings.agent, kinds, key, clock, self.events, time_trusted)
        self.grid_limits = GridLimits(
            home.data_dir, settings.agent, settings.grid_limits, key, clock, self.events, time_trusted
        )
        self._books = Books(home.data_dir, clock)
        leases = make_leases(home, self.devices, self._books, clock, self.events)
        self.controller = Controller(home, leases, self.pollers, self.snapshot, self.plans, clock, self.events)
        self.controller.grid, self.controller.overrides = self._look_at_grid_limits, self.overrides.current
        self.controller.time_trusted = time_trusted
        self._outbox = Outbox()
        models = ModelStore(home.data_dir / "models", settings.agent, key, self.events)
        self.forecasts = ForecastService(
            home.data_dir / "history",
            settings.site,
            models,
            settings.flush_s,
            self._publish_forecast,
            clock,
            self.events,
        )
        self.home_planner = HomePlanner(
            settings.agent,
            settings.site,
            self.plans,
            PriceMemory(home.data_dir / "prices.csv"),
            self.forecasts,
            self._charge,
            clock,
            self.events,
        )
        self._uplink = self._make_uplink()
        grid = home.device_of(DeviceKind.GRID_METER)
        self._grid = grid.id if grid else None
        self._announced = self._describe()

    def _poller(self, device: Device) -> Poller:
        settings = self._home.settings
        return Poller(device, self._clock, self.snapshot, self._take, settings.poll_s, settings.control_s)

    def _take(self, device: str, at_ms: int, measured: Measured) -> None:
        self.spool.add(device, at_ms, measured)

    def _make_uplink(self) -> Uplink | None:
        if self._home.broker is None:
            return None
        return Uplink(
            self._home.broker,
            self._home.settings.agent,
            self._session_id,
            self.spool,
            self._outbox,
            self.events,
            self,
            self._hear,
            self._clock,
        )

    # --- what the agent says of itself (see `hearth_agent.uplink.session.Voice`)

    def birth(self) -> Birth:
        """Return the birth certificate of the present epoch."""
        self._announced = self._describe()
        return self._announced_birth()

    def _announced_birth(self) -> Birth:
        return Birth(
            session=self._session_id,
            at_ms=now_ms(self._clock),
            epoch=self.spool.epoch,
            software=f"hearth-agent {__version__}",
            site=self._home.settings.site,
            devices=self._announced,
        )

    def _describe(self) -> list[DeviceInfo]:
        may_order = self.controller.guard.may_order
        return [device.describe(controlled=may_order(id_)) for id_, device in self.devices.items()]

    async def status(self, state: AgentState) -> Status:
        """Return the present status."""
        return Status(
            state=state,
            session=self._session_id,
            at_ms=now_ms(self._clock),
            epoch=self.spool.epoch,
            last_seq=self.spool.last_seq,
            tallies=await self.spool.tallies(),
            mode=self.controller.mode,
            reason=self._reason(),
            plan_version=self.plans.version,
            lag_s=round(max(self.controller.lag_s, *(poller.late_s for poller in self.pollers.values())), 3),
        )

    def _reason(self) -> str:
        reason, limits = self.home_planner.explained(self.controller.reason), self.grid_limits.why()
        told = [f"{device}: {why.text}" for device, why in self._held_back().items()]
        return "; ".join([reason, *told, *([f"grid operator: {limits}"] if limits else [])])

    def _held_back(self) -> dict[str, Reason]:
        """Return why loads and roof are told something else than was planned; the battery's reason stands first."""
        causes, store = self.controller.causes, self._home.store
        return {
            device: why
            for device, why in causes.items()
            if why.cause not in _AS_PLANNED and not (store and device == store.id)
        }

    def mood(self) -> str:
        """Return a text that changes when mode, plan, the owner's wishes or the grid operator's limits change."""
        wishes = [device for device, why in self._held_back().items() if why.cause is Cause.OVERRIDE]
        return f"{self.controller.mode} {self.plans.version} {self.grid_limits.why()} {wishes}"

    def _publish_forecast(self, forecast: Forecast) -> None:
        self._outbox.put(topics.FORECAST, encode(forecast))

    async def _hear(self, part: str, payload: bytes) -> None:
        """Take what the hub says, other than acknowledgements."""
        what, _, target = part.partition("/")
        if what == topics.PLAN:
            self.plans.offer(payload)
        elif what == topics.MODEL:
            self.forecasts.offer_model(target, payload)
        elif what == topics.OVERRIDE:
            self.overrides.offer(payload)
        elif what == topics.GRID_LIMIT:
            self.grid_limits.offer(payload)

    # --- life

    async def _flush(self) -> None:
        """Commit readings once a flush period, and feed the forecast's history from the same beat.

        The first commit comes early: whoever has just started an agent waits for its first values.
        """
        await self.spool.open()  # at once: a run that is cut off before its first commit is declared from here
        period_s = self._home.settings.flush_s
        wait_s = min(_FIRST_FLUSH_S, period_s)
        while True:
            await self._clock.sleep(wait_s)
            self._observe()
            await self.spool.flush()
            described = self._describe()
            if described != self._announced:  # a device told its serial number after it was announced
                self._announced = described
                self._outbox.put(topics.BIRTH, encode(self._announced_birth()))
            wait_s = period_s - self._clock.time() % period_s

    def _observe(self) -> None:
        flows = self._flows()
        self.forecasts.observe(flows.load_w, flows.pv_w)

    def _flows(self) -> Flows:
        site = self._home.settings.site
        height = elevation_degrees(np.array([self._clock.time()]), site.latitude, site.longitude)
        return flows_of(self._home.profiles, self._fresh, self._clock.monotonic(), is_dark=bool(height[0] < 0))

    def _look_at_grid_limits(self) -> GridCaps:
        return self.grid_limits.look(self._fresh, self._fresh(self._grid, "power_w"))

    def _fresh(self, device: str | None, point: str) -> float | None:
        return self.snapshot.value(device, point, self._clock.monotonic(), FRESH_S)

    def _charge(self) -> float | None:
        return self._flows().soc_percent

    async def run(self, stop: asyncio.Event) -> None:
        """Live until ``stop`` is set, then leave every device in its own mode and say goodbye."""
        await self._reassert()
        control = [self._start("control", self.controller.run)]
        control += [self._start(f"lease {lease.key}", lease.run) for lease in self.controller.leases]
        pipe = pipe_to_supervisor()
        if pipe is not None:
            control.append(self._start("heartbeat", lambda: beat(pipe, self.controller, self._clock)))
        pollers = [self._start(f"device {id_}", poller.run) for id_, poller in self.pollers.items()]
        flush = self._start("spool", self._flush)
        forecast = self._start("forecast", self.forecasts.run)
        planner = self._start("home planner", self.home_planner.run)
        uplink = [self._start("uplink", self._uplink.run)] if self._uplink else []
        try:
            await stop.wait()
        finally:
            await _end([*control, *pollers, flush, forecast, planner])
            await asyncio.gather(self._release(), self._say_goodbye())
            await _end(uplink)
            await self.spool.close()
            for device in self.devices.values():
                device.close()

    async def _reassert(self) -> None:
        """Before anything else: what a run before has ordered and not undone is its own master again."""
        if not self._books.orders.entries:
            return
        for text in await asyncio.to_thread(reassert, self._books.orders, _REASSERT_S):
            self.events.warning("still_ordered", f"{text}; it is told again as soon as it answers")

    async def _release(self) -> None:
        """Put every controlled device back into its own mode, each for itself."""
        ordered = [lease for lease in self.controller.leases if lease.state is not LeaseState.OWN]
        for lease in ordered:
            logger.info("%s goes back into its own mode", lease.key)
        tasks = [asyncio.create_task(_give_back(lease)) for lease in ordered]
        if not tasks:
            return
        _, hanging = await asyncio.wait(tasks, timeout=_RELEASE_S)
        await _end([*hanging])
        for lease in ordered:
            if lease.state is not LeaseState.OWN:
                logger.error("%s does not answer: its supervisor, or the next start, puts it back", lease.key)

    async def _say_goodbye(self) -> None:
        await self.spool.flush()
        if self._uplink is not None:
            await self._uplink.finish()

    def _start(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return asyncio.create_task(self._supervise(name, work), name=name)

    async def _supervise(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Restart a room whose task fails: one broken part must not take the others down."""
        while True:
            try:
                await work()
            except Exception as error:  # the process's one supervisor
                logger.exception("%s failed", name)
                self.events.error("part_failed", f"{name}: {type(error).__name__}: {error}")
            await asyncio.sleep(_RESTART_S)


async def _give_back(lease: Lease) -> None:
    """Put a device back into its own mode, however often it must be told."""
    while not await lease.release():  # noqa: ASYNC110  each try asks the device
        await asyncio.sleep(_RELEASE_AGAIN_S)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    # asked again until they go: up to Python 3.11 asyncio.wait_for, which pymodbus uses, can swallow a cancellation
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_ASK_AGAIN_S)


async def run_agent(home: Home, clock: Clock) -> None:
    """Run the agent until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    home.data_dir.mkdir(parents=True, exist_ok=True)
    agent = Agent(home, clock)
    steered = [id_ for id_ in agent.devices if agent.controller.guard.may_order(id_)]
    watched = [id_ for id_ in agent.devices if id_ not in steered]
    named = [", ".join(some) or "none" for some in (steered, watched)]
    logger.info("home %s; controlled: %s; watched: %s; hub: %s", home.settings.agent, *named, home.broker or "none")
    started_s = time.monotonic()
    await agent.run(stop)
    logger.info("stopped after %.0f s", time.monotonic() - started_s)
