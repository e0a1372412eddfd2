"""Reading many registers with few requests: neighbours are merged, small gaps are read along."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """Registers that must come from the same answer: ``address`` up to, not including, ``end``."""

    fc: int
    address: int
    end: int


def pack(spans: Iterable[Span], max_registers: int, max_gap: int) -> list[Span]:
    """Merge spans into as few requests as a left-to-right sweep finds.

    Args:
        spans: What has to be read, in any order, overlapping or not.
        max_registers: The longest request the device answers.
        max_gap: How many unwanted registers may lie between two wanted ones.

    Returns:
        Requests in order of function code and address; a span is never split over two.

    Raises:
        ValueError: A span alone is longer than a request may be.

    Example:
        >>> pack([Span(4, 0, 2), Span(4, 6, 8), Span(4, 70, 72), Span(3, 0, 1)], 80, 10)
        [Span(fc=3, address=0, end=1), Span(fc=4, address=0, end=8), Span(fc=4, address=70, end=72)]
    """
    requests: list[Span] = []
    for span in sorted(set(spans)):
        if span.end - span.address > max_registers:
            msg = f"{span.end - span.address} registers from {span.address} do not fit one request of {max_registers}"
            raise ValueError(msg)
        if requests:
            last = requests[-1]
            end = max(last.end, span.end)
            near = span.address - last.end <= max_gap
            if last.fc == span.fc and near and end - last.address <= max_registers:
                requests[-1] = Span(last.fc, last.address, end)
                continue
        requests.append(span)
    return requests
