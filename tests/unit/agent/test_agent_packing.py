"""Packing registers into requests: few requests, never too long, never over a gap a device refuses."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_agent.devices.packing import Span, pack

span_somewhere = st.builds(
    lambda fc, address, length: Span(fc, address, address + length),
    st.sampled_from([3, 4]),
    st.integers(0, 400),
    st.integers(1, 10),
)
spans = st.lists(span_somewhere, max_size=30)


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


def test_a_device_that_answers_one_value_at_a_time_is_asked_for_each() -> None:
    assert pack([Span(3, 2, 4), Span(3, 0, 2)], 125, 10, alone=True) == [Span(3, 0, 2), Span(3, 2, 4)]


def test_of_several_ways_the_one_with_the_fewest_registers_is_taken() -> None:
    """Two requests are needed anyway: the wide gap is left out, not read along because it came first."""
    wanted = [Span(3, 0, 10), Span(3, 40, 50), Span(3, 50, 60), Span(3, 60, 70)]
    assert pack(wanted, 60, 30) == [Span(3, 0, 10), Span(3, 40, 70)]


def sweep(wanted: list[Span], most: int, gap: int) -> list[Span]:
    """Group from left to right as Telegraf does: ``none`` with gap 0, else ``max_insert``; ends are shrunk."""
    requests: list[Span] = []
    for span in sorted(set(wanted), key=lambda one: (one.fc, one.address, -one.end)):
        last = requests[-1] if requests else None
        if last is not None and last.fc == span.fc and span.address - last.end <= gap:
            end = max(last.end, span.end)
            if end - last.address <= most:
                requests[-1] = Span(last.fc, last.address, end)
                continue
        requests.append(span)
    return requests


def fewest(wanted: list[Span], most: int, gap: int) -> tuple[int, int]:
    """Try every way to cut the sorted spans: the fewest requests, and the fewest registers with so many."""
    ordered = sorted(set(wanted))
    best = (len(ordered) + 1, 0)
    for cuts in range(1 << max(0, len(ordered) - 1)):
        runs = [[ordered[0]]]
        for i, span in enumerate(ordered[1:]):
            if cuts >> i & 1:
                runs.append([])
            runs[-1].append(span)
        lengths = [max(s.end for s in run) - run[0].address for run in runs]
        if all(fits(run, most, gap) for run in runs):
            best = min(best, (len(runs), sum(lengths)))
    return best


def fits(run: list[Span], most: int, gap: int) -> bool:
    end = run[0].address
    for span in run:
        if span.address - end > gap:
            return False
        end = max(end, span.end)
    return len({span.fc for span in run}) == 1 and end - run[0].address <= most


def registers(requests: list[Span]) -> int:
    return sum(request.end - request.address for request in requests)


@settings(deadline=None)
@given(spans, st.integers(10, 125), st.integers(0, 40))
def test_a_sweep_from_left_to_right_never_needs_fewer_requests(wanted: list[Span], most: int, gap: int) -> None:
    ours, theirs = pack(wanted, most, gap), sweep(wanted, most, gap)
    assert len(ours) <= len(theirs)
    if len(ours) == len(theirs):
        assert registers(ours) <= registers(theirs)


@settings(deadline=None)
@given(st.lists(span_somewhere, min_size=1, max_size=8), st.integers(10, 60), st.integers(0, 40))
def test_no_other_cut_is_better(wanted: list[Span], most: int, gap: int) -> None:
    """``rearrange`` and ``aggressive`` look for such cuts; here every one is tried."""
    requests = pack(wanted, most, gap)
    assert (len(requests), registers(requests)) == fewest(wanted, most, gap)


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
