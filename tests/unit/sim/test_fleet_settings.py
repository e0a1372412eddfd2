"""A fleet that cannot be started is explained, with what to do instead."""

from __future__ import annotations

import resource
from dataclasses import replace
from typing import Any

import pytest

from hearth_core.errors import ConfigError
from hearth_sim.fleet import descriptors
from hearth_sim.fleet.figures import Figures
from hearth_sim.fleet.settings import FleetSettings, parse_duration

GOOD = FleetSettings(mqtt_url="mqtt://127.0.0.1:1883", homes=10)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("10s", 10), ("10", 10), ("5m", 300), ("24h", 86_400), ("1.5d", 129_600)]
)
def test_durations_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert parse_duration("interval", text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-3s", "10 weeks", "1h30m"])
def test_other_durations_are_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigError, match="24h"):
        parse_duration("backlog", text)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"series": 28}, "at most 27"),
        ({"homes": 0}, "1 to 99999"),
        ({"interval_s": 0.001}, "0.05 to 3600"),
        ({"storm_s": 0.5}, "at least 1s"),
        ({"name": "Fleet"}, "lower case"),
        ({"mqtt_url": "http://hub"}, "mqtt://host:port"),
        ({"mqtt_url": "mqtt://hub?protocol=3.1.1"}, "MQTT 5"),
    ],
)
def test_what_cannot_be_done_is_said(change: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy):
        replace(GOOD, **change).checked_broker()


def test_a_day_of_backlog_is_8640_records_at_10_s() -> None:
    assert replace(GOOD, backlog_s=86_400).backlog_records == 8640


def test_too_few_open_files_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 1024))
    with pytest.raises(ConfigError, match=r"10064 open files.*hard limit is 1024.*at most 960 homes"):
        descriptors.make_room_for(10_000)


def test_the_soft_limit_is_raised_as_far_as_needed() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        descriptors.make_room_for(100)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (164, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_latencies_count_from_when_all_are_connected() -> None:
    figures = Figures(series=20)
    figures.note_latency(1, 2)
    assert figures.percentile_ms(0.5) is None
    figures.latencies_from_ms = 1000
    figures.note_latency(999, 5000)
    for latency_ms in range(1, 101):
        figures.note_latency(1000, 1000 + latency_ms)
    assert figures.percentile_ms(0.5) == pytest.approx(50, abs=1.1)
    assert figures.percentile_ms(0.99) == pytest.approx(99, abs=1.1)
    assert figures.percentile_ms(1.0) == 100
