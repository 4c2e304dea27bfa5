"""Outgoing messages of one connection: which may leave now, in what form, and which wait.

Belongs here: the server's Receive Maximum, topic aliases of our own, re-sending, the order of all that.
Does not belong here: the session's state (`session`), other packets, and whether there is a connection (`core`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from reference_broker.client.events import Event, Failed, Published
from reference_broker.client.limits import ServerLimits
from reference_broker.client.session import Session, Waiting
from reference_broker.session.flow_control import SendQuota
from reference_broker.session.packet_ids import PacketIdsExhausted
from reference_broker.session.topic_aliases import ALIAS_SIZE, OutboundAliases
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.types import QoS, ReasonCode, Version


class Publisher:
    """Sends an application's messages as the server's limits allow.

    QoS 0 leaves at once. QoS 1 and QoS 2 leave in the order of `publish`, never more of them unacknowledged than the
    server's Receive Maximum [5.0 MQTT-3.3.4-7]; the rest waits in the session. Other packets are never held up
    [MQTT-3.3.4-8].
    """

    def __init__(
        self,
        session: Session,
        version: Version,
        limits: ServerLimits,
        *,
        automatic_topic_aliases: bool,
        send: Callable[[Publish | PubRel], None],
        emit: Callable[[Event], None],
    ) -> None:
        self._session = session
        self._version = version
        self._limits = limits
        self._send = send
        self._emit = emit
        self._quota = SendQuota(limits.receive_maximum)
        # In flight since an earlier connection, by packet identifier, and without a place in this one's quota.
        self._resuming: dict[int, Publish] = {}
        self._aliases = OutboundAliases(limits.topic_alias_maximum if automatic_topic_aliases else 0)
        self._own_aliases = not automatic_topic_aliases
        # Aliases the application asks for: as it sees them, and as the server has them, which lags behind when
        # messages wait; and for each that waits, its alias and whether it left the topic out.
        self._asked: dict[int, str] = {}
        self._set: dict[int, str] = {}
        self._alias_of: dict[int, tuple[int, bool]] = {}

    def resume(self) -> None:
        """Begin with what the session has in flight, then with what waited. [5.0 MQTT-4.4.0-1]"""
        for packet in self._session.outbound.resume():
            if isinstance(packet, PubRel):
                self._quota.occupy()
                self._send(packet)
            elif self._is_possible(packet, self._session.tickets[_packet_id(packet)]):
                self._resuming[_packet_id(packet)] = packet
            else:
                self._session.outbound.acknowledge(_refusal(packet))
                del self._session.tickets[_packet_id(packet)]
        waiting = [entry for entry in self._session.waiting if self._is_possible(entry.publish, entry.ticket)]
        self._session.waiting = deque(waiting)
        self.flush()

    def publish(self, publish: Publish) -> int:
        """Send a message or let it wait; returns its ticket. Raises LocalError for what may not be sent at all."""
        plain, alias = self._take_alias(publish)
        self._check(plain if alias is None else _with_alias(plain, alias[0]))
        if alias is not None:
            self._asked[alias[0]] = plain.topic
        ticket = self._session.new_ticket()
        if alias is not None:
            self._alias_of[ticket] = alias
        if plain.qos == QoS.AT_MOST_ONCE:
            self._send(self._on_the_wire(plain, ticket))
            self._emit(Published(ticket, None))
        else:
            self._session.waiting.append(Waiting(ticket, plain))
            self.flush()
        return ticket

    def acknowledge(self, packet: PubAck | PubRec | PubComp) -> None:
        """Take an acknowledgement from the server; raises ProtocolError when it does not fit the message."""
        session, packet_id = self._session, packet.packet_id
        outcome = session.outbound.acknowledge(packet)
        # Acknowledged before it was sent again it is not sent again, behind PUBREL least of all. [5.0 MQTT-4.3.3-6]
        had_place = self._resuming.pop(packet_id, None) is None
        if outcome.answer is not None:
            if not had_place:
                self._quota.occupy()
            if outcome.known and isinstance(packet, PubRec):
                session.receipts.setdefault(packet_id, packet)
            self._send(outcome.answer)
        if outcome.completed is not None:
            if had_place:  # on this connection [5.0 MQTT-3.3.4-7]
                self._quota.give_back()
            # PUBREC judges the message; PUBCOMP only ends the exchange, 0x92 in it is normal after a resumption.
            verdict = session.receipts.pop(packet_id, packet)
            self._emit(Published(session.tickets.pop(packet_id), packet_id, verdict.reason, verdict.properties))
        self.flush()

    def flush(self) -> None:
        """Send what has waited, as far as the quota goes; repeats first, in the original order. [5.0 MQTT-4.6.0-1]"""
        while self._resuming and self._quota.take():
            self._send(self._with_own_alias(self._resuming.pop(next(iter(self._resuming)))))
        waiting = self._session.waiting
        while waiting and self._quota.available > 0:
            ticket, publish = waiting[0].ticket, waiting[0].publish
            try:
                numbered = self._session.outbound.send(publish)
            except PacketIdsExhausted:
                return
            self._quota.take()
            waiting.popleft()
            self._session.tickets[_packet_id(numbered)] = ticket
            self._send(self._on_the_wire(numbered, ticket))

    def _is_possible(self, publish: Publish, ticket: int) -> bool:
        """Whether a message from an earlier connection may be sent on this one; its limits may be others."""
        try:
            self._check(publish)
        except LocalError as error:
            self._emit(Failed(ticket, str(error)))
            return False
        return True

    def _check(self, publish: Publish) -> None:
        self._limits.check_publish(publish)
        # Any identifier will do: all have the same size.
        packet_id = publish.packet_id or (1 if publish.qos else None)
        self._limits.encode(replace(publish, packet_id=packet_id), self._version)

    def _take_alias(self, publish: Publish) -> tuple[Publish, tuple[int, bool] | None]:
        """The message without an alias, as it is kept, and the alias asked for with whether the topic was left out."""
        alias = publish.properties.topic_alias
        if alias is None or self._version < Version.V5:
            return publish, None
        if not self._own_aliases:
            raise LocalError("topic aliases are chosen automatically; leave them out")
        topic = publish.topic or self._asked.get(alias)
        if topic is None:
            raise LocalError(f"topic alias {alias} was not set on this connection [5.0 3.3.2.3.4]")
        plain = replace(publish, topic=topic, properties=replace(publish.properties, topic_alias=None))
        return plain, (alias, not publish.topic)

    def _on_the_wire(self, publish: Publish, ticket: int) -> Publish:
        asked = self._alias_of.pop(ticket, None)
        if asked is None:
            return self._with_own_alias(publish)
        alias, without_topic = asked
        aliased = _with_alias(publish, alias)
        if without_topic and self._set.get(alias) == publish.topic:
            return replace(aliased, topic="")
        self._set[alias] = publish.topic
        return aliased

    def _with_own_alias(self, publish: Publish) -> Publish:
        """With an automatic alias, where setting it cannot make the packet too large. [5.0 MQTT-3.2.2-15]"""
        limit = self._limits.maximum_packet_size
        has_aliases = self._aliases.maximum > 0
        if has_aliases and limit is not None and len(encode(publish, self._version)) + ALIAS_SIZE > limit:
            return publish
        return self._aliases.apply(publish)


def _with_alias(publish: Publish, alias: int) -> Publish:
    return replace(publish, properties=replace(publish.properties, topic_alias=alias))


def _packet_id(publish: Publish) -> int:
    assert publish.packet_id is not None
    return publish.packet_id


def _refusal(publish: Publish) -> PubAck | PubRec:
    """What settles a message that can no longer be sent."""
    kind = PubAck if publish.qos == QoS.AT_LEAST_ONCE else PubRec
    return kind(_packet_id(publish), ReasonCode.UNSPECIFIED_ERROR)
