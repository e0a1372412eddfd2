"""What a wire is made of: turns, frames, and answers told from noise and from other answers."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_agent.devices import question as questions
from hearth_agent.devices.bus import Bus, Manners, Station
from hearth_agent.devices.endpoint import Endpoint, tcp
from hearth_agent.devices.framing import Asked, BrokenStreamError, Framing, TcpFraming, framing
from hearth_agent.devices.profile import SerialLine, Transport
from hearth_agent.devices.turns import Turns

READ = Asked(5, 77, questions.read(3, 100, 2))
RIGHT = bytes([3, 4, 0x12, 0x34, 0x56, 0x78])


def frame(transport: Transport, pdu: bytes, unit: int = READ.unit, number: int = READ.number) -> bytes:
    """Frame an answer as the device does: requests and answers have the same frame."""
    asked = Asked(unit, number, questions.Question(pdu[0], 0, 0, pdu, b"", 0))
    return framing(transport).encode(asked)


def heard(one: Framing, received: bytes, pieces: int = 1) -> bytes | None:
    buffer = bytearray()
    size = max(1, len(received) // pieces)
    for start in range(0, len(received), size):
        buffer += received[start : start + size]
        answer = one.take(buffer, READ)
        if answer is not None:
            return answer
    return None


every = pytest.mark.parametrize("transport", list(Transport))


@every
def test_an_answer_is_found_in_whatever_pieces_it_comes(transport: Transport) -> None:
    whole = frame(transport, RIGHT)
    for pieces in range(1, len(whole) + 1):
        assert heard(framing(transport), whole, pieces) == RIGHT
    assert heard(framing(transport), whole[:-1]) is None
    assert READ.question.values(RIGHT) == [0x1234, 0x5678]


@every
def test_the_answer_of_another_unit_is_passed_over(transport: Transport) -> None:
    received = frame(transport, RIGHT[:-1] + b"\0", unit=6) + frame(transport, RIGHT)
    assert heard(framing(transport), received) == RIGHT
    assert heard(framing(transport), received[: len(received) // 2]) is None


@every
def test_a_refusal_is_an_answer(transport: Transport) -> None:
    refused = heard(framing(transport), frame(transport, bytes([0x83, 2])))
    assert refused is not None
    assert READ.question.refusal(refused) == 2
    assert not READ.question.is_answer(refused)


def test_a_charger_that_begins_its_answers_with_another_sign_is_heard() -> None:
    whole = frame(Transport.ASCII, RIGHT)
    assert whole.startswith(b":")
    assert heard(framing(Transport.ASCII), b">" + whole[1:], pieces=3) == RIGHT


def test_over_tcp_only_the_number_counts() -> None:
    """A late answer has the unit, the function and the length of the right one."""
    late = frame(Transport.TCP, RIGHT[:-1] + b"\0", number=76)
    assert heard(TcpFraming(), late + frame(Transport.TCP, RIGHT)) == RIGHT
    with pytest.raises(BrokenStreamError):
        heard(TcpFraming(), b"this is no Modbus")


@pytest.mark.parametrize("transport", [Transport.RTU, Transport.ASCII])
def test_on_a_line_an_answer_of_another_length_or_function_is_passed_over(transport: Transport) -> None:
    shorter, other = bytes([3, 2, 0, 1]), bytes([4, *RIGHT[1:]])
    received = frame(transport, shorter) + frame(transport, other) + frame(transport, RIGHT)
    assert heard(framing(transport), received) == RIGHT
    assert heard(framing(transport), received[: -len(frame(transport, RIGHT))]) is None


@settings(deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=20), st.integers(1, 5))
def test_noise_on_the_line_neither_hides_nor_makes_an_answer(before: bytes, after: bytes, pieces: int) -> None:
    rtu = framing(Transport.RTU)
    assert heard(rtu, before + frame(Transport.RTU, RIGHT) + after, pieces) == RIGHT
    assert heard(rtu, before + frame(Transport.RTU, RIGHT)[:-1] + b"\0\0" + after, pieces) is None
    heard(framing(Transport.ASCII), before + after, pieces)  # nothing it may hear is an error


def test_every_kind_of_order_has_an_answer_of_its_own() -> None:
    assert questions.write(16, 7, [1, 2]).pdu.hex() == "10000700020400010002"
    assert questions.write(6, 7, [500]).pdu.hex() == "06000701f4"
    assert questions.write(5, 7, [1]).pdu.hex() == "050007ff00"
    assert questions.write(5, 7, [0]).pdu.hex() == "0500070000"
    assert questions.write(16, 7, [1, 2]).is_answer(bytes.fromhex("1000070002"))
    assert not questions.write(16, 7, [1, 2]).is_answer(bytes.fromhex("1000080002"))
    assert questions.write(6, 7, [500]).is_answer(bytes.fromhex("06000701f0"))  # reading back shows what it took
    coils = questions.read(1, 0, 10)
    assert coils.values(bytes([1, 2, 0b1000_0001, 0b10])) == [1, 0, 0, 0, 0, 0, 0, 1, 0, 1]
    with pytest.raises(ValueError, match="cannot write 2 values"):
        questions.write(6, 7, [1, 2])


def test_a_serial_line_is_silent_between_two_frames() -> None:
    assert Endpoint(Transport.RTU, path="/dev/a").silence_s == pytest.approx(3.5 * 10 / 9600)
    assert Endpoint(Transport.RTU, path="/dev/a", line=SerialLine(baudrate=38_400)).silence_s == 0.00175
    assert tcp("a", 502).silence_s == 0.0
    with pytest.raises(ValueError, match="rtu needs a serial device"):
        Endpoint(Transport.RTU, host="a")


async def test_turns_go_by_deadline_then_by_arrival() -> None:
    turns, order = Turns(), list[str]()
    await turns.take(0.0)

    async def work(name: str, deadline_s: float) -> None:
        await turns.take(deadline_s)
        order.append(name)
        turns.release()

    waiting = [asyncio.create_task(work(*one)) for one in (("c", 9.0), ("d", 9.0), ("b", 5.0), ("a", 0.0))]
    await asyncio.sleep(0)
    assert turns.earliest_s == 0.0
    turns.release()
    await asyncio.gather(*waiting)
    assert order == ["a", "b", "c", "d"]


@pytest.mark.parametrize("handed_over", [False, True])
async def test_a_turn_is_not_lost_when_its_owner_is_cancelled(*, handed_over: bool) -> None:
    """A cancelled poll must not block the wire for ever."""
    turns = Turns()
    await turns.take(0.0)
    gone = asyncio.create_task(turns.take(1.0))
    await asyncio.sleep(0)
    if handed_over:
        turns.release()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    if not handed_over:
        turns.release()
    async with asyncio.timeout(1):
        await turns.take(2.0)


async def test_a_wire_is_dropped_when_whoever_joins_it_is_cancelled() -> None:
    dropped = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        dropped.set()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        bus = Bus(tcp("127.0.0.1", server.sockets[0].getsockname()[1]))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bus.join(Station(1, Manners(connect_delay_s=10))), 0.1)
        assert not bus.connected
        await asyncio.wait_for(dropped.wait(), 1)
