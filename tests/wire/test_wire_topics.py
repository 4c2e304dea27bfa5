"""Topic names, topic filters, shared subscriptions and matching."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_broker.wire.errors import LocalError
from reference_broker.wire.topics import (
    check_topic_filter,
    check_topic_name,
    matches,
    shared_filter_violation,
    split_shared,
)

# (filter, topic, does it match, where it is written)
MATCHES = [
    ("sport/tennis/player1/#", "sport/tennis/player1", True),  # 4.7.1.2
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
    ("sport/tennis/player1/#", "sport/tennis/player10", False),
    ("sport/#", "sport", True),
    ("#", "sport/tennis", True),
    ("#", "/", True),
    ("sport/tennis/+", "sport/tennis/player1", True),  # 4.7.1.3
    ("sport/tennis/+", "sport/tennis/player1/ranking", False),
    ("sport/+", "sport", False),
    ("sport/+", "sport/", True),
    ("+/tennis/#", "sport/tennis", True),
    ("sport/+/player1", "sport/tennis/player1", True),
    ("sport/+/player1", "sport/player1", False),
    ("+/+", "/finance", True),
    ("/+", "/finance", True),
    ("+", "/finance", False),
    ("+/#", "a", True),
    ("#", "$SYS/monitor", False),  # 4.7.2, MQTT-4.7.2-1
    ("+/monitor/Clients", "$SYS/monitor/Clients", False),
    ("+/#", "$SYS", False),
    ("$SYS/#", "$SYS/monitor", True),
    ("$SYS/#", "$SYS", True),
    ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
    ("a/+", "a/$b", True),
    ("a/#", "a/$b/c", True),
    ("ACCOUNTS", "Accounts", False),  # 4.7.3
    ("/finance", "finance", False),
    ("finance", "finance/", False),
    ("a//b", "a//b", True),
    ("a/+/b", "a//b", True),
    ("a b", "a b", True),
    ("\u00e9", "e\u0301", False),  # MQTT-4.7.3-4: no normalisation
    ("\u00c5", "\u212b", False),
]


@pytest.mark.parametrize(("topic_filter", "topic", "expected"), MATCHES)
def test_a_filter_matches_what_the_specification_says(topic_filter, topic, expected):
    assert matches(topic_filter, topic) is expected


def _matches_levels(wanted, levels):
    """The definition, level by level, against which the fast one is held."""
    if not wanted:
        return not levels
    if wanted == ["#"]:
        return True
    return bool(levels) and wanted[0] in ("+", levels[0]) and _matches_levels(wanted[1:], levels[1:])


_LEVELS = st.lists(st.sampled_from(["", "a", "b", "$a"]), min_size=1, max_size=4)
_WANTED = st.lists(st.sampled_from(["", "a", "b", "$a", "+"]), max_size=4)


@given(wanted=_WANTED, multi_level=st.booleans(), levels=_LEVELS)
def test_matching_is_matching_level_by_level(wanted, multi_level, levels):
    wanted = [*wanted, "#"] if multi_level or not wanted else wanted
    topic_filter, topic = "/".join(wanted), "/".join(levels)
    if topic_filter and topic:
        expected = _matches_levels(wanted, levels) and not (topic_filter[0] in "#+" and topic[0] == "$")
        assert matches(topic_filter, topic) is expected


@pytest.mark.parametrize("topic", ["a", "/", "a b/c", "$SYS/x", "a//b", "\ufeff", "a" * 65_535])
def test_a_topic_name_may_be(topic):
    check_topic_name(topic)


@pytest.mark.parametrize("topic", ["", "#", "a/+", "a+", "a\0", "\ud800", "a" * 65_536, "\u00e9" * 32_768])
def test_a_topic_name_may_not_be(topic):
    with pytest.raises(LocalError):
        check_topic_name(topic)


@pytest.mark.parametrize(
    "topic_filter", ["#", "+", "/", "+/tennis/#", "a/#", "/+", "+/+/#", "$share", "$share/", "a" * 65_535]
)
def test_a_topic_filter_may_be(topic_filter):
    check_topic_filter(topic_filter)


@pytest.mark.parametrize(
    "topic_filter",
    [
        "",
        "sport/tennis#",
        "sport/tennis/#/ranking",
        "#/a",
        "##",
        "sport+",
        "+a/b",
        "a/b+/c",
        "++",
        "a/#+",
        "a\0",
        "a" * 65_536,
    ],
)
def test_a_topic_filter_may_not_be(topic_filter):
    with pytest.raises(LocalError):
        check_topic_filter(topic_filter)


@pytest.mark.parametrize(
    ("topic_filter", "share", "rest"),
    [
        ("$share/consumer1/sport/tennis/+", "consumer1", "sport/tennis/+"),  # 5.0 4.8.2
        ("$share/consumer1//finance", "consumer1", "/finance"),
        ("$share/g/#", "g", "#"),
        ("$share/g//", "g", "/"),
        ("$share/$share/a", "$share", "a"),
        ("$share", None, "$share"),
        ("$shared/g/a", None, "$shared/g/a"),
        ("a/$share/b", None, "a/$share/b"),
    ],
)
def test_a_shared_filter_has_a_name_and_a_filter(topic_filter, share, rest):
    assert split_shared(topic_filter) == (share, rest)
    assert shared_filter_violation(topic_filter) is None


@pytest.mark.parametrize(
    "topic_filter",
    [
        "$share/",
        "$share//a",
        "$share/g",
        "$share/g/",
        "$share/+/a",
        "$share/#/a",
        "$share/a+/b",
        "$share/#",
        "$share/g/a#",
        "$share/g/+a",
    ],
)
def test_a_shared_filter_may_not_be(topic_filter):
    with pytest.raises(LocalError):
        split_shared(topic_filter)
