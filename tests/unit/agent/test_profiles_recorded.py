"""The GoodWe and GivEnergy profiles decode what real inverters said, and the values obey physics.

Nothing here knows the right numbers: power that goes in must come out, phases must add up, counters only grow.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from hearth_agent.devices.catalogue import shipped_profile
from hearth_agent.devices.codec import interpret, text
from hearth_agent.devices.identity import holds, span
from hearth_agent.devices.layout import lay_out
from hearth_agent.devices.packing import Span
from hearth_agent.devices.profile import RegisterType
from hearth_agent.devices.readplan import Answer, ReadPlan

_DATA = Path(__file__).parents[2] / "data" / "devices"
Image = dict[tuple[int, int], int]
"""(function code, address) -> register."""


def read(name: str, image: Image) -> dict[str, float]:
    """Read with a shipped profile; a request for a register nobody recorded is refused."""
    profile = shipped_profile(name)
    plan = ReadPlan(lay_out(profile, None), profile.max_registers, profile.max_gap)
    return plan.decode([answer(image, request) for request in plan.requests])


def answer(image: Image, request: Span) -> Answer:
    found = [image.get((request.fc, address)) for address in range(request.address, request.end)]
    return [register for register in found if register is not None] if None not in found else None


def identified(name: str, image: Image) -> bool:
    return all(holds(check, answer(image, span(check))) for check in shipped_profile(name).identity.checks)


def signed(image: Image, fc: int, address: int) -> float:
    number = interpret(image[fc, address], RegisterType.S16)
    assert number is not None
    return number


def crc(data: bytes) -> int:
    """CRC-16 of Modbus."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value


def words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


# --- GoodWe

_HYBRID, _STRING = 247, 127
_FIRST_REGISTER = {
    (_HYBRID, "device_info"): 35000,
    (_HYBRID, "running_data"): 35100,
    (_HYBRID, "mppt_data"): 35301,
    (_HYBRID, "meter_data"): 36000,
    (_HYBRID, "battery_info"): 37000,
    (_STRING, "device_info"): 30001,
    (_STRING, "running_data"): 30100,
}


class Frame(NamedTuple):
    """One recorded answer."""

    model: str
    content: str
    unit: int
    image: Image


def goodwe_frame(model: str, content: str, data: bytes) -> Frame:
    is_tcp = content.startswith("tcp_")
    pdu = data[6:] if is_tcp else data.removeprefix(b"\xaa\x55")
    unit, function, size = pdu[:3]
    assert function == 3
    if not is_tcp:  # what follows the first frame is another one
        assert crc(pdu[: 3 + size]) == int.from_bytes(pdu[3 + size : 5 + size], "little")
    kind = next(kind for of, kind in _FIRST_REGISTER if of == unit and kind in content)
    first = _FIRST_REGISTER[unit, kind]
    return Frame(model, content, unit, {(3, first + i): word for i, word in enumerate(words(pdu[3 : 3 + size]))})


@cache
def goodwe_frames() -> tuple[Frame, ...]:
    rows = json.loads((_DATA / "goodwe" / "frames.json").read_text())
    return tuple(goodwe_frame(row["model"], row["content"], bytes.fromhex(row["hex"])) for row in rows)


def frames(unit: int, content: str) -> list[Frame]:
    return [frame for frame in goodwe_frames() if frame.unit == unit and content in frame.content]


def named(frame: Frame) -> str:
    return f"{frame.model} {frame.content}"


@pytest.mark.parametrize("frame", frames(_STRING, "running_data"), ids=named)
def test_goodwe_string_inverters(frame: Frame) -> None:
    values = read("goodwe-dt", frame.image)
    phases = [n for n in (1, 2, 3) if values.get(f"voltage_l{n}_v", 0) > 0]
    assert len(phases) == (1 if "MS" in frame.model else 3)
    assert all(200 < values[f"voltage_l{n}_v"] < 260 for n in phases)
    assert values["frequency_hz"] == pytest.approx(50, abs=0.2)
    apparent_va = sum(values[f"voltage_l{n}_v"] * values[f"current_l{n}_a"] for n in phases)
    # one feeds in with a power factor of 0.74
    assert 0.7 * apparent_va - 100 <= values["power_w"] <= 1.05 * apparent_va + 100
    assert ("energy_wh" in values) == (frame.model != "GW8K-DT")  # its counter reads all ones


@pytest.mark.parametrize("frame", frames(_HYBRID, "running_data"), ids=named)
def test_goodwe_hybrids(frame: Frame) -> None:
    values = read("goodwe-et", frame.image)
    assert {n for n in (1, 2, 3) if f"voltage_l{n}_v" in values} == ({1} if "EH" in frame.content else {1, 2, 3})
    assert all(200 < values[name] < 260 for name in values if name.startswith("voltage"))
    assert values["frequency_hz"] == pytest.approx(50, abs=0.2)
    dc_w = values["pv_power_w"] + values["battery_power_w"]
    through_w = values["pv_power_w"] + abs(values["battery_power_w"])
    assert values["power_w"] == pytest.approx(dc_w, abs=60 + 0.05 * through_w)
    exported_w = signed(frame.image, 3, 35140)
    assert values["x_load_power_w"] == pytest.approx(values["power_w"] - exported_w, abs=80)
    battery_va = frame.image[3, 35180] / 10 * signed(frame.image, 3, 35181) / 10
    assert values["battery_power_w"] == pytest.approx(battery_va, abs=30 + 0.05 * abs(battery_va))
    assert values["battery_charge_energy_wh"] >= values["battery_discharge_energy_wh"] * 0.8


@pytest.mark.parametrize("frame", frames(_HYBRID, "meter_data"), ids=named)
def test_goodwe_meters(frame: Frame) -> None:
    values = read("goodwe-et-meter", frame.image)
    assert values["power_w"] == pytest.approx(sum(values[f"power_l{n}_w"] for n in (1, 2, 3)), abs=2)
    assert values["power_w"] == -signed(frame.image, 3, 36008)  # the same once more, and counted as export
    assert values["frequency_hz"] == pytest.approx(50, abs=0.2)
    for n in (1, 2, 3):
        if f"voltage_l{n}_v" in values:  # older firmware ends before
            apparent_va = values[f"voltage_l{n}_v"] * values[f"current_l{n}_a"]
            assert abs(values[f"power_l{n}_w"]) == pytest.approx(apparent_va, rel=0.15)


def test_goodwe_batteries_tell_their_charge() -> None:
    charges = [read("goodwe-et", frame.image)["soc_percent"] for frame in frames(_HYBRID, "battery_info")]
    assert len(charges) == 2
    assert all(0 < charge <= 100 for charge in charges)


@pytest.mark.parametrize("frame", frames(_HYBRID, "device_info") + frames(_STRING, "device_info"), ids=named)
def test_goodwe_inverters_are_known_by_what_they_say(frame: Frame) -> None:
    name = "goodwe-et" if frame.unit == _HYBRID else "goodwe-dt"
    profile = shipped_profile(name)
    assert profile.unit == frame.unit
    running = next((one.image for one in frames(frame.unit, "running_data") if one.model == frame.model), {})
    assert identified(name, frame.image | running)
    assert profile.identity.serial is not None
    serial = text(answer(frame.image, span(profile.identity.serial)) or [])
    assert re.fullmatch("[0-9A-Z]{16}", serial)


# --- GivEnergy

_ENVELOPE, _TRANSPARENT = b"\x59\x59\x00\x01", 2


class Said(NamedTuple):
    """One answer of a capture."""

    unit: int
    image: Image


def givenergy_answers(file: str) -> Iterator[Said]:
    """Yield the answers whose CRC is right; the recorders also caught torn ones."""
    (path,) = (_DATA / "givenergy").glob(file)
    stream = b""
    with gzip.open(path, "rt") as lines:
        received = re.findall(r"\brx:? ([0-9a-f]+)$", lines.read(), re.MULTILINE)
    for part in received:
        stream += bytes.fromhex(part)
        while (start := stream.find(_ENVELOPE)) >= 0 and len(stream) >= start + 6:
            end = start + 6 + int.from_bytes(stream[start + 4 : start + 6], "big")
            if len(stream) < end:
                break
            frame, stream = stream[start:end], stream[end:]
            said = givenergy_answer(frame[26:]) if frame[7] == _TRANSPARENT else None
            if said is not None:
                yield said


def givenergy_answer(inner: bytes) -> Said | None:
    unit, function = inner[:2]
    first, count = words(inner[12:16])
    end = 16 + 2 * count
    if function not in (3, 4) or crc(inner[:end]) != int.from_bytes(inner[end : end + 2], "little"):
        return None
    return Said(unit, {(function, first + i): word for i, word in enumerate(words(inner[16:end]))})


_INVERTERS = (0x11, 0x31)  # the same inverter answers on both


@cache
def givenergy_states(file: str, last_block: int) -> tuple[Image, ...]:
    """Return the inverter's registers each time its last block was read anew."""
    state: Image = {}
    states = []
    for said in givenergy_answers(file):
        if said.unit not in _INVERTERS:
            continue
        state |= said.image
        if (4, last_block) in said.image:
            states.append(dict(state))
    return tuple(states)


@pytest.mark.parametrize(("file", "samples"), [("*gen1*10min*", 104), ("*gen1*60min*", 126), ("hybrid_hv*", 1)])
def test_givenergy_hybrids(file: str, samples: int) -> None:
    states = givenergy_states(file, 59)
    assert len(states) == samples
    lost_w, unmetered_w = [], []
    for image in states:
        values = read("givenergy-hybrid", image)
        meter = read("givenergy-meter", image)
        assert 200 < values["voltage_l1_v"] < 260
        assert values["frequency_hz"] == pytest.approx(50, abs=0.5)
        assert 0 < values["soc_percent"] <= 100
        assert 1e5 < values["pv_energy_wh"] < 1e8
        assert meter["power_w"] == values["x_grid_power_w"]
        lost_w.append(values["pv_power_w"] + values["battery_power_w"] - values["power_w"])
        unmetered_w.append(values["power_w"] + values["x_grid_power_w"] - values["x_load_power_w"])
        battery_va = image[4, 50] / 100 * signed(image, 4, 51) / 100
        if abs(battery_va) > 500:
            assert math.copysign(1, battery_va) == math.copysign(1, values["battery_power_w"])
    through_w = statistics.median(image[4, 18] + image[4, 20] for image in states)
    assert 0 < statistics.median(lost_w) < 30 + 0.09 * through_w  # the inverter's own loss
    assert abs(statistics.median(unmetered_w)) < 20
    counters = ("import_energy_wh", "export_energy_wh")
    told = [[read("givenergy-meter", image)[name] for name in counters] for image in (states[0], states[-1])]
    assert all(0 < before <= after for before, after in zip(*told, strict=True))


def test_givenergy_all_in_one() -> None:
    states = givenergy_states("aio*", 59)
    assert len(states) > 20
    unmetered_w = []
    for image in states:
        values = read("givenergy-aio", image)
        assert 200 < values["voltage_l1_v"] < 260
        assert 0 < values["soc_percent"] <= 100
        supply_w = values["x_pv_power_w"] + values["power_w"] + values["x_grid_power_w"]
        unmetered_w.append(supply_w - values["x_load_power_w"])
    assert abs(statistics.median(unmetered_w)) < 50
    assert identified("givenergy-aio", states[-1])
    assert not identified("givenergy-hybrid", states[-1])


def test_givenergy_three_phases() -> None:
    states = [image for image in givenergy_states("three_phase*", 1360) if {(4, 1017), (4, 1136)} <= image.keys()]
    assert len(states) > 10
    efficiency, unmetered_w = [], []
    for image in states:
        values, meter = read("givenergy-3p", image), read("givenergy-3p-meter", image)
        for n in (1, 2, 3):
            assert 200 < values[f"voltage_l{n}_v"] < 260
            between_v = image[4, 1060 + n] / 10
            assert between_v == pytest.approx(values[f"voltage_l{n}_v"] * math.sqrt(3), rel=0.03)
        assert values["frequency_hz"] == pytest.approx(50, abs=0.2)
        assert 0 < values["soc_percent"] <= 100
        assert values["power_w"] == pytest.approx(sum(values[f"power_l{n}_w"] for n in (1, 2, 3)), abs=30)
        assert meter["power_w"] == pytest.approx(sum(meter[f"power_l{n}_w"] for n in (1, 2, 3)), abs=30)
        battery_va = image[4, 1133] / 10 * signed(image, 4, 1140) / 100
        assert values["battery_power_w"] == pytest.approx(battery_va, rel=0.1)
        dc_w = values["pv_power_w"] + values["battery_power_w"]
        efficiency.append(values["power_w"] / dc_w)
        unmetered_w.append(values["power_w"] + meter["power_w"] - values["x_load_power_w"])
    assert 0.9 < statistics.median(efficiency) < 0.98  # the blocks are read one after the other
    assert abs(statistics.median(unmetered_w)) < 60
    first, last = read("givenergy-3p", states[0]), read("givenergy-3p", states[-1])
    assert all(0 < first[name] <= last[name] for name in first if name.endswith("energy_wh"))
    assert identified("givenergy-3p", states[-1])
