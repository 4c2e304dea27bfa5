"""All that is found out about a broker, in one value, within seconds.

Belongs here: where to look, asking everything at once, what follows for a profile.
Does not belong here: the single question (`questions`), how it is told (`telling`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interop.brokers.claims import CLAIMS, lacking
from interop.brokers.conversation import NoAnswer, Refusal
from interop.brokers.probe import ANSWER_SECONDS, Login, Reaction, ask
from interop.brokers.survey import survey
from interop.probe.questions import QUESTIONS, SIZES, Asked, connack, sys_topics
from interop.scenario.features import FEATURES
from reference_broker.net.address import Address, Transport
from reference_broker.wire.types import Version

PORTS = {
    Transport.TCP: (1883,),
    Transport.TLS: (8883,),
    Transport.WS: (8080, 8083, 9001, 80),
    Transport.WSS: (8081, 8084, 443),
}
"""Where brokers usually listen; looked at on the same host, beside the address that was given."""

_NAMED = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9._+-]*?)[\s/]*(?:version)?[\s/]+v?(?P<version>\d[\w.+-]*)", re.I)


@dataclass(frozen=True, slots=True)
class Found:
    """What a broker showed; a question without an answer has its reason in `unanswered`.

    `listeners` are by transport, with what keeps a certificate from being checked in `notes`; `announced` is the
    CONNACK of 5.0 by its properties' names, `does` is by feature, `sizes` are in bytes.
    """

    address: Address
    name: str
    product_version: str
    mqtt: tuple[str, ...]
    listeners: Mapping[Transport, Address]
    announced: Mapping[str, Any]
    does: Mapping[str, bool]
    sizes: Mapping[str, int]
    sys_topics: int
    unanswered: Mapping[str, str]
    promised: tuple[str, ...]
    """features that a CONNACK of 5.0 does not deny, although it could"""
    contradictions: tuple[str, ...]
    """where CONNACK says otherwise than what the broker did"""

    @property
    def lacks(self) -> tuple[str, ...]:
        """The features it did not show and does not promise, in the order people read about them.

        What it promises and does not do is no lack: the scenarios are to show it.
        """
        return tuple(name for name in FEATURES if self.does.get(name) is False and name not in self.promised)


async def find_out(address: Address, ca_file: Path | None = None) -> Found:
    """Ask everything; raises BrokerFault where nobody answers or lets us in."""
    login = _login(address)
    versions = await survey(address.host_and_port, address, login)
    versions.check({each.version.label for each in versions.answers if each.lets_in}, has_login=login is not None)
    spoken = [each.version for each in versions.answers if each.lets_in]
    asked = Asked(address, max(spoken, key=lambda version: version.value), login)
    is_new = asked.version is Version.V5
    questions = {name: ask for name, ask in QUESTIONS.items() if is_new or not FEATURES[name].only_in_5}
    listeners, announced, known, *answers = await asyncio.gather(
        _listeners(address, ca_file, asked.version, login),
        _or_reason(connack(asked)),
        _or_reason(sys_topics(asked)),
        *(_or_reason(_yes_or_no(question(asked))) for question in questions.values()),
        *(_or_reason(question(asked)) for question in SIZES.values()),
    )
    by_name = dict(zip((*questions, *SIZES), answers, strict=True))
    has_said = is_new and not isinstance(announced, str)
    claimed = lacking(announced.properties) if has_said else ()
    promised = tuple(claim.feature for claim in CLAIMS if claim.feature and claim.feature not in claimed) * has_said
    does = {name: answer for name, answer in by_name.items() if isinstance(answer, bool)}
    if has_said:
        does["topic-alias"] = "topic-alias" not in claimed
    name, version = _product({} if isinstance(known, str) else known)
    return Found(
        address=address,
        name=name,
        product_version=version,
        mqtt=tuple(version.label for version in spoken),
        listeners=listeners,
        announced=dict(announced.properties.present()) if has_said else {},
        does=does,
        sizes={name: answer for name, answer in by_name.items() if type(answer) is int},
        sys_topics=0 if isinstance(known, str) else len(known),
        unanswered={name: answer for name, answer in by_name.items() if isinstance(answer, str)},
        promised=promised,
        contradictions=tuple(_contradictions(claimed, promised, does)),
    )


def _login(address: Address) -> Login:
    if address.login is None:
        return None
    secret = address.login.password
    return address.login.username, None if secret is None else secret.decode("utf-8", "surrogateescape")


async def _yes_or_no(question: Awaitable[bool]) -> bool:
    try:
        return await question
    except Refusal:
        return False


async def _or_reason(question: Any) -> Any:
    try:
        return await question
    except NoAnswer as answer:
        return str(answer)


async def _listeners(
    address: Address, ca_file: Path | None, version: Version, login: Login
) -> dict[Transport, Address]:
    """The first place for each transport that lets us in: the given address, which did, then those around it."""
    found = {address.transport: dataclasses.replace(address, login=None)}
    ports = dict.fromkeys((address.port, *(port for usual in PORTS.values() for port in usual)))
    are_open = await asyncio.gather(*(_is_open(address.host, port) for port in ports))
    there = {port for port, is_open in zip(ports, are_open, strict=True) if is_open}
    candidates = [
        dataclasses.replace(
            address, port=port, transport=transport, ca_file=ca_file, check_host_name=ca_file is not None, login=None
        )
        for transport, ports in PORTS.items()
        for port in dict.fromkeys((address.port, *ports))
        if transport not in found and port in there  # reading what the system trusts takes longer than asking does
    ]
    answers = await asyncio.gather(*(ask(each, version, login, ANSWER_SECONDS) for each in candidates))
    for answer in answers:
        if answer.lets_in or (answer.reaction is Reaction.UNREACHED and "certificate verify failed" in answer.reason):
            found.setdefault(answer.address.transport, answer.address)
    return {transport: found[transport] for transport in PORTS if transport in found}


async def _is_open(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _contradictions(claimed: Iterable[str], promised: Iterable[str], does: Mapping[str, bool]) -> list[str]:
    names = {claim.feature: claim.name for claim in CLAIMS if claim.feature}
    denied = [f"CONNACK denies {each} ({names[each]}), but it works" for each in claimed if does.get(each)]
    return denied + [
        f"CONNACK does not deny {each} ({names[each]}), but it does not work"
        for each in promised
        if does.get(each) is False
    ]


def _product(told: Mapping[str, str]) -> tuple[str, str]:
    """Name and version in what it publishes of itself, e.g. `mosquitto version 2.0.11`; else empty."""
    for topic in ("$SYS/broker/version", "$SYS/brokers/version"):
        if found := _NAMED.search(told.get(topic, "")):
            return found["name"], found["version"]
    return "", told.get("$SYS/broker/version", "")
