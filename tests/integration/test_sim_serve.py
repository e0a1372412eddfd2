"""Served recordings, asked by clients that nobody here wrote: mbpoll, pysunspec2 and pymodbus."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from hearth_core.clock import ManualClock
from hearth_core.errors import ConfigError
from hearth_sim.cli import app
from hearth_sim.framing import Framing
from hearth_sim.recordings import load
from hearth_sim.serving_recordings import devices_of, served, served_serially

PROGRAM = [sys.executable, "-c", "from hearth_sim.cli import main; main()"]
needs_mbpoll = pytest.mark.skipif(
    shutil.which("mbpoll") is None, reason="mbpoll is not installed: apt install mbpoll (Debian and Ubuntu)"
)


async def mbpoll(*arguments: object) -> tuple[dict[int, float], str]:
    """Run mbpoll once; return the values by address, and everything it said."""
    words = ["-B", "-0", "-1", "-o", "0.3", *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(
        "mbpoll", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    said = output.decode()
    lines = [line.split(":") for line in said.splitlines() if line.startswith("[")]
    return {int(name.strip("[]")): float(value.split()[0]) for name, value in lines}, said


def tcp(port: int, unit: int) -> list[object]:
    return ["-m", "tcp", "-p", port, "-a", unit]


@needs_mbpoll
async def test_mbpoll_reads_what_the_recordings_expect() -> None:
    async with served(devices_of("sdm630", unit=3) + devices_of("go-e") + devices_of("keba-p30")) as running:
        meter = tcp(running.port, 3)
        powers, _ = await mbpoll(*meter, "-t", "3:float", "-r", 12, "-c", 3, "127.0.0.1")
        assert powers == {12: -2065.5, 14: 546.25, 16: -1875.75}
        expect = load("go-e").expect
        for table in ("3:int", "4:int"):  # both functions read every register of a go-e
            power, _ = await mbpoll(*tcp(running.port, 1), "-t", table, "-r", 120, "127.0.0.1")
            assert power[120] / 100 == pytest.approx(expect["power_w"], abs=0.005)
        charger = [*tcp(running.port, 255), "-t", "4:int"]
        power, _ = await mbpoll(*charger, "-r", 1020, "127.0.0.1")
        assert power[1020] / 1000 == load("keba-p30").expect["power_w"]
        two_values, said = await mbpoll(*charger, "-r", 1040, "-c", 2, "127.0.0.1")
        assert two_values == {}
        assert "Illegal data address" in said
        _, said = await mbpoll(*tcp(running.port, 7), "-t", "3:float", "-r", 12, "127.0.0.1")
        assert "Target device failed to respond" in said


@needs_mbpoll
async def test_mbpoll_orders_a_current_and_a_wrong_one_is_refused() -> None:
    async with served(devices_of("go-e")) as running:
        register = [*tcp(running.port, 1), "-t", 4, "-r", 299]
        _, said = await mbpoll(*register, "127.0.0.1", 10)  # function 6
        assert "Illegal function" in said
        _, said = await mbpoll(*register, "127.0.0.1", 33, 10)  # function 16
        assert "Illegal data value" in said
        _, said = await mbpoll(*register, "127.0.0.1", 10, 11)
        assert "Written 2 references" in said
        values, _ = await mbpoll(*register, "-c", 2, "127.0.0.1")
        assert values == {299: 10, 300: 11}
        assert [(one.function, one.address, one.values) for one in running.device.written] == [(16, 299, (10, 11))]


@needs_mbpoll
async def test_mbpoll_reads_two_devices_on_one_serial_line(tmp_path: Path) -> None:
    on_the_bus = devices_of("sdm630", unit=1) + devices_of("sdm630", unit=2)
    async with served_serially(on_the_bus, tmp_path / "line") as running:
        on_the_bus[1]._registers[4][52] = 0x4500  # 2048 W and a little
        line = ["-m", "rtu", "-b", 9600, "-P", "none", "-t", "3:float", "-r", 52]
        first, _ = await mbpoll(*line, "-a", 1, running.path)
        second, _ = await mbpoll(*line, "-a", 2, running.path)
        assert first == {52: -3395.0}
        assert 2048 <= second[52] < 2060
        _, said = await mbpoll(*line, "-a", 3, running.path)
        assert "timed out" in said
    assert not (tmp_path / "line").exists()


def scan(port: int) -> Iterator[SunSpecModbusClientDeviceTCP]:
    device = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=3)
    device.scan()
    try:
        yield device
    finally:
        device.close()


async def test_pysunspec2_finds_every_model_and_steers_the_battery_until_nobody_renews() -> None:
    clock = ManualClock(1_460_000_000.0)
    expect = load("fronius-gen24").expect

    def read_and_order(port: int) -> None:
        for device in scan(port):
            assert [model.model_id for model in device.model_list] == [1, 103, 120, 121, 122, 123, 160, 124]
            for model in device.model_list:
                assert model.error_info == ""
            assert device.common[0].Mn.value == "Fronius"
            inverter, storage = device.inverter_three_phase[0], device.storage_basic[0]
            assert inverter.W.cvalue == expect["power_w"]
            assert inverter.Hz.cvalue == pytest.approx(expect["frequency_hz"])
            assert inverter.WH.cvalue == expect["energy_wh"]
            watts = [module.DCW.cvalue for module in device.mppt[0].groups["module"]]
            assert watts[0] + watts[1] == pytest.approx(expect["pv_power_w"])
            assert watts[3] - watts[2] == pytest.approx(expect["battery_power_w"])
            assert storage.ChaState.cvalue == pytest.approx(expect["soc_percent"])
            storage.InOutWRte_RvrtTms.cvalue = 60
            storage.OutWRte.cvalue = -20.0  # charge with a fifth
            storage.StorCtl_Mod.value = 2
            storage.write()

    async with served(devices_of("gen24", clock=clock)) as running:
        await asyncio.to_thread(read_and_order, running.port)
        mode, rate = 40348, 40355
        assert (running.device.holds(mode), running.device.holds(rate)) == (2, 0x10000 - 2000)
        clock.now_s += 59
        assert running.device.holds(mode) == 2
        clock.now_s += 1
        assert running.device.holds(mode) == 0
        assert running.device.reversions == 1


@pytest.mark.parametrize(
    ("framing", "framer"), [(Framing.RTU, FramerType.RTU), (Framing.ASCII, FramerType.ASCII)], ids=["rtu", "ascii"]
)
async def test_pymodbus_reads_and_writes_through_a_serial_server(framing: Framing, framer: FramerType) -> None:
    async with served(devices_of("go-e", unit=9), framing=framing) as running:
        client = AsyncModbusTcpClient(
            "127.0.0.1", port=running.port, framer=framer, timeout=1, retries=0, reconnect_delay=0
        )
        assert await client.connect()
        read = await client.read_input_registers(108, count=6, device_id=9)
        assert read.registers == [0, 229, 0, 231, 0, 233]
        assert not (await client.write_registers(332, [1, 0, 0, 0, 500, 1], device_id=9)).isError()
        assert (await client.read_holding_registers(332, count=6, device_id=9)).registers == [1, 0, 0, 0, 500, 1]
        client.close()


@needs_mbpoll
async def test_the_command_serves_a_file_of_ones_own_and_logs_what_it_is_told(tmp_path: Path) -> None:
    file, log = tmp_path / "mine.yaml", tmp_path / "writes.jsonl"
    file.write_text(
        "device: mine\nsource: a test\norigin: facts\nunits: {4: [{address: 7, u16: 5}]}\nwritable: [{address: 7}]\n"
    )
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *f"serve --file {file} --port 0 --unit 6 --log {log}".split(), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    first = (await asyncio.wait_for(process.stdout.readline(), 15)).decode()
    assert first.startswith("mine, unit 6, listening on 127.0.0.1:")
    assert (await process.stdout.readline()).decode() == "ready\n"
    port = int(first.rpartition(":")[2])
    values, _ = await mbpoll(*tcp(port, 6), "-t", 4, "-r", 7, "127.0.0.1")
    assert values == {7: 5}
    await mbpoll(*tcp(port, 6), "-t", 4, "-r", 7, "127.0.0.1", 11)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 5) == 0
    (line,) = map(json.loads, log.read_text().splitlines())
    assert (line["unit"], line["function"], line["address"], line["values"]) == (6, 6, 7, [11])


@pytest.mark.parametrize(
    ("arguments", "clue"),
    [
        ([], "Give --device or --file"),
        (["--device", "sdm630", "--file", "x.yaml"], "Give --device or --file"),
        (["--file", "/no/such.yaml"], "cannot be read"),
        (["--device", "sdm630", "--transport", "rtu", "--serial", "/no/such/folder/line"], "serial port"),
        (["--device", "sdm630", "--log", "/no/such/folder/log"], "cannot be written"),
    ],
)
def test_a_wrong_command_is_explained(arguments: list[str], clue: str) -> None:
    with pytest.raises(ConfigError, match=clue):
        app(["serve", *arguments], standalone_mode=False)
