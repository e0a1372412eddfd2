"""The agent as a process: killed, stopped, restarted; no device stays forced and no reading is lost through it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.plans import steady_plan
from tests.proofs import prove

from hearth_agent.files import write_durably
from hearth_agent.spool.store import SpoolStore
from hearth_core.clock import ClockConductor
from hearth_core.messages import Mode, Readings, decode
from hearth_core.signing import public_key_text, seal
from hearth_sim.recorded import parse_instant
from hearth_sim.testing import Answer, HouseOptions, RunningHouse, running_house

START = parse_instant("2016-04-04T01:00:00Z")
KEY = Ed25519PrivateKey.generate()
SPEED = 60.0


def write_config(folder: Path, running: RunningHouse, broker_port: int = 9, *, controlled: bool = True) -> Path:
    """A home whose hub is away (nobody listens on port 9)."""
    flag, ports = "true" if controlled else "false", running.ports
    path = folder / "agent.yaml"
    path.write_text(
        textwrap.dedent(f"""
        agent: anna
        data_dir: data
        poll_s: 5
        control_s: 5
        flush_s: 5
        hub: {{mqtt_url: "mqtt://127.0.0.1:{broker_port}", public_key: "{public_key_text(KEY)}"}}
        site:
          name: Anna
          timezone: Europe/Berlin
          latitude: 47.7
          longitude: 9.2
          price_zone: DE-LU
          limits: {{main_fuse_a: 35}}
          tariff: {{}}
          battery: {{capacity_wh: 10000, max_charge_w: 5000, max_discharge_w: 5000}}
        devices:
          - {{id: grid, profile: eastron-sdm630, host: 127.0.0.1, port: {ports["grid"]}}}
          - {{id: inverter, profile: sunspec-hybrid, host: 127.0.0.1, port: {ports["inverter"]}, controlled: {flag}}}
          - id: charger
            profile: go-e
            host: 127.0.0.1
            port: {ports["charger"]}
            controlled: {flag}
            keeps_orders_ok: {flag}
          - {{id: heat-pump, profile: nibe-s-series, host: 127.0.0.1, port: {ports["heat-pump"]}}}
        """)
    )
    return prove(path)


def keep_plan(folder: Path, mode: Mode, power_w: float) -> None:
    """Leave a plan in the data folder, as a run before would have."""
    write_durably(folder / "data" / "plan.sealed", seal(steady_plan("anna", START, mode, power_w), KEY))


@pytest.fixture
def conductor(tmp_path: Path) -> ClockConductor:
    return ClockConductor(tmp_path / "clock", START)


@pytest.fixture
async def running(conductor: ClockConductor) -> AsyncIterator[RunningHouse]:
    async with running_house(conductor.clock, options=HouseOptions(soc_percent=50.0)) as house:
        yield house


@contextlib.asynccontextmanager
async def agent(config: Path, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, "HEARTH_CLOCK": f"file:{folder / 'clock'}"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from hearth_agent.cli import main; main()", "run", "--config", str(config)),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        _, log = await process.communicate()
        print(log.decode())


async def until_mode(running: RunningHouse, mode: int, limit_s: float = 20.0) -> None:
    async with asyncio.timeout(limit_s):
        while running.house.storage.mode != mode:
            await asyncio.sleep(0.02)
            running.house.advance()


async def test_a_killed_agent_leaves_no_device_forced(
    tmp_path: Path, conductor: ClockConductor, running: RunningHouse
) -> None:
    """kill -9 while it charges from the grid: the inverter is back in its own mode within 60 s."""
    keep_plan(tmp_path, Mode.CHARGE_FROM_GRID, 3_000.0)
    conductor.set_speed(SPEED)
    async with agent(write_config(tmp_path, running), tmp_path) as process:
        await until_mode(running, 3)
        held_s = conductor.clock.time()
        while conductor.clock.time() < held_s + 120:
            await asyncio.sleep(0.05)
            running.house.advance()
        assert running.house.storage.mode == 3
        assert running.house.flows.battery_w == pytest.approx(-3_000.0, rel=0.1)
        process.kill()
        await process.wait()
        killed_s = conductor.clock.time()
        await until_mode(running, 0)
        assert conductor.clock.time() - killed_s <= 65
        assert running.house.storage.reversions == 1


async def test_sigterm_gives_every_device_back_within_seconds(
    tmp_path: Path, conductor: ClockConductor, running: RunningHouse
) -> None:
    keep_plan(tmp_path, Mode.HOLD, 0.0)
    conductor.set_speed(SPEED)
    async with agent(write_config(tmp_path, running), tmp_path) as process:
        await until_mode(running, 3)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        await process.wait()
        assert time.monotonic() - started < 5.0
        assert process.returncode == 0
        running.house.advance()
        assert running.house.storage.mode == 0
        assert running.house.storage.reversions == 0


async def test_sigterm_is_quick_even_when_the_inverter_says_nothing(
    tmp_path: Path, conductor: ClockConductor, running: RunningHouse
) -> None:
    keep_plan(tmp_path, Mode.HOLD, 0.0)
    conductor.set_speed(SPEED)
    async with agent(write_config(tmp_path, running), tmp_path) as process:
        await until_mode(running, 3)
        running.faults["inverter"].answer = Answer.SILENT
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        await process.wait()
        assert time.monotonic() - started < 5.0


async def test_a_watched_home_is_never_written(
    tmp_path: Path, conductor: ClockConductor, running: RunningHouse
) -> None:
    """A home starts in watch mode: not even the safe state may be written."""
    keep_plan(tmp_path, Mode.CHARGE_FROM_GRID, 3_000.0)
    conductor.set_speed(SPEED)
    async with agent(write_config(tmp_path, running, controlled=False), tmp_path) as process:
        async with asyncio.timeout(20):
            while running.servers["grid"].requests < 20:  # noqa: ASYNC110  the count of a simulated device
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        await process.wait()
    assert all(server.written.writes == 0 for server in running.servers.values())


async def test_readings_outlive_a_kill_and_go_on_in_the_same_epoch(
    tmp_path: Path, conductor: ClockConductor, running: RunningHouse
) -> None:
    conductor.set_speed(SPEED)
    config = write_config(tmp_path, running)
    seen: list[Readings] = []
    for _ in range(2):
        async with agent(config, tmp_path) as process:
            before = len(seen)
            async with asyncio.timeout(25):
                while len(seen) < before + 15:
                    await asyncio.sleep(0.1)
                    seen = spooled(tmp_path)
            process.kill()
            await process.wait()
        after = spooled(tmp_path)
        assert after[: len(seen)] == seen
        seen = after
    assert [message.seq for message in seen] == list(range(1, len(seen) + 1))
    assert len({message.epoch for message in seen}) == 1
    cut_off = [gap for message in seen for gap in message.gaps]
    assert {gap.device for gap in cut_off} == {"grid", "inverter", "charger", "heat-pump"}
    assert all(gap.count == 0 and gap.from_ms and gap.until_ms for gap in cut_off)
    for device in ("grid", "inverter", "charger", "heat-pump"):
        batches = [b for m in seen for b in m.batches if b.device == device]
        assert batches[-1].produced == sum(len(b.at_ms) for b in batches)


def spooled(folder: Path) -> list[Readings]:
    """Read a copy of the file: the agent keeps the file itself locked."""
    path = folder / "data" / "spool.sqlite"
    with tempfile.TemporaryDirectory() as copies, contextlib.suppress(FileNotFoundError, sqlite3.DatabaseError):
        for part in (path, path.with_name("spool.sqlite-wal")):
            shutil.copy(part, copies)
        with contextlib.closing(SpoolStore(Path(copies) / path.name, 1e9, 10**9)) as store:
            return [decode(store.fetch(seq, 1, 10**9)[0].payload, Readings) for seq in range(1, store.last_seq + 1)]
    return []


async def test_a_port_that_refuses_stops_nobody(
    tmp_path: Path, conductor: ClockConductor, running: RunningHouse
) -> None:
    await running.unplug("charger")
    conductor.set_speed(SPEED)
    async with agent(write_config(tmp_path, running), tmp_path) as process:
        async with asyncio.timeout(20):
            while len(spooled(tmp_path)) < 5:  # noqa: ASYNC110  what another process writes
                await asyncio.sleep(0.1)
        assert process.returncode is None
        await running.plug_in("charger")
        async with asyncio.timeout(20):
            while not any(b.device == "charger" for m in spooled(tmp_path) for b in m.batches):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
