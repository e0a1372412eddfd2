"""The SunSpec models the inverter answers, packed from the house's state.

Field order and types are those of the SunSpec Alliance's model definitions (github.com/sunspec/models, Apache-2.0).
Offsets in comments count from the model's ID register. What the inverter does not implement reads as the standard says
(0xFFFF, 0x8000, ...).
"""

from __future__ import annotations

from hearth_sim.counters import INVERTER_EFFICIENCY
from hearth_sim.electric import supply_at
from hearth_sim.house import INVERTER_RATED_W, House
from hearth_sim.registers import clip_s16, clip_u16, words

NO_S16, NO_U16, NO_U32 = -0x8000, 0xFFFF, 0xFFFFFFFF
MANUFACTURER, MODEL, SERIAL = "Hearth", "Hybrid 10.0 Simulator", "HS-160404-01"
_OFF, _MPPT, _THROTTLED, _STANDBY = 1, 4, 5, 8
_EMPTY, _DISCHARGING, _CHARGING, _FULL, _HOLDING = 2, 3, 4, 5, 6
_STRINGS = ((0.55, 610.0), (0.45, 520.0))  # share of the PV power, voltage [V]
_BATTERY_V = 410.0
_IDLE_W = 20.0
_MODULE_MPPT, _MODULE_OFF = 4, 1


def common() -> bytes:
    """Model 1 (length 66): who made it."""
    names = (MANUFACTURER, MODEL, "", "1.0", SERIAL)
    return words("32s32s16s16s32sHh", *(name.encode() for name in names), 1, NO_S16)


def inverter(house: House) -> bytes:
    """Model 103 (length 50): three-phase inverter, integer + scale factor."""
    flows = house.flows
    power_w = flows.inverter_w
    supply = supply_at(house.at_s, flows.grid_phases_w())
    volts = [clip_u16(phase.voltage_v * 10) for phase in supply.phases]
    amps = [abs(power_w) / 3 / phase.voltage_v for phase in supply.phases]
    dc_w = pv_dc_w(house) + battery_dc_w(house)
    apparent_va = abs(power_w)
    return words(
        "4H h 3H 3H h 2h H h 6h I h H h H h 2h 4h h 2H 2I 4I",
        *(clip_u16(value * 100) for value in (sum(amps), *amps)),
        -2,
        *(NO_U16,) * 3,
        *volts,
        -1,
        clip_s16(power_w),  # 14
        0,
        clip_u16(supply.frequency_hz * 100),
        -2,
        clip_s16(apparent_va),
        0,
        0,
        0,
        10_000 if power_w >= 0 else -10_000,  # 22 power factor, 1 with the sign of W
        -2,
        int(house.counters.inverter_wh) % 2**32,  # 24
        0,
        clip_u16(abs(dc_w) / _STRINGS[0][1] * 100),
        -2,
        clip_u16(_STRINGS[0][1] * 10),
        -1,
        clip_s16(dc_w),  # 31
        0,
        clip_s16(300 + apparent_va / 50),  # 33 cabinet temperature
        *(NO_S16,) * 3,
        -1,
        _state(house),  # 38
        NO_U16,
        0,
        0,
        *(0,) * 4,
    )


def nameplate(house: House) -> bytes:
    """Model 120 (length 26): what it can do; type 82 = PV with storage."""
    battery = house.battery
    rated = clip_u16(INVERTER_RATED_W)
    return words(
        "H Hh Hh 4hh Hh 4hh Hh Hh Hh Hh h",
        *(82, rated, 0, rated, 0),
        *(NO_S16,) * 5,
        *(clip_u16(INVERTER_RATED_W / 230 * 100), -2),
        *(NO_S16,) * 5,
        *(clip_u16(battery.capacity_wh), 0, NO_U16, NO_S16),  # 19
        *(clip_u16(battery.max_charge_w), 0, clip_u16(battery.max_discharge_w), 0, NO_S16),
    )


def settings() -> bytes:
    """Model 121 (length 30): WMax is the base of every output limit."""
    return words(
        "2H h 3H 4h H 4h 5H 10h",
        *(clip_u16(INVERTER_RATED_W), 230, 0, 253, 196, clip_u16(INVERTER_RATED_W)),
        *(NO_S16,) * 4,
        NO_U16,
        *(NO_S16,) * 4,
        *(NO_U16,) * 3,
        *(50, NO_U16),
        *(0, 0, 0, 0, 0, NO_S16, NO_S16, NO_S16, NO_S16, 0),
    )


def status(house: House) -> bytes:
    """Model 122 (length 44): connected or not, and the clock (seconds since 2000-01-01)."""
    connected = 0b111 if house.storage.connected else 0b001
    return words(
        "3H Q Q 4Q 2h Hh 2I 8s I 2H h",
        *(connected, connected, 1 if house.storage.connected else 0),
        *(int(house.counters.inverter_wh), 0),
        *(0,) * 4,
        *(NO_S16, NO_S16, NO_U16, NO_S16),
        *(0, 1 if house.storage.output_limited else 0),
        b"RTC",
        max(int(house.at_s - 946_684_800), 0),
        *(0, NO_U16, NO_S16),
    )


def strings(house: House) -> bytes:
    """Model 160 (length 88): two PV strings, battery charge and battery discharge, all unsigned."""
    counters = house.counters
    battery_w = battery_dc_w(house)
    modules = [
        (f"String {i + 1}", pv_dc_w(house) * share, volts, counters.pv_dc_wh * share)
        for i, (share, volts) in enumerate(_STRINGS)
    ]
    modules.append(("StCha", max(-battery_w, 0.0), _BATTERY_V, counters.battery_charge_dc_wh))
    modules.append(("StDisCha", max(battery_w, 0.0), _BATTERY_V, counters.battery_discharge_dc_wh))
    data = words("hhhhIHH", -2, -1, 0, 0, 0, len(modules), NO_U16)
    for number, (name, power_w, volts, energy_wh) in enumerate(modules, start=1):
        data += words(
            "H 16s 3H 2I h H I",
            number,
            name.encode(),
            clip_u16(power_w / volts * 100),
            clip_u16(volts * 10),
            clip_u16(power_w),
            int(energy_wh) % 2**32,
            NO_U32,
            NO_S16,
            _MODULE_MPPT if power_w > 0 else _MODULE_OFF,
            0,
        )
    return data


def charge_state(house: House) -> int:
    """Return the code of model 124's ChaSt."""
    power_w = house.flows.battery_w
    if power_w > _IDLE_W:
        return _DISCHARGING
    if power_w < -_IDLE_W:
        return _CHARGING
    if house.soc_percent >= house.battery.max_soc_percent - 0.1:
        return _FULL
    return _EMPTY if house.soc_percent <= house.battery.min_soc_percent + 0.1 else _HOLDING


def battery_voltage_v() -> float:
    """Return the voltage of the simulated battery [V]."""
    return _BATTERY_V


def pv_dc_w(house: House) -> float:
    """Return the PV power on the DC side [W]."""
    return house.flows.pv_w / INVERTER_EFFICIENCY


def battery_dc_w(house: House) -> float:
    """Return the battery power on the DC side, + = discharge [W]."""
    power_w = house.flows.battery_w
    return power_w / INVERTER_EFFICIENCY if power_w > 0 else power_w * INVERTER_EFFICIENCY


def _state(house: House) -> int:
    flows = house.flows
    if not house.storage.connected:
        return _OFF
    if flows.pv_w < flows.pv_possible_w - 1:
        return _THROTTLED
    return _MPPT if flows.pv_w > 0 or abs(flows.battery_w) > _IDLE_W else _STANDBY
