"""What spool and uplink cost a home: bytes written to the disk a day, and the share of one core.

    python tests/bench/bench_agent.py [--flushes 1500] [--folder DIR]

A real spool file and a real uplink session speak to a real Mosquitto; a small hub in a process of its own
acknowledges. Twenty points of three devices are flushed at instants that are 10 s apart on the agent's clock, but as
fast as the hub acknowledges them; local history is short, so that pruning takes part as it does after a week.
Prints one JSON line. Bytes are what the kernel counts as written by this process (whole pages of 4 KiB).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import random
import resource
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

import aiomqtt

from hearth_agent.devices.snapshot import Measured
from hearth_agent.events import EventLog
from hearth_agent.spool.records import Columns
from hearth_agent.spool.spool import Spool
from hearth_agent.spool.store import SpoolStore
from hearth_agent.uplink.link import Uplink
from hearth_agent.uplink.outbox import Outbox
from hearth_core.broker import BrokerAddress, parse_broker_url
from hearth_core.clock import ManualClock, RealClock, now_ms
from hearth_core.messages import Ack, AgentState, Birth, Readings, Status, decode, encode
from hearth_core.site import Limits, Site
from hearth_core.tariff import Tariff

FLUSH_S = 10.0
DAY_S = 86_400.0
DAY_FLUSHES = 8640
HISTORY_FLUSHES = 720
WEEK_FLUSHES = 7 * DAY_FLUSHES
START_S = 1_780_000_000.0
WARM_UP = 100

GAUGES: dict[str, list[tuple[str, float, float]]] = {
    "grid": [
        ("power_w", -5000, 8000),
        ("power_l1_w", -2000, 3000),
        ("power_l2_w", -2000, 3000),
        ("power_l3_w", -2000, 3000),
        ("voltage_l1_v", 225, 240),
        ("voltage_l2_v", 225, 240),
        ("voltage_l3_v", 225, 240),
        ("frequency_hz", 49.9, 50.1),
    ],
    "inverter": [("power_w", -5000, 8000), ("pv_power_w", 0, 9000), ("battery_power_w", -5000, 5000)],
    "heat-pump": [("power_w", 0, 3000), ("outdoor_temperature_c", -10, 35), ("water_temperature_c", 30, 60)],
}
COUNTERS = {
    "grid": ["import_energy_wh", "export_energy_wh"],
    "inverter": ["energy_wh", "pv_energy_wh", "battery_charge_energy_wh"],
    "heat-pump": ["energy_wh"],
}
SITE = Site(
    name="Bench",
    timezone="Europe/Berlin",
    latitude=47.7,
    longitude=9.2,
    price_zone="DE-LU",
    limits=Limits(main_fuse_a=35),
    tariff=Tariff(),
)


async def _answer(address: BrokerAddress, ready: Event) -> None:
    upto: dict[str, int] = {}
    held: dict[str, set[int]] = {}
    async with aiomqtt.Client(address.host, address.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe([("hearth/bench/readings", 1), ("hearth/bench/birth", 1)])
        ready.set()
        async for message in client.messages:
            payload = bytes(message.payload)
            if message.topic.value.endswith("birth"):
                epoch = decode(payload, Birth).epoch
            else:
                readings = decode(payload, Readings)
                epoch = readings.epoch
                held.setdefault(epoch, set()).update(range(readings.seq, readings.last_seq + 1))
            while upto.get(epoch, 0) + 1 in held.get(epoch, ()):
                upto[epoch] = upto.get(epoch, 0) + 1
            await client.publish("hearth/bench/ack", encode(Ack(epoch=epoch, upto=upto.get(epoch, 0))), qos=1)


def answer(url: str, ready: Event) -> None:
    """Run the small hub."""
    asyncio.run(_answer(parse_broker_url(url), ready))


class Home:
    """Twenty points that move as in a real house."""

    def __init__(self) -> None:
        self._choose = random.Random(1)
        self._counters = {device: dict.fromkeys(names, 12_345_678.0) for device, names in COUNTERS.items()}

    def values(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Yield the next values of each device."""
        for device, gauges in GAUGES.items():
            counters = self._counters[device]
            for name in counters:
                counters[name] += self._choose.uniform(0, 10)
            yield device, {**{name: self._choose.uniform(low, high) for name, low, high in gauges}, **counters}

    def measure(self, spool: Spool, at_ms: int) -> None:
        """Add one reading a device."""
        for device, values in self.values():
            spool.add(device, at_ms + self._choose.randint(5, 300), Measured(0.0, values))


class Speaker:
    """What the uplink asks its agent for."""

    def __init__(self, spool: Spool, clock: ManualClock) -> None:
        self._spool, self._clock = spool, clock

    def birth(self) -> Birth:
        """See `hearth_agent.uplink.session.Voice`."""
        at_ms, epoch = now_ms(self._clock), self._spool.epoch
        return Birth(session="bench", at_ms=at_ms, epoch=epoch, software="bench", site=SITE, devices=[])

    async def status(self, state: AgentState) -> Status:
        """See `hearth_agent.uplink.session.Voice`."""
        tallies = await self._spool.tallies()
        at_ms, epoch = now_ms(self._clock), self._spool.epoch
        return Status(
            state=state, session="bench", at_ms=at_ms, epoch=epoch, last_seq=self._spool.last_seq, tallies=tallies
        )

    def mood(self) -> str:
        """See `hearth_agent.uplink.session.Voice`."""
        return ""


def bytes_written() -> int:
    """Return what the kernel counts as written by this process."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def cpu_s() -> float:
    """Return the processor time of this process [s]."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _bytes_a_record(path: Path) -> float:
    with contextlib.closing(sqlite3.connect(path)) as db:
        pages, free, size = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return float((pages - free) * size / db.execute("SELECT count(*) FROM record").fetchone()[0])


async def _acknowledged(spool: Spool, seq: int) -> None:
    while spool.acked < seq:  # noqa: ASYNC110  the answer comes over the broker
        await asyncio.sleep(0.0005)


async def _nothing(part: str, payload: bytes) -> None:
    del part, payload


@contextlib.asynccontextmanager
async def _linked(url: str, path: Path, clock: ManualClock) -> AsyncIterator[Spool]:
    events = EventLog(clock)
    spool = Spool(path, clock, events, HISTORY_FLUSHES * FLUSH_S, 256_000_000)
    await spool.open()
    voice = Speaker(spool, clock)
    uplink = Uplink(parse_broker_url(url), "bench", "bench", spool, Outbox(), events, voice, _nothing, RealClock())
    line = asyncio.create_task(uplink.run())
    try:
        yield spool
    finally:
        while not line.done():
            line.cancel()
            await asyncio.wait([line], timeout=0.2)
        await spool.close()


def _fill(path: Path, home: Home, clock: ManualClock) -> None:
    """Make the spool of a home whose hub was away for a day."""
    with contextlib.closing(SpoolStore(path, DAY_S, 256_000_000)) as store, store.transaction():
        for _ in range(DAY_FLUSHES):
            clock.now_s += FLUSH_S
            at_ms = now_ms(clock)
            columns = {
                device: Columns([at_ms], {name: [round(value, 3)] for name, value in values.items()})
                for device, values in home.values()
            }
            store.append(columns, {}, at_ms)


async def measure(url: str, folder: Path, flushes: int) -> dict[str, float | int]:
    """Flush so many times and return the figures."""
    clock = ManualClock(START_S)
    path = folder / "spool.sqlite"
    home = Home()
    written, used_s = 0, 0.0
    async with _linked(url, path, clock) as spool:
        for index in range(WARM_UP + flushes):
            if index == WARM_UP:
                written, used_s = bytes_written(), cpu_s()
            clock.now_s += FLUSH_S
            home.measure(spool, now_ms(clock))
            await spool.flush()
            await _acknowledged(spool, spool.last_seq)
        written, used_s = bytes_written() - written, cpu_s() - used_s
    backlog = folder / "backlog.sqlite"
    _fill(backlog, home, clock)
    started_s = time.monotonic()
    async with _linked(url, backlog, clock) as spool:
        await _acknowledged(spool, DAY_FLUSHES)
    drain_s = time.monotonic() - started_s
    return {
        "written_mb_per_day": round(written / flushes * DAY_S / FLUSH_S / 1e6, 1),
        "cpu_share_percent": round(100 * used_s / flushes / FLUSH_S, 3),
        "flushes": flushes,
        "bytes_per_flush": round(written / flushes),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "drain_day_s": round(drain_s, 2),
        "week_on_disk_mb": round(_bytes_a_record(path) * WEEK_FLUSHES / 1e6, 1),
    }


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[str]:
    """Run a Mosquitto and a small hub that acknowledges what comes from the agent ``bench``; yield the broker's URL."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise SystemExit("mosquitto is not installed (Debian package mosquitto)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    url = f"mqtt://127.0.0.1:{port}"
    with subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            _until_it_listens(port)
            context = multiprocessing.get_context("spawn")
            ready = context.Event()
            hub = context.Process(target=answer, args=(url, ready), daemon=True)
            hub.start()
            ready.wait(20)
            try:
                yield url
            finally:
                hub.kill()
                hub.join()
        finally:
            process.terminate()


def _until_it_listens(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("mosquitto does not listen")


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flushes", type=int, default=1500)
    parser.add_argument("--folder", type=Path, help="where the spool file is made: a real disk, not a tmpfs")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="hearth-bench-", dir=options.folder) as folder,
        broker(Path(folder)) as url,
    ):
        print(json.dumps(asyncio.run(measure(url, Path(folder), options.flushes))))


if __name__ == "__main__":
    main()
