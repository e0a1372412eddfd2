"""Every message survives the wire, and what is wrong is refused by name."""

import json
import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth_core import messages as m
from hearth_core.errors import PoisonMessageError
from hearth_core.points import DeviceKind
from hearth_core.site import BatteryFacts, Limits, Site
from hearth_core.tariff import ExportKind, Tariff

EPOCH = "0123456789abcdef"
SITE = Site(
    name="Konstanz",
    timezone="Europe/Berlin",
    latitude=47.66,
    longitude=9.17,
    price_zone="NL",
    limits=Limits(main_fuse_a=35),
    tariff=Tariff(import_adder_eur_per_kwh=0.16, vat_percent=19, export_kind=ExportKind.SPOT),
    battery=BatteryFacts(capacity_wh=10_000, max_charge_w=5_000, max_discharge_w=5_000),
)
BATCH = m.DeviceBatch(
    device="grid", at_ms=[1, 2], points={"power_w": [1.5, None], "x_tap_position": [1.0, 2.0]}, produced=2
)
SLOT = m.Slot(
    start_ms=0,
    mode=m.Mode.EXPORT,
    reason="power is dear",
    power_w=100,
    import_eur_per_kwh=0.3,
    export_eur_per_kwh=0.1,
    marginal_eur_per_kwh=0.2,
    load_w=1,
    pv_w=2,
    battery_w=3,
    grid_w=4,
    soc_percent=5,
)
CARD = m.ModelCard(
    target=m.Target.PV,
    version="1",
    features_version=1,
    feature_names=["a"],
    quantiles=[0.1, 0.5, 0.9],
    step_s=900,
    horizon_steps=192,
    trained_from_ms=0,
    trained_until_ms=1,
    scores={"skill": 0.2},
    onnx_sha256="00",
)
EXAMPLES: dict[str, msgspec.Struct] = {
    "status": m.Status(
        state=m.AgentState.ONLINE,
        session="s",
        at_ms=1,
        epoch=EPOCH,
        last_seq=3,
        tallies=[m.Tally(device="grid", produced=3, spooled=1)],
    ),
    "birth": m.Birth(
        session="s",
        at_ms=1,
        epoch=EPOCH,
        software="0.1.0",
        site=SITE,
        devices=[m.DeviceInfo(id="grid", kind=DeviceKind.GRID_METER, profile="eastron-sdm630", points=["power_w"])],
    ),
    "readings": m.Readings(
        epoch=EPOCH, seq=7, through=9, batches=[BATCH], gaps=[m.Gap(device="pv", count=3, produced=9, reason="full")]
    ),
    "forecast": m.Forecast(
        issued_ms=1,
        start_ms=0,
        step_s=900,
        series=[m.ForecastSeries(target=m.Target.LOAD, model="x", p10_w=[1], p50_w=[2], p90_w=[3])],
    ),
    "event": m.Event(at_ms=1, level=m.EventLevel.WARNING, kind="device_unreachable", device="grid", text="no answer"),
    "ack": m.Ack(epoch=EPOCH, upto=12),
    "plan": m.Plan(
        home="anna",
        version=1,
        issued_ms=1,
        valid_from_ms=0,
        valid_until_ms=9,
        step_s=900,
        slots=[SLOT],
        loads=[m.LoadPlan(device="car", slots=[m.LoadSlot(current_a=6), m.LoadSlot(heat_mode=m.HeatMode.BLOCKED)])],
        stored_value=m.StoredValue(store="battery", soc_percent=[0, 100], value_eur=[[0, 2]]),
    ),
    "override": m.Override(home="anna", version=2, device="inverter", issued_ms=1, until_ms=9, battery=m.Mode.HOLD),
    "grid-limit": m.GridLimit(home="anna", version=3, issued_ms=1, side=m.Side.IMPORT, limit_w=4200, duration_s=600),
    "model": m.ModelDelivery(
        home="anna", issued_ms=1, card=CARD, onnx=b"\x00\xff", history_start_ms=0, history_w=[1, None]
    ),
    "envelope": m.Envelope(key_id="k", payload="{}", signature=b"\x01"),
}


def test_there_is_an_example_of_every_message() -> None:
    assert EXAMPLES.keys() == m.WIRE_MESSAGES.keys()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_message_comes_back_as_it_went(name: str) -> None:
    assert m.decode(m.encode(EXAMPLES[name]), m.WIRE_MESSAGES[name]) == EXAMPLES[name]


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_unknown_field_is_refused(name: str) -> None:
    """A field one side does not know is a version mismatch, not something to drop silently."""
    raw = json.loads(m.encode(EXAMPLES[name])) | {"surprise": 1}
    with pytest.raises(PoisonMessageError, match="surprise"):
        m.decode(json.dumps(raw).encode(), m.WIRE_MESSAGES[name])


def test_the_checked_in_schemas_are_those_of_the_code() -> None:
    folder = Path(__file__).parents[3] / "docs" / "schemas"
    checked_in = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert checked_in == json.loads(json.dumps(m.schemas())), "run: make schemas"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"points": {"power": [1, 2]}}, "power"),
        ({"points": {"power_w": [1]}}, "1 values for 2 instants"),
        ({"at_ms": []}, "at_ms"),
        ({"at_ms": [1, -1]}, "at_ms"),
        ({"produced": 0}, "produced"),
        ({"device": "Grid!"}, "device"),
        ({"points": {"power_w": [1, "x"]}}, "points"),
    ],
)
def test_a_broken_batch_is_poison(change: dict[str, object], named: str) -> None:
    raw = json.loads(m.encode(BATCH)) | change
    with pytest.raises(PoisonMessageError, match=named):
        m.decode(json.dumps(raw).encode(), m.DeviceBatch)


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b"null", b"[]", b'{"epoch": 1e400}', b"[" * 100_000])
def test_garbage_is_poison_never_a_crash(payload: bytes) -> None:
    with pytest.raises(PoisonMessageError):
        m.decode(payload, m.Readings)


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_poison(payload: bytes) -> None:
    for kind in m.WIRE_MESSAGES.values():
        try:
            m.decode(payload, kind)
        except PoisonMessageError:
            continue


def test_a_gap_record_covers_its_whole_range() -> None:
    assert m.Readings(epoch=EPOCH, seq=3, through=8).last_seq == 8
    assert m.Readings(epoch=EPOCH, seq=3).last_seq == 3
    with pytest.raises(ValueError, match="through"):
        m.Readings(epoch=EPOCH, seq=3, through=2)


def test_nan_travels_as_missing_and_never_as_a_number() -> None:
    batch = m.DeviceBatch(device="grid", at_ms=[1], points={"power_w": [math.nan]}, produced=1)
    assert m.decode(m.encode(batch), m.DeviceBatch).points["power_w"] == [None]
