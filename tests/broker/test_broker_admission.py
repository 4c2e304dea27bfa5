"""What may be published is decided in one room, whichever way a message takes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from broker_harness import ALL_VERSIONS, V5, Client, World, will
from broker_twins import stream
from hypothesis import given
from hypothesis import strategies as st

import reference_broker.broker
from reference_broker.broker import AccessRule, Action, BrokerConfig
from reference_broker.broker.values.access import AccessControl, Claim
from reference_broker.broker.values.admission import Admission, Refusal
from reference_broker.wire.packets import ConnAck, PubAck, PubRec
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, ReasonCode

ROOM = "values/admission.py"
CLOSED = Refusal(ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, "closed today")


@pytest.fixture
def _one_limit_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that no other room has heard of: the topic `closed`."""
    real = Admission.topic_refusal
    monkeypatch.setattr(
        Admission,
        "topic_refusal",
        lambda self, subject, topic: CLOSED if topic == "closed" else real(self, subject, topic),
    )


@pytest.mark.usefixtures("_one_limit_more")
@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_new_limit_holds_for_single_messages(version, retain, qos):
    world = World()
    subscriber, publisher = world.client("s"), world.client("p", version)
    subscriber.subscribe("#", qos=2)
    for topic in ("closed", "open", "closed"):
        answer = publisher.publish(topic, b"x", qos, retain=retain)
        assert answer is None or answer.reason == (CLOSED.reason if version is V5 and topic == "closed" else 0)
    assert [message.topic for message in subscriber.messages()] == ["open"]
    assert [message.topic for message in world.broker.house.retained] == ["open"] * retain


@pytest.mark.usefixtures("_one_limit_more")
@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_new_limit_holds_for_streams(version, qos):
    world = World(maximum_inflight=1000)
    subscriber, publisher = world.client("s"), world.client("p", version)
    subscriber.subscribe("#", qos=2)
    publisher.send_bytes(stream(qos, 100, version, topic="closed"))
    answers = [packet for packet in publisher.take() if isinstance(packet, PubAck | PubRec)]
    assert [answer.reason for answer in answers] == [CLOSED.reason if version is V5 else 0] * (100 if qos else 0)
    assert subscriber.take() == []


@pytest.mark.usefixtures("_one_limit_more")
@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_new_limit_holds_for_wills(version):
    world = World()
    client = Client(world, "c", version)
    client.open()
    client.send(client.connect_packet(will=will("closed")))
    assert [packet.reason for packet in client.take() if isinstance(packet, ConnAck)] == [CLOSED.reason] * (
        version is V5
    )
    assert client.closed
    assert any(CLOSED.text in line for line in world.log)


SETTINGS = st.fixed_dictionaries(
    {
        "maximum_qos": st.integers(0, 2),
        "retain_available": st.booleans(),
        "maximum_topic_levels": st.integers(1, 3),
        "validate_payload_format": st.booleans(),
        "dollar_topics_between_clients": st.booleans(),
        "access_rules": st.sampled_from([(), (AccessRule("a/#", username="u"),), (AccessRule("a", Action.PUBLISH),)]),
    }
)


@given(
    settings=SETTINGS,
    username=st.sampled_from([None, "u", "v"]),
    topic=st.sampled_from(["a", "a/b", "a/b/c", "$x", "b"]),
    indicator=st.sampled_from([None, 0, 1]),
    payload=st.sampled_from([b"", b"text", b"\xff"]),
    version=st.sampled_from(ALL_VERSIONS),
    qos=st.sampled_from(list(QoS)),
)
def test_what_is_free_is_refused_for_no_payload(settings, username, topic, indicator, payload, version, qos):
    """So the fast path need not ask again; and what is free for no QoS is refused for some payload."""
    config = BrokerConfig(**settings)
    admission, claim = Admission(config, AccessControl(config)), Claim(username)
    properties = Properties(payload_format_indicator=indicator)
    highest = admission.highest_free_qos(claim, topic, properties)
    if highest is None:
        assert admission.refusal(claim, topic, b"\xff", properties) is not None
    elif qos <= highest:
        assert admission.announced_refusal(qos, False, version) is None
        assert admission.refusal(claim, topic, payload, properties) is None
    else:
        assert admission.announced_refusal(qos, False, version) is not None


ASKED_BY = {
    "may_publish": {ROOM},
    "maximum_topic_levels": {ROOM},
    "validate_payload_format": {ROOM},
    "maximum_qos": {ROOM, "peers/accepting.py", "peers/subscribing.py"},  # what is announced, and what is granted
    "retain_available": {ROOM, "peers/accepting.py", "keeping/exchange.py", "keeping/retained.py"},
}


@pytest.mark.parametrize("name", ASKED_BY)
def test_nobody_else_decides_what_may_be_published(name):
    package = Path(reference_broker.broker.__file__).parent
    readers = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == name
    }
    assert readers == ASKED_BY[name]
