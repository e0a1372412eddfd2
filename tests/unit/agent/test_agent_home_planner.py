"""A home whose hub is silent plans for itself, in a process of its own, and gives way as soon as the hub is back."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hearth_agent.events import EventLog
from hearth_agent.forecast.models import ModelStore
from hearth_agent.forecast.service import ForecastService
from hearth_agent.plan.child import PlanningError, ask_child
from hearth_agent.plan.home_planner import SILENT_S, HomePlanner
from hearth_agent.plan.prices import PriceMemory
from hearth_agent.plan.store import PlanStore
from hearth_agent.plan.worker import PlanRequest
from hearth_core.clock import ManualClock
from hearth_core.messages import MAX_PLAN_BYTES, Consumed, MarketPrices, Mode, Plan, Slot
from hearth_core.signing import seal
from hearth_core.site import BatteryFacts, Limits, Site
from hearth_core.tariff import ExportKind, ImportKind, NetMetering, Tariff, Tier
from hearth_models.battery import Battery
from hearth_models.forecasting import Quantiles
from hearth_models.planning.cached import pack_prices, so_far_at
from hearth_models.planning.inputs import PlanInputs
from hearth_models.planning.outlook import PRICE_DAYS, STEP_S, KnownPrices
from hearth_models.planning.plan import make_plan
from hearth_models.tariffs import SoFar

KEY = Ed25519PrivateKey.generate()
NOW_S = 1_459_728_000.0  # 2016-04-04 00:00 UTC
NOW_MS = int(NOW_S * 1000)
HOUR_MS = 3_600_000
SITE = Site(
    name="Anna",
    timezone="Europe/Berlin",
    latitude=47.7,
    longitude=9.2,
    price_zone="NL",
    limits=Limits(main_fuse_a=35),
    tariff=Tariff(import_adder_eur_per_kwh=0.1, export_kind=ExportKind.SPOT),
    battery=BatteryFacts(capacity_wh=10_000, max_charge_w=5_000, max_discharge_w=5_000),
)
# nights are cheap, evenings dear
DAY = [0.01] * 6 + [0.10] * 12 + [0.40] * 4 + [0.10] * 2


def plan(**values: Any) -> Plan:
    slots = [
        Slot(
            start_ms=NOW_MS + 900_000 * index, mode=Mode.HOLD, reason="rests", import_eur_per_kwh=0.3,
            export_eur_per_kwh=0.1, marginal_eur_per_kwh=0.2, load_w=500.0, pv_w=0.0, battery_w=0.0, grid_w=500.0,
            soc_percent=50.0,
        )
        for index in range(8)
    ]  # fmt: skip
    base: dict[str, Any] = {
        "home": "anna",
        "version": 7,
        "issued_ms": NOW_MS,
        "valid_from_ms": NOW_MS,
        "valid_until_ms": NOW_MS + 2 * HOUR_MS,
        "step_s": 900,
        "slots": slots,
        "market": MarketPrices(start_ms=NOW_MS - 168 * HOUR_MS, step_s=3600, eur_per_kwh=[*DAY * 7, *DAY]),
    }
    return Plan(**{**base, **values})


class Agent:
    """The rooms that planning at home looks into."""

    def __init__(self, folder: Path, site: Site = SITE) -> None:
        self.folder, self.site = folder, site
        self.clock = ManualClock(NOW_S)
        self.events = EventLog(self.clock)
        self.store = PlanStore(folder / "plan.sealed", "anna", KEY.public_key(), self.clock, self.events)
        models = ModelStore(folder / "models", "anna", KEY.public_key(), self.events)
        history = folder / "history"
        self.forecasts = ForecastService(history, site, models, 900, lambda _: None, self.clock, self.events)
        self.prices = PriceMemory(folder / "prices.csv")
        self.planner = HomePlanner(
            "anna", site, self.store, self.prices, self.forecasts, lambda: 50.0, self.clock, self.events
        )

    def told(self) -> list[str]:
        texts = []
        while (event := self.events.first()) is not None:
            texts.append(event.text)
            self.events.told(event)
        return texts


async def test_when_the_last_plan_is_over_the_home_plans_on_its_prices(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    assert agent.store.offer(seal(plan(policy="rule"), KEY))
    agent.clock.now_s += 3600
    assert await agent.planner.look() is None, "the hub's plan is not over"
    agent.clock.now_s += 3600
    made = await agent.planner.look()
    assert made is not None
    assert agent.store.current(int(agent.clock.now_s * 1000)) == made
    assert made.headline.startswith("The hub has been silent since 04.04. 02:00, planned at home: ")
    assert made.policy == "rule", "the hub's last word on that stands"
    assert "planned at home" in agent.planner.explained("rests")
    assert agent.told() == ["the hub has been silent since 04.04. 02:00, planned at home"]
    # the prices the hub published, and beyond them the mean of the same hours of the last days
    market = np.array([slot.export_eur_per_kwh for slot in made.slots])
    at = (np.array([slot.start_ms for slot in made.slots]) // HOUR_MS) % 24
    assert market.tolist() == pytest.approx([DAY[hour] for hour in at])
    night = [slot.mode for slot in made.slots if slot.start_ms < NOW_MS + 6 * HOUR_MS]
    assert Mode.CHARGE_FROM_GRID in night
    # a restarted agent knows the prices still
    assert PriceMemory(tmp_path / "prices.csv").known(NOW_S).eur_per_kwh.tolist() == [
        price for price in [*DAY * 7, *DAY] for _ in range(4)
    ]


async def test_a_plan_made_at_home_loses_against_every_valid_one_of_the_hub(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    agent.store.offer(seal(plan(), KEY))
    agent.clock.now_s += 2 * 3600
    made = await agent.planner.look()
    now_ms = int(agent.clock.now_s * 1000)
    assert agent.store.current(now_ms) == made
    assert agent.store.version == 7, "a home's own plan is none of the hub's versions"
    forged = msgspec.structs.replace(plan(), version=9, issued_ms=now_ms, valid_until_ms=now_ms + HOUR_MS)
    assert not agent.store.offer(seal(forged, Ed25519PrivateKey.generate()))
    assert agent.store.current(now_ms) == made
    back = msgspec.structs.replace(forged, version=8)
    assert agent.store.offer(seal(back, KEY))
    assert agent.store.current(now_ms) == back
    assert "home" not in agent.planner.explained("rests")
    assert await agent.planner.look() is None


async def test_a_new_agent_waits_for_its_first_plan_before_it_makes_one(tmp_path: Path) -> None:
    """Where prices do not depend on the market it needs no hub at all."""
    fixed = Tariff(
        import_kind=ImportKind.FIXED, import_eur_per_kwh=0.3, export_kind=ExportKind.FIXED, export_eur_per_kwh=0.08
    )
    agent = Agent(tmp_path, msgspec.structs.replace(SITE, tariff=fixed))
    agent.clock.now_s += SILENT_S - 1
    assert await agent.planner.look() is None
    agent.clock.now_s += 1
    made = await agent.planner.look()
    assert made is not None
    assert {slot.import_eur_per_kwh for slot in made.slots} == {0.3}


async def test_without_any_price_or_without_the_extra_the_home_lives_by_the_rule_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(tmp_path)
    agent.clock.now_s += SILENT_S
    assert await agent.planner.look() is None
    assert await agent.planner.look() is None
    assert agent.told() == ["the hub is silent, and no plan could be made at home: no price of zone NL is known"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert await agent.planner.look() is None
    assert agent.told() == ["the hub is silent, and planning at home needs the extra hearth-agent[plan]"]
    assert agent.store.current(int(agent.clock.now_s * 1000)) is None


def request() -> PlanRequest:
    return PlanRequest(
        home="anna", site=SITE, version=1, now_s=NOW_S, prices_start_s=NOW_S, prices_eur_per_kwh=b"", consumed=None,
        consumed_s=NOW_S, load_start_s=NOW_S, load_w=b"", pv_start_s=NOW_S, pv_w=b"", forecast=None, soc_percent=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import time; time.sleep(60)", "no plan within"),
        ("print('nonsense')", "ended with 0"),
        ("import os; os.abort()", "ended with -6"),
        ("import sys; sys.stdin.close()", "ended with 0"),
    ],
)
async def test_a_child_that_hangs_dies_or_lies_costs_nothing_but_its_plan(script: str, said: str) -> None:
    began_s = time.monotonic()
    with pytest.raises(PlanningError, match=said):
        await ask_child(request(), (sys.executable, "-c", script), deadline_s=1.0)
    assert time.monotonic() - began_s < 5


def test_prices_travel_in_the_markets_own_step() -> None:
    hourly = np.repeat(np.arange(1.0, 50.0) / 1000, 4)
    packed = pack_prices(KnownPrices(NOW_S + 900, hourly[1:]))
    assert packed is not None
    assert (packed.step_s, packed.start_ms) == (3600, NOW_MS + HOUR_MS)
    assert packed.eur_per_kwh == pytest.approx(np.arange(2.0, 50.0) / 1000)
    quarters = hourly + np.arange(len(hourly)) / 1e4
    packed = pack_prices(KnownPrices(NOW_S, np.concatenate([[np.nan] * 3, quarters, [np.nan] * 9])))
    assert packed is not None
    assert (packed.step_s, packed.start_ms, len(packed.eur_per_kwh)) == (900, NOW_MS + 3 * 900_000, len(quarters))
    assert pack_prices(KnownPrices(NOW_S, np.full(5, np.nan))) is None


def test_the_largest_plan_with_its_prices_still_passes_the_door(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    prices = np.round(rng.normal(-0.05, 0.2, (PRICE_DAYS + 2) * 96), 5)
    load_w = np.abs(rng.normal(500, 300, 192))
    forecast = Quantiles(NOW_S, STEP_S, load_w * 0.5, load_w, load_w * 1.6)
    inputs = PlanInputs(
        start_s=NOW_S, step_s=STEP_S, import_eur_per_kwh=prices[-192:] + 0.2, export_eur_per_kwh=prices[-192:],
        load=forecast, pv=forecast, battery=Battery.from_facts(SITE.battery) if SITE.battery else None,
        soc_percent=50.0, limits=SITE.limits,
    )  # fmt: skip
    market = pack_prices(KnownPrices(NOW_S - PRICE_DAYS * 86_400, prices))
    assert market is not None
    assert len(market.eur_per_kwh) == len(prices)
    made = msgspec.structs.replace(make_plan(inputs, "anna", 7, NOW_MS, SITE.timezone), market=market)
    sealed = seal(made, KEY)
    assert MAX_PLAN_BYTES * 0.8 < len(sealed) <= MAX_PLAN_BYTES
    assert Agent(tmp_path).store.offer(sealed)


def test_a_broken_line_of_kept_prices_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(f"{NOW_S:.0f},0.1,plan 7\n{NOW_S + 900:.0f},nan,plan 7\nx,0.1,plan 7\n{NOW_S + 1800:.0f},0.")
    known = PriceMemory(path).known(NOW_S)
    assert known.eur_per_kwh[0] == 0.1
    assert np.isnan(known.eur_per_kwh[1])
    assert PriceMemory(path).known(0.0).eur_per_kwh.tolist() == pytest.approx([np.nan], nan_ok=True)


def test_what_the_month_has_seen_counts_until_it_is_over() -> None:
    told = Consumed(month_import_kwh=100.0, period_import_kwh=900.0, period_export_kwh=950.0, period_gain_eur=5.0)
    yearly = Tariff(import_adder_eur_per_kwh=0.1, net_metering=NetMetering(period="year"))
    tiers = Tariff(import_adder_eur_per_kwh=0.1, tiers=(Tier(eur_per_kwh=0.0, up_to_kwh=100), Tier(eur_per_kwh=0.1)))
    later = so_far_at(yearly, told, NOW_S, NOW_S + 3 * 86_400, "Europe/Berlin")
    assert (later.month_import_kwh, later.period_import_kwh) == (100.0, 900.0)
    may = so_far_at(yearly, told, NOW_S, NOW_S + 30 * 86_400, "Europe/Berlin")
    assert (may.month_import_kwh, may.period_import_kwh) == (0.0, 900.0)
    assert so_far_at(tiers, told, NOW_S, NOW_S + 30 * 86_400, "Europe/Berlin") == SoFar()
    assert so_far_at(tiers, None, NOW_S, NOW_S, "Europe/Berlin") == SoFar()
    assert STEP_S == 900
