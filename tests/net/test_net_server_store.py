"""A broker on sockets with a store: nothing is promised before it is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pytest
from net_peers import Peer, Run

from reference_broker.net.config import ServerConfig
from reference_broker.net.server import BrokerServer
from reference_broker.net.stream import ConnectFailed, dial
from reference_broker.store.memory import MemoryStore
from reference_broker.store.records import Change, StoreFull
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    Publish,
    Will,
)
from reference_broker.wire.types import ConnectReturnCode, QoS, ReasonCode, Version, is_error

pytestmark = pytest.mark.usefixtures("on_both_loops")


def retained_in(store: MemoryStore) -> list[bytes]:
    return [value[-5:-1] for key, value in store.rows.items() if key.startswith(b"r")]


def keeping(store: MemoryStore) -> BrokerServer:
    return BrokerServer(ServerConfig(port=0), open_store=lambda _run_beside: store)


def test_nothing_is_acknowledged_that_is_not_kept_and_a_server_that_aborts_keeps_nothing_more(run: Run) -> None:
    async def main() -> list[list[bytes]]:
        store = MemoryStore()
        server = keeping(store)
        await server.start()
        peer = Peer(await dial(server.address), Version.V5)
        await peer.ask(Connect(Version.V5, "c", will=Will("gone", b"will", QoS.AT_LEAST_ONCE, True)))
        assert isinstance(await peer.ask(Publish("t", b"kept", QoS.AT_LEAST_ONCE, True, packet_id=1)), PubAck)
        kept = retained_in(store)
        server.abort()
        with contextlib.suppress(ConnectionError):
            assert await peer.receive() is None
        with pytest.raises(ConnectFailed):
            await dial(server.address)
        await peer.leave()
        return [kept, retained_in(store)]

    assert run(main()) == [[b"kept"], [b"kept"]]


class FullDisk(MemoryStore):
    """Has no room, when told so."""

    is_full = False

    def commit(self, changes: Sequence[Change]) -> None:
        if self.is_full:
            raise StoreFull("state.db: no space left on device: make room")
        super().commit(changes)


def test_what_cannot_be_kept_is_refused_and_the_rest_is_served(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[Packet | None]:
        store = FullDisk()
        async with keeping(store) as server:
            first = Peer(await dial(server.address), Version.V5)
            await first.ask(Connect(Version.V5, "first"))
            other = Peer(await dial(server.address), Version.V5)
            await other.ask(Connect(Version.V5, "other"))
            store.is_full = True
            retained = Publish("t", b"lost", QoS.AT_LEAST_ONCE, True, packet_id=1)
            seen: list[Packet | None] = [await first.ask(retained)]
            seen.append(await other.ask(retained))
            seen.append(await other.ask(Publish("t", b"nobody keeps it", QoS.AT_LEAST_ONCE, packet_id=2)))
            old = Peer(await dial(server.address), Version.V311)
            seen.append(await old.ask(Connect(Version.V311, "old", clean_start=False)))
            store.is_full = False
            for peer in (first, other, old):
                await peer.leave()
        return seen

    refused, second, third, old = run(main())
    assert isinstance(refused, Disconnect)
    assert refused.reason == ReasonCode.QUOTA_EXCEEDED
    assert isinstance(second, PubAck)
    assert second.reason == ReasonCode.QUOTA_EXCEEDED
    assert isinstance(third, PubAck)
    assert not is_error(third.reason)
    assert old == ConnAck(False, ConnectReturnCode.SERVER_UNAVAILABLE)
    assert "no space left on device" in caplog.text
