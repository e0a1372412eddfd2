"""An agent that steers loses control when a meter turns round, and a restart does not give it back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.integration.test_agent_commission import MiswiredHouse, each, turned
from tests.integration.test_agent_process import SPEED, START, agent, keep_plan, until_mode, write_config

from hearth_agent.commissioning.command import commission
from hearth_core.clock import ClockConductor
from hearth_core.errors import ConfigError
from hearth_core.messages import Mode
from hearth_sim.sdm630 import Sdm630
from hearth_sim.sunspec_inverter import SunSpecInverter
from hearth_sim.testing import HouseOptions, running_house

_FORCED, _OWN = 3, 0
_STORAGE, _MODE = 124, 5


def recorded_writes(inverter: SunSpecInverter) -> list[tuple[int, tuple[int, ...]]]:
    """Return a list that gets every address the inverter is told from now on, with its values."""
    told: list[tuple[int, tuple[int, ...]]] = []
    write = inverter.write

    def record(function: int, address: int, values: Sequence[int]) -> bool:
        told.append((address, tuple(values)))
        return write(function, address, values)

    vars(inverter)["write"] = record
    return told


async def test_a_meter_that_turns_round_takes_control_away_for_good(tmp_path: Path) -> None:
    conductor = ClockConductor(tmp_path / "clock", START)
    keep_plan(tmp_path, Mode.CHARGE_FROM_GRID, 3_000.0)
    withdrawn = tmp_path / "data" / "withdrawn.json"
    async with running_house(conductor.clock, options=HouseOptions(soc_percent=50.0)) as running:
        config = write_config(tmp_path, running)
        config.write_text(config.read_text() + "balance: {minutes: 2}\n")
        conductor.set_speed(SPEED)
        async with agent(config, tmp_path):
            await until_mode(running, _FORCED)
            running.servers["grid"].devices = [Sdm630(MiswiredHouse(running.house, each(turned)))]  # type: ignore[arg-type]
            await until_mode(running, _OWN)
            assert running.house.storage.reversions == 0  # told, not forgotten
            assert set(json.loads(withdrawn.read_text())) == {"inverter", "charger"}
        inverter = running.servers["inverter"].devices[0]
        assert isinstance(inverter, SunSpecInverter)
        told = recorded_writes(inverter)
        async with agent(config, tmp_path) as process:
            seen = running.servers["grid"].requests
            async with asyncio.timeout(20):
                while running.servers["grid"].requests < seen + 20:  # noqa: ASYNC110  the count of a simulated device
                    await asyncio.sleep(0.05)
            assert process.returncode is None
            # two masters would fight over the devices
            with pytest.raises(ConfigError, match="stop it first"):
                commission(config, ["inverter"], ["all"], "Anna", 20.0, None)
        assert running.house.storage.mode == _OWN
        # a started agent tells the safe state, whatever was before, and nothing else
        assert told
        assert set(told) == {(inverter.model_at[_STORAGE] + _MODE, (_OWN,))}
