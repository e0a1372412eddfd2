"""Prices are known when the market publishes them, not before; a broken file says where."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hearth_core.errors import ConfigError
from hearth_hub.prices.source import published_at, read_prices


@pytest.mark.parametrize(
    ("at", "known"),
    [
        # summer: 12:45 in Brussels is 10:45 UTC; the market day begins at 22:00 UTC
        ("2016-07-05T22:00+00:00", "2016-07-05T10:45+00:00"),
        ("2016-07-05T21:59+00:00", "2016-07-04T10:45+00:00"),
        # winter
        ("2016-01-05T23:00+00:00", "2016-01-05T11:45+00:00"),
        # the day the clocks go forward is published by the winter clock of the day before
        ("2016-03-27T12:00+00:00", "2016-03-26T11:45+00:00"),
    ],
)
def test_a_day_is_published_at_a_quarter_to_one_the_day_before(at: str, known: str) -> None:
    assert published_at(datetime.fromisoformat(at)) == datetime.fromisoformat(known)


def test_a_file_is_read_plain_or_zipped(tmp_path: Path) -> None:
    text = "timestamp_utc,price_eur_per_mwh\n2016-01-01T00:00:00Z,34.5\n2016-01-01T01:00:00Z,-3\n"
    plain, zipped = tmp_path / "a.csv", tmp_path / "a.csv.gz"
    plain.write_text(text)
    zipped.write_bytes(gzip.compress(text.encode()))
    points = read_prices(plain)
    assert points == read_prices(zipped)
    assert [point.eur_per_kwh for point in points] == [0.0345, -0.003]
    assert points[0].step_s == 3600
    assert points[0].at == datetime(2016, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"", "line 1"),
        (b"time,price\n1,2\n", "line 1"),
        (b"timestamp_utc,price_eur_per_mwh\n2016-01-01T00:00:00Z,abc\n", "line 2"),
        (b"timestamp_utc,price_eur_per_mwh\nyesterday,1\n", "line 2"),
        (b"timestamp_utc,price_eur_per_mwh\n2016-01-01T01:00Z,1\n2016-01-01T00:00Z,1\n", "timestamp_utc"),
        (b"\xff\xfe\x00", "HEARTH_HUB_PRICES_FILE"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(tmp_path: Path, content: bytes, field: str) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_prices(path)
    assert caught.value.field == field
    assert str(path) in str(caught.value)


def test_a_missing_or_torn_file_is_refused(tmp_path: Path) -> None:
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(b"timestamp_utc,price_eur_per_mwh\n" * 99)[:-20])
    for path in (tmp_path / "none.csv", torn):
        with pytest.raises(ConfigError, match="readable CSV"):
            read_prices(path)
