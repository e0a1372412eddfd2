"""What a fleet's home says must be what an agent could have said: valid, plausible, and in one piece."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hearth_core.messages import Readings, decode, encode
from hearth_core.points import POINTS, PointClass
from hearth_sim.fleet.story import MESSAGE_BYTES, MESSAGE_READINGS, Story
from hearth_sim.fleet.values import SERIES, Variant, make_variants
from hearth_sim.fleet.window import Cut

EPOCH = "0123456789abcdef"
EVENING_MS = 1_790_000_000_000 // 86_400_000 * 86_400_000 - 3_600_000  # an hour before a midnight UTC


@pytest.fixture(scope="module")
def variant() -> Variant:
    return Variant(1, 0, 20, 10_000)


@pytest.fixture
def story(variant: Variant) -> Story:
    return Story(EPOCH, variant, EVENING_MS + 137, 10_000, 20)


def of_one_point(messages: list[Readings], name: str) -> list[float]:
    values = [value for message in messages for value in message.batches[0].points[name]]
    return [value for value in values if value is not None]


def whole(story: Story, last: int) -> list[Readings]:
    """Everything up to a record, as merged messages."""
    messages, first = [], 1
    while first <= last:
        cut = story.fitting(Cut(first, last))
        messages.append(decode(story.message(cut), Readings))
        first = cut.last + 1
    return messages


def test_a_message_is_byte_for_byte_what_an_agent_would_encode(story: Story) -> None:
    for cut in (Cut(7, 7), Cut(3, 40)):
        payload = story.message(cut)
        assert payload == encode(decode(payload, Readings))


def test_a_live_reading_is_one_row_with_its_running_count(story: Story) -> None:
    readings = decode(story.message(Cut(7, 7)), Readings)
    (batch,) = readings.batches
    assert (readings.epoch, readings.seq, readings.through) == (EPOCH, 7, None)
    assert (batch.at_ms, batch.produced) == ([EVENING_MS + 137 + 60_000], 7)
    assert set(batch.points) == set(SERIES[:20])


def test_merged_messages_keep_the_limits_and_leave_no_record_out(story: Story) -> None:
    messages = whole(story, 2000)
    following = 1
    for message in messages:
        (batch,) = message.batches
        assert message.seq == following
        assert len(encode(message)) <= MESSAGE_BYTES
        assert len(batch.at_ms) == message.last_seq - message.seq + 1 <= MESSAGE_READINGS
        assert batch.produced == message.last_seq
        following = message.last_seq + 1
    assert following == 2001
    assert len(messages) <= 7, "backlog travels in few large messages"
    instants = [at for message in messages for at in message.batches[0].at_ms]
    assert instants == [EVENING_MS + 137 + 10_000 * number for number in range(2000)]


def test_counters_grow_over_midnight_and_every_value_is_plausible(story: Story) -> None:
    messages = whole(story, 2000)
    for name in SERIES[:20]:
        values, point = of_one_point(messages, name), POINTS[name]
        assert len(values) == 2000
        assert all(point.low <= value <= point.high for value in values)
        assert all(value == round(value, 3) for value in values)
        if point.point_class is PointClass.COUNTER:
            assert all(before <= after for before, after in pairwise(values))
    assert len(set(of_one_point(messages, "voltage_l1_v"))) > 20
    assert len(set(of_one_point(messages, "import_energy_wh"))) > 20


def test_a_row_is_the_same_alone_and_merged(story: Story) -> None:
    merged = decode(story.message(Cut(11, 20)), Readings).batches[0]
    alone = [decode(story.message(Cut(seq, seq)), Readings).batches[0] for seq in range(11, 21)]
    assert merged.at_ms == [one.at_ms[0] for one in alone]
    for name, values in merged.points.items():
        assert values == [one.points[name][0] for one in alone]


def test_a_midday_has_sun_and_a_midnight_has_none(variant: Variant) -> None:
    midnight_ms = EVENING_MS + 3_600_000
    story = Story(EPOCH, variant, midnight_ms, 10_000, 20)

    def pv_power_w(seq: int) -> float | None:
        return decode(story.message(Cut(seq, seq)), Readings).batches[0].points["pv_power_w"][0]

    assert pv_power_w(1) == 0
    assert (pv_power_w(12 * 360) or 0) > 300


def test_the_vocabulary_is_used_up_by_27_series_and_few_are_counters() -> None:
    assert set(SERIES) == set(POINTS)
    counters = [name for name in SERIES[:20] if POINTS[name].point_class is PointClass.COUNTER]
    assert 2 <= len(counters) <= 4
    story = Story(EPOCH, make_variants(1, 3, 27, 1000)[0], EVENING_MS, 1000, 27)
    cut = story.fitting(Cut(1, 9000))
    payload = story.message(cut)
    assert len(payload) <= MESSAGE_BYTES
    assert len(decode(payload, Readings).batches[0].points) == 27


def test_the_seed_decides_and_variants_differ() -> None:
    at_ms = EVENING_MS
    one, again, other = Variant(5, 0, 4, 10_000), Variant(5, 0, 4, 10_000), Variant(5, 1, 4, 10_000)
    assert one.points(at_ms, 50) == again.points(at_ms, 50) != other.points(at_ms, 50)
