import threading

import pytest

from reference_broker.client import Cause, ClientOptions
from reference_broker.net.blocking import BlockingClient
from reference_broker.net.client import ConnectionEnded
from reference_broker.net.errors import ConnectFailed
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Subscription
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS

pytestmark = pytest.mark.usefixtures("on_both_loops")


def test_a_script_publishes_subscribes_and_receives(address):
    with BlockingClient(address) as client:
        assert client.is_connected
        assert client.subscribe("blocking/#", Subscription("other", QoS.AT_LEAST_ONCE), qos=2).reasons == (2, 1)
        for qos in QoS:
            assert client.publish("blocking/x", str(qos.value), qos).reason == 0
        assert [message.payload for _, message in zip(QoS, client.messages(5), strict=False)] == [b"0", b"1", b"2"]
        assert client.unsubscribe("blocking/#").reasons == (0,)
    assert not client.is_connected


def test_receive_ends_after_its_time_and_loses_nothing(address):
    with BlockingClient(address) as client:
        client.subscribe("blocking/time")
        with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
            client.receive(0.01)
        assert list(client.messages(0.01)) == []
        client.publish("blocking/time", "x")
        assert client.receive(5).payload == b"x"


def test_errors_are_those_of_the_asyncio_client(address):
    with pytest.raises(ConnectFailed), BlockingClient("127.0.0.1:1"):
        pass
    with BlockingClient(address) as client, pytest.raises(LocalError):
        client.publish("a/#")


def test_drop_and_connect_go_on_with_the_session(address):
    options = ClientOptions("blocking-kept", clean_start=False, properties=Properties(session_expiry_interval=60))
    with BlockingClient(address, options) as client:
        client.subscribe("blocking/kept", qos=1)
        client.drop()
        with pytest.raises(ConnectionEnded):
            client.publish("t")
        assert client.wait_ended().cause is Cause.LOST
        with BlockingClient(address) as other:
            other.publish("blocking/kept", "while away", 1)
        assert client.connect().session_present
        assert client.receive(5).payload == b"while away"
        client.disconnect(properties=Properties(session_expiry_interval=0))


def test_messages_end_with_disconnect(address):
    with BlockingClient(address) as client:
        client.subscribe("blocking/end")
        client.publish("blocking/end", "x")
        received = []
        for message in client.messages():
            received.append(message.payload)
            client.disconnect()
        assert received == [b"x"]


def test_acknowledgement_by_hand(address):
    with BlockingClient(address, ClientOptions(manual_acknowledgement=True)) as client:
        client.subscribe("blocking/manual", qos=1)
        client.publish("blocking/manual", "x", 1)
        message = client.receive(5)
        assert client.acknowledge(message) is True
        assert client.acknowledge(message) is False


def test_the_thread_ends_with_the_client(address):
    before = set(threading.enumerate())
    client = BlockingClient(address)
    client.connect()
    assert len(set(threading.enumerate()) - before) == 1
    client.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(LocalError):
        client.publish("t")
    with pytest.raises(LocalError):
        client.connect()
    client.close()


def test_several_threads_may_use_one_client(address):
    with BlockingClient(address) as client:
        client.subscribe("blocking/threads", qos=1)
        threads = [
            threading.Thread(target=client.publish, args=("blocking/threads", str(number), 1)) for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {client.receive(5).payload for _ in threads} == {b"%d" % number for number in range(8)}
