import asyncio

import pytest

from reference_broker.client import Cause, ClientOptions, Disconnected, Message, Published
from reference_broker.net.client import AsyncClient, ConnectionEnded, Reconnection, RequestFailed
from reference_broker.net.errors import ConnectFailed
from reference_broker.net.reconnection import is_final
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Subscription
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version

pytestmark = pytest.mark.usefixtures("on_both_loops")

KEPT = {"clean_start": False, "properties": Properties(session_expiry_interval=60)}
AT_ONCE = Reconnection(first_delay_seconds=0.0, maximum_delay_seconds=0.0)


class TestCommands:
    @pytest.mark.parametrize("version", list(Version))
    def test_publish_subscribe_and_iterate(self, run, address, version):
        async def main():
            topic = f"async/commands/{version}"
            async with AsyncClient(address, ClientOptions(f"commands{version}", version)) as client:
                granted = await client.subscribe(topic, Subscription("async/other", QoS.AT_LEAST_ONCE), qos=2)
                assert granted.reasons == (2, 1)
                for qos in QoS:
                    published = await client.publish(topic, f"{qos:d}", qos)
                    assert published.reason == 0
                assert [(await client.receive()).payload for _ in QoS] == [b"0", b"1", b"2"]
                await client.unsubscribe(topic)
                await client.publish(topic, "nobody hears this", 1)
                await client.publish("async/other", "last")
                received = []
                async for message in client.messages():
                    received.append(message.payload)
                    await client.disconnect()  # ends the iteration
                assert received == [b"last"]

        run(main())

    def test_many_publishes_at_once_keep_their_order(self, run, address):
        async def main():
            async with AsyncClient(address) as client:
                await client.subscribe("async/order", qos=2)
                await asyncio.gather(*(client.publish("async/order", b"%d" % n, 2) for n in range(200)))
                assert [int((await client.receive()).payload) for _ in range(200)] == list(range(200))

        run(main())

    def test_every_transport(self, run, broker):
        async def main():
            for transport, where in broker.items():
                async with AsyncClient(where) as client:
                    topic = f"async/transport/{transport}"
                    await client.subscribe(topic)
                    await client.publish(topic, bytes(100_000))
                    assert len((await client.receive()).payload) == 100_000

        run(main())

    def test_a_callback_takes_the_messages(self, run, address):
        async def main():
            arrived = asyncio.get_running_loop().create_future()
            async with AsyncClient(address, on_message=arrived.set_result) as client:
                await client.subscribe("async/callback")
                await client.publish("async/callback", "x")
                assert (await arrived).payload == b"x"

        run(main())

    def test_what_may_not_be_sent_is_refused_and_the_connection_stays(self, run, address):
        async def main():
            async with AsyncClient(address) as client:
                for call in (client.publish("a/#"), client.publish("a", qos=3), client.subscribe("#a")):
                    with pytest.raises(LocalError):
                        await call
                assert (await client.publish("a", qos=1)).reason in (0, 0x10)

        run(main())

    def test_nothing_can_be_done_before_connect(self, run):
        async def main():
            client = AsyncClient("127.0.0.1:1")
            for call in (client.publish("a"), client.receive()):
                with pytest.raises(LocalError):
                    await call
            with pytest.raises(LocalError):
                client.acknowledge(Message(1, "t", b"", QoS.AT_LEAST_ONCE, False, False, 1))
            await client.disconnect()

        run(main())

    def test_a_cancelled_publish_leaves_the_connection_alone(self, run, scripted_server):
        async def script(server):
            await server.accept()
            await server.expect("32 06 00 01 74 00 01 00")
            await server.expect("32 06 00 01 74 00 02 00")
            server.send("40 02 00 01 40 02 00 02")
            await server.wait_for_end()

        async def main():
            async with scripted_server(script) as server, AsyncClient(server.address) as client:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await client.publish("t", qos=1)
                assert (await client.publish("t", qos=1)).packet_id == 2

        run(main())

    def test_manual_acknowledgement(self, run, scripted_server):
        async def script(server):
            await server.accept()
            server.send("32 06 00 01 74 00 05 00")
            await server.expect("40 03 00 05 83")
            await server.wait_for_end()

        async def main():
            async with scripted_server(script) as server:
                options = ClientOptions(manual_acknowledgement=True)
                async with AsyncClient(server.address, options) as client:
                    assert client.acknowledge(await client.receive(), 0x83)

        run(main())


class TestEnds:
    def test_nobody_listens(self, run):
        async def main():
            with pytest.raises(ConnectFailed, match=r"cannot connect to 127\.0\.0\.1:1: "):
                await AsyncClient("127.0.0.1:1").connect()

        run(main())

    def test_the_server_refuses(self, run, scripted_server):
        async def script(server):
            await server.accept("20 03 00 87 00")

        async def main():
            async with scripted_server(script) as server:
                client = AsyncClient(server.address, reconnection=AT_ONCE)
                with pytest.raises(ConnectionEnded, match="Not authorized") as error:
                    await client.connect()
                assert error.value.end.reason == 0x87
                assert client._task.done()  # the socket is closed too
                assert await client.wait_ended() == error.value.end
                with pytest.raises(ConnectionEnded):
                    await client.publish("t")
                assert server.connections == 1

        run(main())

    def test_a_silent_server_is_given_up(self, run, scripted_server):
        async def script(server):
            await server.wait_for_end()

        async def main():
            async with scripted_server(script) as server:
                client = AsyncClient(server.address, ClientOptions(connack_timeout_seconds=0.05))
                with pytest.raises(ConnectionEnded) as error:
                    await client.connect()
                assert error.value.end.cause is Cause.NO_CONNACK

        run(main())

    def test_who_waits_is_told_when_the_server_goes_away(self, run, scripted_server):
        async def script(server):
            await server.accept()
            await server.stream.read()

        async def main():
            async with scripted_server(script) as server:
                client = AsyncClient(server.address)
                await client.connect()
                receiving = asyncio.create_task(client.receive())
                publishing = asyncio.create_task(client.publish("t", qos=1))
                with pytest.raises(RequestFailed):
                    await client.subscribe("t")
                with pytest.raises(RequestFailed):
                    await publishing
                with pytest.raises(ConnectionEnded) as error:
                    await receiving
                assert error.value.end.cause is Cause.LOST
                with pytest.raises(ConnectionEnded):
                    async for _ in client.messages():
                        pass
                await client.disconnect()

        run(main())

    def test_messages_that_came_before_the_end_can_still_be_received(self, run, scripted_server):
        async def script(server):
            await server.accept()
            server.send("30 05 00 01 74 00 78 e0 01 8b")

        async def main():
            async with scripted_server(script) as server:
                client = AsyncClient(server.address)
                await client.connect()
                assert (await client.wait_ended()).reason == 0x8B
                assert (await client.receive()).payload == b"x"
                with pytest.raises(ConnectionEnded, match="Server shutting down"):
                    await client.receive()

        run(main())

    def test_disconnect_sends_its_reason_and_ends_with_fin(self, run, scripted_server):
        seen = asyncio.Queue()

        async def script(server):
            await server.accept()
            seen.put_nowait(await server.wait_for_end())

        async def main():
            async with scripted_server(script) as server:
                client = AsyncClient(server.address)
                await client.connect()
                await client.disconnect(0x04)
                assert await seen.get() == "e0 01 04"
                assert not client.is_connected
                assert await client.wait_ended() == Disconnected(Cause.REQUESTED, 0x04)

        run(main())

    def test_drop_is_a_reset_without_a_word(self, run, scripted_server):
        seen = asyncio.Queue()

        async def script(server):
            await server.accept()
            try:
                await server.wait_for_end()
            except ConnectionResetError:
                seen.put_nowait("reset")

        async def main():
            async with scripted_server(script) as server:
                client = AsyncClient(server.address, reconnection=AT_ONCE)
                await client.connect()
                client.drop()
                assert await seen.get() == "reset"
                assert (await client.wait_ended()).cause is Cause.LOST
                assert server.connections == 1  # what drops on purpose does not come back

        run(main())

    def test_connecting_can_be_cancelled(self, run, scripted_server):
        async def script(server):
            await server.wait_for_end()

        async def main():
            async with scripted_server(script) as server:
                client = AsyncClient(server.address)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await client.connect()
                await client.wait_ended()

        run(main())


class TestSession:
    def test_a_dropped_client_goes_on_with_its_session(self, run, scripted_server):
        async def first(server):
            await server.accept()
            await server.expect("34 06 00 01 74 00 01 00")
            server.stream.abort()

        async def second(server):
            await server.accept("20 03 01 00 00")
            await server.expect("3c 06 00 01 74 00 01 00")
            server.send("50 02 00 01")
            await server.expect("62 02 00 01")
            server.send("70 02 00 01")
            await server.wait_for_end()

        async def main():
            done = asyncio.Event()
            events = []

            def note(event):
                events.append(event)
                if isinstance(event, Published):
                    done.set()

            async with scripted_server(first, second) as server:
                client = AsyncClient(server.address, ClientOptions("c", **KEPT), on_event=note)
                await client.connect()
                with pytest.raises(ConnectionEnded):
                    await client.publish("t", qos=2)
                connected = await client.connect()
                assert connected.session_present
                await done.wait()
                assert len(client.session) == 0
                await client.disconnect()

        run(main())

    def test_connect_twice_is_refused(self, run, address):
        async def main():
            async with AsyncClient(address) as client:
                with pytest.raises(LocalError, match="already connected"):
                    await client.connect()

        run(main())

    def test_messages_wait_on_the_broker_for_a_kept_session(self, run, address):
        async def main():
            client = AsyncClient(address, ClientOptions("waits", **KEPT))
            await client.connect()
            await client.subscribe("async/kept", qos=1)
            client.drop()
            async with AsyncClient(address) as other:
                await other.publish("async/kept", "while away", 1)
            await client.connect()
            assert (await client.receive()).payload == b"while away"
            await client.disconnect(properties=Properties(session_expiry_interval=0))

        run(main())


class TestReconnection:
    def test_commands_and_messages_go_on_over_a_lost_connection(self, run, scripted_server):
        async def first(server):
            await server.accept()
            await server.expect("32 06 00 01 74 00 01 00")

        async def second(server):
            connect = await server.expect("10")
            assert connect[27:29] == "00"  # clean start is off, whatever it was at first
            server.send("20 03 01 00 00")
            await server.expect("3a 06 00 01 74 00 01 00")
            server.send("40 02 00 01 30 05 00 01 74 00 78")
            await server.expect("82")
            server.send("90 04 00 02 00 00")
            await server.wait_for_end()

        async def main():
            async with scripted_server(first, second) as server:
                options = ClientOptions("c", properties=Properties(session_expiry_interval=60))
                async with AsyncClient(server.address, options, reconnection=AT_ONCE) as client:
                    assert (await client.publish("t", qos=1)).packet_id == 1
                    assert (await client.receive()).payload == b"x"
                    assert (await client.subscribe("t")).reasons == (0,)

        run(main())

    def test_commands_given_meanwhile_wait(self, run, scripted_server):
        lost = asyncio.Event()

        async def first(server):
            await server.accept()

        async def second(server):
            await server.accept()
            await server.expect("30 05 00 01 74 00 78")
            await server.wait_for_end()

        async def main():
            async with scripted_server(first, second) as server:
                client = AsyncClient(
                    server.address,
                    reconnection=AT_ONCE,
                    on_event=lambda event: lost.set() if isinstance(event, Disconnected) else None,
                )
                await client.connect()
                await lost.wait()
                await client.publish("t", "x")
                await client.disconnect()

        run(main())

    def test_it_gives_up_after_the_attempts_allowed(self, run, scripted_server):
        async def accepts(server):
            await server.accept()

        async def refuses(server):
            await server.accept("20 03 00 88 00")

        async def main():
            async with scripted_server(accepts, refuses) as server:
                client = AsyncClient(server.address, reconnection=Reconnection(0.0, 0.0, maximum_attempts=3))
                await client.connect()
                end = await client.wait_ended()
                assert (end.cause, end.reason) == (Cause.REFUSED, 0x88)
                assert server.connections == 4
                with pytest.raises(ConnectionEnded):
                    await client.publish("t")

        run(main())

    def test_a_session_taken_over_is_left_to_the_other(self, run, scripted_server):
        async def script(server):
            await server.accept()
            server.send("e0 01 8e")
            await server.wait_for_end()

        async def main():
            async with scripted_server(script) as server:
                client = AsyncClient(server.address, reconnection=AT_ONCE)
                await client.connect()
                assert (await client.wait_ended()).reason == 0x8E
                assert server.connections == 1

        run(main())

    def test_it_is_off_by_default(self, run, scripted_server):
        async def script(server):
            await server.accept()

        async def main():
            async with scripted_server(script) as server:
                client = AsyncClient(server.address)
                await client.connect()
                assert (await client.wait_ended()).cause is Cause.LOST
                assert server.connections == 1

        run(main())

    def test_it_ends_while_it_waits_for_the_next_attempt(self, run, scripted_server):
        async def script(server):
            await server.accept()

        async def main():
            lost = asyncio.Event()
            async with scripted_server(script) as server:
                client = AsyncClient(
                    server.address,
                    reconnection=Reconnection(3600.0, 3600.0),
                    on_event=lambda event: lost.set() if isinstance(event, Disconnected) else None,
                )
                await client.connect()
                await lost.wait()
                waiting = asyncio.create_task(client.publish("t"))
                await client.disconnect()
                with pytest.raises(ConnectionEnded):
                    await waiting

        run(main())

    def test_the_delay_doubles_up_to_the_longest(self):
        policy = Reconnection(0.5, 30.0, maximum_attempts=9)
        assert [policy.delay(n) for n in range(10)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, None]
        assert Reconnection().delay(10_000) == 30.0

    @pytest.mark.parametrize(
        ("version", "end", "final"),
        [
            (Version.V5, Disconnected(Cause.LOST), False),
            (Version.V5, Disconnected(Cause.NO_PINGRESP), False),
            (Version.V5, Disconnected(Cause.BY_SERVER, 0x8B), False),
            (Version.V5, Disconnected(Cause.BY_SERVER, 0x8E), True),
            (Version.V5, Disconnected(Cause.REFUSED, 0x89), False),
            (Version.V5, Disconnected(Cause.REFUSED, 0x87), True),
            (Version.V311, Disconnected(Cause.REFUSED, 3), False),
            (Version.V311, Disconnected(Cause.REFUSED, 5), True),
            (Version.V5, Disconnected(Cause.BAD_PACKET, 0x82), True),
            (Version.V5, Disconnected(Cause.REQUESTED), True),
        ],
    )
    def test_some_ends_are_final(self, version, end, final):
        assert is_final(end, version) is final


CHALLENGE = "f0 0a 18 08 15 00 01 6d 16 00 01 32"


class TestAuthentication:
    OPTIONS = ClientOptions(properties=Properties(authentication_method="m"))

    def test_the_authenticator_answers_challenges_of_both_kinds(self, run, scripted_server):
        async def script(server):
            await server.expect("10")
            server.send(CHALLENGE)
            await server.expect("f0 0a 18 08 15 00 01 6d 16 00 01 33")
            server.send("20 07 00 00 04 15 00 01 6d")
            await server.expect("f0 0a 19 08 15 00 01 6d 16 00 01 39")
            server.send(CHALLENGE)
            await server.expect("f0 0a 18 08 15 00 01 6d 16 00 01 33")
            server.send("f0 0a 00 08 15 00 01 6d 16 00 01 34")
            await server.wait_for_end()

        async def authenticator(challenge):
            assert challenge.data == b"2"
            return b"3"

        async def main():
            async with scripted_server(script) as server:
                client = AsyncClient(server.address, self.OPTIONS, authenticator=authenticator)
                await client.connect()
                assert (await client.re_authenticate(b"9")).data == b"4"
                await client.disconnect()

        run(main())

    def test_without_an_authenticator_a_challenge_ends_the_connection(self, run, scripted_server):
        async def script(server):
            await server.expect("10")
            server.send(CHALLENGE)
            await server.expect("e0 01 80")

        async def main():
            async with scripted_server(script) as server:
                with pytest.raises(ConnectionEnded) as error:
                    await AsyncClient(server.address, self.OPTIONS, reconnection=AT_ONCE).connect()
                assert isinstance(error.value.__cause__, LocalError)

        run(main())

    def test_an_authenticator_that_fails_ends_the_connection_and_is_the_cause(self, run, scripted_server):
        async def script(server):
            await server.accept("20 07 00 00 04 15 00 01 6d")
            await server.expect("f0 06 19 04 15 00 01 6d")
            server.send(CHALLENGE)
            await server.expect("e0 01 80")

        def authenticator(_):
            raise KeyError("no such user")

        async def main():
            async with scripted_server(script) as server:
                client = AsyncClient(server.address, self.OPTIONS, authenticator=authenticator)
                await client.connect()
                with pytest.raises(ConnectionEnded) as error:
                    await client.re_authenticate(None)
                assert isinstance(error.value.__cause__, KeyError)

        run(main())
