"""A recorded day lived end to end by the real parts: register to database, prices to register."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# eight weeks of four devices every five minutes
HISTORY_READINGS = 4 * 8 * 7 * 288

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One day of the demo home, as `make demo` would live it."""
    folder = tmp_path_factory.mktemp("day")
    out = folder / "out.json"
    command = [
        str(Path(sys.executable).parent / "hearth-sim"), "demo",
        "--days", "1", "--headless", "--json", str(out), "--state", str(folder / "home"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, env=os.environ)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def test_every_reading_is_accounted_for(day: dict[str, Any]) -> None:
    readings = day["readings"]
    assert readings["reconciled"] is True
    assert readings["produced"] == readings["stored"] + readings["gaps"] + readings["dead_lettered"]
    assert readings["spooled"] == readings["gaps"] == readings["dead_lettered"] == 0
    # 4 devices every 10 s for a day is 34,560; a slow machine may miss some polls, never most of them
    assert 28_000 < readings["produced"] - HISTORY_READINGS <= 34_700


def test_the_measured_energy_is_the_true_one(day: dict[str, Any]) -> None:
    assert day["energy_balance_error"] <= 0.005
    assert day["energy_wh"]["true"]["load_wh"] > 5_000


def test_no_limit_was_broken_and_the_registers_were_spared(day: dict[str, Any]) -> None:
    assert day["limits_broken"] == []
    writes = day["register_writes_per_device_day"]
    assert 0 < writes["inverter"] <= 50
    assert 0 < writes["charger"] <= 50
    assert writes["heat-pump"] == writes["grid"] == 0


def test_a_plan_came_back_every_quarter_of_an_hour(day: dict[str, Any]) -> None:
    assert day["plans"]["made"] >= 80
    assert day["plans"]["solve_ms_p99"] < 2_000


def test_the_money_adds_up(day: dict[str, Any]) -> None:
    money = day["money_eur"]
    assert money["regret"] == pytest.approx(money["realised"] - money["perfect_foresight"], abs=0.011)
    assert money["perfect_foresight"] <= min(money["realised"], money["self_consumption"], money["night_timer"]) + 0.02
    assert money["realised"] < money["no_battery"]
