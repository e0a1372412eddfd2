"""Fifty devices of which five are dead: how late the others' samples are, and what reading costs.

    python tests/bench/bench_modbus.py [--seconds 60] [--rounds 5]

Five gateways with ten units each answer over Modbus TCP, 20 ms a request, one request after another; the tenth unit of
each never answers. The agent's own pollers read 40 registers of every device in two requests each 5 s. A sample's
lateness is the time from the instant it was due to the instant it was handed on; missed ones count as a whole period.

Then one unit without that pause is read as fast as it answers, 40 registers a request, by the agent's link, by a bare
loop around pymodbus's client and by a client in C, in turns; the median of the rounds is told. Gateways and client in C
are compiled from modbus_bench.c. Prints one JSON line; exit code 1 when a figure misses what was wanted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient

from hearth_agent.devices.bus import Bus, Manners
from hearth_agent.devices.catalogue import parse_profile
from hearth_agent.devices.device import Device
from hearth_agent.devices.endpoint import Endpoint, tcp
from hearth_agent.devices.link import ModbusLink
from hearth_agent.devices.poller import Poller
from hearth_agent.devices.snapshot import Measured, Snapshot
from hearth_agent.events import EventLog
from hearth_core.clock import RealClock

GATEWAYS, UNITS = 5, 10
FIRST_DEAD = UNITS
PERIOD_S, WARM_UP_PERIODS = 5.0, 3
PAUSE_US = 20_000
REGISTERS = 40
LATE_WANTED_S, CORE_WANTED_PERCENT = 1.0, 15.0
ROUND_S = 2.0
POINTS = "\n".join(
    f"  x_{block}_{i}: {{address: {1000 * block + 2 * i}, type: f32, unit: W}}"
    for block in range(2)
    for i in range(REGISTERS // 4)
)
PROFILE = f"""
profile: bench
kind: grid_meter
manufacturer: none
model: none
source: this benchmark
points:
{POINTS}
"""


@contextlib.contextmanager
def gateway(program: Path, first_dead: int, pause_us: int) -> Iterator[Endpoint]:
    """Run a gateway and yield where it listens."""
    command = [str(program), "serve", str(first_dead), str(pause_us)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield tcp("127.0.0.1", int(process.stdout.readline()))
        finally:
            process.kill()


def cpu_s() -> float:
    """Return the processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def poll_house(endpoints: list[Endpoint], seconds: float) -> dict[str, float | int]:
    """Poll every unit of every gateway, and tell how late samples were and what it cost."""
    clock = RealClock()
    events, profile, taken = EventLog(clock), parse_profile(PROFILE, "bench"), dict[str, list[float]]()

    def take(device: str, at_ms: int, measured: Measured) -> None:
        assert len(measured.values) == REGISTERS // 2
        taken.setdefault(device, []).append(at_ms / 1000)

    devices = []
    for number, endpoint in enumerate(endpoints):
        bus = Bus(endpoint)
        devices += [
            Device(f"{number}-{unit}", profile, "", 0, unit, clock, events, bus=bus) for unit in range(1, UNITS + 1)
        ]
    pollers = [Poller(device, clock, Snapshot(), take, PERIOD_S, PERIOD_S) for device in devices]
    tasks = [asyncio.create_task(poller.run()) for poller in pollers]
    await asyncio.sleep(WARM_UP_PERIODS * PERIOD_S - time.time() % PERIOD_S)
    taken.clear()
    before_s, started_s = cpu_s(), time.time()
    periods = max(2, round(seconds / PERIOD_S))
    await asyncio.sleep(periods * PERIOD_S - 0.5)
    core = (cpu_s() - before_s) / (time.time() - started_s)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for device in devices:
        device.close()
    late_s = sorted(late for at_s in taken.values() for late in _lateness(at_s, periods))
    return {
        "devices": len(devices),
        "dead": len(devices) - len(taken),
        "periods": periods,
        "late_p50_s": round(statistics.median(late_s), 3),
        "late_p99_s": round(late_s[int(0.99 * len(late_s))], 3),
        "late_max_s": round(late_s[-1], 3),
        "core_percent": round(100 * core, 2),
    }


def _lateness(at_s: list[float], periods: int) -> list[float]:
    return [one % PERIOD_S for one in at_s] + [PERIOD_S] * (periods - len(at_s))


async def own_rate(endpoint: Endpoint) -> float:
    """Read with the agent's link; requests a second."""
    link = ModbusLink("bench", Bus(endpoint), 1, Manners())
    await link.open()

    async def read() -> None:
        assert len(await link.read(3, 0, REGISTERS)) == REGISTERS

    rate = await _rate(read)
    link.close()
    return rate


async def pymodbus_rate(endpoint: Endpoint) -> float:
    """Read with pymodbus's client in a bare loop; requests a second."""
    client = AsyncModbusTcpClient(endpoint.host, port=endpoint.port, retries=0)
    assert await client.connect()

    async def read() -> None:
        answer = await client.read_holding_registers(0, count=REGISTERS, device_id=1)
        assert len(answer.registers) == REGISTERS

    rate = await _rate(read)
    client.close()
    return rate


async def _rate(read: Callable[[], Awaitable[None]]) -> float:
    started_s = time.monotonic()
    count = 0
    while time.monotonic() - started_s < ROUND_S:
        await read()
        count += 1
    return count / (time.monotonic() - started_s)


def c_rate(program: Path, endpoint: Endpoint) -> float:
    """Read with the client in C; requests a second."""
    command = [str(program), "ask", str(endpoint.port), str(ROUND_S), str(REGISTERS)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / ROUND_S


def compare(program: Path, rounds: int) -> dict[str, float]:
    """Let the three clients read in turns."""
    rates: dict[str, list[float]] = {"own": [], "pymodbus": [], "c": []}
    with gateway(program, FIRST_DEAD, 0) as endpoint:
        for _ in range(rounds):
            rates["own"].append(asyncio.run(own_rate(endpoint)))
            rates["pymodbus"].append(asyncio.run(pymodbus_rate(endpoint)))
            rates["c"].append(c_rate(program, endpoint))
    medians = {name: statistics.median(some) for name, some in rates.items()}
    return {f"{name}_requests_per_s": round(rate) for name, rate in medians.items()} | {
        "own_to_pymodbus": round(medians["own"] / medians["pymodbus"], 2),
        "own_to_c": round(medians["own"] / medians["c"], 3),
    }


def compiled(folder: Path) -> Path:
    """Compile the other ends."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("no C compiler: on Debian and Ubuntu, apt install gcc libc6-dev")
    program = folder / "modbus_bench"
    subprocess.run([compiler, "-O2", "-o", program, Path(__file__).with_name("modbus_bench.c")], check=True)
    return program


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        program = compiled(Path(folder))
        endpoints = [stack.enter_context(gateway(program, FIRST_DEAD, PAUSE_US)) for _ in range(GATEWAYS)]
        figures = asyncio.run(poll_house(endpoints, options.seconds)) | compare(program, options.rounds)
    print(json.dumps(figures))
    if figures["late_max_s"] >= LATE_WANTED_S or figures["core_percent"] >= CORE_WANTED_PERCENT:
        raise SystemExit(f"wanted: every sample within {LATE_WANTED_S} s, less than {CORE_WANTED_PERCENT} % of a core")


if __name__ == "__main__":
    main()
