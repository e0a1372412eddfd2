"""The agent as a whole, without a device or a broker: what it is told reaches the room it is for."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hearth_agent.app import Agent
from hearth_agent.control.orders import GridCaps
from hearth_agent.settings import load_home
from hearth_core.clock import ManualClock
from hearth_core.messages import AgentState, GridLimit, MarketPrices, Mode, Override, Plan, Side, Slot
from hearth_core.signing import public_key_text, seal

KEY = Ed25519PrivateKey.generate()
NOW_S = 1_459_728_000.0
NOW_MS = int(NOW_S * 1000)
HOUR_MS = 3_600_000
CONFIG = """
agent: anna
data_dir: data
hub: {{mqtt_url: "mqtt://127.0.0.1:9", public_key: "{key}"}}
site:
  name: Anna
  timezone: Europe/Berlin
  latitude: 47.7
  longitude: 9.2
  price_zone: NL
  limits: {{main_fuse_a: 35}}
  tariff: {{import_adder_eur_per_kwh: 0.1}}
  battery: {{capacity_wh: 10000, max_charge_w: 5000, max_discharge_w: 5000}}
devices:
  - {{id: grid, profile: eastron-sdm630, host: 127.0.0.1}}
  - {{id: inverter, profile: sunspec-hybrid, host: 127.0.0.2}}
"""


def make_agent(folder: Path) -> tuple[Agent, ManualClock]:
    path = folder / "agent.yaml"
    path.write_text(CONFIG.format(key=public_key_text(KEY)))
    home = load_home(path)
    home.data_dir.mkdir()
    clock = ManualClock(NOW_S)
    return Agent(home, clock), clock


async def test_overrides_and_grid_limits_are_looked_at_with_each_step(tmp_path: Path) -> None:
    agent, clock = make_agent(tmp_path)
    wish = Override(
        home="anna", version=1, device="inverter", issued_ms=NOW_MS, until_ms=NOW_MS + HOUR_MS, battery=Mode.HOLD
    )
    order = GridLimit(home="anna", version=1, issued_ms=NOW_MS, side=Side.IMPORT, limit_w=4200, duration_s=1800)
    await agent._hear("override/inverter", seal(wish, KEY))
    await agent._hear("grid-limit/import", seal(order, KEY))
    agent.controller.tick()
    assert agent.overrides.current() == {"inverter": wish}
    assert agent.grid_limits.caps() == GridCaps(import_w=4200)
    assert (await agent.status(AgentState.ONLINE)).reason.endswith(
        "; grid operator: import at most 4200 W (mqtt-import)"
    )
    told = agent.mood()
    clock.now_s += 1801
    agent.controller.tick()
    assert agent.grid_limits.caps() == GridCaps()
    assert agent.mood() != told, "the status is repeated at once"
    clock.now_s += 1800
    agent.controller.tick()
    assert agent.overrides.current() == {}


async def test_the_status_says_that_the_plan_was_made_at_home(tmp_path: Path) -> None:
    agent, clock = make_agent(tmp_path)
    slot = Slot(
        start_ms=NOW_MS, mode=Mode.HOLD, reason="rests", import_eur_per_kwh=0.2, export_eur_per_kwh=0.1,
        marginal_eur_per_kwh=0.1, load_w=0, pv_w=0, battery_w=0, grid_w=0, soc_percent=50,
    )  # fmt: skip
    last = Plan(
        home="anna", version=1, issued_ms=NOW_MS, valid_from_ms=NOW_MS, valid_until_ms=NOW_MS + HOUR_MS, step_s=3600,
        slots=[slot], market=MarketPrices(start_ms=NOW_MS - 24 * HOUR_MS, step_s=3600, eur_per_kwh=[0.1] * 24),
    )  # fmt: skip
    await agent._hear("plan", seal(last, KEY))
    assert "home" not in (await agent.status(AgentState.ONLINE)).reason
    clock.now_s += 3600
    assert await agent.home_planner.look() is not None
    status = await agent.status(AgentState.ONLINE)
    assert "the hub has been silent since 04.04. 02:00, planned at home" in status.reason
    assert status.plan_version == 1
