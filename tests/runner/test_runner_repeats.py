"""A client that tells its application a message again is not taken for a broker that sent it again, and the reverse."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from runner_stage import play_at, played, scenario

from interop.drivers.contract import MessageEvent, PropertyValues
from interop.mutants.registry import MUTANTS
from interop.mutants.wrong_ends import WrongBrokerSpec
from interop.runner.cell import Cell
from interop.runner.known_failures import Entry, KnownFailures

REPEATED = """
actors: {{sub: {{session: kept}}, pub: {{}}}}
steps:
  - {{do: subscribe, as: sub, topic: t, qos: {qos}}}
  - {{do: cut, link: sub, at: {acknowledgement}, from: client, packet: lost}}
  - {{do: publish, as: pub, topic: t, qos: {qos}, payload: once}}
  - {{do: receive, as: sub, topic: t, payload: once}}
  - {{do: connect, as: sub}}
  - {step}
"""
"""The broker sends it again, because it never saw an acknowledgement; gmqtt tells its application each time."""

STEPS = {
    "nothing": "{do: nothing, as: sub, seconds: 0.2}",
    "another message": "{do: receive, as: sub, topic: t, payload: other}",
    "the end": "{do: wire, link: sub, contains: [{packet: PUBLISH, from: broker, dup: true}]}",
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize(("judged", "verdict"), [("broker", "setup-failed"), ("client", "fail")])
def test_a_repeat_of_qos_2_that_an_application_is_told_is_its_clients(
    tmp_path: Path, step: str, judged: str, verdict: str
) -> None:
    document = f"judges: {judged}\n" + REPEATED.format(qos=2, acknowledgement="PUBREC", step=step)
    record = played(scenario(tmp_path, document), client="gmqtt")
    assert record.verdict == verdict
    assert record.blame == ("client" if judged == "client" else "unknown")


@pytest.mark.parametrize(
    ("step", "rule"), [("nothing", "nothing"), ("another message", "receive"), ("the end", "unexpected-message")]
)
def test_a_set_up_that_fails_by_what_is_known_of_its_client_is_known_and_by_nothing_else(
    tmp_path: Path, step: str, rule: str
) -> None:
    document = "judges: broker\n" + REPEATED.format(qos=2, acknowledgement="PUBREC", step=STEPS[step])
    loaded = scenario(tmp_path, document)
    entry = {"client": "gmqtt", "scenarios": ("*",), "reason": "tells it again"}
    explained = []
    for rules in ((rule,), ("connect",)):
        known = KnownFailures((Entry.model_validate(entry | {"rules": rules}),))
        record = played(loaded, known=known, client="gmqtt")
        assert record.verdict == "setup-failed"
        explained.append(record.known_failure is not None)
    assert explained == [True, False]


def test_a_fault_that_a_client_never_gave_occasion_to_may_be_known_of_it(tmp_path: Path) -> None:
    document = """
judges: broker
actors: {sub: {}}
steps:
  - {do: subscribe, as: sub, topic: t}
  - {do: cut, link: sub, at: PUBACK, from: client}
  - {do: connect, as: sub}
"""
    entry = Entry.model_validate({"scenarios": ("*",), "rules": ("connect",), "reason": "acknowledges nothing"})
    record = played(scenario(tmp_path, document), known=KnownFailures((entry,)))
    assert record.verdict == "setup-failed"
    assert record.known_failure is not None


def test_a_repeat_of_qos_1_is_told_by_right(tmp_path: Path) -> None:
    step = "{do: receive, as: sub, topic: t, payload: once}"
    document = "judges: broker\n" + REPEATED.format(qos=1, acknowledgement="PUBACK", step=step)
    assert played(scenario(tmp_path, document), client="gmqtt").verdict == "pass"


def test_a_broker_does_not_answer_for_properties_that_a_client_tells_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = MessageEvent.model_construct
    monkeypatch.setattr(
        "interop.drivers.adapter.MessageEvent", lambda **fields: told(**fields | {"properties": PropertyValues()})
    )
    document = """
    judges: broker
    actors: {client: {}}
    steps:
      - {do: subscribe, as: client, topic: t}
      - {do: publish, as: client, topic: t, payload: x, properties: {content_type: text}}
      - {do: receive, as: client, topic: t, payload: x, properties: {content_type: text}}
    """
    assert played(scenario(tmp_path, document)).verdict == "setup-failed"


_IN_ORDER, _OUT_OF_ORDER = "[[b, '1'], [a, '2'], [b, '3']]", "[[b, '1'], [b, '3'], [a, '2']]"


@pytest.mark.parametrize(("sent", "verdict"), [(_OUT_OF_ORDER, "setup-failed"), (_IN_ORDER, "fail")])
@pytest.mark.parametrize("kind", ["publish", "will"])
def test_a_broker_does_not_answer_for_properties_that_no_client_sent(
    tmp_path: Path, kind: str, sent: str, verdict: str
) -> None:
    message = f"topic: t, payload: x, properties: {{user_property: {sent}}}"
    document = f"""
judges: broker
actors: {{sub: {{}}, pub: {{{f"will: {{{message}}}" if kind == "will" else ""}}}}}
steps:
  - {{do: subscribe, as: sub, topic: t}}
  - {{{f"do: publish, as: pub, {message}" if kind == "publish" else "do: connect, as: pub"}}}
  - {{{"do: cut, link: pub" if kind == "will" else "do: connect, as: pub"}}}
  - do: receive
    as: sub
    topic: t
    payload: x
    properties: {{user_property: {_IN_ORDER}}}
    without: [{"user_property" if sent == _IN_ORDER else "topic_alias"}]
"""
    head = 'title: x\nversions: {"5.0": {level: must, cites: [MQTT-3.3.2-18]}}\n'
    assert played(scenario(tmp_path, document, head)).verdict == verdict


RESUMED = """
judges: client
actors: {pub: {session: kept}, sub: {}}
steps:
  - {do: subscribe, as: sub, topic: t, qos: 2}
  - {do: connect, as: pub}
  - {do: cut, link: pub, at: PUBREC, from: broker, packet: lost}
  - {do: publish, as: pub, topic: t, qos: 2, payload: once, outcome: pending}
  - {do: connect, as: pub}
  - {do: receive, as: sub, topic: t, payload: once}
"""


@pytest.mark.parametrize("last_step", ["", "  - {do: nothing, as: sub, seconds: 0.3}\n"], ids=["the end", "nothing"])
def test_a_client_does_not_answer_for_a_broker_that_passes_its_repeat_of_qos_2_on(
    tmp_path: Path, last_step: str
) -> None:
    """[5.0 MQTT-4.3.3-10] Until PUBREL it is the same message."""
    loaded = scenario(tmp_path, RESUMED + last_step)
    assert played(loaded).verdict == "pass"
    wrong = WrongBrokerSpec(MUTANTS["delivers repeated QoS 2 messages"])
    record = asyncio.run(play_at(Cell(loaded, "builtin", "reference", "5.0", "tcp"), wrong))
    assert (record.verdict, record.blame) == ("fail", "broker")
    assert [(each.blame, each.rule) for each in record.findings] == [("broker", "qos2-not-forwarded-twice")]


def test_a_client_answers_for_a_message_of_qos_2_that_it_sends_as_a_new_one(tmp_path: Path) -> None:
    again = "  - {do: publish, as: pub, topic: t, qos: 2, payload: once}\n"
    record = played(scenario(tmp_path, RESUMED + again))
    assert (record.verdict, record.blame) == ("fail", "client")
