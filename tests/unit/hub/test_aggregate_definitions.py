"""The aggregates TimescaleDB was told of are those the hub makes by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import hearth_hub
from hearth_hub.readings.aggregates import WIDTHS, Width, bucket, columns, selection
from hearth_hub.readings.energy import growth


def migration() -> ModuleType:
    path = Path(hearth_hub.__file__).parent / "migrations" / "versions" / "0004_aggregates.py"
    spec = importlib.util.spec_from_file_location("migration_0004", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("width", WIDTHS, ids=lambda width: width.table)
def test_one_definition(width: Width) -> None:
    made = migration()._definition(width.source, width.interval)
    grouping = f"group by device_id, {bucket(width, 'time_bucket')}"
    assert made == f"select {', '.join(selection(width, 'time_bucket'))} from {width.source} {grouping}"
    assert [one.rpartition(" ")[2] for one in selection(width)] == columns()


@pytest.mark.parametrize(
    ("first", "last", "top", "grown"),
    [
        ([10, 20], [15, 30], [15, 30], [5, 15]),  # 5 between the buckets belong to the second
        ([10, 0], [15, 3], [15, 3], [5, 3]),  # began again between two buckets
        ([10, 4], [3, 5], [16, 5], [9, 2]),  # began again inside the first: 6 before, 3 after
        ([100, 99.6], [100, 101], [100, 101], [0, 1.0]),  # was rounded down by 0.4
        ([7], [7], [7], [0]),
    ],
)
def test_growth(first: list[float], last: list[float], top: list[float], grown: list[float]) -> None:
    found = growth(np.array(first, float), np.array(last, float), np.array(top, float))
    assert found.tolist() == pytest.approx(grown)
