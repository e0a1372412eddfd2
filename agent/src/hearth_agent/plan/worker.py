"""The planning child: makes one plan from one request and ends, so that the agent keeps none of its memory.

Started by `hearth_agent.plan.child`; needs the extra ``[plan]``.
"""

from __future__ import annotations

import os
import resource
import signal
import sys

import msgspec
import numpy as np

from hearth_core.errors import PermanentError
from hearth_core.messages import Consumed, Forecast, Plan
from hearth_core.site import Site
from hearth_models.forecasting import History
from hearth_models.planning.cached import so_far_at
from hearth_models.planning.outlook import STEP_S, KnownPrices, look_ahead, plan_inputs

MEMORY_BYTES = 2 * 1024**3
"""Address space, which numeric libraries map far more of than they use."""


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a plan is made from; series hold float64 bytes, quarter-hours, NaN where nothing is known."""

    home: str
    site: Site
    version: int
    now_s: float
    prices_start_s: float
    prices_eur_per_kwh: bytes
    consumed: Consumed | None
    consumed_s: float
    """When ``consumed`` was told."""
    load_start_s: float
    load_w: bytes
    pv_start_s: float
    pv_w: bytes
    forecast: Forecast | None
    soc_percent: float | None


class PlanAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, or why there is none."""

    plan: Plan | None = None
    error: str = ""


def plan_at_home(request: PlanRequest) -> PlanAnswer:
    """Make a plan as the hub would; what goes wrong is the answer."""
    # HiGHS comes with an extra that not every agent has
    from hearth_models.planning.plan import make_plan

    site, now_s = request.site, request.now_s
    load, pv = _aligned(request)
    known = KnownPrices(request.prices_start_s, np.frombuffer(request.prices_eur_per_kwh))
    so_far = so_far_at(site.tariff, request.consumed, request.consumed_s, now_s, site.timezone)
    try:
        outlook = look_ahead(load, pv, request.forecast, now_s)
        inputs = plan_inputs(site, now_s, known, so_far, outlook, request.soc_percent)
        if inputs is None:
            return PlanAnswer(error=f"no price of zone {site.price_zone} is known")
        return PlanAnswer(plan=make_plan(inputs, request.home, request.version, int(now_s * 1000), site.timezone))
    except PermanentError as error:
        return PlanAnswer(error=str(error))


def _aligned(request: PlanRequest) -> tuple[History, History]:
    """Return both histories on the same steps: one may reach further back than the other."""
    load_w, pv_w = np.frombuffer(request.load_w), np.frombuffer(request.pv_w)
    end_s = request.now_s // STEP_S * STEP_S
    start_s = min(request.load_start_s, request.pv_start_s, end_s)
    both = []
    for first_s, values in ((request.load_start_s, load_w), (request.pv_start_s, pv_w)):
        padded = np.full(round((end_s - start_s) / STEP_S), np.nan)
        place = round((first_s - start_s) / STEP_S)
        padded[place : place + len(values)] = values[: max(0, len(padded) - place)]
        both.append(History(start_s, STEP_S, padded))
    return both[0], both[1]


def main() -> None:
    """Bound the process, then answer the one request on the standard pipes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.nice(10)
    # libraries print to standard output now and then: the answer goes through a copy they do not know
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=PlanRequest)
    answers.write(msgspec.msgpack.encode(plan_at_home(request)))
    answers.flush()


if __name__ == "__main__":
    main()
