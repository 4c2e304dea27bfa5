"""What the fast path remembers of PUBLISH packets that begin alike.

Belongs here: which packets the fast path may take, decided once for each head (topic and properties).
Does not belong here: whether they may be published (`values.admission`), forwarding them (`forwarding`).
"""

from __future__ import annotations

from collections.abc import Hashable
from sys import getsizeof

from reference_broker.broker.keeping.routing import Route, Router
from reference_broker.broker.keeping.session import Session, Target
from reference_broker.broker.keeping.shared import SharedSubscription
from reference_broker.broker.outgoing.forms import Form
from reference_broker.broker.values.access import AccessControl
from reference_broker.broker.values.admission import Admission
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Publish
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.types import QoS, Version

_REMEMBERED_HEADS = 65_536
"""Heads of `_HEAD_BYTES` that may be remembered, 48 MiB; what takes more counts as several."""

_HEAD_BYTES = 768
"""What a head takes, its topic and properties in some 32 bytes included."""

_KEY_FACTOR, _PROPERTY_BYTES, _RECEIVER_BYTES = 6, 200, 100
"""What more of a key takes, as bytes and as a string; each User Property; each receiver of a new set of them."""

_LARGE = 1 << 20
"""Packets above this size gain nothing, and their copies in another version might not fit the protocol."""

_SHORT = 127
"""The highest remaining length of one byte."""


class Receivers:
    """Who gets messages: `targets` each of them, and of the members of `shared` one each.

    There is one object for the same receivers, so that neighbours in a stream can be told by identity.
    """

    __slots__ = ("shared", "targets")

    def __init__(self, targets: tuple[Target, ...], shared: SharedSubscription | None = None) -> None:
        self.targets = targets
        self.shared = shared


NOBODY = Receivers(())


class Head:
    """What is known about PUBLISH packets of one topic and one set of properties.

    `form` is what they look like, `highest_qos` up to which QoS the fast path may take them.
    """

    __slots__ = ("form", "highest_qos", "receivers")

    def __init__(self, form: Form, receivers: Receivers, highest_qos: QoS) -> None:
        self.form = form
        self.receivers = receivers
        self.highest_qos = highest_qos


class Heads:
    """Heads by publishers' rights and bytes of topic and properties; None for those the fast path leaves alone."""

    def __init__(self, config: BrokerConfig, access: AccessControl, admission: Admission, router: Router) -> None:
        self._access = access
        self._limits_receivers = access.limits_receivers
        self._admission = admission
        self._router = router
        self.size_limit = min(config.maximum_packet_size or _LARGE, _LARGE)
        """Bytes of the largest packet the fast path takes."""
        self.longest_short = min(_SHORT, self.size_limit - 2)
        """The largest remaining length of one byte it takes."""
        self._by_rights: dict[Hashable, dict[bytes, Head | None]] = {}
        self._receivers: dict[tuple[object, ...], Receivers] = {}
        self._generation = -1
        self._count = 0

    def of(self, session: Session) -> dict[bytes, Head | None]:
        """What holds for one publisher now; ask again after anything that may change subscriptions."""
        generation = self._router.generation
        if generation != self._generation or self._count >= _REMEMBERED_HEADS:
            self._generation = generation
            self._by_rights.clear()
            self._receivers.clear()
            self._count = 0
        # The same topic may be open to one user and closed to another.
        rights = self._access.same_rights(session)
        heads = self._by_rights.get(rights)
        if heads is None:
            heads = self._by_rights[rights] = {}
            self._count += getsizeof(session.username) // _HEAD_BYTES  # a user who publishes has heads that count
        return heads

    def learn(self, session: Session, version: Version, key: bytes, packet: Publish, data: bytes) -> Head | None:
        """Remember what to do with packets that begin like this one: `packet` is what the wire decoded from `data`.

        `session` is the publisher's, `version` the one it speaks.
        """
        head = self.of(session)[key] = self._examine(session, version, packet, data)
        more_bytes = _KEY_FACTOR * len(key) + _PROPERTY_BYTES * len(packet.properties.user_property)
        self._count += 1 + more_bytes // _HEAD_BYTES
        return head

    def _examine(self, session: Session, version: Version, packet: Publish, data: bytes) -> Head | None:
        topic, properties = packet.topic, packet.properties
        if not topic or properties.topic_alias is not None:
            return None
        highest_qos = self._admission.highest_free_qos(session, topic, properties)
        if highest_qos is None:
            return None
        route = self._router.route(topic)
        if any(target.no_local for target in route.targets):
            return None
        if route.shared and not self._can_deal(route):
            return None
        if not _is_as_encoded(packet, data, version):
            return None
        shared = route.shared[0] if route.shared else None
        identity = (shared, *((each.session, int(each.qos), each.subscription_ids) for each in route.targets))
        receivers = self._receivers.get(identity)
        if receivers is None:
            receivers = self._receivers[identity] = Receivers(route.targets, shared)
            self._count += _RECEIVER_BYTES * len(route.targets) // _HEAD_BYTES
        return Head(Form(topic, properties), receivers, highest_qos)

    def _can_deal(self, route: Route) -> bool:
        """Whether messages can be dealt out by the burst: no session gets two copies that have to keep an order."""
        if len(route.shared) > 1 or self._limits_receivers:
            return False
        return not any(target.session in route.shared[0] for target in route.targets)


def _is_as_encoded(packet: Publish, data: bytes, version: Version) -> bool:
    """Whether encoding gives these bytes: properties may come in any order, and be written in more than one way.

    Without them there is only one way (a padded length never gets here), but 3.1 lets clients send what may not be
    sent on.
    """
    if version is not Version.V31 and packet.properties is NO_PROPERTIES:
        return True
    try:
        return encode(packet, version) == data
    except LocalError:
        return False
