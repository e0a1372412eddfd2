"""Reading many registers with few requests: neighbours are merged, small gaps are read along."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """Registers that must come from the same answer: ``address`` up to, not including, ``end``."""

    fc: int
    address: int
    end: int


class _Best(NamedTuple):
    """The cheapest way to read the first so many spans; compared by requests first, then by registers."""

    requests: int
    registers: int
    first: int
    """The first span of the last request."""


def pack(spans: Iterable[Span], max_registers: int, max_gap: int, *, alone: bool = False) -> list[Span]:
    """Merge spans into the fewest requests; of several ways, the one that reads the fewest registers.

    Args:
        spans: What has to be read, in any order, overlapping or not.
        max_registers: The longest request the device answers.
        max_gap: How many unwanted registers may lie between two wanted ones.
        alone: The device answers only requests for exactly one span.

    Returns:
        Requests in order of function code and address; a span is never split over two.

    Raises:
        ValueError: A span alone is longer than a request may be.

    Example:
        >>> pack([Span(4, 0, 2), Span(4, 6, 8), Span(4, 70, 72), Span(3, 0, 1)], 80, 10)
        [Span(fc=3, address=0, end=1), Span(fc=4, address=0, end=8), Span(fc=4, address=70, end=72)]
    """
    wanted = sorted(set(spans))
    for span in wanted:
        if span.end - span.address > max_registers:
            msg = f"{span.end - span.address} registers from {span.address} do not fit one request of {max_registers}"
            raise ValueError(msg)
    return wanted if alone else _fewest(wanted, max_registers, max_gap)


def _fewest(wanted: list[Span], max_registers: int, max_gap: int) -> list[Span]:
    # a request holds a run of the sorted spans: one that skipped a span could hand its later ones to that span's
    best = [_Best(0, 0, 0)] + [_Best(len(wanted) + 1, 0, 0)] * len(wanted)
    for first in range(len(wanted)):
        before = best[first]
        for count, request in enumerate(_requests_from(wanted, first, max_registers, max_gap), start=1):
            cost = _Best(before.requests + 1, before.registers + request.end - request.address, first)
            best[first + count] = min(best[first + count], cost)
    requests = []
    end = len(wanted)
    while end:
        first = best[end].first
        requests.append(Span(wanted[first].fc, wanted[first].address, max(span.end for span in wanted[first:end])))
        end = first
    return requests[::-1]


def _requests_from(wanted: list[Span], first: int, max_registers: int, max_gap: int) -> Iterable[Span]:
    """Yield the requests that begin with one span and hold one, two, three... of the sorted ones."""
    fc, address, end = wanted[first]
    for span in wanted[first:]:
        too_far = span.address - end > max_gap
        end = max(end, span.end)
        if span.fc != fc or too_far or end - address > max_registers:
            return
        yield Span(fc, address, end)
