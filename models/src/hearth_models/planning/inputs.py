"""What a plan is made from, checked at the door so that nothing inside has to."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec
import numpy as np

from hearth_core.errors import PermanentError
from hearth_core.site import Limits
from hearth_models.arrays import FloatArray
from hearth_models.battery import Battery
from hearth_models.forecasting import Quantiles

VOLT = 230.0
_PLACED = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<place>.*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (?:missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
_LONGEST_NAME, _LONGEST_TEXT = 100, 200
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a text that is no JSON, nested too deeply, or of another form."""


class PlanError(PermanentError):
    """An input no plan can be made from; its text is ``field: what is wrong``."""

    @classmethod
    def unreadable(cls, error: Exception, whole: str) -> PlanError:
        """Return what could not be read, its field in front.

        Args:
            error: Names the place at the end, or not at all.
            whole: What the text is as a whole, for when no field can be named.
        """
        told = _PLACED.fullmatch(str(error))
        what, place = (told["what"], told["place"] or "") if told else (str(error), "")
        if field := _FIELD.fullmatch(what):
            place = f"{place}.{field['name']}" if place else field["name"]
        return cls(f"{place[:_LONGEST_NAME] or whole}: {what[:_LONGEST_TEXT]}")


@dataclass(frozen=True)
class PlanInputs:
    """Everything a home's plan depends on; arrays have one value a step.

    Raises:
        PlanError: A field is not finite, out of range, or differs in length; the field is named.
    """

    start_s: float
    """Start of the first step; the step is partial when the plan is issued inside it [s]."""
    step_s: int
    import_eur_per_kwh: FloatArray
    export_eur_per_kwh: FloatArray
    load: Quantiles
    pv: Quantiles
    battery: Battery | None
    soc_percent: float
    limits: Limits
    past_net_w: FloatArray | None = None
    """Net load of the last days, the last value just before ``start_s``, shape (n_past,) [W]; NaN where missing."""
    given_w: FloatArray | None = None
    """What cars, heat and appliances will draw beside the forecast load, as planned for them [W]."""

    def __post_init__(self) -> None:
        n_steps = len(self.import_eur_per_kwh)
        if n_steps == 0:
            raise PlanError("import_eur_per_kwh: empty; at least one step is needed")
        if not np.isfinite(self.start_s):
            raise PlanError(f"start_s: {self.start_s!r} must be a number")
        if self.step_s < 60 or self.step_s > 3600 or 86_400 % self.step_s:
            raise PlanError(f"step_s: {self.step_s!r} must be within 60..3600 and divide a day")
        _check("import_eur_per_kwh", self.import_eur_per_kwh, n_steps)
        _check("export_eur_per_kwh", self.export_eur_per_kwh, n_steps)
        for target, forecast in (("load", self.load), ("pv", self.pv)):
            if forecast.step_s != self.step_s:
                raise PlanError(f"{target}.step_s: {forecast.step_s} differs from step_s {self.step_s}")
            if abs(forecast.start_s - self.start_s) >= self.step_s:
                raise PlanError(f"{target}.start_s: {forecast.start_s} is not start_s {self.start_s}")
            for name in ("p10_w", "p50_w", "p90_w"):
                _check(f"{target}.{name}", getattr(forecast, name), n_steps)
        if self.battery is not None and not 0 <= self.soc_percent <= 100:
            raise PlanError(f"soc_percent: {self.soc_percent!r} must be within 0..100")
        past = self.past_net_w
        if past is not None and (past.ndim != 1 or np.isinf(past).any()):
            raise PlanError(f"past_net_w: shape {past.shape} must have one dimension and finite values")
        if self.given_w is not None:
            _check("given_w", self.given_w, n_steps)

    @property
    def n_steps(self) -> int:
        """How many steps are planned."""
        return len(self.import_eur_per_kwh)

    @property
    def net_w(self) -> FloatArray:
        """Mean net load, load minus PV, of each step [W]: energy and money follow the mean, not the median."""
        net: FloatArray = self.load.mean_w - self.pv.mean_w
        return net if self.given_w is None else net + self.given_w

    @property
    def import_limit_w(self) -> float:
        """What the main fuse lets in [W]."""
        return self.limits.main_fuse_a * VOLT * self.limits.phases

    @property
    def export_limit_w(self) -> float:
        """What may be fed in [W]."""
        allowed = self.limits.export_limit_w
        return self.import_limit_w if allowed is None else min(allowed, self.import_limit_w)


def _check(name: str, values: FloatArray, n_steps: int) -> None:
    if values.shape != (n_steps,):
        raise PlanError(f"{name}: shape {values.shape} must be ({n_steps},)")
    if not np.isfinite(values).all():
        raise PlanError(f"{name}: value {int(np.flatnonzero(~np.isfinite(values))[0])} is not a number")


def extend_prices(known: FloatArray, start_s: float, step_s: int, n_steps: int, days: int = 7) -> FloatArray:
    """Fill prices beyond the day-ahead horizon with the mean of the same slots of the last known days.

    Args:
        known: Prices in steps of ``step_s``, the last of which is the last published one; its end may lie before or
            after ``start_s``. NaN where missing.
        start_s: Where ``known`` begins [s].
        step_s: Length of a step [s].
        n_steps: Length of the result, which also begins at ``start_s``.
        days: How many days to average.

    Returns:
        Prices, shape (n_steps,): the known ones where there are any, means elsewhere.

    Raises:
        PlanError: No price is known at all.
    """
    if not np.isfinite(known).any():
        raise PlanError("prices: none is known")
    if not np.isfinite(start_s):
        raise PlanError(f"start_s: {start_s!r} must be a number")
    per_day = 86_400 // step_s
    filled = np.full(max(n_steps, len(known)), np.nan)
    filled[: len(known)] = known
    overall = float(np.nanmean(known))
    last = known[max(0, len(known) - days * per_day) :]
    first_slot = (len(known) - len(last)) % per_day
    slots = (first_slot + np.arange(len(last))) % per_day
    real = np.isfinite(last)
    count = np.bincount(slots[real], minlength=per_day)
    total = np.bincount(slots[real], weights=last[real], minlength=per_day)
    mean = np.where(count > 0, total / np.maximum(count, 1), overall)
    missing = np.flatnonzero(~np.isfinite(filled))
    filled[missing] = mean[missing % per_day]
    return filled[:n_steps]
