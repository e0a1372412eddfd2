"""What an agent keeps on its disk, as trials of a power cut write it and judge what is left of it.

A keeper's `write` runs in a process of its own until the disk fails under it, and says each number once it was told
that this one is safe. Its `judge` opens what the cut left with the same code that an agent starts with.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hearth_agent.events import EventLog
from hearth_agent.forecast.models import ModelStore
from hearth_agent.forecast.series import STEP_S
from hearth_agent.plan.store import PlanStore
from hearth_agent.spool.records import Columns
from hearth_agent.spool.recovery import open_store
from hearth_agent.spool.store import SpoolStore
from hearth_core.clock import ManualClock
from hearth_core.messages import Mode, ModelCard, ModelDelivery, Plan, Readings, Slot, Target, decode
from hearth_core.signing import seal
from hearth_models.forecasting import HORIZON_STEPS

_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_HOME = "anna"
_NOW_MS = 1_760_000_000_000
_ROWS = 10
_DEVICES = ("meter", "inverter", "charger")
_POINTS = tuple(f"x_{number}" for number in range(7))
_FLUSH_MS = 10_000
_BEHIND = 20  # records that the hub has not acknowledged yet
_CAP_BYTES = 1_000_000
_MOST = 5000

Say = Callable[[int], None]


class Judgement(NamedTuple):
    """What a cut did: numbers said to be safe that are gone, and files that could not be used."""

    lost: int
    unreadable: int


class Keeper(Protocol):
    """One thing that must survive a power cut."""

    file: str
    """Its main file, whose name ends so."""

    def write(self, folder: Path, say: Say) -> None:
        """Write until the disk fails."""
        ...

    def judge(self, folder: Path, said: Sequence[int]) -> Judgement:
        """Open what is left."""
        ...


class SpoolKeeper:
    """The spool, with the hub 20 records behind: pruning and the size cap are at work as well."""

    file = ".sqlite"
    store: type[SpoolStore] = SpoolStore

    def write(self, folder: Path, say: Say) -> None:
        """Append records and acknowledge old ones."""
        store = self.store(folder / "spool.sqlite", 0.0, _CAP_BYTES)
        for seq in range(1, _MOST):
            store.append(_columns(seq), {}, _at_ms(seq))
            say(seq)
            if seq > _BEHIND:
                store.acknowledge(seq - _BEHIND)

    def judge(self, folder: Path, said: Sequence[int]) -> Judgement:
        """Every record that was committed and that the hub did not have must be there, reading by reading."""
        path = folder / "spool.sqlite"
        store, trouble = open_store(path, 0.0, _CAP_BYTES, _NOW_MS)
        with closing(store):
            rows = dict(_rows(store))
            last = max(said, default=0)
            lost = [seq for seq in range(max(1, last - _BEHIND + 1), last + 1) if not _complete(seq, rows)]
            behind = store.last_seq < last
        with closing(sqlite3.connect(path)) as db:
            sound = db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return Judgement(max(len(lost), int(behind)), int(trouble is not None or not sound))


def _at_ms(seq: int) -> int:
    return _NOW_MS + seq * _FLUSH_MS


def _columns(seq: int) -> dict[str, Columns]:
    at_ms = [_at_ms(seq) + row * _FLUSH_MS // _ROWS for row in range(_ROWS)]
    points: dict[str, list[float | None]] = {name: [_value(at, name) for at in at_ms] for name in _POINTS}
    return {device: Columns(at_ms, points) for device in _DEVICES}


def _value(at_ms: int, name: str) -> float:
    return float((at_ms * 31 + len(name) + ord(name[-1])) % 100_003)


def _complete(seq: int, rows: dict[tuple[str, int], dict[str, float | None]]) -> bool:
    return all(
        rows.get((device, at)) == {name: columns.points[name][row] for name in _POINTS}
        for device, columns in _columns(seq).items()
        for row, at in enumerate(columns.at_ms)
    )


def _rows(store: SpoolStore) -> Iterator[tuple[tuple[str, int], dict[str, float | None]]]:
    seq = store.acked + 1
    while seq <= store.last_seq:
        records = store.fetch(seq, 100, 1 << 20)
        for record in records:
            for batch in decode(record.payload, Readings).batches:
                for row, at in enumerate(batch.at_ms):
                    yield (batch.device, at), {name: column[row] for name, column in batch.points.items()}
        if not records:
            return
        seq = records[-1].through + 1


class PlanKeeper:
    """The plan the home follows."""

    file = ".sealed.new"

    def _store(self, folder: Path) -> PlanStore:
        clock = ManualClock(_NOW_MS / 1000)
        return PlanStore(folder / "plan.sealed", _HOME, _KEY.public_key(), clock, EventLog(clock))

    def write(self, folder: Path, say: Say) -> None:
        """Accept one plan after the other."""
        store = self._store(folder)
        for version in range(1, _MOST):
            if store.offer(seal(_plan(version), _KEY)):
                say(version)

    def judge(self, folder: Path, said: Sequence[int]) -> Judgement:
        """The last accepted plan is there, or the one after it, and it is valid."""
        version, last = self._store(folder).version, max(said, default=0)
        exists = (folder / "plan.sealed").exists()
        return Judgement(int(version not in (last, last + 1)), int(exists and version == 0))


def _plan(version: int) -> Plan:
    return Plan(
        home=_HOME,
        version=version,
        issued_ms=_NOW_MS,
        valid_from_ms=_NOW_MS,
        valid_until_ms=_NOW_MS + 24 * 3_600_000,
        step_s=900,
        slots=[_slot(_NOW_MS + 900_000 * index) for index in range(24)],
    )


def _slot(start_ms: int) -> Slot:
    return Slot(
        start_ms=start_ms,
        mode=Mode.HOLD,
        reason="rests",
        import_eur_per_kwh=0.3,
        export_eur_per_kwh=0.1,
        marginal_eur_per_kwh=0.2,
        load_w=500.0,
        pv_w=0.0,
        battery_w=0.0,
        grid_w=500.0,
        soc_percent=50.0,
    )


class ModelKeeper:
    """The model that forecasts the home's load; its folder is made by the first one."""

    file = ".sealed.new"

    def _store(self, folder: Path) -> ModelStore:
        return ModelStore(folder / "models", _HOME, _KEY.public_key(), EventLog(ManualClock(_NOW_MS / 1000)))

    def write(self, folder: Path, say: Say) -> None:
        """Accept one model after the other."""
        store = self._store(folder)
        for issued in range(1, _MOST):
            if store.offer(Target.LOAD, seal(_model(issued), _KEY)):
                say(issued)

    def judge(self, folder: Path, said: Sequence[int]) -> Judgement:
        """The last accepted model is there, or the one after it, and its bytes are those of its card."""
        kept, last = self._store(folder).get(Target.LOAD), max(said, default=0)
        issued = kept.issued_ms if kept else 0
        exists = (folder / "models" / f"{Target.LOAD}.sealed").exists()
        return Judgement(int(issued not in (last, last + 1)), int(exists and kept is None))


def _model(issued: int) -> ModelDelivery:
    onnx = hashlib.sha256(str(issued).encode()).digest() * 256
    card = ModelCard(
        target=Target.LOAD,
        version=str(issued),
        features_version=1,
        feature_names=["hour"],
        quantiles=[0.1, 0.5, 0.9],
        step_s=STEP_S,
        horizon_steps=HORIZON_STEPS,
        trained_from_ms=0,
        trained_until_ms=issued,
        scores={},
        onnx_sha256=hashlib.sha256(onnx).hexdigest(),
    )
    return ModelDelivery(home=_HOME, issued_ms=issued, card=card, onnx=onnx, history_start_ms=0, history_w=[1.0])
