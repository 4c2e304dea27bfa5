"""Every client that can be driven does what the contract says, in each version it speaks.

These are tests of the adapters: what a client gets wrong is for the scenarios to find, so the peers here are kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from drivers_peers import Actor, PlayedBroker, played_broker

from interop.brokers.reference import ReferenceSpec
from interop.drivers import contract
from interop.drivers.contract import Disconnected, MessageEvent, PropertyValues
from interop.drivers.pool import DriverPool
from interop.drivers.registry import DRIVERS
from interop.scenario.features import FEATURES
from reference_broker.net.address import Transport
from reference_broker.wire.packets import (
    Connect,
    Disconnect,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
)
from reference_broker.wire.types import QoS, Version

pytestmark = pytest.mark.usefixtures("on_both_loops")

SPEAKS = {
    "builtin": ("3.1", "3.1.1", "5.0"),
    "builtin-process": ("5.0",),  # the same file: one version is enough
    "paho": ("3.1", "3.1.1", "5.0"),
    "gmqtt": ("3.1.1", "5.0"),
    "minimal": ("3.1.1",),
}
ALL = [(client, mqtt) for client, versions in SPEAKS.items() for mqtt in versions]
FULL = [each for each in ALL if each[0] != "minimal"]
IN_5 = [each for each in FULL if each[1] == "5.0"]

V5_ONLY = PropertyValues(
    payload_format_indicator=1,
    message_expiry_interval=60,
    content_type="text/plain",
    response_topic="answers",
    correlation_data=b"\x00\xff",
    user_property=(("k", "v"), ("k", "w")),
)


@dataclass
class Theatre:
    """What all tests of this file share, because processes take time to start: one loop, one pool."""

    runner: asyncio.Runner
    pool: DriverPool

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20):
                await main

        self.runner.run(bounded())

    @asynccontextmanager
    async def actor(self, client: str, mqtt: str, address: Any) -> AsyncIterator[Actor]:
        driver = await self.pool.acquire(client)
        try:
            yield Actor(driver, mqtt, address)
            assert driver.fault is None, driver.log
        finally:
            await self.pool.release(driver)


@pytest.fixture(scope="module")
def theatre(on_both_loops: None) -> Iterator[Theatre]:
    with asyncio.Runner() as runner:
        pool = DriverPool()
        try:
            yield Theatre(runner, pool)
        finally:
            runner.run(pool.close())


def on_stage(
    theatre: Theatre, client: str, mqtt: str, play: Callable[[Actor, Actor], Coroutine[Any, Any, None]], **settings: Any
) -> None:
    """Play with the client and a built-in partner on a reference broker."""

    async def main() -> None:
        broker = await ReferenceSpec().start(settings)
        try:
            async with (
                theatre.actor(client, mqtt, broker.address()) as actor,
                theatre.actor("builtin", mqtt, broker.address()) as partner,
            ):
                await play(actor, partner)
        finally:
            await broker.stop()

    theatre.run(main())


def with_played_broker(
    theatre: Theatre, client: str, mqtt: str, play: Callable[[Actor, PlayedBroker], Coroutine[Any, Any, None]]
) -> None:
    """Play with the client and a broker that the test plays."""

    async def main() -> None:
        async with played_broker() as broker, theatre.actor(client, mqtt, broker.address) as actor:
            await play(actor, broker)

    theatre.run(main())


# --- what they say of themselves --------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", DRIVERS)
def test_hello_declares_versions_and_known_features(theatre: Theatre, client: str) -> None:
    async def main() -> None:
        driver = await theatre.pool.acquire(client)
        await theatre.pool.release(driver)
        hello = driver.hello
        assert set(SPEAKS[client]) <= set(hello.mqtt)
        assert set(hello.unsupported) <= set(FEATURES)
        assert hello.version

    theatre.run(main())


def test_every_driver_is_tried_here() -> None:
    assert set(SPEAKS) == set(DRIVERS)


@pytest.mark.parametrize(
    ("client", "verb", "fields"),
    [
        ("paho", contract.Auth, {}),
        ("gmqtt", contract.Auth, {}),
        ("gmqtt", contract.Connect, {"mqtt": "3.1", "port": 1, "client_id": "c"}),
        ("gmqtt", contract.Connect, {"mqtt": "5.0", "port": 1, "client_id": ""}),
        ("minimal", contract.Publish, {"topic": "t", "qos": 2}),
        ("minimal", contract.Ack, {"message": 1}),
    ],
)
def test_what_a_client_cannot_do_is_unsupported(
    theatre: Theatre, client: str, verb: type[contract.Command], fields: dict[str, Any]
) -> None:
    async def main() -> None:
        driver = await theatre.pool.acquire(client)
        answer = await driver.request(verb(id=driver.next_id(), **fields), 2.0)  # type: ignore[arg-type]  # any command
        await theatre.pool.release(driver)
        assert isinstance(answer, contract.ErrorEvent)
        assert answer.error == "unsupported"

    theatre.run(main())


# --- with the reference broker ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("client", "mqtt"), ALL)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_are_published_and_received(theatre: Theatre, client: str, mqtt: str, qos: int) -> None:
    if client == "minimal" and qos == 2:
        return

    async def play(actor: Actor, partner: Actor) -> None:
        connected = await actor.connect()
        assert isinstance(connected, contract.Connected), connected
        assert connected.session_present is (None if mqtt == "3.1" else False)
        await partner.connect()
        assert (await actor.subscribe("to/actor", qos)).reasons == (qos,)
        await partner.subscribe("to/partner", qos)
        published = await actor.ask(contract.Publish, topic="to/partner", payload=b"\x00\xff", qos=qos)
        assert isinstance(published, contract.Published), published
        received = await partner.next_event()
        assert isinstance(received, MessageEvent)
        assert (received.payload, received.qos) == (b"\x00\xff", qos)
        for payload in (b"one", b"two"):
            await partner.ask(contract.Publish, topic="to/actor", payload=payload, qos=qos)
        messages = [await actor.next_event(), await actor.next_event()]
        seen = [
            (each.message, each.topic, each.payload, each.qos) for each in messages if isinstance(each, MessageEvent)
        ]
        assert seen == [(1, "to/actor", b"one", qos), (2, "to/actor", b"two", qos)]
        unsubscribed = await actor.ask(contract.Unsubscribe, topic_filters=("to/actor",))
        assert isinstance(unsubscribed, contract.Unsubscribed)
        assert isinstance(await actor.ask(contract.Disconnect), Disconnected)
        assert actor.driver.events.empty()

    on_stage(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), FULL)
def test_drop_leaves_without_a_word_and_disconnect_with_one(theatre: Theatre, client: str, mqtt: str) -> None:
    """A will tells them apart: it is for clients that went without DISCONNECT. [3.1.1 MQTT-3.1.2-8]"""

    async def play(actor: Actor, partner: Actor) -> None:
        await partner.connect()
        await partner.subscribe("gone/#", 1)
        for ending, topic in ((contract.Drop, "gone/dropped"), (contract.Disconnect, "gone/disconnected")):
            will = contract.WillMessage(topic=topic, payload=b"will", qos=1)
            assert isinstance(await actor.connect(will=will), contract.Connected)
            await actor.ask(ending)
        await actor.connect()
        await actor.ask(contract.Publish, topic="gone/last", payload=b"", qos=1)
        events = [await partner.next_event(), await partner.next_event()]
        assert [each.topic for each in events if isinstance(each, MessageEvent)] == ["gone/dropped", "gone/last"]
        await actor.settle()
        assert actor.driver.events.empty()

    on_stage(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), FULL)
def test_a_second_connect_goes_on_with_the_session(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, partner: Actor) -> None:
        await partner.connect()
        await actor.connect(kept=True)
        await actor.subscribe("t", 2)
        await actor.ask(contract.Drop)
        await partner.ask(contract.Publish, topic="t", payload=b"meanwhile", qos=2)
        connected = await actor.connect(kept=True)
        assert connected.session_present is (None if mqtt == "3.1" else True)
        message = await actor.next_event()
        assert isinstance(message, MessageEvent)
        assert (message.message, message.payload) == (1, b"meanwhile")
        connected = await actor.connect()
        assert connected.session_present is (None if mqtt == "3.1" else False)

    on_stage(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), ALL)
def test_a_refused_connection_brings_the_code_of_its_version(theatre: Theatre, client: str, mqtt: str) -> None:
    code = 0x87 if mqtt == "5.0" else 5  # not authorized

    async def play(actor: Actor, _: Actor) -> None:
        answer = await actor.connect()
        assert isinstance(answer, contract.ErrorEvent)
        assert (answer.error, answer.reason) == ("refused", code)
        await actor.settle()
        assert actor.driver.events.empty()

    on_stage(theatre, client, mqtt, play, refuse_connect=code)


@pytest.mark.parametrize(("client", "mqtt"), ALL)
def test_nobody_listening_is_a_failure_with_a_reason(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, _: Actor) -> None:
        answer = await actor.connect(port=1)
        assert isinstance(answer, contract.ErrorEvent)
        assert answer.error == "failed"
        assert "refused" in answer.detail.lower() or "connect" in answer.detail.lower()

    on_stage(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), IN_5)
def test_publish_properties_go_both_ways(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, partner: Actor) -> None:
        await actor.connect()
        await partner.connect()
        subscriptions = ({"topic_filter": "t/#", "qos": 1},)
        identified = PropertyValues(subscription_identifier=(7,))
        await actor.ask(contract.Subscribe, subscriptions=subscriptions, properties=identified)
        await partner.subscribe("t/#", 1)
        await actor.ask(contract.Publish, topic="t/1", payload=b"x", qos=1, properties=V5_ONLY)
        for listener, extra in ((partner, {}), (actor, {"subscription_identifier": (7,)})):
            message = await listener.next_event()
            assert isinstance(message, MessageEvent)
            assert message.properties is not None
            seen = message.properties.model_dump(exclude_defaults=True)
            assert seen.pop("message_expiry_interval") <= 60
            wanted = V5_ONLY.model_dump(exclude_defaults=True, exclude={"message_expiry_interval"})
            assert seen == wanted | extra

    on_stage(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), IN_5)
def test_connack_properties_are_shown(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, _: Actor) -> None:
        connected = await actor.connect()
        assert connected.properties.server_keep_alive == 33
        assert connected.properties.maximum_qos == 1
        assert connected.properties.user_property == (("hello", "world"),)

    settings = {"server_keep_alive": 33, "maximum_qos": 1, "connack_user_property": (("hello", "world"),)}
    on_stage(theatre, client, mqtt, play, **settings)


@pytest.mark.parametrize(
    ("client", "transport"),
    [(client, each) for client in ("builtin", "paho") for each in ("tls", "ws", "wss")] + [("gmqtt", "tls")],
)
def test_other_transports_carry_large_messages_too(theatre: Theatre, client: str, transport: str) -> None:
    payload = bytes(range(256)) * 512  # several TLS records and reads

    async def main() -> None:
        spec = ReferenceSpec()
        broker = await spec.start({}, transport=Transport(transport))
        try:
            async with theatre.actor(client, "5.0", broker.address(Transport(transport))) as actor:
                assert transport in actor.driver.hello.transports
                assert isinstance(await actor.connect(), contract.Connected)
                await actor.subscribe("t", 1)
                await actor.ask(contract.Publish, topic="t", payload=payload, qos=1)
                message = await actor.next_event()
                assert isinstance(message, MessageEvent)
                assert message.payload == payload
                assert isinstance(await actor.ask(contract.Drop), contract.Dropped)
        finally:
            await broker.stop()

    theatre.run(main())


def test_reauthentication_is_answered(theatre: Theatre) -> None:
    """The broker's challenge gets the data of the command once more. [5.0 4.12, 4.12.1]"""
    method = {"method": "M", "challenge": b"?", "response": b"secret"}

    async def play(actor: Actor, _: Actor) -> None:
        secret = PropertyValues(authentication_method="M", authentication_data=b"secret")
        assert isinstance(await actor.connect(properties=secret), contract.Connected)
        again = PropertyValues(authentication_data=b"secret")
        assert isinstance(await actor.ask(contract.Auth, properties=again), contract.Authenticated)
        wrong = await actor.ask(contract.Auth, properties=PropertyValues(authentication_data=b"guess"))
        assert (wrong.error, wrong.reason) == ("refused", 0x87)
        ended = await actor.next_event()
        assert (ended.by, ended.reason) == ("broker", 0x87)  # type: ignore[union-attr]  # a Disconnected

    on_stage(theatre, "builtin", "5.0", play, authentication_methods=(method,))


# --- with a broker the test plays -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("client", "mqtt"), ALL)
def test_connect_says_on_the_wire_what_was_asked_for(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, broker: PlayedBroker) -> None:
        fields: dict[str, Any] = {"client_id": "me", "keep_alive": 77, "clean_start": False}
        will = contract.WillMessage(topic="w", payload=b"p", qos=2, retain=True)
        if client != "minimal":
            fields |= {"username": "u", "password": b"\x00p", "will": will}
        connecting = asyncio.create_task(actor.connect(**fields))
        _, connect = await broker.accept_connect(Connect)
        assert connect.version is Version.from_label(mqtt)
        assert (connect.client_id, connect.keep_alive, connect.clean_start) == ("me", 77, False)
        if client != "minimal":
            assert (connect.username, connect.password) == ("u", b"\x00p")
            assert connect.will is not None
            assert (connect.will.topic, connect.will.payload) == ("w", b"p")
            assert (connect.will.qos, connect.will.retain) == (2, True)
        assert isinstance(await connecting, contract.Connected)

    with_played_broker(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), FULL)
def test_a_later_connect_may_ask_for_something_else(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, broker: PlayedBroker) -> None:
        will = contract.WillMessage(topic="w", payload=b"p")
        connecting = asyncio.create_task(actor.connect(client_id="me", kept=True, username="u", will=will))
        await broker.accept_connect(Connect)
        await connecting
        connecting = asyncio.create_task(actor.connect(client_id="me", keep_alive=5))
        _, connect = await broker.accept_connect(Connect)
        await connecting
        assert (connect.clean_start, connect.keep_alive) == (True, 5)
        assert (connect.username, connect.will) == (None, None)
        assert connect.properties.session_expiry_interval is None

    with_played_broker(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), FULL)
@pytest.mark.parametrize("qos", [1, 2])
def test_an_answer_stays_due_until_a_later_connection_brings_it(
    theatre: Theatre, client: str, mqtt: str, qos: int
) -> None:
    async def play(actor: Actor, broker: PlayedBroker) -> None:
        connecting = asyncio.create_task(actor.connect(client_id="me", kept=True))
        first, _ = await broker.accept_connect(Connect)
        await connecting
        publishing = actor.begin(contract.Publish, topic="t", payload=b"x", qos=qos)
        lost = await first.receive(Publish)
        first.writer.close()
        assert isinstance(await actor.next_event(), Disconnected)
        assert not publishing.done()
        connecting = asyncio.create_task(actor.connect(client_id="me", kept=True))
        second, _ = await broker.accept_connect(Connect, session_present=mqtt != "3.1")
        again = await second.receive(Publish)
        assert again.packet_id == lost.packet_id  # the session state was kept [3.1.1 MQTT-4.4.0-1]
        assert again.packet_id is not None
        if qos == 1:
            second.send(PubAck(again.packet_id))
        else:
            second.send(PubRec(again.packet_id))
            await second.receive(PubRel)
            second.send(PubComp(again.packet_id))
        assert isinstance(await publishing, contract.Published)
        assert isinstance(await connecting, contract.Connected)

    with_played_broker(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), ALL)
def test_a_lost_connection_is_reported_and_cuts_off_what_waits(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, broker: PlayedBroker) -> None:
        connecting = asyncio.create_task(actor.connect())
        played, _ = await broker.accept_connect(Connect)
        await connecting
        subscribing = asyncio.create_task(actor.subscribe("t"))
        await played.receive(Subscribe)
        played.writer.close()
        ended = await actor.next_event()
        assert isinstance(ended, Disconnected)
        assert ended.by in {"network", None}
        assert (await subscribing).error == "cut-off"
        assert (await actor.ask(contract.Publish, topic="t")).error == "cut-off"
        await actor.settle()
        assert broker.connections.empty()

    with_played_broker(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), ALL)
def test_a_connection_lost_before_connack_is_cut_off(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, broker: PlayedBroker) -> None:
        connecting = asyncio.create_task(actor.connect())
        played = await broker.accept()
        await played.receive(Connect)
        played.writer.close()
        answer = await connecting
        assert isinstance(answer, contract.ErrorEvent)
        assert answer.error == "cut-off"
        await actor.settle()
        assert actor.driver.events.empty()
        assert broker.connections.empty()

    with_played_broker(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), [each for each in ALL if each[1] != "5.0"])
def test_an_unacceptable_version_does_not_make_a_client_try_another(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, broker: PlayedBroker) -> None:
        connecting = asyncio.create_task(actor.connect())
        played, _ = await broker.accept_connect(Connect, reason=1)
        played.writer.close()
        assert (await connecting).event == "error"
        await actor.settle()
        assert broker.connections.empty()

    with_played_broker(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), IN_5)
def test_the_brokers_disconnect_is_reported_with_its_reason(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, broker: PlayedBroker) -> None:
        connecting = asyncio.create_task(actor.connect())
        played, _ = await broker.accept_connect(Connect)
        await connecting
        played.send(Disconnect(0x8B))
        played.writer.close()
        ended = await actor.next_event()
        assert isinstance(ended, Disconnected)
        assert (ended.by, ended.reason) == ("broker", 0x8B)
        await actor.settle()
        assert actor.driver.events.empty()

    with_played_broker(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), IN_5)
def test_disconnect_carries_reason_and_properties(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, broker: PlayedBroker) -> None:
        connecting = asyncio.create_task(actor.connect(kept=True))
        played, _ = await broker.accept_connect(Connect)
        await connecting
        ending = actor.begin(
            contract.Disconnect, reason=4, properties=PropertyValues(session_expiry_interval=9, reason_string="bye")
        )
        packet = await played.receive(Disconnect)
        assert packet.reason == 4
        assert (packet.properties.session_expiry_interval, packet.properties.reason_string) == (9, "bye")
        assert isinstance(await ending, Disconnected)
        assert await played.next() is None

    with_played_broker(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), IN_5)
def test_a_refused_publish_is_told_where_the_client_tells_it(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, broker: PlayedBroker) -> None:
        connecting = asyncio.create_task(actor.connect())
        played, _ = await broker.accept_connect(Connect)
        await connecting
        publishing = actor.begin(contract.Publish, topic="t", qos=1)
        packet = await played.receive(Publish)
        assert packet.packet_id is not None
        played.send(PubAck(packet.packet_id, 0x97))
        answer = await publishing
        if "reason-codes" in actor.driver.hello.unsupported:
            assert answer.reason is None
        else:
            assert (answer.error, answer.reason) == ("refused", 0x97)

    with_played_broker(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), IN_5)
def test_a_refused_subscription_is_told(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, broker: PlayedBroker) -> None:
        connecting = asyncio.create_task(actor.connect())
        played, _ = await broker.accept_connect(Connect)
        await connecting
        subscriptions = ({"topic_filter": "a", "qos": 2}, {"topic_filter": "b", "qos": 1, "retain_handling": 2})
        subscribing = actor.begin(contract.Subscribe, subscriptions=subscriptions)
        packet = await played.receive(Subscribe)
        assert [(each.topic_filter, each.qos) for each in packet.subscriptions] == [("a", 2), ("b", 1)]
        assert packet.subscriptions[1].retain_handling == 2
        played.send(SubAck(packet.packet_id, (1, 0x87)))
        assert (await subscribing).reasons == (1, 0x87)

    with_played_broker(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), FULL)
def test_with_manual_ack_the_application_decides_when(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, broker: PlayedBroker) -> None:
        connecting = asyncio.create_task(actor.connect(manual_ack=True))
        played, _ = await broker.accept_connect(Connect)
        await connecting
        played.send(Publish("t", b"x", QoS.AT_LEAST_ONCE, packet_id=9))
        message = await actor.next_event()
        assert isinstance(message, MessageEvent)
        publishing = actor.begin(contract.Publish, topic="marker", qos=0)
        await played.receive(Publish)  # and no PUBACK before it
        await publishing
        assert isinstance(await actor.ask(contract.Ack, message=message.message), contract.Acked)
        assert (await played.receive(PubAck)).packet_id == 9
        again = await actor.ask(contract.Ack, message=message.message + 1)
        assert again.error == "failed"

    with_played_broker(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), ALL)
def test_reset_leaves_without_a_word_and_forgets_everything(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, broker: PlayedBroker) -> None:
        connecting = asyncio.create_task(actor.connect(client_id="me", kept=client != "minimal"))
        played, _ = await broker.accept_connect(Connect)
        await connecting
        played.send(Publish("t", b"old"))
        await actor.next_event()
        publishing = actor.begin(contract.Publish, topic="t", payload=b"forgotten", qos=1)
        await played.receive(Publish)
        await actor.driver.reset()
        assert (await publishing).error == "cut-off"
        assert await played.next() is None  # no DISCONNECT
        connecting = asyncio.create_task(actor.connect(client_id="me", kept=client != "minimal"))
        played, _ = await broker.accept_connect(Connect)
        assert isinstance(await connecting, contract.Connected)
        played.send(Publish("t", b"new"))
        message = await actor.next_event()
        assert isinstance(message, MessageEvent)
        assert (message.message, message.payload) == (1, b"new")
        publishing = actor.begin(contract.Publish, topic="t", payload=b"fresh", qos=0)
        assert (await played.receive(Publish)).payload == b"fresh"  # and not the forgotten one
        await publishing

    with_played_broker(theatre, client, mqtt, play)


@pytest.mark.parametrize(("client", "mqtt"), ALL)
def test_reset_while_connecting_is_soon_done(theatre: Theatre, client: str, mqtt: str) -> None:
    async def play(actor: Actor, broker: PlayedBroker) -> None:
        connecting = asyncio.create_task(actor.connect())
        played = await broker.accept()
        await played.receive(Connect)
        await actor.driver.reset()
        assert (await connecting).error == "cut-off"
        assert await played.next() is None

    with_played_broker(theatre, client, mqtt, play)
