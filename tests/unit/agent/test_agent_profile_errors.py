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
        (SUNSPEC.replace("{model: 103, point: W}", "{address: 3}"), "points.power_w", "model and point"),
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
