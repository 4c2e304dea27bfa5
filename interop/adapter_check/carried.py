"""Whether a message goes there and back in every version that a client claims: with a broker, on the wire.

Belongs here: the stage in which an adapter's client talks to a broker plainly.
Does not belong here: all that may be asked for (`asked`), an adapter's lines and its life (`stages`).
"""

from __future__ import annotations

from interop.adapter_check.asking import (
    ANSWER_SECONDS,
    Setting,
    ask,
    check_nothing_follows,
    connection,
    forget_what_came,
    need,
    subscription,
    token,
    unasked,
)
from interop.adapter_check.conversation import Conversation
from interop.adapter_check.wire import packets, seen
from interop.drivers import contract
from interop.drivers.contract import ErrorEvent, MessageEvent
from interop.drivers.driver import RESET_SECONDS
from interop.tap.trace import Kind, Sender, Trace
from reference_broker.wire.packets import ConnAck, Connect, Disconnect

_PAYLOAD = b"\x00 any bytes \xff"
_USER_PROPERTY = (("check", "1"),)


async def versions(talk: Conversation, setting: Setting) -> None:
    """A message there and back in each version it claims, then a new client instance."""
    assert setting.hello is not None
    for mqtt in setting.hello.mqtt:
        async with seen(setting, mqtt) as (address, trace):
            answer = await ask(talk, connection(talk, address, mqtt), f", although `hello` claims MQTT {mqtt}")
            _check_version(talk, trace, mqtt)
            if isinstance(answer, contract.Connected):
                _check_session_present(talk, trace, answer)
                if not await _message_to_itself(talk, setting, mqtt):
                    await forget_what_came(talk)
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
    for packet in packets(trace, ConnAck, Sender.BROKER):
        if said.session_present not in (None, packet.session_present):
            what = f"`session_present` of `connected` is {said.session_present}, and CONNACK says otherwise"
            talk.complain(what, "what CONNACK says, or null where the client does not tell", about_line=True)


async def _message_to_itself(talk: Conversation, setting: Setting, mqtt: str) -> bool:
    """Whether a message came that can be looked at."""
    topic, when = token("check/"), f"in MQTT {mqtt}"
    has_properties = mqtt == "5.0" and setting.has("publish-properties")
    properties = contract.PropertyValues(user_property=_USER_PROPERTY) if has_properties else contract.NONE
    subscribe = contract.Subscribe(id=talk.next_id(), subscriptions=(subscription(topic),))
    publish = contract.Publish(id=talk.next_id(), topic=topic, payload=_PAYLOAD, properties=properties)
    if not (await need(talk, subscribe, when) and await need(talk, publish, when)):
        return False
    message = await _message(talk, when)
    if message is None:
        return False
    await check_nothing_follows(talk, f"one message was sent, and what was told of it was followed, {when}, by")
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
    return True


async def _message(talk: Conversation, when: str) -> MessageEvent | None:
    message = await unasked(talk, MessageEvent)
    if message is None:
        talk.complain(
            f"its own message did not reach it within {ANSWER_SECONDS:g} s, {when}", "`message`", seconds=ANSWER_SECONDS
        )
    return message


async def _disconnect(talk: Conversation, trace: Trace, mqtt: str) -> None:
    """What the client says when it is asked to leave, and that nothing more is told of it."""
    if not await need(talk, contract.Disconnect(id=talk.next_id()), f"in MQTT {mqtt}"):
        return
    deadline = trace.clock() + ANSWER_SECONDS
    while not any(each.kind is Kind.CLOSE for each in trace) and await trace.changed(len(trace), deadline):
        pass
    if not any(packets(trace, Disconnect)):
        what, expected = (
            f"`disconnect` sent no DISCONNECT, in MQTT {mqtt}",
            "DISCONNECT, then the end of the connection",
        )
        talk.complain(what, expected, seconds=ANSWER_SECONDS)
    what = "`disconnect` was followed by an event without an id"
    await check_nothing_follows(talk, what, "`disconnected` with the command's id, and nothing else")
