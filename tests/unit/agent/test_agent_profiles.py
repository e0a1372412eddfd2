"""The shipped profiles decode register images written by hand from the makers' documents."""

from __future__ import annotations

import math
import struct

import pytest

from hearth_agent.devices.catalogue import shipped_names, shipped_profile
from hearth_agent.devices.layout import Block, Chain, lay_out
from hearth_agent.devices.profile import Poll, Profile, Protocol
from hearth_agent.devices.readplan import Answer, ReadPlan
from hearth_core.points import POINTS, is_known

Image = dict[tuple[int, int], int]
"""(function code, address) -> register."""

# a Fronius GEN24 with int+SF setting: where its models lie, and how long they are
GEN24 = Chain(
    (
        *(Block(1, 40002, 65), Block(103, 40069, 50), Block(120, 40121, 26), Block(121, 40149, 30)),
        *(Block(122, 40181, 44), Block(123, 40227, 24), Block(160, 40253, 88), Block(124, 40343, 24)),
    )
)


def put_f32(image: Image, address: int, value: float) -> None:
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    image[4, address], image[4, address + 1] = high, low


def put_u32(image: Image, fc: int, address: int, value: int) -> None:
    image[fc, address], image[fc, address + 1] = value >> 16, value & 0xFFFF


def read(profile: Profile, image: Image, chain: Chain | None = None, poll: Poll = Poll.POLL) -> dict[str, float]:
    """Read as the driver does; a register nobody put is 0, as behind a real device."""
    points = [point for point in lay_out(profile, chain) if poll is Poll.POLL or point.poll is poll]
    plan = ReadPlan(points, profile.max_registers, profile.max_gap)
    answers: list[Answer] = [[image.get((r.fc, a), 0) for a in range(r.address, r.end)] for r in plan.requests]
    return plan.decode(answers)


def sdm630() -> Image:
    image: Image = {}
    for address, value in [(0, 231.5), (2, 230.0), (4, 229.25), (6, 4.5), (8, 0.5), (10, 10.0)]:
        put_f32(image, address, value)
    for address, value in [(12, 1000.0), (14, -100.0), (16, 2300.0), (52, 3200.0), (70, 50.0)]:
        put_f32(image, address, value)
    put_f32(image, 72, 1234.5)  # kWh
    put_f32(image, 74, 0.25)
    return image


def test_the_sdm630_tells_watts_and_watt_hours() -> None:
    values = read(shipped_profile("eastron-sdm630"), sdm630())
    assert values == {
        "voltage_l1_v": 231.5,
        "voltage_l2_v": 230.0,
        "voltage_l3_v": 229.25,
        "current_l1_a": 4.5,
        "current_l2_a": 0.5,
        "current_l3_a": 10.0,
        "power_l1_w": 1000.0,
        "power_l2_w": -100.0,
        "power_l3_w": 2300.0,
        "power_w": 3200.0,
        "frequency_hz": 50.0,
        "import_energy_wh": 1_234_500.0,
        "export_energy_wh": 250.0,
    }


def test_what_limits_need_is_read_with_one_request() -> None:
    profile = shipped_profile("eastron-sdm630")
    values = read(profile, sdm630(), poll=Poll.CONTROL)
    assert set(values) == {
        f"{what}_l{n}_{unit}" for what, unit in (("power", "w"), ("current", "a")) for n in (1, 2, 3)
    } | {"power_w"}
    urgent = [p for p in lay_out(profile, None) if p.poll is Poll.CONTROL]
    assert len(ReadPlan(urgent, profile.max_registers, profile.max_gap).requests) <= 2


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e30])
def test_a_meter_that_answers_garbage_has_no_power_instead_of_none_at_all(bad: float) -> None:
    """0 W would make the battery believe that the house is balanced."""
    image = sdm630()
    put_f32(image, 52, bad)
    values = read(shipped_profile("eastron-sdm630"), image)
    assert "power_w" not in values
    assert values["power_l1_w"] == 1000.0


def gen24(soc: int = 5525, w: int = 3210) -> Image:
    """Registers of a GEN24 that gives 3.21 kW, 4.1 kW from the roof, 0.8 kW into the battery."""
    image: Image = {}
    inverter, mppt, storage = 40069, 40253, 40343

    def put(base: int, offset: int, value: int) -> None:
        image[3, base + offset] = value & 0xFFFF

    for offset, value in [(3, 451), (6, -2), (10, 2305), (13, -1), (14, w), (15, 0), (16, 4998), (17, -2), (38, 4)]:
        put(inverter, offset, value)
    put_u32(image, 3, inverter + 24, 7_654_321)
    put(inverter, 26, 0)
    for offset, value in [(2, -2), (3, -1), (4, -1), (5, 0), (8, 4)]:
        put(mppt, offset, value)
    for module, (dcw, dcwh) in enumerate([(25_000, 4_000_000), (16_000, 2_000_000), (8_000, 900_000), (0, 700_000)]):
        put(mppt, 10 + 20 * module + 11, dcw)
        put_u32(image, 3, mppt + 10 + 20 * module + 12, dcwh)
    for offset, value in [(2, 5000), (18, 0), (8, soc), (22, -2), (25, -2)]:
        put(storage, offset, value)
    return image


def test_the_gen24_tells_pv_battery_and_charge_in_the_homes_signs() -> None:
    values = read(shipped_profile("sunspec-hybrid"), gen24(), GEN24)
    assert values == {
        "power_w": 3210.0,
        "voltage_l1_v": 230.5,
        "current_l1_a": 4.51,
        "frequency_hz": pytest.approx(49.98),
        "energy_wh": 7_654_321.0,
        "operating_state": 4.0,
        "pv_power_w": 4100.0,
        "pv_energy_wh": 6_000_000.0,
        "battery_power_w": -800.0,
        "battery_charge_energy_wh": 900_000.0,
        "battery_discharge_energy_wh": 700_000.0,
        "soc_percent": pytest.approx(55.25),
    }


def test_a_hybrid_inverter_is_read_with_two_requests() -> None:
    profile = shipped_profile("sunspec-hybrid")
    plan = ReadPlan(lay_out(profile, GEN24), profile.max_registers, profile.max_gap)
    assert len(plan.requests) == 2


@pytest.mark.parametrize(
    ("address", "raw", "lost"),
    [
        (40083, 0x8000, "power_w"),  # W not implemented
        (40084, 0x8000, "power_w"),  # its scale factor not implemented
        (40084, 40, "power_w"),  # a scale factor that cannot be
        (40351, 0xFFFF, "soc_percent"),
        (40351, 60_000, "soc_percent"),  # 600 %
        (40253 + 10 + 60 + 11, 0xFFFF, "battery_power_w"),  # module 4 does not tell its power
    ],
)
def test_what_a_sunspec_device_does_not_implement_is_missing(address: int, raw: int, lost: str) -> None:
    image = gen24()
    image[3, address] = raw
    values = read(shipped_profile("sunspec-hybrid"), image, GEN24)
    assert lost not in values
    assert len(values) == 11


def test_a_counter_that_never_counted_is_missing() -> None:
    image = gen24()
    put_u32(image, 3, 40069 + 24, 0)  # acc32: 0 means not accumulated
    assert "energy_wh" not in read(shipped_profile("sunspec-hybrid"), image, GEN24)


def test_a_float_inverter_is_found_behind_other_models() -> None:
    """The float setting moves every address: offsets must come from the device's own chain."""
    chain = Chain((Block(113, 40069, 60), Block(160, 40300, 88), Block(124, 40500, 24)))
    image: Image = {}
    high, low = struct.unpack(">HH", struct.pack(">f", -750.5))
    image[3, 40069 + 22], image[3, 40069 + 23] = high, low
    assert read(shipped_profile("sunspec-hybrid"), image, chain)["power_w"] == -750.5


def test_an_inverter_with_two_modules_has_no_battery_points() -> None:
    chain = Chain((Block(103, 40069, 50), Block(160, 40253, 48), Block(124, 40343, 24)))
    values = read(shipped_profile("sunspec-hybrid"), gen24(), chain)
    assert values["pv_power_w"] == 4100.0
    assert "battery_power_w" not in values


def test_the_go_e_charger_tells_watts_amperes_and_its_car() -> None:
    image: Image = {(4, 100): 2, (3, 299): 13}
    for address, value in [(108, 230), (110, 231), (112, 229), (114, 159), (116, 0), (118, 0), (120, 365_700)]:
        put_u32(image, 4, address, value)
    put_u32(image, 4, 128, 98_765)  # 9876.5 kWh
    put_u32(image, 4, 132, 360_000)  # 3.6 MWs = 1 kWh
    values = read(shipped_profile("go-e"), image)
    assert values == {
        "vehicle_state": 3.0,
        "voltage_l1_v": 230.0,
        "voltage_l2_v": 231.0,
        "voltage_l3_v": 229.0,
        "current_l1_a": pytest.approx(15.9),
        "current_l2_a": 0.0,
        "current_l3_a": 0.0,
        "power_w": 3657.0,
        "energy_wh": 9_876_500.0,
        "session_energy_wh": pytest.approx(1000.0),
        "current_limit_a": 13.0,
    }


def test_a_car_state_nobody_documented_is_missing() -> None:
    assert "vehicle_state" not in read(shipped_profile("go-e"), {(4, 100): 77})


def test_the_nibe_has_its_low_word_first_and_frost_below_zero() -> None:
    image: Image = {(4, 1): 0x10000 - 75, (4, 8): 487, (4, 1028): 30}
    image[4, 2166], image[4, 2167] = 70_000 & 0xFFFF, 70_000 >> 16
    values = read(shipped_profile("nibe-s-series"), image)
    assert values == {
        "outdoor_temperature_c": pytest.approx(-7.5),
        "water_temperature_c": pytest.approx(48.7),
        "operating_state": 30.0,
        "power_w": 70_000.0,
    }
    image[4, 1] = 0x8000
    assert "outdoor_temperature_c" not in read(shipped_profile("nibe-s-series"), image)


def test_a_refused_request_costs_only_its_own_points() -> None:
    profile = shipped_profile("nibe-s-series")
    plan = ReadPlan(lay_out(profile, None), profile.max_registers, profile.max_gap)
    answers: list[Answer] = [[0] * (r.end - r.address) for r in plan.requests]
    answers[0] = None
    assert set(plan.decode(answers)) == {"water_temperature_c", "operating_state", "power_w"}


# their makers document no register of the power they draw
_WITHOUT_A_METER = {"phoenix-ev-serial", "stiebel-isg-lwa", "stiebel-isg-wpm", "waveshare-sg-ready"}


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_profile_speaks_the_vocabulary(name: str) -> None:
    profile = shipped_profile(name)
    assert profile.profile == name
    assert all(is_known(point) for point in profile.points)
    assert ("power_w" in profile.points) is (name not in _WITHOUT_A_METER)
    assert POINTS.keys() >= {p for p in profile.points if not p.startswith("x_")}
    if profile.protocol is Protocol.REGISTERS:
        assert lay_out(profile, None)
