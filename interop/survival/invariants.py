"""What has to be true whenever the books are balanced, each with the statement it rests on.

Belongs here: one small object for each rule. Does not belong here: what happened (`book`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from interop.survival.book import Arrival, Book, Grant, Publication
from reference_broker.wire.types import QoS


class Breach(NamedTuple):
    """What is wrong, in words, and the names whose story tells how it came about."""

    text: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule; `breaches` finds where a book breaks it. `is_final` when it is settled only once nothing is under way."""

    sentence: str
    statement: str
    breaches: Callable[[Book], Iterator[Breach]]
    is_final: bool = False


def _undelivered(book: Book) -> Iterator[Breach]:
    shares: dict[str, list[Grant]] = defaultdict(list)
    alone = []
    for grant in book.grants:
        if grant.share:
            shares[grant.share].append(grant)
        else:
            alone.append([grant])
    for grants in [*alone, *shares.values()]:
        receivers = {grant.receiver for grant in grants}
        for publication in book.publications.values():
            if publication.acknowledged is None or not any(_is_owed(publication, grant) for grant in grants):
                continue
            if not any(arrival.receiver in receivers for arrival in book.arrivals.get(publication.name, ())):
                who = " or ".join(sorted(receivers))
                yield Breach(f"{publication.name} was acknowledged and never came to {who}", (publication.name,))


def _is_owed(publication: Publication, grant: Grant) -> bool:
    return _is_covered(publication, grant) and min(publication.qos, grant.qos) > QoS.AT_MOST_ONCE


def _is_covered(publication: Publication, grant: Grant) -> bool:
    """Whether the subscription was there for certain before the message was sent, and still is."""
    return (
        grant.granted is not None
        and grant.unasked is None
        and grant.granted < publication.began
        and grant.is_for(publication.topic)
    )


def _repeated(qos: QoS) -> Callable[[Book], Iterator[Breach]]:
    def breaches(book: Book) -> Iterator[Breach]:
        group_of = {grant.receiver: grant.share for grant in book.grants if grant.share}
        for name, arrivals in book.arrivals.items():
            publication = book.publications.get(name)
            if publication is not None and publication.qos is QoS.AT_LEAST_ONCE:
                continue  # its publisher may send it again, as a message of its own
            counts = Counter(
                group_of.get(arrival.receiver, arrival.receiver)
                for arrival in arrivals
                if arrival.qos is qos and not arrival.is_retained
            )
            for receiver, count in counts.items():
                if count > 1:
                    yield Breach(f"{name} came {count} times to {receiver} at QoS {qos}", (name,))
            if publication is None and name in book.closed and counts:
                yield Breach(f"{name} came again at QoS {qos} after the books balanced", (name,))

    return breaches


def _disordered(book: Book) -> Iterator[Breach]:
    """Of what was sent before the subscription was certain, some may come only when it is sent again."""
    alone: dict[str, list[Grant]] = defaultdict(list)
    for grant in book.grants:
        if not grant.share:
            alone[grant.receiver].append(grant)
    firsts: dict[tuple[str, str, str, QoS, QoS], dict[str, Arrival]] = defaultdict(dict)
    for name, arrivals in book.arrivals.items():
        publication = book.publications.get(name)
        if publication is None:
            continue
        for arrival in arrivals:
            is_covered = any(_is_covered(publication, grant) for grant in alone[arrival.receiver])
            if is_covered and not arrival.is_retained:
                stream = (
                    arrival.receiver, publication.publisher, publication.topic, publication.qos, arrival.qos
                )  # fmt: skip
                firsts[stream].setdefault(name, arrival)
    for (receiver, *_), by_name in firsts.items():
        in_time = sorted(by_name.values(), key=lambda arrival: arrival.at)
        for before, after in pairwise(in_time):
            if book.publications[before.name].number > book.publications[after.name].number:
                yield Breach(
                    f"{before.name} came to {receiver} before {after.name}, which was sent first",
                    (before.name, after.name),
                )


def _not_asked_for(book: Book) -> Iterator[Breach]:
    grants: dict[str, list[Grant]] = defaultdict(list)
    for grant in book.grants:
        grants[grant.receiver].append(grant)
    for name, arrivals in book.arrivals.items():
        publication = book.publications.get(name)
        for arrival in arrivals:
            if not any(_is_asked_for(arrival, publication, grant) for grant in grants[arrival.receiver]):
                yield Breach(f"{name} came to {arrival.receiver}, which had no subscription for it", (name,))


def _is_asked_for(arrival: Arrival, publication: Publication | None, grant: Grant) -> bool:
    if not (grant.asked < arrival.at and grant.is_for(arrival.topic)):
        return False
    if grant.over is None or arrival.at < grant.over:
        return True
    return not grant.is_session_over and publication is not None and publication.began < grant.over


def _altered(book: Book) -> Iterator[Breach]:
    for name, arrivals in book.arrivals.items():
        publication = book.publications.get(name)
        if publication is None:
            if name not in book.closed:
                yield Breach(f"{name!r} came, which nobody sent", (name,))
            continue
        for arrival in arrivals:
            if arrival.topic != publication.topic:
                yield Breach(f"{name} was sent to {publication.topic} and came as {arrival.topic}", (name,))


def _wrong_presence(book: Book) -> Iterator[Breach]:
    for presence in book.presences:
        if presence.expected is not None and presence.expected is not presence.said:
            yield Breach(
                f"{presence.client} was told session present {presence.said:d}, not {presence.expected:d}",
                (f"{presence.client} ",),
            )


def _wrong_retained(book: Book) -> Iterator[Breach]:
    for reading in book.readings:
        if reading.got not in reading.possible:
            names = tuple(name for name in (reading.got, *reading.possible) if name)
            allowed = " or ".join(str(name) for name in reading.possible)
            yield Breach(f"{reading.topic} has retained {reading.got}, not {allowed}", names)


def _unpublished_wills(book: Book) -> Iterator[Breach]:
    for will in book.wills:
        name = will.publication.name
        is_owed = will.must is True and any(_is_owed(will.publication, grant) for grant in book.grants)
        if is_owed and name not in book.arrivals:
            yield Breach(f"the will {name} was not published", (name,))


def _unwanted_wills(book: Book) -> Iterator[Breach]:
    for will in book.wills:
        name = will.publication.name
        if will.must is False and name in book.arrivals:
            yield Breach(f"the will {name} was published though its client came back in time", (name,))


def _protocol_faults(book: Book) -> Iterator[Breach]:
    for client, text in book.faults:
        yield Breach(f"{client}: {text}", (f"{client} ",))


INVARIANTS = (
    Invariant(
        "Every message that was acknowledged comes to every session that had subscribed.",
        "3.1.1 MQTT-4.4.0-1, 4.5; 5.0 4.1, 4.5",
        _undelivered,
        is_final=True,
    ),
    Invariant("A QoS 2 message comes once.", "3.1.1 MQTT-4.3.3-2; 5.0 4.3.3", _repeated(QoS.EXACTLY_ONCE)),
    Invariant("A QoS 0 message comes at most once.", "3.1.1 4.3.1; 5.0 4.3.1", _repeated(QoS.AT_MOST_ONCE)),
    Invariant(
        "Messages of one publisher, topic and QoS come in the order in which they were sent.",
        "3.1.1 MQTT-4.6.0-5, -6; 5.0 MQTT-4.6.0-5, -6",
        _disordered,
    ),
    Invariant(
        "Nothing comes to a session that did not subscribe to it, nor what an ended session had.",
        "3.1.1 MQTT-3.1.2-6, MQTT-3.10.4-2; 5.0 MQTT-3.1.2-4, MQTT-3.10.4-3",
        _not_asked_for,
    ),
    Invariant("A message is what was sent.", "5.0 MQTT-4.5.0-1", _altered),
    Invariant(
        "CONNACK says that a session is present when it was kept and when it did not end.",
        "3.1.1 MQTT-3.2.2-2, -3; 5.0 MQTT-3.2.2-3",
        _wrong_presence,
    ),
    Invariant(
        "A retained message is the last that was acknowledged, or a later one.",
        "3.1.1 MQTT-3.3.1-5, -10; 5.0 MQTT-3.3.1-5, -6",
        _wrong_retained,
    ),
    Invariant(
        "A will is published when its connection ends without DISCONNECT.",
        "3.1.1 MQTT-3.1.2-8; 5.0 MQTT-3.1.2-8",
        _unpublished_wills,
        is_final=True,
    ),
    Invariant("A delayed will is not published when its client is back in time.", "5.0 MQTT-3.1.3-9", _unwanted_wills),
    Invariant("The broker keeps to the protocol.", "3.1.1 MQTT-4.8.0-1; 5.0 4.13", _protocol_faults),
)
