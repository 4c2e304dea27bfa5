"""What packets of a trace are evidence for, just by having come by."""

from __future__ import annotations

import pytest
from judge_story import BROKER, CLIENT, V5, V31, V311, Story

from interop.judge.evidence import SHOWN, statements_shown
from interop.judge.view import Case
from interop.requirements.requirements import statement
from interop.tap.trace import Sender
from reference_broker.wire.packets import ConnAck, Connect, Disconnect, SubAck, Subscribe, Subscription, Will
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version

_ROLES = {CLIENT: ("client", "both"), BROKER: ("server", "both")}


def shown(story: Story, side: Sender, links: tuple[str, ...] | None = None) -> tuple[str, ...]:
    return statements_shown(Case(list(story.trace), story.version), side, links)


def test_every_statement_shown_is_in_the_table_of_its_version_and_obliges_the_side_that_sent() -> None:
    for each in SHOWN:
        for version, ids in each.ids.items():
            for one in ids:
                assert statement(version.label, one).role in _ROLES[each.side], (one, version)


@pytest.mark.parametrize("version", [V311, V5])
def test_a_first_connect_without_will_or_user_name_shows_the_flags_that_are_0(version: Version) -> None:
    story = Story(version)
    actor = story.actor("one")
    actor.open()
    actor.client(Connect(version, "one"))
    found = shown(story, CLIENT)
    assert {"MQTT-3.1.0-1", "MQTT-3.1.2-11", "MQTT-3.1.2-13"} <= set(found)
    assert ("MQTT-3.1.2-14" if version is V311 else "MQTT-3.1.2-12") not in found  # about a will's QoS
    assert shown(story, BROKER) == ()


def test_a_property_is_evidence_for_the_statement_about_it_and_no_other() -> None:
    story = Story(V5)
    actor = story.actor("one")
    actor.open()
    will = Will("t", b"", QoS.AT_MOST_ONCE, properties=Properties(will_delay_interval=3))
    actor.client(Connect(V5, "one", will=will, properties=Properties(receive_maximum=3)))
    actor.broker(ConnAck(properties=Properties(server_keep_alive=9)))
    about_properties = {each for each in shown(story, CLIENT) if "-U-" in each}
    assert about_properties == {"MQTT5-U-6", "MQTT5-U-17"}
    assert set(shown(story, BROKER)) == {"MQTT-3.2.2-1", "MQTT5-U-36"}


def test_a_disconnect_shows_that_nothing_follows_only_once_the_connection_is_over() -> None:
    story = Story(V5)
    actor = story.actor("one")
    actor.open()
    actor.client(Connect(V5, "one"))
    actor.broker(ConnAck())
    actor.broker(Disconnect(0x8B))
    assert "MQTT-3.14.4-1" not in shown(story, BROKER)
    actor.close(BROKER)
    assert "MQTT-3.14.4-1" in shown(story, BROKER)


def test_only_the_links_asked_for_are_looked_at() -> None:
    story = Story(V311)
    story.actor("one").open()
    other = story.actor("two")
    other.open()
    other.client(Connect(V311, "two"))
    assert shown(story, CLIENT, ("one",)) == ()
    assert shown(story, CLIENT, ("two",))


def test_a_connection_that_speaks_another_version_is_evidence_for_none_of_the_cells() -> None:
    story = Story(V5)
    actor = story.actor("one")
    actor.open()
    actor.client(Connect(V31, "one"))
    assert shown(story, CLIENT) == ()


def test_what_cannot_be_decoded_is_no_evidence() -> None:
    story = Story(V311)
    actor = story.actor("one")
    actor.open()
    actor.client(b"\x10\x02\x00\x00")
    assert shown(story, CLIENT) == ()


def test_suback_shows_what_its_request_asked_for_by_number() -> None:
    story = Story(V5)
    actor = story.actor("one")
    actor.open()
    actor.client(Connect(V5, "one"))
    actor.broker(ConnAck())
    actor.client(Subscribe(7, (Subscription("$share/g/t"),)))
    actor.broker(SubAck(7, (0,)))
    assert {"MQTT-2.2.1-6", "MQTT-3.8.4-2"} <= set(shown(story, BROKER))
    assert {"MQTT-4.8.2-1", "MQTT-3.8.3-4"} <= set(shown(story, CLIENT))
