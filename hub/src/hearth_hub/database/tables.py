"""Every table of the hub, and the only place that declares one: types, keys, defaults and what a column means.

The classes describe; the statements in the domains' ``repository.py`` do the work (docs/decisions/0007). A change here
needs a migration that does the same: a test compares the migrated database with these classes.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from pydantic import create_model
from sqlalchemy import (
    JSON,
    REAL,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel

from hearth_core.points import POINTS, PointClass

_INSTANT = DateTime(timezone=True)
_REQUIRED: Any = ...


class _Table(SQLModel):
    @declared_attr.directive
    def __tablename__(cls) -> str:  # noqa: N805  SQLAlchemy hands over the class
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


def _column(
    sql_type: Any,  # noqa: ANN401  a class or an instance of SQLAlchemy's types
    default: Any = _REQUIRED,  # noqa: ANN401
    *,
    key: bool = False,
    unique: bool = False,
    of: str | None = None,
    comment: str | None = None,
) -> Any:  # noqa: ANN401  what SQLModel's Field returns
    """Describe a column.

    Args:
        sql_type: The database's type.
        default: What the database fills in where an insert does not name the column; None = it may be null.
        key: Part of the primary key.
        unique: No two rows have the same.
        of: The table whose ``id`` it holds.
        comment: What the type does not tell; kept in the database.
    """
    more: dict[str, Any] = {"comment": comment}
    if default is not _REQUIRED and default is not None:
        more["server_default"] = str(default).lower() if isinstance(default, bool) else str(default)
    return Field(
        default,
        sa_type=sql_type,
        primary_key=key,
        unique=unique,
        nullable=default is None,
        foreign_key=f"{of}.id" if of else None,
        sa_column_kwargs=more,
    )


def _number(sql_type: Any = Integer) -> Any:  # noqa: ANN401
    """Describe a primary key that the database counts up by itself."""
    return Field(None, sa_type=sql_type, primary_key=True, nullable=False, sa_column_args=[Identity(always=True)])


class Home(_Table, table=True):
    """A home: as its agent's last birth certificate and status describe it."""

    id: int | None = _number()
    agent: str = _column(Text, unique=True)
    site: dict[str, Any] | None = _column(JSONB, None)
    software: str = _column(Text, "")
    epoch: str | None = _column(Text, None)
    state: str = _column(Text, "unknown")
    mode: str = _column(Text, "")
    reason: str = _column(Text, "")
    plan_version: int = _column(BigInteger, 0)
    lag_s: float = _column(REAL, 0)
    status_at: datetime | None = _column(_INSTANT, None)


class Device(_Table, table=True):
    """A device of a home, created by its first reading or its birth certificate."""

    __table_args__ = (UniqueConstraint("home_id", "device"),)

    id: int | None = _number()
    home_id: int = _column(Integer, of="home")
    device: str = _column(Text)
    kind: str | None = _column(Text, None, comment="null until the birth certificate tells it")
    profile: str = _column(Text, "")
    manufacturer: str = _column(Text, "")
    model: str = _column(Text, "")
    serial: str = _column(Text, "")
    points: list[str] = _column(JSONB, [])
    controlled: bool = _column(Boolean, default=False)
    expired: int = _column(BigInteger, 0, comment="readings that were stored and have outlived their retention")


class Watermark(_Table, table=True):
    """Up to which record an epoch is stored without a hole."""

    home_id: int = _column(Integer, key=True, of="home")
    epoch: str = _column(Text, key=True)
    upto: int = _column(BigInteger, 0)


class Pending(_Table, table=True):
    """A record stored above the watermark."""

    __table_args__ = ({"comment": "records stored above the watermark; counts is {device: [readings, running count]}"},)

    home_id: int = _column(Integer, key=True, of="home")
    epoch: str = _column(Text, key=True)
    seq: int = _column(BigInteger, key=True)
    through: int = _column(BigInteger)
    counts: dict[str, Any] = _column(JSONB)


class Account(_Table, table=True):
    """Where the readings of one device and epoch went, and what the agent told last."""

    home_id: int = _column(Integer, key=True, of="home")
    epoch: str = _column(Text, key=True)
    device_id: int = _column(Integer, key=True, of="device")
    produced: int = _column(BigInteger, 0)
    settled: int = _column(BigInteger, 0, comment="running count of the device at the watermark")
    stored: int = _column(BigInteger, 0)
    gaps: int = _column(BigInteger, 0)
    dead_lettered: int = _column(BigInteger, 0)
    told_produced: int = _column(BigInteger, 0)
    told_spooled: int = _column(BigInteger, 0)
    told_at: datetime | None = _column(_INSTANT, None)


class Gap(_Table, table=True):
    """Readings an agent declared lost, or a hole whose size it does not know."""

    __table_args__ = (Index("gap_by_home", "home_id", "epoch"),)

    id: int | None = _number(BigInteger)
    home_id: int = _column(Integer, of="home")
    epoch: str = _column(Text)
    seq: int = _column(BigInteger, comment="first record it stands for; 0 = told after the fact")
    device_id: int = _column(Integer, of="device")
    readings: int = _column(BigInteger, comment="0 = unknown")
    from_at: datetime | None = _column(_INSTANT, None)
    until_at: datetime | None = _column(_INSTANT, None)
    reason: str = _column(Text)


class Stale(_Table, table=True):
    """A span in which readings of a home were stored since the aggregates last took it in.

    Ingest only appends; the roll-up deletes exactly the rows it has seen. So neither waits for the other, and what is
    committed while a roll-up runs is found by the next one.
    """

    __table_args__ = ({"comment": "spans of readings that the aggregates have not taken in yet"},)

    id: int | None = _number(BigInteger)
    # no foreign key: to check it would lock the home's row at every commit of ingest, which has just looked it up
    home_id: int = _column(Integer)
    from_at: datetime = _column(_INSTANT)
    until_at: datetime = _column(_INSTANT, comment="the newest reading of the span itself")


class StaleDay(_Table, table=True):
    """A day of a home whose readings `reading_1day` has not taken in yet; marked by the roll-up of shorter buckets."""

    __table_args__ = ({"comment": "days that reading_1day has not taken in yet"},)

    home_id: int = _column(Integer, key=True, of="home")
    at: datetime = _column(_INSTANT, key=True)


class DeadLetter(_Table, table=True):
    """A message, or a part of one, that can never be stored."""

    id: int | None = _number(BigInteger)
    at: datetime = _column(_INSTANT)
    agent: str = _column(Text)
    what: str = _column(Text)
    epoch: str | None = _column(Text, None)
    seq: int | None = _column(BigInteger, None)
    device: str | None = _column(Text, None)
    readings: int = _column(Integer, 0)
    reason: str = _column(Text)
    raw: bytes = _column(LargeBinary)


class Quarter(_Table, table=True):
    """A home's flows in one quarter-hour."""

    __table_args__ = ({"comment": "means of every quarter-hour, kept by the worker"},)

    home_id: int = _column(Integer, key=True, of="home")
    at: datetime = _column(_INSTANT, key=True)
    grid_w: float | None = _column(REAL, None)
    pv_w: float | None = _column(REAL, None)
    battery_w: float | None = _column(REAL, None)
    load_w: float | None = _column(REAL, None)
    ev_w: float | None = _column(REAL, None)
    heat_pump_w: float | None = _column(REAL, None)
    soc_percent: float | None = _column(REAL, None)


class Price(_Table, table=True):
    """A day-ahead price of one market step."""

    zone: str = _column(Text, key=True)
    at: datetime = _column(_INSTANT, key=True)
    step_s: int = _column(Integer)
    eur_per_kwh: float = _column(Double)
    published_at: datetime = _column(_INSTANT)


class Forecast(_Table, table=True):
    """The newest forecast of an agent, as it came."""

    home_id: int = _column(Integer, key=True, of="home")
    issued_at: datetime = _column(_INSTANT)
    message: dict[str, Any] = _column(JSON)


class Expectation(_Table, table=True):
    """What a forecast said of one step, for its accuracy."""

    __table_args__ = ({"comment": "what was expected of each step about a day ahead, beside the naive forecast"},)

    home_id: int = _column(Integer, key=True, of="home")
    target: str = _column(Text, key=True)
    at: datetime = _column(_INSTANT, key=True)
    issued_at: datetime = _column(_INSTANT)
    p50_w: float = _column(REAL)
    naive_w: float = _column(REAL)


class Plan(_Table, table=True):
    """A plan: the message while it is young, its figures for ever."""

    home_id: int = _column(Integer, key=True, of="home")
    version: int = _column(BigInteger, key=True)
    issued_at: datetime = _column(_INSTANT)
    policy: str = _column(Text)
    solve_ms: float = _column(REAL)
    broken_wishes: int = _column(Integer)
    message: dict[str, Any] | None = _column(JSON, None)


class PlanStep(_Table, table=True):
    """What was planned for one quarter-hour, by the plan that was in force in it."""

    __table_args__ = ({"comment": "what the plan in force in each quarter-hour said of it"},)

    home_id: int = _column(Integer, key=True, of="home")
    at: datetime = _column(_INSTANT, key=True)
    version: int = _column(BigInteger)
    mode: str = _column(Text)
    reason: str = _column(Text)
    soc_percent: float = _column(REAL, comment="expected at the end of the slot that holds the quarter-hour")


class Model(_Table, table=True):
    """A trained model with its card."""

    home_id: int = _column(Integer, key=True, of="home")
    target: str = _column(Text, key=True)
    version: str = _column(Text, key=True)
    made_at: datetime = _column(_INSTANT)
    card: dict[str, Any] = _column(JSON)
    onnx: bytes = _column(LargeBinary)


class Wish(_Table, table=True):
    """What an agent is to be told beside plans and models: an override of the owner, a limit of the grid operator."""

    __table_args__ = ({"comment": "what an agent is to be told beside plans and models: one row a topic"},)

    home_id: int = _column(Integer, key=True, of="home")
    kind: str = _column(Text, key=True)
    target: str = _column(Text, key=True)
    version: int = _column(BigInteger)
    ends_at: datetime | None = _column(_INSTANT, None)
    is_told: bool = _column(Boolean, default=False)
    message: dict[str, Any] = _column(JSON)


class Event(_Table, table=True):
    """Something that happened in a home, kept once however often it is delivered."""

    __table_args__ = (UniqueConstraint("home_id", "at", "kind", "device", "text", postgresql_nulls_not_distinct=True),)

    id: int | None = _number(BigInteger)
    home_id: int = _column(Integer, of="home")
    at: datetime = _column(_INSTANT)
    level: str = _column(Text)
    kind: str = _column(Text)
    device: str | None = _column(Text, None)
    text: str = _column(Text)


class Savings(_Table, table=True):
    """What one local day cost, and would have cost otherwise."""

    home_id: int = _column(Integer, key=True, of="home")
    day: date = _column(Date, key=True)
    realised_eur: float = _column(Double)
    no_battery_eur: float = _column(Double)
    self_consumption_eur: float = _column(Double)
    night_timer_eur: float = _column(Double)
    perfect_foresight_eur: float = _column(Double)
    complete: bool = _column(Boolean)


_POINT_TYPES = {PointClass.GAUGE: REAL, PointClass.COUNTER: Double, PointClass.STATE: SmallInteger}


def _point_columns() -> dict[str, Any]:
    """Return a nullable column for every point of the vocabulary, and one for what vendors have beyond it."""
    columns: dict[str, Any] = {
        name: (float | None, _column(_POINT_TYPES[point.point_class], None)) for name, point in POINTS.items()
    }
    return columns | {"extra": (dict[str, Any] | None, _column(JSONB, None))}


# (at, device_id) and not the other way round: readings arrive in the order of time (1.8 times faster to write).
# No foreign key: ingest has just looked the device up, and a check per row would cost more than the row.
Reading = create_model(
    "Reading",
    __base__=_Table,
    __module__=__name__,
    __doc__="One reading of a device.",
    __cls_kwargs__={"table": True},
    at=(datetime, _column(_INSTANT, key=True)),
    device_id=(int, _column(Integer, key=True)),
    **_point_columns(),
)
Latest = create_model(
    "Latest",
    __base__=_Table,
    __module__=__name__,
    __doc__="The newest reading of a device, kept by ingest.",
    __cls_kwargs__={"table": True},
    device_id=(int, _column(Integer, key=True, of="device")),
    at=(datetime, _column(_INSTANT)),
    **_point_columns(),
)


def _aggregate_columns() -> dict[str, Any]:
    """Return the mean of every gauge, the last of every state, and first, last and largest of every counter."""
    columns: dict[str, Any] = {}
    for name, point in POINTS.items():
        is_counter = point.point_class is PointClass.COUNTER
        names = [f"{name}_first", f"{name}_last", f"{name}_top"] if is_counter else [name]
        columns |= {one: (float | None, _column(_POINT_TYPES[point.point_class], None)) for one in names}
    return columns


def _aggregate(name: str, text: str) -> Any:  # noqa: ANN401  a class made here
    return create_model(
        name,
        __base__=_Table,
        __module__=__name__,
        __doc__=text,
        __cls_kwargs__={"table": True},
        device_id=(int, _column(Integer, key=True)),
        at=(datetime, _column(_INSTANT, key=True)),
        readings=(int, _column(Integer)),
        **_aggregate_columns(),
    )


# (device_id, at): what is read is one home's span. With TimescaleDB these are continuous aggregates of the same names.
ReadingMinute = _aggregate("Reading_1min", "What a device measured in a minute.")
ReadingQuarter = _aggregate("Reading_15min", "What a device measured in a quarter-hour, from its minutes.")
ReadingDay = _aggregate("Reading_1day", "What a device measured in a day (UTC), from its quarter-hours.")

METADATA = SQLModel.metadata
"""What Alembic compares the database with."""
