"""Who has the last word in a home that lives: the owner over the plan, the grid operator and the fuse over both."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import numpy as np
import pytest
from tests.integration.conftest import Mosquitto
from tests.integration.test_agent_process import KEY, START, agent, keep_plan, until_mode, write_config
from typer.testing import CliRunner

from hearth_agent.cli import app
from hearth_core import topics
from hearth_core.clock import ClockConductor
from hearth_core.messages import AgentState, GridLimit, Mode, Side, Status, decode
from hearth_core.signing import seal
from hearth_sim.recorded import konstanz
from hearth_sim.testing import HouseOptions, RunningHouse, running_house
from hearth_sim.variation import STEPS, Hour, Variation

QUICK, SLOW = 60.0, 5.0
"""Speed of the clock where nothing is measured, and where seconds of the home count."""
CHARGE_W, CAR_W, LIMIT_W = 3_000.0, 3_200.0, 2_000.0
METER_ERROR_W = 60.0


class Evening(Variation):
    """The recorded home without sun; a car charges on L1 for hours, and a kettle may be put on there."""

    kettle_w = 0.0

    def _make(self, hour: int) -> Hour:
        made = super()._make(hour)
        house_w = made.house_w + np.array([[self.kettle_w], [0.0], [0.0]])
        nothing_w = np.zeros(STEPS)
        car_w = np.full(STEPS, CAR_W)
        return dataclasses.replace(made, house_w=house_w, pv_w=nothing_w, heat_pump_w=nothing_w, car_w=car_w)

    def boil(self, power_w: float) -> None:
        """Put a kettle on."""
        self.kettle_w = power_w
        self.hour.cache_clear()


class Home:
    """The house, its clock, and what a test looks at."""

    def __init__(self, folder: Path, running: RunningHouse, conductor: ClockConductor, config: Path) -> None:
        self.folder, self.running, self.conductor, self.config = folder, running, conductor, config
        self.evening = Evening(konstanz(), 1)
        running.house.variation = self.evening

    @property
    def car_w(self) -> float:
        return self.running.house.flows.ev_w

    @property
    def battery_w(self) -> float:
        return self.running.house.flows.battery_w

    @property
    def steered_w(self) -> float:
        """What car and charging battery draw; on this evening all of it comes through the meter."""
        return self.car_w + max(0.0, -self.battery_w)

    def charges_as_planned(self) -> bool:
        return self.battery_w == pytest.approx(-CHARGE_W, abs=150.0) and self.car_w > 0.9 * CAR_W

    async def until(self, seen: Callable[[], bool], within_s: float) -> float:
        """Return after how many seconds of the home something is seen."""
        began_s = self.conductor.clock.time()
        while True:
            at_s = self.running.house.advance()
            if seen():
                return at_s - began_s
            assert at_s - began_s < within_s, f"not within {within_s:g} s: {self.running.house.flows}"
            await asyncio.sleep(0.01)

    async def stays(self, seen: Callable[[], bool], for_s: float) -> None:
        """See something for some seconds of the home."""
        end_s = self.conductor.clock.time() + for_s
        while self.running.house.advance() < end_s:
            assert seen(), self.running.house.flows
            await asyncio.sleep(0.01)

    def wish(self, *arguments: str) -> None:
        """Set the owner's wish as he does it."""
        command = ["override", "set", *arguments, "--config", str(self.config)]
        done = CliRunner().invoke(app, command, env={"HEARTH_CLOCK": f"file:{self.folder / 'clock'}"})
        assert done.exit_code == 0, done.output


@asynccontextmanager
async def home(folder: Path, mode: Mode, broker_port: int = 9) -> AsyncIterator[Home]:
    """A home with a plan for a day; its agent is started by the test."""
    conductor = ClockConductor(folder / "clock", START)
    keep_plan(folder, mode, CHARGE_W if mode is Mode.CHARGE_FROM_GRID else 0.0)
    async with running_house(conductor.clock, options=HouseOptions(soc_percent=40.0)) as running:
        config = write_config(folder, running, broker_port)
        text = config.read_text().replace("poll_s: 5", "poll_s: 10").replace("control_s: 5", "control_s: 1")
        config.write_text(text)  # as they are when nobody sets them
        yield Home(folder, running, conductor, config)


async def test_the_owners_wishes_beat_the_plan_and_end_by_themselves(tmp_path: Path) -> None:
    async with home(tmp_path, Mode.CHARGE_FROM_GRID) as one, agent(one.config, tmp_path):
        one.conductor.set_speed(QUICK)
        await until_mode(one.running, 3)
        await one.until(one.charges_as_planned, 300.0)
        one.conductor.set_speed(SLOW)
        one.wish("inverter", "--mode", "hold", "--for", "1min")
        one.wish("charger", "--current-a", "0", "--for", "1min")
        await one.until(lambda: abs(one.battery_w) < METER_ERROR_W and one.car_w < METER_ERROR_W, 10.0)
        one.conductor.set_speed(QUICK / 3)
        await one.stays(lambda: abs(one.battery_w) < METER_ERROR_W and one.car_w < METER_ERROR_W, 30.0)
        await one.until(lambda: one.battery_w < -0.9 * CHARGE_W, 30.0)
        one.conductor.set_speed(QUICK)
        await one.until(one.charges_as_planned, 600.0)


@asynccontextmanager
async def operator(port: int) -> AsyncIterator[tuple[aiomqtt.Client, asyncio.Queue[Status]]]:
    """Whoever sends grid limits, and hears what the home says of them."""
    said: asyncio.Queue[Status] = asyncio.Queue()

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            said.put_nowait(decode(bytes(message.payload), Status))

    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe(topics.topic("anna", topics.STATUS), qos=1)
        task = asyncio.create_task(listen(client))
        try:
            yield client, said
        finally:
            task.cancel()


async def hear(said: asyncio.Queue[Status], seen: Callable[[Status], bool]) -> None:
    async with asyncio.timeout(20):
        while not seen(await said.get()):
            pass


async def send(client: aiomqtt.Client, one: Home, version: int, limit_w: float | None) -> None:
    """Send a sealed limit; nobody keeps it but the agent."""
    issued_ms = int(one.conductor.clock.time() * 1000)
    limit = GridLimit(home="anna", version=version, issued_ms=issued_ms, side=Side.IMPORT, limit_w=limit_w)
    await client.publish(topics.topic("anna", topics.GRID_LIMIT, Side.IMPORT), seal(limit, KEY), qos=1)


async def test_a_grid_limit_is_kept_at_the_meter_over_a_restart_until_it_is_lifted(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    async with home(tmp_path, Mode.CHARGE_FROM_GRID, mosquitto.port) as one, operator(mosquitto.port) as (client, said):

        def is_kept() -> bool:
            return one.steered_w <= LIMIT_W + METER_ERROR_W

        async with agent(one.config, tmp_path) as process:
            one.conductor.set_speed(QUICK)
            await hear(said, lambda status: status.state is AgentState.ONLINE)
            await one.until(one.charges_as_planned, 300.0)
            one.conductor.set_speed(SLOW)
            await send(client, one, 1, LIMIT_W)
            await one.until(is_kept, 10.0)
            await hear(said, lambda status: "grid operator: import at most 2000 W" in status.reason)
            one.conductor.set_speed(QUICK / 3)
            await one.stays(is_kept, 40.0)
            assert one.car_w > 0.5 * LIMIT_W, "it leaves something, and the car comes before the battery"
            process.kill()
            await process.wait()
        await hear(said, lambda status: status.state is AgentState.LOST)
        async with agent(one.config, tmp_path):
            await hear(said, lambda status: status.state is AgentState.ONLINE and "at most 2000 W" in status.reason)
            await one.until(is_kept, 60.0)  # a start puts all devices into their own modes first
            await one.stays(is_kept, 30.0)
            await send(client, one, 2, None)
            one.conductor.set_speed(QUICK)
            await one.until(one.charges_as_planned, 900.0)


async def test_a_car_gives_way_to_the_main_fuse_within_ten_seconds(tmp_path: Path) -> None:
    """32 A of something else on the phase of a car that charges, at a fuse of 35 A."""
    async with home(tmp_path, Mode.HOLD) as one, agent(one.config, tmp_path):
        one.conductor.set_speed(QUICK)
        await until_mode(one.running, 3)
        await one.until(lambda: one.car_w > 0.9 * CAR_W, 60.0)
        await one.stays(lambda: one.car_w > 0.9 * CAR_W, 20.0)
        one.conductor.set_speed(SLOW)
        await one.until(lambda: 0.5 < one.conductor.clock.time() % 10 < 2.0, 20.0)  # the meter was just read
        one.evening.boil(7_000.0)
        await one.until(lambda: one.car_w < METER_ERROR_W, 10.0)
        one.conductor.set_speed(QUICK / 3)
        await one.stays(lambda: one.car_w < METER_ERROR_W, 30.0)
