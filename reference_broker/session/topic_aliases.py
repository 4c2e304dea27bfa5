"""Topic aliases of one direction of one network connection. [5.0 3.3.2.3.4]

Belongs here: which number stands for which topic.
Does not belong here: session state; make new objects for each connection. [5.0 MQTT-3.3.2-7]
"""

from __future__ import annotations

from dataclasses import replace

from reference_broker.wire.errors import ProtocolError
from reference_broker.wire.packets import Publish
from reference_broker.wire.types import ReasonCode

ALIAS_SIZE = 8
"""Most bytes a topic alias adds: three of its own, and two more for each length that grows by them."""


class InboundAliases:
    """The aliases the peer has set, up to the Topic Alias Maximum we announced."""

    __slots__ = ("_topics", "maximum")

    def __init__(self, maximum: int = 0) -> None:
        self.maximum = maximum
        self._topics: dict[int, str] = {}

    def resolve(self, publish: Publish) -> Publish:
        """The PUBLISH with its topic in place and without its alias, which means nothing outside this connection.

        Raises ProtocolError with 0x94 for an alias that is 0 or above the maximum, and with 0x82 for an empty topic
        without an alias or with one that was never set. [5.0 3.3.4, 3.3.2.1]
        """
        alias = publish.properties.topic_alias
        if alias is None:
            if not publish.topic:
                raise ProtocolError("PUBLISH with neither a topic nor a topic alias", "5.0 3.3.2.1")
            return publish
        if not 1 <= alias <= self.maximum:
            raise ProtocolError(
                f"topic alias {alias} is not in 1..{self.maximum}",
                "5.0 MQTT-3.3.2-8" if alias == 0 else "5.0 3.3.4",
                ReasonCode.TOPIC_ALIAS_INVALID,
            )
        if publish.topic:
            self._topics[alias] = publish.topic
        topic = self._topics.get(alias)
        if topic is None:
            raise ProtocolError(f"topic alias {alias} was never set", "5.0 3.3.4")
        return replace(publish, topic=topic, properties=replace(publish.properties, topic_alias=None))


class OutboundAliases:
    """The aliases we have set, up to the Topic Alias Maximum the peer announced.

    The first topics get an alias and keep it: with more topics than aliases, taking one away for each new topic would
    send whole topics all the time and save nothing.
    """

    __slots__ = ("_aliases", "maximum")

    def __init__(self, maximum: int = 0) -> None:
        self.maximum = maximum
        self._aliases: dict[str, int] = {}

    def apply(self, publish: Publish) -> Publish:
        """The PUBLISH to send: the topic with a new alias, the alias alone, or unchanged when no alias is left.

        Keep the original for a re-send: an alias does not outlive the connection. [5.0 MQTT-3.3.2-7]
        """
        alias = self._aliases.get(publish.topic)
        if alias is not None:
            return replace(publish, topic="", properties=replace(publish.properties, topic_alias=alias))
        if len(self._aliases) >= self.maximum:
            return publish
        alias = self._aliases[publish.topic] = len(self._aliases) + 1
        return replace(publish, properties=replace(publish.properties, topic_alias=alias))
