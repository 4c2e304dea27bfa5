import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_broker.session.topic_aliases import InboundAliases, OutboundAliases
from reference_broker.wire.errors import ProtocolError
from reference_broker.wire.packets import Publish
from reference_broker.wire.properties import Properties


def aliased(topic, alias, **properties):
    return Publish(topic, b"x", properties=Properties(topic_alias=alias, **properties))


def test_an_alias_is_set_used_and_set_anew():  # 5.0 3.3.2.3.4
    aliases = InboundAliases(2)
    assert aliases.resolve(aliased("a", 1)).topic == "a"
    assert aliases.resolve(aliased("b", 2)).topic == "b"
    assert aliases.resolve(aliased("", 1)).topic == "a"
    assert aliases.resolve(aliased("c", 1)).topic == "c"
    assert aliases.resolve(aliased("", 1)).topic == "c"
    assert aliases.resolve(aliased("", 2)).topic == "b"


def test_the_alias_is_taken_off_and_the_other_properties_stay():
    publish = InboundAliases(1).resolve(aliased("a", 1, content_type="text/plain"))
    assert publish.properties == Properties(content_type="text/plain")


def test_a_publish_without_an_alias_passes_unchanged():
    publish = Publish("a", b"x")
    assert InboundAliases(0).resolve(publish) is publish


@pytest.mark.parametrize(("maximum", "alias"), [(0, 1), (5, 6), (5, 0), (5, 65535)])
def test_an_alias_outside_the_announced_range_is_reason_0x94(maximum, alias):  # 5.0 3.3.4
    with pytest.raises(ProtocolError) as error:
        InboundAliases(maximum).resolve(aliased("a", alias))
    assert error.value.reason == 0x94


def test_an_alias_that_was_never_set_is_reason_0x82():  # 5.0 3.3.4, 3 a)
    with pytest.raises(ProtocolError) as error:
        InboundAliases(5).resolve(aliased("", 3))
    assert error.value.reason == 0x82


def test_neither_topic_nor_alias_is_reason_0x82():  # 5.0 3.3.2.1
    with pytest.raises(ProtocolError) as error:
        InboundAliases(5).resolve(Publish("", b"x"))
    assert error.value.reason == 0x82


def test_every_alias_up_to_the_maximum_is_accepted():  # 5.0 MQTT-3.3.2-10, -12
    aliases = InboundAliases(65535)
    for alias in (1, 2, 65534, 65535):
        aliases.resolve(aliased(f"t/{alias}", alias))
        assert aliases.resolve(aliased("", alias)).topic == f"t/{alias}"


def test_without_a_maximum_no_alias_is_sent():  # 5.0 MQTT-3.1.2-27, MQTT-3.2.2-18
    publish = Publish("a")
    assert OutboundAliases(0).apply(publish) is publish


@given(st.integers(0, 4), st.lists(st.sampled_from(["a", "b/c", "d", "e", "f/g/h"]), max_size=30))
def test_what_one_side_shortens_the_other_restores(maximum, topics):
    outbound, inbound = OutboundAliases(maximum), InboundAliases(maximum)
    for topic in topics:
        publish = Publish(topic, b"x", properties=Properties(content_type="c"))
        assert inbound.resolve(outbound.apply(publish)) == publish


def test_a_known_topic_is_sent_as_its_alias_alone():
    outbound = OutboundAliases(1)
    assert outbound.apply(Publish("long/topic")) == Publish("long/topic", properties=Properties(topic_alias=1))
    assert outbound.apply(Publish("long/topic")) == Publish("", properties=Properties(topic_alias=1))
    assert outbound.apply(Publish("another")) == Publish("another")
