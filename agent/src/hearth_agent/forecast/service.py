"""Forecasts load and PV each quarter of an hour: by the hub's model, or by what the same hours brought lately."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hearth_agent.events import EventLog
from hearth_agent.forecast.child import ChildError, ForecastChild
from hearth_agent.forecast.models import ModelStore
from hearth_agent.forecast.protocol import Answer, Ask, LoadModel
from hearth_agent.forecast.series import STEP_S, PowerSeries
from hearth_core.clock import Clock, now_ms
from hearth_core.messages import Forecast, ForecastSeries, ModelDelivery, Target
from hearth_core.site import Site
from hearth_models.forecasting import HORIZON_STEPS, History, Quantiles, seasonal_naive

logger = logging.getLogger(__name__)

NAIVE = "seasonal-naive"
_MOST_W = 1e6


class ForecastService:
    """Observes, learns of new models, forecasts."""

    def __init__(
        self,
        folder: Path,
        site: Site,
        models: ModelStore,
        sample_s: float,
        publish: Callable[[Forecast], None],
        clock: Clock,
        events: EventLog,
        child: ForecastChild | None = None,
    ) -> None:
        self._site, self._models, self._publish = site, models, publish
        self._clock, self._events = clock, events
        self._child = child or ForecastChild()
        self._loaded: dict[Target, tuple[int, str]] = {}
        self._failed: dict[Target, str] = {}
        self._arrived = asyncio.Event()
        self.latest: Forecast | None = None
        self._series = {target: PowerSeries(folder / f"{target}.csv", sample_s) for target in Target}
        for target in Target:
            if (kept := models.get(target)) is not None:
                self._take_history(kept)

    def observe(self, load_w: float | None, pv_w: float | None) -> None:
        """Take what the house draws and what its roof gives now (missing is None)."""
        at_s = self._clock.time()
        self._series[Target.LOAD].observe(at_s, None if load_w is None else max(0.0, load_w))
        self._series[Target.PV].observe(at_s, None if pv_w is None else max(0.0, pv_w))

    def offer_model(self, target_name: str, sealed: bytes) -> None:
        """Take a model from the hub, if it may be believed, and forecast with it."""
        delivery = self._models.offer(target_name, sealed)
        if delivery is not None:
            self._take_history(delivery)
            self._events.info("model_accepted", f"{delivery.card.target} model {delivery.card.version}")
            self._arrived.set()

    def _take_history(self, delivery: ModelDelivery) -> None:
        series = self._series[delivery.card.target]
        series.fill(delivery.history_start_ms / 1000, delivery.card.step_s, delivery.history_w)

    def history(self, target: Target, until_s: float) -> History:
        """Return what was measured of a target before an instant, in quarter-hours."""
        return self._series[target].history(until_s)

    async def run(self) -> None:
        """Forecast now, at every quarter of an hour, and when a model arrives."""
        try:
            while True:
                self._arrived.clear()
                self.latest = await self.forecast()
                self._publish(self.latest)
                await self._until_due()
        finally:
            await self._child.stop()

    async def _until_due(self) -> None:
        left_s = STEP_S - self._clock.time() % STEP_S
        waits = [asyncio.ensure_future(self._clock.sleep(left_s)), asyncio.ensure_future(self._arrived.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            for wait in waits:
                with contextlib.suppress(asyncio.CancelledError):
                    await wait

    async def forecast(self) -> Forecast:
        """Make the forecast of this moment."""
        issue_s = self._clock.time()
        series = [await self._forecast_one(target, issue_s) for target in Target]
        start_s = math.floor(issue_s / STEP_S) * STEP_S
        return Forecast(issued_ms=now_ms(self._clock), start_ms=start_s * 1000, step_s=STEP_S, series=series)

    async def _forecast_one(self, target: Target, issue_s: float) -> ForecastSeries:
        history = self._series[target].history(issue_s)
        delivery = self._models.get(target)
        if delivery is not None and len(history.power_w):
            try:
                answer = await self._infer(delivery, history, issue_s)
                self._failed.pop(target, None)
                return _series(target, delivery.card.version, answer)
            except ChildError as error:
                self._tell_failure(target, str(error))
        return _naive(target, history, issue_s)

    async def _infer(self, delivery: ModelDelivery, history: History, issue_s: float) -> Answer:
        target = delivery.card.target
        await self._child.ensure_started()
        if self._loaded.get(target) != (self._child.starts, delivery.card.version):
            place = (self._site.timezone, self._site.latitude, self._site.longitude)
            _believed(await self._child.ask(LoadModel(delivery.card, delivery.onnx, *place)))
            self._loaded[target] = (self._child.starts, delivery.card.version)
        power_w = np.ascontiguousarray(history.power_w, dtype=np.float64).tobytes()
        answer = _believed(await self._child.ask(Ask(target, history.start_s, history.step_s, power_w, issue_s)))
        start_s = math.floor(issue_s / STEP_S) * STEP_S
        for values in (answer.p10_w, answer.p50_w, answer.p90_w):
            if len(values) != HORIZON_STEPS or not all(0 <= value <= _MOST_W for value in values):
                raise ChildError(f"model {delivery.card.version} answered values that cannot be")
        if (answer.start_s, answer.step_s) != (start_s, STEP_S):
            raise ChildError(f"model {delivery.card.version} answered for another time")
        return answer

    def _tell_failure(self, target: Target, why: str) -> None:
        if self._failed.get(target) != why:
            self._events.warning("forecast_fallback", f"{target}: {why}; the naive forecast is used")
        self._failed[target] = why


def _believed(answer: Answer) -> Answer:
    if answer.error:
        raise ChildError(answer.error)
    return answer


def _series(target: Target, model: str, made: Answer) -> ForecastSeries:
    columns = ([round(value, 1) for value in column] for column in (made.p10_w, made.p50_w, made.p90_w))
    p10_w, p50_w, p90_w = columns
    return ForecastSeries(target=target, model=model, p10_w=p10_w, p50_w=p50_w, p90_w=p90_w)


def _naive(target: Target, history: History, issue_s: float) -> ForecastSeries:
    """Return the mean of the same hours of the last days; a roof nobody has measured gives nothing."""
    if target is Target.PV and not np.isfinite(history.power_w).any():
        nothing = np.zeros(HORIZON_STEPS)
        made = Quantiles(history.start_s, STEP_S, nothing, nothing, nothing)
    else:
        made = seasonal_naive(history, issue_s, HORIZON_STEPS)
    answer = Answer(p10_w=made.p10_w.tolist(), p50_w=made.p50_w.tolist(), p90_w=made.p90_w.tolist())
    return _series(target, NAIVE, answer)
