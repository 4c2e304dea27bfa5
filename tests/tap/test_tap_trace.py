"""The trace: entries answer who sent and who got, and a new one wakes who waits."""

from __future__ import annotations

import asyncio
import time

import pytest

from interop.tap.trace import Fate, Kind, Sender, Trace
from reference_broker.wire.packets import Publish

CLIENT, BROKER = Sender.CLIENT, Sender.BROKER


def a_trace() -> Trace:
    return Trace(lambda: 0.0)


@pytest.mark.parametrize(
    ("fate", "sent", "delivered"),
    [
        (Fate.FORWARDED, True, True),
        (Fate.DROPPED, True, False),
        (Fate.HELD, True, False),
        (Fate.DELAYED, True, False),
        (Fate.LOST, True, False),
        (Fate.REWRITTEN, True, False),
        (Fate.RELEASED, False, True),
        (Fate.INJECTED, False, True),
    ],
)
def test_a_fate_tells_whether_the_bytes_were_sent_and_whether_they_arrived(
    fate: Fate, sent: bool, delivered: bool
) -> None:
    entry = a_trace().record("pub", 1, Kind.PACKET, CLIENT, fate=fate)
    assert (entry.sent, entry.delivered) == (sent, delivered)


def test_the_harness_never_counts_as_a_sender() -> None:
    assert not a_trace().record("pub", 1, Kind.PACKET, Sender.HARNESS, fate=Fate.LOST).sent


def test_sides_are_each_others_peers() -> None:
    assert (CLIENT.peer, BROKER.peer) == (BROKER, CLIENT)


def test_queries_look_at_one_link_and_if_asked_one_connection() -> None:
    trace = a_trace()
    for link, connection in (("pub", 1), ("sub", 1), ("pub", 2)):
        trace.record(link, connection, Kind.OPEN, CLIENT)
        trace.record(link, connection, Kind.PACKET, CLIENT, receiver=BROKER)
        trace.record(link, connection, Kind.MALFORMED, BROKER, receiver=CLIENT)
    assert [e.index for e in trace.sent_by(CLIENT, "pub")] == [1, 7]
    assert [e.index for e in trace.sent_by(CLIENT, "pub", 2)] == [7]
    assert [e.index for e in trace.received_by(CLIENT, "sub")] == [5]


def test_what_happened_on_a_link_is_asked_for_from_a_moment_on_by_kind_and_from_either_end() -> None:
    trace = a_trace()
    for link in ("pub", "sub", "pub"):
        trace.record(link, 1, Kind.OPEN, CLIENT)
        trace.record(link, 1, Kind.CLOSE, BROKER)
    assert [e.index for e in trace.of("pub")] == [0, 1, 4, 5]
    assert [e.index for e in trace.of("pub", 1)] == [1, 4, 5]
    assert [e.index for e in trace.of("pub", 2, Kind.CLOSE)] == [5]
    assert [e.index for e in trace.of("pub", newest_first=True)] == [5, 4, 1, 0]
    assert [e.index for e in trace.of("other")] == []
    trace.record("pub", 2, Kind.OPEN, CLIENT)
    assert [e.index for e in trace.of("pub", kind=Kind.OPEN)] == [0, 4, 6]


def test_a_message_is_found_by_link_topic_and_payload_also_under_an_alias() -> None:
    trace = a_trace()
    for link, topic, payload in (("sub", "t", b"x"), ("pub", "t", b"x"), ("sub", "t", b"y"), ("sub", "", b"x")):
        trace.record(link, 1, Kind.PACKET, BROKER, packet=Publish(topic, payload), receiver=CLIENT)
    assert [e.index for e in trace.publishes("sub", "t", b"x")] == [0, 3]
    assert [e.index for e in trace.publishes("sub", "", b"x")] == [3]
    assert trace.publishes("sub", "u", b"y") == []


def test_a_question_about_one_of_many_messages_takes_no_longer_than_about_one_of_few() -> None:
    def seconds(count: int) -> float:
        """CPU time to ask a thousand times."""
        trace = a_trace()
        for number in range(count):
            trace.record("sub", 1, Kind.PACKET, BROKER, packet=Publish("t", b"%d" % number), receiver=CLIENT)
        list(trace.of("sub"))
        spent = []
        for _ in range(3):
            began = time.process_time()
            for number in range(1000):
                assert trace.publishes("sub", "t", b"%d" % (number % count))
                assert list(trace.of("sub", count - 1))
                assert trace.last_fault("sub") is None
            spent.append(time.process_time() - began)
        return min(spent)

    assert seconds(20_000) < 10 * seconds(200)


def test_the_last_fault_is_the_links_own_and_no_thaw() -> None:
    trace = a_trace()
    assert trace.last_fault("pub") is None
    trace.record("pub", 1, Kind.FAULT, Sender.HARNESS, note="freeze")
    trace.record("sub", 1, Kind.FAULT, Sender.HARNESS, note="cut")
    trace.record("pub", 1, Kind.FAULT, Sender.HARNESS, note="thaw", fate=Fate.RELEASED)
    assert trace.last_fault("pub") == 0


def test_a_side_closed_when_its_end_was_read_not_when_it_was_passed_on() -> None:
    trace = a_trace()
    assert trace.closed_by(CLIENT, "pub", 1) is None
    trace.record("pub", 1, Kind.CLOSE, CLIENT, fate=Fate.HELD, at=1.0)
    trace.record("pub", 1, Kind.CLOSE, CLIENT, fate=Fate.RELEASED, at=2.0)
    ending = trace.closed_by(CLIENT, "pub", 1)
    assert ending is not None
    assert ending.at == 1.0
    assert trace.closed_by(CLIENT, "pub", 2) is None


def test_who_waits_is_woken_by_the_next_entry() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        trace = Trace(loop.time)
        waiting = [asyncio.ensure_future(trace.changed(0)), asyncio.ensure_future(trace.changed(0, loop.time() + 9))]
        await asyncio.sleep(0)
        trace.record("pub", 1, Kind.OPEN, CLIENT)
        assert await asyncio.gather(*waiting) == [True, True]
        assert await trace.changed(0)

    asyncio.run(asyncio.wait_for(story(), 5))  # type: ignore[arg-type]  # a coroutine is passed


def test_who_waits_is_told_when_the_deadline_comes_first() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        trace = Trace(loop.time)
        assert not await trace.changed(0, loop.time() + 0.01)
        assert not await trace.changed(0, loop.time() - 1)

    asyncio.run(asyncio.wait_for(story(), 5))  # type: ignore[arg-type]  # a coroutine is passed
