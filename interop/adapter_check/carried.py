"""Whether what is asked for is what is sent, and what comes is what is told: with a broker, on the wire.

Belongs here: the stages in which an adapter's packets are looked at.
Does not belong here: those about its lines and its life (`stages`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TypeVar

from interop.adapter_check.asking import (
    ANSWER_SECONDS,
    Setting,
    ask,
    check_nothing_follows,
    connection,
    need,
    subscription,
    token,
    unasked,
)
from interop.adapter_check.conversation import Conversation
from interop.drivers import contract
from interop.drivers.contract import ErrorEvent, MessageEvent
from interop.drivers.driver import RESET_SECONDS
from interop.tap.link import Link
from interop.tap.trace import Kind, Sender, Trace
from reference_broker.net.address import Address
from reference_broker.wire.packets import ConnAck, Connect, Disconnect, Publish, Subscribe, Unsubscribe, Will
from reference_broker.wire.types import Version

_OnWire = TypeVar("_OnWire", ConnAck, Connect, Disconnect, Publish, Subscribe, Unsubscribe)

_PAYLOAD = b"\x00 any bytes \xff"
_LARGE_BYTES = 100_000  # more than an adapter's buffer for a line may have been thought to need
_USER_PROPERTY = (("check", "1"),)
_KEEP_ALIVE_SECONDS = 77  # nobody's default, and no library's minimum is longer
_WORDS = "é/€/𝄞"  # in UTF-8 of two, three and four bytes


@contextlib.asynccontextmanager
async def _seen(setting: Setting, mqtt: str) -> AsyncIterator[tuple[Address, Trace]]:
    """An address at which the broker is, and all that is sent there."""
    trace = Trace(asyncio.get_running_loop().time)
    link = Link("check", upstream=setting.broker, version=Version.from_label(mqtt), trace=trace)
    try:
        yield await link.open(), trace
    finally:
        await link.close()


def _packets(trace: Trace, kind: type[_OnWire], sender: Sender = Sender.CLIENT) -> Iterator[_OnWire]:
    return (entry.packet for entry in trace if isinstance(entry.packet, kind) and entry.sender is sender)


def _check_fields(
    talk: Conversation, setting: Setting, packet: str, rows: Iterable[tuple[str, object, object, str]]
) -> None:
    """Complain about what was sent otherwise than asked for; rows of field, as sent, as asked for, feature."""
    for field, sent, asked, feature in rows:
        if sent != asked and (not feature or setting.has(feature)):
            what = f"{packet} has `{field}` {sent!r:.80}, and it was asked for {asked!r:.80}"
            instead = f", or `{feature}` in `unsupported` of `hello`" if feature else ""
            talk.complain(what, f"what was asked for{instead}")


# --- every version ----------------------------------------------------------------------------------------------------


async def versions(talk: Conversation, setting: Setting) -> None:
    """A message there and back in each version it claims, then a new client instance."""
    assert setting.hello is not None
    for mqtt in setting.hello.mqtt:
        async with _seen(setting, mqtt) as (address, trace):
            answer = await ask(talk, connection(talk, address, mqtt), f", although `hello` claims MQTT {mqtt}")
            _check_version(talk, trace, mqtt)
            if isinstance(answer, contract.Connected):
                _check_session_present(talk, trace, answer)
                await _message_to_itself(talk, setting, mqtt)
                await _disconnect(talk, trace, mqtt)
            elif isinstance(answer, ErrorEvent):
                what = f"`connect` is answered with the error `{answer.error}`, although `hello` claims MQTT {mqtt}"
                talk.complain(what, "`connected`", about_line=True)
            if await talk.ask(contract.Reset(id=talk.next_id()), RESET_SECONDS) is None:
                return


def _check_version(talk: Conversation, trace: Trace, mqtt: str) -> None:
    """The version on the wire, which no adapter may choose by itself."""
    for entry in trace:
        if isinstance(entry.packet, Connect) and entry.packet.version.label != mqtt:
            what = f"it was asked to connect with MQTT {mqtt}, and its CONNECT is of {entry.packet.version.label}"
            talk.complain(what, f"MQTT {mqtt}, or no {mqtt} in `mqtt` of `hello`")
        elif entry.kind is Kind.MALFORMED and entry.sender is Sender.CLIENT:
            talk.complain(f"it sent what is no packet of MQTT {mqtt}: {entry.note}", "well-formed packets")


def _check_session_present(talk: Conversation, trace: Trace, said: contract.Connected) -> None:
    for packet in _packets(trace, ConnAck, Sender.BROKER):
        if said.session_present not in (None, packet.session_present):
            what = f"`session_present` of `connected` is {said.session_present}, and CONNACK says otherwise"
            talk.complain(what, "what CONNACK says, or null where the client does not tell", about_line=True)


async def _message_to_itself(talk: Conversation, setting: Setting, mqtt: str) -> None:
    topic, when = token("check/"), f"in MQTT {mqtt}"
    has_properties = mqtt == "5.0" and setting.has("publish-properties")
    properties = contract.PropertyValues(user_property=_USER_PROPERTY) if has_properties else contract.NONE
    subscribe = contract.Subscribe(id=talk.next_id(), subscriptions=(subscription(topic),))
    publish = contract.Publish(id=talk.next_id(), topic=topic, payload=_PAYLOAD, properties=properties)
    if not (await need(talk, subscribe, when) and await need(talk, publish, when)):
        return
    message = await _message(talk, when)
    if message is None:
        return
    for field, found, wanted in (
        ("topic", message.topic, topic),
        ("payload", message.payload, _PAYLOAD),
        ("message", message.message, 1 if setting.has("manual-ack") or message.message is not None else None),
    ):
        if found != wanted:
            what = f"`{field}` of the first message of this client instance is {found!r:.80}, {when}"
            talk.complain(what, repr(wanted), about_line=True)
    if has_properties and (message.properties is None or message.properties.user_property != _USER_PROPERTY):
        what = "a message published with a User Property came without it"
        talk.complain(what, "its properties, or `publish-properties` in `unsupported` of `hello`", about_line=True)


async def _message(talk: Conversation, when: str) -> MessageEvent | None:
    message = await unasked(talk, MessageEvent)
    if message is None:
        talk.complain(f"its own message did not reach it within {ANSWER_SECONDS:g} s, {when}", "`message`")
    return message


async def _disconnect(talk: Conversation, trace: Trace, mqtt: str) -> None:
    """What the client says when it is asked to leave, and that nothing more is told of it."""
    if not await need(talk, contract.Disconnect(id=talk.next_id()), f"in MQTT {mqtt}"):
        return
    deadline = trace.clock() + ANSWER_SECONDS
    while not any(each.kind is Kind.CLOSE for each in trace) and await trace.changed(len(trace), deadline):
        pass
    if not any(_packets(trace, Disconnect)):
        talk.complain(f"`disconnect` sent no DISCONNECT, in MQTT {mqtt}", "DISCONNECT, then the end of the connection")
    what = "`disconnect` was followed by an event without an id"
    await check_nothing_follows(talk, what, "`disconnected` with the command's id, and nothing else")


# --- what is asked for ------------------------------------------------------------------------------------------------


async def as_asked(talk: Conversation, setting: Setting) -> None:
    """One connection with all that commands may ask for, as far as the client says that it has it."""
    async with _seen(setting, setting.mqtt) as (address, trace):
        asked = _full_connect(connection(talk, address, setting.mqtt), setting)
        answer = await ask(talk, asked, ", with a login and a will")
        for connect in _packets(trace, Connect):
            _check_connect(talk, setting, asked, connect)
        if isinstance(answer, contract.Connected):
            await _subscribe_and_publish(talk, setting, trace)
        elif isinstance(answer, ErrorEvent) and answer.error != "unsupported":
            what = f"`connect` with a login and a will is answered with the error `{answer.error}`"
            talk.complain(what, "`connected`, or the error `unsupported`", about_line=True)
        await talk.ask(contract.Reset(id=talk.next_id()), RESET_SECONDS)


def _full_connect(plain: contract.Connect, setting: Setting) -> contract.Connect:
    has = setting.has
    will = contract.WillMessage(
        topic=f"{token('check/')}/{_WORDS}", payload=_PAYLOAD, qos=int(has("qos1")), retain=has("retained")
    )
    asked = {
        "clean_start": not has("kept-session"),
        "keep_alive": _KEEP_ALIVE_SECONDS if has("keep-alive") else plain.keep_alive,
        "username": "nobody" if has("username-password") else None,
        "password": b"any word" if has("username-password") else None,
        "will": will if has("will") else None,
    }
    return plain.model_copy(update=asked)


def _check_connect(talk: Conversation, setting: Setting, asked: contract.Connect, sent: Connect) -> None:
    _check_fields(
        talk,
        setting,
        "CONNECT",
        (
            ("client_id", sent.client_id, asked.client_id, ""),
            ("clean_start", sent.clean_start, asked.clean_start, "kept-session"),
            ("keep_alive", sent.keep_alive, asked.keep_alive, "keep-alive"),
            ("username", sent.username, asked.username, "username-password"),
            ("password", sent.password, asked.password, "username-password"),
            ("will", _parts(sent.will), _parts(asked.will), "will"),
        ),
    )


def _parts(will: Will | contract.WillMessage | None) -> tuple[str, bytes, int, bool] | None:
    return None if will is None else (will.topic, will.payload, int(will.qos), will.retain)


async def _subscribe_and_publish(talk: Conversation, setting: Setting, trace: Trace) -> None:
    qos, retain, is_large = int(setting.has("qos1")), setting.has("retained"), setting.has("large-payload")
    topic, payload = f"{token('check/')}/{_WORDS}", _PAYLOAD * (_LARGE_BYTES // len(_PAYLOAD)) if is_large else _PAYLOAD
    size = f"with a payload of {len(payload):,} bytes"
    request = contract.SubscriptionRequest(topic_filter=topic, qos=qos)
    publish = contract.Publish(id=talk.next_id(), topic=topic, payload=payload, qos=qos, retain=retain)
    if not await need(talk, contract.Subscribe(id=talk.next_id(), subscriptions=(request,)), f"to {topic}"):
        return
    if await need(talk, publish, size) and (message := await _message(talk, size)):
        for field, found, wanted in (("topic", message.topic, topic), ("payload", message.payload, payload)):
            if found != wanted:
                talk.complain(f"`{field}` of a `message` is {found!r:.80}", f"{wanted!r:.80}", about_line=True)
    await need(talk, contract.Unsubscribe(id=talk.next_id(), topic_filters=(topic,)), f"from {topic}")
    for sent in _packets(trace, Publish):
        _check_fields(
            talk, setting, "PUBLISH", (("qos", int(sent.qos), qos, "qos1"), ("retain", sent.retain, retain, "retained"))
        )
    for each in (each for packet in _packets(trace, Subscribe) for each in packet.subscriptions):
        _check_fields(
            talk,
            setting,
            "SUBSCRIBE",
            (("topic_filter", each.topic_filter, topic, ""), ("qos", int(each.qos), qos, "qos1")),
        )
    if not any(_packets(trace, Unsubscribe)):
        talk.complain("`unsubscribe` sent no UNSUBSCRIBE", "UNSUBSCRIBE, and the answer when UNSUBACK is in")
