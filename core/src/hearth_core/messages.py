"""Every message on the wire; `docs/schemas/` holds the JSON Schemas generated from these classes.

Instants are milliseconds since 1970-01-01 UTC. NaN and infinity are not JSON: a value that is missing is null.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from hearth_core.errors import PoisonMessageError
from hearth_core.points import DeviceKind, is_known
from hearth_core.site import Site

T = TypeVar("T", bound=msgspec.Struct)
MAX_PLAN_BYTES = 64 * 1024

Name = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
Epoch = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
Instant = Annotated[int, Meta(ge=0, le=253402300799999)]
Sequence = Annotated[int, Meta(ge=1, le=2**53)]
Count = Annotated[int, Meta(ge=0)]


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class AgentState(StrEnum):
    """The life cycle an agent's retained status tells."""

    ONLINE = "online"
    STOPPED = "stopped"  # said goodbye
    LOST = "lost"  # the broker's last will


class Tally(_Message, frozen=True, kw_only=True):
    """How many readings of one device this epoch has produced, and how many of them wait for the hub.

    Readings inside a gap that the hub has not heard of wait as well.
    """

    device: Name
    produced: Count
    spooled: Count


class Status(_Message, frozen=True, kw_only=True):
    """Retained at ``status``; also the will. An agent repeats it each minute with fresh tallies."""

    state: AgentState
    session: str
    at_ms: Instant
    epoch: Epoch | None = None
    last_seq: Count = 0
    tallies: list[Tally] = []
    mode: str = ""
    """What the controller does now, in the words of `Mode`."""
    reason: str = ""
    plan_version: Count = 0
    lag_s: float = 0.0
    """How late control and polls run [s]; grows when the machine is too slow."""


class DeviceInfo(_Message, frozen=True, kw_only=True):
    """One device, as its birth certificate describes it."""

    id: Name
    kind: DeviceKind
    profile: str
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    points: list[str] = []
    controlled: bool = False
    """False while the device is only watched."""


class Birth(_Message, frozen=True, kw_only=True):
    """Retained at ``birth``: who speaks, in which epoch. The hub answers with the `Ack` of that epoch."""

    session: str
    at_ms: Instant
    epoch: Epoch
    software: str
    site: Site
    devices: list[DeviceInfo]


class DeviceBatch(_Message, frozen=True, kw_only=True):
    """Readings of one device, columnar: ``points[name][i]`` was measured at ``at_ms[i]``; null is missing."""

    device: Name
    at_ms: Annotated[list[Instant], Meta(min_length=1, max_length=5000)]
    points: dict[str, list[float | None]]
    produced: Sequence
    """Readings of this device produced in this epoch, up to and including this batch."""

    def __post_init__(self) -> None:
        for name, values in self.points.items():
            if not is_known(name):
                msg = f"point {name!r} is not in the vocabulary and does not start with x_"
                raise ValueError(msg)
            if len(values) != len(self.at_ms):
                msg = f"point {name!r} has {len(values)} values for {len(self.at_ms)} instants"
                raise ValueError(msg)


class Gap(_Message, frozen=True, kw_only=True):
    """Readings an agent had to drop before the hub stored them, declared instead of silently missing.

    A count of 0 declares a hole of unknown size: the agent was cut off before it could count what it had measured.
    """

    device: Name
    count: Count
    produced: Count
    """Readings of this device produced in this epoch, up to and including the gap."""
    reason: str
    from_ms: Instant | None = None
    """Nothing is missing before this instant; None where that is not known."""
    until_ms: Instant | None = None
    """Nothing is missing from this instant on; None where that is not known."""


class Readings(_Message, frozen=True, kw_only=True):
    """One or several consecutive spool records at ``readings``.

    ``seq`` is dense from 1 in each epoch (one spool file is one epoch). A message covers ``seq..through``: backlog is
    merged into few large messages, and what was merged may be cut differently when it is sent again. A record that
    stands for dropped ones carries gaps; it may carry batches as well.
    """

    epoch: Epoch
    seq: Sequence
    through: Sequence | None = None
    batches: list[DeviceBatch] = []
    gaps: list[Gap] = []

    def __post_init__(self) -> None:
        if self.through is not None and self.through < self.seq:
            msg = f"through {self.through} is below seq {self.seq}"
            raise ValueError(msg)

    @property
    def last_seq(self) -> int:
        """The highest sequence number this record covers."""
        return self.seq if self.through is None else self.through


class Ack(_Message, frozen=True, kw_only=True):
    """From the hub at ``ack``, after its database commit: every record of ``epoch`` up to ``upto`` is safe."""

    epoch: Epoch
    upto: Count
    ahead: Count = 0
    """The highest record of ``epoch`` that the hub has seen at all. An agent that has not got so far has lost records
    it had sent, and must not use their numbers again."""


class Target(StrEnum):
    """What is forecast."""

    LOAD = "load"
    PV = "pv"


SEASONAL_NAIVE = "seasonal-naive"
"""Named as the model of a forecast that no trained model made."""


class ForecastSeries(_Message, frozen=True, kw_only=True):
    """Quantiles of one target, mean power of each step [W]."""

    target: Target
    model: str
    """Model version, or `SEASONAL_NAIVE`."""
    p10_w: list[float]
    p50_w: list[float]
    p90_w: list[float]

    def __post_init__(self) -> None:
        if not len(self.p10_w) == len(self.p50_w) == len(self.p90_w):
            msg = "p10_w, p50_w and p90_w differ in length"
            raise ValueError(msg)


class Forecast(_Message, frozen=True, kw_only=True):
    """Retained at ``forecast``: what the agent expects of its own home, from ``start_ms`` in steps of ``step_s``."""

    issued_ms: Instant
    start_ms: Instant
    step_s: Annotated[int, Meta(ge=60, le=3600)]
    series: list[ForecastSeries]


class EventLevel(StrEnum):
    """How much somebody should care."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Event(_Message, frozen=True, kw_only=True):
    """At ``event``: something happened that a person may want to know."""

    at_ms: Instant
    level: EventLevel
    kind: str
    device: Name | None = None
    text: str = ""


class Mode(StrEnum):
    """What the battery may do; each is an interval of battery power that the device closes against the meter.

    With battery power + = discharge, the device delivers ``clip(net load, lowest, highest)``.
    """

    SELF_CONSUMPTION = "self_consumption"  # cover own load and absorb surplus: [-max, max]
    ABSORB_SURPLUS = "absorb_surplus"  # keep what is stored, take what the sun gives: [-max, 0]
    COVER_LOAD = "cover_load"  # cover own load, sell the surplus: [0, max]
    HOLD = "hold"  # [0, 0]
    CHARGE_FROM_GRID = "charge_from_grid"  # [-max, -P]
    EXPORT = "export"  # [P, max]


class Slot(_Message, frozen=True, kw_only=True):
    """One step of a plan. Powers and state of charge are expectations, not orders."""

    start_ms: Instant
    mode: Mode
    reason: str
    power_w: float = 0.0
    """For charge_from_grid and export: how much at least [W, > 0]."""
    import_eur_per_kwh: float
    export_eur_per_kwh: float
    marginal_eur_per_kwh: float
    """Worth of one more stored kWh."""
    load_w: float
    pv_w: float
    battery_w: float
    grid_w: float
    soc_percent: float
    """Expected at the end of the step."""


class StoredValue(_Message, frozen=True, kw_only=True):
    """The value function of one store: ``value_eur[t][k]`` is what ``soc_percent[k]`` is worth at the end of step t."""

    store: str
    soc_percent: list[float]
    value_eur: list[list[float]]


class HeatMode(StrEnum):
    """What a heat pump or water heater is asked, in the four states of SG-Ready."""

    BLOCKED = "blocked"
    NORMAL = "normal"
    RECOMMENDED = "recommended"
    FORCED = "forced"


class LoadSlot(_Message, frozen=True, kw_only=True):
    """What one load is asked during one step; what is None is left to the load itself."""

    current_a: float | None = None
    """EV charger: charging current of each phase; 0 pauses."""
    heat_mode: HeatMode | None = None
    power_w: float | None = None
    """Heater with a power set-point."""


class LoadPlan(_Message, frozen=True, kw_only=True):
    """The steps of one load; ``slots[i]`` belongs to the plan's slot i."""

    device: Name
    slots: list[LoadSlot]


class MarketPrices(_Message, frozen=True, kw_only=True):
    """Published day-ahead prices, oldest first; None where one is missing."""

    start_ms: Instant
    step_s: Annotated[int, Meta(ge=60, le=3600)]
    eur_per_kwh: Annotated[list[float | None], Meta(max_length=1440)]


class Consumed(_Message, frozen=True, kw_only=True):
    """What month and net metering period have seen at the meter; tiers and net metering go by it."""

    month_import_kwh: float = 0.0
    month_export_kwh: float = 0.0
    period_import_kwh: float = 0.0
    period_export_kwh: float = 0.0
    period_gain_eur: float = 0.0


class Plan(_Message, frozen=True, kw_only=True):
    """A policy for one home; travels signed (`Envelope`), retained at ``plan``."""

    home: Name
    version: Sequence
    issued_ms: Instant
    valid_from_ms: Instant
    valid_until_ms: Instant
    step_s: Annotated[int, Meta(ge=60, le=3600)]
    slots: Annotated[list[Slot], Meta(min_length=1)]
    loads: list[LoadPlan] = []
    stored_value: StoredValue | None = None
    policy: str = "value_function"
    """``value_function``, ``modes``, or ``rule`` when plain self-consumption earned more lately."""
    headline: str = ""
    """What happens next and why, for a person."""
    broken_wishes: list[str] = []
    solve_ms: float = 0.0
    market: MarketPrices | None = None
    """The last week's prices and those that lie ahead: with them a home whose hub is silent plans for itself."""
    consumed: Consumed | None = None


class Override(_Message, frozen=True, kw_only=True):
    """The owner's own wish for one device; travels signed at ``override/<device>``, beats every plan, ends by itself.

    One that asks for nothing takes back those before it.
    """

    home: Name
    version: Sequence
    """The newest override of a device counts."""
    device: Name
    issued_ms: Instant
    until_ms: Instant
    battery: Mode | None = None
    power_w: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    """For charge_from_grid and export."""
    current_a: Annotated[float, Meta(ge=0, le=80)] | None = None
    heat_mode: HeatMode | None = None


class Side(StrEnum):
    """Which way power crosses the grid connection."""

    IMPORT = "import"
    EXPORT = "export"


class GridLimit(_Message, frozen=True, kw_only=True):
    """An order of the grid operator (such as § 14a EnWG); travels signed at ``grid-limit/<side>``, can only narrow."""

    home: Name
    version: Sequence
    issued_ms: Instant
    side: Side
    limit_w: Annotated[float, Meta(ge=0, le=1e6)] | None
    """None lifts the limit, and counts as a sign of life."""
    duration_s: Annotated[float, Meta(gt=0, le=604_800)] | None = None
    """None: until it is lifted."""


class ModelCard(_Message, frozen=True, kw_only=True):
    """What a model is, what it eats and how good it was; the agent refuses one whose features it does not speak."""

    target: Target
    version: str
    features_version: int
    feature_names: list[str]
    quantiles: list[float]
    step_s: int
    horizon_steps: int
    trained_from_ms: Instant
    trained_until_ms: Instant
    scores: dict[str, float]
    onnx_sha256: str


class ModelDelivery(_Message, frozen=True, kw_only=True):
    """Signed and retained at ``model/<target>``: the model with the recent history it starts from."""

    home: Name
    issued_ms: Instant
    card: ModelCard
    onnx: bytes
    history_start_ms: Instant
    history_w: list[float | None]
    """The target's mean power in steps of ``card.step_s``, oldest first, so that a new agent can forecast at once."""


class Envelope(_Message, frozen=True, kw_only=True):
    """A signed message: the signature is over exactly the bytes of ``payload``."""

    key_id: str
    payload: str
    signature: bytes


WIRE_MESSAGES: dict[str, type[msgspec.Struct]] = {
    "status": Status,
    "birth": Birth,
    "readings": Readings,
    "forecast": Forecast,
    "event": Event,
    "ack": Ack,
    "plan": Plan,
    "override": Override,
    "grid-limit": GridLimit,
    "model": ModelDelivery,
    "envelope": Envelope,
}


def encode(message: msgspec.Struct) -> bytes:
    """Encode a message as JSON."""
    return msgspec.json.encode(message)


def decode(payload: bytes, kind: type[T]) -> T:
    """Decode a JSON message.

    Raises:
        PoisonMessageError: The payload is no JSON, or not this message.
    """
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PoisonMessageError(f"{kind.__name__}: {error}") from error


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of every message on the wire."""
    return {name: msgspec.json.schema(kind) for name, kind in WIRE_MESSAGES.items()}
