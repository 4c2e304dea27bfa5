"""The questions a broker is asked, each on connections of its own, a second or two each, all at once.

Belongs here: one function for each question, and the table of them.
Does not belong here: gathering the answers (`asking`), words and files (`telling`).

What a question shows is what the broker did once. It proves nothing about the specification: that is what the scenarios
are for. A question that cannot be asked, because the broker does not do what it needs first, is not answered.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from interop.brokers.conversation import Conversation, NoAnswer, conversation
from interop.brokers.probe import Login
from reference_broker.net.address import Address
from reference_broker.wire.packets import (
    ConnAck,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
)
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version

ANSWER_SECONDS = 2.0
QUIET_SECONDS = 1.0
"""How long to wait for what nobody needs to send, messages of `$SYS`."""
LONGEST = 0xFFFF
LARGEST_BYTES = 16 * 1024 * 1024
_HEADER_BYTES = 64
"""More than what stands before a payload here."""
_REFUSED = 0x80


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom to ask; `version` is the newest it speaks."""

    address: Address
    version: Version
    login: Login

    @asynccontextmanager
    async def talk(
        self,
        client_id: str | None = None,
        *,
        clean_start: bool = True,
        properties: Properties = NO_PROPERTIES,
        login: Login = None,
    ) -> AsyncIterator[Conversation]:
        """Connect; raises NoAnswer."""
        async with conversation(
            self.address, self.version, login or self.login, client_id=client_id, clean_start=clean_start,
            properties=properties, seconds=ANSWER_SECONDS,
        ) as talk:  # fmt: skip
            yield talk


def _name() -> str:
    return f"probe/{secrets.token_hex(6)}"


async def _granted(talk: Conversation, topic_filter: str, qos: QoS = QoS.EXACTLY_ONCE, **properties: object) -> int:
    """Subscribe; gives the QoS granted or the reason of a refusal."""
    more = Properties(**properties) if properties else NO_PROPERTIES  # type: ignore[arg-type]
    await talk.send(Subscribe(1, (Subscription(topic_filter, qos),), more))
    return (await talk.expect(SubAck, ANSWER_SECONDS)).reasons[0]


async def _taken(talk: Conversation, topic: str, payload: bytes = b"", *, retain: bool = False) -> bool:
    """Publish at QoS 1; whether it was acknowledged without an error."""
    await talk.send(Publish(topic, payload, QoS.AT_LEAST_ONCE, packet_id=9, retain=retain))
    return (await talk.expect(PubAck, ANSWER_SECONDS)).reason < _REFUSED


# --- yes or no -------------------------------------------------------------------------------------------------------


async def qos1(asked: Asked) -> bool:
    """Publishes and receives at QoS 1."""
    async with asked.talk() as talk:
        topic = _name()
        granted = await _granted(talk, topic)
        return 1 <= granted < _REFUSED and await _taken(talk, topic)


async def qos2(asked: Asked) -> bool:
    """Publishes and receives at QoS 2."""
    async with asked.talk() as talk:
        topic = _name()
        granted = await _granted(talk, topic)
        await talk.send(Publish(topic, b"", QoS.EXACTLY_ONCE, packet_id=7))
        received = await talk.expect(PubRec, ANSWER_SECONDS)
        if received.reason >= _REFUSED:
            return False
        await talk.send(PubRel(7))
        await talk.expect(PubComp, ANSWER_SECONDS)
        return granted == QoS.EXACTLY_ONCE


async def retained(asked: Asked) -> bool:
    """A retained message reaches who subscribes later."""
    topic = _name()
    async with asked.talk() as talk:
        await talk.send(Publish(topic, b"kept", retain=True))
        await talk.settle(ANSWER_SECONDS)
        await _granted(talk, topic, QoS.AT_MOST_ONCE)
        message = await _message(talk, ANSWER_SECONDS)
        await talk.send(Publish(topic, b"", retain=True))
        return message is not None and message.retain


async def _message(talk: Conversation, seconds: float) -> Publish | None:
    try:
        return await talk.expect(Publish, seconds)
    except NoAnswer:
        return None


async def _comes_through(asked: Asked, topic_filter: str, topic: str, **properties: object) -> Publish | None:
    """Subscribe so, publish so at QoS 0: the message that comes, if one does."""
    async with asked.talk(properties=_with_aliases(asked)) as talk:
        if await _granted(talk, topic_filter, QoS.AT_MOST_ONCE, **properties) >= _REFUSED:
            return None
        await talk.send(Publish(topic, b"one"))
        return await _message(talk, ANSWER_SECONDS)


async def wildcard(asked: Asked) -> bool:
    """Topic filters with + and #."""
    base = _name()
    one = await _comes_through(asked, f"{base}/+/c", f"{base}/b/c")
    return one is not None and await _comes_through(asked, f"{base}/#", f"{base}/b/c") is not None


async def shared_subscription(asked: Asked) -> bool:
    """$share/group/filter."""
    topic = _name()
    return await _comes_through(asked, f"$share/probe/{topic}", topic) is not None


async def subscription_identifier(asked: Asked) -> bool:
    """A Subscription Identifier comes back with each message."""
    topic = _name()
    message = await _comes_through(asked, topic, topic, subscription_identifier=(5,))
    return message is not None and message.properties.subscription_identifier == (5,)


def _with_aliases(asked: Asked) -> Properties:
    return Properties(topic_alias_maximum=5) if asked.version is Version.V5 else NO_PROPERTIES


async def topic_alias_inbound(asked: Asked) -> bool:
    """The broker sends with topic aliases to who allows them."""
    topic = _name()
    message = await _comes_through(asked, topic, topic)
    return message is not None and message.properties.topic_alias is not None


async def kept_session(asked: Asked) -> bool:
    """A session outlasts its network connection."""
    client_id = f"probe{secrets.token_hex(8)}"
    kept = Properties(session_expiry_interval=30) if asked.version is Version.V5 else NO_PROPERTIES
    async with asked.talk(client_id, clean_start=False, properties=kept) as talk:
        await _granted(talk, _name())
    async with asked.talk(client_id, clean_start=False, properties=kept) as talk:
        is_present = talk.connack.session_present
    async with asked.talk(client_id):  # leaves nothing behind
        return is_present


async def assigned_client_id(asked: Asked) -> bool:
    """A client without an id is given one."""
    try:
        async with asked.talk("") as talk:
            return asked.version is not Version.V5 or talk.connack.properties.assigned_client_identifier is not None
    except NoAnswer:
        return False


async def anonymous(asked: Asked) -> bool:
    """Lets clients in without user name and password."""
    try:
        async with conversation(asked.address, asked.version, None, seconds=ANSWER_SECONDS):
            return True
    except NoAnswer:
        return False


async def any_login(asked: Asked) -> bool:
    """Does not mind which user name and password a client gives."""
    try:
        async with asked.talk(login=(_name(), secrets.token_hex(8))):
            return True
    except NoAnswer:
        return False


QUESTIONS: dict[str, Callable[[Asked], Awaitable[bool]]] = {
    "qos1": qos1,
    "qos2": qos2,
    "retained": retained,
    "wildcard": wildcard,
    "kept-session": kept_session,
    "assigned-client-id": assigned_client_id,
    "anonymous": anonymous,
    "any-login": any_login,
    "shared-subscription": shared_subscription,
    "subscription-identifier": subscription_identifier,
    "topic-alias-inbound": topic_alias_inbound,
}
"""By the feature each is about; those that only 5.0 has are asked in 5.0."""


# --- how much --------------------------------------------------------------------------------------------------------


async def longest_topic(asked: Asked) -> int:
    """Bytes of the longest topic it takes a QoS 1 message for, up to all that MQTT has."""

    async def takes(length: int) -> bool:
        async with asked.talk() as talk:
            return await _taken(talk, _name().ljust(length, "x"))

    return await _largest(takes, 64, LONGEST)


async def longest_client_id(asked: Asked) -> int:
    """Bytes of the longest client id it lets in, up to all that MQTT has."""

    async def takes(length: int) -> bool:
        async with asked.talk(f"probe{secrets.token_hex(8)}".ljust(length, "x")):
            return True

    return await _largest(takes, 21, LONGEST)


async def largest_packet(asked: Asked) -> int:
    """Bytes of the largest PUBLISH it takes, up to 16 MiB and what CONNACK allows. [5.0 3.2.2.3.6]"""
    async with asked.talk() as talk:
        limit = min(talk.connack.properties.maximum_packet_size or LARGEST_BYTES, LARGEST_BYTES)

    async def takes(size: int) -> bool:
        async with asked.talk() as talk:
            return await _taken(talk, _name(), bytes(max(0, size - _HEADER_BYTES)))

    return await _largest(takes, 1024, limit)


async def _largest(takes: Callable[[int], Awaitable[bool]], least: int, most: int) -> int:
    """The most that is taken, to a hundredth; raises NoAnswer where not even the least is."""

    async def is_taken(size: int) -> bool:
        try:
            return await takes(size)
        except NoAnswer:
            return False

    if await is_taken(most):
        return most
    if not await takes(least):
        raise NoAnswer("refused")
    while most - least > max(1, least // 100):
        middle = (least + most) // 2
        least, most = (middle, most) if await is_taken(middle) else (least, middle)
    return least


SIZES: dict[str, Callable[[Asked], Awaitable[int]]] = {
    "longest topic": longest_topic,
    "longest client id": longest_client_id,
    "largest packet": largest_packet,
}
"""In bytes."""


# --- what it tells of itself -----------------------------------------------------------------------------------------


async def sys_topics(asked: Asked) -> dict[str, str]:
    """What it publishes beneath `$SYS` at once: payloads by topic."""
    found: dict[str, str] = {}
    async with asked.talk() as talk:
        if await _granted(talk, "$SYS/#", QoS.AT_MOST_ONCE) >= _REFUSED:
            return found
        while (message := await _message(talk, QUIET_SECONDS)) is not None and len(found) < 1000:
            found[message.topic] = message.payload.decode("utf-8", "replace")
    return found


async def connack(asked: Asked) -> ConnAck:
    """What it announces."""
    async with asked.talk() as talk:
        return talk.connack
