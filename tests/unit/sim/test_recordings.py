"""A recording's file becomes registers; what cannot be one is refused with field, value and remedy."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth_core.errors import ConfigError
from hearth_sim import recordings
from hearth_sim.recording_values import REGISTERS, Values, decode, encode

HEAD = "device: toy\nsource: a test\norigin: facts\n"


def toy(units: str, rest: str = "") -> recordings.Recording:
    return recordings.parse(f"{HEAD}units:\n  7:\n{units}\n{rest}", "toy.yaml")


def entry(line: str) -> str:
    return f"    - {line}"


@pytest.mark.parametrize(
    ("line", "registers"),
    [
        ("{fc: 4, address: 0, f32: [1.0, -2.5]}", [0x3F80, 0, 0xC020, 0]),
        ("{fc: 4, address: 0, f32: .nan}", [0x7FC0, 0]),
        ("{fc: 4, address: 0, u16: [1, 65535]}", [1, 0xFFFF]),
        ("{fc: 4, address: 0, s16: -2}", [0xFFFE]),
        ("{fc: 4, address: 0, u32: [65538, 1]}", [1, 2, 0, 1]),
        ("{fc: 4, address: 0, u32: [65538, 1], word_order: little}", [2, 1, 1, 0]),
        ("{fc: 4, address: 0, s32: -2, word_order: little}", [0xFFFE, 0xFFFF]),
        ("{fc: 4, address: 0, u64: 18446744073709551615}", [0xFFFF] * 4),
        ("{fc: 4, address: 0, s64: -1000}", [0xFFFF, 0xFFFF, 0xFFFF, 0xFC18]),
        ("{fc: 4, address: 0, f64: 1.5, word_order: little}", [0, 0, 0, 0x3FF8]),
        ('{fc: 4, address: 0, text: "SunS"}', [0x5375, 0x6E53]),
        ('{fc: 4, address: 0, text: "ABC", count: 3, low_byte_first: true}', [0x4241, 0x0043, 0]),
        ('{fc: 4, address: 0, hex: "5375 6e53"}', [0x5375, 0x6E53]),
    ],
)
def test_values_lie_in_registers_as_the_vendors_write_them(line: str, registers: list[int]) -> None:
    assert list(toy(entry(line)).registers(7, 4).values()) == registers


@pytest.mark.parametrize(
    ("units", "rest", "field", "remedy"),
    [
        ("{fc: 4, address: 0}", "", "units.7[0]", "exactly one of"),
        ("{fc: 4, address: 0, u16: 1, s16: 2}", "", "units.7[0]", "exactly one of"),
        ("{fc: 4, address: 0, u16: 70000}", "", "units.7[0].u16", "does not fit u16"),
        ("{fc: 4, address: 0, u16: 1.5}", "", "units.7[0].u16", "whole numbers"),
        ("{fc: 4, address: 0, f32: 1.0e+300}", "", "units.7[0].f32", "does not fit f32"),
        ('{fc: 4, address: 0, hex: "537 56E53"}', "", "units.7[0].hex", "four digits"),
        ('{fc: 4, address: 0, text: "too long", count: 2}', "", "units.7[0].text", "raise count"),
        ("{fc: 4, address: 65535, u32: 1}", "", "units.7[0].address", "beyond register 65535"),
        ("{fc: 4, address: 0, txt: abc}", "", "units[...][0].txt", "Did you mean 'text'"),
        ("{fc: 1, address: 0, u16: 2}", "", "units.7[0].u16", "0 or 1"),
        ("{fc: 4, address: 0, u16: []}", "", "units.7[0].u16", "empty"),
        (
            "{fc: 4, address: 0, u16: 1}",
            "reverts: {fed_by: any, then: [{address: 0, u16: 0}]}",
            "reverts[0]",
            "after_s",
        ),
        (
            "{fc: 4, address: 0, u16: 1}",
            "reverts: {after_s: 5, fed_by: any, then: [{address: 0, u16: -1}]}",
            "reverts[0].then[0].u16",
            "does not fit",
        ),
    ],
)
def test_what_is_no_recording_is_refused(units: str, rest: str, field: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        toy(entry(units), rest)
    assert caught.value.field == field
    assert remedy in caught.value.remedy


def test_a_register_belongs_to_one_entry() -> None:
    lines = [entry("{fc: 3, address: 10, u32: [1, 2]}"), entry("{fc: 3, address: 13, u16: 1}")]
    with pytest.raises(ConfigError, match=r"units\.7\[1\]\.address.*once"):
        toy("\n".join(lines))
    lines[1] = entry("{fc: 4, address: 13, u16: 1}")
    assert toy("\n".join(lines)).registers(7, 4) == {13: 1}
    with pytest.raises(ConfigError, match="once"):
        toy("\n".join(lines), "one_map: true")


def test_devices_are_found_by_any_part_that_only_they_have(tmp_path: Path) -> None:
    assert recordings.load("sdm630").device == "eastron-sdm630"
    assert recordings.load("go-e").device == "go-e"
    with pytest.raises(ConfigError, match="serve --list"):
        recordings.load("toaster")
    with pytest.raises(ConfigError, match="say which"):
        recordings.load("o")
    with pytest.raises(ConfigError, match="cannot be read"):
        recordings.load(tmp_path / "missing.yaml")
    file = tmp_path / "mine.yaml"
    file.write_text(f"{HEAD}units: {{3: [{{address: 1, u16: 5}}]}}\n")
    assert recordings.load(str(file)).registers(3, 3) == {1: 5}


@pytest.mark.parametrize("name", recordings.names())
def test_every_recording_that_ships_is_well_formed(name: str) -> None:
    recording = recordings.load(name)
    assert recording.device == name
    assert recording.expect
    assert all(math.isfinite(value) for value in recording.expect.values())


@given(
    kind=st.sampled_from(["u16", "s16", "u32", "s32", "u64", "s64"]),
    order=st.sampled_from(["big", "little"]),
    data=st.data(),
)
def test_whole_numbers_come_back_from_their_registers(kind: str, order: str, data: st.DataObject) -> None:
    bits = 16 * REGISTERS[kind]
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if kind[0] == "s" else (0, 2**bits - 1)
    number = data.draw(st.integers(low, high))
    (registers,) = encode(Values(address=0, word_order=order, **{kind: number}), "test", "here")  # type: ignore[arg-type]
    assert decode(registers, kind, order) == number
