"""Brokers that are wrong where versions meet: what one version published for clients of another, sessions that change.

Belongs here: faults of a broker that nobody sees while all its clients speak one version.
Does not belong here: the same faults within one version (`broker_messages`, `broker_sessions`, `broker_ending`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interop.mutants.mutant import Change, Hears, Patch, Says, around, table
from interop.mutants.words import having, having_properties, nothing, when
from reference_broker.broker.keeping.exchange import Exchange
from reference_broker.broker.keeping.retained import RetainedMessages
from reference_broker.broker.keeping.sessions import Sessions
from reference_broker.broker.keeping.wills import Wills
from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.peers import subscribing
from reference_broker.broker.values.message import Message
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Disconnect, Publish, PubRel
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.types import QoS, ReasonCode, Version

_V5 = Version.V5


# --- what came in, and from whom --------------------------------------------------------------------------------------


def _noted(real: Any, self: Any, message: Any, now: float) -> Any:
    publisher = self.house.sessions.get(message.publisher)
    if publisher is not None:
        self.house.memory[message.topic, message.payload] = publisher.version
    return real(self, message, now)


def _noted_waiting(real: Any, self: Any, session: Any, message: Any, *rest: Any, **named: Any) -> Any:
    if session.sender is None:
        self.house.memory["waits", message.topic, message.payload] = True
    return real(self, session, message, *rest, **named)


def _noted_will(real: Any, self: Any, session: Any, now: float) -> Any:
    if session.will is not None:
        self.house.memory["will", session.will.topic, session.will.payload] = session.version
        self.house.memory[session.will.topic, session.will.payload] = session.version
    return real(self, session, now)


NOTED = (
    around(Exchange, "accept", _noted),
    around(Exchange, "deliver_to", _noted_waiting),
    around(Wills, "publish", _noted_will),
)
"""The broker remembers of each message which version it came from, whether it waited, and whether it was a will."""


def _origin(packet: Publish, end: Any) -> Any:
    return end.house.memory.get((packet.topic, packet.payload))


def to_older(packet: Publish, end: Any) -> bool:
    """Condition: it came from 5.0 and goes to an older client."""
    return _origin(packet, end) is _V5 and end.version < _V5


def to_newer(packet: Publish, end: Any) -> bool:
    """Condition: it came from an older client and goes to one of 5.0."""
    return (_origin(packet, end) or _V5) < _V5 and end.version is _V5


def crossing(packet: Publish, end: Any) -> bool:
    """Condition: it goes from 5.0 to an older client, or the other way."""
    return to_older(packet, end) or to_newer(packet, end)


def _in_its_own_form(packet: Publish, end: Any) -> bytes:
    """As a client of the other kind would get it."""
    return encode(replace(packet, properties=NO_PROPERTIES), Version.V311 if end.version is _V5 else _V5)


def _without_packet_id(packet: Publish, end: Any) -> bytes:
    return (
        bytes([encode(packet, end.version)[0]])
        + encode(replace(packet, qos=QoS.AT_MOST_ONCE, packet_id=None, dup=False), end.version)[1:]
    )


def _waited(packet: Publish, end: Any) -> bool:
    return not packet.dup and ("waits", packet.topic, packet.payload) in end.house.memory


def _of_a_will(packet: Publish, end: Any) -> bool:
    return ("will", packet.topic, packet.payload) in end.house.memory


def _live(packet: Publish, end: Any) -> bool:
    return not (packet.retain or packet.dup or _waited(packet, end) or _of_a_will(packet, end))


STATES: dict[str, Change] = {
    "live": _live,
    "waiting": _waited,
    "retained": lambda packet, end: packet.retain and not _of_a_will(packet, end),
    "repeated": lambda packet, _end: packet.dup,
    "will": _of_a_will,
}
"""Conditions: how a message comes to be sent; with `NOTED` beside them."""
_WAYS: dict[str, Change] = {"of 5.0 to older clients": to_older, "of older clients to 5.0": to_newer}


def _both(one: Change, other: Change) -> Change:
    return lambda packet, end: one(packet, end) and other(packet, end)


def _says(condition: Change, change: Change) -> tuple[Any, ...]:
    return (*NOTED, Says(Publish, when(condition, change)))


def _is_at_a_boundary(packet: Publish, end: Any) -> bool:
    """Where the remaining length takes another byte in another version."""
    size = len(packet.topic.encode()) + 2 + len(packet.payload) + (2 if packet.qos else 0)
    return crossing(packet, end) and size in (127, 16_383)


def _to_its_own_kind(real: Any, self: Any, session: Any, message: Any, *rest: Any, **named: Any) -> None:
    publisher = self.house.sessions.get(message.publisher)
    if publisher is None or (publisher.version is _V5) == (session.version is _V5):
        real(self, session, message, *rest, **named)


def _at_qos_0(real: Any, self: Any, session: Any, message: Any, qos: Any, *rest: Any, **named: Any) -> None:
    publisher = self.house.sessions.get(message.publisher)
    if publisher is not None and (publisher.version is _V5) != (session.version is _V5):
        qos = QoS.AT_MOST_ONCE
    real(self, session, message, qos, *rest, **named)


def _once_for_all(real: Any, self: Any, version: Any, *rest: Any) -> Any:
    return next(iter(self._encoded.values())) if self._encoded else real(self, version, *rest)


def _noted_mixed(real: Any, self: Any, message: Any, now: float) -> Any:
    versions = {target.session.version for target in self.house.router.route(message.topic).targets}
    if _V5 in versions and len(versions) > 1:
        self.house.memory["mixed", message.topic, message.payload] = True
    return real(self, message, now)


def _noted_alias(packet: Publish, end: Any) -> Publish:
    alias = packet.properties.topic_alias
    if alias is not None:
        end.house.memory["aliased", packet.payload] = end.memory.setdefault(("alias", alias), packet.topic)
    return packet


def _first_topic(packet: Publish, end: Any) -> Publish:
    topic = end.house.memory.get(("aliased", packet.payload))
    return replace(packet, topic=topic) if topic else packet


def _ageless(real: Any, self: Any, now: float) -> None:
    if self.version < _V5:
        for each in self._session.queue or ():
            each.message.expires_at = None
    real(self, now)


def _ageless_retained(real: Any, link: Any, request: Any, granted: Any, now: float) -> None:
    if link.version < _V5:
        for message in link.house.retained:
            message.expires_at = None
    real(link, request, granted, now)


def _prompt(real: Any, self: Any, session: Any, delay: float, now: float) -> None:
    if any(each.version < _V5 for each in self.house.sessions):
        self.publish(session, now)
    else:
        real(self, session, delay, now)


def _all_no_local(real: Any, self: Any, session: Any, message: Any, *rest: Any, **named: Any) -> None:
    publisher = self.house.sessions.get(message.publisher)
    if publisher is None or publisher.version is _V5 or not any(s.no_local for s in session.subscriptions.values()):
        real(self, session, message, *rest, **named)


def _share_of_5(real: Any, self: Any, shared: Any, message: Any, now: float) -> Any:
    publisher = self.house.sessions.get(message.publisher)
    return real(self, shared, message, now) if publisher is None or publisher.version is _V5 else False


def _share_takes_all(real: Any, self: Any, session: Any, message: Any, *rest: Any, **named: Any) -> None:
    if session.version is _V5 or not self.house.router.route(message.topic).shared:
        real(self, session, message, *rest, **named)


def _measured(by: int) -> Any:
    def start(real: Any, self: Any, delivery: Any, now: float, **how: Any) -> None:
        limit = self.maximum_packet_size
        origin = self.output.house.memory.get((delivery.message.topic, delivery.message.payload), _V5)
        if limit is not None and origin < _V5:
            self.maximum_packet_size = limit + by
        real(self, delivery, now, **how)
        self.maximum_packet_size = limit

    return around(Sender, "_start", start)


def _of_another_kind(house: Any, message: Any) -> bool:
    stored = house.retained.get(message.topic)
    one, other = (house.sessions.get(each.publisher) if each else None for each in (stored, message))
    return one is not None and other is not None and (one.version is _V5) != (other.version is _V5)


def _keeps_foreign(*, cleared: bool) -> Any:
    def retain(real: Any, self: Any, message: Any) -> Any:
        return (
            True
            if bool(message.payload) is not cleared and _of_another_kind(self.house, message)
            else real(self, message)
        )

    return around(RetainedMessages, "keep", retain)


MEETING = table("broker", "versions", {
    **{
        f"sends what is {state} {way} in the form it came in": _says(_both(which, when_so), _in_its_own_form)
        for state, when_so in STATES.items() for way, which in _WAYS.items()
    },
    "sends what is of 5.0 to older clients without a packet id": _says(
        _both(to_older, lambda p, _: p.qos > 0), _without_packet_id),
    "sends nothing to clients of another version": around(Exchange, "deliver_to", _to_its_own_kind),
    "sends at QoS 0 to clients of another version": around(Exchange, "deliver_to", _at_qos_0),
    "keeps nothing for absent clients of another version": _says(_both(crossing, _waited), nothing),
    "sends no will to clients of another version": _says(_both(crossing, _of_a_will), nothing),
    "finds no retained messages of another version": _says(
        _both(crossing, lambda p, end: p.retain and not _of_a_will(p, end)), nothing),
    "replaces no retained message of another version": _keeps_foreign(cleared=False),
    "clears no retained message of another version": _keeps_foreign(cleared=True),
    "sends nothing again to clients of another version": _says(_both(crossing, lambda p, _: p.dup), nothing),
    "miscounts a byte where versions have other lengths": _says(
        _is_at_a_boundary, lambda p, _: replace(p, payload=p.payload[:-1])),
    "encodes QoS 0 once for all versions": around(Message, "encoded_qos0", _once_for_all),
    "loses properties where an older client subscribes too": (
        around(Exchange, "accept", _noted_mixed), Says(Publish, when(
            lambda p, end: ("mixed", p.topic, p.payload) in end.house.memory, having(properties=NO_PROPERTIES)))),
    "invents properties for what older clients publish": _says(to_newer, having_properties(payload_format_indicator=1)),
    "knows the first topic of an alias for older clients": (
        *NOTED, Hears(Publish, _noted_alias), Says(Publish, when(to_older, _first_topic))),
    "gives what older clients publish any alias": _says(to_newer, lambda p, _: replace(
        p, properties=replace(p.properties, topic_alias=77))),
    "counts no expiry in the queues of older clients": around(Sender, "pump", _ageless),
    "counts no expiry of what older clients find retained": (
        around(RetainedMessages, "_expire", nothing), around(subscribing, "_send_retained", _ageless_retained)),
    "delays no will while an older client is there": around(Wills, "publish_later", _prompt),
    "knows no identifiers for what older clients publish": _says(
        to_newer, having_properties(subscription_identifier=())),
    "takes what older clients publish for local": around(Exchange, "deliver_to", _all_no_local),
    "loses RETAIN of older clients": _says(_both(to_newer, lambda p, _: p.retain), having(retain=False)),
    "shares nothing that older clients publish": around(Exchange, "deliver_shared", _share_of_5),
    "lets a share take what older clients subscribe to": around(Exchange, "deliver_to", _share_takes_all),
    "measures packets in the form they came in": (*NOTED, _measured(1)),
    "measures packets a byte too long that older clients sent": (*NOTED, _measured(-1)),
})  # fmt: skip


# --- sessions that change their version -------------------------------------------------------------------------------


def _when_changed(what: Any) -> Patch:
    """On return with another version something is done to the session."""

    def open_session(real: Any, self: Any, client_id: str, version: Any, clean: bool, now: float) -> Any:
        known = self.get(client_id)
        before = None if known is None else known.version
        session, present = real(self, client_id, version, clean, now)
        if present and before is not version:
            what(self, session)
        return session, present

    return around(Sessions, "open", open_session)


def _apart(real: Any, self: Any, client_id: str, version: Any, clean: bool, now: float) -> Any:
    known = self.get(client_id)
    return real(self, client_id, version, clean or (known is not None and known.version is not version), now)


def _not_discarded(real: Any, self: Any, client_id: str, version: Any, clean: bool, now: float) -> Any:
    known = self.get(client_id)
    if known is None or known.version is version:
        return real(self, client_id, version, clean, now)
    session, present = real(self, client_id, version, False, now)
    return session, present and not clean


def _without_subscriptions(sessions: Any, session: Any) -> None:
    for name in list(session.subscriptions):
        sessions.house.router.unsubscribe(session, name)


def _without_options(sessions: Any, session: Any) -> None:
    for each in session.subscriptions.values() if session.version < _V5 else ():
        each.no_local = each.retain_as_published = False
        each.subscription_ids = ()
    sessions.house.router.cut()


def _marked(sessions: Any, session: Any) -> None:
    sessions.house.memory["changed", session.client_id] = True


def _has_changed(_packet: Any, end: Any) -> bool:
    return ("changed", end.client_id) in end.house.memory


def _by_older(packet: Disconnect, end: Any) -> bool:
    is_taken_over = packet.reason == ReasonCode.SESSION_TAKEN_OVER
    return is_taken_over and any((each.version or _V5) < _V5 for each in end.house.opening)


CHANGING = table("broker", "versions", {
    "keeps a session for each version": around(Sessions, "open", _apart),
    "discards no session of another version": around(Sessions, "open", _not_discarded),
    "forgets subscriptions when the version changes": _when_changed(_without_subscriptions),
    "forgets what waited when the version changes": _when_changed(lambda _, session: setattr(session, "queue", None)),
    "forgets what was in flight when the version changes": _when_changed(
        lambda _, session: session.outbound.drop_all()),
    "forgets QoS 2 messages it received when the version changes": _when_changed(
        lambda _, session: session.inbound.drop_all()),
    "forgets options over an older connection": _when_changed(_without_options),
    "does not say that an older client took over": Says(Disconnect, when(_by_older, nothing)),
    "sends no PUBREL again when the version changes": (
        _when_changed(_marked), Says(PubRel, when(_has_changed, nothing))),
    "sends again in the form of the session's first version": (
        _when_changed(_marked), Says(Publish, when(_both(_has_changed, lambda p, _: p.dup), _in_its_own_form))),
    "sends what waited in the form of the session's first version": (
        *NOTED, _when_changed(_marked), Says(Publish, when(_both(_has_changed, _waited), _in_its_own_form))),
})  # fmt: skip

MUTANTS = [*MEETING, *CHANGING]
