"""The plain way to a safe state: over every transport, with coils and single bits, beside devices that hang."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from hearth_agent.control.ordered import Contact, Ordered, OrdersFile, SafeWrite
from hearth_agent.control.reassert import reassert
from hearth_sim.framing import Framing
from hearth_sim.modbus_server import Answer
from hearth_sim.recorded_device import RecordedDevice
from hearth_sim.recordings import parse
from hearth_sim.serving_recordings import Served, served, served_serially

SAFE = [
    SafeWrite(16, 1, [16, 0]),
    SafeWrite(6, 4, [0x00F0], mask=0x00FF),
    SafeWrite(5, 7, [1]),
    SafeWrite(16, 20, [5], verify=False),
]


def device() -> RecordedDevice:
    text = """
    device: bank
    source: the test
    origin: facts
    units:
      1: [{address: 0, u16: [0, 8, 1, 0, 0xAB12]}, {fc: 1, address: 7, u16: [0]}]
    writable: [{address: 0, count: 8}, {address: 20, count: 1}, {fc: 1, address: 7, count: 1}]
    write_functions: [5, 6, 16]
    """
    return RecordedDevice(parse(text, "bank.yaml"))


async def make_safe(folder: Path, *contacts: Contact, patience_s: float = 1.0) -> tuple[OrdersFile, list[str]]:
    orders = OrdersFile.load(folder / "orders.json")
    for index, contact in enumerate(contacts):
        orders.put(Ordered(f"d{index}", "ev_current", contact, SAFE))
    return orders, await asyncio.to_thread(reassert, orders, patience_s)


def assert_safe(bank: Served) -> None:
    one = bank.device
    assert [one.holds(1), one.holds(2), one.holds(4), one.holds(7, 1), one.holds(20)] == [16, 0, 0xABF0, 1, 5]


@pytest.mark.parametrize(("framing", "transport"), [(Framing.TCP, "tcp"), (Framing.RTU, "rtu_over_tcp")])
async def test_over_tcp(tmp_path: Path, framing: Framing, transport: str) -> None:
    async with served([device()], framing=framing) as bank:
        orders, failures = await make_safe(tmp_path, Contact(bank.host, bank.port, 1, transport))
        assert failures == []
        assert_safe(bank)
    assert OrdersFile.load(orders.path).entries == []


@pytest.mark.parametrize("framing", [Framing.RTU, Framing.ASCII])
async def test_over_a_serial_line(tmp_path: Path, framing: Framing) -> None:
    async with served_serially([device()], framing=framing) as bank:
        _, failures = await make_safe(tmp_path, Contact(bank.path, 0, 1, str(framing.value)))
        assert failures == []
        assert_safe(bank)


async def test_one_that_hangs_delays_no_other_and_stays_in_the_file(tmp_path: Path) -> None:
    async with served([device()]) as good, served([device()]) as silent, served([device()]) as deaf:
        silent.server.faults.answer = Answer.SILENT
        deaf.server.faults.ignore_writes = True
        contacts = [Contact(one.host, one.port, 1, timeout_s=0.5) for one in (good, silent, deaf)]
        began_s = time.monotonic()
        orders, failures = await make_safe(tmp_path, *contacts, patience_s=1.0)
        assert time.monotonic() - began_s < 2.5
        assert_safe(good)
        assert sorted(text.split(":")[0] for text in failures) == ["d1/ev_current", "d2/ev_current"]
        assert [entry.device for entry in orders.entries] == ["d1", "d2"]
        silent.server.faults.answer, deaf.server.faults.ignore_writes = Answer.NORMAL, False
        assert await asyncio.to_thread(reassert, orders, 1.0) == []
        assert_safe(silent)
        assert_safe(deaf)
