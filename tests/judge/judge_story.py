"""Hand-made traces for the judge's tests, told as a story: who connects, who sends what, what the tap does with it.

Belongs here: the builder, and the registry of stories that break a rule or keep it.
Does not belong here: the stories (`judge_stories_*`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from interop.judge import RULES, Finding, judge
from interop.tap.trace import Fate, Kind, Sender, Trace, TraceEntry
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version

CLIENT, BROKER, HARNESS = Sender.CLIENT, Sender.BROKER, Sender.HARNESS
V31, V311, V5 = Version.V31, Version.V311, Version.V5
ALL = (V31, V311, V5)
STEP_SECONDS = 0.001


class Story:
    """A trace in the making; every entry is a millisecond after the one before."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.now = 0.0
        self.trace = Trace(lambda: self.now)

    def actor(self, name: str = "one", client_id: str | None = None) -> Actor:
        """A client and its link."""
        return Actor(self, name, name if client_id is None else client_id)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    def findings(self) -> list[Finding]:
        """What the judge says."""
        return judge(self.trace, self.version)


class Actor:
    """One link: `client` and `broker` send, `connect` and the like do the usual exchange."""

    def __init__(self, story: Story, name: str, client_id: str) -> None:
        self.story = story
        self.name = name
        self.client_id = client_id
        self.connection = 0

    @property
    def version(self) -> Version:
        return self.story.version

    # --- single entries -----------------------------------------------------------------------------------------------

    def open(self) -> None:
        self.connection += 1
        self._record(Kind.OPEN, CLIENT)

    def client(
        self, packet: Packet | bytes, fate: Fate = Fate.FORWARDED, note: str = "", began_at: float | None = None
    ) -> TraceEntry:
        return self._data(CLIENT, packet, fate, note, BROKER, began_at)

    def broker(
        self, packet: Packet | bytes, fate: Fate = Fate.FORWARDED, note: str = "", began_at: float | None = None
    ) -> TraceEntry:
        return self._data(BROKER, packet, fate, note, CLIENT, began_at)

    def inject(self, to: Sender, packet: Packet | bytes) -> TraceEntry:
        return self._data(HARNESS, packet, Fate.INJECTED, "", to)

    def close(self, by: Sender = CLIENT, fate: Fate = Fate.FORWARDED, note: str = "FIN") -> TraceEntry:
        return self._record(Kind.CLOSE, by, fate=fate, note=note)

    def cut(self) -> None:
        self._record(Kind.FAULT, HARNESS, note="cut (FIN)")
        self._record(Kind.CLOSE, HARNESS, note="FIN")

    def _data(
        self,
        sender: Sender,
        packet: Packet | bytes,
        fate: Fate,
        note: str,
        receiver: Sender,
        began_at: float | None = None,
    ) -> TraceEntry:
        if isinstance(packet, bytes):
            return self._record(Kind.MALFORMED, sender, fate=fate, data=packet, note=note, receiver=receiver)
        return self._record(
            Kind.PACKET,
            sender,
            fate=fate,
            packet=packet,
            data=self._bytes(packet),
            note=note,
            receiver=receiver,
            began_at=began_at,
        )

    def _bytes(self, packet: Packet) -> bytes:
        try:
            return encode(packet, self.version)
        except LocalError:  # a story may tell of packets we would not send
            return bytes([packet.type << 4, 0])

    def _record(self, kind: Kind, sender: Sender, **rest: object) -> TraceEntry:
        self.story.now += STEP_SECONDS
        return self.story.trace.record(self.name, self.connection, kind, sender, **rest)  # type: ignore[arg-type]

    # --- the usual exchanges ------------------------------------------------------------------------------------------

    def connect(
        self,
        *,
        clean: bool = True,
        present: bool = False,
        keep_alive: int = 0,
        will: Will | None = None,
        asks: Properties = NO_PROPERTIES,
        answer: Properties = NO_PROPERTIES,
    ) -> TraceEntry:
        """CONNECT and CONNACK; gives the CONNACK's entry."""
        self.open()
        self.client(Connect(self.version, self.client_id, clean, keep_alive, will=will, properties=asks))
        return self.broker(ConnAck(present and self.version is not V31, properties=answer))

    def connect_kept(self, *, present: bool = False, asks: Properties | None = None, **rest: object) -> TraceEntry:
        """Connect to a session that outlives the connection."""
        kept = Properties(session_expiry_interval=300) if self.version is V5 else NO_PROPERTIES
        return self.connect(clean=False, present=present, asks=asks or kept, **rest)  # type: ignore[arg-type]

    def subscribe(
        self,
        *subscriptions: Subscription,
        packet_id: int = 100,
        granted: tuple[int, ...] | None = None,
        identifier: int | None = None,
    ) -> TraceEntry:
        """SUBSCRIBE and SUBACK; gives the SUBACK's entry."""
        properties = NO_PROPERTIES if identifier is None else Properties(subscription_identifier=(identifier,))
        self.client(Subscribe(packet_id, subscriptions, properties))
        codes = granted if granted is not None else tuple(int(each.qos) for each in subscriptions)
        return self.broker(SubAck(packet_id, codes))

    def unsubscribe(self, topic_filter: str, packet_id: int = 101) -> TraceEntry:
        self.client(Unsubscribe(packet_id, (topic_filter,)))
        return self.broker(UnsubAck(packet_id, (0,) if self.version is V5 else ()))

    def publish(self, publish: Publish) -> TraceEntry:
        """A client's PUBLISH and the whole exchange behind it; gives the PUBLISH's entry."""
        return self._exchange(self.client, self.broker, publish)

    def deliver(self, publish: Publish) -> TraceEntry:
        """A broker's PUBLISH and the whole exchange behind it; gives the PUBLISH's entry."""
        return self._exchange(self.broker, self.client, publish)

    def _exchange(self, sends: Say, answers: Say, publish: Publish) -> TraceEntry:
        entry = sends(publish)
        if publish.packet_id is not None and publish.qos is QoS.AT_LEAST_ONCE:
            answers(PubAck(publish.packet_id))
        elif publish.packet_id is not None:
            answers(PubRec(publish.packet_id))
            sends(PubRel(publish.packet_id))
            answers(PubComp(publish.packet_id))
        return entry

    def leave(self) -> None:
        """DISCONNECT and FIN."""
        self.client(Disconnect())
        self.close()


Say = Callable[[Packet], TraceEntry]


def q0(payload: str = "x", topic: str = "t", **rest: object) -> Publish:
    return Publish(topic, payload.encode(), QoS.AT_MOST_ONCE, **rest)  # type: ignore[arg-type]


def q1(packet_id: int = 1, payload: str = "x", topic: str = "t", **rest: object) -> Publish:
    return Publish(topic, payload.encode(), QoS.AT_LEAST_ONCE, packet_id=packet_id, **rest)  # type: ignore[arg-type]


def q2(packet_id: int = 1, payload: str = "x", topic: str = "t", **rest: object) -> Publish:
    return Publish(topic, payload.encode(), QoS.EXACTLY_ONCE, packet_id=packet_id, **rest)  # type: ignore[arg-type]


def to(topic_filter: str, qos: int = 2, **options: object) -> Subscription:
    return Subscription(topic_filter, QoS(qos), **options)  # type: ignore[arg-type]


# --- the registry -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A story with what it proves; one that keeps its rule gives no entry."""

    rule: str
    name: str
    tell: Callable[[Story], TraceEntry | None]
    blame: Sender
    versions: tuple[Version, ...]
    cites: tuple[str, ...] | None
    also: tuple[str, ...]


BREAKING: list[Told] = []
KEEPING: list[Told] = []
Tell = Callable[[Story], TraceEntry | None]


def breaks(
    rule: str,
    blame: Sender,
    *versions: Version,
    cites: tuple[str, ...] | None = None,
    also: tuple[str, ...] = (),
) -> Callable[[Tell], Tell]:
    """The story breaks that rule, at the entry it gives, and none other but those named in `also`.

    Without versions: all in which the rule binds that side; in the others nothing may be found.
    """

    def register(tell: Tell) -> Tell:
        bound = versions or tuple(RULES[rule].clauses(blame))
        BREAKING.append(Told(rule, tell.__name__, tell, blame, bound, cites, also))
        return tell

    return register


def keeps(rule: str, *versions: Version) -> Callable[[Tell], Tell]:
    """The story comes close to breaking that rule, and breaks none."""

    def register(tell: Tell) -> Tell:
        rule_versions = tuple({**RULES[rule].client, **RULES[rule].broker})
        KEEPING.append(Told(rule, tell.__name__, tell, HARNESS, versions or rule_versions, None, ()))
        return tell

    return register
