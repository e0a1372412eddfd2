"""What a device is told: clipped, scaled and translated as its profile says, other people's bits left alone."""

from __future__ import annotations

import pytest

from hearth_agent.devices.catalogue import parse_profile
from hearth_agent.devices.codec import EncodeError, text, unsigned
from hearth_agent.devices.controls import Case, ControlKind, cases_of, writes_of
from hearth_agent.devices.errors import DeviceError
from hearth_agent.devices.layout import Block, Chain, lay_out
from hearth_agent.devices.profile import Profile
from hearth_agent.devices.readplan import ReadPlan
from hearth_agent.devices.registers import WordOrder
from hearth_agent.devices.writing import Encoded, join, prepare, to_verify

HEAD = """
profile: mine
kind: hybrid_inverter
manufacturer: Me
model: One
source: my bench
points: {power_w: {address: 1}}
"""


def profile_with(order: str, head: str = HEAD) -> Profile:
    return parse_profile(
        f"""{head}
controls:
  battery_interval: {{class: S, safe: [{{address: 900, value: 0}}], order: [{order}]}}
""",
        "mine.yaml",
    )


def told(order: str, image: dict[tuple[int, int], int] | None = None, head: str = HEAD, **variables: float) -> Encoded:
    profile = profile_with(order, head)
    (write,) = profile.controls[ControlKind.BATTERY_INTERVAL].order
    return prepare("inverter", profile, write, variables, None).encode(image or {})


@pytest.mark.parametrize(
    ("order", "value", "registers"),
    [
        ("{address: 5, value: charge_w}", 2500.0, [2500]),
        ("{address: 5, value: charge_w, scale: 10}", 2500.0, [250]),
        ("{address: 5, value: charge_w, type: s32}", -2.0, [0xFFFF, 0xFFFE]),
        ("{address: 5, value: charge_w, type: s32, word_order: little}", 65537.0, [1, 1]),
        ("{address: 5, value: charge_w, type: u64}", 1.0, [0, 0, 0, 1]),
        ("{address: 5, value: charge_w, type: f64}", 2.0, [0x4000, 0, 0, 0]),
        ("{address: 5, value: charge_w, low: 10, high: 3000}", 5000.0, [3000]),
        ("{address: 5, value: charge_w, low: 10, high: 3000}", 0.0, [10]),
        ("{address: 5, value: charge_w, codes: {0: 0xCC, 1: 0xAA}}", 1.0, [0xAA]),
    ],
)
def test_a_value_becomes_the_register_of_the_profile(order: str, value: float, registers: list[int]) -> None:
    assert told(order, charge_w=value) == Encoded(16, 5, registers)


def test_a_value_without_a_code_is_not_told() -> None:
    with pytest.raises(EncodeError, match="no code for 2"):
        told("{address: 5, value: forced, codes: {0: 0, 1: 7}}", forced=2.0)


def test_the_device_tells_the_highest_value_itself() -> None:
    order = "{address: 5, value: charge_w, high_of: {address: 40, fc: 4, type: u32}}"
    assert told(order, {(4, 40): 0, (4, 41): 1800}, charge_w=2500.0).registers == [1800]
    with pytest.raises(DeviceError, match="highest value"):
        told(order, {(4, 40): 0xFFFF, (4, 41): 0xFFFF}, charge_w=2500.0)


def test_percent_is_of_what_the_device_says_and_clipped_after() -> None:
    order = "{address: 5, value: charge_w, percent_of: {address: 40}, high: 60, scale: 0.1}"
    assert told(order, {(3, 40): 5000}, charge_w=2500.0).registers == [500]
    assert told(order, {(3, 40): 5000}, charge_w=5000.0).registers == [600]
    with pytest.raises(DeviceError, match="percentage"):
        told(order, {(3, 40): 0}, charge_w=5000.0)


def test_bits_of_others_stay_as_the_device_has_them() -> None:
    encoded = told("{address: 5, value: forced, bits: 0x0003}", {(3, 5): 0xA0F2}, forced=1.0)
    assert encoded.registers == [0xA0F1]
    assert encoded.stands_in({(3, 5): 0x0001})  # somebody else has changed theirs since
    assert not encoded.stands_in({(3, 5): 0xA0F0})
    assert not encoded.stands_in({})
    with pytest.raises(EncodeError, match="bits"):
        told("{address: 5, value: forced, bits: 1}", {(3, 5): 0}, forced=2.0)


def test_a_coil_is_written_and_read_back_as_one() -> None:
    encoded = told("{address: 400, fc: 5, value: forced}", forced=1.0)
    assert (encoded.fc, encoded.registers, encoded.read_back) == (5, [1], (1, 400, 401))


def test_each_profile_writes_with_its_own_function() -> None:
    head = HEAD + "write_fc: 6\nword_order: little\n"
    assert told("{address: 5, value: charge_w}", head=head, charge_w=7.0) == Encoded(6, 5, [7])
    assert told("{address: 5, fc: 16, value: charge_w}", head=head, charge_w=7.0).fc == 16
    # function 6 has room for one register only
    assert told("{address: 5, type: u32, value: charge_w}", head=head, charge_w=7.0) == Encoded(16, 5, [7, 0])


def test_neighbours_are_joined_only_where_the_device_takes_them_together() -> None:
    pair = [Encoded(16, 5, [1]), Encoded(16, 6, [2])]
    assert join(pair) == [Encoded(16, 5, [1, 2])]
    assert join(pair, alone=True) == pair
    assert join([Encoded(6, 5, [1]), Encoded(6, 6, [2])]) == [Encoded(6, 5, [1]), Encoded(6, 6, [2])]
    assert pair[0].registers == [1]  # what was encoded is not changed: it is compared later


def test_only_the_last_write_of_a_register_must_stand() -> None:
    stop, start, blind = Encoded(16, 5, [0]), Encoded(16, 5, [1]), Encoded(16, 9, [3], verify=False)
    assert to_verify([stop, blind, start]) == [start]


def test_a_case_has_registers_of_its_own_or_the_common_ones() -> None:
    control = profile_with(
        "{address: 5, value: charge_w}], cases: {hold: [{address: 6, value: 0}]}, refresh: ["
    ).controls[ControlKind.BATTERY_INTERVAL]
    assert [write.address for write in writes_of(control, Case.HOLD)] == [6]
    assert [write.address for write in writes_of(control, Case.CHARGE)] == [5]
    assert cases_of(ControlKind.BATTERY_INTERVAL, control) == {Case.LIMIT, Case.HOLD, Case.CHARGE, Case.DISCHARGE}


def test_a_device_that_answers_one_value_a_request_is_asked_so() -> None:
    profile = parse_profile(
        HEAD.replace("{power_w: {address: 1}}", "{power_w: {address: 1}, pv_power_w: {address: 2}}"), "m"
    )
    assert len(ReadPlan(lay_out(profile, None), 125, 20).requests) == 1
    assert len(ReadPlan(lay_out(profile, None), 125, 20, alone=True).requests) == 2


@pytest.mark.parametrize(
    ("extra", "point", "raw", "expected"),
    [
        ("", "{address: 1}", 0xFFFF, None),
        ("", "{address: 1, type: s16}", 0xFFFF, -1.0),
        ("", "{address: 1, type: s16}", 0x8000, None),
        ("nan: {s16: [0x7FFF]}", "{address: 1, type: s16}", 0x7FFF, None),
        ("nan: {s16: [0x7FFF]}", "{address: 1, type: s16}", 0x8000, -32768.0),
        ("nan: {s16: [0x7FFF]}", "{address: 1, type: s16, nan: []}", 0x7FFF, 32767.0),
        ("", "{address: 1, nan: [3]}", 3, None),
        ("", "{address: 1, nan: [3]}", 0xFFFF, 65535.0),
    ],
)
def test_what_means_missing_is_usual_the_makers_or_the_points_own(
    extra: str, point: str, raw: int, expected: float | None
) -> None:
    profile = parse_profile(HEAD.replace("{address: 1}", point) + extra, "mine.yaml")
    plan = ReadPlan(lay_out(profile, None), 125, 0)
    assert plan.decode([[raw]]).get("power_w") == expected


def test_meters_behind_an_inverter_are_told_apart() -> None:
    chain = Chain((Block(103, 100, 50), Block(203, 200, 105), Block(203, 400, 105)))
    assert chain.find([203], 2) == Block(203, 400, 105)
    assert chain.find([201, 203]) == Block(203, 200, 105)
    assert chain.find([203], 3) is None


def test_a_text_may_have_its_low_byte_first() -> None:
    assert text([0x6853, 0x6C65, 0x796C], low_byte_first=True) == "Shelly"
    assert unsigned([1, 2], 0, 2, WordOrder.LITTLE) == 131073
