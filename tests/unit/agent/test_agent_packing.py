"""Packing registers into requests: few requests, never too long, never over a gap a device refuses."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_agent.devices.packing import Span, pack

spans = st.lists(
    st.builds(
        lambda fc, address, length: Span(fc, address, address + length),
        st.sampled_from([3, 4]),
        st.integers(0, 400),
        st.integers(1, 10),
    ),
    max_size=30,
)


def test_an_sdm630_is_read_with_one_request() -> None:
    """One round trip instead of thirteen."""
    wanted = [Span(4, address, address + 2) for address in (0, 2, 4, 6, 8, 10, 12, 14, 16, 52, 70, 72, 74)]
    assert pack(wanted, 80, 40) == [Span(4, 0, 76)]


def test_a_gap_that_is_too_wide_or_a_request_too_long_splits() -> None:
    assert pack([Span(4, 0, 2), Span(4, 13, 15)], 80, 10) == [Span(4, 0, 2), Span(4, 13, 15)]
    assert pack([Span(4, 0, 60), Span(4, 60, 90)], 80, 10) == [Span(4, 0, 60), Span(4, 60, 90)]


def test_tables_are_never_mixed() -> None:
    assert len(pack([Span(3, 0, 1), Span(4, 1, 2)], 125, 10)) == 2


def test_a_span_longer_than_a_request_is_an_error() -> None:
    with pytest.raises(ValueError, match="do not fit one request"):
        pack([Span(4, 0, 81)], 80, 0)


@settings(deadline=None)
@given(spans, st.integers(10, 125), st.integers(0, 40))
def test_every_span_lies_whole_inside_one_request(wanted: list[Span], most: int, gap: int) -> None:
    requests = pack(wanted, most, gap)
    for span in wanted:
        assert any(r.fc == span.fc and r.address <= span.address and span.end <= r.end for r in requests)
    for request in requests:
        assert request.end - request.address <= most
        covered = {a for s in wanted if s.fc == request.fc for a in range(s.address, s.end)}
        longest = missing = 0
        for address in range(request.address, request.end):
            missing = 0 if address in covered else missing + 1
            longest = max(longest, missing)
        assert longest <= gap
