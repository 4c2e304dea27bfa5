"""What a report's page saves as a capture, read back: the judge finds in it what it found in the trace."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import judge_stories_acknowledging
import judge_stories_connection
import judge_stories_contents
import judge_stories_forwarding
import judge_stories_keep_alive
import judge_stories_limits
import judge_stories_resending
import judge_stories_sessions
import judge_stories_wills
import pytest
from judge_story import BREAKING, KEEPING, Story

from interop.capture.connections import Gathered, gathered
from interop.capture.judging import is_of_our_tap, judge_together, why_not_together
from interop.capture.segments import Capture
from interop.capture.streams import conversations
from interop.judge import Finding
from interop.judge.form import BINARY
from interop.monitor.recorder import Limits
from interop.runner.tracing import trace_records
from reports.record import Record, Verdict

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="a page's scripts need a browser, or Node.js")

STORIES = (
    judge_stories_acknowledging,
    judge_stories_connection,
    judge_stories_forwarding,
    judge_stories_contents,
    judge_stories_wills,
    judge_stories_keep_alive,
    judge_stories_limits,
    judge_stories_resending,
    judge_stories_sessions,
)
STATIC = Path(__file__).parents[2] / "reports" / "static"


def record_of(story: Story, number: int) -> Record:
    return Record(
        scenario=f"story/{number}",
        title="",
        area="story",
        client="client",
        broker="broker",
        mqtt=story.version.label,  # type: ignore[arg-type]  # one of the three
        transport="tcp",
        verdict=Verdict.PASS,
        seconds=story.now,
        started_at="2026-01-01T00:00:00.000+00:00",
        trace=trace_records(story.trace),
    )


@pytest.fixture(scope="module")
def told() -> list[tuple[str, Story]]:
    """A third of the stories, each in one of its versions; a recording has no WebSocket frames."""
    stories = []
    mqtt_alone = [each for each in (*BREAKING, *KEEPING) if each.rule != BINARY.name]
    for place, each in enumerate(mqtt_alone[::3]):
        story = Story(each.versions[place % len(each.versions)])
        each.tell(story)
        stories.append((f"{each.rule}-{each.name}-{story.version.label}", story))
    return stories


@pytest.fixture(scope="module")
def read_back(told: list[tuple[str, Story]], tmp_path_factory: pytest.TempPathFactory) -> list[Gathered]:
    folder = tmp_path_factory.mktemp("recordings")
    records = folder / "records.jsonl"
    records.write_text(
        "".join(f"{record_of(story, number).model_dump_json()}\n" for number, (_, story) in enumerate(told)), "utf-8"
    )
    script = Path(__file__).with_name("pcapng_of_page.js")
    subprocess.run(["node", str(script), str(STATIC), str(records), str(folder)], check=True, timeout=60)
    return [_gathered(folder / f"{number}.pcapng") for number in range(len(told))]


def _gathered(file: Path) -> Gathered:
    capture = Capture(file)
    found = conversations(capture.segments(), limit_bytes=1 << 24)
    assert capture.problem == ""
    return gathered(found, None, Limits(), capture.until)


def _essence(findings: list[Finding]) -> set[tuple[str, str, tuple[str, ...], str]]:
    return {(each.rule, each.blame.value, each.cites, each.level.value) for each in findings}


def _found(one: Gathered) -> list[Finding]:
    return [finding for _, findings in judge_together(one) for finding in findings]


def _is_seen_whole(one: Gathered) -> bool:
    return not why_not_together(one) and not one.passed_over and all(each.recorder.why_not is None for each in one.told)


def test_the_stories_are_there() -> None:
    assert all(module.__name__ in {each.tell.__module__ for each in (*BREAKING, *KEEPING)} for module in STORIES)


def test_a_recording_read_back_is_told_from_one_of_the_field(read_back: list[Gathered]) -> None:
    assert all(is_of_our_tap(each) for each in read_back if each.told)


def test_of_what_is_all_there_the_same_is_found(told: list[tuple[str, Story]], read_back: list[Gathered]) -> None:
    whole = [(name, story, one) for (name, story), one in zip(told, read_back, strict=True) if _is_seen_whole(one)]
    assert len(whole) > len(told) * 0.8
    expected = {name: _essence(story.findings()) for name, story, _ in whole}
    found = {name: _essence(_found(one)) for name, _, one in whole}
    assert {name: each for name, each in found.items() if each != expected[name]} == {}


def test_where_something_is_not_known_nothing_is_found_that_is_not_so(
    told: list[tuple[str, Story]], read_back: list[Gathered]
) -> None:
    for (name, story), one in zip(told, read_back, strict=True):
        if not _is_seen_whole(one):
            assert _essence(_found(one)) <= _essence(story.findings()), name
