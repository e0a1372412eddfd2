"""The requests that read a device, and the points decoded from their answers.

Made once a connection, used with every poll: decoding is a walk over prepared tuples.
Garbage, NaN patterns and values out of range are missing, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hearth_agent.devices.codec import interpret, unsigned
from hearth_agent.devices.layout import LaidOutPoint, Place, registers_of
from hearth_agent.devices.packing import Span, pack
from hearth_agent.devices.registers import REGISTERS, RegisterType, WordOrder

_POWERS = {exponent: 10.0**exponent for exponent in range(-10, 11)}
Answer = Sequence[int] | None


def number_at(one: Place, registers: Sequence[int], first: int) -> float | None:
    """Decode one place from registers that start at address ``first``; None when it is missing."""
    raw = unsigned(registers, one.address - first, REGISTERS[one.type], one.word_order)
    if raw in one.zero:
        return 0.0
    if raw in one.missing:
        return None
    number = interpret(raw, one.type)
    if number is None:
        return None
    if one.scale_factor_address is not None:
        power = scale_at(registers, one.scale_factor_address - first)
        if power is None:
            return None
        number *= power
    return number * one.factor


def scale_at(registers: Sequence[int], offset: int) -> float | None:
    """Decode a SunSpec scale factor (a power of ten); None when it is not implemented or nonsense."""
    exponent = interpret(unsigned(registers, offset, 1, WordOrder.BIG), RegisterType.S16)
    return None if exponent is None else _POWERS.get(int(exponent))


class ReadPlan:
    """Requests and decoders for a set of points of one device."""

    def __init__(
        self, points: Iterable[LaidOutPoint], max_registers: int, max_gap: int, *, alone: bool = False
    ) -> None:
        """Pack the points' registers into requests.

        Raises:
            ValueError: A point and its scale factor lie too far apart for one request.
        """
        points = list(points)
        spans = [Span(p.fc, *registers_of(p)) for point in points for p in point.places]
        self.requests = pack(spans, max_registers, max_gap, alone=alone)
        self._points = [(point, [(p, self._request_of(p)) for p in point.places]) for point in points]

    def _request_of(self, one: Place) -> int:
        first, end = registers_of(one)
        for index, request in enumerate(self.requests):
            if request.fc == one.fc and request.address <= first and end <= request.end:
                return index
        raise AssertionError("pack() covers every span")

    def decode(self, answers: Sequence[Answer]) -> dict[str, float]:
        """Return the points that are present.

        Args:
            answers: One list of registers a request, None for a request that was refused.
        """
        values: dict[str, float] = {}
        requests = self.requests
        for point, places in self._points:
            total = 0.0
            for one, index in places:
                registers = answers[index]
                number = None if registers is None else number_at(one, registers, requests[index].address)
                if number is None:
                    break
                total += number
            else:
                if point.codes:
                    code = point.codes.get(round(total))
                    if code is None:
                        continue
                    total = code
                if point.low <= total <= point.high:
                    values[point.name] = total
        return values
