"""Brokers with faults that were reported of real ones, wrong only in the circumstance of the report.

Belongs here: faults of brokers rebuilt from public reports, each with the report it is from.
Does not belong here: those of clients (`client_reported`), faults made up to break a scenario (`broker_...`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from interop.mutants.broker_restart import keeping
from interop.mutants.mutant import Hears, around, table
from reference_broker.broker.keeping.exchange import Exchange
from reference_broker.broker.keeping.retained_tree import RetainedTree
from reference_broker.broker.keeping.sessions import Sessions
from reference_broker.broker.keeping.wills import Wills
from reference_broker.broker.outgoing.mailbox import Mailbox
from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.peers import connecting
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.message import Message
from reference_broker.broker.values.rows import RETAINED, decode_body, encode_message
from reference_broker.session.delivery import Outbound
from reference_broker.session.flow_control import ReceiveQuota
from reference_broker.session.packet_ids import PacketIds
from reference_broker.wire.errors import ProtocolError
from reference_broker.wire.packets import PubAck, PubComp, Publish, PubRel
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.types import QoS, ReasonCode

# --- what is in flight ------------------------------------------------------------------------------------------------


def _forget_in_flight(real: Any, self: Any, client_id: str, version: Any, clean: bool, now: float) -> Any:
    session, present = real(self, client_id, version, clean, now)
    memory, key = self.house.memory, ("resumed", client_id)
    memory[key] = memory.get(key, 0) + 1 if present else 0
    if memory[key] == 2:
        session.outbound.drop_all()
        session.inflight.clear()
    return session, present


def pubrels_backwards(real: Any, self: Any) -> Any:
    """For `Outbound.resume`: PUBRELs come first, the last one leading."""
    packets = list(real(self))
    pubrels = [packet for packet in packets if isinstance(packet, PubRel)]
    return iter([*reversed(pubrels), *(packet for packet in packets if not isinstance(packet, PubRel))])


def _unlimited_again(real: Any, self: Any, publish: Publish, **how: Any) -> None:
    limit = self.maximum_packet_size
    if publish.dup:
        self.maximum_packet_size = None
    real(self, publish, **how)
    self.maximum_packet_size = limit


IN_FLIGHT = table("broker", "qos1 qos2 ordering delivery", {
    "reported: forgets what was in flight at the second resumption": around(  # moquette #423, #582
        Sessions, "open", _forget_in_flight),
    "reported: resumes PUBRELs the wrong way round": around(Outbound, "resume", pubrels_backwards),  # emqx #167
    "reported: sends again what has become too large": around(Sender, "_put_in_flight", _unlimited_again),
    # mosquitto #3503
})  # fmt: skip

# --- windows ----------------------------------------------------------------------------------------------------------


def _unknown_frees(real: Any, self: Any, packet: Any, now: float) -> None:
    session = self._session
    known = session._outbound is not None and packet.packet_id in session.outbound
    real(self, packet, now)
    if not known and isinstance(packet, PubAck | PubComp):
        self.quota.give_back()
        if self.is_waiting():
            self.pump(now)


def _counted_twice(real: Any, self: Any, packet_id: int) -> None:
    if packet_id in self._unanswered:
        self._unanswered.add(-packet_id)
    real(self, packet_id)


def _quota_of_the_last_connection(real: Any, self: Any) -> Any:
    memory, key = self.house.memory, ("receive quota", self.client_id)
    if self.receive_quota is None and key in memory:
        self.receive_quota = memory[key]
    quota = real(self)
    if quota is not None:
        memory[key] = quota
    return quota


def _third_is_an_error(packet: Publish, end: Any) -> Publish:
    if end.session is not None and packet.qos == QoS.EXACTLY_ONCE and end.session.has_received(packet.packet_id):
        end.memory[packet.packet_id] = end.memory.get(packet.packet_id, 0) + 1
        if end.memory[packet.packet_id] > 1:
            raise ProtocolError("PUBLISH once too often")
    return packet


WINDOWS = table("broker", "flow_control qos2", {
    "reported: frees the window for an unknown acknowledgement": around(  # moquette #604
        Sender, "acknowledged", _unknown_frees),
    "reported: counts a repeated QoS 2 PUBLISH twice": around(ReceiveQuota, "take", _counted_twice),  # MQTT.js #2065
    "reported: counts what an earlier connection left unfinished": around(  # FlashMQ #173
        Peer, "open_receive_quota", _quota_of_the_last_connection),
    "reported: takes a third copy of a QoS 2 PUBLISH for an error": Hears(  # mosquitto #3602
        Publish, _third_is_an_error),
})  # fmt: skip

# --- connections and wills --------------------------------------------------------------------------------------------


def _takes_over_first(real: Any, link: Any, reason: int, text: str, now: float) -> None:
    existing = link.house.sessions.get(link.client_id or "")
    if existing is not None and existing.sender is not None:
        existing.sender.output.disconnect(ReasonCode.SESSION_TAKEN_OVER, "another connection uses this client id", now)
    real(link, reason, text, now)


def _delayed(change: Callable[[Any], Any]) -> Any:
    """A will that has to wait is another one."""

    def publish_later(real: Any, self: Any, session: Any, delay: float, now: float) -> None:
        if session.will is not None:
            session.will = change(session.will)
        real(self, session, delay, now)

    return around(Wills, "publish_later", publish_later)


def _only_delay(will: Any) -> Any:
    delay = will.properties.will_delay_interval
    return replace(will, properties=replace(NO_PROPERTIES, will_delay_interval=delay))


def _delays_once(real: Any, self: Any, session: Any, now: float, *, publish_will: bool) -> None:
    memory, key = self.house.memory, ("lost", session.client_id)
    memory[key] = memory.get(key, 0) + 1
    if memory[key] > 1 and session.will is not None and publish_will:
        self.publish(session, now)
        return
    real(self, session, now, publish_will=publish_will)


ENDS = table("broker", "takeover will", {
    "reported: takes over before it looks at the password": around(  # mosquitto #3553, CVE-2026-33215 of NATS
        connecting, "refuse", _takes_over_first),
    "reported: does not retain a will that was delayed": _delayed(  # emqx #1889
        lambda will: replace(will, retain=False)),
    "reported: publishes a delayed will at QoS 0": _delayed(  # emqx #1889
        lambda will: replace(will, qos=QoS.AT_MOST_ONCE)),
    "reported: publishes a delayed will without properties": _delayed(_only_delay),  # mqtt-lib #154
    "reported: delays only the first will of a session": around(Wills, "connection_closed", _delays_once),
    # fluxmq #597
})  # fmt: skip

# --- shares -----------------------------------------------------------------------------------------------------------


def _hidden_by_a_share(
    real: Any, self: Any, session: Any, message: Any, qos: Any, retain: Any, ids: Any, now: float, share: Any = None
) -> None:
    shares = (each for each in session.subscriptions.values() if each.share is not None)
    if session.sender is None and share is None and any(each.qos == QoS.AT_MOST_ONCE for each in shares):
        return
    real(self, session, message, qos, retain, ids, now, share)


def _not_by_wildcards(real: Any, self: Any, undelivered: Any, now: float) -> None:
    real(self, [each for each in undelivered if each.share is None or _is_plain(each.share)], now)


def _is_plain(topic_filter: str) -> bool:
    return "+" not in topic_filter and "#" not in topic_filter


def _only_in_flight(real: Any, self: Any) -> Any:
    self.queue = None
    return real(self)


def _at_its_own_qos(_real: Any, self: Any, undelivered: Any, now: float) -> None:
    for each in undelivered:
        shared = None if each.share is None else self.house.router.shared_subscription(each.share)
        if shared is None or each.message.is_expired(now):
            continue
        chosen = shared.choose(lambda _: True)
        if chosen is not None:
            self.house.exchange.deliver_to(
                chosen.session, each.message, each.qos, False, chosen.subscription_ids, now, each.share
            )


SHARES = table("broker", "shared", {
    "reported: lets a share at QoS 0 hide a subscription in the queue": around(  # nanomq #2355
        Exchange, "deliver_to", _hidden_by_a_share),
    "reported: hands nothing over of shares with wildcards": around(  # emqx #9094
        Sessions, "_hand_over_shared", _not_by_wildcards),
    "reported: hands over only what was in flight": around(  # emqx #9094, vernemq #751
        Mailbox, "take_undelivered", _only_in_flight),
    "reported: hands over at the QoS of who left": around(  # rocketmq-mqtt #248
        Sessions, "_hand_over_shared", _at_its_own_qos),
})  # fmt: skip

# --- retained messages and restarts -----------------------------------------------------------------------------------


def _not_by_both(real: Any, self: Any, topic_filter: str, now: float) -> Any:
    return iter(()) if "+" in topic_filter and "#" in topic_filter else real(self, topic_filter, now)


def _level_above_too(real: Any, self: Any, topic: str) -> None:
    real(self, topic)
    if "/" in topic:
        real(self, topic.rpartition("/")[0])


def _bare(message: Any) -> bytes:
    expiry = message.properties.message_expiry_interval
    bare = Message(
        message.topic, message.payload, message.qos, message.retain,
        replace(NO_PROPERTIES, message_expiry_interval=expiry), message.accepted_at, message.publisher,
    )  # fmt: skip
    return encode_message(bare, message.accepted_at)


def _stored_bare(key: bytes, value: Any, _rows: Any) -> list[Any]:
    if key[:1] != RETAINED or not isinstance(value, bytes):
        return [(key, value)]
    return [(key, _bare(decode_body(value, 0.0)))]


KEPT = table("broker", "retained restart", {
    "reported: finds no retained messages by + and # together": around(  # emqx #3621
        RetainedTree, "match", _not_by_both),
    "reported: clears the retained message of the level above too": around(  # nanomq #2066
        RetainedTree, "clear", _level_above_too),
    "reported: forgets properties of retained messages over a restart": keeping(_stored_bare),  # MQTTnet #1256
    "reported: gives identifiers in flight to others after a restart": (  # rmqtt #459
        around(PacketIds, "reserve", lambda *_: None),
        around(PacketIds, "go_on_behind", lambda *_: None)),
})  # fmt: skip

MUTANTS = [*IN_FLIGHT, *WINDOWS, *ENDS, *SHARES, *KEPT]
