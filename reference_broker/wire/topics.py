"""Topic names and topic filters: what is well-formed, what matches, what is shared.

Belongs here: questions about one name and one filter. [3.1 appendix A, 3.1.1 4.7, 5.0 4.7, 4.8.2]
Does not belong here: the tree of a broker's subscriptions, rights, or the strings' bytes (`utf8`).

Shared subscriptions exist in 5.0 only. In 3.x `$share/...` is an ordinary filter; the caller, who knows the version,
calls the `shared` functions or leaves them alone.
"""

from __future__ import annotations

from reference_broker.wire.rules import Rule
from reference_broker.wire.utf8 import encode_string

SHARE_PREFIX = "$share/"


def topic_name_violation(topic: str) -> Rule | None:
    """The rule a topic name breaks, or None; `decode` reports it about a peer, `check_topic_name` about ourselves."""
    if not topic:
        return Rule.TOPIC_EMPTY
    if "#" in topic or "+" in topic:
        return Rule.TOPIC_WILDCARD
    return None


def topic_filter_violation(topic_filter: str) -> Rule | None:
    """The rule a topic filter breaks, or None."""
    if not topic_filter:
        return Rule.FILTER_EMPTY
    if "#" in topic_filter and ("#" in topic_filter[:-1] or not (topic_filter == "#" or topic_filter.endswith("/#"))):
        return Rule.FILTER_MULTI_LEVEL
    if "+" in topic_filter and any("+" in level and level != "+" for level in topic_filter.split("/")):
        return Rule.FILTER_SINGLE_LEVEL
    return None


def shared_filter_violation(topic_filter: str) -> Rule | None:
    """The rule a 5.0 topic filter breaks, or None; looks at the share name as well if there is one."""
    if not topic_filter.startswith(SHARE_PREFIX):
        return topic_filter_violation(topic_filter)
    share, slash, rest = topic_filter[len(SHARE_PREFIX) :].partition("/")
    if not share:
        return Rule.SHARE_NAME_EMPTY
    if not slash or not rest or "#" in share or "+" in share:
        return Rule.SHARE_NAME
    return topic_filter_violation(rest)


def check_topic_name(topic: str) -> None:
    """Raise LocalError unless `topic` is a topic name: not empty, no wildcard, no U+0000, at most 65,535 bytes."""
    if rule := topic_name_violation(topic):
        raise rule.forbids(found=repr(topic))
    encode_string(topic)


def check_topic_filter(topic_filter: str) -> None:
    """Raise LocalError unless `topic_filter` is well-formed; `$share/` has no meaning here. [5.0 4.7.1]"""
    if rule := topic_filter_violation(topic_filter):
        raise rule.forbids(found=repr(topic_filter))
    encode_string(topic_filter)


def split_shared(topic_filter: str) -> tuple[str | None, str]:
    """Share name and filter of `$share/name/filter`, or None and the filter as it is; 5.0 only.

    Raises LocalError when a share name is empty, has wildcards or no filter follows. [5.0 MQTT-4.8.2-1, MQTT-4.8.2-2]
    """
    if not topic_filter.startswith(SHARE_PREFIX):
        return None, topic_filter
    if rule := shared_filter_violation(topic_filter):
        raise rule.forbids(found=repr(topic_filter))
    share, _, rest = topic_filter[len(SHARE_PREFIX) :].partition("/")
    return share, rest


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a well-formed filter (without share name) selects a topic name, character by character. [5.0 4.7]

    `#` selects the parent level too, and a filter that begins with a wildcard no topic that begins with `$`.
    [5.0 4.7.1.2, MQTT-4.7.2-1, MQTT-4.7.3-4] 3.1 leaves `$` open; it is treated alike. [3.1 MQTT31-22]
    """
    if topic_filter[0] in "#+" and topic.startswith("$"):
        return False
    wanted = topic_filter.split("/")
    levels = topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        if len(wanted) > len(levels):
            return False
    elif len(wanted) != len(levels):
        return False
    return all(want in ("+", level) for want, level in zip(wanted, levels, strict=False))
