"""What a client may publish and subscribe to: every limit and every right, decided in this one room.

Belongs here: whether a PUBLISH, a will or a filter is welcome, why not, and what of that may be remembered for packets
that begin alike. One limit more is a few lines here and its test.
Does not belong here: the rules themselves (`access`), or how a refusal is answered (`connecting`, `publishing`,
`subscribing`), which differs by packet and version.
"""

from __future__ import annotations

from dataclasses import dataclass

from reference_broker.broker.values.access import AccessControl, Subject
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, ReasonCode, Version


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not welcome: the code of 5.0, words for people, and the statement of 5.0."""

    reason: ReasonCode
    text: str
    statement: str = ""


_QOS = Refusal(ReasonCode.QOS_NOT_SUPPORTED, "this QoS is not supported", "5.0 MQTT-3.2.2-11")
_RETAIN = Refusal(ReasonCode.RETAIN_NOT_SUPPORTED, "retained messages are not supported", "5.0 MQTT-3.2.2-14")
_LEVELS = Refusal(ReasonCode.TOPIC_NAME_INVALID, "the topic has too many levels", "5.0 3.4.2.1")
_LENGTH = Refusal(ReasonCode.TOPIC_NAME_INVALID, "the topic is too long", "5.0 3.4.2.1")
_RIGHT = Refusal(ReasonCode.NOT_AUTHORIZED, "publishing to this topic is not allowed", "5.0 3.4.2.1")
_PAYLOAD = Refusal(ReasonCode.PAYLOAD_FORMAT_INVALID, "the payload is not the UTF-8 it is said to be", "5.0 3.3.2.3.2")

_MEMORY = Refusal(ReasonCode.QUOTA_EXCEEDED, "the broker has no memory left", "5.0 4.13")
_NOT_KEPT = Refusal(ReasonCode.QUOTA_EXCEEDED, "the broker has no room left to keep it", "5.0 4.13")


class Admission:
    """Answers from configuration and access rules; None stands for welcome.

    `announced_refusal` and `refusal` together say whether something may be published, `highest_free_qos` says for which
    packets nobody has to ask either of them.
    """

    def __init__(self, config: BrokerConfig, access: AccessControl) -> None:
        self._access = access
        self._maximum_length = config.maximum_topic_length
        self._most_separators = config.maximum_topic_levels - 1
        self._maximum_qos = QoS(config.maximum_qos)
        self._retain_available = config.retain_available
        self._validates_payload = config.validate_payload_format
        self.store_is_full = False
        """While nothing can be kept what would have to be is not welcome."""
        self.memory_is_full = False
        """While there is no memory left nothing is welcome that takes more."""

    def announced_refusal(self, qos: QoS, retain: bool, version: Version) -> Refusal | None:
        """Why a PUBLISH or will breaks what CONNACK announced; a 3.x client cannot know that RETAIN is ignored."""
        if qos > self._maximum_qos:
            return _QOS
        return _RETAIN if retain and not self._retain_available and version is Version.V5 else None

    def refusal(self, subject: Subject, topic: str, payload: bytes, properties: Properties) -> Refusal | None:
        """Why a user may not publish this, be it by PUBLISH or will."""
        refusal = self.topic_refusal(subject, topic)
        if refusal is None and self._is_validated(properties) and not _is_utf8(payload):
            refusal = _PAYLOAD
        return refusal

    def topic_refusal(self, subject: Subject, topic: str) -> Refusal | None:
        """Why a user may not publish to a topic, whatever it is. [5.0 3.4.2.1, 3.2.2.2]"""
        if self.memory_is_full:
            return _MEMORY
        if topic.count("/") > self._most_separators:
            return _LEVELS
        if self._is_too_long(topic):
            return _LENGTH
        return None if self._access.may_publish(subject, topic) else _RIGHT

    def highest_free_qos(self, subject: Subject, topic: str, properties: Properties) -> QoS | None:
        """Up to which QoS all is welcome that a user publishes with this topic and these properties, without RETAIN.

        None where it depends on the payload, or nothing is.
        """
        if self._is_validated(properties) or self.topic_refusal(subject, topic) is not None:
            return None
        return QoS.AT_MOST_ONCE if self.store_is_full else self._maximum_qos

    def keeping_refusal(self, *, has_to_be_kept: bool) -> Refusal | None:
        """Why something is not welcome that takes memory, or has to be kept before it is answered."""
        if self.memory_is_full:
            return _MEMORY
        return _NOT_KEPT if has_to_be_kept and self.store_is_full else None

    def filter_refusal(self, subject: Subject, topic_filter: str) -> ReasonCode | None:
        """Why a user may not subscribe to a filter, which is given without share name. [5.0 3.9.3]"""
        if topic_filter.count("/") > self._most_separators or self._is_too_long(topic_filter):
            return ReasonCode.TOPIC_FILTER_INVALID
        return None if self._access.may_subscribe(subject, topic_filter) else ReasonCode.NOT_AUTHORIZED

    def _is_too_long(self, text: str) -> bool:
        """Whether a topic or filter has more bytes than it may; it has no more than four for each character."""
        maximum = self._maximum_length
        return 4 * len(text) > maximum and len(text.encode()) > maximum

    def _is_validated(self, properties: Properties) -> bool:
        """Whether the payload has to be what its Payload Format Indicator says. [5.0 3.3.2.3.2]"""
        return self._validates_payload and properties.payload_format_indicator == 1


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
