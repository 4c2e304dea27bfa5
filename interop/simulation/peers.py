"""A client of the world: the built-in core, the session that outlives its connections, and its wire.

Belongs here: what a client does with a step, what of that goes on the wire.
Does not belong here: the way of the bytes (`world`), what is right (books).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from interop.simulation.setup import PeerSetup
from interop.simulation.steps import DESCRIPTION, WILL_TOPIC, Connection, Goodbye, Publication
from interop.simulation.wires import Seat, Wire, payload_of
from reference_broker.client import ClientCore, ClientOptions, Session, State
from reference_broker.wire.packets import Packet, Publish, Subscription, Will
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.sender import Side
from reference_broker.wire.types import Version
from reference_broker.wire.varint import read_remaining_length

Watch = Callable[[Wire, Side, Packet], None]


class Peer:
    """One client; `wire` is the connection it has, `ghosts` are those it has lost and the broker has still."""

    __slots__ = (
        "_said",
        "_watch",
        "core",
        "ghosts",
        "is_paused",
        "name",
        "seat",
        "session",
        "setup",
        "version",
        "wire",
    )

    def __init__(self, name: str, setup: PeerSetup, watch: Watch) -> None:
        """`watch` is told of every packet it sends and gets."""
        self.name = name
        self.setup = setup
        self.version = setup.version
        self.session = Session()
        self.core: ClientCore | None = None
        self.wire: Wire | None = None
        self.ghosts: list[Wire] = []
        self.seat: Seat | None = None
        """The session at the broker that it knows of: that of its last CONNACK."""
        self.is_paused = False
        self._watch = watch
        self._said: list[Packet] = []

    @property
    def is_connected(self) -> bool:
        """Whether it has its CONNACK."""
        return self.core is not None and self.core.state is State.CONNECTED

    def connect(self, wire: Wire, row: Connection, will_number: int, now: float, *, is_other: bool) -> None:
        """Begin on a new wire. A client that has no session says so. [5.0 MQTT-3.2.2-4]

        `is_other`: the broker has begun another session since the last CONNACK that came. No client can know, and what
        it kept would be taken for that one's: here it is lucky, and begins anew.
        """
        is_5 = self.version is Version.V5
        properties = NO_PROPERTIES
        if is_5:
            properties = Properties(
                session_expiry_interval=row.expiry_seconds or None,
                receive_maximum=self.setup.receive_maximum,
                maximum_packet_size=self.setup.maximum_packet_size,
                topic_alias_maximum=self.setup.topic_alias_maximum,
            )
        will = None
        if row.will_delay_seconds is not None:
            said = NO_PROPERTIES
            if is_5:
                described = DESCRIPTION if row.is_will_described else NO_PROPERTIES
                said = replace(described, will_delay_interval=row.will_delay_seconds)
            will = Will(WILL_TOPIC, payload_of(will_number), row.will_qos, row.is_will_retained, properties=said)
        options = ClientOptions(
            self.name,
            self.version,
            clean_start=row.clean_start or is_other or not self.session.established,
            keep_alive=row.keep_alive,
            will=will,
            properties=properties,
            automatic_topic_aliases=self.setup.has_aliases,
        )
        self.core = core = ClientCore(options, self.session)
        self.wire = wire
        self.is_paused = False
        core.watch = self._watched
        core.connect(now)

    def publish(self, row: Publication, number: int, now: float) -> None:
        """Publish the message with this number."""
        properties = NO_PROPERTIES
        if self.version is Version.V5:
            properties = DESCRIPTION if row.is_described else NO_PROPERTIES
            if row.expiry_seconds is not None:
                properties = replace(properties, message_expiry_interval=row.expiry_seconds)
        self._the_core.publish(Publish(row.topic, payload_of(number), row.qos, row.retain, properties=properties), now)

    def subscribe(self, row: Subscription, identifier: int | None, now: float) -> None:
        """Subscribe, in 3.x with what it knows."""
        properties = NO_PROPERTIES
        if self.version is not Version.V5:
            row = Subscription(row.topic_filter, row.qos)
        elif identifier is not None:
            properties = Properties(subscription_identifier=(identifier,))
        self._the_core.subscribe([row], now, properties)

    def unsubscribe(self, topic_filter: str, now: float) -> None:
        """Unsubscribe."""
        self._the_core.unsubscribe([topic_filter], now)

    def disconnect(self, row: Goodbye, now: float) -> None:
        """Say goodbye; an expiry is said where one was said at first. [5.0 3.14.2.2.2]"""
        core = self._the_core
        if self.version is not Version.V5:
            core.disconnect(now)
            return
        expiry = row.expiry_seconds if core.options.properties.session_expiry_interval else None
        core.disconnect(now, row.reason, replace(NO_PROPERTIES, session_expiry_interval=expiry))

    def send(self) -> bool:
        """Put what the core has to say on the wire; whether that was anything."""
        data = self._the_core.data_to_send()
        if not data:
            return False
        wire, position = self.wire, 0
        assert wire is not None
        for packet in self._said:
            header = read_remaining_length(data, position)
            assert header is not None
            end = header[0] + header[1]
            wire.up.put(packet, end - position)
            position = end
        self._said.clear()
        wire.up.data += data
        return True

    @property
    def _the_core(self) -> ClientCore:
        assert self.core is not None
        return self.core

    def _watched(self, side: Side, packet: Packet) -> None:
        if side is Side.CLIENT:
            self._said.append(packet)
        assert self.wire is not None
        self._watch(self.wire, side, packet)
