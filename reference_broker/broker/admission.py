"""What a client may publish and subscribe to: the access rules and the limits on topics, decided in one place.

Belongs here: refusals that depend on the user and the topic only, so that the fast path may remember them.
Does not belong here: the rules themselves (`access`), or how a refusal is answered (`publishing`, `subscribing`).
"""

from __future__ import annotations

from reference_broker.broker.access import AccessControl
from reference_broker.broker.config import BrokerConfig
from reference_broker.wire.types import ReasonCode


class Admission:
    """Answers from configuration and access rules; None stands for welcome."""

    def __init__(self, config: BrokerConfig, access: AccessControl) -> None:
        self._access = access
        self._most_separators = config.maximum_topic_levels - 1

    def topic_refusal(self, username: str | None, topic: str) -> ReasonCode | None:
        """Why a user may not publish to a topic, be it by PUBLISH or will. [5.0 3.4.2.1, 3.2.2.2]"""
        if topic.count("/") > self._most_separators:
            return ReasonCode.TOPIC_NAME_INVALID
        return None if self._access.may_publish(username, topic) else ReasonCode.NOT_AUTHORIZED

    def filter_refusal(self, username: str | None, topic_filter: str) -> ReasonCode | None:
        """Why a user may not subscribe to a filter, which is given without share name. [5.0 3.9.3]"""
        if topic_filter.count("/") > self._most_separators:
            return ReasonCode.TOPIC_FILTER_INVALID
        return None if self._access.may_subscribe(username, topic_filter) else ReasonCode.NOT_AUTHORIZED
