"""Every shipped profile against a register image laid down from the maker's tables, not from the profile."""

from __future__ import annotations

import asyncio
from functools import cache

import pytest

from hearth_agent.devices.catalogue import shipped_names, shipped_profile
from hearth_agent.devices.controls import Case, ControlKind, cases_of, writes_of
from hearth_agent.devices.discovery import read_common, walk_chain
from hearth_agent.devices.errors import DeviceLayoutError, DeviceRefusedError
from hearth_agent.devices.identity import check_identity, holds, span
from hearth_agent.devices.layout import Chain, lay_out
from hearth_agent.devices.profile import Profile, Protocol, Write
from hearth_agent.devices.readplan import ReadPlan
from hearth_agent.devices.writing import Encoded, Variables, join, prepare
from hearth_sim.recording_values import REGISTERS
from hearth_sim.recordings import Recording, load, names

# recordings that show another side of a device a profile already has one of
VARIANTS = {"sunspec-meter-float": "sunspec-meter"}
# Profiles of one maker that cannot be told from each other by what the device says: one map for several sizes, one
# device that tells of itself and of its meter, two ways to steer one device. `hearth-agent discover` names them all.
FAMILIES = [
    {"eastron-sdm120", "eastron-sdm230", "eastron-sdm630", "eastron-sdm72"},
    {"solaredge-inverter", "solaredge-hybrid", "solaredge-meter"},
    {"fronius-gen24", "fronius-smart-meter"},
    {"sma-pv", "sma-hybrid", "sma-grid-meter"},
    {"deye-1p", "deye-1p-meter"},
    {"deye-3p-hv", "deye-3p-meter"},
    {"deye-3p-lv", "deye-3p-meter"},
    {"givenergy-hybrid", "givenergy-meter"},
    {"givenergy-aio", "givenergy-meter"},
    {"givenergy-3p", "givenergy-3p-meter"},
    {"goodwe-et", "goodwe-et-2-batteries", "goodwe-et-meter"},
    {"huawei-sun2000", "huawei-sun2000-limits", "huawei-sun2000-meter"},
    {"sungrow-sh", "sungrow-sh-meter"},
    {"foxess-h3", "foxess-h3-meter"},
    {"growatt-sph", "growatt-sph-meter"},
    {"sofar-hyd-g3", "sofar-hyd-g3-meter"},
    {"solax-x3-hybrid-g4", "solax-x3-meter"},
    {"heidelberg-energy-control", "amperfied-connect"},
    {"my-pv-ac-elwa-2", "my-pv-ac-thor"},
    {"stiebel-isg-lwa", "stiebel-isg-wpm"},
]
# what a standard names, many makers fulfil
SUNSPEC = {name for name in shipped_names() if shipped_profile(name).protocol is Protocol.SUNSPEC}
# an order of each kind that any device of a home can take; + = discharge
BATTERY_ORDERS: dict[Case, tuple[float, float]] = {
    Case.LIMIT: (1500.0, 2000.0),
    Case.HOLD: (0.0, 0.0),
    Case.CHARGE: (1500.0, -1500.0),
    Case.DISCHARGE: (-1000.0, 1000.0),
}


class ImageLink:
    """Reads a register image; what it does not hold is refused, or 0 between what it holds, as devices do."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    async def read(self, fc: int, address: int, count: int) -> list[int]:
        image = self.recording.registers(self.recording.unit, fc)
        gaps = range(min(image), max(image)) if image and self.recording.file.gaps == "allow" else range(0)
        wanted = range(address, address + count)
        if any(register not in image and register not in gaps for register in wanted):
            raise DeviceRefusedError("image", f"has no registers {address} to {address + count - 1}")
        return [image.get(register, 0) for register in wanted]

    async def answer(self, fc: int, address: int, count: int) -> list[int] | None:
        try:
            return await self.read(fc, address, count)
        except DeviceRefusedError:
            return None


@cache
def recorded(name: str) -> Recording:
    return load(name)


@cache
def chain_of(name: str) -> Chain:
    return asyncio.run(walk_chain(ImageLink(recorded(name))))


def chain_for(profile: Profile, name: str) -> Chain | None:
    return chain_of(name) if profile.protocol is Protocol.SUNSPEC else None


def decode(profile: Profile, name: str) -> dict[str, float]:
    limits = (profile.max_registers, profile.max_gap)
    plan = ReadPlan(lay_out(profile, chain_for(profile, name)), *limits, alone=profile.one_value_per_request)
    link = ImageLink(recorded(name))

    async def answers() -> list[list[int] | None]:
        return [await link.answer(r.fc, r.address, r.end - r.address) for r in plan.requests]

    return plan.decode(asyncio.run(answers()))


PAIRS = [(name, name) for name in shipped_names()] + [(profile, name) for name, profile in VARIANTS.items()]


@pytest.mark.parametrize(("name", "recording"), PAIRS, ids=[recording for _, recording in PAIRS])
def test_a_profile_decodes_its_recording(name: str, recording: str) -> None:
    profile = shipped_profile(name)
    expect = recorded(recording).expect
    assert set(expect) == set(profile.points), "a recording expects every point of its profile, and no other"
    assert decode(profile, recording) == {point: pytest.approx(value, rel=1e-6) for point, value in expect.items()}


@pytest.mark.parametrize("recording", sorted(set(names())))
def test_a_device_is_taken_for_what_it_is_and_for_nothing_else(recording: str) -> None:
    async def fits(profile: Profile) -> bool:
        link = ImageLink(recorded(recording))
        try:
            chain = await walk_chain(link) if profile.protocol is Protocol.SUNSPEC else None
            common = await read_common(link, chain) if chain is not None else {}
            await check_identity(profile, link, chain, common)
        except DeviceLayoutError:
            return False
        asked = [(check, span(check)) for check in profile.identity.checks]
        return all([holds(check, await link.answer(at.fc, at.address, at.end - at.address)) for check, at in asked])

    own = VARIANTS.get(recording, recording)
    related = {own}.union(*(family for family in FAMILIES if own in family))
    if own in SUNSPEC:
        related |= {name for name in SUNSPEC if shipped_profile(name).manufacturer == "SunSpec"}
    found = {name for name in shipped_names() if asyncio.run(fits(shipped_profile(name)))}
    assert own in found
    assert found <= related


def test_what_a_wrong_device_answered_is_told() -> None:
    link = ImageLink(recorded("carlo-gavazzi-em24"))
    with pytest.raises(DeviceLayoutError, match=r"its register 11 \(function 4\) holds 0047"):
        asyncio.run(check_identity(shipped_profile("carlo-gavazzi-em340"), link, None, {}))
    link, chain = ImageLink(recorded("fronius-gen24")), chain_of("fronius-gen24")
    with pytest.raises(DeviceLayoutError, match="it is of Fronius and has the models 1, 103, 120,"):
        asyncio.run(check_identity(shipped_profile("solaredge-inverter"), link, chain, {"manufacturer": "Fronius"}))


def variables_of(kind: ControlKind, case: Case | None, lease_s: float | None) -> list[Variables]:
    """Return orders a controller could give."""
    lease = {"lease_s": lease_s or 0.0}
    if kind is ControlKind.BATTERY_INTERVAL:
        assert case is not None
        charge, discharge = BATTERY_ORDERS[case]
        forced = {Case.CHARGE: 1.0, Case.DISCHARGE: 2.0}.get(case, 0.0)
        return [
            {
                "charge_w": charge,
                "discharge_w": discharge,
                "grid_charge": float(case is Case.CHARGE),
                "charge_limit_w": max(charge, 0.0),
                "discharge_limit_w": max(discharge, 0.0),
                "forced": forced,
                "forced_w": 0.0 if not forced else min(max(-charge, 0.0), discharge) if charge < 0 else discharge,
                "forced_charge_w": charge if case is Case.CHARGE else 0.0,
                "forced_discharge_w": discharge if case is Case.DISCHARGE else 0.0,
                **lease,
            }
        ]
    if kind is ControlKind.EV_CURRENT:
        paused = float(case is Case.PAUSE)
        return [{"current_a": 10.0, "paused": paused, "allowed": 1.0 - paused, **lease}]
    if kind is ControlKind.EV_PHASES:
        return [{"phases": phases, **lease} for phases in (1.0, 3.0)]
    if kind is ControlKind.HEAT_MODE:
        contacts = {0: (1, 0), 1: (0, 0), 2: (0, 1), 3: (1, 1)}
        return [{"mode": mode, "contact_a": a, "contact_b": b, **lease} for mode, (a, b) in contacts.items()]
    if kind is ControlKind.HEAT_POWER:
        return [{"power_w": power, **lease} for power in (0.0, 1250.0)]
    return [{"limit_w": 2500.0, "limited": 1.0, **lease}]


def encode(profile: Profile, name: str, writes: list[Write], variables: Variables) -> list[Encoded]:
    """Encode as the device does: what the encoding depends on is read first, and must be there."""
    link = ImageLink(recorded(name))
    prepared = [prepare(name, profile, write, variables, chain_for(profile, name)) for write in writes]

    async def image() -> dict[tuple[int, int], int]:
        found: dict[tuple[int, int], int] = {}
        for at in {at for one in prepared for at in one.needed}:
            registers = await link.read(at.fc, at.address, at.end - at.address)
            found |= {(at.fc, at.address + index): word for index, word in enumerate(registers)}
        return found

    needed = asyncio.run(image())
    return join([one.encode(needed) for one in prepared], alone=profile.one_value_per_request)


STEERED = [(name, kind) for name in shipped_names() for kind in shipped_profile(name).controls]


@pytest.mark.parametrize(("name", "kind"), STEERED)
def test_an_order_can_be_said_and_touches_only_what_the_maker_lets_be_written(name: str, kind: ControlKind) -> None:
    profile, recording = shipped_profile(name), recorded(name)
    control = profile.controls[kind]
    writable = {
        (one.fc == 1, address)
        for one in recording.file.writable
        for address in range(one.address, one.address + max(one.count, REGISTERS[one.type]))
    }
    lists: list[tuple[list[Write], Variables]] = [(control.safe, {})]
    cases: list[Case | None] = [*sorted(cases_of(kind, control))] or [None]
    for case in cases:
        for variables in variables_of(kind, case, control.lease_s):
            lists += [(writes_of(control, case), variables), (control.refresh, variables)]
    for writes, variables in lists:
        for one in encode(profile, name, writes, variables):
            assert one.fc in (*recording.file.write_functions, 5), f"{one} with {recording.file.write_functions}"
            touched = {(one.fc == 5, one.address + index) for index in range(len(one.registers))}
            assert touched <= writable, f"{sorted(touched - writable)} may not be written"


# What makers' documents say an order looks like, by hand: 1500 W is 22.06 % of a GEN24 battery's 6800 W, and so on.
SAID: list[tuple[str, ControlKind, Case | None, dict[int, list[int]]]] = [
    (
        "fronius-gen24",
        ControlKind.BATTERY_INTERVAL,
        Case.CHARGE,
        {40358: [60], 40355: [0x10000 - 2206, 2206], 40360: [1], 40348: [3]},
    ),
    (
        "fronius-gen24",
        ControlKind.BATTERY_INTERVAL,
        Case.LIMIT,
        {40358: [60], 40355: [2941, 2206], 40360: [0], 40348: [3]},
    ),
    ("fronius-gen24", ControlKind.PV_LIMIT, None, {40234: [60], 40232: [2500], 40236: [1]}),
    # 2500 of 7500 W in tenths of a percent
    ("sunspec-pv", ControlKind.PV_LIMIT, None, {40198: [60], 40196: [333], 40200: [1]}),
    (
        "solaredge-hybrid",
        ControlKind.BATTERY_INTERVAL,
        Case.CHARGE,
        {57354: [7, 60, 0], 57358: [0x8000, 0x44BB, 0, 0], 57357: [3], 57348: [4]},
    ),
    (
        "solaredge-hybrid",
        ControlKind.BATTERY_INTERVAL,
        Case.HOLD,
        {57354: [7, 60, 0], 57358: [0, 0, 0, 0], 57357: [7], 57348: [4]},
    ),
    (
        "sma-hybrid",
        ControlKind.BATTERY_INTERVAL,
        Case.LIMIT,
        {40236: [0, 2289], 40793: [0, 0, 0, 1500, 0, 0, 0, 2000, 0, 0]},
    ),
    ("victron-gx", ControlKind.BATTERY_INTERVAL, Case.HOLD, {2704: [0, 0]}),
    ("victron-ev-charger", ControlKind.EV_CURRENT, Case.PAUSE, {3815: [0], 3825: [10, 0]}),
]


@pytest.mark.parametrize(("name", "kind", "case", "registers"), SAID)
def test_an_order_is_said_as_the_maker_wants_it(
    name: str, kind: ControlKind, case: Case | None, registers: dict[int, list[int]]
) -> None:
    profile = shipped_profile(name)
    control = profile.controls[kind]
    (variables,) = variables_of(kind, case, control.lease_s)
    encoded = encode(profile, name, writes_of(control, case), variables)
    assert {one.address: one.registers for one in encoded} == registers


def test_a_battery_is_not_told_more_than_it_says_it_can() -> None:
    profile = shipped_profile("solaredge-hybrid")
    (write,) = (one for one in profile.controls[ControlKind.BATTERY_INTERVAL].order if one.address == 57358)
    (encoded,) = encode(profile, "solaredge-hybrid", [write], {"charge_limit_w": 9000.0})
    assert encoded.registers == [0x4000, 0x459C]  # 5000 W


def test_a_set_power_goes_the_devices_way() -> None:
    """The newer SunSpec models count what flows out of the inverter as +, as we do: charging is negative."""
    profile = shipped_profile("sunspec-der-battery")
    writes = writes_of(profile.controls[ControlKind.BATTERY_INTERVAL], Case.CHARGE)
    (variables,) = variables_of(ControlKind.BATTERY_INTERVAL, Case.CHARGE, 60.0)
    encoded = encode(profile, "sunspec-der-battery", writes, variables)
    assert [one.registers for one in encoded] == [[1, 0xFFFF, 0xFF6A], [0, 60], [0], [1]]
