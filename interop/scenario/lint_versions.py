"""Checks of what a step may say in the versions it runs in.

Belongs here: `only`, the versions of actors, and the fields that exist in 5.0 alone.
Does not belong here: citations, which are keyed by version too (`lint`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from interop.scenario.load import LoadedScenario
from interop.scenario.steps import (
    AnyStep,
    Auth,
    Completed,
    Connect,
    Disconnect,
    Inject,
    Publish,
    Receive,
    Subscribe,
    Unsubscribe,
    Wire,
)
from interop.scenario.values import PacketPattern, Pattern
from interop.scenario.yaml12 import Where

_SUBSCRIPTION_OPTIONS = ("no_local", "retain_as_published", "retain_handling")
_ONLY_IN_5: dict[type[AnyStep], tuple[str, ...]] = {
    Connect: ("answer",),
    Disconnect: ("reason", "properties"),
    Subscribe: (*_SUBSCRIPTION_OPTIONS, "properties", "answer"),
    Unsubscribe: ("properties",),
    Publish: ("properties", "reason"),
    Receive: ("properties", "without"),
    Completed: ("reason",),
}
"""Fields that mean something in 5.0 only. By definition an actor's CONNECT and will properties are left out in 3.x, and
the codes that `closed`, `reported` and `unsubscribe` may ask for are not looked at."""

_FIRST = "the first actor speaks the version of the cell; give another one a version"
_PACKETS_WITH_CODE_IN_3 = ("CONNACK",)


def version_problems(one: LoadedScenario) -> Iterator[tuple[Where, str]]:
    """`only` names versions of the scenario, and what an actor says in 3.x says nothing of 5.0."""
    first, actor = next(iter(one.scenario.actors.items()))
    if actor.mqtt is not None:
        yield ("actors", first, "mqtt"), _FIRST
    # A row of a table may leave out versions that its steps speak of.
    of_file = one.file_versions
    fixed = {name: each.mqtt for name, each in one.scenario.actors.items()}
    for index, step in enumerate(one.scenario.steps):
        where: Where = ("steps", index)
        for place, label in enumerate(step.only or ()):
            if label not in of_file:
                yield (*where, "only", place), f"{label!r} is none of the scenario's versions ({', '.join(of_file)})"
        said = vars(step)
        name = str(said.get("actor") or said.get("link", ""))
        if isinstance(step, Connect) and name in fixed:
            fixed[name] = step.mqtt or one.scenario.actors[name].mqtt
            if step.mqtt is not None and name == first:
                yield (*where, "mqtt"), _FIRST
        given = fixed.get(name)
        spoken = step.only or one.scenario.versions if given is None else (given,)
        if any(label != "5.0" and (given or label in one.scenario.versions) for label in spoken):
            hint = f"its actor speaks {given}" if given else 'the step runs in 3.x as well; say only: ["5.0"]'
            for place_of_it, what in _in_3(step, where):
                yield place_of_it, f"{what} exists in 5.0 only, but {hint}"


def _in_3(step: AnyStep, where: Where) -> Iterator[tuple[Where, str]]:
    """What a step says that only 5.0 has, and where."""
    for name in step.model_fields_set.intersection(_ONLY_IN_5.get(type(step), ())):
        if getattr(step, name) != _default(type(step), name):
            yield (*where, name), f"`{name}`"
    match step:
        case Auth():
            yield where, "AUTH"
        case Subscribe(topics=topics):
            for place, request in enumerate(topics):
                for name in _SUBSCRIPTION_OPTIONS:
                    if getattr(request, name):
                        yield (*where, "topics", place, name), f"`{name}`"
        case Wire():
            for key in ("exactly", "contains"):
                for place, pattern in enumerate(getattr(step, key) or ()):
                    yield from _pattern_in_3(pattern, (*where, key, place))
        case Inject(packet=packet) if packet is not None and "properties" in packet:
            yield (*where, "packet", "properties"), "`properties`"


@cache
def _default(kind: type[AnyStep], name: str) -> object:
    return kind.model_fields[name].get_default(call_default_factory=True)


def _pattern_in_3(pattern: Pattern, where: Where) -> Iterator[tuple[Where, str]]:
    packet = pattern if isinstance(pattern, str) else pattern.packet
    if packet == "AUTH":
        yield where, "AUTH"
    if isinstance(pattern, PacketPattern):
        for name in ("properties", "present"):
            if getattr(pattern, name):
                yield (*where, name), f"`{name}`"
        for name in ("reason", "reason_other_than"):
            if getattr(pattern, name) is not None and packet not in _PACKETS_WITH_CODE_IN_3:
                yield (*where, name), f"a reason code in {packet}"
