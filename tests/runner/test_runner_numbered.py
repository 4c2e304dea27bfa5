"""Steps with a `count`: one SUBSCRIBE of many filters, many messages, each with its number."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner_stage import played, scenario

from interop.runner import act
from interop.runner.act import LOT
from interop.scenario.numbered import numbered
from interop.scenario.problems import ScenarioError
from interop.scenario.steps import Publish, Receive, Subscribe, Unsubscribe
from reports.record import Verdict

MANY = """\
    actors:
      sub: {}
      pub: {}
    steps:
      - {do: subscribe, as: sub, topic: "a/{n}", count: %d, qos: 1, granted: 1}
      - {do: publish, as: pub, topic: "a/{n}", count: 12, qos: 1, payload: "number {n}"}
      - {do: receive, as: sub, topic: "a/{n}", count: 12, payload: "%s {n}", qos: 1, within: %s}
      - {do: unsubscribe, as: sub, topic: "a/{n}", count: 12, reasons: [0x00]}
    """


def test_each_of_a_count_has_its_number() -> None:
    step = Publish(do="publish", **{"as": "p"}, topic="t/{n}", payload="{n}{n}", count=3)
    assert [(each.topic, each.payload, each.count) for each in numbered(step)] == [
        ("t/0", "00", 1),
        ("t/1", "11", 1),
        ("t/2", "22", 1),
    ]
    assert [each.topic for each in Subscribe(do="subscribe", **{"as": "s"}, topic="f/{n}", count=2).requests()] == [
        "f/0",
        "f/1",
    ]
    assert Unsubscribe(do="unsubscribe", **{"as": "s"}, topic="f/{n}", count=2).filters() == ("f/0", "f/1")


def test_without_a_count_braces_are_what_they_are() -> None:
    step = Publish(do="publish", **{"as": "p"}, topic="t/{n}")
    assert list(numbered(step)) == [step]


@pytest.mark.parametrize("mqtt", ["3.1", "5.0"])
def test_all_are_subscribed_sent_received_and_unsubscribed(tmp_path: Path, mqtt: str) -> None:
    record = played(scenario(tmp_path, MANY % (12, "number", 3)), mqtt)
    assert (record.verdict, record.reason) == (Verdict.PASS, "")
    kinds = [entry.packet for entry in record.trace]
    assert (kinds.count("SUBSCRIBE"), kinds.count("UNSUBSCRIBE")) == (1, 1)


@pytest.mark.parametrize(
    ("subscribed", "payload", "reason"),
    [(11, "number", "'a/11'"), (12, "other", "other 0")],
)
def test_one_that_does_not_come_or_is_another_fails(tmp_path: Path, subscribed: int, payload: str, reason: str) -> None:
    record = played(scenario(tmp_path, MANY % (subscribed, payload, 0.3)))
    assert record.verdict is Verdict.FAIL
    assert reason in record.reason


@pytest.mark.parametrize("fields", [{"topic": "t"}, {"topic": "t/{n}", "times": 2}])
def test_a_receive_of_many_needs_a_topic_for_each(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="count"):
        Receive(do="receive", **{"as": "s"}, count=3, **fields)


SEVERAL_LOTS = """\
    actors:
      sub: {}
      pub: {}
    steps:
      - {do: subscribe, as: sub, topic: "a/+", qos: 1}
      - {do: publish, as: pub, topic: "a/{n}", count: 990, qos: 1, payload: "number {n}", in_step_with: sub}
      - {do: receive, as: sub, topic: "a/{n}", count: 990, qos: 1, payload: "number {n}"}
    """


def test_very_many_are_sent_by_lots_each_once_the_one_before_is_answered_and_has_come(tmp_path: Path) -> None:
    record = played(scenario(tmp_path, SEVERAL_LOTS))
    assert (record.verdict, record.reason) == (Verdict.PASS, "")
    sent = answered = came = most_open = most_ahead = 0
    for entry in record.trace:
        sent += (entry.link, entry.packet) == ("pub", "PUBLISH")
        answered += (entry.link, entry.packet) == ("pub", "PUBACK")
        came += (entry.link, entry.packet) == ("sub", "PUBLISH")
        most_open, most_ahead = max(most_open, sent - answered), max(most_ahead, sent - came)
    assert sent == came == 990
    assert max(most_open, most_ahead) <= LOT


def test_who_gets_no_message_is_not_kept_in_step_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(act, "ANSWER_SECONDS", 0.1)
    record = played(scenario(tmp_path, SEVERAL_LOTS.replace("a/+", "b")))
    assert record.verdict is Verdict.FAIL
    assert "sub to keep up within 0.1 s, but 500 messages did not come" in record.reason


@pytest.mark.parametrize("fields", [{}, {"count": 2, "outcome": "pending"}])
def test_only_a_count_that_is_waited_for_is_kept_in_step(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="in_step_with"):
        Publish(do="publish", **{"as": "p"}, topic="t/{n}", in_step_with="s", **fields)


def test_a_count_has_its_bounds(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError):
        scenario(tmp_path, MANY % (65_537, "number", 3))


def test_codes_that_repeat_are_told_by_their_number(tmp_path: Path) -> None:
    steps = """\
        actors: {sub: {}}
        steps:
          - {do: subscribe, as: sub, topic: "a/{n}", count: 6, qos: 1, granted: [1, 1, 1, 1, 0x80, 0x80]}
        """
    record = played(scenario(tmp_path, steps))
    assert record.reason == "expected SUBACK to grant 4 x 0x01, 0x80, 0x80, but it says 6 x 0x01"
