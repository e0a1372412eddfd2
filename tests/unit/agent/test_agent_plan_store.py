"""Which plan a home believes: signed, its own, newer, finite, of a sane time; every other leaves the old one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hearth_agent.events import EventLog
from hearth_agent.plan.store import PlanStore
from hearth_core.clock import ManualClock
from hearth_core.messages import (
    Consumed,
    Envelope,
    LoadPlan,
    LoadSlot,
    MarketPrices,
    Mode,
    Plan,
    Slot,
    StoredValue,
    decode,
    encode,
)
from hearth_core.signing import key_id, seal

KEY = Ed25519PrivateKey.generate()
NOW_MS = 1_459_728_000_000
HOUR_MS = 3_600_000


def slot(index: int = 0, **values: Any) -> Slot:
    base: dict[str, Any] = {
        "start_ms": NOW_MS + 900_000 * index,
        "mode": Mode.HOLD,
        "reason": "rests",
        "import_eur_per_kwh": 0.3,
        "export_eur_per_kwh": 0.08,
        "marginal_eur_per_kwh": 0.2,
        "load_w": 500.0,
        "pv_w": 0.0,
        "battery_w": 0.0,
        "grid_w": 500.0,
        "soc_percent": 50.0,
    }
    return Slot(**{**base, **values})


def plan(**values: Any) -> Plan:
    base: dict[str, Any] = {
        "home": "anna",
        "version": 7,
        "issued_ms": NOW_MS,
        "valid_from_ms": NOW_MS,
        "valid_until_ms": NOW_MS + 24 * HOUR_MS,
        "step_s": 900,
        "slots": [slot(i) for i in range(96)],
    }
    return Plan(**{**base, **values})


def make(path: Path, key: Ed25519PrivateKey | None = KEY, now_ms: int = NOW_MS) -> tuple[PlanStore, EventLog]:
    clock = ManualClock(now_ms / 1000)
    events = EventLog(clock)
    return PlanStore(path / "plan.sealed", "anna", key.public_key() if key else None, clock, events), events


def test_a_good_plan_is_followed_and_outlives_a_restart(tmp_path: Path) -> None:
    store, events = make(tmp_path)
    assert store.current(NOW_MS) is None
    assert store.offer(seal(plan(), KEY))
    assert store.current(NOW_MS + 1) == plan()
    assert store.current(NOW_MS + 24 * HOUR_MS) is None
    again, _ = make(tmp_path)
    assert again.current(NOW_MS + 1) == plan()
    assert again.version == 7
    assert len(events) == 0


def test_the_version_stands_even_when_the_kept_plan_is_over(tmp_path: Path) -> None:
    """Or yesterday's plan could be replayed after a night without power."""
    store, _ = make(tmp_path)
    store.offer(seal(plan(), KEY))
    later, events = make(tmp_path, now_ms=NOW_MS + 48 * HOUR_MS)
    late = plan(valid_from_ms=NOW_MS + 48 * HOUR_MS, valid_until_ms=NOW_MS + 50 * HOUR_MS, version=6)
    assert later.version == 7
    assert not later.offer(seal(late, KEY))
    assert len(events) == 1


def stored(**values: Any) -> StoredValue:
    base: dict[str, Any] = {"store": "battery", "soc_percent": [0.0, 100.0], "value_eur": [[0.0, 2.0]] * 96}
    return StoredValue(**{**base, **values})


def car(current_a: float, count: int = 96) -> LoadPlan:
    return LoadPlan(device="charger", slots=[LoadSlot(current_a=current_a)] * count)


def market(price: float) -> MarketPrices:
    return MarketPrices(start_ms=NOW_MS, step_s=900, eur_per_kwh=[0.1, None, price])


def overflowing() -> bytes:
    """A number JSON can write and no float can hold."""
    payload = encode(plan()).replace(b'"load_w":500.0', b'"load_w":1e999', 1)
    return encode(Envelope(key_id=key_id(KEY.public_key()), payload=payload.decode(), signature=KEY.sign(payload)))


@pytest.mark.parametrize(
    ("sealed", "reason"),
    [
        (seal(plan(), Ed25519PrivateKey.generate()), "signed by key"),
        (seal(plan(), KEY).replace(b"hold", b"export", 1), "signed by key"),
        (seal(plan(home="bob"), KEY), "it is for bob"),
        (seal(plan(version=5), KEY), "not newer than 6"),
        (seal(plan(valid_until_ms=NOW_MS), KEY), "it is over"),
        (seal(plan(issued_ms=NOW_MS + 301_000), KEY), "in the future"),
        (seal(plan(valid_until_ms=NOW_MS + 73 * HOUR_MS), KEY), "longer than 72 h"),
        (seal(plan(valid_from_ms=NOW_MS + 25 * HOUR_MS), KEY), "empty"),
        (seal(plan(step_s=3600, slots=[slot(4 * i) for i in range(73)]), KEY), "more than 72 h"),
        (seal(plan(slots=[slot(0), slot(2)]), KEY), "slot 1 does not follow"),
        (seal(plan(slots=[slot(1), slot(0)]), KEY), "slot 1 does not follow"),
        (seal(plan(slots=[slot(load_w=1e9)]), KEY), "load_w"),
        (seal(plan(slots=[slot(power_w=-5.0)]), KEY), "power_w"),
        (seal(plan(slots=[slot(import_eur_per_kwh=1e6)]), KEY), "import_eur_per_kwh"),
        (seal(plan(loads=[car(16.0), car(16.0)]), KEY), "plans a load twice"),
        (seal(plan(loads=[car(16.0, 95)]), KEY), "95 slots for charger"),
        (seal(plan(loads=[car(-1.0)]), KEY), "loads.charger"),
        (seal(plan(loads=[car(1e9)]), KEY), "loads.charger"),
        (seal(plan(market=market(1e6)), KEY), "market.eur_per_kwh"),
        (seal(plan(consumed=Consumed(month_import_kwh=1e12)), KEY), "consumed.month_import_kwh"),
        (seal(plan(stored_value=stored(value_eur=[[0.0]])), KEY), "wrong length"),
        (seal(plan(stored_value=stored(soc_percent=[100.0, 0.0])), KEY), "do not rise"),
        (seal(plan(stored_value=stored(soc_percent=[-5.0, 100.0])), KEY), "within 0..100"),
        (seal(plan(headline="x" * 66_000), KEY), "bytes are more than"),
        (b"not json", "Envelope"),
        (encode(plan()), "Envelope"),
        (seal(slot(), KEY), "Plan"),
        (overflowing(), "load_w|Plan"),
    ],
)
def test_a_plan_that_cannot_be_right_changes_nothing_and_is_told_once(
    tmp_path: Path, sealed: bytes, reason: str
) -> None:
    store, events = make(tmp_path)
    store.offer(seal(plan(version=6), KEY))
    for _ in range(3):
        assert not store.offer(sealed)
    assert store.current(NOW_MS) == plan(version=6)
    event = events.first()
    assert event is not None
    assert event.kind == "plan_refused"
    assert re.search(reason, event.text)
    assert len(events) == 1


def test_the_retained_message_again_is_no_event(tmp_path: Path) -> None:
    store, events = make(tmp_path)
    store.offer(seal(plan(), KEY))
    assert not store.offer(seal(plan(), KEY))
    assert len(events) == 0


def test_an_equal_version_with_another_content_is_refused(tmp_path: Path) -> None:
    store, events = make(tmp_path)
    store.offer(seal(plan(), KEY))
    assert not store.offer(seal(plan(headline="another"), KEY))
    assert len(events) == 1


def test_without_a_key_nothing_is_believed(tmp_path: Path) -> None:
    store, events = make(tmp_path, key=None)
    assert not store.offer(seal(plan(), KEY))
    assert len(events) == 1


def test_a_kept_plan_of_another_key_is_not_used(tmp_path: Path) -> None:
    store, _ = make(tmp_path)
    store.offer(seal(plan(), KEY))
    other, _ = make(tmp_path, key=Ed25519PrivateKey.generate())
    assert other.version == 0


def test_a_cleared_retained_message_is_nothing(tmp_path: Path) -> None:
    store, events = make(tmp_path)
    assert not store.offer(b"")
    assert len(events) == 0


def test_the_plan_on_the_disk_is_still_sealed(tmp_path: Path) -> None:
    store, _ = make(tmp_path)
    store.offer(seal(plan(), KEY))
    assert decode((tmp_path / "plan.sealed").read_bytes(), Envelope).key_id == key_id(KEY.public_key())
