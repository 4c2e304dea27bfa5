"""Brokers that are right until a number is reached: the second, the third, 128, 256, 65,536.

Belongs here: faults that show at a count or at a boundary of how numbers are encoded.
Does not belong here: the same fault at every number (`broker_messages`), at each resumption (`broker_carried`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interop.mutants.moments import second
from interop.mutants.mutant import Hears, Says, around, table
from reference_broker.broker.keeping.routing import Merged, Router
from reference_broker.broker.outgoing.mailbox import Mailbox
from reference_broker.broker.outgoing.sending import Sender
from reference_broker.session.packet_ids import HIGHEST_PACKET_ID, PacketIds
from reference_broker.wire.packets import PubAck, PubComp, Publish, PubRec, PubRel, Subscribe, Unsubscribe

_ALL = (
    "session takeover subscription retained delivery shared expiry will ordering qos1 qos2 flow_control properties "
    "topic_alias topics connect request_response"
)


def _properties(**changes: Any) -> Any:
    """Change: these properties become what a function makes of them."""

    def change(packet: Any, _end: Any) -> Any:
        values = {name: function(getattr(packet.properties, name)) for name, function in changes.items()}
        return replace(packet, properties=replace(packet.properties, **values))

    return change


def _identifiers(function: Any) -> Any:
    return Says(Publish, _properties(subscription_identifier=lambda ids: tuple(function(each) for each in ids)))


def _none_or(function: Any) -> Any:
    return lambda value: None if value is None else function(value)


def _window(most: int) -> Any:
    """Of one client no more than so many messages are ever in flight; those beyond are dropped."""

    def deliver(real: Any, self: Any, delivery: Any, now: float) -> None:
        if len(self._the_session().inflight) < most:
            real(self, delivery, now)

    return around(Sender, "deliver", deliver)


def _queue(most: int) -> Any:
    return around(Mailbox, "_is_full", lambda real, self, size, config: len(self.queue or ()) >= most)


def _first_merged(real: Any, self: Any, subscriptions: Any) -> None:
    real(self, subscriptions)
    self.subscription_ids = self.subscription_ids[:2]


def _number(most: int) -> Any:
    """Packet identifiers go round early, whatever is in flight."""

    def allocate(_real: Any, self: Any) -> int:
        self._last = self._last % most + 1
        return int(self._last)

    return around(PacketIds, "allocate", allocate)


def _forgetting(real: Any, self: Any) -> int:
    if self._last == HIGHEST_PACKET_ID:
        self._in_use.clear()
    return int(real(self))


FORGETTING_AT_THE_LAST_PACKET_ID = around(PacketIds, "allocate", _forgetting)


def _byte(packet: Any, _end: Any) -> Any:
    return replace(packet, packet_id=packet.packet_id & 0xFF or 1)


def _each(kinds: Any, number: int) -> Any:
    """Of these packets every `number`th is lost."""

    def change(packet: Any, end: Any) -> Any:
        key = ("said", kinds)
        end.memory[key] = end.memory.get(key, 0) + 1
        return packet if end.memory[key] % number else None

    return Says(kinds, change)


def _first_identified() -> Any:
    def subscribe(real: Any, self: Any, session: Any, options: Any, granted: Any, ids: Any, *rest: Any) -> bool:
        memory = session.sender.output.memory
        is_next = ids and memory.get("request") == session.sender.output.memory.get("requests")
        memory["request"] = memory.get("requests")
        return bool(real(self, session, options, granted, () if is_next else ids, *rest))

    def counted(packet: Subscribe, end: Any) -> Subscribe:
        end.memory["requests"] = end.memory.get("requests", 0) + 1
        return packet

    return Hears(Subscribe, counted), around(Router, "subscribe", subscribe)


COUNTS = table("broker", _ALL, {
    "cuts subscription identifiers at 7 bits": _identifiers(lambda each: each & 0x7F or 1),
    "cuts subscription identifiers at 14 bits": _identifiers(lambda each: each & 0x3FFF or 1),
    "cuts subscription identifiers at 16 bits": _identifiers(lambda each: each & 0xFFFF or 1),
    "cuts subscription identifiers at 21 bits": _identifiers(lambda each: each & 0x1FFFFF or 1),
    "sends two identifiers at most": around(Merged, "__init__", _first_merged),
    "sends two user properties at most": Says(Publish, _properties(user_property=lambda each: each[:2])),
    "merges user properties of one name": Says(Publish, _properties(
        user_property=lambda each: tuple(dict(each).items()))),
    "cuts Message Expiry at 16 bits": Says(Publish, _properties(
        message_expiry_interval=_none_or(lambda each: each & 0xFFFF))),
    "takes a Message Expiry of 31 bits for over": Says(Publish, lambda p, _: None if (
        p.properties.message_expiry_interval or 0) >= 2**31 else p),
    "takes a Message Expiry of 0 for none": Hears(Publish, _properties(
        message_expiry_interval=lambda each: each or None)),
    "cuts packet ids of acknowledgements at 8 bits": Says((PubAck, PubRec, PubComp), _byte),
    "has three messages in flight at most": _window(3),
    "has sixteen messages in flight at most": _window(16),
    "lets two messages wait": _queue(2),
    "lets five messages wait": _queue(5),
    "overlooks the second SUBSCRIBE's identifier": second(Subscribe, lambda p, _: replace(
        p, properties=replace(p.properties, subscription_identifier=()))),
    "applies the first filter's options to all of a SUBSCRIBE": Hears(Subscribe, lambda p, _: replace(
        p, subscriptions=tuple(replace(p.subscriptions[0], topic_filter=s.topic_filter) for s in p.subscriptions))),
    "gives the identifier to the first filter of a SUBSCRIBE only": _first_identified(),
    "unsubscribes two filters at most": Hears(Unsubscribe, lambda p, _: replace(
        p, topic_filters=p.topic_filters[:2])),
    "loses the second SUBSCRIBE of a connection": second(Subscribe, lambda p, _: replace(p, subscriptions=tuple(
        replace(s, topic_filter=f"lost/{s.topic_filter.removeprefix('$share/')}") for s in p.subscriptions))),
    "sends every third message to nobody": _each(Publish, 3),
    "sends no third PUBREL": _each(PubRel, 3),
    "acknowledges no third message": _each((PubAck, PubRec), 3),
    "numbers messages up to 3": _number(3),
})  # fmt: skip

ROUND = table("broker", "qos1/packet_ids_of_deliveries_come_round", {
    "forgets at packet id 65,535 which of them are in flight": FORGETTING_AT_THE_LAST_PACKET_ID,
})  # fmt: skip

MUTANTS = [*COUNTS, *ROUND]
