"""Tiers and net metering in the hub: prices follow what a home's meter has counted in its month and period."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from hearth_core.clock import ManualClock
from hearth_core.messages import Birth, DeviceBatch, DeviceInfo, Plan, Readings, encode
from hearth_core.points import DeviceKind
from hearth_core.site import Limits, Site
from hearth_core.tariff import ImportKind, NetMetering, Tariff, Tier
from hearth_hub.database.pool import Connection, new_pool
from hearth_hub.homes.repository import Home
from hearth_hub.homes.service import get_home
from hearth_hub.ingest.service import Incoming, Ingest, open_message
from hearth_hub.prices import repository as prices
from hearth_hub.prices.consumption import Remembered, consumption, so_far
from hearth_hub.prices.service import price_now, price_series
from hearth_hub.prices.source import PricePoint, published_at
from hearth_hub.readings.roll_up import RollUp
from hearth_hub.savings.service import reckon
from hearth_hub.timing import milliseconds
from hearth_hub.worker.planning import plan_home

# midnight in Berlin; two days later a month begins there
START = datetime(2016, 4, 28, 22, tzinfo=UTC)
MAY = START + timedelta(days=2)
STEP = timedelta(minutes=5)
LOAD_W = 1000.0
TIERED = Tariff(
    import_kind=ImportKind.FIXED,
    import_eur_per_kwh=0.20,
    tiers=(Tier(eur_per_kwh=0.0, up_to_kwh=30), Tier(eur_per_kwh=0.15)),
)


def net_metered(period: NetMetering) -> Tariff:
    return Tariff(import_kind=ImportKind.FIXED, import_eur_per_kwh=0.30, export_eur_per_kwh=0.10, net_metering=period)


def load_only(at: datetime) -> float:
    """Draws 1 kW all the time: 30 kWh are reached on the second morning at 06:00 local time."""
    return LOAD_W


def sunny(at: datetime) -> float:
    """Draws 1 kW for ten hours of a day and feeds 2 kW in for the rest: after 15 hours the balance turns."""
    return LOAD_W if (at - START) % timedelta(days=1) < timedelta(hours=10) else -2 * LOAD_W


def seed(url: str, tariff: Tariff, flow_w: Callable[[datetime], float], until: datetime) -> None:
    """Have a home with nothing but a grid meter live up to an instant."""
    site = Site(
        name="Tia's home",
        timezone="Europe/Berlin",
        latitude=47.7,
        longitude=9.2,
        price_zone="NL",
        limits=Limits(main_fuse_a=35),
        tariff=tariff,
    )
    device = DeviceInfo(id="grid", kind=DeviceKind.GRID_METER, profile="p")
    times = [START + STEP * number for number in range((until - START) // STEP)]
    flows = [flow_w(at) for at in times]
    counted: dict[str, list[float | None]] = {"import_energy_wh": [], "export_energy_wh": []}
    # a meter that has counted before, and goes on through what has flowed up to each reading
    bought = sold = 5000.0
    for flow in flows:
        bought, sold = bought + max(flow, 0.0) / 12, sold + max(-flow, 0.0) / 12
        counted["import_energy_wh"].append(bought)
        counted["export_energy_wh"].append(sold)
    batch = DeviceBatch(
        device="grid",
        # the end of each step, just inside of it
        at_ms=[milliseconds(at + STEP) - 1 for at in times],
        points={"power_w": [*flows], **counted},
        produced=len(times),
    )
    epoch = "00000000000000ee"
    messages = {
        "birth": Birth(session="s", at_ms=0, epoch=epoch, software="1", site=site, devices=[device]),
        "readings": Readings(epoch=epoch, seq=1, batches=[batch]),
    }
    clock = ManualClock(until.timestamp())
    with psycopg.connect(url, autocommit=True) as connection:
        ingest = Ingest(connection, clock)
        for what, message in messages.items():
            ingest.store([open_message(Incoming(f"hearth/tia/{what}", encode(message)), clock)])


async def lived(connection: Connection) -> Home:
    """Return the home after the worker has rolled its readings up and the market has published its prices."""
    await RollUp().everything(connection)
    hours = [START + timedelta(hours=hour) for hour in range(24 * 6)]
    await prices.store(connection, "NL", [PricePoint(at, 3600, 0.05, published_at(at)) for at in hours])
    return await get_home(connection, "tia")


async def planned(connection: Connection, home: Home, at: datetime) -> Plan:
    found = await plan_home(connection, home, at.timestamp())
    assert found is not None
    return found.plan


async def test_a_month_that_has_reached_the_next_tier_is_planned_shown_and_reckoned_with_it(postgres_url: str) -> None:
    seed(postgres_url, TIERED, load_only, MAY + timedelta(hours=3))
    crossed = START + timedelta(hours=30)
    async with new_pool(postgres_url) as pool, pool.connection() as connection:
        home = await lived(connection)
        assert home.site is not None
        seen = await so_far(connection, home, home.site, crossed + timedelta(minutes=10))
        assert seen.month_import_kwh == pytest.approx(30, rel=0.005), "whole quarter-hours before now"
        before, after = crossed - timedelta(minutes=30), crossed + timedelta(minutes=30)
        assert await price_now(connection, home, before) == (0.20, 0.0)
        assert await price_now(connection, home, after) == (0.35, 0.0)
        assert await price_now(connection, home, MAY + timedelta(hours=2)) == (0.20, 0.0), "a new month"

        assert (await planned(connection, home, before)).slots[0].import_eur_per_kwh == 0.20
        slots = (await planned(connection, home, after)).slots
        assert {slot.import_eur_per_kwh for slot in slots if slot.start_ms < milliseconds(MAY)} == {0.35}
        assert {slot.import_eur_per_kwh for slot in slots if slot.start_ms >= milliseconds(MAY)} == {0.20}

        # a day's costs are those of its beginning
        costs = []
        for begin in (START, crossed + timedelta(hours=6), MAY):
            reckoned = await reckon(connection, home, begin, begin + timedelta(hours=3))
            assert reckoned is not None
            costs.append(reckoned.costs.realised_eur)
        assert costs == pytest.approx([3 * 0.20, 3 * 0.35, 3 * 0.20], rel=0.01)


async def test_the_shown_course_of_prices_has_the_tier_of_each_day_and_of_now(postgres_url: str) -> None:
    now = START + timedelta(hours=40)
    seed(postgres_url, TIERED, load_only, now)
    async with new_pool(postgres_url) as pool, pool.connection() as connection:
        home = await lived(connection)
        span = milliseconds(START), milliseconds(START + timedelta(hours=72))
        shown = await price_series(connection, home, *span, ManualClock(now.timestamp()))
        tomorrow = milliseconds(MAY), span[1]
        later = await price_series(connection, home, *tomorrow, ManualClock(now.timestamp()))
        past = await price_series(connection, home, *span, ManualClock((now + timedelta(days=30)).timestamp()))
    assert shown["start_ms"] == span[0]
    # two days that began in the first tier, from now on the second, and the new month
    assert shown["import_eur_per_kwh"].tolist() == [0.20] * 40 + [0.35] * 8 + [0.20] * 24
    assert later["import_eur_per_kwh"].tolist() == [0.20] * 24
    assert past["import_eur_per_kwh"].tolist() == [0.20] * 72


@pytest.mark.parametrize(
    ("period", "in_may"),
    [(NetMetering(period="month"), (0.30, 0.30)), (NetMetering(period="year", first_month=4), (0.10, 0.10))],
    ids=["month", "year"],
)
async def test_a_balance_that_turns_to_a_surplus_makes_prices_those_of_feed_in(
    postgres_url: str, period: NetMetering, in_may: tuple[float, float]
) -> None:
    """A month's balance begins anew, a year's goes on."""
    seed(postgres_url, net_metered(period), sunny, MAY + timedelta(hours=1))
    async with new_pool(postgres_url) as pool, pool.connection() as connection:
        home = await lived(connection)
        assert await price_now(connection, home, START + timedelta(hours=14)) == (0.30, 0.30)
        assert await price_now(connection, home, START + timedelta(hours=16)) == (0.10, 0.10)
        assert await price_now(connection, home, MAY + timedelta(hours=1)) == in_may
        slot = (await planned(connection, home, START + timedelta(hours=16))).slots[0]
        assert (slot.import_eur_per_kwh, slot.export_eur_per_kwh) == (0.10, 0.10)
        reckoned = await reckon(connection, home, START + timedelta(hours=40), START + timedelta(hours=44))
        assert reckoned is not None
        assert reckoned.costs.realised_eur == pytest.approx(-8 * 0.10, rel=0.01)


async def test_a_hole_in_past_market_prices_is_filled_with_their_mean(postgres_url: str) -> None:
    """Day-ahead at 0.05, feed-in at 0.01: each of 12 kWh that were fed in would gain 0.04 by being credited."""
    tariff = Tariff(export_eur_per_kwh=0.01, net_metering=NetMetering())
    seed(postgres_url, tariff, sunny, START + timedelta(hours=17))
    async with new_pool(postgres_url) as pool, pool.connection() as connection:
        home = await lived(connection)
        assert home.site is not None
        hole = START + timedelta(hours=12), START + timedelta(hours=14)
        await connection.execute("delete from price where at >= %s and at < %s", hole)
        seen = await so_far(connection, home, home.site, START + timedelta(hours=16))
        assert await price_now(connection, home, hole[0]) == (None, None), "a price that is shown is never a guess"
    assert seen.period_export_kwh == pytest.approx(12)
    assert seen.period_gain_eur == pytest.approx(12 * 0.04)


async def test_a_live_page_reads_its_home_once_a_quarter_hour(postgres_url: str) -> None:
    seed(postgres_url, TIERED, load_only, START + timedelta(hours=31))
    at, remembered = START + timedelta(hours=29, minutes=50), Remembered()
    async with new_pool(postgres_url) as pool, pool.connection() as connection:
        home = await lived(connection)
        assert home.site is not None
        first = await remembered.so_far(connection, home, home.site, at)
        async with await psycopg.AsyncConnection.connect(postgres_url) as closed:
            pass
        again = await remembered.so_far(closed, home, home.site, at + timedelta(minutes=9))
        with pytest.raises(psycopg.OperationalError):
            await remembered.so_far(closed, home, home.site, at + timedelta(minutes=10))
        assert await price_now(connection, home, at, remembered) == (0.20, 0.0)
        assert await price_now(connection, home, at + timedelta(minutes=25), remembered) == (0.35, 0.0)
    assert again is first


async def test_a_plain_tariff_asks_the_database_nothing(postgres_url: str) -> None:
    seed(postgres_url, Tariff(), load_only, START + timedelta(hours=1))
    async with new_pool(postgres_url) as pool, pool.connection() as connection:
        home = await get_home(connection, "tia")
    assert home.site is not None
    async with await psycopg.AsyncConnection.connect(postgres_url) as closed:
        pass
    assert (await consumption(closed, home, home.site, START, MAY)).metered is None
    with pytest.raises(psycopg.OperationalError):
        await closed.execute("select 1")
