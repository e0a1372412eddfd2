"""Everything a Modbus device may do wrong, on real sockets and serial lines (fault F-16).

Nothing crashes, nothing is taken for a value that is none, and the other devices on the wire notice nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import struct
import time
import tty
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from pathlib import Path

import pytest
from pymodbus.framer import FramerType
from pymodbus.framer.rtu import FramerRTU
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice
from tests.tasks import end

from hearth_agent.app import make_devices
from hearth_agent.devices.bus import Bus, Manners
from hearth_agent.devices.catalogue import parse_profile
from hearth_agent.devices.device import Device
from hearth_agent.devices.endpoint import Endpoint
from hearth_agent.devices.errors import DeviceError, DeviceRefusedError, DeviceTimeoutError
from hearth_agent.devices.link import ModbusLink
from hearth_agent.devices.poller import Poller
from hearth_agent.devices.profile import Poll, SerialLine, Transport
from hearth_agent.devices.snapshot import Snapshot
from hearth_agent.events import EventLog
from hearth_agent.settings import load_home
from hearth_core.clock import ManualClock, RealClock

TIMEOUT_S = 0.1
POWER_W, VOLTAGE_V, TEMPERATURE = 1234, 230, 41
PROFILE = f"""
profile: meter
kind: grid_meter
manufacturer: Maker
model: Meter
source: this test
transports: [tcp, rtu_over_tcp, rtu, ascii]
timeout_s: {TIMEOUT_S}
points:
  power_w: {{address: 0, type: u16, nan: [0xFFFF], poll: control}}
  voltage_l1_v: {{address: 100, type: u16, nan: [0xFFFF]}}
  x_temperature: {{address: 200, type: u16, unit: degC, poll: slow}}
  x_rating: {{address: 300, type: u16, unit: W, poll: once}}
"""


class Fault(Enum):
    """What a unit does instead of answering right."""

    SILENT = "silent"
    HALF_FRAME = "half a frame"
    WRONG_UNIT = "another unit's id"
    WRONG_NUMBER = "another question's number"
    WRONG_FUNCTION = "another function"
    TOO_SHORT = "fewer registers than asked"
    WRONG_CHECKSUM = "a checksum that does not fit"
    DRIPPING = "one byte at a time, far too slow"
    RESET = "the connection is reset"
    NOT_AVAILABLE = "all bits set"


@dataclass
class Unit:
    """One simulated unit: registers by address, the same for all functions."""

    registers: dict[int, int] = field(
        default_factory=lambda: {0: POWER_W, 100: VOLTAGE_V, 200: TEMPERATURE, 300: 7_000}
    )
    fault: Fault | None = None
    exception: int | None = None
    delay_s: Callable[[], float] = lambda: 0.0
    forgetful_s: float | None = None
    echoes: bool = True
    lose_next: bool = False
    asked: list[tuple[float, int, int, int]] = field(default_factory=list)
    """Every request: when, function, address, count or value."""

    def answer(self, pdu: bytes) -> bytes:
        fc, address, count = struct.unpack(">BHH", pdu[:5])
        if self.exception is not None:
            return bytes([fc | 0x80, self.exception])
        if fc == 1:
            bits = sum(bool(self.registers.get(address + i)) << i for i in range(count))
            return bytes([1, (count + 7) // 8]) + bits.to_bytes((count + 7) // 8, "little")
        if fc == 8:
            return pdu if self.echoes else bytes([fc | 0x80, 1])
        if fc in (5, 6):
            self.registers[address] = count
            return pdu
        if fc == 16:
            self.registers.update(enumerate(struct.unpack_from(f">{count}H", pdu, 6), start=address))
            return pdu[:5]
        if not {*range(address, address + count)} <= self.registers.keys():
            return bytes([fc | 0x80, 2])
        words = [self.registers[address + i] for i in range(count)]
        if self.fault is Fault.NOT_AVAILABLE:
            words = [0xFFFF] * count
        if self.fault is Fault.TOO_SHORT:
            words = words[1:]
        return bytes([4 if self.fault is Fault.WRONG_FUNCTION else fc, 2 * len(words)]) + struct.pack(
            f">{len(words)}H", *words
        )


class Gateway:
    """Units behind one TCP port that answer Modbus TCP, or RTU frames over TCP."""

    def __init__(self, transport: Transport, units: dict[int, Unit]) -> None:
        self.transport, self.units = transport, units
        self.connections = 0
        self.most_at_once = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._line = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        self.most_at_once = max(self.most_at_once, len(self._writers))
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                number, unit, pdu = await self._request(reader)
                task = asyncio.create_task(self._reply(writer, number, unit, pdu))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self._writers.discard(writer)

    async def stop(self) -> None:
        while self._writers or self._tasks:
            for writer in self._writers:
                writer.transport.abort()
            for task in self._tasks:
                task.cancel()
            await asyncio.sleep(0.001)

    async def _request(self, reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
        if self.transport is Transport.TCP:
            number, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
            return number, unit, await reader.readexactly(length - 1)
        frame = await reader.readexactly(8)
        if frame[1] == 16:
            frame += await reader.readexactly(1 + frame[6])
        assert FramerRTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big"))
        return 0, frame[0], frame[1:-2]

    async def _reply(self, writer: asyncio.StreamWriter, number: int, id_: int, pdu: bytes) -> None:
        unit = self.units[id_]
        fc, address, count = struct.unpack(">BHH", pdu[:5])
        before_s = unit.asked[-1][0] if unit.asked else 0.0
        unit.asked.append((time.monotonic(), fc, address, count))
        if unit.fault is Fault.SILENT or unit.lose_next:
            unit.lose_next = False
            return
        if unit.forgetful_s is not None and time.monotonic() - before_s > unit.forgetful_s:
            return
        if unit.fault is Fault.RESET:
            writer.transport.abort()
            return
        answer = unit.answer(pdu)
        # a serial line answers in the order it was asked
        async with self._line if self.transport is not Transport.TCP else contextlib.nullcontext():
            await asyncio.sleep(unit.delay_s())
        frame = self._frame(unit, number, id_, answer)
        if unit.fault is Fault.HALF_FRAME:
            frame = frame[: len(frame) // 2]
        if unit.fault is not Fault.DRIPPING:
            writer.write(frame)
            return
        for byte in frame:
            writer.write(bytes([byte]))
            await asyncio.sleep(TIMEOUT_S / 2)

    def _frame(self, unit: Unit, number: int, id_: int, pdu: bytes) -> bytes:
        id_ += unit.fault is Fault.WRONG_UNIT
        if self.transport is Transport.TCP:
            number += unit.fault is Fault.WRONG_NUMBER
            return struct.pack(">HHHB", number, 0, 1 + len(pdu), id_) + pdu
        crc = FramerRTU.compute_CRC(bytes([id_]) + pdu) ^ (unit.fault is Fault.WRONG_CHECKSUM)
        return bytes([id_]) + pdu + crc.to_bytes(2, "big")


@contextlib.asynccontextmanager
async def gateway(transport: Transport, *units: int) -> AsyncIterator[tuple[Gateway, Endpoint]]:
    running = Gateway(transport, {unit: Unit() for unit in units})
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0)
    try:
        yield running, Endpoint(transport, host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await server.wait_closed()
        await running.stop()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearth_agent.devices.backoff._FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr("hearth_agent.devices.backoff._LONGEST_PAUSE_S", 0.8)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000.0)


def device(bus: Bus, unit: int, clock: ManualClock | RealClock, text: str = PROFILE) -> Device:
    profile = parse_profile(text, "this test")
    return Device(f"unit-{unit}", profile, "", 0, unit, clock, EventLog(clock), bus=bus)


async def values(one: Device, poll: Poll = Poll.POLL) -> dict[str, float]:
    measured = await one.measure(poll)
    return dict(measured.values) if measured else {}


both = pytest.mark.parametrize("transport", [Transport.TCP, Transport.RTU_OVER_TCP])


@both
async def test_what_is_no_answer_is_missing_and_harms_no_neighbour(transport: Transport, clock: ManualClock) -> None:
    async with gateway(transport, 1, 2) as (running, endpoint):
        bus = Bus(endpoint)
        good, bad = device(bus, 1, clock), device(bus, 2, clock)
        for fault in Fault:
            running.units[2].fault = fault
            for _ in range(2):
                found = await values(bad)
                numberless = fault is Fault.WRONG_NUMBER and transport is not Transport.TCP
                checkless = fault is Fault.WRONG_CHECKSUM and transport is Transport.TCP
                if not numberless and not checkless:
                    assert found.get("power_w") is None, fault
                    assert found.get("voltage_l1_v") is None, fault
                assert (await values(good)).get("power_w") == POWER_W, fault
                running.units[1].registers[0] = POWER_W
            running.units[2].fault = None
            await back(bad)
        good.close()
        bad.close()


async def back(one: Device) -> None:
    async with asyncio.timeout(5):
        while (await values(one)).get("power_w") != POWER_W:  # noqa: ASYNC110  this is how the agent finds it
            await asyncio.sleep(0.02)


@both
async def test_every_exception_makes_its_points_missing(transport: Transport, clock: ManualClock) -> None:
    async with gateway(transport, 1, 2) as (running, endpoint):
        bus = Bus(endpoint)
        good, bad = device(bus, 1, clock), device(bus, 2, clock)
        await back(bad)
        for code in range(1, 12):
            running.units[2].exception = code
            clock.now_s += 61.0
            found = await values(bad)
            # what is told once a connection is still known, unless a gateway says that nobody is there (10, 11)
            assert found == ({} if code >= 10 else {"x_rating": 7_000})
            assert (await values(good))["power_w"] == POWER_W
            assert bus.connected
            running.units[2].exception = None
            await back(bad)
        assert running.connections == 1
        good.close()
        bad.close()


@both
@pytest.mark.parametrize("echoes", [True, False])
async def test_a_late_answer_is_never_taken_for_another_question(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, *, echoes: bool
) -> None:
    """Two questions of one length, answered now in time and now too late: power is never read as voltage."""
    monkeypatch.setattr("hearth_agent.devices.link._LATEST_ANSWER_S", 0.3)
    chance = random.Random(5)
    async with gateway(transport, 1) as (running, endpoint):
        unit = running.units[1]
        link = ModbusLink("meter", Bus(endpoint), 1, Manners(timeout_s=0.03))
        unit.echoes = echoes
        answered = late = 0
        unit.delay_s = lambda: chance.choice([0.0] * 5 + [0.035, 0.05])
        for turn in range(60):
            address = (0, 100)[turn % 2]
            try:
                if not link.connected:
                    await link.open()
                (word,) = await link.read(3, address, 1)
            except DeviceError:
                late += 1
                await asyncio.sleep(0.02)
                continue
            answered += 1
            assert word == (POWER_W if address == 0 else VOLTAGE_V)
        assert answered > 5
        assert late > 3
        link.close()


@both
async def test_a_dead_unit_delays_no_neighbour(transport: Transport) -> None:
    """Three meters and a dead one on a wire, at a period shorter than the dead one's time-out."""
    clock, period_s = RealClock(), 0.3
    text = PROFILE.replace(f"timeout_s: {TIMEOUT_S}", "timeout_s: 0.6")
    late_s: dict[str, list[float]] = {}

    def take(id_: str, at_ms: int, _measured: object) -> None:
        late_s.setdefault(id_, []).append(at_ms / 1000 % period_s)

    async with gateway(transport, 1, 2, 3, 4) as (running, endpoint):
        running.units[4].fault = Fault.SILENT
        bus = Bus(endpoint)
        devices = [device(bus, unit, clock, text) for unit in running.units]
        pollers = [Poller(one, clock, Snapshot(), take, period_s, period_s) for one in devices]
        tasks = [asyncio.create_task(poller.run()) for poller in pollers]
        await asyncio.sleep(0.9)  # the first question to the dead one is asked while nobody is known to be alive
        late_s.clear()
        await asyncio.sleep(1.8)
        assert set(late_s) == {"unit-1", "unit-2", "unit-3"}
        for samples in late_s.values():
            assert len(samples) >= 5
            assert max(samples) < 0.2
        assert len(running.units[4].asked) >= 2
        running.units[4].fault = None
        async with asyncio.timeout(10):  # it comes back while the others go on
            while "unit-4" not in late_s:  # noqa: ASYNC110  its poller has no event for a test
                await asyncio.sleep(0.02)
        for task in tasks:
            await end(task)
        assert running.connections == 1
        for one in devices:
            one.close()


@both
async def test_an_order_goes_before_polls_and_does_not_wait_for_a_dead_unit(transport: Transport) -> None:
    async with gateway(transport, 1, 2) as (running, endpoint):
        running.units[1].delay_s = lambda: 0.02
        bus = Bus(endpoint)
        link, dead = (ModbusLink(f"unit-{unit}", bus, unit, Manners(timeout_s=1.0)) for unit in (1, 2))
        await link.open()
        await dead.open()
        await link.read(3, 0, 1)
        later = [asyncio.create_task(link.read(3, 100, 1, time.monotonic() + 10)) for _ in range(10)]
        sooner = asyncio.create_task(link.read(3, 0, 1, time.monotonic() + 1))
        order = asyncio.create_task(link.write(16, 0, [99]))
        await asyncio.gather(*later, sooner, order)
        asked = [(fc, address) for _, fc, address, _ in running.units[1].asked]
        assert asked[1:4] == [(3, 100), (16, 0), (3, 0)]  # the first one was under way

        running.units[2].fault = Fault.SILENT
        probe = asyncio.create_task(dead.read(3, 0, 1))
        await asyncio.sleep(0.05)
        before_s = time.monotonic()
        await link.write(16, 0, [98])
        assert time.monotonic() - before_s < 0.4  # not the dead one's second
        with pytest.raises(DeviceTimeoutError):
            await probe
        link.close()
        dead.close()


async def test_the_devices_of_a_home_at_one_address_take_one_connection(clock: ManualClock, tmp_path: Path) -> None:
    """As an installer writes them."""
    (tmp_path / "meter.yaml").write_text(PROFILE)
    (tmp_path / "pump.yaml").write_text(
        PROFILE.replace("grid_meter", "heat_pump").replace("voltage_l1_v: {", "x_v: {unit: V, ")
    )
    async with gateway(Transport.RTU_OVER_TCP, 1, 2) as (running, endpoint):
        where = f"host: {endpoint.host}, port: {endpoint.port}, transport: rtu_over_tcp"
        (tmp_path / "agent.yaml").write_text(f"""
agent: anna
data_dir: data
site: {{name: Anna, timezone: Europe/Berlin, latitude: 47.66, longitude: 9.18, price_zone: DE-LU,
  limits: {{main_fuse_a: 35}}, tariff: {{export_eur_per_kwh: 0.08}}}}
devices:
  - {{id: grid, profile: meter.yaml, {where}, unit: 1}}
  - {{id: pump, profile: pump.yaml, {where}, unit: 2}}
""")
        devices = make_devices(load_home(tmp_path / "agent.yaml"), clock, EventLog(clock))
        running.units[2].registers[0] = 77
        found = await asyncio.gather(*(values(one) for one in devices.values()))
        assert [one["power_w"] for one in found] == [POWER_W, 77]
        assert running.connections == 1
        for one in devices.values():
            one.close()


async def test_a_device_that_takes_one_connection_serves_all_its_units(clock: ManualClock) -> None:
    async with gateway(Transport.TCP, 1, 2, 3) as (running, endpoint):
        bus = Bus(endpoint)
        devices = [device(bus, unit, clock) for unit in running.units]
        await asyncio.gather(*(one.measure() for one in devices))
        assert (running.connections, running.most_at_once) == (1, 1)
        for one in devices[:2]:
            one.close()
        assert (await values(devices[2]))["power_w"] == POWER_W
        devices[2].close()
        assert not bus.connected


async def test_a_lost_connection_is_made_anew_and_everyone_learns_again(clock: ManualClock) -> None:
    async with gateway(Transport.TCP, 1, 2) as (running, endpoint):
        bus = Bus(endpoint)
        one, other = device(bus, 1, clock), device(bus, 2, clock)
        await asyncio.gather(one.measure(), other.measure())
        running.units[1].fault = Fault.RESET
        assert await one.measure() is None
        running.units[1].fault = None
        await back(other)
        await back(one)
        assert (one.connections, other.connections) == (2, 2)
        one.close()
        other.close()


async def test_slow_points_are_read_once_a_minute_and_ratings_once(clock: ManualClock) -> None:
    async with gateway(Transport.TCP, 1) as (running, endpoint):
        one = device(Bus(endpoint), 1, clock)
        everything = {"power_w": POWER_W, "voltage_l1_v": VOLTAGE_V, "x_temperature": TEMPERATURE, "x_rating": 7_000}
        for _ in range(13):
            assert await values(one) == everything
            clock.now_s += 10.0
        counts = {address: sum(a == address for _, _, a, _ in running.units[1].asked) for address in (0, 100, 200, 300)}
        assert (counts[0], counts[100], counts[300]) == (13, 13, 1)
        assert counts[200] == 3
        assert await values(one, Poll.CONTROL) == {"power_w": POWER_W}
        del running.units[1].registers[200]
        clock.now_s += 61.0
        assert "x_temperature" not in await values(one)  # not its old value for ever
        one.close()


async def test_the_manners_of_a_device_are_kept() -> None:
    async with gateway(Transport.RTU_OVER_TCP, 1) as (running, endpoint):
        unit = running.units[1]
        manners = Manners(timeout_s=0.2, min_gap_s=0.05, connect_delay_s=0.1, forgets_first_request=True)
        link = ModbusLink("charger", Bus(endpoint), 1, manners)
        before_s = time.monotonic()
        await link.open()
        assert time.monotonic() - before_s >= 0.1
        unit.forgetful_s = 0.4
        assert await link.read(3, 0, 1) == [POWER_W]  # asked twice
        assert [address for _, _, address, _ in unit.asked] == [0, 0]
        await link.write(6, 0, [1, 2])
        await link.write(5, 7, [1])
        assert await link.read(1, 6, 2) == [0, 1]
        assert [(fc, address) for _, fc, address, _ in unit.asked[-4:]] == [(6, 0), (6, 1), (5, 7), (1, 6)]
        instants = [at_s for at_s, *_ in unit.asked[1:]]
        assert all(b - a >= 0.05 for a, b in pairwise(instants))
        with pytest.raises(DeviceRefusedError, match="exception 2"):
            await link.read(3, 50, 1)
        link.close()


@contextlib.asynccontextmanager
async def serial_line() -> AsyncIterator[tuple[str, str]]:
    """Two ends of a serial line: what is written to one is read from the other."""
    loop = asyncio.get_running_loop()
    (first, one), (second, other) = os.openpty(), os.openpty()
    for fd in (first, one, second, other):
        tty.setraw(fd)
    loop.add_reader(first, lambda: os.write(second, os.read(first, 512)))
    loop.add_reader(second, lambda: os.write(first, os.read(second, 512)))
    try:
        yield os.ttyname(one), os.ttyname(other)
    finally:
        for fd in (first, second):
            loop.remove_reader(fd)
        for fd in (first, one, second, other):
            os.close(fd)


@pytest.mark.parametrize(
    ("transport", "framer"), [(Transport.RTU, FramerType.RTU), (Transport.ASCII, FramerType.ASCII)]
)
async def test_meters_on_a_serial_line(transport: Transport, framer: FramerType, clock: ManualClock) -> None:
    """Read and written through a server nobody here wrote; a unit that is not there delays nobody."""
    simulated = [
        SimDevice(unit, [SimData(a, values=v + unit, datatype=DataType.REGISTERS) for a, v in Unit().registers.items()])
        for unit in (1, 2)
    ]
    async with serial_line() as (ours, theirs):
        server = ModbusSerialServer(simulated, framer=framer, port=theirs, baudrate=19_200, ignore_missing_devices=True)
        await server.serve_forever(background=True)
        bus = Bus(Endpoint(transport, path=ours, line=SerialLine(baudrate=19_200)))
        devices = [device(bus, unit, clock) for unit in (1, 2, 3)]
        for _ in range(2):
            found = await asyncio.gather(*(values(one) for one in devices))
            assert [one.get("power_w") for one in found] == [POWER_W + 1, POWER_W + 2, None]
            assert [one.get("voltage_l1_v") for one in found] == [VOLTAGE_V + 1, VOLTAGE_V + 2, None]
        link = ModbusLink("meter", bus, 2, Manners())
        await link.open()
        await link.write(16, 100, [77])
        assert (await values(devices[1]))["voltage_l1_v"] == 77
        with pytest.raises(DeviceRefusedError):
            await link.read(4, 9_000, 1)
        link.close()
        for one in devices:
            one.close()
        await server.shutdown()  # type: ignore[no-untyped-call]


async def test_a_unit_that_never_answers_is_told_once(clock: ManualClock) -> None:
    """Its gateway accepts every connection: that alone is no sign of life."""
    async with gateway(Transport.TCP, 1) as (running, endpoint):
        running.units[1].fault = Fault.SILENT
        events = EventLog(clock)
        one = Device("meter", parse_profile(PROFILE, "this test"), endpoint.host, endpoint.port, 1, clock, events)
        async with asyncio.timeout(5):
            while len(running.units[1].asked) < 3:
                assert await one.measure() is None
                await asyncio.sleep(0.01)
        assert len(events) == 1
        one.close()


async def test_a_frame_that_a_serial_line_lost_is_no_outage(clock: ManualClock) -> None:
    async with gateway(Transport.RTU_OVER_TCP, 1) as (running, endpoint):
        events = EventLog(clock)
        profile = parse_profile(PROFILE, "this test")
        one = Device("meter", profile, "", 0, 1, clock, events, bus=Bus(endpoint))
        await one.measure()
        running.units[1].lose_next = True
        assert (await values(one))["power_w"] == POWER_W
        assert len(events) == 0
        assert one.connections == 1
        one.close()


async def test_a_serial_line_that_is_not_there_is_told_once(clock: ManualClock) -> None:
    events = EventLog(clock)
    bus = Bus(Endpoint(Transport.RTU, path="/dev/no-such-line"))
    one = Device("meter", parse_profile(PROFILE, "this test"), "", 0, 1, clock, events, bus=bus)
    for _ in range(3):
        assert await one.measure() is None
    assert len(events) == 1
    event = events.first()
    assert event is not None
    assert "/dev/no-such-line" in event.text
