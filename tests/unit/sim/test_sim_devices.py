"""Register images, checked against independent decoding."""

from __future__ import annotations

import struct

import pytest

from hearth_core.clock import ManualClock
from hearth_sim.goe_charger import GoeCharger
from hearth_sim.house import House
from hearth_sim.modbus_server import Answer, ModbusServer
from hearth_sim.nibe_heat_pump import NibeHeatPump
from hearth_sim.recorded import parse_instant
from hearth_sim.registers import ModbusRefusalError
from hearth_sim.sdm630 import Sdm630
from hearth_sim.serving import HouseOptions, build_house
from hearth_sim.sunspec_inverter import SunSpecInverter

START = parse_instant("2016-03-16T11:30:00Z")
READ, INPUT, ONE, MANY = 3, 4, 6, 16


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def house(clock: ManualClock) -> House:
    house = build_house(clock, START, HouseOptions(soc_percent=40.0))
    clock.now_s += 30
    house.advance()
    return house


def u16(data: bytes, index: int = 0) -> int:
    return int.from_bytes(data[2 * index : 2 * index + 2], "big")


def test_the_meter_speaks_big_endian_floats_and_kilowatt_hours(house: House) -> None:
    meter = Sdm630(house)
    data = meter.read(INPUT, 0, 80)
    assert struct.unpack_from(">f", data, 2 * 52)[0] == pytest.approx(house.supply().power_w, rel=1e-6)
    volts = struct.unpack_from(">3f", data, 0)
    powers = struct.unpack_from(">3f", data, 24)
    assert sum(powers) == pytest.approx(house.supply().power_w, abs=0.01)
    assert all(220 < v < 240 for v in volts)
    assert struct.unpack_from(">f", data, 140)[0] == pytest.approx(50, abs=0.05)
    imported = struct.unpack(">f", meter.read(INPUT, 72, 2))[0]
    assert imported == pytest.approx(house.counters.grid_import_wh / 1000, rel=1e-6)
    total = struct.unpack(">f", meter.read(INPUT, 342, 2))[0]
    assert total * 1000 == pytest.approx(house.counters.grid_import_wh + house.counters.grid_export_wh, rel=1e-6)


@pytest.mark.parametrize(
    ("function", "address", "count", "code"),
    [(READ, 0, 2, 1), (INPUT, 0, 81, 3), (INPUT, 78, 4, 2), (INPUT, 5000, 2, 2)],
)
def test_the_meter_refuses_what_it_does_not_have(
    house: House, function: int, address: int, count: int, code: int
) -> None:
    with pytest.raises(ModbusRefusalError) as refusal:
        Sdm630(house).read(function, address, count)
    assert refusal.value.code == code


def test_values_are_live_at_each_read(house: House, clock: ManualClock) -> None:
    meter = Sdm630(house)
    before = meter.read(INPUT, 342, 2)
    clock.now_s += 600
    assert meter.read(INPUT, 342, 2) != before


def chain(inverter: SunSpecInverter) -> list[tuple[int, int, int]]:
    assert inverter.read(READ, 40000, 2) == b"SunS"
    at = 40002
    found: list[tuple[int, int, int]] = []
    while True:
        model, length = struct.unpack(">HH", inverter.read(READ, at, 2))
        if model == 0xFFFF:
            assert length == 0
            return found
        found.append((model, length, at))
        at += 2 + length


def test_the_model_chain_can_be_walked_and_each_model_has_its_length(house: House) -> None:
    inverter = SunSpecInverter(house)
    models = chain(inverter)
    assert [model for model, _, _ in models] == [1, 103, 120, 121, 122, 123, 160, 124]
    for _, length, at in models:
        assert len(inverter.read(READ, at, 2 + length)) == 2 * (2 + length)


def test_a_read_past_the_end_marker_is_refused(house: House) -> None:
    inverter = SunSpecInverter(house)
    _, length, at = chain(inverter)[-1]
    with pytest.raises(ModbusRefusalError):
        inverter.read(READ, at, length + 5)


def test_writes_steer_the_battery_and_only_refreshes_are_told_apart(house: House, clock: ManualClock) -> None:
    inverter = SunSpecInverter(house)
    at = inverter.model_at[124]
    assert not inverter.write(MANY, at + 12, [0x10000 - 2000])  # discharge limit -20 %: charge with 1 kW
    assert not inverter.write(MANY, at + 17, [1])
    assert inverter.write(ONE, at + 15, [60])
    assert not inverter.write(ONE, at + 5, [2])
    assert inverter.write(ONE, at + 5, [2])
    clock.now_s += 30
    data = inverter.read(READ, at, 26)
    assert (u16(data, 5), u16(data, 12), u16(data, 15), u16(data, 17)) == (2, 0x10000 - 2000, 60, 1)
    assert house.flows.battery_w <= -1000 + 1
    clock.now_s += 31
    assert u16(inverter.read(READ, at + 5, 1)) == 0
    assert house.storage.reversions == 1


def test_each_write_to_the_block_renews_the_lease(house: House, clock: ManualClock) -> None:
    inverter = SunSpecInverter(house)
    at = inverter.model_at[124]
    inverter.write(MANY, at + 15, [60])
    inverter.write(MANY, at + 5, [3])
    for _ in range(10):
        clock.now_s += 45
        inverter.write(MANY, at + 12, [10_000])
    assert u16(inverter.read(READ, at + 5, 1)) == 3
    assert house.storage.reversions == 0


def test_the_output_limit_has_a_lease_of_its_own(house: House, clock: ManualClock) -> None:
    inverter = SunSpecInverter(house)
    at = inverter.model_at[123]
    inverter.write(MANY, at + 5, [1000, 0, 30])
    inverter.write(ONE, at + 9, [1])
    clock.now_s += 10
    house.advance()
    assert house.flows.inverter_w <= 1000 + 1e-6
    clock.now_s += 25
    assert u16(inverter.read(READ, at + 9, 1)) == 0


@pytest.mark.parametrize(
    ("offset", "values", "code"),
    [(5, [4], 3), (12, [10_001], 3), (17, [2], 3), (2, [9000], 2), (8, [5000], 2), (12, [0, 0, 0, 0, 0, 2], 3)],
)
def test_a_wrong_write_is_refused_as_a_whole(house: House, offset: int, values: list[int], code: int) -> None:
    inverter = SunSpecInverter(house)
    at = inverter.model_at[124]
    before = inverter.read(READ, at, 26)
    with pytest.raises(ModbusRefusalError) as refusal:
        inverter.write(MANY, at + offset, values)
    assert refusal.value.code == code
    assert inverter.read(READ, at, 26) == before


def test_dc_side_and_ac_side_agree(house: House, clock: ManualClock) -> None:
    inverter = SunSpecInverter(house)
    clock.now_s += 60
    strings = inverter.read(READ, inverter.model_at[160], 90)
    power = [u16(strings, 10 + 20 * module + 11) for module in range(4)]
    ac_w = struct.unpack(">h", inverter.read(READ, inverter.model_at[103] + 14, 1))[0]
    pv_ac = (power[0] + power[1]) * 0.97
    battery_ac = power[3] * 0.97 - power[2] / 0.97
    assert pv_ac > 100
    assert ac_w == pytest.approx(pv_ac + battery_ac, abs=3)


def test_the_charger_takes_many_registers_only_and_keeps_its_range(house: House) -> None:
    charger = GoeCharger(house)
    with pytest.raises(ModbusRefusalError) as refusal:
        charger.write(ONE, 299, [10])
    assert refusal.value.code == 1
    with pytest.raises(ModbusRefusalError) as refusal:
        charger.write(MANY, 299, [5])
    assert refusal.value.code == 3
    charger.write(MANY, 299, [10])
    assert house.charger.limit_a == 10
    charger.write(MANY, 299, [32])
    assert house.charger.limit_a == 16
    assert u16(charger.read(READ, 299, 1)) == 32


def test_the_charger_shows_what_the_car_draws(house: House, clock: ManualClock) -> None:
    clock.now_s = parse_instant("2016-03-17T10:20:00Z")  # recorded: 2649 Wh in this hour
    charger = GoeCharger(house)
    data = charger.read(INPUT, 100, 34)
    assert u16(data) == 2
    assert struct.unpack_from(">I", data, 40)[0] / 100 == pytest.approx(2649, abs=1)
    assert struct.unpack_from(">I", data, 28)[0] / 10 == pytest.approx(2649 / 232, abs=0.3)
    assert struct.unpack_from(">I", data, 64)[0] * 10 / 3600 == pytest.approx(house.charger.session_wh, abs=0.01)
    charger.write(MANY, 337, [1])
    clock.now_s += 10
    assert u16(charger.read(INPUT, 100, 1)) == 3


def test_the_heat_pump_obeys_only_once_its_interface_is_on(house: House, clock: ManualClock) -> None:
    pump = NibeHeatPump(house)
    pump.write(ONE, 6008, [0])
    assert u16(pump.read(INPUT, 1911, 1)) == 20
    assert not house.heat_pump_blocked
    pump.write(ONE, 3032, [1])
    assert u16(pump.read(INPUT, 1911, 1)) == 10
    assert house.heat_pump_blocked
    clock.now_s += 10
    low, high = struct.unpack(">HH", pump.read(INPUT, 2166, 2))
    assert low + (high << 16) == round(house.flows.heat_pump_w) <= 10
    outdoor = struct.unpack(">h", pump.read(INPUT, 1, 1))[0] / 10
    assert -10 < outdoor < 20


def request(function: int, *numbers: int) -> bytes:
    return bytes([function]) + struct.pack(f">{len(numbers)}H", *numbers)


def test_the_server_answers_exceptions_by_the_book(house: House) -> None:
    server = ModbusServer([Sdm630(house)])
    assert server.answer(1, request(INPUT, 0, 2)) is not None
    assert server.answer(2, request(INPUT, 0, 2)) == bytes([0x84, 0x0B])
    assert server.answer(1, request(INPUT, 0, 126)) == bytes([0x84, 3])
    assert server.answer(1, request(INPUT, 0, 0)) == bytes([0x84, 3])
    assert server.answer(1, request(INPUT, 900, 2)) == bytes([0x84, 2])
    assert server.answer(1, request(1, 0, 1)) == bytes([0x81, 1])
    assert server.answer(1, bytes([INPUT, 0])) == bytes([0x84, 3])
    assert server.answer(1, bytes([16, 0, 0, 0, 2, 3, 0, 0, 0])) == bytes([0x90, 3])


def test_faults_change_the_answer_and_ignored_writes_do_nothing(house: House) -> None:
    inverter = SunSpecInverter(house)
    server = ModbusServer([inverter])
    ask = request(READ, 40000, 2)
    server.faults.answer = Answer.SILENT
    assert server.answer(1, ask) is None
    server.faults.answer = Answer.REFUSING
    server.faults.exception_code = 6
    assert server.answer(1, ask) == bytes([0x83, 6])
    server.faults.answer = Answer.NOT_AVAILABLE
    assert server.answer(1, ask) == bytes([3, 4, 0x80, 0, 0x80, 0])
    server.faults.answer = Answer.GARBAGE
    garbled = server.answer(1, ask)
    assert garbled is not None
    assert len(garbled) == 6
    server.faults.answer = Answer.NORMAL
    order = request(6, inverter.model_at[124] + 5, 3)
    server.faults.ignore_writes = True
    assert server.answer(1, order) == order
    assert (house.storage.mode, server.written.writes) == (0, 0)
    server.faults.ignore_writes = False
    assert server.answer(1, order) == order
    assert (house.storage.mode, server.written.writes, server.written.refreshes) == (3, 1, 0)
