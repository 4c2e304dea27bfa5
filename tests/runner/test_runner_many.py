"""A cell may have tens of thousands of messages: what the runner does for each does not grow with them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from runner_stage import played, scenario

from interop.drivers.contract import MessageEvent
from interop.runner import matching
from interop.runner.player import Inbox, Received
from reports.record import Verdict


def message(number: int, topic: str, payload: str = "") -> Received:
    event = MessageEvent(message=number, topic=topic, payload=payload.encode())
    return Received(float(number), event)


# --- the inbox --------------------------------------------------------------------------------------------------------


def test_messages_wait_by_topic_the_oldest_first() -> None:
    inbox = Inbox()
    first, second, third = message(1, "a", "x"), message(2, "b"), message(3, "a", "y")
    for each in (first, second, third):
        inbox.add(each, manual_ack=False)
    assert inbox.oldest("c") is None
    assert (inbox.oldest("a"), inbox.oldest("b"), inbox.oldest()) == (first, second, first)
    assert inbox.take("a") is first
    assert (inbox.oldest("a"), inbox.oldest()) == (third, second)
    assert (inbox.take("b"), inbox.take("a")) == (second, third)
    assert inbox.oldest() is None


def test_what_a_step_took_is_still_to_be_acknowledged_by_hand() -> None:
    inbox = Inbox()
    inbox.add(message(1, "t"), manual_ack=True)
    assert inbox.unacknowledged == [inbox.take("t")]


@pytest.mark.parametrize("topic", ["t", "t/%d"], ids=["one-topic", "many-topics"])
def test_taking_one_of_many_messages_takes_no_longer_than_one_of_few(topic: str) -> None:
    def seconds(count: int) -> float:
        """CPU time."""
        topics = [topic % number if "%" in topic else topic for number in range(count)]
        messages = [message(number, each) for number, each in enumerate(topics)]
        spent = []
        for _ in range(3):
            inbox = Inbox()
            for each in messages:
                inbox.add(each, manual_ack=False)
            began = time.process_time()
            for each in topics:
                assert inbox.oldest(each) is not None
                inbox.take(each)
            spent.append(time.process_time() - began)
        return min(spent)

    assert seconds(20_000) < 200 * seconds(1000)  # 20 for what is linear, 400 for what is not


# --- steps ------------------------------------------------------------------------------------------------------------


def test_who_waits_for_a_packet_looks_at_each_that_passes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    fits = matching.fits

    def counting(*arguments: object) -> bool:
        nonlocal looks
        looks += 1
        return fits(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(matching, "fits", counting)
    text = """\
        actors: {pub: {}}
        steps:
          - {do: publish, as: pub, topic: "t/{n}", count: 200, qos: 1, payload: "{n}", outcome: pending}
          - {do: wire, link: pub, from: client, contains: [{packet: PUBLISH, payload: "199"}]}
        """
    record = played(scenario(tmp_path, text))
    assert record.verdict is Verdict.PASS, record.reason
    assert looks <= len(record.trace)


def test_pending_publishes_are_completed_the_oldest_first(tmp_path: Path) -> None:
    text = """\
        actors: {pub: {}}
        steps:
          - {do: publish, as: pub, topic: "t/{n}", count: 20, qos: 1, payload: same, outcome: pending}
          - {do: completed, as: pub, times: 20, reason: 0x10}
          - {do: completed, as: pub, within: 0.1}
        """
    record = played(scenario(tmp_path, text))
    assert [step.status for step in record.steps] == ["passed", "passed", "failed"]
    assert "pub has none" in record.reason
