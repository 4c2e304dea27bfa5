"""Whether all that a command may ask for is what is sent, in the newest version that a client claims.

Belongs here: the stages in which commands ask for much, and what is sent then is looked at.
Does not belong here: a plain message there and back (`carried`), how packets are looked at (`wire`).
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.adapter_check.asking import ANSWER_SECONDS, Setting, ask, connection, need, token, unasked
from interop.adapter_check.conversation import Conversation
from interop.adapter_check.wire import Row, check_fields, packets, seen
from interop.drivers import contract
from interop.drivers.contract import ErrorEvent, MessageEvent, PropertyValues
from interop.drivers.driver import RESET_SECONDS
from interop.tap.trace import Sender, Trace
from reference_broker.net.address import Address
from reference_broker.wire.packets import ConnAck, Connect, Disconnect, Publish, SubAck, Subscribe, Unsubscribe, Will
from reference_broker.wire.properties import Properties

_PAYLOAD = b"\x00 any bytes \xff"
_LARGE_BYTES = 100_000  # more than an adapter's buffer for a line may have been thought to need
_KEEP_ALIVE_SECONDS = 77  # nobody's default, and no library's minimum is longer
_WORDS = "é/€/𝄞"  # in UTF-8 of two, three and four bytes
_TWICE = (("check", "1"), ("check", "1"))
_DISCONNECT_WITH_WILL = 0x04
_EACH_IN_ITS_PLACE = (b"first", b"", b"third")  # no payload is a payload


async def as_asked(talk: Conversation, setting: Setting) -> None:
    """One connection with all that commands may ask for, as far as the client says that it has it."""
    mqtt = setting.newest
    async with seen(setting, mqtt) as (address, trace):
        asked = _full_connect(connection(talk, address, mqtt), setting)
        answer = await ask(talk, asked, ", with a login and a will")
        for connect in packets(trace, Connect):
            _check_connect(talk, setting, asked, connect)
        if isinstance(answer, contract.Connected):
            await _subscribe_and_publish(talk, setting, trace)
            await _in_order(talk)
            await _disconnect(talk, setting, trace)
            await _connect_again(talk, setting, address, trace)
        elif isinstance(answer, ErrorEvent) and answer.error != "unsupported":
            what = f"`connect` with a login and a will is answered with the error `{answer.error}`"
            talk.complain(what, "`connected`, or the error `unsupported`", about_line=True)
        await talk.ask(contract.Reset(id=talk.next_id()), RESET_SECONDS)


async def at_the_edges(talk: Conversation, setting: Setting) -> None:
    """What libraries like to do without: no keep alive, no client id, a password that is no text."""
    mqtt, has = setting.newest, setting.has
    async with seen(setting, mqtt) as (address, trace):
        asked = connection(talk, address, mqtt).model_copy(
            update={
                "client_id": "" if has("empty-client-id") else token(),
                "keep_alive": 0 if has("keep-alive") else _KEEP_ALIVE_SECONDS,
                "username": "nobody" if has("username-password") else None,
                "password": b"\xff\x00\xfe" if has("username-password") else None,
            }
        )
        answer = await ask(talk, asked, ", without keep alive and client id")
        for connect in packets(trace, Connect):
            _check_connect(talk, setting, asked, connect, whose_name="empty-client-id")
        if isinstance(answer, contract.Connected) and setting.is_5 and setting.has("subscription-options"):
            await _check_no_local(talk, setting, trace)
        await talk.ask(contract.Reset(id=talk.next_id()), RESET_SECONDS)
    if setting.is_5:
        await _check_what_connack_says(talk, setting)
        await talk.ask(contract.Reset(id=talk.next_id()), RESET_SECONDS)


async def _check_no_local(talk: Conversation, setting: Setting, trace: Trace) -> None:
    request = contract.SubscriptionRequest(topic_filter=token("check/"), no_local=True)
    await need(talk, contract.Subscribe(id=talk.next_id(), subscriptions=(request,)), "with No Local")
    for packet in packets(trace, Subscribe):
        rows = [("no_local", each.no_local, True, "subscription-options") for each in packet.subscriptions]
        check_fields(talk, setting, "SUBSCRIBE", rows)


async def _check_what_connack_says(talk: Conversation, setting: Setting) -> None:
    said = Properties(
        session_expiry_interval=7777,
        receive_maximum=77,
        maximum_qos=1,
        retain_available=1,
        maximum_packet_size=777_777,
        topic_alias_maximum=7,
        reason_string=_WORDS,
        user_property=_TWICE,
        wildcard_subscription_available=1,
        subscription_identifier_available=1,
        shared_subscription_available=1,
        server_keep_alive=_KEEP_ALIVE_SECONDS,
        response_information=_WORDS,
    )
    silent, before = setting.silent, setting.silent.answer
    silent.answer = ConnAck(properties=said)
    try:
        answer = await ask(talk, connection(talk, silent.address, "5.0"), ", although CONNACK says yes")
    finally:
        silent.answer = before
    if isinstance(answer, contract.Connected) and answer.properties is not None:
        for name, told in answer.properties:
            wanted = getattr(said, name)
            if told not in (None, (), wanted):
                what = f"`{name}` of `connected` is {told!r:.80}, and CONNACK has {wanted!r:.80}"
                talk.complain(what, "what CONNACK has, or null where the client does not tell", about_line=True)


# --- CONNECT ----------------------------------------------------------------------------------------------------------


def _values(setting: Setting, rows: dict[str, tuple[str, object]]) -> PropertyValues:
    """The properties of these that the client has in its newest version, by name: feature and value."""
    has = setting.has
    return PropertyValues(**{name: value for name, (feature, value) in rows.items() if setting.is_5 and has(feature)})


def _full_connect(plain: contract.Connect, setting: Setting) -> contract.Connect:
    has = setting.has
    will = contract.WillMessage(
        topic=f"{token('check/')}/{_WORDS}",
        payload=b"7-bit" if setting.newest == "3.1" else _PAYLOAD,  # [3.1 MQTT31-11]
        qos=int(has("qos1")),
        retain=has("retained"),
        properties=_values(setting, {name: ("will-properties", value) for name, value in _OF_A_MESSAGE.items()}),
    )
    properties = {
        "session_expiry_interval": ("session-expiry", 7777),
        "receive_maximum": ("announce-receive-maximum", 77),
        "maximum_packet_size": ("maximum-packet-size", 777_777),
        "user_property": ("connect-properties", _TWICE),
    }
    asked = {
        "clean_start": not has("kept-session"),
        "keep_alive": _KEEP_ALIVE_SECONDS if has("keep-alive") else plain.keep_alive,
        "username": "nobody" if has("username-password") else None,
        "password": b"any word" if has("username-password") else None,
        "will": will if has("will") else None,
        "properties": _values(setting, properties),
    }
    return plain.model_copy(update=asked)


_OF_A_MESSAGE: dict[str, object] = {
    "content_type": "text/plain",
    "response_topic": "check/answer",
    "correlation_data": _PAYLOAD,
    "user_property": _TWICE,
}
_FEATURES = {
    "session_expiry_interval": "session-expiry",
    "receive_maximum": "announce-receive-maximum",
    "maximum_packet_size": "maximum-packet-size",
}


def _check_connect(
    talk: Conversation,
    setting: Setting,
    asked: contract.Connect,
    sent: Connect,
    *,
    whose_name: str = "",
    named: str = "CONNECT",
) -> None:
    rows: list[Row] = [
        ("client_id", sent.client_id, asked.client_id, whose_name),
        ("clean_start", sent.clean_start, asked.clean_start, "kept-session"),
        ("keep_alive", sent.keep_alive, asked.keep_alive, "keep-alive"),
        ("username", sent.username, asked.username, "username-password"),
        ("password", sent.password, asked.password, "username-password"),
        ("will", _parts(sent.will), _parts(asked.will), "will"),
        *_rows_of(sent.properties, asked.properties, "connect-properties"),
    ]
    if sent.will is not None and asked.will is not None:
        rows += [
            (f"{name} of the will", value, wanted, feature)
            for name, value, wanted, feature in _rows_of(sent.will.properties, asked.will.properties, "will-properties")
        ]
    check_fields(talk, setting, named, rows)


def _parts(will: Will | contract.WillMessage | None) -> tuple[str, bytes, int, bool] | None:
    return None if will is None else (will.topic, will.payload, int(will.qos), will.retain)


def _rows_of(sent: Properties, asked: PropertyValues, feature: str) -> Iterator[Row]:
    """A row for each property that was asked for."""
    for name, wanted in asked:
        if wanted not in (None, ()):
            yield name, getattr(sent, name), wanted, _FEATURES.get(name, feature)


async def _connect_again(talk: Conversation, setting: Setting, address: Address, trace: Trace) -> None:
    """The next connection has nothing of what the one before it was asked for."""
    asked = connection(talk, address, setting.newest)
    if not await need(talk, asked, "a second time, after `disconnect`"):
        return
    *_, sent = packets(trace, Connect)
    _check_connect(talk, setting, asked, sent, named="CONNECT of a second connection")


# --- what follows it --------------------------------------------------------------------------------------------------


async def _subscribe_and_publish(talk: Conversation, setting: Setting, trace: Trace) -> None:
    qos, retain, is_large = int(setting.has("qos1")), setting.has("retained"), setting.has("large-payload")
    base, payload = token("check/"), _PAYLOAD * (_LARGE_BYTES // len(_PAYLOAD)) if is_large else _PAYLOAD
    topic, filters = f"{base}/{_WORDS}", (f"{base}/#", f"{base}/more")[: 1 + setting.has("multiple-filters")]
    size = f"with a payload of {len(payload):,} bytes"
    properties = _values(setting, {name: ("publish-properties", value) for name, value in _OF_A_MESSAGE.items()})
    publish = contract.Publish(
        id=talk.next_id(), topic=topic, payload=payload, qos=qos, retain=retain, properties=properties
    )
    if not await _subscribe(talk, setting, trace, filters, qos):
        return
    if await need(talk, publish, size):
        await _check_message(talk, publish, size)
    filters = await _unsubscribe(talk, filters)
    for sent in packets(trace, Publish):
        rows = (("qos", int(sent.qos), qos, "qos1"), ("retain", sent.retain, retain, "retained"))
        check_fields(talk, setting, "PUBLISH", [*rows, *_rows_of(sent.properties, properties, "publish-properties")])
    left = tuple(each for packet in packets(trace, Unsubscribe) for each in packet.topic_filters)
    if left:
        check_fields(talk, setting, "UNSUBSCRIBE", [("topic_filters", left, filters, "multiple-filters")])
    else:
        talk.complain("`unsubscribe` sent no UNSUBSCRIBE", "UNSUBSCRIBE, and the answer when UNSUBACK is in")


async def _subscribe(talk: Conversation, setting: Setting, trace: Trace, filters: tuple[str, ...], qos: int) -> bool:
    has_options = setting.is_5 and setting.has("subscription-options")
    options = {"retain_as_published": True, "retain_handling": 2} if has_options else {}
    wanted = [contract.SubscriptionRequest(topic_filter=each, qos=qos, **options) for each in filters]
    command = contract.Subscribe(
        id=talk.next_id(),
        subscriptions=tuple(wanted),
        properties=_values(setting, {"user_property": ("subscribe-properties", _TWICE)}),
    )
    answer = await ask(talk, command, f", to {filters[0]}")
    if not isinstance(answer, contract.Subscribed):  # some of it it may lack the words for; this it has
        plain = contract.SubscriptionRequest(topic_filter=filters[0], qos=qos)
        return await need(talk, contract.Subscribe(id=talk.next_id(), subscriptions=(plain,)), f"to {filters[0]}")
    for suback in packets(trace, SubAck, Sender.BROKER):
        if answer.reasons not in (None, tuple(map(int, suback.reasons))):
            what = f"`reasons` of `subscribed` is {list(answer.reasons or ())}"
            told = f"{list(map(int, suback.reasons))}, which SUBACK has, or null where the client does not tell"
            talk.complain(what, told, about_line=True)
    for packet in packets(trace, Subscribe):
        sent = tuple(each.topic_filter for each in packet.subscriptions)
        rows: list[Row] = [("topic_filters", sent, filters, "multiple-filters")]
        for each in packet.subscriptions:
            rows.append(("qos", int(each.qos), qos, "qos1"))
            rows += [(name, getattr(each, name), value, "subscription-options") for name, value in options.items()]
        rows += _rows_of(packet.properties, command.properties, "subscribe-properties")
        check_fields(talk, setting, "SUBSCRIBE", rows)
    return True


async def _unsubscribe(talk: Conversation, filters: tuple[str, ...]) -> tuple[str, ...]:
    """Gives which filters were left: who cannot name several in an UNSUBSCRIBE says so, and can name one."""
    answer = await ask(talk, contract.Unsubscribe(id=talk.next_id(), topic_filters=filters), f", from {filters[0]}")
    if not isinstance(answer, ErrorEvent):
        return filters
    await need(talk, contract.Unsubscribe(id=talk.next_id(), topic_filters=filters[:1]), f"from {filters[0]}")
    return filters[:1]


async def _check_message(talk: Conversation, published: contract.Publish, when: str) -> None:
    """What the application is told of its own message: not retained, as the subscription was there before it."""
    message = await unasked(talk, MessageEvent)
    if message is None:
        talk.complain(
            f"its own message did not reach it within {ANSWER_SECONDS:g} s, {when}", "`message`", seconds=ANSWER_SECONDS
        )
        return
    told = [(name, getattr(message, name), getattr(published, name)) for name in ("topic", "payload", "qos")]
    if message.properties is not None:
        told += [(name, getattr(message.properties, name), wanted) for name, wanted in published.properties]
    for field, found, wanted in told:
        if wanted not in (None, ()) and found not in (None, wanted):
            talk.complain(f"`{field}` of a `message` is {found!r:.80}", f"{wanted!r:.80}")


async def _in_order(talk: Conversation) -> None:
    """Commands that come in one read are carried out, each, and in their order; so are messages told."""
    topic = token("check/")
    request = contract.SubscriptionRequest(topic_filter=topic)
    if not await need(talk, contract.Subscribe(id=talk.next_id(), subscriptions=(request,)), f"to {topic}"):
        return
    commands = [contract.Publish(id=talk.next_id(), topic=topic, payload=each) for each in _EACH_IN_ITS_PLACE]
    answers = await talk.ask_at_once(commands, ANSWER_SECONDS)
    if any(not isinstance(each, contract.Published) for each in answers):
        failed = next(each for each in answers if not isinstance(each, contract.Published))
        found = f"with the error `{failed.error}`" if isinstance(failed, ErrorEvent) else "not at all"
        talk.complain(
            f"of three `publish` in one read, the second without payload, one is answered {found}",
            "three `published`",
            seconds=ANSWER_SECONDS if failed is None else None,
        )
        return
    told = [await unasked(talk, MessageEvent) for _ in commands]
    payloads = [each.payload for each in told if each is not None]
    if payloads != list(_EACH_IN_ITS_PLACE):
        talk.complain(
            f"of three messages at QoS 0 it told {payloads!r}",
            f"{list(_EACH_IN_ITS_PLACE)!r}, as they were sent",
            seconds=ANSWER_SECONDS if None in told else None,
        )


async def _disconnect(talk: Conversation, setting: Setting, trace: Trace) -> None:
    reason = _DISCONNECT_WITH_WILL if setting.is_5 and setting.has("disconnect-reason") else 0
    properties = _values(setting, {"user_property": ("disconnect-properties", _TWICE)})
    command = contract.Disconnect(id=talk.next_id(), reason=reason, properties=properties)
    await need(talk, command, f"with the reason 0x{reason:02X}")
    for sent in packets(trace, Disconnect):
        rows = _rows_of(sent.properties, properties, "disconnect-properties")
        check_fields(talk, setting, "DISCONNECT", [("reason", int(sent.reason), reason, "disconnect-reason"), *rows])
