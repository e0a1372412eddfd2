"""Serial numbers and secrets are taken out wherever they stand, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth_agent.commands.masking import SerialText, mask_image, mask_text
from hearth_agent.commands.redact import blot_out, redact_file, secrets_in


def image(data: bytes, address: int = 100, fc: int = 3, *, low_byte_first: bool = False) -> dict[tuple[int, int], int]:
    order = "little" if low_byte_first else "big"
    return {
        (fc, address + i): int.from_bytes(data[2 * i : 2 * i + 2].ljust(2, b"\0"), order)  # type: ignore[arg-type]
        for i in range((len(data) + 1) // 2)
    }


def test_the_registers_a_profile_names_are_masked_whatever_they_hold() -> None:
    told = image(b"AB-1234\0") | {(4, 7): 42}
    masked = mask_image(told, [SerialText(3, 100, 4), SerialText(4, 7, 1)], [])
    assert masked == image(b"XX-XXXX\0") | {(4, 7): 0}


@pytest.mark.parametrize("low_byte_first", [False, True])
@pytest.mark.parametrize("before", [b"", b"x", b"name "])
def test_a_serial_number_is_found_elsewhere_in_both_byte_orders(before: bytes, *, low_byte_first: bool) -> None:
    told = image(before + b"sn ta2190034567 end", low_byte_first=low_byte_first)
    masked = mask_image(told, [], ["TA2190034567"])
    order = "little" if low_byte_first else "big"
    text = b"".join(word.to_bytes(2, order) for word in masked.values())  # type: ignore[arg-type]
    assert b"ta21" not in text
    assert b"567" not in text
    assert text.startswith(before[:-1])
    assert text.rstrip(b"\0").endswith(b"nd")


def test_a_serial_number_may_be_a_number() -> None:
    high_first, low_first = image((17538241).to_bytes(4, "big")), {(3, 7): 17538241 & 0xFFFF, (3, 8): 17538241 >> 16}
    other = {(4, 0): 17538241 >> 16, (4, 9): 17538241 & 0xFFFF}  # not beside each other
    masked = mask_image(high_first | low_first | other, [], ["17538241"])
    assert set(masked.values()) == {0, *other.values()}


@given(st.dictionaries(st.tuples(st.sampled_from([3, 4]), st.integers(0, 40)), st.integers(0, 0xFFFF)))
def test_without_a_serial_number_nothing_changes(told: dict[tuple[int, int], int]) -> None:
    assert mask_image(told, [], ["", "123"]) == told
    assert mask_text("unit 123", ["123"]) == "unit 123"


def test_a_coordinate_is_no_part_of_a_longer_number() -> None:
    assert blot_out("9.18 N, 229.18 V, 9.184", ["9.18"]) == "removed N, 229.18 V, 9.184"


def test_a_file_is_written_anew_without_secrets() -> None:
    text = "hub: {mqtt_url: 'mqtt://me:p%40ss@h:1', api_key: abcdef}  # p@ss\nsite: {latitude: 50.123, zone: DE}\n"
    assert secrets_in(text) == {"p@ss", "abcdef", "50.123"}
    redacted = redact_file(text)
    assert redacted == (
        "hub:\n  mqtt_url: mqtt://removed@h:1\n  api_key: removed\nsite:\n  latitude: removed\n  zone: DE\n"
    )
