"""What the broker makes of much: the figures are of this machine, but what is looked up and how it is told is not."""

from __future__ import annotations

import json

from interop.bench.document import Machine
from interop.bench.growth import Growth, GrowthRun, Size, line, look_ups, page, to_json

MACHINE = Machine("Linux", "a processor", 2, "3.11", "")
RUN = GrowthRun(
    "2026-01-02T03:04:05+00:00",
    MACHINE,
    (Growth("held", "3 µs", "microseconds"), Growth("slowed", "9%", "at least 80%", reached=False)),
)


def test_look_ups_find_what_the_filter_matches_and_tell_how_many() -> None:
    told = [one.what for one in look_ups(Size(subscriptions=2_000, retained=2_000))]
    assert "matching a topic never seen before against 2,000 subscriptions" in told
    assert "finding the 2 of 2,000 retained messages that match site/7/#" in told
    assert "finding the 2,000 of 2,000 retained messages that match #" in told


def test_a_missed_aim_is_told_in_the_line_and_bold_on_the_page() -> None:
    assert [line(one) for one in RUN.results] == ["held: 3 µs (microseconds)", "slowed: 9% (at least 80%: MISSED)"]
    assert "| held | 3 µs | microseconds |" in page(RUN)
    assert "| slowed | **9%** | at least 80% |" in page(RUN)


def test_the_json_has_machine_and_results() -> None:
    told = json.loads(to_json(RUN))
    assert told["machine"]["processor"] == "a processor"
    assert [one["reached"] for one in told["results"]] == [True, False]
