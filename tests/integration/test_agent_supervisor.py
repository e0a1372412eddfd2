"""The supervisor and its agent as processes: whichever dies or stands still, no device stays ordered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from tests.proofs import prove

from hearth_agent.control.ordered import Contact, Ordered, OrdersFile, SafeWrite
from hearth_core.clock import ClockConductor
from hearth_sim.recorded import parse_instant
from hearth_sim.testing import Answer, HouseOptions, RunningHouse, running_house

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal at a parent's death is Linux's"),
    pytest.mark.timeout(150),
]
STARTED_WITHIN_S = 40  # on a machine that is busy
ORDERED_A, OWN_A = 6.0, 16.0
START = parse_instant("2016-04-04T01:00:00Z")
SPEED = 200.0
RUN, SUPERVISE = ("hearth_agent", "run"), ("hearth_agent", "supervise")


def write_config(folder: Path, running: RunningHouse) -> Path:
    """A home whose charger keeps every order for ever, and is ordered 6 A because its meter does not answer."""
    path = folder / "agent.yaml"
    ports = running.ports
    path.write_text(
        textwrap.dedent(f"""
        agent: anna
        data_dir: data
        control_s: 5
        site:
          name: Anna
          timezone: Europe/Berlin
          latitude: 47.7
          longitude: 9.2
          price_zone: DE-LU
          limits: {{main_fuse_a: 35}}
          tariff: {{}}
        devices:
          - {{id: grid, profile: eastron-sdm630, host: 127.0.0.1, port: {ports["grid"]}}}
          - {{id: heat-pump, profile: nibe-s-series, host: 127.0.0.1, port: {ports["heat-pump"]}}}
          - id: charger
            profile: go-e
            host: 127.0.0.1
            port: {ports["charger"]}
            controlled: true
            keeps_orders_ok: true
        """)
    )
    return prove(path)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningHouse]:
    conductor = ClockConductor(tmp_path / "clock", START)
    async with running_house(conductor.clock, options=HouseOptions(soc_percent=50.0)) as house:
        house.faults["grid"].answer = Answer.SILENT
        conductor.set_speed(SPEED)
        yield house


@contextlib.asynccontextmanager
async def process(config: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, "HEARTH_CLOCK": f"file:{config.parent / 'clock'}"}
    with (config.parent / "log").open("ab") as log:
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *arguments, "--config", str(config), stderr=log, env=environment
        )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()
        print((config.parent / "log").read_text())


async def until(condition: Callable[[], object], limit_s: float) -> float:
    began_s = time.monotonic()
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  what is waited for happens in another process
            await asyncio.sleep(0.02)
    return time.monotonic() - began_s


def agent_of(supervisor: asyncio.subprocess.Process) -> int | None:
    """Return the process id of the supervisor's agent."""
    children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()
    return int(children[0]) if children else None


def memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def test_an_agent_that_dies_or_stands_still_is_replaced_and_its_devices_made_safe(
    tmp_path: Path, running: RunningHouse
) -> None:
    charger = running.house.charger
    config = write_config(tmp_path, running)
    impatient = ("hearth_agent.control.supervisor", "--data-dir", str(tmp_path / "data"), "--stalled-s", "3")
    async with process(config, *impatient) as supervisor:
        await until(lambda: charger.limit_a == ORDERED_A, STARTED_WITHIN_S)
        assert memory_mb(supervisor.pid) < 20
        first = agent_of(supervisor)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert await until(lambda: charger.limit_a == OWN_A, 10) < 5
        await until(lambda: charger.limit_a == ORDERED_A, STARTED_WITHIN_S)
        second = agent_of(supervisor)
        assert second not in (None, first)
        os.kill(second, signal.SIGSTOP)
        assert 2 < await until(lambda: charger.limit_a == OWN_A, 20) < 6
        await until(lambda: charger.limit_a == ORDERED_A, STARTED_WITHIN_S)
        # the agent goes with its supervisor, in order
        supervisor.kill()
        assert await until(lambda: charger.limit_a == OWN_A, 10) < 5
        await supervisor.wait()


async def test_sigterm_ends_both_and_gives_the_devices_back_beside_one_that_hangs(
    tmp_path: Path, running: RunningHouse
) -> None:
    charger = running.house.charger
    async with process(write_config(tmp_path, running), *SUPERVISE) as supervisor:
        await until(lambda: charger.limit_a == ORDERED_A, STARTED_WITHIN_S)
        running.faults["heat-pump"].answer = Answer.SILENT  # as the meter is
        await asyncio.sleep(0.5)
        supervisor.terminate()
        assert await until(lambda: charger.limit_a == OWN_A, 10) < 2
        assert await asyncio.wait_for(supervisor.wait(), 5) == 0
    assert json.loads((tmp_path / "data" / "orders.json").read_bytes())["ordered"] == []


async def test_a_start_after_a_crash_ends_old_orders_before_the_first_reading(
    tmp_path: Path, running: RunningHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    charger = running.house.charger
    config = write_config(tmp_path, running)
    async with process(config, *RUN) as agent:
        await until(lambda: charger.limit_a == ORDERED_A, STARTED_WITHIN_S)
        agent.kill()
        await agent.wait()
    assert charger.limit_a == ORDERED_A  # nobody is left who would end it
    entries = json.loads((tmp_path / "data" / "orders.json").read_bytes())["ordered"]
    assert [entry["device"] for entry in entries] == ["charger"]
    # the device belongs to the home no longer: only the file knows of it
    config.write_text(config.read_text().replace("controlled: true", "controlled: false"))
    heat_pump, device = running.servers["heat-pump"], running.servers["charger"].devices[0]
    before, seen, write = heat_pump.requests, [], device.write

    def noting(function: int, address: int, values: Sequence[int]) -> bool:
        seen.append(heat_pump.requests)
        return write(function, address, values)

    monkeypatch.setattr(device, "write", noting)
    async with process(config, *RUN):
        await until(lambda: charger.limit_a == OWN_A, STARTED_WITHIN_S)
        await until(lambda: heat_pump.requests > before, STARTED_WITHIN_S)
    assert set(seen) == {before}


async def test_an_agent_that_cannot_start_leaves_no_device_ordered(tmp_path: Path, running: RunningHouse) -> None:
    charger = running.house.charger
    config = write_config(tmp_path, running)
    orders = OrdersFile.load(tmp_path / "data" / "orders.json")
    safe = [SafeWrite(16, 299, [16]), SafeWrite(16, 337, [0])]
    orders.put(Ordered("charger", "ev_current", Contact("127.0.0.1", running.ports["charger"], 1), safe))
    charger.limit_a = ORDERED_A
    config.write_text("agent: [")
    supervisor_alone = ("hearth_agent.control.supervisor", "--data-dir", str(tmp_path / "data"))
    async with process(config, *supervisor_alone) as supervisor:
        assert await until(lambda: charger.limit_a == OWN_A, 10) < 3
        await until(lambda: (tmp_path / "log").read_text().count("ended with code 2"), 15)
        supervisor.terminate()
        assert await asyncio.wait_for(supervisor.wait(), 8) == 0
