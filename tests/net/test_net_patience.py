"""Messages that leave before they are kept, and those that never have to be, because they were acknowledged at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from net_peers import Peer, peer, subscribe
from test_net_keeping import GatedStore, Run, acknowledged, begun, message, serving

from reference_broker.broker import Broker
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.rows import ENTRY
from reference_broker.net.patience import Patience
from reference_broker.wire.packets import PingReq, PingResp, PubAck, Publish, PubRec, Unsubscribe
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version

KEPT = Properties(session_expiry_interval=1000)


class Pair:
    """A publisher, and a subscriber whose session is kept."""

    def __init__(self, store: GatedStore, publisher: Peer, subscriber: Peer) -> None:
        self.store = store
        self.publisher = publisher
        self.subscriber = subscriber

    async def publish(self, number: int, qos: QoS = QoS.AT_LEAST_ONCE) -> None:
        self.publisher.send(Publish("t", b"%d" % number, qos, packet_id=number))

    async def delivered(self) -> Publish:
        packet = await self.subscriber.receive()
        assert isinstance(packet, Publish)
        return packet


@asynccontextmanager
async def a_pair(monkeypatch: pytest.MonkeyPatch, patience_seconds: float) -> AsyncIterator[Pair]:
    monkeypatch.setattr("reference_broker.net.keeping.PATIENCE_SECONDS", patience_seconds)
    monkeypatch.setattr("reference_broker.net.keeping._LATER_SECONDS", 60.0)  # no commit but for what is promised
    store = GatedStore()
    async with (
        serving(store, Broker(BrokerConfig(), keeps=True)) as server,
        peer(server.address, Version.V5, "p") as publisher,
        peer(server.address, Version.V5, "s", clean_start=False, properties=KEPT) as subscriber,
    ):
        await subscribe(subscriber, "t", QoS.AT_LEAST_ONCE)
        publisher.send(message())  # the first of a page of identifiers, which waits
        first = await subscriber.receive()
        assert isinstance(first, Publish)
        assert first.packet_id is not None
        subscriber.send(PubAck(first.packet_id))
        assert await acknowledged(publisher) == [1]
        assert await subscriber.ask(PingReq()) == PingResp()
        yield Pair(store, publisher, subscriber)
        store.gate.set()


def closed(store: GatedStore) -> None:
    """The disk does nothing from now on."""
    store.begun.clear()
    store.gate.clear()


def test_a_new_qos_1_message_leaves_before_it_is_kept_and_is_acknowledged_after(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with a_pair(monkeypatch, 0.0) as pair:
            closed(pair.store)
            await pair.publish(2)
            assert (await pair.delivered()).payload == b"2"
            await begun(pair.store)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await pair.publisher.receive()
            pair.store.gate.set()
            assert await acknowledged(pair.publisher) == [2]

    run(main())


def test_what_every_receiver_acknowledged_meanwhile_needs_no_commit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with a_pair(monkeypatch, 60.0) as pair:
            closed(pair.store)
            for number in range(2, 6):
                await pair.publish(number)
                packet_id = (await pair.delivered()).packet_id
                assert packet_id is not None
                pair.subscriber.send(PubAck(packet_id))
                assert await acknowledged(pair.publisher) == [number]

    run(main())


def test_what_a_receiver_has_not_acknowledged_is_kept_once_patience_ends(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with a_pair(monkeypatch, 0.0) as pair:
            await pair.publish(2)
            assert (await pair.delivered()).payload == b"2"
            assert await acknowledged(pair.publisher) == [2]
            assert any(key.startswith(ENTRY) for key in pair.store.rows)

    run(main())


def test_what_a_receiver_has_settled_is_kept_with_the_next_answer_that_promises_anything(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with a_pair(monkeypatch, 0.0) as pair:
            await pair.publish(2)
            packet_id = (await pair.delivered()).packet_id
            assert packet_id is not None
            assert await acknowledged(pair.publisher) == [2]
            assert any(key.startswith(ENTRY) for key in pair.store.rows)
            pair.subscriber.send(PubAck(packet_id))
            await pair.subscriber.ask(Unsubscribe(7, ("nothing",)))
            assert not any(key.startswith(ENTRY) for key in pair.store.rows)

    run(main())


def test_a_qos_2_message_does_not_leave_before_it_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client would remember an identifier of which the broker knows nothing. [5.0 MQTT-4.3.3-10]"""

    async def main() -> None:
        async with a_pair(monkeypatch, 60.0) as pair:
            await subscribe(pair.subscriber, "t", QoS.EXACTLY_ONCE)
            closed(pair.store)
            await pair.publish(2, QoS.EXACTLY_ONCE)
            await begun(pair.store)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await pair.subscriber.receive()
            pair.store.gate.set()
            assert (await pair.delivered()).qos is QoS.EXACTLY_ONCE
            assert isinstance(await pair.publisher.receive(), PubRec)

    run(main())


def test_whoever_is_promised_nothing_does_not_wait_with_those_who_are(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with a_pair(monkeypatch, 60.0) as pair:
            closed(pair.store)
            await pair.publish(2)
            assert (await pair.delivered()).payload == b"2"  # and it is not acknowledged
            async with asyncio.timeout(5):
                assert await pair.subscriber.ask(PingReq()) == PingResp()
            pair.store.gate.set()

    run(main())


def test_the_end_of_the_broker_keeps_what_it_waits_with(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with a_pair(monkeypatch, 60.0) as pair:
            await pair.publish(2)
            assert (await pair.delivered()).payload == b"2"
            store = pair.store
        assert any(key.startswith(ENTRY) for key in store.rows)

    run(main())


def test_after_each_time_in_vain_twice_as_many_occasions_are_passed_by() -> None:
    patience = Patience()
    waited = []
    for occasion in range(40):
        if patience.has_any():
            waited.append(occasion)
            patience.note(was_worth_it=False)
    assert waited == [0, 2, 6, 14, 30]
    patience.note(was_worth_it=True)
    assert patience.has_any()
    assert patience.has_any()
