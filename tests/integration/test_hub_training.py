"""A home's stored history becomes a model that the agent's own loader accepts, trained in a child process."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from hearth_core.clock import ManualClock
from hearth_core.errors import PermanentError
from hearth_core.messages import Birth, DeviceBatch, DeviceInfo, Readings, Target, encode
from hearth_core.points import DeviceKind
from hearth_core.site import Limits, Site
from hearth_core.tariff import Tariff
from hearth_hub.database.pool import new_pool
from hearth_hub.homes.service import get_home
from hearth_hub.ingest.service import Incoming, Ingest, open_message
from hearth_hub.readings.roll_up import RollUp
from hearth_hub.readings.service import history
from hearth_hub.worker import training
from hearth_models.forecasting import OnnxForecaster, Place

START = datetime(2016, 3, 1, tzinfo=UTC)


def seed(url: str, days: int) -> float:
    """Store a home that lives every day nearly alike, at 15 minutes.

    Returns:
        When the record ends [s].
    """
    times = [START + timedelta(minutes=15 * step) for step in range(days * 96)]
    rng = random.Random(1)
    load_w = [400 + 300 * math.sin(at.hour / 24 * 2 * math.pi) + rng.gauss(0, 20) for at in times]
    pv_w = [max(0.0, 3000 * math.sin((at.hour - 6) / 12 * math.pi) * rng.uniform(0.9, 1.1)) for at in times]
    at_ms = [round(at.timestamp() * 1000) for at in times]
    grid_w: list[float | None] = [load - pv for load, pv in zip(load_w, pv_w, strict=True)]
    inverter = {"power_w": list[float | None](pv_w), "pv_power_w": list[float | None](pv_w)}
    batches = [
        DeviceBatch(device="grid", at_ms=at_ms, points={"power_w": grid_w}, produced=len(times)),
        DeviceBatch(device="inverter", at_ms=at_ms, points=inverter, produced=len(times)),
    ]
    site = Site(
        name="Anna",
        timezone="Europe/Berlin",
        latitude=47.7,
        longitude=9.2,
        price_zone="NL",
        limits=Limits(main_fuse_a=35),
        tariff=Tariff(),
    )
    devices = [
        DeviceInfo(id="grid", kind=DeviceKind.GRID_METER, profile="p"),
        DeviceInfo(id="inverter", kind=DeviceKind.HYBRID_INVERTER, profile="p"),
    ]
    end_s = (START + timedelta(days=days)).timestamp()
    birth = Birth(session="s", at_ms=0, epoch="0" * 16, software="1", site=site, devices=devices)
    with psycopg.connect(url, autocommit=True) as connection:
        clock = ManualClock(end_s)
        record = Readings(epoch="0" * 16, seq=1, batches=batches)
        messages = [Incoming("hearth/anna/birth", encode(birth)), Incoming("hearth/anna/readings", encode(record))]
        Ingest(connection, clock).store([open_message(one, clock) for one in messages])
    return end_s


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_two_weeks_of_history_become_two_models_that_forecast(postgres_url: str) -> None:
    now_s = seed(postgres_url, 16)
    async with new_pool(postgres_url) as pool, pool.connection() as connection:
        home = await get_home(connection, "anna")
        assert not await training.is_due(connection, home, now_s), "nothing has been rolled up yet"
        await RollUp().everything(connection)
        assert await training.is_due(connection, home, now_s)
        deliveries = await training.train_home(connection, home, now_s)
        assert not await training.is_due(connection, home, now_s), "trained again at every look"
        assert await training.is_due(connection, home, now_s + 86_400 - 3600), "every day after two in the morning"
        assert [one.card for one in await training.latest_deliveries(connection, home, now_s)] == [
            one.card for one in deliveries
        ]
        past = dict(zip(Target, await history(connection, home, now_s, 15), strict=True))
    assert [delivery.card.target for delivery in deliveries] == [Target.LOAD, Target.PV]
    for delivery in deliveries:
        assert len(delivery.history_w) == 15 * 96
        place = Place("Europe/Berlin", 47.7, 9.2)
        forecast = OnnxForecaster(delivery.onnx, delivery.card, place).forecast(past[delivery.card.target], now_s)
        noon = 12 * 4
        expected_w = 400 if delivery.card.target is Target.LOAD else 3000
        assert forecast.p50_w[noon] == pytest.approx(expected_w, rel=0.25)


@pytest.mark.timeout(120)
async def test_a_training_that_cannot_succeed_says_why(postgres_url: str) -> None:
    now_s = seed(postgres_url, 2)
    async with new_pool(postgres_url) as pool, pool.connection() as connection:
        home = await get_home(connection, "anna")
        await RollUp().everything(connection)
        with pytest.raises(PermanentError, match=r"training load: .*not enough"):
            await training.train_home(connection, home, now_s)
