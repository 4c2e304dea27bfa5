"""Books that do not balance are told from those that do, and a broker that is killed balances them."""

from __future__ import annotations

from pathlib import Path

import pytest

from interop.cli import main
from interop.survival.book import Arrival, Book, Grant, PresenceBook, Publication, RetainedReading, WillBook
from interop.survival.invariants import INVARIANTS
from reference_broker.wire.types import QoS

ONCE, LEAST, MOST = QoS.EXACTLY_ONCE, QoS.AT_LEAST_ONCE, QoS.AT_MOST_ONCE


class Writing:
    """Makes a book in the order of what happens."""

    def __init__(self) -> None:
        self.book = Book()

    def subscribed(self, receiver: str = "s", qos: QoS = ONCE, share: str = "") -> Grant:
        grant = Grant(receiver, "m/#", share, qos, self.book.tell("asks"), self.book.tell("has"))
        self.book.grants.append(grant)
        return grant

    def sent(self, number: int = 1, qos: QoS = ONCE, *, acknowledged: bool = True) -> Publication:
        publication = Publication(f"p:{number}", "m/a", qos, "p", number, self.book.tell("sends"))
        self.book.publications[publication.name] = publication
        if acknowledged:
            publication.acknowledged = self.book.tell("acknowledged")
        return publication

    def came(self, publication: Publication, receiver: str = "s", qos: QoS = ONCE, topic: str = "m/a") -> None:
        at = self.book.tell("gets")
        self.book.arrived(Arrival(at, receiver, publication.name, topic, qos, is_resent=False, is_retained=False))

    def broken(self) -> list[str]:
        return [breach.text for invariant in INVARIANTS for breach in invariant.breaches(self.book)]


@pytest.fixture
def writing() -> Writing:
    return Writing()


def test_what_was_acknowledged_and_came_once_in_order_balances(writing: Writing) -> None:
    writing.subscribed()
    first, second = writing.sent(1), writing.sent(2)
    writing.came(first)
    writing.came(second)
    assert writing.broken() == []


def test_an_acknowledged_message_that_never_came_is_missed_by_who_had_subscribed(writing: Writing) -> None:
    writing.sent(1)
    writing.subscribed()
    writing.subscribed("q0", MOST)
    writing.sent(2, acknowledged=False)
    assert writing.broken() == []
    writing.sent(3)
    assert writing.broken() == ["p:3 was acknowledged and never came to s"]


def test_one_member_of_a_share_is_enough_and_two_are_one_too_many(writing: Writing) -> None:
    writing.subscribed("a", share="g")
    writing.subscribed("b", share="g")
    publication = writing.sent()
    assert writing.broken() == ["p:1 was acknowledged and never came to a or b"]
    writing.came(publication, "a")
    assert writing.broken() == []
    writing.came(publication, "b")
    assert writing.broken() == ["p:1 came 2 times to g at QoS 2"]


@pytest.mark.parametrize(("sent", "came", "is_wrong"), [(ONCE, ONCE, True), (LEAST, LEAST, False), (ONCE, MOST, True)])
def test_only_a_qos_1_message_may_come_twice(writing: Writing, sent: QoS, came: QoS, is_wrong: bool) -> None:
    writing.subscribed(qos=came)
    publication = writing.sent(qos=sent)
    writing.came(publication, qos=came)
    writing.came(publication, qos=came)
    assert writing.broken() == [f"p:1 came 2 times to s at QoS {came}"] * is_wrong


def test_a_qos_2_message_does_not_come_again_once_the_books_were_balanced(writing: Writing) -> None:
    writing.subscribed()
    publication = writing.sent()
    writing.came(publication)
    writing.book.close()
    writing.came(publication)
    assert writing.broken() == ["p:1 came again at QoS 2 after the books balanced"]


def test_the_first_copies_are_in_order(writing: Writing) -> None:
    writing.subscribed(qos=LEAST)
    first, second = writing.sent(1, LEAST), writing.sent(2, LEAST)
    for publication in (first, second, first, second):
        writing.came(publication, qos=LEAST)
    assert writing.broken() == []
    third, fourth = writing.sent(3, LEAST), writing.sent(4, LEAST)
    writing.came(fourth, qos=LEAST)
    writing.came(third, qos=LEAST)
    assert writing.broken() == ["p:4 came to s before p:3, which was sent first"]


def test_what_was_sent_before_the_subscription_was_certain_may_come_when_it_is_sent_again(writing: Writing) -> None:
    grant = writing.subscribed(qos=LEAST)
    first, second = writing.sent(1, LEAST), writing.sent(2, LEAST)
    grant.granted = writing.book.tell("has")
    writing.came(second, qos=LEAST)
    writing.came(first, qos=LEAST)
    assert writing.broken() == []


@pytest.mark.parametrize("is_session_over", [False, True])
def test_what_was_queued_comes_behind_unsuback_but_not_behind_the_end_of_a_session(
    writing: Writing, is_session_over: bool
) -> None:
    grant = writing.subscribed()
    queued = writing.sent(1)
    grant.unasked = grant.over = writing.book.tell("over")
    grant.is_session_over = is_session_over
    writing.came(queued)
    assert writing.broken() == ["p:1 came to s, which had no subscription for it"] * is_session_over
    writing.came(writing.sent(2))
    assert "p:2 came to s, which had no subscription for it" in writing.broken()


def test_a_message_nobody_sent_or_under_another_topic_is_told(writing: Writing) -> None:
    writing.subscribed()
    publication = writing.sent()
    writing.came(publication, topic="m/b")
    writing.came(Publication("x", "m/a", ONCE, "p", 1, 0))
    assert writing.broken() == ["p:1 was sent to m/a and came as m/b", "'x' came, which nobody sent"]


def test_session_present_is_what_was_acknowledged_where_anything_was(writing: Writing) -> None:
    for expected, said in ((None, True), (None, False), (True, True), (True, False), (False, True)):
        writing.book.presences.append(PresenceBook("c", 1, expected, said))
    assert writing.broken() == ["c was told session present 0, not 1", "c was told session present 1, not 0"]


def test_a_retained_message_is_none_older_than_the_last_acknowledged(writing: Writing) -> None:
    writing.book.readings += [RetainedReading(1, "r", got, ("b", None)) for got in ("a", "b", None)]
    assert writing.broken() == ["r has retained a, not b or None"]


@pytest.mark.parametrize(("must", "came", "told"), [
    (True, False, ["the will p:1 was not published"]),
    (True, True, []),
    (False, True, ["the will p:1 was published though its client came back in time"]),
    (False, False, []),
    (None, False, []),
    (None, True, []),
])  # fmt: skip
def test_a_will_is_published_when_it_has_to_be(
    writing: Writing, must: bool | None, came: bool, told: list[str]
) -> None:
    writing.subscribed()
    will = writing.sent(acknowledged=False)
    writing.book.wills.append(WillBook(will, must))
    if came:
        writing.came(will)
    assert writing.broken() == told


def test_a_will_that_comes_late_came_once_whatever_was_balanced_meanwhile(writing: Writing) -> None:
    """Nobody was owed it: the subscription was not certain when its client connected."""
    will = writing.sent(acknowledged=False)
    writing.book.wills.append(WillBook(will))
    writing.subscribed()
    writing.book.close()
    writing.came(will)
    assert writing.broken() == []
    writing.book.close()
    writing.came(will)
    assert writing.broken() == ["p:1 came again at QoS 2 after the books balanced"]


def test_the_story_of_a_message_has_what_the_broker_did_meanwhile() -> None:
    book = Book()
    for text in ("the broker listens", "p sends p:1 to m/a", "q connects", "the broker is killed", "s gets p:1"):
        book.tell(text)
    assert list(book.story(("p:1",))) == ["2 p sends p:1 to m/a", "4 the broker is killed", "5 s gets p:1"]
    assert list(book.story(("q ",))) == ["3 q connects", "4 the broker is killed"]


@pytest.mark.thorough
def test_a_broker_that_is_killed_twice_balances_the_books(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["survive", "--times", "2", "--seed", "1", "--out", str(tmp_path)]) == 0
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first.startswith("seed 1: 2 kills in ")
    assert second.startswith("start ")


def test_a_broker_that_does_not_start_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["survive", "--times", "1", "--broker-option=--no-such", "--out", str(tmp_path)]) == 2
    assert "the broker did not start: " in capsys.readouterr().err
