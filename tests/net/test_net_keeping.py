"""What is promised is kept first, nobody else waits for that, and where it cannot be kept it is not promised."""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from net_peers import Peer, peer, subscribe

from reference_broker.broker import Broker, Link
from reference_broker.net.config import ServerConfig
from reference_broker.net.server import BrokerServer
from reference_broker.net.stream import dial
from reference_broker.store.memory import MemoryStore
from reference_broker.store.records import Change, Changes, KeyRange, Row, StoreError, StoreFull
from reference_broker.store.sqlite import SqliteStore
from reference_broker.wire.packets import ConnAck, Connect, Disconnect, PingReq, PingResp, PubAck, Publish
from reference_broker.wire.types import QoS, ReasonCode, Version

pytestmark = pytest.mark.usefixtures("on_both_loops")

Run = Callable[[Coroutine[Any, Any, Any]], Any]
BOTH = pytest.mark.parametrize("version", [Version.V311, Version.V5])


class NotingLink(Link):
    """Has each QoS 1 message kept, by the first of its bytes, and what names itself `durable`."""

    def receive_data(self, data: bytes, now: float) -> None:
        broker = NotingBroker.current
        is_promised = data[0] == 0x32 or b"durable" in data
        if is_promised or data[0] == 0xE0:
            broker.changes.append((b"%08d" % next(broker.numbers), data))
            broker.is_promised = is_promised
        super().receive_data(data, now)


class NotingBroker(Broker):
    """A broker whose changes are what it read."""

    link_type = NotingLink
    current: NotingBroker

    def __init__(self, first: int = 0, later: int = 0) -> None:
        super().__init__()
        NotingBroker.current = self
        self.numbers = itertools.count(1)
        self.changes: list[Change] = []
        self.is_promised = False
        self.store_is_full = False
        self.is_taken_in = asyncio.Event()
        self.first = KeyRange(b"f", b"g" if first else b"f")
        self.later = KeyRange(b"l", b"m" if later else b"l")
        self.taken: list[Row] = []
        self.taken_before_loading_ended = 0

    def take_changes(self) -> Changes | None:
        if not self.changes:
            return None
        changes, self.changes = Changes(self.changes, self.is_promised), []
        self.is_promised = False
        return changes

    @property
    def is_open(self) -> bool:
        return self.first.begin >= self.first.end

    def next_read(self) -> KeyRange | None:
        if not self.is_open:
            return self.first
        if self.later.begin < self.later.end:
            return self.later
        self.is_taken_in.set()
        return None

    def take_rows(self, covered: KeyRange, rows: list[Row], now: float) -> None:
        assert all(covered.begin <= key < covered.end for key, _ in rows)
        self.taken += rows
        if not self.is_open:
            self.first = KeyRange(covered.end, self.first.end)
        else:
            self.later = KeyRange(covered.end, self.later.end)


class GatedStore(MemoryStore):
    """Commits when it may, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.kept = threading.Event()
        self.failure: StoreError | None = None
        self.commits = 0
        self.is_closed = False

    def commit(self, changes) -> None:
        self.begun.set()
        self.gate.wait(5)
        if self.failure is not None:
            raise self.failure
        super().commit(changes)
        self.commits += 1
        self.kept.set()

    def close(self) -> None:
        self.is_closed = True


@asynccontextmanager
async def serving(store: MemoryStore, broker: Broker | None = None) -> AsyncIterator[BrokerServer]:
    server = BrokerServer(ServerConfig(port=0), broker=broker or NotingBroker(), open_store=lambda _: store)
    async with server:
        yield server


def message(number: int = 1, topic: str = "t") -> Publish:
    return Publish(topic, b"x", QoS.AT_LEAST_ONCE, packet_id=number)


async def begun(store: GatedStore) -> None:
    assert await asyncio.to_thread(store.begun.wait, 5)


async def acknowledged(client: Peer, *packets: Publish) -> list[int]:
    """The identifiers of what the client gets next; it must be acknowledgements, so many as it sends or one."""
    if packets:
        client.send(*packets)
    answers = [await client.receive() for _ in packets or (None,)]
    assert all(isinstance(answer, PubAck) for answer in answers)
    return [answer.packet_id for answer in answers]


def test_an_acknowledgement_waits_until_its_message_is_kept_and_what_comes_later_waits_behind_it(run: Run) -> None:
    async def main() -> None:
        store = GatedStore()
        async with serving(store) as server, peer(server.address, Version.V5, "p") as client:
            store.gate.clear()
            client.send(message())
            await begun(store)
            client.send(PingReq())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.receive()
            assert not store.rows
            store.gate.set()
            assert await acknowledged(client) == [1]
            assert len(store.rows) == 1
            assert await client.receive() == PingResp()

    run(main())


def test_nobody_waits_for_a_disk_who_is_promised_nothing(run: Run) -> None:
    async def main() -> None:
        store = GatedStore()
        async with (
            serving(store) as server,
            peer(server.address, Version.V5, "p") as busy,
            peer(server.address, Version.V311, "q") as other,
        ):
            await subscribe(other, "u")
            store.gate.clear()
            busy.send(message(topic="t"))
            await begun(store)
            assert not store.rows
            other.send(Publish("u", b"0"))
            received = await other.receive()
            assert isinstance(received, Publish)
            assert received.topic == "u"
            store.gate.set()
            assert await acknowledged(busy) == [1]

    run(main())


def test_what_comes_while_the_disk_is_busy_is_kept_with_one_commit(run: Run) -> None:
    async def main() -> None:
        store = GatedStore()
        async with serving(store) as server, peer(server.address, Version.V5, "p") as client:
            store.gate.clear()
            client.send(message(1))
            await begun(store)
            other = Peer(await dial(server.address), Version.V5)
            assert isinstance(await other.ask(Connect(Version.V5, "q")), ConnAck)
            for number in range(2, 12):
                client.send(message(number))
                await other.ask(PingReq())  # so that it is read by itself
            store.gate.set()
            assert [(await acknowledged(client))[0] for _ in range(11)] == list(range(1, 12))
            assert store.commits <= 3
            await other.leave()

    run(main())


@BOTH
def test_what_cannot_be_kept_is_not_acknowledged_and_its_client_goes(
    run: Run, version: Version, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        store = GatedStore()
        broker = NotingBroker()
        async with (
            serving(store, broker) as server,
            peer(server.address, version, "p") as client,
            peer(server.address, version, "q") as other,
        ):
            store.failure = StoreFull("state.db cannot grow")
            client.send(message())
            answer = await client.receive()
            if version is Version.V5:
                assert isinstance(answer, Disconnect)
                assert answer.reason == ReasonCode.QUOTA_EXCEEDED
                answer = await client.receive()
            assert answer is None
            assert broker.store_is_full
            assert await other.ask(PingReq()) == PingResp()  # the rest is served
            newcomer = Peer(await dial(server.address), version)
            newcomer.send(Connect(version, "durable"))
            assert await newcomer.receive() is None  # nothing may come before CONNACK
            await newcomer.leave()
            store.failure = None
            assert await asyncio.to_thread(store.kept.wait, 5)
            assert len(store.rows) == 2  # what was tried is kept in the end, which nobody was promised
            assert await acknowledged(other, message()) == [1]
        assert server.unkept is None

    with caplog.at_level(logging.WARNING, "reference_broker"):
        run(main())
    lines = [record.getMessage() for record in caplog.records if "kept" in record.getMessage()]
    assert lines == ["not kept: state.db cannot grow", "everything is kept again"]


def test_the_end_says_what_could_not_be_kept(run: Run) -> None:
    async def main() -> None:
        store = GatedStore()
        async with serving(store) as server:
            client = Peer(await dial(server.address), Version.V5)
            await client.ask(Connect(Version.V5, "p"))
            store.failure = StoreFull("state.db cannot grow")
            client.send(message())
            assert isinstance(await client.receive(), Disconnect)
            await client.leave()
        assert server.unkept is store.failure
        assert store.is_closed

    run(main())


def test_the_end_keeps_what_is_outstanding_and_acknowledges_it(run: Run) -> None:
    async def main() -> None:
        store = GatedStore()
        server = BrokerServer(ServerConfig(port=0), broker=NotingBroker(), open_store=lambda _: store)
        await server.start()
        client = Peer(await dial(server.address), Version.V5)
        await client.ask(Connect(Version.V5, "p"))
        store.gate.clear()
        client.send(message())
        await begun(store)
        closing = asyncio.ensure_future(server.close())
        asyncio.get_running_loop().call_soon(store.gate.set)
        assert await acknowledged(client) == [1]
        answer = await client.receive()
        assert isinstance(answer, Disconnect)
        assert answer.reason == ReasonCode.SERVER_SHUTTING_DOWN
        await client.leave()
        await closing
        assert len(store.rows) == 1
        assert server.unkept is None

    run(main())


def test_whoever_ends_its_side_still_gets_what_it_waits_for(run: Run) -> None:
    async def main() -> None:
        store = GatedStore()
        async with serving(store) as server:
            client = Peer(await dial(server.address), Version.V311)
            await client.ask(Connect(Version.V311, "p"))
            store.gate.clear()
            client.send(message())
            client.stream.write_eof()
            await begun(store)
            async with peer(server.address, Version.V5, "q"):  # the loop was round
                store.gate.set()
            assert await acknowledged(client) == [1]
            assert await client.receive() is None
            await client.leave()

    run(main())


def test_a_broker_that_is_killed_keeps_nothing_more(run: Run) -> None:
    async def main() -> None:
        store = GatedStore()
        server = BrokerServer(ServerConfig(port=0), broker=NotingBroker(), open_store=lambda _: store)
        await server.start()
        client = Peer(await dial(server.address), Version.V5)
        await client.ask(Connect(Version.V5, "p"))
        store.failure = StoreFull("no")
        client.send(message())
        await begun(store)
        server.abort()
        assert store.is_closed
        assert not store.rows
        await client.leave()

    run(main())


@pytest.mark.parametrize(("what", "limit"), [("_MOST_UNKEPT_BYTES", 1000), ("_MOST_HELD_BYTES", 3)])
def test_no_connection_is_read_while_much_is_to_be_kept_or_waits_for_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, what: str, limit: int
) -> None:
    async def main() -> None:
        monkeypatch.setattr(f"reference_broker.net.keeping.{what}", limit)
        store = GatedStore()
        broker = NotingBroker()
        async with serving(store, broker) as server, peer(server.address, Version.V5, "p") as client:
            store.gate.clear()
            client.send(Publish("t", b"x" * 2000, QoS.AT_LEAST_ONCE, packet_id=1))
            await begun(store)
            assert server.is_behind
            client.send(message(2), message(3), message(4))
            late = Peer(await dial(server.address), Version.V5)
            assert isinstance(await late.ask(Connect(Version.V5, "q")), ConnAck)  # the loop was round
            await late.leave()
            assert next(broker.numbers) == 2  # it has read none of these
            store.gate.set()
            assert [(await acknowledged(client))[0] for _ in range(4)] == [1, 2, 3, 4]

    run(main())


@pytest.mark.parametrize("what", ["_MOST_UNKEPT_BYTES", "_MOST_HELD_BYTES"])
def test_who_adds_nothing_to_what_is_to_be_kept_is_read_meanwhile(
    run: Run, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It would wait for a disk of which it wants nothing. Who publishes to whom waits for the disk adds to that."""

    async def main() -> None:
        monkeypatch.setattr(f"reference_broker.net.keeping.{what}", 3)
        store, version = GatedStore(), Version.V5
        async with (
            serving(store) as server,
            peer(server.address, version, "p") as client,
            peer(server.address, version, "b") as other,
            peer(server.address, version, "f") as feeder,
        ):
            await subscribe(client, "to/p")
            await subscribe(other, "b")
            store.gate.clear()
            client.send(message())
            await begun(store)
            assert server.is_behind
            for _ in range(3):
                assert isinstance(await other.ask(Publish("b", b"own")), Publish)
            feeder.send(Publish("to/p", b""))
            assert isinstance(await other.ask(PingReq()), PingResp)  # the loop was round
            feeder.send(Publish("b", b"fed"))
            assert isinstance(await other.ask(PingReq()), PingResp)
            store.gate.set()
            fed = await other.receive()
            assert isinstance(fed, Publish)
            assert fed.payload == b"fed"
            assert await acknowledged(client) == [1]

    run(main())


def test_what_comes_first_is_taken_in_before_anybody_and_the_rest_meanwhile(run: Run) -> None:
    async def main() -> None:
        store = GatedStore()
        store.commit([(b"%s%05d" % (place, number), b"x") for place in (b"f", b"l") for number in range(2000)])
        broker = NotingBroker(first=1, later=1)
        async with serving(store, broker) as server:
            assert 2000 <= len(broker.taken) < 4000
            async with peer(server.address, Version.V5, "p") as client:
                assert await acknowledged(client, message()) == [1]
                await broker.is_taken_in.wait()
                await server.is_taken_in.wait()
        assert broker.taken == [row for row in sorted(store.rows.items()) if row[0] >= b"f"]

    run(main())


def test_a_store_that_cannot_be_opened_keeps_the_server_from_listening(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        server = BrokerServer(
            ServerConfig(port=0), broker=NotingBroker(), open_store=lambda _: SqliteStore(tmp_path / "no" / "state.db")
        )
        with pytest.raises(StoreError, match=r"state\.db cannot be made"):
            await server.start()
        assert not server.addresses

    run(main())


class Unreadable(GatedStore):
    """Damaged where these keys are."""

    def __init__(self, begin: bytes) -> None:
        super().__init__()
        self.begin = begin
        self.is_read = threading.Event()

    def read(self, begin: bytes, end: bytes, limit: int) -> list[Row]:
        if begin == self.begin:
            self.is_read.set()
            raise StoreError("state.db is damaged")
        return super().read(begin, end, limit)


def test_what_has_to_be_taken_in_first_and_cannot_be_read_keeps_the_server_from_listening(run: Run) -> None:
    async def main() -> None:
        store = Unreadable(b"f")
        server = BrokerServer(ServerConfig(port=0), broker=NotingBroker(first=1), open_store=lambda _: store)
        with pytest.raises(StoreError, match="damaged"):
            await server.start()
        assert store.is_closed
        assert not server.addresses

    run(main())


def test_what_cannot_be_read_later_is_told_at_once_and_at_the_end(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        store = Unreadable(b"l")
        async with serving(store, NotingBroker(later=1)) as server, peer(server.address, Version.V5, "p") as client:
            assert await asyncio.to_thread(store.is_read.wait, 5)
            assert await acknowledged(client, message()) == [1]
            await server.is_taken_in.wait()
        assert str(server.unkept) == "state.db is damaged"

    with caplog.at_level(logging.WARNING, "reference_broker"):
        run(main())
    assert [record.getMessage() for record in caplog.records] == ["not kept: state.db is damaged"]


def test_whatever_is_acknowledged_is_in_the_file_if_the_machine_stops_then(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "state.db"
        server = BrokerServer(
            ServerConfig(port=0), broker=NotingBroker(), open_store=lambda beside: SqliteStore(path, run_beside=beside)
        )
        async with server, peer(server.address, Version.V5, "p") as client:
            for number in range(1, 6):
                await acknowledged(client, message(number))
                folder = tmp_path / str(number)
                folder.mkdir()
                for suffix in ("", "-wal"):
                    shutil.copy(f"{path}{suffix}", folder)
                copy = SqliteStore(folder / "state.db")
                assert len(copy.read(b"", b"\xff", 100)) == number
                copy.close()

    run(main())


def test_a_file_keeps_it_from_one_broker_to_the_next(run: Run, tmp_path: Path) -> None:
    async def once(broker: NotingBroker) -> None:
        server = BrokerServer(
            ServerConfig(port=0),
            broker=broker,
            open_store=lambda beside: SqliteStore(tmp_path / "state.db", run_beside=beside),
        )
        async with server, peer(server.address, Version.V5, "p") as client:
            assert await acknowledged(client, message()) == [1]

    async def main() -> None:
        await once(NotingBroker())
        broker = NotingBroker(first=1)
        broker.first = KeyRange(b"", b"\xff")
        await once(broker)
        assert [key for key, _ in broker.taken] == [b"00000001"]

    run(main())
