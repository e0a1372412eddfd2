"""A device's own numbers: a wrong unit is named, and what too little flowed for is left open."""

from __future__ import annotations

import pytest

from hearth_agent.commissioning.findings import Finding, Result
from hearth_agent.commissioning.plausibility import check_device
from hearth_agent.commissioning.sampling import Sample
from hearth_agent.devices.catalogue import shipped_profile

POWER_W = 2_000.0
STEP_S, STEPS = 2.0, 180


def readings(step: int) -> dict[str, float]:
    """A meter that takes 2 kW, a third on each phase."""
    values = {"power_w": POWER_W, "frequency_hz": 50.02, "export_energy_wh": 7_000.0}
    values["import_energy_wh"] = 9_000.0 + POWER_W * step * STEP_S / 3600
    for line in (1, 2, 3):
        values |= {
            f"voltage_l{line}_v": 231.0,
            f"power_l{line}_w": POWER_W / 3,
            f"current_l{line}_a": POWER_W / 3 / 225,
        }
    return values


def found(factors: dict[str, float]) -> dict[str, Finding]:
    """Return the findings by check; the points that begin with a name are wrong by a factor."""
    samples = []
    for step in range(STEPS):
        values = readings(step)
        for start, factor in factors.items():
            values |= {name: value * factor for name, value in values.items() if name.startswith(start)}
        samples.append(Sample(step * STEP_S, {"grid": values}))
    return {one.check: one for one in check_device("grid", shipped_profile("eastron-sdm630"), samples, 3)}


def test_a_right_meter_passes_everything_that_flowed() -> None:
    results = {check: one.result for check, one in found({}).items()}
    assert results.pop("export_energy_wh") is Result.INCONCLUSIVE
    assert set(results.values()) == {Result.PASSED}
    assert len(results) == 7


@pytest.mark.parametrize(
    ("factors", "check", "text"),
    [
        ({"voltage": 0.1}, "voltage L2", "ten times too little"),
        ({"voltage": 10.0}, "voltage L1", "ten times too much"),
        ({"voltage_l3": 0.0}, "voltage L3", "0 V"),
        ({"frequency": 100.0}, "frequency", "a hundred times too much"),
        ({"power_w": 0.001}, "sum of phases", "a thousand times too little: looks like kW read as W"),
        ({"power_l2": -1.0}, "sum of phases", "phases are 667 W together"),
        ({"power": 10.0}, "power factor", "ten times too much"),
        ({"current": 0.001}, "power factor", "a thousand times too much"),
        ({"import_energy": 0.001}, "import_energy_wh", "counter a thousand times too little"),
        ({"import_energy": 10.0}, "import_energy_wh", "counter ten times too much"),
        ({"power": -1.0}, "import_energy_wh", "the other direction says 199 Wh"),
    ],
)
def test_a_wrong_unit_is_named(factors: dict[str, float], check: str, text: str) -> None:
    finding = found(factors)[check]
    assert finding.result is Result.FAILED
    assert text in finding.text
    assert finding.remedy


def test_power_that_hardly_shows_may_be_reactive() -> None:
    assert found({"power": 0.01})["power factor"].result is Result.INCONCLUSIVE


def test_a_device_that_never_answers_is_a_failure() -> None:
    (finding,) = check_device("grid", shipped_profile("eastron-sdm630"), [Sample(0.0, {})], 3)
    assert (finding.check, finding.result) == ("answers", Result.FAILED)
