"""Which brokers can be had, by name. To add one: a folder of `brokers`, or a `Program` in `programs`.

Belongs here: what the words after `--broker` mean.
Does not belong here: how one is started.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from interop.brokers.address import AddressSpec
from interop.brokers.broker import BrokerSpec, UnknownBroker
from interop.brokers.catalog import BuiltBroker, built_brokers
from interop.brokers.process import ProcessSpec
from interop.brokers.profile import load_profile
from interop.brokers.profiled import ProfiledSpec
from interop.brokers.programs import EJABBERD, MOSQUITTO, NATS, RABBITMQ, RUMQTTD, RUMQTTD_311
from interop.brokers.reference import ReferenceSpec
from interop.brokers.releases import broker_of, release
from interop.brokers.ticking import TickingSpec
from interop.building import NotBuildable
from interop.containers import CONTAINER_PREFIX
from interop.scenario.problems import closest
from reference_broker.net.address import Address, without_login

PROFILE_PREFIX = "profile:"
"""What `--broker-profile FILE` becomes: a broker by the file it says of itself in."""

BROKERS: dict[str, Callable[[], BrokerSpec]] = {
    program.name: partial(ProcessSpec, program)
    for program in (
        *(EJABBERD, MOSQUITTO, NATS, RABBITMQ, RUMQTTD, RUMQTTD_311),
        *(broker.program for broker in built_brokers().values()),
    )
} | {spec.name: spec for spec in (ReferenceSpec, TickingSpec)}

_LOOKS_LIKE_AN_ADDRESS = re.compile(r"://|:\d+$")


def broker_spec(name: str) -> BrokerSpec:
    """What a name stands for: `reference`, a program like `mosquitto`, `docker:IMAGE`, `HOST:PORT` or a URL.

    Raises UnknownBroker for anything else, and BrokerFault for what is plainly not there; both in one line.
    """
    if name in BROKERS:
        spec = BROKERS[name]()
    elif broker_of(name) != name:
        spec = ProcessSpec(_release(name).program)
    elif name.startswith(CONTAINER_PREFIX):
        from interop.brokers.container import ContainerSpec  # noqa: PLC0415  # an engine's library is slow to load

        spec = ContainerSpec(name.removeprefix(CONTAINER_PREFIX))
    elif name.startswith(PROFILE_PREFIX):
        spec = ProfiledSpec(Path(name.removeprefix(PROFILE_PREFIX)))
    elif _LOOKS_LIKE_AN_ADDRESS.search(name):
        spec = AddressSpec(_address(name))
    else:
        choices = ", ".join((*BROKERS, f"{CONTAINER_PREFIX}IMAGE", "HOST:PORT", "mqtt://HOST:PORT"))
        guess = f"did you mean {close}? " if (close := closest(name, BROKERS)) else ""
        raise UnknownBroker(f"unknown broker {without_login(name)!r}; {guess}expected one of {choices}")
    spec.check()
    return spec


def shown_name(name: str) -> str:
    """A name as it may be shown anywhere: an address without the user name and password it may have."""
    if name in BROKERS or name.startswith(CONTAINER_PREFIX) or broker_of(name) != name:
        return name
    if name.startswith(PROFILE_PREFIX):
        return load_profile(Path(name.removeprefix(PROFILE_PREFIX))).name
    try:
        return name if Address.parse(name).login is None else without_login(name)
    except ValueError:
        return without_login(name)


def broker_names(given: Iterable[str]) -> tuple[str, ...]:
    """The names in what `--broker` was given, which may be lists with commas; a comma in a password divides nothing."""
    names: list[str] = []
    for text in given:
        for part in text.split(","):
            if names and "@" in part.partition("://")[0] and "://" in names[-1] and "@" not in names[-1]:
                names[-1] += f",{part}"
            elif part:
                names.append(part)
    return tuple(names)


def shown_command(arguments: Iterable[str], names: Iterable[str]) -> str:
    """A command line as it may be shown, of which these names are brokers'."""
    text = " ".join(arguments)
    for name in names:
        text = text.replace(name, shown_name(name))
    return text


def _release(name: str) -> BuiltBroker:
    try:
        found = release(name)
    except NotBuildable as problem:
        raise UnknownBroker(str(problem)) from None
    assert found is not None
    return found


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as problem:
        raise UnknownBroker(str(problem)) from None
