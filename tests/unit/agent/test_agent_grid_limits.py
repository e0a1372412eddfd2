"""Limits of the grid operator: heard from every source, the lowest counts, none is lost, none ends early."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_agent.control.orders import GridCaps
from hearth_agent.events import EventLog
from hearth_agent.grid.held import Held, Signal, advance, cap_w, resolve
from hearth_agent.grid.journal import MOST_LINES_A_DAY, Journal
from hearth_agent.grid.limits import GridLimits
from hearth_agent.grid.sources import GridSource, InputSource, ModbusSource, MqttSource
from hearth_agent.settings import load_home
from hearth_core.clock import ManualClock
from hearth_core.errors import ConfigError
from hearth_core.messages import Envelope, GridLimit, Side, encode
from hearth_core.signing import key_id, seal

KEY = Ed25519PrivateKey.generate()
NOW_S = 1_459_728_000.0
NOW_MS = int(NOW_S * 1000)
HOUR_S = 3600.0

RELAY = InputSource(name="relay", side=Side.IMPORT, device="meter", point="x_input_1", limit_w=4200)
BOX = ModbusSource(
    name="box", side=Side.IMPORT, device="box", point="x_limit_w", heartbeat_point="x_heartbeat",
    heartbeat_s=120, failsafe_w=4200,
)  # fmt: skip
LINE = MqttSource(name="line", side=Side.IMPORT, heartbeat_s=300, failsafe_w=4200)


def limit(**values: Any) -> GridLimit:
    base: dict[str, Any] = {"home": "anna", "version": 5, "issued_ms": NOW_MS, "side": Side.IMPORT, "limit_w": 4200.0}
    return GridLimit(**{**base, **values})


class House:
    """Devices whose points a test sets, and a clock that it moves."""

    def __init__(self, folder: Path, *sources: GridSource, key: Ed25519PrivateKey | None = KEY) -> None:
        self.folder, self.sources, self.key = folder, sources, key
        self.clock = ManualClock(NOW_S)
        self.events = EventLog(self.clock)
        self.points: dict[tuple[str, str], float] = {}
        self.limits = self.start()

    def start(self) -> GridLimits:
        public = self.key.public_key() if self.key else None
        self.limits = GridLimits(self.folder, "anna", self.sources, public, self.clock, self.events)
        return self.limits

    def after(self, seconds: float, points: Mapping[tuple[str, str], float] | None = None) -> GridCaps:
        self.points = dict(points or {})
        self.clock.now_s += seconds
        return self.limits.look(lambda device, point: self.points.get((device, point)), 1234.0)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "grid-limits.log").read_text().splitlines()]


def test_a_limit_over_mqtt_holds_for_its_time_and_is_logged(tmp_path: Path) -> None:
    house = House(tmp_path)
    assert house.after(1) == GridCaps()
    assert house.limits.offer(seal(limit(duration_s=2 * HOUR_S), KEY))
    assert house.after(1) == GridCaps(import_w=4200)
    assert "mqtt-import" in house.limits.why()
    assert house.after(2 * HOUR_S - 3) == GridCaps(import_w=4200)
    assert house.after(5) == GridCaps()
    assert [(one["what"], one["limit_w"], one["grid_w"]) for one in house.log()] == [
        ("received", 4200.0, 1234),
        ("applied", 4200.0, 1234),
        ("holds", 4200.0, 1234),
        ("lifted", 4200.0, 1234),
    ]


def test_a_limit_without_end_survives_a_restart_until_it_is_lifted(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.limits.offer(seal(limit(side=Side.EXPORT, limit_w=0.0), KEY))
    house.start()
    assert house.after(10 * 24 * HOUR_S) == GridCaps(export_w=0.0)
    assert house.limits.offer(seal(limit(side=Side.EXPORT, limit_w=None, version=6, issued_ms=NOW_MS + 1), KEY))
    assert house.after(1) == GridCaps()
    house.start()
    assert house.after(1) == GridCaps()


def test_a_power_cut_does_not_shorten_a_limit(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.limits.offer(seal(limit(duration_s=2 * HOUR_S), KEY))
    house.after(HOUR_S)
    house.clock.now_s += 5 * HOUR_S  # nobody knows whether that is true
    house.start()
    assert house.after(HOUR_S - 60) == GridCaps(import_w=4200)
    assert house.after(120) == GridCaps()


def test_a_replay_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path)
    sealed = seal(limit(), KEY)
    lifted = seal(limit(version=6, limit_w=None), KEY)
    assert house.limits.offer(sealed)
    assert house.limits.offer(lifted)
    house.start()
    told = len(house.events)
    assert not house.limits.offer(lifted)
    assert len(house.events) == told, "the broker repeats what is retained, and that is no replay"
    assert not house.limits.offer(sealed)
    assert len(house.events) == told + 1
    assert house.after(1) == GridCaps()


def unsafe(name: str, value: str) -> bytes:
    """A number that JSON can write and no limit may be."""
    payload = encode(limit(duration_s=60.0)).replace(f'"{name}":'.encode(), f'"{name}":{value},"x":'.encode(), 1)
    payload = payload.split(b',"x":', 1)[0] + b"}"
    return encode(Envelope(key_id=key_id(KEY.public_key()), payload=payload.decode(), signature=KEY.sign(payload)))


@pytest.mark.parametrize(
    "sealed",
    [
        seal(limit(), Ed25519PrivateKey.generate()),
        seal(limit(), KEY).replace(b"4200", b"9200", 1),
        seal(limit(home="bob"), KEY),
        seal(limit(issued_ms=0), KEY),
        seal(limit(issued_ms=NOW_MS - 61_000, duration_s=60.0), KEY),
        seal(limit(issued_ms=NOW_MS + 301_000), KEY),
        seal(limit(issued_ms=253_402_300_799_000), KEY),
        encode(limit()),
        b"not json",
        b"x" * 5000,
        unsafe("limit_w", "NaN"),
        unsafe("limit_w", "1e999"),
        unsafe("limit_w", "-5"),
        unsafe("duration_s", "1e999"),
        unsafe("duration_s", "0"),
    ],
)
def test_what_is_not_the_operators_word_changes_nothing_and_is_told_once(tmp_path: Path, sealed: bytes) -> None:
    house = House(tmp_path)
    assert not house.limits.offer(sealed)
    assert not house.limits.offer(sealed)
    assert house.after(1) == GridCaps()
    assert len(house.events) == 1


def test_without_a_key_nothing_is_believed(tmp_path: Path) -> None:
    house = House(tmp_path, key=None)
    assert not house.limits.offer(seal(limit(), KEY))
    assert house.after(1) == GridCaps()


def test_a_contact_limits_while_it_is_active(tmp_path: Path) -> None:
    house = House(tmp_path, RELAY)
    assert house.after(1, {("meter", "x_input_1"): 0}) == GridCaps()
    assert house.after(1, {("meter", "x_input_1"): 1}) == GridCaps(import_w=4200)
    assert house.after(1, {}) == GridCaps(import_w=4200), "a reading that is missing does not open the contact"
    assert house.after(1, {("meter", "x_input_1"): math.nan}) == GridCaps(import_w=4200)
    assert house.after(1, {("meter", "x_input_1"): 0}) == GridCaps()


def test_a_lost_heartbeat_holds_the_failsafe_until_two_hours_a_heartbeat_and_a_fresh_limit(tmp_path: Path) -> None:
    house = House(tmp_path, BOX)
    free = {("box", "x_limit_w"): 30_000.0}

    def beat(number: int) -> dict[tuple[str, str], float]:
        return {**free, ("box", "x_heartbeat"): float(number)}

    house.after(1, beat(1))
    assert house.after(60, beat(2)) == GridCaps(import_w=30_000)
    for _ in range(2):
        house.after(60, beat(2))  # the number stands still: the box hangs, its limit can still be read
    assert house.after(60, beat(2)) == GridCaps(import_w=4200)
    assert house.after(60, beat(3)) == GridCaps(import_w=4200), "two hours at least"
    house.start()
    for number in range(4, 4 + 116):
        assert house.after(60, beat(number)) == GridCaps(import_w=4200), f"after {number} minutes"
    for number in range(120, 130):
        house.after(60, beat(number))
    assert house.after(60, beat(131)) == GridCaps(import_w=30_000)
    assert [one["what"] for one in house.log() if one["what"] != "holds"] == ["applied", "failsafe", "applied"]


def test_after_two_hours_a_heartbeat_alone_does_not_end_the_failsafe(tmp_path: Path) -> None:
    house = House(tmp_path, LINE)
    house.limits.offer(seal(limit(limit_w=None), KEY))
    assert house.after(301) == GridCaps(import_w=4200)
    assert house.after(3 * HOUR_S) == GridCaps(import_w=4200)
    assert house.limits.offer(seal(limit(version=6, limit_w=None, issued_ms=int(house.clock.now_s * 1000)), KEY))
    assert house.after(1) == GridCaps()


def test_a_wall_clock_that_jumps_ends_no_limit(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.limits.offer(seal(limit(duration_s=HOUR_S), KEY))

    class Jumped(ManualClock):
        def monotonic(self) -> float:
            return NOW_S + 1

    for wall_s in (0.0, 253_402_300_000.0):
        house.limits._clock = Jumped(wall_s)
        assert house.limits.look(lambda *_: None, None) == GridCaps(import_w=4200)


def test_the_lowest_of_all_sources_counts(tmp_path: Path) -> None:
    house = House(tmp_path, RELAY, ModbusSource(name="box", side=Side.IMPORT, device="box", point="x_limit_w"))
    house.limits.offer(seal(limit(limit_w=6000.0), KEY))
    assert house.after(1, {("meter", "x_input_1"): 1, ("box", "x_limit_w"): 5000}) == GridCaps(import_w=4200)
    assert house.after(1, {("meter", "x_input_1"): 0, ("box", "x_limit_w"): 5000}) == GridCaps(import_w=5000)
    assert house.after(1, {("meter", "x_input_1"): 0, ("box", "x_limit_w"): -1}) == GridCaps(import_w=5000)


def test_what_was_kept_and_cannot_be_read_lets_the_failsafes_hold(tmp_path: Path) -> None:
    house = House(tmp_path, LINE)
    (tmp_path / "grid-limits.json").write_text("{torn")
    house.start()
    assert house.after(1) == GridCaps(import_w=4200)


def test_the_log_keeps_its_size_and_counts_what_a_flapping_contact_leaves_out(tmp_path: Path) -> None:
    clock = ManualClock(NOW_S)
    journal = Journal(tmp_path / "log", clock, most_bytes=10_000)
    written = [journal.write("applied", "relay", "import", 4200.0, None) for _ in range(MOST_LINES_A_DAY + 5)]
    assert written.count(True) == MOST_LINES_A_DAY
    clock.now_s += 86_400
    assert journal.write("lifted", "relay", "import", 4200.0, -100.4)
    last = json.loads((tmp_path / "log").read_text().splitlines()[-1])
    assert (last["left_out"], last["grid_w"]) == (5, -100)
    assert {path.name for path in tmp_path.iterdir()} == {"log", "log.1"}
    assert all(path.stat().st_size <= 10_000 for path in tmp_path.iterdir())


SIGNALS = st.builds(
    Signal,
    is_alive=st.booleans(),
    has_limit=st.booleans(),
    limit_w=st.none() | st.floats(0, 1e6),
    duration_s=st.none() | st.floats(1, 1e6),
)


@given(st.lists(st.tuples(st.floats(0, 4000), SIGNALS), max_size=40))
@settings(max_examples=60, deadline=None)
def test_the_failsafe_never_holds_for_less_than_two_hours(steps: list[tuple[float, Signal]]) -> None:
    held, since_s = Held(), None
    for elapsed_s, signal in steps:
        before = held
        held = advance(BOX, held, elapsed_s, signal)
        since_s = None if since_s is None else since_s + elapsed_s
        if before.failsafe_for_s is None and held.failsafe_for_s is not None:
            since_s = 0.0
        if before.failsafe_for_s is not None and held.failsafe_for_s is None:
            assert since_s is not None
            assert since_s >= 2 * HOUR_S
            assert signal.has_limit or before.is_fresh
        if held.failsafe_for_s is not None:
            most_w = cap_w(BOX, held)
            assert most_w is not None
            assert most_w <= 4200
        if held.silent_s > 120:
            assert held.failsafe_for_s is not None
        assert resolve([(BOX, held)]).export_w is None


CONFIG = """
agent: anna
data_dir: data
site:
  name: Anna
  timezone: Europe/Berlin
  latitude: 47.7
  longitude: 9.2
  price_zone: DE-LU
  limits: {{main_fuse_a: 35}}
  tariff: {{}}
devices:
  - {{id: grid, profile: eastron-sdm630, host: 127.0.0.1}}
grid_limits:
{sources}
"""


@pytest.mark.parametrize(
    ("sources", "field"),
    [
        ("  - {source: input, name: relay, side: import, device: gird, point: power_w, limit_w: 1}", "[0].device"),
        ("  - {source: input, name: relay, side: import, device: grid, point: x_input_1, limit_w: 1}", "[0].point"),
        ("  - {source: mqtt, name: a, side: import, heartbeat_s: 60}", "[0].failsafe_w"),
        ("  - {source: mqtt, name: a, side: import, failsafe_w: 60}", "[0].heartbeat_s"),
        (
            "  - {source: mqtt, name: a, side: import}\n"
            "  - {source: input, name: a, side: import, device: grid, point: power_w, limit_w: 1}",
            "[1].name",
        ),
        ("  - {source: mqtt, name: a, side: import}\n  - {source: mqtt, name: b, side: import}", "[0].side"),
        (
            "  - {source: modbus, name: a, side: import, device: grid, point: power_w, heartbeat_point: power_w}",
            "[0].heartbeat_s",
        ),
        ("  - {source: mqtt, name: a, side: import, heartbeat_s: 60, failsafe_w: 1, failsafe_s: 60}", "failsafe_s"),
        ("  - {source: input, name: a, side: import, device: grid, point: power_w, limit_w: -1}", "limit_w"),
        ("  - {source: fax, name: a, side: import}", "grid_limits"),
    ],
)
def test_nonsense_in_the_file_is_refused_with_its_field(tmp_path: Path, sources: str, field: str) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(CONFIG.format(sources=sources))
    with pytest.raises(ConfigError, match=field.replace("[", r"\[").replace("]", r"\]")):
        load_home(path)


@pytest.mark.parametrize("wrong_s", [0.0, NOW_S + 400 * 86_400])
def test_a_limit_is_obeyed_while_nobody_knows_the_time(tmp_path: Path, wrong_s: float) -> None:
    """A machine without a clock of its own starts in 1970: a limit that waits at the broker is not from the future."""
    clock = ManualClock(wrong_s)
    limits = GridLimits(tmp_path, "anna", [], KEY.public_key(), clock, EventLog(clock), lambda: False)
    assert limits.offer(seal(limit(duration_s=HOUR_S), KEY))
    clock.now_s += HOUR_S - 1
    assert limits.look(lambda _device, _point: None, None).import_w == 4_200.0
    clock.now_s += 2
    assert limits.look(lambda _device, _point: None, None).import_w is None
