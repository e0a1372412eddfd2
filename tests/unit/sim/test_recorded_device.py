"""A recording answers, refuses, is told things and forgets them as its file says."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth_core.clock import ManualClock
from hearth_sim.framing import AsciiFramer, Framer, Request, RtuFramer, TcpFramer, crc16
from hearth_sim.modbus_server import ModbusServer
from hearth_sim.recorded_device import RecordedDevice, Written
from hearth_sim.recordings import parse
from hearth_sim.registers import ModbusRefusalError, ModbusSilenceError

HEAD = "device: toy\nsource: a test\norigin: facts\n"


def device(units: str, rest: str = "", told: Callable[[Written], None] | None = None) -> RecordedDevice:
    recording = parse(f"{HEAD}units: {{1: [{units}]}}\n{rest}", "toy.yaml")
    return RecordedDevice(recording, clock=ManualClock(1000.0), told=told)


def later(one: RecordedDevice, seconds: float) -> None:
    clock = one._clock
    assert isinstance(clock, ManualClock)
    clock.now_s += seconds


def read(one: RecordedDevice, address: int, count: int = 1, function: int = 3) -> list[int]:
    return list(struct.unpack(f">{count}H", one.read(function, address, count)))


def refusal(call: Callable[[], object]) -> int:
    with pytest.raises(ModbusRefusalError) as caught:
        call()
    return caught.value.code


def test_a_gap_is_refused_or_reads_zero() -> None:
    units = "{address: 10, u16: [1, 2]}, {address: 14, u16: 5}"
    strict = device(units)
    assert read(strict, 10, 2) == [1, 2]
    assert refusal(lambda: read(strict, 10, 5)) == 2
    assert refusal(lambda: read(strict, 10, 1, function=4)) == 1
    lenient = device(units, "gaps: allow")
    assert read(lenient, 10, 5) == [1, 2, 0, 0, 5]
    assert refusal(lambda: read(lenient, 14, 2)) == 2


def test_limits_of_a_request_are_kept() -> None:
    short = device("{address: 0, u16: [1, 2, 3]}", "max_registers: 2")
    assert read(short, 1, 2) == [2, 3]
    assert refusal(lambda: read(short, 0, 3)) == 3
    single = device("{address: 0, u32: [1, 2]}", "one_value_per_request: true")
    assert read(single, 2, 2) == [0, 2]
    assert refusal(lambda: read(single, 0, 4)) == 2
    assert refusal(lambda: read(single, 1, 2)) == 2


def test_a_hasty_request_is_not_answered() -> None:
    one = device("{address: 0, u16: 1}", "min_gap_s: 0.5")
    assert read(one, 0) == [1]
    later(one, 0.4)
    with pytest.raises(ModbusSilenceError):
        read(one, 0)
    later(one, 0.1)
    assert read(one, 0) == [1]


def test_orders_are_taken_where_and_how_the_file_says() -> None:
    told: list[Written] = []
    rest = "writable: [{address: 5, low: 6, high: 32}, {address: 9}, {fc: 1, address: 400}]\nwrite_functions: [5, 6]"
    one = device("{address: 5, u16: 16}, {address: 6, u16: 1}, {fc: 1, address: 400, u16: 0}", rest, told.append)
    assert refusal(lambda: one.write(16, 5, [10])) == 1
    assert refusal(lambda: one.write(6, 6, [10])) == 2
    assert refusal(lambda: one.write(6, 5, [33])) == 3
    assert one.written == []
    assert one.write(6, 5, [16])  # nothing but a repetition
    assert not one.write(6, 5, [10])
    assert read(one, 5) == [10]
    one.write(6, 9, [7])
    assert one.holds(9) == 7
    assert refusal(lambda: read(one, 9)) == 2  # can be written only
    one.write(5, 400, [1])
    assert read(one, 400, function=1) == [1]
    assert told == one.written
    assert told[1] == Written(1000.0, 1, 6, 5, (10,))


def test_the_range_of_a_long_number_is_checked_as_a_whole() -> None:
    rest = "writable: [{address: 0, type: s32, word_order: little, low: -10, high: 10}]"
    one = device("{address: 0, s32: 3, word_order: little}", rest)
    one.write(16, 0, [0xFFF6, 0xFFFF])  # -10
    assert refusal(lambda: one.write(16, 0, [0xFFF5, 0xFFFF])) == 3
    assert refusal(lambda: one.write(6, 1, [0])) == 3  # 65526 together with the low word it holds
    assert read(one, 0, 2) == [0xFFF6, 0xFFFF]


REVERTS = """writable: [{address: 0}, {address: 1}, {address: 2}]
reverts: {%s, fed_by: %s, then: [{address: 0, u16: 16}]}"""


def test_an_order_that_nobody_feeds_is_taken_back() -> None:
    one = device("{address: 0, u16: [16, 0, 0]}", REVERTS % ("after: {address: 1, scale: 0.001}", "[{address: 2}]"))
    one.write(6, 1, [3000])
    one.write(6, 0, [6])
    later(one, 10)
    assert read(one, 0) == [6]  # the time runs from the first heartbeat on
    one.write(6, 2, [1])
    later(one, 2.9)
    assert read(one, 0) == [6]
    one.write(6, 2, [1])
    later(one, 2.9)
    assert read(one, 0) == [6]
    fed_s = one.written[-1].at_s
    later(one, 2.1)
    assert one.holds(0) == 16
    assert one.reversions == 1
    assert one.written[-1].function == 0
    assert one.written[-1].at_s == pytest.approx(fed_s + 3)
    later(one, 10)
    assert read(one, 0) == [16]
    assert one.reversions == 1


def test_any_request_may_be_what_feeds_a_watchdog() -> None:
    by_any = device("{address: 0, u16: [16, 0, 0]}", REVERTS % ("after_s: 15", "any"))
    by_writes = device("{address: 0, u16: [16, 0, 0]}", REVERTS % ("after_s: 15", "writes"))
    for one in (by_any, by_writes):
        one.write(6, 0, [6])
        later(one, 14)
        read(one, 1)
        later(one, 14)
    assert (by_any.holds(0), by_writes.holds(0)) == (6, 16)


def test_a_time_of_nothing_keeps_the_order_for_ever() -> None:
    one = device("{address: 0, u16: [16, 0, 0]}", REVERTS % ("after: {address: 1}", "writes"))
    one.write(6, 0, [6])
    later(one, 1e6)
    assert one.holds(0) == 6


def test_a_bit_travels_eight_a_byte() -> None:
    one = device("{fc: 1, address: 0, u16: [1, 0, 0, 1, 0, 0, 0, 0, 1, 0]}")
    assert ModbusServer([one]).answer(1, bytes([1, 0, 0, 0, 10])) == bytes([1, 2, 0b00001001, 0b1])


@given(
    pdus=st.lists(st.tuples(st.integers(1, 247), st.integers(0, 65535), st.integers(1, 100)), min_size=1, max_size=5),
    framer=st.sampled_from([TcpFramer, RtuFramer, AsciiFramer]),
    cuts=st.lists(st.integers(1, 9), max_size=30),
)
def test_a_stream_in_any_pieces_gives_the_same_requests(
    pdus: list[tuple[int, int, int]], framer: Callable[[], Framer], cuts: list[int]
) -> None:
    requests = [Request(0, unit, struct.pack(">BHH", 3, address, count)) for unit, address, count in pdus]
    stream = b"".join(framer().pack(one, one.pdu) for one in requests)
    reader, found = framer(), []
    for cut in cuts:
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert found + reader.feed(stream) == requests


def test_rtu_finds_its_way_back_after_noise() -> None:
    assert crc16(bytes.fromhex("0103000A0001")) == bytes.fromhex("A408")
    frame = RtuFramer().pack(Request(0, 1, b""), bytes.fromhex("03000A0001"))
    assert RtuFramer().feed(b"\x55\xaa\x00" + frame) == [Request(0, 1, bytes.fromhex("03000A0001"))]
