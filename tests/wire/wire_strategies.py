"""Hypothesis strategies for packets that the specification allows, in each version."""

from hypothesis import strategies as st

from reference_broker.wire import packets
from reference_broker.wire.properties import NO_PROPERTIES, PROPERTY_RULES, WILL, Properties, PropertyType
from reference_broker.wire.reasons import REASONS
from reference_broker.wire.types import PacketType, QoS, RetainHandling, Version

_CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=("Cs",))
TEXT = st.text(_CHARACTERS, max_size=12)
BINARY = st.binary(max_size=40)
PACKET_ID = st.integers(1, 65_535)
QOS = st.sampled_from(QoS)
_LEVEL = st.text(st.characters(exclude_characters="\0+#/", exclude_categories=("Cs",)), max_size=4)
TOPIC = st.lists(_LEVEL, min_size=1, max_size=5).map("/".join).filter(bool)


@st.composite
def _filters(draw):
    levels = draw(st.lists(_LEVEL | st.just("+"), max_size=4))
    if draw(st.booleans()) or not levels:
        levels.append("#")
    return "/".join(levels) or "/"


_NOT_SHARED = _filters().filter(lambda text: not text.startswith("$share/"))
_SHARED = st.tuples(_LEVEL.filter(bool), _NOT_SHARED).map(lambda pair: f"$share/{pair[0]}/{pair[1]}")
_LARGEST = {
    PropertyType.BYTE: 255,
    PropertyType.TWO_BYTE_INTEGER: 65_535,
    PropertyType.FOUR_BYTE_INTEGER: 2**32 - 1,
    PropertyType.VARIABLE_BYTE_INTEGER: 268_435_455,
}


def _value(rule):
    if rule.name == "response_topic":
        return TOPIC
    if rule.type in _LARGEST:
        return st.integers(rule.minimum, _LARGEST[rule.type] if rule.maximum is None else rule.maximum)
    return {
        PropertyType.UTF8_STRING: TEXT,
        PropertyType.UTF8_STRING_PAIR: st.tuples(TEXT, TEXT),
        PropertyType.BINARY_DATA: BINARY,
    }[rule.type]


@st.composite
def _properties_at(draw, place):
    values = {}
    for rule in PROPERTY_RULES:
        if place not in rule.places or draw(st.integers(0, 2)):
            continue
        if rule.repeatable:
            most = 3 if place in rule.repeatable else 1
            values[rule.name] = tuple(draw(st.lists(_value(rule), min_size=1, max_size=most)))
        else:
            values[rule.name] = draw(_value(rule))
    if "authentication_data" in values:
        values.setdefault("authentication_method", "m")
    return Properties(**values)


def properties(version, place):
    return _properties_at(place) if version is Version.V5 else st.just(NO_PROPERTIES)


def _reason(version, packet_type):
    return st.sampled_from(sorted(REASONS[version].get(packet_type, {0})))


def _will(version):
    payload = st.binary(max_size=20)
    if version is Version.V31:
        payload = st.text(st.characters(max_codepoint=127), max_size=20).map(str.encode)
    return st.builds(packets.Will, TOPIC, payload, QOS, st.booleans(), properties(version, WILL))


@st.composite
def _connects(draw, version):
    username = draw(st.none() | TEXT)
    password = draw(st.none() | (TEXT.map(str.encode) if version is Version.V31 else BINARY))
    if username is None and version is not Version.V5:
        password = None
    return packets.Connect(
        version=version,
        client_id=draw(TEXT),
        clean_start=draw(st.booleans()),
        keep_alive=draw(st.integers(0, 65_535)),
        username=username,
        password=password,
        will=draw(st.none() | _will(version)),
        properties=draw(properties(version, PacketType.CONNECT)),
    )


@st.composite
def _connacks(draw, version):
    reason = draw(_reason(version, PacketType.CONNACK))
    present = reason == 0 and version is not Version.V31 and draw(st.booleans())
    return packets.ConnAck(present, reason, draw(properties(version, PacketType.CONNACK)))


@st.composite
def _publishes(draw, version):
    qos = draw(QOS)
    held = draw(properties(version, PacketType.PUBLISH))
    return packets.Publish(
        topic=draw(TOPIC if held.topic_alias is None else TOPIC | st.just("")),
        payload=draw(st.binary(max_size=200)),
        qos=qos,
        retain=draw(st.booleans()),
        dup=bool(qos) and draw(st.booleans()),
        packet_id=draw(PACKET_ID) if qos else None,
        properties=held,
    )


def _answers(version, packet_class):
    place = packet_class.type
    dup = {"dup": st.booleans()} if packet_class is packets.PubRel and version is Version.V31 else {}
    return st.builds(packet_class, PACKET_ID, _reason(version, place), properties(version, place), **dup)


@st.composite
def _subscriptions(draw, version):
    if version is not Version.V5:
        return packets.Subscription(draw(_filters()), draw(QOS))
    shared = draw(st.booleans())
    return packets.Subscription(
        draw(_SHARED if shared else _NOT_SHARED),
        draw(QOS),
        not shared and draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from(RetainHandling)),
    )


def _dup(version):
    return st.booleans() if version is Version.V31 else st.just(False)


def _subscribes(version):
    entries = st.lists(_subscriptions(version), min_size=1, max_size=4).map(tuple)
    return st.builds(packets.Subscribe, PACKET_ID, entries, properties(version, PacketType.SUBSCRIBE), _dup(version))


def _unsubscribes(version):
    entries = st.lists(_NOT_SHARED if version is Version.V5 else _filters(), min_size=1, max_size=4).map(tuple)
    return st.builds(
        packets.Unsubscribe, PACKET_ID, entries, properties(version, PacketType.UNSUBSCRIBE), _dup(version)
    )


def _list_answers(version, packet_class):
    place = packet_class.type
    codes = st.lists(_reason(version, place), min_size=1, max_size=4).map(tuple)
    if packet_class is packets.UnsubAck and version is not Version.V5:
        codes = st.just(())
    return st.builds(packet_class, PACKET_ID, codes, properties(version, place))


@st.composite
def _auths(draw):
    held = draw(properties(Version.V5, PacketType.AUTH))
    if held.authentication_method is None:
        return packets.Auth()
    return packets.Auth(draw(_reason(Version.V5, PacketType.AUTH)), held)


BY_TYPE = {
    PacketType.CONNECT: _connects,
    PacketType.CONNACK: _connacks,
    PacketType.PUBLISH: _publishes,
    PacketType.PUBACK: lambda version: _answers(version, packets.PubAck),
    PacketType.PUBREC: lambda version: _answers(version, packets.PubRec),
    PacketType.PUBREL: lambda version: _answers(version, packets.PubRel),
    PacketType.PUBCOMP: lambda version: _answers(version, packets.PubComp),
    PacketType.SUBSCRIBE: _subscribes,
    PacketType.SUBACK: lambda version: _list_answers(version, packets.SubAck),
    PacketType.UNSUBSCRIBE: _unsubscribes,
    PacketType.UNSUBACK: lambda version: _list_answers(version, packets.UnsubAck),
    PacketType.PINGREQ: lambda _: st.just(packets.PingReq()),
    PacketType.PINGRESP: lambda _: st.just(packets.PingResp()),
    PacketType.DISCONNECT: lambda version: st.builds(
        packets.Disconnect, _reason(version, PacketType.DISCONNECT), properties(version, PacketType.DISCONNECT)
    ),
    PacketType.AUTH: lambda _: _auths(),
}


def packets_of(version, packet_type=None):
    """Any packet `version` allows, or any of one type."""
    if packet_type is not None:
        return BY_TYPE[packet_type](version)
    types = [known for known in PacketType if known is not PacketType.AUTH or version is Version.V5]
    return st.sampled_from(types).flatmap(lambda known: BY_TYPE[known](version))
