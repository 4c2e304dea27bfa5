"""A broker that means ill: whatever it sends or leaves out, the client's memory is bounded, its errors have types, and
no task is left behind."""

import asyncio
import socket
from dataclasses import replace

import pytest
from scripted import Client, connected

from reference_broker.client import Cause, ClientOptions
from reference_broker.net import client_link
from reference_broker.net.client import AsyncClient, ConnectionEnded, Reconnection
from reference_broker.net.errors import ConnectFailed
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Auth, ConnAck, Publish
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version

V311, V5 = Version.V311, Version.V5
CONNACK = "20 03 00 00 00"
WITH_METHOD = Properties(authentication_method="m")


def nothing_is_left():
    """No task but the test's own."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others, others


# --- what it sends, in virtual time -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize("first", range(0, 256, 16))
def test_before_connack_no_packet_is_kept_that_is_larger_than_one_could_be(version, first):
    """It is refused by its header, of whatever type it is."""
    client = Client(version=version)
    client.sent()
    client.receive(f"{first:02x} ff ff ff 7f 00")
    assert client.end.cause is Cause.BAD_PACKET
    assert len(client.core._reader) < 100


def test_a_connack_with_every_property_at_its_longest_is_welcome():
    long = "x" * 65_535
    said = Properties(
        reason_string=long, response_information=long, server_reference=long, assigned_client_identifier=long,
        authentication_method="m", authentication_data=bytes(65_535), user_property=((long, long), (long, long)),
    )  # fmt: skip
    client = Client(properties=WITH_METHOD)
    client.sent()
    client.receive(encode(ConnAck(properties=said), V5).hex())
    assert client.core.state == "connected"


def test_a_giant_packet_is_refused_by_its_header_where_the_application_said_how_much_it_takes():
    client = connected(properties=Properties(maximum_packet_size=1000))
    client.receive("30 ff ff ff 7f")
    assert client.end.cause is Cause.BAD_PACKET


@pytest.mark.parametrize("version", [V311, V5])
def test_a_message_of_more_than_a_mebibyte_is_welcome_after_connack(version):
    client = connected(version=version)
    client.receive(encode(Publish("t", bytes(3 << 20)), version).hex())
    assert len(client.news()[0].payload) == 3 << 20


def test_auth_without_end_before_connack_ends_with_the_time_for_connack():
    client = Client(properties=WITH_METHOD, connack_timeout_seconds=10.0)
    client.sent()
    challenge = encode(Auth(0x18, replace(WITH_METHOD, authentication_data=b"x")), V5).hex()
    for _ in range(99):
        client.receive(challenge)
        client.core.authenticate(b"y", client.now)
        client.sent()
        client.wait(0.1)
    assert client.core.state == "waiting for CONNACK"
    client.wait(0.2)
    assert client.end.cause is Cause.NO_CONNACK


def test_challenges_on_top_of_each_other_are_refused():
    client = Client(properties=WITH_METHOD)
    client.sent()
    client.receive(encode(Auth(0x18, WITH_METHOD), V5).hex() * 100_000)
    assert client.end.cause is Cause.BAD_PACKET


def test_qos_2_messages_never_released_are_bounded_by_their_identifiers():
    client = connected(version=V311)
    messages = (Publish("t", b"", QoS.EXACTLY_ONCE, packet_id=number) for number in range(1, 65_536))
    packets = b"".join(encode(message, V311) for message in messages)
    for _ in range(2):
        client.core.receive_data(packets, client.now)
        client.sent()
        client.news()
    assert len(client.session.inbound) == 65_535
    assert len(client.session.unanswered) <= 65_535


def test_a_server_that_was_not_read_has_not_been_silent():
    client = connected(keep_alive=10, ping_timeout_seconds=1.0)
    assert client.wait(9.5) == [(9.0, "c0 00")]
    for _ in range(20):
        client.wait(0.4)
        client.core.excuse_silence(client.now)
    assert client.core.state == "connected"
    client.wait(2)
    assert client.end.cause is Cause.NO_PINGRESP


# --- what it leaves out, and when it goes, on sockets -----------------------------------------------------------------


async def close_at_once(conversation):
    conversation.stream.close()


async def reset_at_once(conversation):
    conversation.stream.abort()


async def close_after_connect(conversation):
    await conversation.expect("10")


async def close_within_connack(conversation):
    await conversation.expect("10")
    conversation.send("20 03 00")


async def be_something_else(conversation):
    await conversation.expect("10")
    conversation.stream.write(b"HTTP/1.1 400 Bad Request\r\n" * 10)
    await conversation.wait_for_end()


async def speak_another_version(conversation):
    await conversation.expect("10")
    conversation.send("20 02 00 00")
    await conversation.wait_for_end()


async def never_answer(conversation):
    await conversation.wait_for_end()


BEFORE = {
    close_at_once: Cause.LOST,
    reset_at_once: Cause.LOST,
    close_after_connect: Cause.LOST,
    close_within_connack: Cause.LOST,
    be_something_else: Cause.BAD_PACKET,
    speak_another_version: Cause.BAD_PACKET,
    never_answer: Cause.NO_CONNACK,
}


@pytest.mark.parametrize("script", BEFORE, ids=lambda script: script.__name__)
def test_whenever_it_goes_before_connack_the_error_says_so(run, scripted_server, script):
    async def main():
        async with scripted_server(script) as server:
            client = AsyncClient(server.address, ClientOptions(connack_timeout_seconds=0.2))
            with pytest.raises(ConnectionEnded) as error:
                await client.connect()
            assert error.value.end.cause is BEFORE[script]
            with pytest.raises(ConnectionEnded):
                await client.receive()
        nothing_is_left()

    run(main())


def test_where_nobody_listens_the_error_says_so(run, scripted_server):
    async def main():
        async with scripted_server(close_at_once) as server:
            address = server.address
        with pytest.raises(ConnectFailed):
            await AsyncClient(address).connect()
        nothing_is_left()

    run(main())


COMMANDS = {
    "publish": lambda client: client.publish("t", b"x", qos=1),
    "publish at QoS 2": lambda client: client.publish("t", b"x", qos=2),
    "subscribe": lambda client: client.subscribe("t"),
    "unsubscribe": lambda client: client.unsubscribe("t"),
    "receive": lambda client: client.receive(),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("is_reset", [False, True], ids=["FIN", "RST"])
def test_whatever_waits_when_it_goes_ends_with_an_error(run, scripted_server, command, is_reset):
    async def accept_and_go(conversation):
        await conversation.accept()
        if command != "receive":
            await conversation.expect("")
        if is_reset:
            conversation.stream.abort()

    async def main():
        async with scripted_server(accept_and_go) as server:
            client = AsyncClient(server.address)
            await client.connect()
            with pytest.raises(ConnectionError):
                await COMMANDS[command](client)
            assert not client._answers
            await client.wait_ended()
        nothing_is_left()

    run(main())


def test_a_command_that_is_given_up_leaves_nothing_behind(run, scripted_server):
    """Of a broker that answers pings and nothing else. The identifier stays taken: an answer may still come."""

    async def accept_only(conversation):
        await conversation.accept()
        await conversation.wait_for_end()

    async def main():
        async with scripted_server(accept_only) as server, AsyncClient(server.address) as client:
            for _ in range(20):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await client.subscribe("t")
            assert not client._answers
        nothing_is_left()

    run(main())


def test_a_challenge_in_progress_ends_with_its_connection(run, scripted_server):
    """An authenticator may ask a person, or a server that is slow."""
    asked = asyncio.Event()

    async def forever(_challenge):
        asked.set()
        await asyncio.Event().wait()

    async def challenge_and_go(conversation):
        await conversation.expect("10")
        conversation.stream.write(encode(Auth(0x18, WITH_METHOD), V5))
        await asked.wait()

    async def main():
        async with scripted_server(challenge_and_go) as server:
            client = AsyncClient(server.address, ClientOptions(properties=WITH_METHOD), authenticator=forever)
            with pytest.raises(ConnectionEnded):
                await client.connect()
            await asyncio.sleep(0)
        nothing_is_left()

    run(main())


def test_a_broker_that_refuses_again_and_again_is_left_when_the_policy_says_so(run, scripted_server):
    async def accept_and_go(conversation):
        await conversation.accept()

    async def main():
        async with scripted_server(accept_and_go, close_after_connect) as server:
            policy = Reconnection(first_delay_seconds=0.0, maximum_attempts=3)
            client = AsyncClient(server.address, reconnection=policy)
            await client.connect()
            await client.wait_ended()
            with pytest.raises(LocalError):
                client.acknowledge(None)
            assert server.connections <= 5
        nothing_is_left()

    run(main())


# --- floods -----------------------------------------------------------------------------------------------------------

MESSAGE = Publish("t", bytes(1000))
MAXIMUM_BYTES = 500_000


def flood(count, behind="", awaited=""):
    async def send(conversation):
        await conversation.accept()
        for _ in range(count // 100):
            conversation.stream.write(encode(MESSAGE, V5) * 100)
            await conversation.stream.drain()
        if awaited:
            await conversation.expect(awaited)
        conversation.send(behind)
        await conversation.wait_for_end()

    return send


def test_messages_nobody_takes_stop_the_reading(run, scripted_server):
    """All of them come once they are taken."""

    async def main():
        async with (
            scripted_server(flood(10_000)) as server,
            AsyncClient(server.address, inbox_maximum_bytes=MAXIMUM_BYTES) as client,
        ):
            while client._link._may_read.is_set():  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            assert MAXIMUM_BYTES < client._inbox_bytes < MAXIMUM_BYTES + 1_500_000
            for _ in range(10_000):
                await client.receive()
            assert client._inbox_bytes == 0
        nothing_is_left()

    run(main())


def test_an_answer_behind_messages_nobody_takes_comes(run, scripted_server):
    """Or an application that publishes between two messages would wait for itself."""

    async def main():
        async with (
            scripted_server(flood(900, behind="40 02 00 01", awaited="32")) as server,
            AsyncClient(server.address, inbox_maximum_bytes=MAXIMUM_BYTES) as client,
        ):
            await client.receive()
            assert (await client.publish("t", b"x", qos=1)).reason == 0
        nothing_is_left()

    run(main())


def test_far_more_than_is_taken_ends_the_connection(run, scripted_server):
    """Where an answer is waited for, so that the reading cannot stop."""

    async def main():
        async with scripted_server(flood(100_000)) as server:
            client = AsyncClient(server.address, inbox_maximum_bytes=MAXIMUM_BYTES)
            await client.connect()
            with pytest.raises(ConnectionError):
                await client.subscribe("t")
            end = await client.wait_ended()
            assert end.cause is Cause.OVERWHELMED
            assert client._inbox_bytes < 4 * MAXIMUM_BYTES + 1_500_000
        nothing_is_left()

    run(main())


def set_buffer(stream, option):
    """The system keeps as little as it can, or megabytes had to be sent."""
    stream._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 4096)


def test_who_floods_and_takes_no_acknowledgements_is_not_read(run, scripted_server, monkeypatch):
    """Each message of eight bytes asks for four that stay here."""
    packets = b"".join(
        encode(Publish("t", b"", QoS.AT_LEAST_ONCE, packet_id=number), V5) for number in range(1, 65_536)
    )
    monkeypatch.setattr(client_link, "_MOST_UNSENT_BYTES", 65_536)
    sent = 0

    async def send(conversation):
        nonlocal sent
        set_buffer(conversation.stream, socket.SO_RCVBUF)
        await conversation.accept()
        conversation.stream.pause_reading()
        async with asyncio.timeout(3):
            while True:
                conversation.stream.write(packets)
                await conversation.stream.drain()
                sent += 1

    async def main():
        async with scripted_server(send) as server:
            client = AsyncClient(server.address, on_message=lambda _message: None)
            await client.connect()
            link = client._link
            set_buffer(link.stream, socket.SO_SNDBUF)
            last = -1
            while last != sent or link.stream.unsent_bytes <= 65_536:
                last = sent
                await asyncio.sleep(0.1)
            assert link.stream.unsent_bytes < 1 << 20
            client.drop()
            await client.wait_ended()
        nothing_is_left()

    run(main())
