"""Forecasts in a bounded child: a model is used when it may be believed, and nothing it does hurts the agent."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper, numpy_helper

from hearth_agent.events import EventLog
from hearth_agent.forecast.child import ChildError, ForecastChild
from hearth_agent.forecast.models import ModelStore
from hearth_agent.forecast.protocol import Ask, LoadModel
from hearth_agent.forecast.service import NAIVE, ForecastService
from hearth_core.clock import ManualClock
from hearth_core.messages import Forecast, ModelCard, ModelDelivery, Target
from hearth_core.signing import seal
from hearth_core.site import Limits, Site
from hearth_core.tariff import Tariff
from hearth_models.features import FEATURES_VERSION, feature_names

KEY = Ed25519PrivateKey.generate()
NOW_S = 1_459_728_000.0
SITE = Site(
    name="Anna",
    timezone="Europe/Berlin",
    latitude=47.7,
    longitude=9.2,
    price_zone="DE-LU",
    limits=Limits(main_fuse_a=35),
    tariff=Tariff(),
)


def tiny_model(target: Target, answer_w: tuple[float, float, float]) -> bytes:
    """An ONNX model that answers three constants, whatever it is asked (missing features included)."""
    width = len(feature_names(target))
    graph = helper.make_graph(
        [
            helper.make_node("IsNaN", ["x"], ["unknown"]),
            helper.make_node("Where", ["unknown", "zero", "x"], ["known"]),
            helper.make_node("Gemm", ["known", "w", "b"], ["y"]),
        ],
        "constant",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
        [
            numpy_helper.from_array(np.zeros((width, 3), np.float32), "w"),
            numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
            numpy_helper.from_array(np.array(answer_w, np.float32), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    return bytes(onnx.load_model_from_string(model.SerializeToString()).SerializeToString())


def delivery(
    target: Target = Target.LOAD, answer_w: tuple[float, float, float] = (100.0, 200.0, 300.0), **changes: Any
) -> ModelDelivery:
    model = tiny_model(target, answer_w)
    card = ModelCard(
        target=target,
        version=changes.pop("version", "2016-04-04"),
        features_version=FEATURES_VERSION,
        feature_names=feature_names(target),
        quantiles=[0.1, 0.5, 0.9],
        step_s=900,
        horizon_steps=192,
        trained_from_ms=0,
        trained_until_ms=1,
        scores={},
        onnx_sha256=changes.pop("sha256", hashlib.sha256(model).hexdigest()),
    )
    values: dict[str, Any] = {
        "home": "anna",
        "issued_ms": int(NOW_S * 1000),
        "card": card,
        "onnx": model,
        "history_start_ms": int((NOW_S - 14 * 86_400) * 1000),
        "history_w": [400.0] * (14 * 96),
    }
    return ModelDelivery(**{**values, **changes})


class Kitchen:
    """A forecast service with everything around it."""

    def __init__(self, folder: Path, child: ForecastChild | None = None) -> None:
        self.clock = ManualClock(NOW_S)
        self.events = EventLog(self.clock)
        self.published: list[Forecast] = []
        self.child = child or ForecastChild()
        models = ModelStore(folder / "models", "anna", KEY.public_key(), self.events)
        self.service = ForecastService(
            folder / "history", SITE, models, 10.0, self.published.append, self.clock, self.events, self.child
        )

    async def load(self) -> tuple[str, list[float]]:
        series = {one.target: one for one in (await self.service.forecast()).series}
        return series[Target.LOAD].model, series[Target.LOAD].p50_w


@pytest.fixture
async def kitchen(tmp_path: Path) -> AsyncIterator[Kitchen]:
    kitchen = Kitchen(tmp_path)
    yield kitchen
    await kitchen.child.stop()


async def test_without_model_or_history_there_is_still_a_forecast(kitchen: Kitchen) -> None:
    forecast = await kitchen.service.forecast()
    load, pv = forecast.series
    assert {load.model, pv.model} == {NAIVE}
    assert len(load.p50_w) == 192
    assert min(load.p50_w) > 0
    assert set(pv.p90_w) == {0.0}
    assert forecast.start_ms == int(NOW_S * 1000)


async def test_a_model_from_the_hub_is_used_at_once_and_after_a_restart(kitchen: Kitchen, tmp_path: Path) -> None:
    kitchen.service.offer_model("load", seal(delivery(), KEY))
    assert await kitchen.load() == ("2016-04-04", [200.0] * 192)
    again = Kitchen(tmp_path, kitchen.child)
    assert await again.load() == ("2016-04-04", [200.0] * 192)
    assert kitchen.child.starts == 1


async def test_a_newer_model_replaces_the_one_in_the_child(kitchen: Kitchen) -> None:
    kitchen.service.offer_model("load", seal(delivery(), KEY))
    await kitchen.load()
    newer = delivery(answer_w=(1.0, 2.0, 3.0), version="newer", issued_ms=int(NOW_S * 1000) + 1)
    kitchen.service.offer_model("load", seal(newer, KEY))
    assert await kitchen.load() == ("newer", [2.0] * 192)


@pytest.mark.parametrize(
    ("sealed", "reason"),
    [
        (seal(delivery(), Ed25519PrivateKey.generate()), "signed by key"),
        (seal(delivery(home="bob"), KEY), "it is for bob"),
        (seal(delivery(sha256="0" * 64), KEY), "not those of its card"),
        (seal(delivery(Target.PV), KEY), "came as one for load"),
        (b"rubbish", "Envelope"),
    ],
)
async def test_a_model_that_may_not_be_believed_is_refused(kitchen: Kitchen, sealed: bytes, reason: str) -> None:
    kitchen.service.offer_model("load", sealed)
    event = kitchen.events.first()
    assert event is not None
    assert event.kind == "model_refused"
    assert reason in event.text
    assert (await kitchen.load())[0] == NAIVE


async def test_an_older_model_does_not_come_back(kitchen: Kitchen) -> None:
    kitchen.service.offer_model("load", seal(delivery(), KEY))
    older = delivery(version="older", issued_ms=int(NOW_S * 1000) - 1)
    kitchen.service.offer_model("load", seal(older, KEY))
    assert (await kitchen.load())[0] == "2016-04-04"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e9])
async def test_a_model_that_answers_nonsense_is_told_once_and_replaced_by_the_naive_one(
    kitchen: Kitchen, bad: float
) -> None:
    """NaN must never become a plan."""
    kitchen.service.offer_model("load", seal(delivery(answer_w=(bad, bad, bad)), KEY))
    accepted = kitchen.events.first()
    assert accepted is not None
    kitchen.events.told(accepted)
    for _ in range(3):
        model, p50_w = await kitchen.load()
        assert model == NAIVE
        assert all(np.isfinite(p50_w))
    assert len(kitchen.events) == 1


async def test_a_child_that_hangs_is_ended_and_the_agent_goes_on(tmp_path: Path) -> None:
    hanging = (sys.executable, "-c", "import time; time.sleep(60)")
    child = ForecastChild(hanging, deadline_s=0.5)
    kitchen = Kitchen(tmp_path, child)
    kitchen.service.offer_model("load", seal(delivery(), KEY))
    started = asyncio.get_running_loop().time()
    model, p50_w = await kitchen.load()
    assert asyncio.get_running_loop().time() - started < 5.0
    assert model == NAIVE
    assert p50_w == [400.0] * 192  # what the hub's history says of these hours
    await child.stop()


async def test_a_child_that_is_killed_is_started_again(kitchen: Kitchen) -> None:
    kitchen.service.offer_model("load", seal(delivery(), KEY))
    await kitchen.load()
    process = await kitchen.child.ensure_started()
    process.kill()
    await process.wait()
    assert (await kitchen.load())[0] == "2016-04-04"
    assert kitchen.child.starts == 2


async def test_the_child_tells_what_it_cannot_do(kitchen: Kitchen) -> None:
    one = delivery()
    answer = await kitchen.child.ask(Ask(Target.LOAD, 0.0, 900, b"", NOW_S))
    assert "no model" in answer.error
    answer = await kitchen.child.ask(LoadModel(one.card, b"no onnx", "Europe/Berlin", 47.7, 9.2))
    assert "onnx_sha256" in answer.error


async def test_a_child_that_says_nonsense_is_not_believed() -> None:
    child = ForecastChild((sys.executable, "-c", "import sys; sys.stdout.buffer.write(b'\\xff' * 64)"), deadline_s=10.0)
    with pytest.raises(ChildError):
        await child.ask(Ask(Target.LOAD, 0.0, 900, b"", NOW_S))


async def test_it_forecasts_each_quarter_and_when_a_model_arrives(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        kitchen.clock.now_s += seconds
        await real_sleep(0.02)  # or the quarters of a month would pass while the child starts

    monkeypatch.setattr(kitchen.clock, "sleep", sleep)
    task = asyncio.create_task(kitchen.service.run())
    async with asyncio.timeout(20):
        while len(kitchen.published) < 3:  # noqa: ASYNC110  the manual clock runs by itself here
            await asyncio.sleep(0.01)
    starts = [forecast.start_ms for forecast in kitchen.published[:3]]
    assert starts == [int(NOW_S * 1000) + 900_000 * i for i in range(3)]
    kitchen.service.offer_model("load", seal(delivery(), KEY))
    async with asyncio.timeout(20):
        while kitchen.published[-1].series[0].model == NAIVE:  # noqa: ASYNC110  the manual clock runs by itself here
            await asyncio.sleep(0.01)
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.2)


async def test_a_child_that_is_asked_nothing_leaves_and_the_next_forecast_has_a_new_one(tmp_path: Path) -> None:
    """Half of the agent's memory is the child's, and it is needed for a second each quarter-hour."""
    kitchen = Kitchen(tmp_path, ForecastChild(idle_s=0.2))
    kitchen.service.offer_model("load", seal(delivery(), KEY))
    assert await kitchen.load() == ("2016-04-04", [200.0] * 192)
    process = await kitchen.child.ensure_started()
    await kitchen.load()
    await asyncio.wait_for(process.wait(), 20)
    assert await kitchen.load() == ("2016-04-04", [200.0] * 192)
    assert kitchen.child.starts == 2
    await kitchen.child.stop()
