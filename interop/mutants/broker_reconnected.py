"""Brokers that are wrong about what belongs to one connection: limits, aliases, keep alive, expiry, wills.

Belongs here: faults in which the next connection of a session gets what the last one had, or not what it asked for.
Does not belong here: session state (`broker_carried`, `broker_resent`), limits at the first connection.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interop.mutants.moments import Resumption, at_each_moment, resuming
from interop.mutants.mutant import Hears, around, table
from reference_broker.broker.keeping import sessions
from reference_broker.broker.keeping.exchange import Exchange
from reference_broker.broker.keeping.sessions import Sessions
from reference_broker.broker.keeping.wills import Wills
from reference_broker.broker.link import Link
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.message import Message
from reference_broker.session.flow_control import SendQuota
from reference_broker.session.topic_aliases import OutboundAliases
from reference_broker.wire.packets import Connect, Disconnect
from reference_broker.wire.types import ReasonCode

# --- limits -----------------------------------------------------------------------------------------------------------


def _quota(receive_maximum: Any) -> Any:
    def act(resumption: Resumption) -> None:
        resumption.sender._quota = SendQuota(receive_maximum(resumption))

    return act


def _used_quota(resumption: Resumption) -> None:
    quota, left = resumption.sender.quota, resumption.left.sender.quota
    quota.available = max(0, quota.receive_maximum - (left.receive_maximum - left.available))


def _attribute(name: str, value: Any) -> Any:
    def act(resumption: Resumption) -> None:
        setattr(resumption.sender, name, value(resumption))
        resumption.sender.is_plain = False

    return act


def _aliases_of(maximum: Any) -> Any:
    def aliases(resumption: Resumption) -> Any:
        allowed = maximum(resumption)
        return OutboundAliases(allowed) if allowed and resumption.sender.is_v5 else None

    return _attribute("_aliases", aliases)


def _old_alias_maximum(resumption: Resumption) -> int:
    old = resumption.left.sender._aliases
    return old.maximum if old is not None else 0


def _old_aliases(resumption: Resumption) -> Any:
    return resumption.left.sender._aliases if resumption.sender._aliases is not None else None


def _inbound_aliases(resumption: Resumption) -> None:
    resumption.link.inbound_aliases = resumption.left.inbound_aliases


def _keep_alive(resumption: Resumption) -> None:
    link, old = resumption.link, resumption.left.keep_alive
    if link.keep_alive is not None:
        link.keep_alive.timer.cancel()
    link.keep_alive = old
    if old is not None:
        old.packet_received(resumption.now)
        link._watch_keep_alive()


def _no_keep_alive(resumption: Resumption) -> None:
    if resumption.link.keep_alive is not None:
        resumption.link.keep_alive._patience = 1e9


_LIMITS = "flow_control delivery topic_alias keep_alive properties connect session takeover auth retained"

LIMITS = table("broker", _LIMITS, {
    **at_each_moment("keeps the old Receive Maximum", _quota(lambda r: r.left.sender.quota.receive_maximum)),
    **at_each_moment("forgets Receive Maximum", _quota(lambda _: 65535)),
    **at_each_moment("counts on in the old Receive Maximum", _used_quota),
    **at_each_moment("keeps the old Maximum Packet Size",
                     _attribute("maximum_packet_size", lambda r: r.left.sender.maximum_packet_size)),
    **at_each_moment("forgets Maximum Packet Size", _attribute("maximum_packet_size", lambda _: None)),
    **at_each_moment("keeps the old Topic Alias Maximum", _aliases_of(_old_alias_maximum)),
    **at_each_moment("keeps its topic aliases", _attribute("_aliases", _old_aliases)),
    **at_each_moment("keeps the client's topic aliases", _inbound_aliases),
    **at_each_moment("keeps the old keep alive", _keep_alive),
    **at_each_moment("keeps the old Request Problem Information", _attribute(
        "_wants_problem_information", lambda r: r.left.sender._wants_problem_information)),
    "turns keep alive off for resumed sessions": resuming(_no_keep_alive),
})  # fmt: skip

# --- expiry of sessions -----------------------------------------------------------------------------------------------


def _old_expiry(resumption: Resumption) -> None:
    resumption.session.expiry_interval = resumption.left.expiry_interval


def _from_the_beginning(real: Any, self: Any, session: Any, expires_seconds: Any, now: float) -> None:
    began = self.house.memory.setdefault(("began", session.client_id), now)
    if expires_seconds is not None:
        expires_seconds = max(0.0, began + expires_seconds - now)
    real(self, session, expires_seconds, now)


def _first_timer_goes_on(real: Any, session: Any) -> None:
    session.expiry_timer = None  # not cancelled: it fires
    real(session)


def _ends_although_connected(real: Any, self: Any, session: Any, now: float) -> None:
    if session.sender is not None and session.sender.output.session is session:
        session.sender.output.disconnect(ReasonCode.UNSPECIFIED_ERROR, "its session ended", now)
    real(self, session, now)


def _not_by_takeover(real: Any, link: Any, reason: int, text: str, now: float, *, publish_will: bool = True) -> None:
    """A session that ends with its connection outlives a takeover."""
    session = link.session
    if reason == ReasonCode.SESSION_TAKEN_OVER and session is not None and session.expiry_interval == 0:
        session.expiry_interval = 60
    real(link, reason, text, now, publish_will=publish_will)


def _disconnect_expiry(change: Any) -> Hears:
    def heard(packet: Disconnect, end: Any) -> Disconnect:
        properties = packet.properties
        expiry = properties.session_expiry_interval
        if expiry is None:
            return packet
        return replace(packet, properties=replace(properties, session_expiry_interval=change(expiry, end)))

    return Hears(Disconnect, heard)


def _sticky(packet: Disconnect, end: Any) -> Disconnect:
    expiry = packet.properties.session_expiry_interval
    if expiry is not None:
        end.house.memory["expiry", end.session.client_id] = expiry
    return packet


def _as_disconnected(resumption: Resumption) -> None:
    expiry = resumption.house.memory.get(("expiry", resumption.session.client_id))
    if expiry is not None:
        resumption.session.expiry_interval = expiry


def _signed(packet: Connect, _end: Any) -> Connect:
    expiry = packet.properties.session_expiry_interval
    if expiry is None or expiry < 2**31:
        return packet
    return replace(packet, properties=replace(packet.properties, session_expiry_interval=0))


def _raises_anyway(packet: Disconnect, end: Any) -> Disconnect:
    """A forbidden DISCONNECT is taken for a normal one without the property."""
    if packet.properties.session_expiry_interval and not end.requested_expiry:
        return replace(packet, properties=replace(packet.properties, session_expiry_interval=None))
    return packet


def _kept_after_error(real: Any, link: Any, error: Any, now: float) -> None:
    if link.session is not None and link.session.expiry_interval == 0:
        link.session.expiry_interval = 60
    real(link, error, now)


EXPIRY = table("broker", "session takeover disconnect will expiry shared connect", {
    **at_each_moment("keeps the old Session Expiry Interval", _old_expiry),
    "keeps the Session Expiry Interval of DISCONNECT": (*resuming(_as_disconnected), Hears(Disconnect, _sticky)),
    "counts Session Expiry from the first end": around(Sessions, "wait_for_return", _from_the_beginning),
    "ends a session at its old deadline": (
        around(sessions, "_cancel", _first_timer_goes_on), around(Sessions, "end", _ends_although_connected)),
    "keeps sessions without expiry at a takeover": around(Peer, "disconnect", _not_by_takeover),
    "ignores a shorter expiry in DISCONNECT": _disconnect_expiry(
        lambda expiry, end: max(expiry, end.requested_expiry)),
    "ignores a longer expiry in DISCONNECT": _disconnect_expiry(
        lambda expiry, end: min(expiry, end.requested_expiry)),
    "takes a large Session Expiry Interval for a negative one": Hears(Connect, _signed),
    "takes a forbidden expiry in DISCONNECT for none": Hears(Disconnect, _raises_anyway),
    "keeps the session of a client that broke the protocol": around(Link, "fail", _kept_after_error),
    "takes the session of an absent client for its own at Clean Start": Hears(Connect, lambda p, end: replace(
        p, clean_start=False) if _is_absent(p, end) else p),
})  # fmt: skip


def _is_absent(packet: Connect, link: Any) -> bool:
    existing = link.house.sessions.get(packet.client_id)
    return existing is not None and existing.sender is None


# --- wills ------------------------------------------------------------------------------------------------------------


def _no_will(resumption: Resumption) -> None:
    resumption.session.will = None


def _old_will(resumption: Resumption) -> None:
    resumption.session.will = resumption.left.will


def _old_will_if_none(resumption: Resumption) -> None:
    resumption.session.will = resumption.session.will or resumption.left.will


def _will_timer_goes_on(real: Any, session: Any) -> None:
    session.will_timer = None  # not cancelled: it fires
    real(session)


def _waits_for_its_delay(real: Any, self: Any, session: Any, now: float, *, publish_will: bool) -> None:
    """The delay is kept though the session ends at once."""
    will = session.will
    delay = will.properties.will_delay_interval if will is not None else None
    if not publish_will or not delay or session.expiry_interval:
        real(self, session, now, publish_will=publish_will)
        return
    message = Message(
        will.topic, will.payload, will.qos, will.retain, replace(will.properties, will_delay_interval=None), now,
        session.client_id,
    )  # fmt: skip
    session.will = None
    self.house.timers.at(now + delay, lambda at: self.house.exchange.accept(message, at))


def _none_if_it_is_back(real: Any, link: Any, reason: int, text: str, now: float, *, publish_will: bool = True) -> None:
    """At a takeover no will with a delay is published, whatever becomes of the session."""
    session = link.session
    if reason == ReasonCode.SESSION_TAKEN_OVER and session is not None and session.will is not None:
        publish_will = publish_will and not session.will.properties.will_delay_interval
    real(link, reason, text, now, publish_will=publish_will)


def _and_again_at_the_end(real: Any, self: Any, session: Any, now: float) -> None:
    will = session.will
    real(self, session, now)
    if session.expiry_interval and session.client_id in self.house.sessions:
        session.will = will


def _noting_wills(real: Any, self: Any, session: Any, now: float) -> None:
    self.house.memory["is a will"] = True
    real(self, session, now)
    self.house.memory["is a will"] = False


def _of_nobody(real: Any, self: Any, message: Message, now: float) -> Any:
    if self.house.memory.get("is a will"):
        message.publisher = None
    return real(self, message, now)


def _lifetime_from_connect(real: Any, self: Any, session: Any, now: float) -> None:
    will = session.will
    if will is not None and will.properties.message_expiry_interval is not None:
        left = max(0, will.properties.message_expiry_interval - (will.properties.will_delay_interval or 0))
        session.will = replace(will, properties=replace(will.properties, message_expiry_interval=left))
    real(self, session, now)


def _discard_at_disconnect_4(packet: Disconnect, end: Any) -> Disconnect:
    delayed = end.session.will is not None and end.session.will.properties.will_delay_interval
    return replace(packet, reason=0) if packet.reason == ReasonCode.DISCONNECT_WITH_WILL_MESSAGE and delayed else packet


WILLS = table("broker", "will takeover session disconnect shared subscription keep_alive expiry", {
    **at_each_moment("forgets the new will", _no_will),
    **at_each_moment("keeps the old will", _old_will),
    **at_each_moment("keeps the old will where there is no new one", _old_will_if_none),
    "publishes a delayed will at its old time": around(sessions, "_cancel", _will_timer_goes_on),
    "waits out the will's delay though the session is over": around(Wills, "connection_closed", _waits_for_its_delay),
    "drops a delayed will at a takeover": around(Peer, "disconnect", _none_if_it_is_back),
    "publishes the will again when the session ends": around(Wills, "publish", _and_again_at_the_end),
    "sends clients their own will despite No Local": (
        around(Wills, "publish", _noting_wills), around(Exchange, "accept", _of_nobody)),
    "counts a will's lifetime from its connection's end": around(Wills, "publish", _lifetime_from_connect),
    "takes Disconnect with Will for a normal one if there is a delay": Hears(Disconnect, _discard_at_disconnect_4),
})  # fmt: skip

MUTANTS = [*LIMITS, *EXPIRY, *WILLS]
