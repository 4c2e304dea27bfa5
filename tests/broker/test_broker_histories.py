"""The fast path and the slow path give every client the same bytes, whatever random clients do."""

from __future__ import annotations

import random
from dataclasses import fields
from typing import Any

import pytest
from broker_harness import ALL_VERSIONS, V5, Client
from broker_twins import Twins
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_broker.broker import AccessRule, Action, BrokerConfig, ChallengeMethod, DropPolicy
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    Disconnect,
    Packet,
    PingReq,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, RetainHandling, Version

TOPICS = ["a", "a/b", "a/c", "x/y/z", "$s/x", "deny/x", "long/" + "t" * 200]
FILTERS = ["#", "a/+", "a/b", "a", "+/y/#", "$s/#", "x/y/z", "long/#", "$share/g/a/#", "$share/g/x/#"]
PROPERTIES = [
    NO_PROPERTIES,
    NO_PROPERTIES,
    Properties(content_type="c"),
    Properties(user_property=(("k", "v"), ("k", "w"))),
    Properties(user_property=(("k", "v" * 150),)),
    Properties(message_expiry_interval=30),
    Properties(topic_alias=1),
    Properties(payload_format_indicator=1, response_topic="r", correlation_data=b"\x00"),
]


def burst(rng: random.Random, version: Version, ids: list[int]) -> list[Packet]:
    """Some neighbours that are alike, as real publishers send them, now and then with one that is not."""
    packets: list[Packet] = []
    topic, qos = rng.choice(TOPICS), QoS(rng.choice([0, 0, 0, 1, 1, 2, 2]))
    properties = rng.choice(PROPERTIES) if version is V5 else NO_PROPERTIES
    size = rng.choice([0, 1, 20, 20, 127, 130, 300])
    for _ in range(rng.choice([1, 2, 3, 5, 12, 40, 90])):
        if rng.random() < 0.02:
            size = rng.choice([0, 5, 200])
        if rng.random() < 0.02:
            packets.append(PingReq())
        odd = rng.random() < 0.02
        packet_id = None
        if qos:
            ids[0] = ids[0] % 400 + 1
            packet_id = ids[0]
        packets.append(
            Publish(
                "" if properties.topic_alias and packets else rng.choice(TOPICS) if odd else topic,
                rng.randbytes(size) if rng.random() < 0.5 else bytes(size),
                qos,
                rng.random() < 0.02,
                bool(qos) and rng.random() < 0.02,
                packet_id,
                properties,
            )
        )
    return packets


def answers(rng: random.Random, client: Client) -> list[Packet]:
    """What a client sends for what it got: mostly all of it in order, sometimes not all, sometimes an error."""
    packets: list[Packet] = []
    inbox, client.inbox = client.inbox, []
    for packet in inbox:
        if rng.random() < 0.03:
            continue
        reason = 0x80 if client.version is V5 and rng.random() < 0.02 else 0
        wrong = rng.random() < 0.003
        if isinstance(packet, Publish) and packet.qos and wrong:
            packets.append(rng.choice([PubAck, PubRec, PubComp])(packet.packet_id))
        elif isinstance(packet, Publish) and packet.qos == 1:
            packets.append(PubAck(packet.packet_id, reason))
        elif isinstance(packet, Publish) and packet.qos == 2:
            packets.append(PubRec(packet.packet_id, reason))
        elif isinstance(packet, PubRel):
            packets.append(PubComp(packet.packet_id))
        elif isinstance(packet, PubRec) and packet.reason < 0x80:
            packets.append(PubRel(packet.packet_id))
    if packets and rng.random() < 0.1:
        packets.append(rng.choice(packets))
    return packets


def subscription(rng: random.Random, version: Version) -> Packet:
    chosen = rng.sample(FILTERS, rng.choice([1, 1, 2]))
    if rng.random() < 0.3:
        return Unsubscribe(rng.randrange(1, 9), tuple(chosen))
    if version is not V5:
        return Subscribe(3, tuple(Subscription(f, QoS(rng.randrange(3))) for f in chosen))
    identifier = (rng.randrange(1, 300),) if rng.random() < 0.3 else ()
    options = tuple(
        Subscription(
            f,
            QoS(rng.randrange(3)),
            rng.random() < 0.1 and not f.startswith("$share"),
            rng.random() < 0.2,
            RetainHandling(rng.randrange(3)),
        )
        for f in chosen
    )
    return Subscribe(500, options, Properties(subscription_identifier=identifier))


def connect_fields(rng: random.Random, version: Version) -> dict:
    fields: dict = {"clean_start": rng.random() < 0.4, "keep_alive": rng.choice([0, 0, 60])}
    if rng.random() < 0.3:
        fields["username"] = rng.choice(["u", "v"])
    if version is V5:
        fields["session_expiry_interval"] = rng.choice([0, 100, 0xFFFFFFFF])
        for name, values in {
            "receive_maximum": [1, 3, 10],
            "maximum_packet_size": [60, 200],
            "topic_alias_maximum": [2],
        }.items():
            if rng.random() < 0.15:
                fields[name] = rng.choice(values)
    return fields


CONFIGS: list[dict] = [
    {},
    {},
    {"access_rules": (AccessRule("deny/#", username="u"),)},
    {"maximum_inflight": 20, "receive_maximum": 15},
    {"outgoing_maximum_bytes": 3000, "queue_maximum_messages": 30, "backpressure_seconds": 5.0},
    {"maximum_inflight": 7, "queue_maximum_messages": 25, "queue_drop_policy": DropPolicy.OLDEST},
    {"maximum_inflight": 3, "queue_maximum_bytes": 1500},
    {"queue_qos0_offline": True, "no_matching_subscribers_reason": False, "granted_qos_maximum": 1},
    {"maximum_packet_size": 250, "validate_payload_format": True, "maximum_inflight": 5},
]

UNUSUAL: dict[str, Any] = {
    "receive_maximum": 12,
    "maximum_qos": 1,
    "retain_available": False,
    "maximum_packet_size": 200,
    "topic_alias_maximum": 0,
    "wildcard_subscription_available": False,
    "subscription_identifier_available": False,
    "shared_subscription_available": False,
    "server_keep_alive": 30,
    "session_expiry_maximum": 20,
    "response_information": "answers/",
    "connack_user_property": (("a", "1"),),
    "granted_qos_maximum": 1,
    "outgoing_topic_alias_maximum": 0,
    "assigned_client_id_prefix": "made-",
    "allow_empty_client_id": False,
    "enforce_client_id_length_31": True,
    "no_matching_subscribers_reason": False,
    "reason_strings": False,
    "retry_31_seconds": 2.0,
    "validate_payload_format": True,
    "refuse_connect": 0x88,
    "server_reference": "other:1883",
    "users": {"u": "secret"},
    "allow_anonymous": True,
    "access_rules": (AccessRule("a/#", username="u"), AccessRule("x/#", Action.SUBSCRIBE, username="v")),
    "dollar_topics_between_clients": False,
    "authentication_methods": (ChallengeMethod("m", b"?", b"!"),),
    "connect_timeout_seconds": 1.0,
    "maximum_half_open": 1,
    "maximum_connect_size": 64,
    "maximum_connect_size_with_will": 80,
    "maximum_control_size": 64,
    "maximum_properties_size": 100,
    "maximum_filters": 1,
    "maximum_subscriptions": 2,
    "maximum_connections_per_address": 2,
    "maximum_connects_per_second": 1,
    "maximum_failed_logins_per_minute": 1,
    "maximum_packets_per_second": 20,
    "maximum_bytes_per_second": 2000,
    "maximum_topic_length": 4,
    "queues_maximum_bytes": 500,
    "opening_maximum_bytes": 10,
    "incoming_maximum_bytes": 100,
    "maximum_topic_levels": 1,
    "maximum_connections": 2,
    "maximum_inflight": 4,
    "queue_maximum_messages": 5,
    "queue_maximum_bytes": 400,
    "queue_drop_policy": DropPolicy.OLDEST,
    "queue_qos0_offline": True,
    "retained_maximum_messages": 1,
    "retained_maximum_bytes": 1500,
    "subscriptions_maximum_bytes": 1500,
    "sessions_maximum_bytes": 3000,
    "inflight_maximum_bytes": 200_000,
    "outgoing_maximum_bytes": 2000,
    "backpressure_seconds": 2.0,
}
"""For every setting a value with which something happens; each history has some of them."""


def settings_of(rng: random.Random) -> dict[str, Any]:
    """One of the settings above, often with one or two unusual ones."""
    unusual = rng.sample(sorted(UNUSUAL), rng.choice([0, 1, 1, 2]))
    settings = rng.choice(CONFIGS) | {name: UNUSUAL[name] for name in unusual}
    if settings.get("maximum_inflight"):
        # Where much waits, whose messages have no room any more in what all queues share depends on whether a client's
        # messages are forwarded one by one or together, and both are right.
        settings.pop("queues_maximum_bytes", None)
    return settings


def test_there_is_an_unusual_value_for_every_setting():
    """A limit that the fast path does not know is seen only where a history has it."""
    default = BrokerConfig()
    assert UNUSUAL.keys() == {field.name for field in fields(BrokerConfig)}
    for name, value in UNUSUAL.items():
        assert value != getattr(default, name), name


class History:
    """One random history of some clients; raises when the twins part."""

    twins_type = Twins

    def __init__(self, seed: int, config: dict[str, Any] | None = None) -> None:
        self.rng = rng = random.Random(seed)
        self.twins = self.twins_type(**(settings_of(rng) if config is None else config))
        self.names = [f"c{number}" for number in range(rng.choice([2, 3, 5]))]
        self.ids = {name: [rng.randrange(400)] for name in self.names}
        for name in self.names:
            self.connect(name, rng.choice(ALL_VERSIONS))
            if not self.twins.clients[name][0].closed:
                self.subscribe(name)

    def run(self, steps: int) -> None:
        """Let things happen, then everybody reads what was held back."""
        actions = (
            [self.publish] * 70 + [self.answer] * 15 + [self.subscribe] * 7 + [self.drop] * 2 + [self.disconnect]
            + [self.pause] * 2 + [self.resume] * 2 + [self.wait]
        )  # fmt: skip
        for _ in range(steps):
            name = self.rng.choice(self.names)
            if not self.twins.clients[name][0].closed:
                self.rng.choice(actions)(name)
            elif self.rng.random() < 0.7:
                version = self.twins.clients[name][0].version
                self.connect(name, self.rng.choice([version, version, *ALL_VERSIONS]))
        for name in self.names:
            if not self.twins.clients[name][0].closed:
                self.resume(name)

    def connect(self, name: str, version: Version) -> None:
        if name in self.twins.clients:
            self.twins.clients[name][0].inbox.clear()
        self.twins.connect(name, version, **connect_fields(self.rng, version))

    def publish(self, name: str) -> None:
        client = self.twins.clients[name][0]
        packets: list[Packet] = []
        for _ in range(self.rng.choice([1, 1, 2, 4])):
            packets += burst(self.rng, client.version, self.ids[name])
            if self.rng.random() < 0.5:
                packets += answers(self.rng, client)
        self.send(name, packets)

    def answer(self, name: str) -> None:
        self.send(name, answers(self.rng, self.twins.clients[name][0]))

    def subscribe(self, name: str) -> None:
        version = self.twins.clients[name][0].version
        self.send(name, [subscription(self.rng, version), *burst(self.rng, version, self.ids[name])])

    def drop(self, name: str) -> None:
        self.twins.each(name, Client.drop)

    def disconnect(self, name: str) -> None:
        self.send(name, [Disconnect()])

    def pause(self, name: str) -> None:
        self.twins.each(name, lambda client: client.link.pause_writing())

    def resume(self, name: str) -> None:
        self.twins.each(name, lambda client: client.link.resume_writing())

    def wait(self, _name: str) -> None:
        self.twins.advance(self.rng.choice([0.5, 3, 40]))

    def send(self, name: str, packets: list[Packet]) -> None:
        version = self.twins.clients[name][0].version
        data = b"".join(encode(packet, version) for packet in packets)
        if not data:
            return
        if self.rng.random() < 0.01:
            damaged = bytearray(data)
            damaged[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
            data = bytes(damaged)
        pieces = self.rng.choice([0, 0, 0, 1, 3, 10])
        self.twins.feed(name, data, [self.rng.randrange(len(data)) for _ in range(pieces)])


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_both_paths_give_every_client_the_same_bytes(seed):
    History(seed).run(40)


@pytest.mark.parametrize("name", sorted(UNUSUAL))
def test_both_paths_know_every_setting(name):
    for seed in range(2):
        History(seed, {name: UNUSUAL[name]}).run(25)
