"""The simulated devices on real sockets, read by clients that nobody here wrote."""

from __future__ import annotations

import asyncio
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Iterator

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from hearth_core.clock import ManualClock
from hearth_sim.recorded import parse_instant
from hearth_sim.testing import Answer, HouseOptions, RunningHouse, running_house

START = parse_instant("2016-04-04T11:00:00Z")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def running(clock: ManualClock) -> AsyncIterator[RunningHouse]:
    async with running_house(clock, options=HouseOptions(soc_percent=40.0)) as house:
        yield house


def scan(port: int) -> Iterator[SunSpecModbusClientDeviceTCP]:
    device = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=3)
    device.scan()
    try:
        yield device
    finally:
        device.close()


async def test_pysunspec2_reads_the_inverter(running: RunningHouse, clock: ManualClock) -> None:
    clock.now_s += 60
    running.house.advance()

    def read() -> None:
        for device in scan(running.ports["inverter"]):
            assert [model.model_id for model in device.model_list] == [1, 103, 120, 121, 122, 123, 160, 124]
            for model in device.model_list:
                assert model.error_info == ""
            inverter, storage = device.inverter_three_phase[0], device.storage_basic[0]
            flows, counters = running.house.flows, running.house.counters
            assert device.common[0].Md.value == "Hybrid 10.0 Simulator"
            assert inverter.W.cvalue == pytest.approx(flows.inverter_w, abs=0.5)
            assert inverter.WH.cvalue == int(counters.inverter_wh)
            assert inverter.Hz.cvalue == pytest.approx(50, abs=0.05)
            assert inverter.PhVphA.cvalue == pytest.approx(232, abs=6)
            assert inverter.St.value == 4
            assert device.nameplate[0].WHRtg.cvalue == 10_000
            assert device.settings[0].WMax.cvalue == 10_000
            assert storage.WChaMax.cvalue == 5000
            assert storage.ChaState.cvalue == pytest.approx(running.house.soc_percent, abs=0.01)
            assert storage.ChaSt.value == 4
            modules = device.mppt[0].groups["module"]
            watts = [module.DCW.cvalue for module in modules]
            assert watts[0] + watts[1] == pytest.approx(flows.pv_w / 0.97, abs=1.5)
            assert watts[2] == pytest.approx(-flows.battery_w * 0.97, abs=1)
            assert watts[3] == 0

    await asyncio.to_thread(read)


async def test_pysunspec2_commands_a_discharge_that_ends_with_its_lease(
    running: RunningHouse, clock: ManualClock
) -> None:
    def order() -> None:
        for device in scan(running.ports["inverter"]):
            storage = device.storage_basic[0]
            storage.InOutWRte_RvrtTms.cvalue = 60
            storage.InWRte.cvalue = -40.0
            storage.StorCtl_Mod.value = 1
            storage.write()

    await asyncio.to_thread(order)
    clock.now_s += 20
    running.house.advance()
    assert running.house.flows.battery_w == pytest.approx(2000, abs=1)
    clock.now_s += 60
    running.house.advance()
    assert running.house.storage.mode == 0
    assert running.house.flows.battery_w < 0
    report = running.truth()
    assert report["reversions"] == 1
    assert report["register_writes"]["inverter"]["writes"] >= 1  # type: ignore[index]


async def client_of(running: RunningHouse, device: str, timeout_s: float = 2.0) -> AsyncModbusTcpClient:
    client = AsyncModbusTcpClient("127.0.0.1", port=running.ports[device], timeout=timeout_s, retries=0)
    assert await client.connect()
    return client


async def test_pymodbus_reads_every_device(running: RunningHouse) -> None:
    house = running.house
    meter = await client_of(running, "grid")
    answer = await meter.read_input_registers(52, count=2, device_id=1)
    power_w = meter.convert_from_registers(answer.registers, meter.DATATYPE.FLOAT32)
    assert power_w == pytest.approx(house.supply().power_w, rel=1e-6)
    charger = await client_of(running, "charger")
    assert (await charger.read_holding_registers(299, count=1, device_id=1)).registers == [16]
    pump = await client_of(running, "heat-pump")
    answer = await pump.read_input_registers(2166, count=2, device_id=1)
    watts = pump.convert_from_registers(answer.registers, pump.DATATYPE.UINT32, word_order="little")
    assert watts == round(house.flows.heat_pump_w)
    unknown = await meter.read_input_registers(0, count=2, device_id=9)
    assert unknown.exception_code == 0x0B
    for client in (meter, charger, pump):
        client.close()


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed")
async def test_mbpoll_reads_the_meter(running: RunningHouse) -> None:
    arguments = f"-m tcp -p {running.ports['grid']} -a 1 -t 3:float -B -0 -r 52 -1 127.0.0.1".split()
    process = await asyncio.create_subprocess_exec("mbpoll", *arguments, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    value = float(output.decode().split("[52]:")[1].split()[0])
    assert value == pytest.approx(running.house.supply().power_w, abs=0.1)


async def test_a_silent_device_times_out_and_a_reborn_one_answers(running: RunningHouse) -> None:
    client = await client_of(running, "grid", timeout_s=0.2)
    running.faults["grid"].answer = Answer.SILENT
    with pytest.raises(ModbusIOException):
        await client.read_input_registers(0, count=2, device_id=1)
    running.faults["grid"].answer = Answer.NORMAL
    assert not (await client.read_input_registers(0, count=2, device_id=1)).isError()
    client.close()
    await running.unplug("grid")
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", running.ports["grid"])
    await running.plug_in("grid")
    again = await client_of(running, "grid")
    assert not (await again.read_input_registers(0, count=2, device_id=1)).isError()
    again.close()


async def test_requests_in_one_packet_are_answered_in_order_and_nonsense_ends_the_connection(
    running: RunningHouse,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.ports["inverter"])
    frames = [struct.pack(">HHHBBHH", number, 0, 6, 1, 3, 40000, 2) for number in (7, 8)]
    whole = b"".join(frames)
    writer.write(whole[:5])
    await asyncio.sleep(0.01)
    writer.write(whole[5:])
    answer = await reader.readexactly(26)
    assert answer == b"".join(struct.pack(">HHHBBB4s", n, 0, 7, 1, 3, 4, b"SunS") for n in (7, 8))
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await reader.readexactly(1)
    writer.close()


async def test_a_taken_port_leaves_nothing_half_started(clock: ManualClock) -> None:
    from hearth_core.errors import ConfigError
    from hearth_sim.serving import HouseServer, build_house

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = HouseServer(build_house(clock, START, HouseOptions()))
        with pytest.raises(ConfigError, match="port"):
            await server.start("127.0.0.1", {"heat-pump": taken.getsockname()[1]})
    for name in ("grid", "inverter", "charger"):
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", server.ports[name])
