"""EMHASS's side of the comparison: planning problems in, its schedules and times out, one JSON a line each way.

Run by `bench_emhass` with the Python of an environment that has EMHASS; it imports nothing of Hearth. The first line
tells the versions. A problem is solved twice: cold, as the first plan of a home, and warm, as EMHASS does it every time
after that: the programme is kept, and only the numbers change.
"""

# mypy: ignore-errors
# EMHASS and pandas are no packages of the project

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TextIO

import emhass
import numpy as np
import pandas as pd
from emhass import utils
from emhass.optimization import Optimization

_ROOT = Path(emhass.__file__).parent
_COST, _PRICE = "unit_load_cost", "unit_prod_price"
# What is known anew at the next look: a little more load, a little less sun.
_LATER_LOAD, _LATER_PV = 1.01, 0.99


def paths(folder: str) -> dict[str, Path]:
    """Return where EMHASS finds what it ships with."""
    return {
        "data_path": Path(folder),
        "root_path": _ROOT,
        "defaults_path": _ROOT / "data" / "config_defaults.json",
        "associations_path": _ROOT / "data" / "associations.csv",
    }


async def configuration(changes: dict[str, Any], where: dict[str, Path], log: logging.Logger) -> tuple[Any, Any, Any]:
    """Return EMHASS's three configurations: its defaults with some values changed."""
    config = await utils.build_config(where, log, where["defaults_path"]) | changes
    _, secrets = await utils.build_secrets(where, log, no_response=True)
    params = await utils.build_params(where, secrets, config, log)
    return utils.get_yaml_parse(json.dumps(params), log)


def solve(asked: dict[str, Any], where: dict[str, Path], log: logging.Logger) -> dict[str, Any]:
    """Plan one problem, cold and warm."""
    hass, optim, plant = asyncio.run(configuration(asked["config"], where, log))
    n_steps = len(asked["load_w"])
    index = pd.date_range(asked["start"], periods=n_steps, freq=hass["optimization_time_step"], tz=hass["time_zone"])
    known = pd.DataFrame({_COST: asked["import_eur_per_kwh"], _PRICE: asked["export_eur_per_kwh"]}, index=index)
    pv, load = pd.Series(asked["pv_w"], index), pd.Series(asked["load_w"], index)
    ends = {"soc_init": asked["soc_init"], "soc_final": asked["soc_final"]}
    began_s = time.perf_counter()
    optimization = Optimization(hass, optim, plant, _COST, _PRICE, "profit", where, log)
    found = optimization.perform_dayahead_forecast_optim(known, pv, load, **ends)
    cold_s = time.perf_counter() - began_s
    schedule = {
        "status": str(found["optim_status"].iloc[0]),
        "battery_w": column(found, "P_batt"),
        "curtailed_w": column(found, "P_PV_curtailment"),
        "loads_w": [column(found, name) for name in sorted(found) if name.startswith("P_deferrable")],
    }
    began_s = time.perf_counter()
    optimization.perform_dayahead_forecast_optim(known, pv * _LATER_PV, load * _LATER_LOAD, **ends)
    warm_s = time.perf_counter() - began_s
    return schedule | {"cold_ms": cold_s * 1000, "warm_ms": warm_s * 1000}


def column(found: pd.DataFrame, name: str) -> list[float]:
    """Return one series of a result; zeros where there is none."""
    return np.nan_to_num(found[name].to_numpy(float)).tolist() if name in found else [0.0] * len(found)


def serve(questions: TextIO, answers: TextIO) -> None:
    """Answer until the pipe closes."""
    log = logging.getLogger("emhass-side")
    log.setLevel(logging.ERROR)
    versions = {name: importlib.metadata.version(name) for name in ("emhass", "cvxpy", "highspy")}
    print(json.dumps(versions), file=answers, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for line in questions:
            print(json.dumps(solve(json.loads(line), paths(folder), log)), file=answers, flush=True)


if __name__ == "__main__":
    # the solver prints a banner to standard output: answers go through a copy it does not know
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, own)
