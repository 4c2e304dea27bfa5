"""The contract: lines by hand, what is refused, and that what is published is what is checked."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from interop.drivers import contract, driver, process
from interop.drivers.adapter import read_command
from interop.drivers.contract import ANSWERS, COMMAND, EVENT
from interop.drivers.schema import SCHEMA_FILE, schema_text
from interop.runner import engine, player
from interop.scenario import steps
from reference_broker.wire.properties import PROPERTY_BY_NAME

COMMANDS = [
    ('{"id": 1, "do": "hello"}', contract.Hello(id=1)),
    (
        '{"id": 2, "do": "connect", "mqtt": "3.1.1", "port": 1883, "password": "AP8="}',
        contract.Connect(id=2, mqtt="3.1.1", port=1883, password=b"\x00\xff"),
    ),
    (
        '{"id": 3, "do": "subscribe", "subscriptions": [{"topic_filter": "a/#", "qos": 2, "no_local": true}]}',
        contract.Subscribe(
            id=3, subscriptions=(contract.SubscriptionRequest(topic_filter="a/#", qos=2, no_local=True),)
        ),
    ),
    (
        '{"id": 4, "do": "publish", "topic": "t", "payload": "aGk=", "qos": 1,'
        ' "properties": {"user_property": [["k", "v"], ["k", "w"]], "correlation_data": "AQ=="}}',
        contract.Publish(
            id=4,
            topic="t",
            payload=b"hi",
            qos=1,
            properties=contract.PropertyValues(user_property=(("k", "v"), ("k", "w")), correlation_data=b"\x01"),
        ),
    ),
    ('{"id": 5, "do": "ack", "message": 3, "reason": 135}', contract.Ack(id=5, message=3, reason=135)),
    ('{"id": 6, "do": "drop"}', contract.Drop(id=6)),
]

EVENTS = [
    (
        '{"id": 1, "event": "hello", "contract": 1, "client": "x", "version": "2", "mqtt": ["3.1", "5.0"]}',
        contract.HelloEvent(id=1, client="x", version="2", mqtt=("3.1", "5.0")),
    ),
    (
        '{"id": 2, "event": "connected", "session_present": true}',
        contract.Connected(id=2, session_present=True),
    ),
    (
        '{"event": "message", "message": 1, "topic": "t", "payload": "", "qos": null}',
        contract.MessageEvent(message=1, topic="t"),
    ),
    (
        '{"event": "disconnected", "by": "broker", "reason": 139}',
        contract.Disconnected(by="broker", reason=139),
    ),
    (
        '{"id": 7, "event": "error", "error": "cut-off"}',
        contract.ErrorEvent(id=7, error="cut-off"),
    ),
]

BAD_COMMANDS = [
    '{"do": "hello"}',
    '{"id": 1, "do": "subscribe", "subscriptions": []}',
    '{"id": 1, "do": "publish", "topic": "t", "qos": 3}',
    '{"id": 1, "do": "publish", "topic": "t", "payload": "not base64!"}',
    '{"id": 1, "do": "publish", "topic": "t", "scenario": "qos2/resume"}',
    '{"id": 1, "do": "connect", "mqtt": "3.10", "port": 1}',
    '{"id": 1, "do": "misbehave"}',
]

BAD_EVENTS = [
    "ready",
    "[]",
    '{"id": 1}',
    '{"id": 1, "event": "exploded"}',
    '{"id": 1, "event": "error", "error": "tired"}',
    '{"event": "message", "payload": ""}',
    '{"event": "disconnected", "by": "weather"}',
    '{"id": 1, "event": "ready", "mood": "good"}',
]


@pytest.mark.parametrize(("line", "command"), COMMANDS)
def test_a_command_reads_as_written_by_hand(line: str, command: contract.Command) -> None:
    assert COMMAND.validate_json(line) == command
    assert COMMAND.validate_json(command.model_dump_json(exclude_none=True)) == command


@pytest.mark.parametrize(("line", "event"), EVENTS)
def test_an_event_reads_as_written_by_hand(line: str, event: contract.Event) -> None:
    assert EVENT.validate_json(line) == event
    assert EVENT.validate_json(event.model_dump_json(exclude_none=True)) == event


@pytest.mark.parametrize("line", BAD_COMMANDS)
def test_a_line_that_is_no_command_is_refused(line: str) -> None:
    with pytest.raises(ValidationError):
        COMMAND.validate_json(line)


@pytest.mark.parametrize("line", BAD_EVENTS)
def test_a_line_that_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ValidationError):
        EVENT.validate_json(line)


def test_an_adapter_of_ours_answers_a_verb_it_does_not_know_with_unsupported() -> None:
    answer = read_command(b'{"id": 9, "do": "misbehave", "how": "badly"}')
    assert isinstance(answer, contract.ErrorEvent)
    assert (answer.id, answer.error) == (9, "unsupported")


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b'{"id": 4, "do": "publish", "topic": "t", "qos": 3}', 4),
        (b'{"id": "four", "do": "publish", "topic": "t"}', None),
        (b"{", None),
        (b"\xff\xfe", None),
        (b"[1, 2]", None),
    ],
)
def test_an_adapter_of_ours_says_what_is_wrong_with_a_line(line: bytes, number: int | None) -> None:
    answer = read_command(line)
    assert isinstance(answer, contract.ErrorEvent)
    assert (answer.id, answer.error) == (number, "failed")
    assert answer.detail


def test_the_limits_it_tells_adapters_are_those_that_hold() -> None:
    text = " ".join((contract.__doc__ or "").split())
    for told in (
        f"A line is at most {process.LINE_LIMIT_BYTES >> 20} MiB long",
        f"`hello` comes within {driver.START_SECONDS:g} s of the start, the answer to a made-up verb within "
        f"{driver.START_SECONDS:g} s more",
        f"`reset` takes at most {driver.RESET_SECONDS:g} s",
        f"`exit` {process.GOODBYE_SECONDS:g} s, and then the end of the process {process.GOODBYE_SECONDS:g} s",
        f"Every other command is given {player.ANSWER_SECONDS:g} s",
        f"a `hello` within {player.ALIVE_SECONDS:g} s then has hung",
        f"Up to {engine.CELLS_AT_WORK + engine.cells_under_way(0.0)} run at once",
        f"{engine.CELLS_AT_WORK + engine.FAR_CELLS_UNDER_WAY} where the broker is far away",
        f"Scenarios wait {steps.WINDOW_SECONDS:g} s for it",
    ):
        assert told in text


def test_every_verb_has_its_answer() -> None:
    commands = get_args(get_args(contract.AnyCommand)[0])
    assert {command.model_fields["do"].default for command in commands} == set(ANSWERS)


def test_properties_go_by_the_names_of_the_wire() -> None:
    assert set(contract.PropertyValues.model_fields) == set(PROPERTY_BY_NAME)


def test_the_published_schema_is_current() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run python -m interop.drivers.schema"


def test_the_published_schema_refers_only_to_what_it_defines() -> None:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    references = list(_references(schema))
    assert references
    assert {reference.removeprefix("#/$defs/") for reference in references} <= set(schema["$defs"])


def _references(part: Any) -> Any:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)
