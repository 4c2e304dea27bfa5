"""QoS 1 and 2 from the side that publishes: packet identifiers, DUP, re-sending, PUBREL.

Belongs here: one side's outgoing messages over a session, followed state by state. [3.1.1 4.3, 5.0 4.3]
Does not belong here: the receiver's answers (`acknowledgements`), how many may be under way (`flow_control`).

An acknowledgement counts when it was delivered to the side that is judged, whoever sent it. After an answer that does
not fit the message's state nobody can say what the side makes of it, and its identifier is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from interop.judge.order import AnswerOrder
from interop.judge.rule import V5, V31, V311, Breach, Rule, must, should
from interop.judge.view import BROKER, CLIENT, Case, Chain, Event, Talk
from interop.tap.trace import Sender
from reference_broker.wire.packets import Publish, PubRec, PubRel, Subscribe, Unsubscribe
from reference_broker.wire.types import PacketType, QoS, Version, is_error

PACKET_ID_IN_USE = Rule(
    "packet-id-in-use",
    "a new packet has an identifier that no unfinished packet of its sender uses",
    client={V31: must("MQTT31-42"), V311: must("MQTT-2.3.1-2"), V5: must("MQTT-2.2.1-3")},
    broker={V31: must("MQTT31-42"), V311: must("MQTT-2.3.1-4"), V5: must("MQTT-2.2.1-4")},
)
FIRST_HAS_NO_DUP = Rule(
    "first-delivery-without-dup",
    "a message is sent for the first time with DUP 0",
    client={
        V311: must("MQTT-4.3.2-1", "MQTT-4.3.3-1"),
        V5: must("MQTT-4.3.2-2", "MQTT-4.3.3-2"),
    },
    broker={
        V311: must("MQTT-3.3.1-3", "MQTT-4.3.2-1", "MQTT-4.3.3-1"),
        V5: must("MQTT-3.3.1-3", "MQTT-4.3.2-2", "MQTT-4.3.3-2"),
    },
)
NEW_SESSION_IS_NEW = Rule(
    "new-session-is-new",
    "nothing that was unfinished in an earlier session is sent again in a new one",
    client={V311: must("MQTT-3.1.2-6"), V5: must("MQTT-3.1.2-4", "MQTT-3.2.2-5")},
    broker={V31: must("MQTT31-30"), V311: must("MQTT-3.1.2-6"), V5: must("MQTT-3.1.2-4")},
)
AGAIN_HAS_DUP = Rule(
    "redelivery-with-dup",
    "a message that is sent again has DUP 1",
    both={V31: should("MQTT31-48"), V311: must("MQTT-3.3.1-1"), V5: must("MQTT-3.3.1-1")},
)
NO_PUBLISH_AFTER_PUBREL = Rule(
    "no-publish-after-pubrel",
    "once PUBREL was sent the PUBLISH is not sent again",
    both={V311: must("MQTT-4.3.3-1"), V5: must("MQTT-4.3.3-6")},
)
ONLY_ON_RECONNECT = Rule(
    "resend-only-on-reconnect",
    "PUBLISH and PUBREL are sent again only when a session goes on over a new connection",
    both={V5: must("MQTT-4.4.0-1")},
)
RESENDS = Rule(
    "resends-unfinished",
    "when a session goes on, what was not acknowledged is sent again: PUBLISH, or PUBREL once there was a PUBREC",
    both={V31: should("MQTT31-16"), V311: must("MQTT-4.4.0-1"), V5: must("MQTT-4.4.0-1")},
    waits=True,
)
RESEND_ORDER = Rule(
    "resend-order",
    "messages are sent again in the order in which they were first sent",
    client={V311: must("MQTT-4.6.0-1"), V5: must("MQTT-4.6.0-1")},
    broker={V311: must("MQTT-4.6.0-6")},
)
PUBREL_NEEDS_PUBREC = Rule(
    "pubrel-needs-pubrec",
    "PUBREL is sent in answer to PUBREC",
    both={V31: must("MQTT31-34"), V311: must("MQTT-4.3.3-1"), V5: must("MQTT-4.3.3-4")},
)
PUBREC_GETS_PUBREL = Rule(
    "answers-pubrec",
    "PUBREC is answered by PUBREL",
    both={V31: must("MQTT31-34"), V311: must("MQTT-4.3.3-1"), V5: must("MQTT-4.3.3-4")},
    waits=True,
)
PUBREL_ORDER = Rule(
    "pubrel-order",
    "PUBRELs leave in the order the PUBRECs came in",
    client={V311: must("MQTT-4.6.0-4"), V5: must("MQTT-4.6.0-4")},
    broker={V311: must("MQTT-4.6.0-6")},
)
RULES = (
    PACKET_ID_IN_USE,
    FIRST_HAS_NO_DUP,
    NEW_SESSION_IS_NEW,
    AGAIN_HAS_DUP,
    NO_PUBLISH_AFTER_PUBREL,
    ONLY_ON_RECONNECT,
    RESENDS,
    RESEND_ORDER,
    PUBREL_NEEDS_PUBREC,
    PUBREC_GETS_PUBREL,
    PUBREL_ORDER,
)

_OF_THE_OTHER_QOS = {
    (V311, QoS.AT_LEAST_ONCE): "MQTT-4.3.3-1",
    (V311, QoS.EXACTLY_ONCE): "MQTT-4.3.2-1",
    (V5, QoS.AT_LEAST_ONCE): "MQTT-4.3.3-2",
    (V5, QoS.EXACTLY_ONCE): "MQTT-4.3.2-2",
}
"""Which statement about a first DUP a message of one QoS cannot break."""

_RESEND_WINDOW = 10
"""So many unfinished messages a sender may have to send again at once before limits of its own may hold some back."""

_CROSSING_SECONDS = 0.1
"""What is sent again this soon after its PUBACK came (and the round trip) was on its way already."""

_IN_DOUBT = -1
"""The place of a PUBREC that came twice: PUBREL may follow the order of either."""


def inspect(case: Case) -> Iterator[Breach]:
    """Follow what each side publishes, session by session."""
    for side in (CLIENT, BROKER):
        left_over: dict[str, _LeftOver] = {}  # by client identifier
        for chain in case.chains(side):
            if chain.may_go_on:
                left_over.pop(chain.client_id, None)
            of_client = left_over.setdefault(chain.client_id, _LeftOver())
            publisher = _Publisher(chain, of_client)
            yield from publisher.follow()
            of_client.add(publisher.unfinished())


class _LeftOver:
    """What the earlier sessions of a client did not finish."""

    def __init__(self) -> None:
        self._by_content: dict[tuple[bytes, QoS], list[Publish]] = {}
        self._to_release: set[int | None] = set()

    def add(self, publishes: Iterable[Publish]) -> None:
        """A session is over, with these unfinished."""
        for publish in publishes:
            self._by_content.setdefault((publish.payload, publish.qos), []).append(publish)
            if publish.qos is QoS.EXACTLY_ONCE:
                self._to_release.add(publish.packet_id)

    def has(self, publish: Publish) -> bool:
        """Whether a PUBLISH repeats one of them."""
        return any(_is_same(publish, old) for old in self._by_content.get((publish.payload, publish.qos), ()))

    def owes_release(self, packet_id: int) -> bool:
        """Whether one of them was of QoS 2 and had this identifier."""
        return packet_id in self._to_release


@dataclass
class _Flow:
    """One unfinished message: how far it is, and on which connection each stage was last sent."""

    publish: Publish
    number: int  # in order of first sending
    size: int
    talk: Talk
    received: Event | None = None  # the PUBREC
    released: bool = False
    place: int = 0  # among the PUBRECs of its session; 0 for none


class _Publisher:
    """One side's outgoing messages over a session."""

    def __init__(self, chain: Chain, left_over: _LeftOver) -> None:
        self._chain = chain
        self._left_over = left_over
        self._side: Sender = chain.side
        self._flows: dict[int, _Flow] = {}
        self._requests: dict[int, Event] = {}  # SUBSCRIBE and UNSUBSCRIBE, which end with the connection
        self._ever: set[int] = set()
        self._uncertain: set[int] = set()
        self._numbers = 0
        self._places = 0
        self._begin()

    def _begin(self) -> None:
        """A new connection begins."""
        self._requests.clear()
        self._carried = dict(self._flows)
        self._owed = {packet_id for packet_id, flow in self._flows.items() if flow.received}  # PUBRELs
        self._resent = 0  # the highest number sent again on this connection
        self._pubrecs: dict[int, int] = {}  # not yet answered on this connection, by identifier
        self._pubrel_order = AnswerOrder()
        self._resumed_order = AnswerOrder()  # of PUBRELs whose PUBREC came in on an earlier connection
        self._places_before = self._places
        for flow in sorted(self._carried.values(), key=lambda each: each.place):
            if flow.place > 0 and flow.publish.packet_id is not None:
                self._resumed_order.asked(flow.publish.packet_id)
        self._settled: dict[int, tuple[_Flow, float]] = {}  # by PUBACK on this connection, and when
        self._touched: set[int] = set()  # identifiers a carried message was sent again or settled under

    def follow(self) -> Iterator[Breach]:
        """Go through all connections."""
        knows_all = self._chain.is_complete
        for talk in self._chain.talks:
            self._begin()
            for event in talk.story(self._side):
                if event.mine:
                    yield from self._sends(talk, event, knows_all)
                else:
                    self._gets(event)
            if not talk.is_understood(self._side):
                return
            yield from self._unanswered(talk)
            yield from self._not_resent(talk)
            knows_all = knows_all and talk.tells_all(self._side)

    def unfinished(self) -> list[Publish]:
        """What is not acknowledged in the end."""
        return [flow.publish for flow in self._flows.values()]

    # --- what the side sends ------------------------------------------------------------------------------------------

    def _sends(self, talk: Talk, event: Event, knows_all: bool) -> Iterator[Breach]:
        packet = event.packet
        if isinstance(packet, Publish) and packet.packet_id is not None:
            yield from self._publishes(talk, event, packet, packet.packet_id, knows_all)
        elif isinstance(packet, PubRel):
            yield from self._releases(talk, event, packet)
        elif isinstance(packet, Subscribe | Unsubscribe):
            used = packet.packet_id in self._requests or packet.packet_id in self._flows
            if used and not packet.dup and packet.packet_id not in self._uncertain:
                yield self._broken(PACKET_ID_IN_USE, event, f"{packet.type.name} has identifier {packet.packet_id}, "
                                   "which is not free yet")  # fmt: skip
            self._requests[packet.packet_id] = event

    def _publishes(
        self, talk: Talk, event: Event, publish: Publish, packet_id: int, knows_all: bool
    ) -> Iterator[Breach]:
        flow = self._flows.get(packet_id)
        again = flow or self._crossed(talk, event, publish, packet_id)
        if again is not None and _is_same(again.publish, publish):
            yield from self._publishes_again(talk, event, publish, again)
            return
        if (flow is not None or packet_id in self._requests) and packet_id not in self._uncertain:
            yield self._broken(
                PACKET_ID_IN_USE, event, f"a new PUBLISH has identifier {packet_id}, which is not free yet"
            )
        elif publish.dup and self._left_over.has(publish):
            message = f"PUBLISH {packet_id} was unfinished in an earlier session and is sent again in a new one"
            yield NEW_SESSION_IS_NEW.broken(self._side, event.entry, message, self._no_session_ids(talk))
        elif publish.dup and knows_all and packet_id not in self._uncertain:
            message = f"PUBLISH {packet_id} has DUP 1 and was never sent before in its session"
            yield FIRST_HAS_NO_DUP.broken(self._side, event.entry, message, self._first_delivery_ids(talk, publish))
        self._numbers += 1
        self._flows[packet_id] = _Flow(publish, self._numbers, len(event.entry.data), talk)
        self._ever.add(packet_id)
        self._uncertain.discard(packet_id)

    def _crossed(self, talk: Talk, event: Event, publish: Publish, packet_id: int) -> _Flow | None:
        """The message of that identifier whose PUBACK this PUBLISH may have crossed on its way."""
        flow, when = self._settled.get(packet_id, (None, 0.0))
        return flow if publish.dup and event.at - when <= _CROSSING_SECONDS + talk.round_trip_seconds else None

    def _first_delivery_ids(self, talk: Talk, publish: Publish) -> tuple[str, ...]:
        """QoS 1 and QoS 2 have a statement each."""
        clause = FIRST_HAS_NO_DUP.clauses(self._side).get(talk.version)
        other = _OF_THE_OTHER_QOS.get((talk.version, publish.qos))
        return () if clause is None else tuple(each for each in clause.ids if each != other)

    def _no_session_ids(self, talk: Talk) -> tuple[str, ...] | None:
        """5.0 has one statement for a clean start and another for a client whose session the server lost."""
        connect = talk.connect(self._side)
        if talk.version is not Version.V5 or connect is None:
            return None
        return ("MQTT-3.1.2-4",) if connect[1].clean_start or self._side is BROKER else ("MQTT-3.2.2-5",)

    def _publishes_again(self, talk: Talk, event: Event, publish: Publish, flow: _Flow) -> Iterator[Breach]:
        what = f"PUBLISH {publish.packet_id}"
        if not publish.dup:
            yield self._broken(AGAIN_HAS_DUP, event, f"{what} is sent again with DUP 0")
        if flow.released:
            yield self._broken(NO_PUBLISH_AFTER_PUBREL, event, f"{what} is sent again after its PUBREL")
        if flow.talk is talk:
            yield self._broken(ONLY_ON_RECONNECT, event, f"{what} is sent again on the same connection")
        elif flow.number < self._resent:
            yield self._broken(RESEND_ORDER, event, f"{what} is sent again after one that was sent later")
        self._resent = max(self._resent, flow.number)
        self._touched.add(publish.packet_id or 0)
        flow.talk = talk
        flow.place = 0  # its PUBREC may not have been read before the connection was lost: the next one counts

    def _releases(self, talk: Talk, event: Event, pubrel: PubRel) -> Iterator[Breach]:
        packet_id = pubrel.packet_id
        self._touched.add(packet_id)
        if (early := self._pubrel_order.answered(packet_id, event)) is not None:
            yield self._broken(PUBREL_ORDER, early, f"PUBREL overtakes PUBREL {packet_id}, whose PUBREC came in before")
        flow = self._flows.get(packet_id)
        if flow is not None and 0 < flow.place <= self._places_before:
            early = self._resumed_order.answered(packet_id, event)
            if early is not None:
                message = f"PUBREL overtakes PUBREL {packet_id}, whose PUBREC came in before, on an earlier connection"
                yield self._broken(PUBREL_ORDER, early, message)
        if packet_id in self._owed:  # a peer that repeats its PUBREC as well gets an answer besides
            self._owed.remove(packet_id)
        elif self._pubrecs.get(packet_id):
            self._pubrecs[packet_id] -= 1
        elif packet_id in self._uncertain:
            return
        elif flow is None:
            if self._chain.is_complete and packet_id not in self._ever:
                yield self._releases_nothing(talk, event, packet_id)
        elif flow.received is None:
            yield self._broken(PUBREL_NEEDS_PUBREC, event, f"PUBREL {packet_id} is sent before its PUBREC came")
        elif flow.released and flow.talk is talk:
            yield self._broken(ONLY_ON_RECONNECT, event, f"PUBREL {packet_id} is sent again on the same connection")
        if flow is not None:
            flow.released = True
            flow.talk = talk

    def _releases_nothing(self, talk: Talk, event: Event, packet_id: int) -> Breach:
        """A PUBREL without a PUBLISH in its session: it may be owed to an earlier one, which is over."""
        if self._left_over.owes_release(packet_id) and talk.version in NEW_SESSION_IS_NEW.clauses(self._side):
            message = f"PUBREL {packet_id} was owed in an earlier session and is sent in a new one"
            return NEW_SESSION_IS_NEW.broken(self._side, event.entry, message, self._no_session_ids(talk))
        return self._broken(PUBREL_NEEDS_PUBREC, event, f"PUBREL {packet_id} belongs to no PUBLISH")

    # --- what the side gets -------------------------------------------------------------------------------------------

    def _gets(self, event: Event) -> None:
        packet = event.packet
        packet_id: int | None = getattr(packet, "packet_id", None)
        if packet_id is None:
            return
        if packet.type in (PacketType.SUBACK, PacketType.UNSUBACK):
            self._requests.pop(packet_id, None)
        elif isinstance(packet, PubRec):
            self._gets_pubrec(event, packet)
        elif packet.type in (PacketType.PUBACK, PacketType.PUBCOMP):
            flow = self._flows.pop(packet_id, None)
            self._touched.add(packet_id)
            if flow is None:
                return
            ends_qos1 = packet.type is PacketType.PUBACK and flow.publish.qos is QoS.AT_LEAST_ONCE
            ends_qos2 = packet.type is PacketType.PUBCOMP and flow.released
            if ends_qos1:
                self._settled[packet_id] = flow, event.at
            elif not ends_qos2:
                self._uncertain.add(packet_id)

    def _gets_pubrec(self, event: Event, pubrec: PubRec) -> None:
        packet_id = pubrec.packet_id
        flow = self._flows.get(packet_id)
        self._touched.add(packet_id)
        self._pubrecs[packet_id] = self._pubrecs.get(packet_id, 0) + 1
        if flow is None:
            return
        if flow.publish.qos is not QoS.EXACTLY_ONCE or (is_error(pubrec.reason) and flow.released):
            del self._flows[packet_id]
            self._uncertain.add(packet_id)
        elif is_error(pubrec.reason):
            del self._flows[packet_id]
            self._pubrecs[packet_id] -= 1
        elif flow.received is None:
            flow.received = event
            self._take_place(flow)
            self._pubrel_order.asked(packet_id)
        elif flow.place == 0:
            self._take_place(flow)
        else:
            flow.place = _IN_DOUBT

    def _take_place(self, flow: _Flow) -> None:
        self._places += 1
        flow.place = self._places

    # --- what is missing at the end of a connection -------------------------------------------------------------------

    def _unanswered(self, talk: Talk) -> Iterator[Breach]:
        over = talk.speaks_until(self._side)
        for packet_id, flow in self._flows.items():
            pubrec = flow.received
            if pubrec is None or flow.released or pubrec.entry.connection != talk.number:
                continue
            if pubrec.entry.link == talk.link and over - pubrec.at > talk.reaction_seconds:
                yield PUBREC_GETS_PUBREL.broken(self._side, pubrec.entry, f"no PUBREL answers PUBREC {packet_id}")

    def _not_resent(self, talk: Talk) -> Iterator[Breach]:
        connack = talk.connack(self._side)
        if connack is None or not self._must_resend_all(talk):
            return
        if talk.speaks_until(self._side) - connack[0].at <= talk.reaction_seconds:
            return
        for packet_id, flow in self._carried.items():
            if packet_id in self._touched or self._flows.get(packet_id) is not flow:
                continue
            what = "PUBREL" if flow.released or flow.received else "PUBLISH"
            yield RESENDS.broken(self._side, connack[0], f"{what} {packet_id} is not sent again")

    def _must_resend_all(self, talk: Talk) -> bool:
        """Whether no limit of the peer, or of its own, can keep the side from sending everything again at once."""
        if not self._carried or len(self._carried) > _RESEND_WINDOW:
            return False
        accepted = talk.accepted(self._side)
        if accepted is None:
            return False
        limits = (accepted[1] if self._side is CLIENT else accepted[0]).properties
        receive_maximum, maximum_size = limits.receive_maximum, limits.maximum_packet_size
        return (receive_maximum is None or len(self._carried) <= receive_maximum) and (
            maximum_size is None or all(flow.size <= maximum_size for flow in self._carried.values())
        )

    def _broken(self, rule: Rule, event: Event, message: str) -> Breach:
        return rule.broken(self._side, event.entry, message)


def _is_same(one: Publish, other: Publish) -> bool:
    """Whether a PUBLISH repeats another; a topic alias may stand for the topic name."""
    topics_agree = one.topic == other.topic or not one.topic or not other.topic
    return topics_agree and (one.payload, one.qos) == (other.payload, other.qos)
