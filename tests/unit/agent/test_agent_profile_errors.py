"""A wrong profile is refused with file, field, value and remedy, before a device is touched."""

from __future__ import annotations

import re

import pytest

from hearth_agent.devices.catalogue import parse_profile
from hearth_core.errors import ConfigError

GOOD = """
profile: my-meter
kind: grid_meter
manufacturer: Me
model: One
source: my bench
fc: 4
type: f32
points:
  power_w: {address: 52}
  frequency_hz: {address: 70}
"""
SUNSPEC = """
profile: my-inverter
kind: hybrid_inverter
manufacturer: Me
model: Two
source: my bench
protocol: sunspec
points:
  power_w: {model: 103, point: W}
controls:
  battery_interval:
    class: T
    lease_s: 60
    order: [{model: 124, point: OutWRte, value: discharge_w}]
    refresh: [{model: 124, point: OutWRte, value: discharge_w}]
    safe: [{model: 124, point: StorCtl_Mod, value: 0}]
"""
CHARGER = """
profile: my-charger
kind: ev_charger
manufacturer: Me
model: Three
source: my bench
fc: 4
points:
  current_limit_a: {address: 299}
controls:
  ev_current:
    class: S
    order: [{address: 300, value: current_a}]
    safe: [{address: 300, value: 16}]
"""


def test_the_examples_are_good() -> None:
    for text in (GOOD, SUNSPEC, CHARGER):
        parse_profile(text, "my.yaml")


@pytest.mark.parametrize(
    "text",
    [
        # a maker's own register beside the models
        SUNSPEC.replace("{model: 103, point: W}", "{address: 57716, type: f32, word_order: little}"),
        # the device lets exactly this register be written
        CHARGER.replace("{address: 299}", "{address: 300, fc: 3, access: rw}"),
        # a coil is no register
        CHARGER.replace("{address: 300, value: 16}", "{address: 299, fc: 5, value: 1}"),
        # a sum and a state made of what another point tells as it is
        GOOD + "  pv_power_w: {terms: [{address: 52}, {address: 80}]}\n",
        GOOD + "  operating_state: {address: 52, codes: {1: 2}}\n",
        GOOD + "  x_angle: {address: 66, unit: deg}\n",
    ],
)
def test_what_real_devices_need_is_accepted(text: str) -> None:
    parse_profile(text, "my.yaml")


@pytest.mark.parametrize(
    ("text", "field", "remedy"),
    [
        (GOOD.replace("kind: grid_meter", "knid: grid_meter"), "knid", "kind"),
        (GOOD.replace("kind: grid_meter", "kind: teapot"), "kind", "teapot"),
        (GOOD.replace("frequency_hz", "frequenzy_hz"), "points.frequenzy_hz", "frequency_hz"),
        (
            GOOD.replace("address: 70", "address: 53"),
            "points.frequency_hz.address",
            "already belongs to points.power_w",
        ),
        (GOOD.replace("address: 70", "adress: 70"), "adress", "address"),
        (GOOD.replace("address: 70", "address: 70000"), "points", "65535"),
        (GOOD.replace("{address: 70}", "{address: 70, scale: 0}"), "points.frequency_hz.scale", "scale"),
        (GOOD.replace("{address: 70}", "{scale: 2}"), "points.frequency_hz.address", "address"),
        (GOOD.replace("{address: 70}", "{address: 70, type: str}"), "points.frequency_hz.type", "identity"),
        (GOOD.replace("type: f32", "type: f33"), "type", "f33"),
        (SUNSPEC.replace("point: W}", "point: Wx}"), "points.power_w.point", "Points of model 103|Did you mean"),
        (SUNSPEC.replace("model: 103", "model: 999"), "points.power_w.model", "SunSpec models"),
        (SUNSPEC.replace("{model: 103, point: W}", "{point: W}"), "points.power_w", "model and point"),
        (SUNSPEC.replace("{model: 103, point: W}", "{model: 103, point: W, address: 3}"), "points.power_w", "either"),
        (GOOD.replace("{address: 70}", "{model: 103, point: W}"), "points.frequency_hz.model", "protocol: sunspec"),
        (SUNSPEC.replace("value: 0}]", "value: 0}]\n    extra: 1"), "extra", ""),
        (SUNSPEC.replace("    safe: [{model: 124, point: StorCtl_Mod, value: 0}]", "    safe: []"), "safe", "own mode"),
        (SUNSPEC.replace("    safe: [{model: 124, point: StorCtl_Mod, value: 0}]\n", ""), "controls", "safe"),
        (SUNSPEC.replace("    lease_s: 60\n", ""), "lease_s", "class T needs lease_s"),
        (SUNSPEC.replace("StorCtl_Mod, value: 0", "ChaState, value: 0"), "safe[0].point", "read-only"),
        (SUNSPEC.replace("StorCtl_Mod, value: 0", "StorCtl_Mod, value: charge_w"), "safe[0].value", "numbers only"),
        (SUNSPEC.replace("value: discharge_w", "value: dischrge_w"), "order[0].value", "discharge_w"),
        (
            CHARGER.replace("address: 300, value: current_a", "address: 299, value: current_a"),
            "order[0].address",
            "read-only",
        ),
        (CHARGER.replace("class: S", "class: S\n    lease_s: 30"), "lease_s", "Only class T"),
        (CHARGER.replace("class: S", "class: X"), "class", "X"),
        (CHARGER.replace("class: S", "class: S\n    min_a: 20"), "min_a", "max_a"),
        (GOOD.replace("{address: 70}", "{address: 65535}"), "points.frequency_hz.address", "last is 65535"),
        (GOOD.replace("{address: 70}", "{address: 70, unit: mHz}"), "points.frequency_hz.unit", "unit is Hz"),
        (
            GOOD.replace("frequency_hz: {address: 70}", "x_angle: {address: 70}"),
            "points.x_angle.unit",
            "needs its unit",
        ),
        (GOOD.replace("frequency_hz: {", "vehicle_state: {codes: {0: 12}, "), "points.vehicle_state.codes", "no car"),
        (GOOD.replace("fc: 4", "max_registers: 1"), "points.power_w.type", "max_registers"),
        (CHARGER.replace("ev_charger", "heat_pump"), "controls.ev_current", "belongs to ev_charger"),
        (CHARGER.replace("class: S", "class: F"), "writes_per_day", "how often a day"),
        (CHARGER.replace("order: [{address: 300, value: current_a}]", "order: []"), "order", "registers make an order"),
        (CHARGER.replace("class: S", "class: S\n    cases: {hold: []}"), "controls.ev_current.cases", "pause, run"),
        (CHARGER.replace("class: S", "class: S\n    cases: {run: []}"), "cases.run", "leave the case out"),
        (CHARGER.replace("class: S", "class: T\n    lease_s: 60\n    refresh_s: 40"), "refresh_s", "half of lease_s"),
        (CHARGER.replace("value: current_a", "value: current_a, low: 9, high: 8"), "order[0].low", "above high"),
        (CHARGER.replace("value: current_a", "value: current_a, scale: 0"), "order[0].scale", "1 for none"),
        (CHARGER.replace("value: 16", "value: 70000"), "safe[0].value", "does not fit u16"),
        (CHARGER.replace("value: 16", "value: 4, bits: 3"), "safe[0].value", "bits that are not of 0x0003"),
        (
            CHARGER.replace("value: current_a", "value: allowed, bits: 1, codes: {0: 0, 1: 2}"),
            "order[0].codes",
            "bits that are not of 0x0001",
        ),
        (
            CHARGER.replace("value: 16}", "value: 1, bits: 1}, {address: 300, value: 2, bits: 2}"),
            "controls.ev_current.safe",
            "join them in one",
        ),
        (CHARGER.replace("value: 16", "value: 16, type: u32, fc: 6"), "safe[0].fc", "Function 6 writes one register"),
        (CHARGER.replace("value: 16", "value: 16, type: u32, bits: 16"), "safe[0].bits", "single register"),
        (
            CHARGER.replace("value: current_a", "value: current_a, high_of: {address: 5, scale: 0}"),
            "order[0].high_of.scale",
            "scale",
        ),
        (
            CHARGER.replace("{address: 299}", "{address: 300, fc: 3}"),
            "order[0].address",
            "points.current_limit_a is read-only there .function 3.*access: rw",
        ),
        (GOOD + "identity: {sunspec_models: [103]}\n", "identity", "protocol: sunspec"),
        (SUNSPEC + "identity: {sunspec_models: [999]}\n", "identity.sunspec_models.model", "SunSpec models"),
        (GOOD + "identity: {checks: [{address: 9}]}\n", "identity.checks[0]", "exactly one of"),
        (GOOD + "identity: {checks: [{address: 9, equals: [1], high: 2}]}\n", "identity.checks[0]", "exactly one of"),
        (GOOD + "identity: {checks: [{address: 9, contains: A}]}\n", "identity.checks[0].type", "str"),
        (GOOD + "identity: {checks: [{address: 9, low: 3, high: 2}]}\n", "identity.checks[0].low", "above high"),
        ("points: [", "line 1", "YAML"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(text: str, field: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_profile(text, "my.yaml")
    error = caught.value
    assert error.source == "my.yaml"
    assert field in error.field
    assert re.search(remedy, str(error))
