"""Plans as an attacker, a broken hub or a broken wire would send them; each goes through the home's real plan store."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hearth_agent.control.house import House
from hearth_core.messages import Envelope, HeatMode, LoadPlan, LoadSlot, Mode, Plan, Slot, StoredValue, encode
from hearth_core.signing import key_id, seal

HOME = "anna"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
_DAY_S = 86_400.0
Y1970_MS, Y9999_MS = 0, 253_370_764_800_000


class Letter(NamedTuple):
    """What arrives, and whether the home may believe it."""

    kind: str
    sealed: bytes
    good: bool
    plan: Plan | None = None


BAD = (
    "unsigned",
    "stranger",
    "other home",
    "replayed",
    "older",
    "nan",
    "infinite",
    "huge",
    "negative power",
    "overlapping",
    "1970",
    "9999",
    "too long",
    "too big",
    "garbage",
    "twisted values",
    "changed on its way",
    "huge load",
    "negative load",
    "load of another length",
)


def good_plan(rng: Random, house: House, version: int, at_s: float) -> Plan:
    """Return a plan a home may believe; what it asks for is wild."""
    step_s = rng.choice([60, 300, 900])
    count = rng.choice([3, 12, 48])
    start_ms = int(at_s * 1000) // (step_s * 1000) * (step_s * 1000)
    slots = [_slot(rng, start_ms + 1000 * step_s * i) for i in range(count)]
    stored = None
    if rng.random() < 0.5:
        rows = [[0.0, *sorted(rng.uniform(-1, 4) for _ in range(2))] for _ in range(count)]
        stored = StoredValue(store="battery", soc_percent=[0.0, 50.0, 100.0], value_eur=rows)
    return Plan(
        home=HOME,
        version=version,
        issued_ms=int(at_s * 1000),
        valid_from_ms=start_ms,
        valid_until_ms=start_ms + 1000 * step_s * count - rng.choice([0, 0, 30_500]),
        step_s=step_s,
        slots=slots,
        stored_value=stored,
        policy=rng.choice(["value_function", "modes", "modes", "rule"]) if stored else "modes",
        loads=[_load(rng, id_, count) for id_ in _loads(house)],
    )


def _loads(house: House) -> list[str]:
    return [one.id for one in house.chargers] + [one.id for one in house.heaters] + ["nobody"]


def letter(rng: Random, house: House, version: int, at_s: float, last: bytes) -> Letter:
    """Return a good plan half of the time, otherwise one of the bad kinds."""
    plan = good_plan(rng, house, version, at_s)
    if rng.random() < 0.5:
        return Letter("good", seal(plan, KEY), good=True, plan=plan)
    # nothing is older than nothing, and by a clock that says 1970 a plan of 1970 is in order
    kinds = [one for one in BAD if (last or one != "older") and (at_s > _DAY_S or one != "1970")]
    return bad_letter(rng.choice(kinds), plan, last)


def bad_letter(kind: str, plan: Plan, last: bytes) -> Letter:
    """Return a letter that must change nothing.

    Args:
        kind: What is wrong with it.
        plan: A plan that would be good.
        last: The last letter that was believed, empty before the first.
    """
    fields = {name: getattr(plan, name) for name in plan.__struct_fields__}
    slots = plan.slots
    match kind:
        case "unsigned":
            sealed = encode(Envelope(key_id=key_id(KEY.public_key()), payload=encode(plan).decode(), signature=b""))
        case "stranger":
            sealed = seal(plan, STRANGER)
        case "replayed":
            sealed = last
        case "changed on its way":
            sealed = seal(plan, KEY).replace(b"EUR", b"USD").replace(b"because", b"becauze")
        case "garbage":
            sealed = b"\x00{]" * 50
        case "too big":
            sealed = seal(Plan(**{**fields, "headline": "x" * 70_000}), KEY)
        case "nan" | "infinite":
            token = b"NaN" if kind == "nan" else b"1e999"
            sealed = _sealed_payload(encode(plan).replace(b'"load_w":500.0', b'"load_w":' + token))
        case _:
            sealed = seal(Plan(**{**fields, **_twist(kind, plan, slots)}), KEY)
    return Letter(kind, sealed, good=False)


def _twist(kind: str, plan: Plan, slots: list[Slot]) -> dict[str, object]:
    match kind:
        case "other home":
            return {"home": "berta"}
        case "older":
            return {"version": 1, "headline": "an older one"}
        case "huge":
            return {"slots": [_with(slots[0], battery_w=1e300), *slots[1:]]}
        case "negative power":
            return {"slots": [_with(slots[0], power_w=-5.0), *slots[1:]]}
        case "overlapping":
            return {"slots": [slots[0], _with(slots[1], start_ms=slots[0].start_ms), *slots[2:]]}
        case "1970":
            return {"valid_from_ms": Y1970_MS, "valid_until_ms": Y1970_MS + 3_600_000}
        case "9999":
            return {"issued_ms": Y9999_MS, "valid_from_ms": Y9999_MS, "valid_until_ms": Y9999_MS + 3_600_000}
        case "too long":
            return {"valid_until_ms": plan.valid_from_ms + 400 * 3_600_000}
        case "twisted values":
            stored = StoredValue(store="battery", soc_percent=[50.0, 20.0, 20.0], value_eur=[[1.0, 2.0, 3.0]])
            return {"stored_value": stored, "policy": "value_function"}
        case "huge load":
            return {"loads": [_same(plan, LoadSlot(power_w=1e300)), *plan.loads[1:]]}
        case "negative load":
            return {"loads": [_same(plan, LoadSlot(current_a=-7.0)), *plan.loads[1:]]}
        case "load of another length":
            return {"loads": [LoadPlan(device=plan.loads[0].device, slots=[LoadSlot()]), *plan.loads[1:]]}
        case _:
            raise AssertionError(kind)


def _same(plan: Plan, slot: LoadSlot) -> LoadPlan:
    return LoadPlan(device=plan.loads[0].device, slots=[slot] * len(plan.slots))


def _with(slot: Slot, **changes: object) -> Slot:
    return Slot(**{**{name: getattr(slot, name) for name in slot.__struct_fields__}, **changes})


def _sealed_payload(payload: bytes) -> bytes:
    return encode(Envelope(key_id=key_id(KEY.public_key()), payload=payload.decode(), signature=KEY.sign(payload)))


def _slot(rng: Random, start_ms: int) -> Slot:
    buys = rng.choice([0.3, 0.1, -0.2, 2.0])
    return Slot(
        start_ms=start_ms,
        mode=rng.choice(list(Mode)),
        reason="because",
        power_w=rng.choice([0.0, 500.0, 3_000.0, 1e6]),
        import_eur_per_kwh=buys,
        export_eur_per_kwh=rng.choice([0.08, buys, 5.0, -1.0]),
        marginal_eur_per_kwh=0.2,
        load_w=500.0,
        pv_w=0.0,
        battery_w=0.0,
        grid_w=500.0,
        soc_percent=50.0,
    )


def _load(rng: Random, device: str, count: int) -> LoadPlan:
    return LoadPlan(
        device=device,
        slots=[
            LoadSlot(
                current_a=rng.choice([None, 0.0, 3.0, 6.0, 11.5, 16.0, 80.0]),
                heat_mode=rng.choice([None, *HeatMode]),
                power_w=rng.choice([None, 0.0, 700.0, 3_000.0, 1e6]),
            )
            for _ in range(count)
        ],
    )
