"""Clients with faults that were reported of real ones, wrong only in the circumstance of the report.

Belongs here: faults of clients rebuilt from public reports, each with the report it is from.
Does not belong here: those of brokers (`broker_reported`), faults made up to break a scenario (`client_...`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from interop.mutants.broker_reported import pubrels_backwards
from interop.mutants.mutant import Hears, around, table
from reference_broker.client.core import ClientCore
from reference_broker.client.limits import ServerLimits
from reference_broker.client.publishing import Publisher
from reference_broker.session.delivery import Outbound
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, PubAck, PubComp, Publish
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.types import QoS


def _memory(session: Any) -> dict[Any, Any]:
    """What a mutant remembers of a session."""
    memory: dict[Any, Any] = vars(session).setdefault("memory", {})
    return memory


def _send_again(publisher: Any, change: Callable[[Any], Any] = lambda publish: publish) -> None:
    """What is in flight goes out as far as the window allows."""
    while publisher._resuming and publisher._quota.take():
        packet_id = next(iter(publisher._resuming))
        publisher._send(change(publisher._with_own_alias(publisher._resuming.pop(packet_id))))


# --- windows ----------------------------------------------------------------------------------------------------------


def _window_stays_full(real: Any, self: Any, session: Any, version: Any, limits: Any, **named: Any) -> None:
    real(self, session, version, limits, **named)
    old = _memory(session).get("quota")
    if old is not None and old.available == 0:
        self._quota.available = 0
    _memory(session)["quota"] = self._quota


def _remember_what_waits(real: Any, self: Any) -> None:
    _memory(self._session)["stuck"] = bool(self._session.outbound._publishes) and bool(self._session.waiting)
    real(self)


def _only_again(real: Any, self: Any) -> None:
    if _memory(self._session).get("stuck"):
        _send_again(self)
    else:
        real(self)


def _two_windows(_real: Any, self: Any) -> None:
    _send_again(self)
    session, outbound = self._session, self._session.outbound
    while session.waiting:
        publish = session.waiting[0].publish
        used = sum(each.qos == publish.qos for each in outbound._publishes.values())
        if publish.qos == QoS.EXACTLY_ONCE:
            used += len(outbound._releases)
        if used >= self._limits.receive_maximum:
            return
        entry = session.waiting.popleft()
        numbered = outbound.send(publish)
        session.tickets[numbered.packet_id] = entry.ticket
        self._quota.take()
        self._send(self._on_the_wire(numbered, entry.ticket))


def _unknown_frees(real: Any, self: Any, packet: Any) -> None:
    known = packet.packet_id in self._session.outbound
    real(self, packet)
    if not known and isinstance(packet, PubAck | PubComp):
        self._quota.give_back()
        self.flush()


WINDOWS = table("client", "flow_control", {
    "reported client: keeps a full window over a reconnect": around(  # paho.mqtt.python #24
        Publisher, "__init__", _window_stays_full),
    "reported client: sends nothing that waited when it resumes": (  # mosquitto #110
        around(Publisher, "resume", _remember_what_waits), around(Publisher, "flush", _only_again)),
    "reported client: counts QoS 1 and QoS 2 by themselves": around(Publisher, "flush", _two_windows),  # TurboMqtt #367
    "reported client: frees the window for an unknown acknowledgement": around(  # moquette #604, of a client
        Publisher, "acknowledge", _unknown_frees),
})  # fmt: skip

# --- limits and aliases of a connection -------------------------------------------------------------------------------


def _kept_limit(name: str) -> Hears:
    """What CONNACK does not name is as the last one that did had it."""

    def hear(packet: ConnAck, end: Any) -> ConnAck:
        memory, value = _memory(end.session), getattr(packet.properties, name)
        if packet.reason:
            return packet
        if value is None and name in memory:
            return replace(packet, properties=replace(packet.properties, **{name: memory[name]}))
        memory[name] = value
        return packet

    return Hears(ConnAck, hear)


def _any_size_again(real: Any, self: Any, packet: Any, version: Any) -> bytes:
    is_again = isinstance(packet, Publish) and packet.dup
    return encode(packet, version) if is_again else bytes(real(self, packet, version))


def _not_checked_again(real: Any, self: Any, publish: Any) -> None:
    if not publish.dup:
        real(self, publish)


def _remember_alias(real: Any, self: Any, publish: Any, ticket: int) -> Any:
    sent = real(self, publish, ticket)
    if sent.packet_id is not None and not sent.topic:
        _memory(self._session)["alone", sent.packet_id] = sent.properties.topic_alias
    return sent


def _alias_alone_again(real: Any, self: Any) -> None:
    def alone(publish: Any) -> Any:
        alias = _memory(self._session).get(("alone", publish.packet_id))
        if alias is None:
            return publish
        return replace(publish, topic="", properties=replace(publish.properties, topic_alias=alias))

    _send_again(self, alone)
    real(self)


def _old_aliases(real: Any, self: Any, session: Any, version: Any, limits: Any, **named: Any) -> None:
    real(self, session, version, limits, **named)
    memory = _memory(session)
    self._asked = memory.setdefault("asked", self._asked)
    self._set = memory.setdefault("set", self._set)
    self._aliases._aliases = memory.setdefault("aliases", self._aliases._aliases)


LIMITS = table("client", "connect keep_alive topic_alias qos2", {
    "reported client: keeps Server Keep Alive when it is not said again": _kept_limit(  # zMQTT #77, mqtt-lib #78
        "server_keep_alive"),
    "reported client: keeps Topic Alias Maximum when it is not said again": _kept_limit(  # mosquitto #3630
        "topic_alias_maximum"),
    "reported client: keeps Maximum Packet Size when it is not said again": _kept_limit(  # mqtt-lib #103
        "maximum_packet_size"),
    "reported client: sends again what has become too large": around(ServerLimits, "encode", _any_size_again),
    # boost mqtt5 #37
    "reported client: sends again what the server no longer takes": around(  # boost mqtt5 #37
        ServerLimits, "check_publish", _not_checked_again),
    "reported client: sends an alias alone on the next connection": (  # paho.mqtt.java #1104, paho.mqtt.python #893
        around(Publisher, "_on_the_wire", _remember_alias), around(Publisher, "flush", _alias_alone_again)),
    "reported client: uses its aliases of the last connection": around(  # mosquitto #2494, paho.golang #276
        Publisher, "__init__", _old_aliases),
})  # fmt: skip

# --- sessions ---------------------------------------------------------------------------------------------------------


def _forget_at_the_third(real: Any, self: Any) -> None:
    memory = _memory(self._session)
    memory["connected"] = memory.get("connected", 0) + 1
    if memory["connected"] > 2:
        self._session.forget_received()
    real(self)


def _forget_at_disconnect(real: Any, self: Any, now: float, reason: int = 0, properties: Any = NO_PROPERTIES) -> None:
    real(self, now, reason, properties)
    self.session.forget_received()


SESSIONS = table("client", "qos2 ordering", {
    "reported client: forgets QoS 2 messages received at the second resumption": around(  # fusesource #121
        Publisher, "resume", _forget_at_the_third),
    "reported client: forgets QoS 2 messages received when it disconnects": around(  # MQTT.js #706
        ClientCore, "disconnect", _forget_at_disconnect),
    "reported client: resumes PUBRELs the wrong way round": around(Outbound, "resume", pubrels_backwards),  # emqx #167
})  # fmt: skip

MUTANTS = [*WINDOWS, *LIMITS, *SESSIONS]
