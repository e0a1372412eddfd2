"""Numbers in registers: one wrong word order turns a house upside down."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_agent.devices.codec import EncodeError, encode, interpret, text, unsigned
from hearth_agent.devices.profile import REGISTERS, RegisterType, WordOrder

INTEGERS = {
    RegisterType.U16: (0, 2**16 - 1),
    RegisterType.S16: (-(2**15), 2**15 - 1),
    RegisterType.U32: (0, 2**32 - 1),
    RegisterType.S32: (-(2**31), 2**31 - 1),
    RegisterType.U64: (0, 2**53),
    RegisterType.S64: (-(2**53), 2**53),
}


@pytest.mark.parametrize("order", list(WordOrder))
@pytest.mark.parametrize("kind", list(INTEGERS))
@settings(deadline=None)
@given(data=st.data())
def test_every_integer_survives_the_way_there_and_back(
    kind: RegisterType, order: WordOrder, data: st.DataObject
) -> None:
    value = data.draw(st.integers(*INTEGERS[kind]))
    registers = encode(value, kind, order)
    assert len(registers) == REGISTERS[kind]
    assert interpret(unsigned(registers, 0, len(registers), order), kind) == value


@pytest.mark.parametrize(
    ("registers", "order", "expected"),
    [([0x42C8, 0x0000], WordOrder.BIG, 100.0), ([0x0000, 0x42C8], WordOrder.LITTLE, 100.0)],
)
def test_floats_follow_ieee_754_with_the_word_order_of_the_maker(
    registers: list[int], order: WordOrder, expected: float
) -> None:
    assert interpret(unsigned(registers, 0, 2, order), RegisterType.F32) == expected
    assert encode(expected, RegisterType.F32, order) == registers


@pytest.mark.parametrize("order", list(WordOrder))
@given(value=st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None)
def test_every_double_survives_the_way_there_and_back(order: WordOrder, value: float) -> None:
    registers = encode(value, RegisterType.F64, order)
    assert interpret(unsigned(registers, 0, 4, order), RegisterType.F64) == value
    words = list(struct.unpack(">4H", struct.pack(">d", value)))
    assert registers == (words if order is WordOrder.BIG else words[::-1])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_float_register_that_holds_no_number_is_missing(bad: float) -> None:
    raw = int.from_bytes(struct.pack(">f", bad), "big")
    assert interpret(raw, RegisterType.F32) is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [(70_000, RegisterType.U16), (-1, RegisterType.U32), (40_000, RegisterType.S16), (1e39, RegisterType.F32)],
)
def test_a_number_that_does_not_fit_is_refused_instead_of_wrapped(value: float, kind: RegisterType) -> None:
    """A wrapped limit would be an order nobody gave."""
    with pytest.raises(EncodeError):
        encode(value, kind, WordOrder.BIG)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_device_is_told_a_value_that_is_no_number(value: float) -> None:
    with pytest.raises(EncodeError):
        encode(value, RegisterType.S16, WordOrder.BIG)


def test_texts_end_at_the_first_nul_and_hold_no_control_characters() -> None:
    assert text([0x4672, 0x6F6E, 0x6975, 0x7300, 0x0741]) == "Fronius"
    assert text([0x0741, 0x2020]) == "A"
