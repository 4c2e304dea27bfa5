"""A trace may have hundreds of thousands of entries: what the judge does for each message does not grow with them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_story import BROKER, CLIENT, Story, q1, q2, to

from interop.judge import judge
from interop.judge.order import AnswerOrder
from interop.judge.view import Event
from interop.tap.trace import Kind, Trace, TraceEntry
from reference_broker.wire.packets import PubAck, PubComp, PubRec, PubRel
from reference_broker.wire.types import Version

pytestmark = pytest.mark.thorough

FEW, TIMES_MORE = 400, 20
ALLOWED_GROWTH = 50
"""20 for what is linear, up to 400 for what is not."""
ATTEMPTS = 6
"""A processor that changes its speed between the two makes one attempt say nothing; six do not all err one way."""

Tell = Callable[[Story, int], None]


def from_publisher_to_subscriber(story: Story, count: int) -> None:
    sub, pub = story.actor("sub"), story.actor("pub")
    sub.connect()
    sub.subscribe(to("#", 1))
    pub.connect()
    for number in range(1, count + 1):
        pub.publish(q1(number, f"{number}"))
        sub.deliver(q1(number, f"{number}"))
    sub.unsubscribe("#")


def all_in_flight_at_once(story: Story, count: int) -> None:
    pub = story.actor("pub")
    pub.connect()
    numbers = range(1, count + 1)
    for number in numbers:
        pub.client(q2(number, f"{number}"))
    for ask, answer in ((pub.broker, PubRec), (pub.client, PubRel), (pub.broker, PubComp)):
        for number in numbers:
            ask(answer(number))


def acknowledged_backwards(story: Story, count: int) -> None:
    sub = story.actor("sub")
    sub.connect()
    for number in range(1, count + 1):
        sub.broker(q1(number, f"{number}"))
    for number in range(count, 0, -1):
        sub.client(PubAck(number))


def each_repeated_before_its_pubrel(story: Story, count: int) -> None:
    sub, pub = story.actor("sub"), story.actor("pub")
    sub.connect()
    sub.subscribe(to("t", 1))
    pub.connect()
    for number in range(1, count + 1):
        pub.client(q2(number, f"{number}"))
        pub.client(q2(number, f"{number}", dup=True))
        sub.broker(q1(number, f"{number}"))


def all_sent_again_in_a_new_session(story: Story, count: int) -> None:
    pub = story.actor("pub")
    for dup in (False, True):
        pub.connect()
        for number in range(1, count + 1):
            pub.client(q2(number, f"{number}", dup=dup))
            if dup:
                pub.client(PubRel(number))
        pub.cut()


def subscribed_one_by_one(story: Story, count: int) -> None:
    sub = story.actor("sub")
    sub.connect()
    for number in range(1, count + 1):
        sub.subscribe(to(f"{number}"), packet_id=number)


@pytest.mark.parametrize(
    "tell",
    [
        from_publisher_to_subscriber,
        all_in_flight_at_once,
        acknowledged_backwards,
        each_repeated_before_its_pubrel,
        all_sent_again_in_a_new_session,
        subscribed_one_by_one,
    ],
    ids=lambda tell: tell.__name__,
)
def test_twenty_times_as_many_messages_take_about_twenty_times_as_long(tell: Tell) -> None:
    few, many = _trace(tell, FEW), _trace(tell, FEW * TIMES_MORE)
    growth: list[float] = []
    while not growth or (min(growth) >= ALLOWED_GROWTH and len(growth) < ATTEMPTS):
        growth.append(_seconds(many) / _seconds(few))
    assert min(growth) < ALLOWED_GROWTH


def _trace(tell: Tell, count: int) -> list[TraceEntry]:
    story = Story(Version.V5)
    tell(story, count)
    return list(story.trace)


def _seconds(entries: list[TraceEntry]) -> float:
    """CPU time, which no other process adds to; the best of some."""
    spent = []
    for _ in range(3):
        began = time.process_time()
        judge(entries, Version.V5)
        spent.append(time.process_time() - began)
    return min(spent)


# --- answers in order -------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 6)), max_size=40))
def test_an_answer_is_overtaken_by_the_first_that_left_for_something_asked_later(story: list[tuple[bool, int]]) -> None:
    order, waiting, overtaken = AnswerOrder(), list[int](), dict[int, Event]()
    trace = Trace(lambda: 0.0)
    for is_asked, packet_id in story:
        if is_asked:
            order.asked(packet_id)
            waiting += [packet_id] * (packet_id not in waiting)
            continue
        entry = trace.record("pub", 1, Kind.PACKET, BROKER, packet=PubAck(packet_id), receiver=CLIENT)
        answer = Event(entry, PubAck(packet_id), mine=True)
        by = order.answered(packet_id, answer)
        if packet_id not in waiting:
            assert by is None
            continue
        assert by == overtaken.pop(packet_id, None)
        place = waiting.index(packet_id)
        for earlier in waiting[:place]:
            overtaken.setdefault(earlier, answer)
        del waiting[place]
