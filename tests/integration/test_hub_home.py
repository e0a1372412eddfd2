"""A seeded home, asked through the API, reconciled, planned for and reported on; everything real but the household."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import queue
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx
import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from hearth_core.clock import ClockConductor, ManualClock
from hearth_core.errors import SignatureError
from hearth_core.messages import (
    AgentState,
    Birth,
    DeviceBatch,
    DeviceInfo,
    Event,
    EventLevel,
    Forecast,
    ForecastSeries,
    Mode,
    Plan,
    Readings,
    Slot,
    Status,
    Tally,
    Target,
    encode,
)
from hearth_core.points import DeviceKind
from hearth_core.signing import unseal
from hearth_core.site import BatteryFacts, Limits, Site
from hearth_core.tariff import ExportKind, ImportKind, Tariff
from hearth_core.windows import PricedWindow
from hearth_hub.accounts.service import reconcile
from hearth_hub.app import create_app
from hearth_hub.database.pool import new_pool
from hearth_hub.homes.repository import Home
from hearth_hub.homes.service import get_home
from hearth_hub.ingest.service import Incoming, Ingest, open_message
from hearth_hub.mqtt import Broker
from hearth_hub.plans import repository as plans
from hearth_hub.plans import service as plan_service
from hearth_hub.prices import repository as prices
from hearth_hub.prices.service import price_now
from hearth_hub.prices.source import PricePoint, published_at
from hearth_hub.readings.live import live
from hearth_hub.readings.roll_up import RollUp
from hearth_hub.readings.service import now_of
from hearth_hub.report.service import report
from hearth_hub.savings import repository as ledger
from hearth_hub.savings.repository import DayRow
from hearth_hub.savings.service import rule_is_better
from hearth_hub.worker.planning import look_ahead_of, plan_home
from hearth_hub.worker.process import Worker
from hearth_hub.worker.publisher import Publisher

START = datetime(2016, 4, 4, tzinfo=UTC)
DAYS = 3
NOW = START + timedelta(days=DAYS, hours=6)
NOW_S = NOW.timestamp()
EPOCH = "00000000000000cc"
STEP_S = 300


class Mosquitto(Protocol):
    """What these tests need of the fixture."""

    port: int

    @property
    def url(self) -> str: ...


def household(at: datetime) -> dict[str, dict[str, float]]:
    """What each device measures at an instant: 600 W of load, a sun of 3 kW, an EV in the evening."""
    hours = (at - START).total_seconds() / 3600
    hour = hours % 24
    pv_w = max(0.0, 3000 * math.sin((hour - 6) / 12 * math.pi))
    ev_w = 2000.0 if 18 <= hour < 20 else 0.0
    load_w = 600.0 + ev_w
    return {
        "grid": {"power_w": load_w - pv_w, "import_energy_wh": 300 * hours, "export_energy_wh": 100 * hours},
        "inverter": {"power_w": pv_w, "pv_power_w": pv_w, "battery_power_w": 0.0, "soc_percent": 40.0},
        "charger": {"power_w": ev_w},
    }


def birth() -> Birth:
    site = Site(
        name="Anna's home",
        timezone="Europe/Berlin",
        latitude=47.7,
        longitude=9.2,
        price_zone="NL",
        limits=Limits(main_fuse_a=35),
        tariff=Tariff(import_adder_eur_per_kwh=0.1, vat_percent=20, export_kind=ExportKind.SPOT),
        battery=BatteryFacts(capacity_wh=10_000, max_charge_w=5000, max_discharge_w=5000),
    )
    kinds = {
        "grid": DeviceKind.GRID_METER,
        "inverter": DeviceKind.HYBRID_INVERTER,
        "charger": DeviceKind.EV_CHARGER,
    }
    devices = [DeviceInfo(id=name, kind=kind, profile="p") for name, kind in kinds.items()]
    return Birth(session="s", at_ms=0, epoch=EPOCH, software="1", site=site, devices=devices)


def day_ahead() -> list[PricePoint]:
    """A night cheap, an evening dear; as many days as the market would ever know."""
    hours = [START - timedelta(days=2) + timedelta(hours=hour) for hour in range(24 * 10)]
    return [PricePoint(at, 3600, 0.05 if at.hour < 6 else 0.25, published_at(at)) for at in hours]


def send(ingest: Ingest, what: str, message: Any) -> None:
    ingest.store([open_message(Incoming(f"hearth/anna/{what}", encode(message)), ManualClock(NOW_S))])


@pytest.fixture
def seeded(postgres_url: str) -> str:
    """A home of three days and six hours at five minutes, its agent online."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        ingest = Ingest(connection, ManualClock(NOW_S))
        send(ingest, "birth", birth())
        times = [START + timedelta(seconds=STEP_S * step) for step in range((DAYS * 24 + 6) * 3600 // STEP_S)]
        lived = [household(at) for at in times]
        at_ms = [round(at.timestamp() * 1000) for at in times]
        batches = [
            DeviceBatch(
                device=name,
                at_ms=at_ms,
                points={point: [home[name][point] for home in lived] for point in lived[0][name]},
                produced=len(times),
            )
            for name in lived[0]
        ]
        send(ingest, "readings", Readings(epoch=EPOCH, seq=1, batches=batches))
        tallies = [Tally(device=name, produced=len(times), spooled=0) for name in lived[0]]
        now_ms = round(NOW_S * 1000)
        send(
            ingest,
            "status",
            Status(state=AgentState.ONLINE, session="s", at_ms=now_ms, epoch=EPOCH, tallies=tallies, mode="hold"),
        )
        send(ingest, "event", Event(at_ms=now_ms, level=EventLevel.WARNING, kind="device_lost", device="charger"))
    return postgres_url


@pytest.fixture
async def api(seeded: str) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(seeded, ManualClock(NOW_S))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client,
    ):
        yield client


async def rolled_up(url: str) -> None:
    """Do what the worker would do with what is stored."""
    async with new_pool(url) as pool, pool.connection() as connection:
        await RollUp().everything(connection)


class Listener:
    """An agent that only listens."""

    def __init__(self, port: int) -> None:
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _, __, message: self.heard.put((message.topic, bytes(message.payload)))
        self._client.on_connect = lambda client, *_: client.subscribe("hearth/anna/#", 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def listener(mosquitto: Mosquitto) -> Iterator[Listener]:
    listener = Listener(mosquitto.port)
    yield listener
    listener.close()


async def test_the_api_shows_the_home(api: httpx.AsyncClient) -> None:
    assert (await api.get("/api/health")).json() == {"status": "ok"}
    assert (await api.get("/api/clock")).json() == {"now_ms": round(NOW_S * 1000), "speed": 1.0}
    homes = (await api.get("/api/homes")).json()
    assert homes == [{"home": "anna", "name": "Anna's home", "state": "online", "timezone": "Europe/Berlin"}]
    home = (await api.get("/api/homes/anna")).json()
    assert home["battery"]["capacity_wh"] == 10_000
    assert [device["kind"] for device in home["devices"]] == ["ev_charger", "grid_meter", "hybrid_inverter"]
    events = (await api.get("/api/homes/anna/events?limit=5")).json()
    assert [(event["kind"], event["device"], event["level"]) for event in events] == [
        ("device_lost", "charger", "warning")
    ]


async def test_now_adds_up(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/homes/anna/now")
    assert answer.headers["cache-control"] == "no-store"
    now = answer.json()
    assert now["flows"]["load_w"] == pytest.approx(600, abs=0.1)
    assert now["flows"]["house_w"] == pytest.approx(600, abs=0.1)
    assert now["flows"]["heat_pump_w"] is None
    assert now["stored_wh"] == 4000
    assert now["mode"] == "hold"
    assert now["import_eur_per_kwh"] is None, "no price has been published yet"
    assert {device["device"]: device["age_s"] for device in now["devices"]} == dict.fromkeys(
        ("charger", "grid", "inverter"), 300.0
    )


@pytest.mark.parametrize(
    ("speed", "age_s", "is_there"), [(0.0, 200, True), (0.0, 301, False), (1000.0, 400, True), (1000.0, 5001, False)]
)
async def test_a_fast_clock_does_not_make_devices_flicker(
    seeded: str, tmp_path: Path, speed: float, age_s: float, is_there: bool
) -> None:
    """At a thousand seconds a second, five minutes are shorter than a reading needs to get here."""
    conductor = ClockConductor(tmp_path / "clock", NOW_S - STEP_S + age_s)
    async with new_pool(seeded) as pool, pool.connection() as connection:
        home = await get_home(connection, "anna")
        conductor.set_speed(speed)  # only now: it must not run far while the database is asked
        state = await now_of(connection, home, conductor.clock)
    assert (state["flows"]["load_w"] is not None) is is_there
    assert (state["soc_percent"] is not None) is is_there


async def test_series_are_means_and_holes_are_null(api: httpx.AsyncClient, seeded: str) -> None:
    """A silent inverter must show as missing, never as a house without load."""
    with psycopg.connect(seeded) as connection:
        connection.execute(
            "delete from reading r using device d where d.id = r.device_id and d.device = 'inverter'"
            " and r.at >= %s and r.at < %s",
            [START + timedelta(hours=13), START + timedelta(hours=14)],
        )
    await rolled_up(seeded)
    span = {"start_ms": round((START + timedelta(hours=12)).timestamp() * 1000), "step_s": 3600}
    span["end_ms"] = span["start_ms"] + 9 * 3_600_000
    series = (await api.get("/api/homes/anna/series", params=span)).json()
    assert series["load_w"][0] == pytest.approx(600, abs=0.2)
    assert series["load_w"][1] is None
    assert series["ev_w"][5:9] == [0.0, 2000.0, 2000.0, 0.0]
    assert series["pv_w"][0] == pytest.approx(2960, rel=0.02)
    assert series["heat_pump_w"] == [None] * 9
    assert series["start_ms"] == span["start_ms"]


async def test_a_fine_step_is_read_over_hours_and_refused_over_a_day(api: httpx.AsyncClient) -> None:
    """Single readings are found by their instant, among those of all homes."""
    start_ms = round((START + timedelta(hours=12)).timestamp() * 1000)
    span = {"start_ms": start_ms, "end_ms": start_ms + 3_600_000, "step_s": 50}
    series = (await api.get("/api/homes/anna/series", params=span)).json()
    assert series["load_w"][:7] == [600.0, *[None] * 5, 600.0], "a reading each five minutes"
    for wrong, field in (({"step_s": 90}, "step_s"), ({"step_s": 60, "start_ms": start_ms - 5}, "start_ms")):
        span = {"start_ms": start_ms, "end_ms": start_ms + 86_400_000} | wrong
        answer = await api.get("/api/homes/anna/series", params=span)
        assert answer.status_code == 422
        assert answer.json()["error"]["field"] == field


async def test_the_energy_of_each_local_day(api: httpx.AsyncClient, seeded: str) -> None:
    await rolled_up(seeded)
    span = {"from_ms": round((START + timedelta(hours=5)).timestamp() * 1000), "to_ms": round(NOW_S * 1000)}
    found = (await api.get("/api/homes/anna/energy", params=span)).json()
    # Berlin is two hours ahead: the first day has begun before the record, the last one is running
    assert found["day"] == ["2016-04-04", "2016-04-05", "2016-04-06", "2016-04-07"]
    assert found["start_ms"][0] == round(START.timestamp() * 1000) - 7_200_000
    assert found["import_wh"][1:3] == [7200.0, 7200.0]
    assert found["export_wh"][1:3] == [2400.0, 2400.0]
    assert found["pv_wh"][1] == pytest.approx(3000 * 24 / math.pi, rel=0.01)
    assert found["battery_charge_wh"][1] == 0
    assert found["ev_wh"][1] == pytest.approx(4000)
    assert found["heat_pump_wh"] == [None] * 4


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/api/homes/nobody/now", 404, "home"),
        ("/api/homes/nobody/live", 404, "home"),
        ("/api/homes/anna/plan", 404, "plan"),
        ("/api/homes/nobody/plan/past?start_ms=0&end_ms=1", 404, "home"),
        ("/api/homes/anna/plan/past?start_ms=1&end_ms=1", 422, "end_ms"),
        ("/api/homes/anna/forecast", 404, "forecast"),
        ("/api/homes/anna/series?start_ms=2&end_ms=1", 422, "end_ms"),
        ("/api/homes/anna/series?start_ms=a&end_ms=1", 422, "start_ms"),
        ("/api/homes/anna/series?start_ms=0&end_ms=86400000&step_s=1", 422, "step_s"),
        ("/api/homes/anna/events?limit=0", 422, "limit"),
        ("/api/homes/anna/energy?from_ms=2&to_ms=2", 422, "to_ms"),
        ("/api/homes/anna/energy?from_ms=0&to_ms=99999999999", 422, "to_ms"),
    ],
)
async def test_a_wrong_request_names_field_and_value(
    api: httpx.AsyncClient, path: str, status: int, field: str
) -> None:
    answer = await api.get(path)
    assert answer.status_code == status
    assert answer.json()["error"]["field"] == field
    assert answer.json()["error"]["message"]


async def test_without_a_built_dashboard_the_page_says_how_to_build_it(seeded: str, tmp_path: Any) -> None:
    app = create_app(seeded, ManualClock(NOW_S), static=tmp_path)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        assert "make web" in (await client.get("/")).text
    (tmp_path / "index.html").write_text("<p>built")
    app = create_app(seeded, ManualClock(NOW_S), static=tmp_path)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        assert (await client.get("/")).text == "<p>built"


async def test_the_live_stream_tells_state_and_new_plans_and_ends_when_the_hub_closes(seeded: str) -> None:
    closing = asyncio.Event()
    events: list[tuple[str, dict[str, Any]]] = []
    async with new_pool(seeded) as pool:
        async for chunk in live(pool, ManualClock(NOW_S), "anna", closing):
            name, _, data = chunk.decode().partition("\n")
            events.append((name, json.loads(data.removeprefix("data: "))))
            if len(events) == 1:
                async with pool.connection() as connection:
                    await connection.execute(
                        "insert into plan (home_id, version, issued_at, policy, solve_ms, broken_wishes)"
                        " select id, 7, now(), 'modes', 1, 0 from home"
                    )
            elif events[-1][0] == "event: plan" or len(events) > 4:
                closing.set()
    assert [name for name, _ in events] == ["event: now", "event: now", "event: plan"]
    assert events[0][1]["plan_version"] is None
    assert events[2][1] == {"version": 7}


def plan_of(issued: datetime, name: str, step_s: int = 900, hours: int = 48) -> Plan:
    """A plan whose reasons tell which one it is and how many steps it looked ahead."""
    issued_ms = round(issued.timestamp() * 1000)
    start_ms = issued_ms // (step_s * 1000) * step_s * 1000
    slots = [
        Slot(
            start_ms=start_ms + number * step_s * 1000,
            mode=Mode.HOLD if name == "a" else Mode.CHARGE_FROM_GRID,
            reason=f"{name}{number}",
            import_eur_per_kwh=0.3,
            export_eur_per_kwh=0.1,
            marginal_eur_per_kwh=0.2,
            load_w=1,
            pv_w=0,
            battery_w=0,
            grid_w=1,
            soc_percent=min(100, 10 + number),
        )
        for number in range(hours * 3600 // step_s)
    ]
    end_ms = start_ms + hours * 3_600_000
    return Plan(
        home="anna",
        version=issued_ms // 1000,
        issued_ms=issued_ms,
        valid_from_ms=start_ms,
        valid_until_ms=end_ms,
        step_s=step_s,
        slots=slots,
    )


async def test_the_past_shows_what_the_plan_in_force_said(seeded: str) -> None:
    """Each quarter-hour by its own plan; where planning paused, by the last one; nothing before, beyond or to come."""
    quarter = timedelta(minutes=15)
    made = [
        (quarter * 0 + timedelta(seconds=4), "a"),
        (quarter * 1 + timedelta(seconds=2), "b"),
        (quarter * 1 + timedelta(minutes=9), "c"),  # a second one in the same quarter-hour has the last word
        (quarter * 4 + timedelta(seconds=1), "d"),  # planning paused for two quarter-hours
    ]
    async with new_pool(seeded) as pool, pool.connection() as connection:
        home = await get_home(connection, "anna")
        for after, name in made:
            # "d" has slots of half an hour, as a plan that would be too large for one message
            await plans.store(connection, home.id, plan_of(NOW + after, name, 1800 if name == "d" else 900))
        cursor = await connection.execute("select count(*) from plan_step")
        assert await cursor.fetchone() == (5,), "not every step of every plan is kept"
    app = create_app(seeded, ManualClock((NOW + quarter * 6 + timedelta(minutes=1)).timestamp()))
    start_ms = round(NOW_S * 1000) - 1_800_000
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client,
    ):
        span = {"start_ms": start_ms + 5, "end_ms": start_ms + 11 * 900_000}
        past = (await client.get("/api/homes/anna/plan/past", params=span)).json()
    reasons = [None, None, "a0", "c0", "c1", "c2", "d0", "d0", "d1", None, None]
    assert past["reason"] == reasons
    assert past["start_ms"] == start_ms
    assert past["step_s"] == 900
    assert past["mode"] == [reason and ("hold" if reason < "b" else "charge_from_grid") for reason in reasons]
    assert past["soc_percent"] == [reason and 10.0 + int(reason[1:]) for reason in reasons]


async def test_the_past_ends_where_the_last_plan_ends(seeded: str) -> None:
    async with new_pool(seeded) as pool, pool.connection() as connection:
        home = await get_home(connection, "anna")
        await plans.store(connection, home.id, plan_of(NOW, "a", hours=1))
        found = await plan_service.past(
            connection, home.id, round(NOW_S * 1000), round(NOW_S * 1000) + 7_200_000, round(NOW_S * 1000) + 9_000_000
        )
    assert found["reason"] == ["a0", "a1", "a2", "a3", None, None, None, None]


async def test_reconcile_finds_a_reading_that_vanished(seeded: str) -> None:
    async with new_pool(seeded) as pool, pool.connection() as connection:
        found = await reconcile(connection, "anna")
        assert found.reconciled
        assert found.totals() == {
            "produced": 3 * 936,
            "stored": 3 * 936,
            "spooled": 0,
            "gaps": 0,
            "dead_lettered": 0,
        }
        await connection.execute(
            "delete from reading where (at, device_id) = (select min(at), min(device_id) from reading)"
        )
        found = await reconcile(connection)
        assert not found.reconciled
        assert sum(check.stored - check.rows for check in found.tables) == 1


def worker(url: str, broker_url: str, clock: ManualClock, key: Ed25519PrivateKey) -> Worker:
    publisher = Publisher(Broker.from_url(broker_url), key)
    return Worker(url, clock, publisher, "NL", sorted(day_ahead(), key=lambda point: point.published_at))


async def heard_plan(listener: Listener) -> bytes:
    while True:
        topic, payload = await asyncio.to_thread(listener.heard.get, timeout=20)
        if topic == "hearth/anna/plan":
            return payload


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_a_home_is_planned_for_each_quarter_hour_and_the_plan_is_signed(
    seeded: str, mosquitto: Mosquitto, listener: Listener
) -> None:
    clock, key, stopping = ManualClock(NOW_S), Ed25519PrivateKey.generate(), asyncio.Event()
    running = asyncio.create_task(worker(seeded, mosquitto.url, clock, key).run(stopping))
    try:
        sealed = await heard_plan(listener)
        first = unseal(sealed, key.public_key(), Plan)
        assert first.home == "anna"
        assert first.issued_ms == round(NOW_S * 1000)
        assert first.slots[0].import_eur_per_kwh == pytest.approx((0.25 + 0.1) * 1.2)
        assert 500 < first.slots[0].load_w < 700
        # with it a home plans for itself when this hub is gone
        assert first.market is not None
        assert (first.market.start_ms, first.market.step_s) == (round((START.timestamp() - 2 * 86_400) * 1000), 3600)
        known_h = (2 + DAYS + 1) * 24 - 2  # the days before, those lived, and today until midnight in Brussels
        assert first.market.eur_per_kwh == [0.05 if hour % 24 < 6 else 0.25 for hour in range(known_h)]
        with pytest.raises(SignatureError):
            unseal(sealed, Ed25519PrivateKey.generate().public_key(), Plan)
        forged = sealed.replace(b'\\"version\\":', b'\\"version\\":1', 1)
        assert forged != sealed
        with pytest.raises(SignatureError):
            unseal(forged, key.public_key(), Plan)

        clock.now_s += 900
        second = unseal(await heard_plan(listener), key.public_key(), Plan)
        assert second.version > first.version
        assert second.issued_ms == first.issued_ms + 900_000
    finally:
        stopping.set()
        await running
    async with new_pool(seeded) as pool, pool.connection() as connection:
        home = await get_home(connection, "anna")
        found = await report(connection, home, START, NOW + timedelta(minutes=16))
    assert found["plans"]["made"] == 2
    assert found["plans"]["solve_ms_p50"] > 0
    assert found["readings"]["reconciled"]
    hours = (NOW - START).total_seconds() / 3600
    energy = found["energy_wh"]
    # the meter's counters of this household are plain ramps; the last reading is five minutes before the end
    assert energy["import"] == pytest.approx(300 * hours, rel=0.002)
    pv_wh = DAYS * 3000 * 24 / math.pi
    assert energy["inverter_ac"] == pytest.approx(pv_wh, rel=0.01)
    assert energy["load"] == pytest.approx(energy["import"] - energy["export"] + energy["inverter_ac"], abs=0.2)
    money = found["money_eur"]
    assert money["regret"] == pytest.approx(money["realised"] - money["perfect_foresight"], abs=1e-3)
    assert money["perfect_foresight"] <= money["self_consumption"] + 1e-6


async def test_a_home_that_gains_nothing_by_plans_follows_the_rule_until_that_is_long_ago(seeded: str) -> None:
    def day(number: int, realised_eur: float) -> DayRow:
        return DayRow(date(2016, 3, 1) + timedelta(days=number), realised_eur, 3, 2.0, 2.5, 1.0, complete=True)

    async with new_pool(seeded) as pool, pool.connection() as connection:
        home = await get_home(connection, "anna")
        assert not await rule_is_better(connection, home), "nothing is known"
        for number in range(7):
            assert not await rule_is_better(connection, home), "a week is not over"
            await ledger.upsert(connection, home.id, day(number, 2.1 + 0.01 * number))
        assert await rule_is_better(connection, home)
        # the rule is lived from now on, at what the rule costs
        for number in range(7, 15):
            assert await rule_is_better(connection, home)
            noon = datetime(2016, 3, 1, 12, tzinfo=UTC) + timedelta(days=number)
            await plans.store(connection, home.id, msgspec.structs.replace(plan_of(noon, "a", hours=1), policy="rule"))
            await ledger.upsert(connection, home.id, day(number, 2.0))
        for number in range(15, 22):
            assert not await rule_is_better(connection, home), "too few days with plans are young enough to judge them"
            await ledger.upsert(connection, home.id, day(number, 1.5 + 0.01 * number))
        assert not await rule_is_better(connection, home), "the plans have earned 30 cents a day"


async def test_prices_are_told_when_the_market_publishes_them(seeded: str, mosquitto: Mosquitto) -> None:
    """A plan that knows tomorrow's prices before noon wins money only in a simulation."""
    before = datetime(2016, 4, 7, 10, 44, tzinfo=UTC)  # 12:44 in Brussels
    clock = ManualClock(before.timestamp())
    work = worker(seeded, mosquitto.url, clock, Ed25519PrivateKey.generate())
    async with new_pool(seeded) as pool:

        async def last_price() -> datetime:
            async with pool.connection() as connection:
                cursor = await connection.execute("select max(at) from price")
                row = await cursor.fetchone()
                assert row is not None
                last: datetime = row[0]
                return last

        await work.look(pool)
        assert await last_price() == datetime(2016, 4, 7, 21, tzinfo=UTC)
        clock.now_s += 60
        await work.look(pool)
        assert await last_price() == datetime(2016, 4, 8, 21, tzinfo=UTC)


def forecast(issued_ms: int, model: str, steps: int = 192) -> Forecast:
    series = [
        ForecastSeries(target=target, model=model, p10_w=[1.0] * steps, p50_w=[2.0] * steps, p90_w=[3.0] * steps)
        for target in Target
    ]
    return Forecast(issued_ms=issued_ms, start_ms=issued_ms, step_s=900, series=series)


def with_tariff(home: Home, tariff: Tariff) -> Home:
    assert home.site is not None
    return dataclasses.replace(home, site=msgspec.structs.replace(home.site, tariff=tariff))


async def test_a_home_with_a_fixed_tariff_needs_no_market_to_be_planned(seeded: str) -> None:
    """By day 0.30 EUR/kWh, from 22:00 to 06:00 local time (20:00 to 04:00 UTC) 0.20."""
    night = PricedWindow(hours=("22:00-06:00",), eur_per_kwh=0.20)
    tariff = Tariff(import_kind=ImportKind.TIME_OF_USE, import_eur_per_kwh=0.30, import_windows=(night,))
    async with new_pool(seeded) as pool, pool.connection() as connection:
        home = await get_home(connection, "anna")
        assert await plan_home(connection, home, NOW_S) is None, "this one depends on the market"
        home = with_tariff(home, tariff)
        assert await price_now(connection, home, NOW) == (0.30, 0.0)
        planned = await plan_home(connection, home, NOW_S)
    assert planned is not None
    for slot in planned.plan.slots:
        hour = datetime.fromtimestamp(slot.start_ms / 1000, tz=UTC).hour
        assert slot.import_eur_per_kwh == (0.20 if hour >= 20 or hour < 4 else 0.30)


async def test_the_price_of_now_is_the_mean_that_is_billed(seeded: str) -> None:
    """Quarter hours of 0.10, 0.20, 0.30 and 0.60 are billed as an hour of 0.30."""
    async with new_pool(seeded) as pool, pool.connection() as connection:
        points = [
            PricePoint(NOW + timedelta(minutes=15 * number), 900, price, published_at(NOW))
            for number, price in enumerate((0.10, 0.20, 0.30, 0.60))
        ]
        await prices.store(connection, "NL", points)
        home = await get_home(connection, "anna")
        at = NOW + timedelta(minutes=50)
        hourly, quarterly = with_tariff(home, Tariff(market_step_min=60)), with_tariff(home, Tariff())
        assert await price_now(connection, hourly, at) == (0.30, 0.0)
        assert await price_now(connection, quarterly, at) == (0.60, 0.0)
        assert await price_now(connection, quarterly, NOW + timedelta(hours=1)) == (None, 0.0)


async def test_the_agents_learned_forecast_is_used_while_it_is_young(seeded: str) -> None:
    issued_ms = round((NOW_S - 1800) * 1000)
    with psycopg.connect(seeded, autocommit=True) as connection:
        send(Ingest(connection, ManualClock(NOW_S)), "forecast", forecast(issued_ms, "m1"))
    async with new_pool(seeded) as pool, pool.connection() as connection:
        home = await get_home(connection, "anna")
        young = await look_ahead_of(connection, home, NOW_S)
        old = await look_ahead_of(connection, home, NOW_S + 3600)
    assert young.is_learned
    assert young.load.p50_w[:190].tolist() == [2.0] * 190
    assert len(young.load.p50_w) == 192
    assert young.load.start_s == NOW_S
    assert not old.is_learned


async def test_the_hubs_naive_forecast_is_preferred_to_the_agents(seeded: str) -> None:
    """A new agent knows nothing of the home yet; the hub has its history."""
    with psycopg.connect(seeded, autocommit=True) as connection:
        send(Ingest(connection, ManualClock(NOW_S)), "forecast", forecast(round(NOW_S * 1000), "seasonal-naive"))
    async with new_pool(seeded) as pool, pool.connection() as connection:
        home = await get_home(connection, "anna")
        await RollUp(home.id).everything(connection)
        found = await look_ahead_of(connection, home, NOW_S)
    assert not found.is_learned
    assert found.load.p50_w[4 * 12] == pytest.approx(2600, rel=0.05), "the car charges at 18:00, as on every day"


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_the_first_learned_forecast_is_planned_with_at_once(
    seeded: str, mosquitto: Mosquitto, listener: Listener
) -> None:
    clock, key, stopping = ManualClock(NOW_S), Ed25519PrivateKey.generate(), asyncio.Event()
    running = asyncio.create_task(worker(seeded, mosquitto.url, clock, key).run(stopping))
    try:
        unseal(await heard_plan(listener), key.public_key(), Plan)
        clock.now_s += 60
        with psycopg.connect(seeded, autocommit=True) as connection:
            learned = forecast(round(clock.now_s * 1000), "m1")
            learned = msgspec.structs.replace(learned, start_ms=round(NOW_S * 1000))
            send(Ingest(connection, clock), "forecast", learned)
        second = unseal(await heard_plan(listener), key.public_key(), Plan)
        assert second.issued_ms == round(clock.now_s * 1000)
        assert second.slots[0].load_w == pytest.approx(2, abs=0.5)
    finally:
        stopping.set()
        await running
    async with (
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app := create_app(seeded, clock)), base_url="http://hub"
        ) as client,
        app.router.lifespan_context(app),
    ):
        start_ms = round(NOW_S * 1000) + 900_000
        span = {"start_ms": start_ms, "end_ms": start_ms + 1_800_000}
        past = (await client.get("/api/homes/anna/forecast/past", params=span)).json()
        assert past["load_p50_w"] == [2.0, 2.0], "the learned forecast replaces the naive one in the books"
