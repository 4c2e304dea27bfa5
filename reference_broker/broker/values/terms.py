"""What somebody gets of a topic's messages, without saying who.

Belongs here: what was granted, as far as sending and waiting have to know it.
Does not belong here: whose it is (`keeping.session`), how several are merged (`keeping.routing`).
"""

from __future__ import annotations

from reference_broker.wire.types import QoS


class Terms:
    """At most which QoS, with which identifiers; RETAIN flags are kept where that was asked for. [5.0 3.8.3.1]"""

    __slots__ = ("no_local", "qos", "retain_as_published", "subscription_ids")

    share: str | None = None
    """The whole filter, `$share/...` included, of the shared subscription that it is got by. [5.0 4.8.2]"""

    def __init__(self, qos: QoS, no_local: bool, retain_as_published: bool, subscription_ids: tuple[int, ...]) -> None:
        self.qos = qos
        self.no_local = no_local
        self.retain_as_published = retain_as_published
        self.subscription_ids = subscription_ids


class KeptTerms(Terms):
    """What somebody got when the broker last ran."""

    __slots__ = ("share",)

    def __init__(self, qos: QoS, subscription_ids: tuple[int, ...], share: str | None) -> None:
        super().__init__(qos, no_local=False, retain_as_published=False, subscription_ids=subscription_ids)
        self.share = share
