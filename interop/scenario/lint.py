"""Checks that keep the collection honest, beyond what the schema can say.

Belongs here: one function for each rule, over one scenario or over all of them.
Does not belong here: the schema (`model`, `steps`, `values`), tables (`table`), what a step does (`interop.runner`).

A table's rows are checked one by one; what is wrong with all of them is said once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path

from interop.requirements.requirements import known, nearest, statement, statements
from interop.scenario import kept
from interop.scenario.features import FEATURES
from interop.scenario.lint_packets import packet_problems
from interop.scenario.lint_versions import version_problems
from interop.scenario.load import LoadedScenario
from interop.scenario.numbered import MOST_UNLESS_SLOW
from interop.scenario.problems import Problem, unknown
from interop.scenario.steps import (
    AnyStep,
    AtLeastAtMost,
    Connect,
    Fault,
    Frame,
    Freeze,
    Hold,
    Inject,
    Mark,
    Observation,
    Receive,
    Reframe,
    Restart,
    Split,
    Thaw,
    Throttle,
    Windowed,
    Wire,
)
from interop.scenario.values import Level, MqttLabel
from interop.scenario.yaml12 import Where

Found = Iterator[tuple[Where, str]]
"""What a rule finds: a place in the file, and what is wrong there."""

_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_BINDING = {Level.MAY: 0, Level.SHOULD: 1, Level.MUST: 2}
_TO_CONNECT = ("CONNECT", "CONNACK", "AUTH")
_WITH_FRAMES = ("ws", "wss")
_WHO = (("as", "actor"), ("link", "link"), ("in_step_with", "in_step_with"))
"""The keys whose value is an actor's name, each with its field."""
_MOMENTS = ("start", "connect", "cut")
_WHAT_USUALLY_HAPPENS = ("accepted", "done", "pending")
_EXPECTATIONS = ("reason", "reasons", "granted", "session_present", "answer")


def lint(scenarios: Iterable[LoadedScenario]) -> list[Problem]:
    """Everything that is wrong with these scenarios, all rows of each file, sorted by place; empty when all is well.

    Of the product's own collection, files that were found right by this code and have not changed are not looked at.
    """
    loaded = list(scenarios)
    problems = set(_across_files(loaded))
    known = kept.clean()
    new = [one for one in loaded if one.kept_as not in known]
    wrong = {""}
    for one in new:
        if found := _found(one):
            problems.update(found)
            wrong.add(one.kept_as)
    kept.keep_clean({one.kept_as for one in new} - wrong)
    return sorted(problems)


def _found(one: LoadedScenario) -> list[Problem]:
    return [one.document().problem(one.in_file(where), message) for rule in RULES for where, message in rule(one)]


# --- names ------------------------------------------------------------------------------------------------------------


def _across_files(loaded: list[LoadedScenario]) -> Iterator[Problem]:
    """A title belongs to one file, and so does a name, which is in order."""
    titles: dict[str, LoadedScenario] = {}
    names: dict[str, LoadedScenario] = {}
    for one in loaded:
        for first, what, where in (
            (titles.setdefault(one.heading.title.casefold(), one), "title", ("title",)),
            (names.setdefault(one.file_name, one), "name", ()),
        ):
            if first.path != one.path:
                text = one.heading.title if what == "title" else one.file_name
                yield one.document().problem(where, f"the {what} {text!r} is also that of {first.path.name}")
    for one in {one.path: one for one in loaded}.values():
        for place, message in file_and_area_names(one):
            yield one.document().problem(place, message)


def file_and_area_names(one: LoadedScenario) -> Found:
    """Files and their folders are named in lower_snake_case; the folders of a collection are listed in its README."""
    for name in (one.path.stem, one.area):
        if not _SNAKE_CASE.fullmatch(name):
            yield (), f"the name {name!r} is not in lower_snake_case"
    areas = _listed_areas(one.path.parent)
    if areas and one.area not in areas:
        yield (), unknown("area", one.area, areas) + "; the areas are listed in the README of the collection"


@cache
def _listed_areas(area: Path) -> list[str]:
    readme = area.absolute().parent / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    return re.findall(r"^\| `([a-z0-9_]+)` \|", text, re.MULTILINE)


def needs(one: LoadedScenario) -> Found:
    """`needs` names features of the table."""
    for place, need in enumerate(one.scenario.needs):
        if need not in FEATURES:
            yield ("needs", place), unknown("feature", need, list(FEATURES))


def broker_settings(one: LoadedScenario) -> Found:
    """`broker` names settings of the reference broker."""
    for name in one.scenario.broker:
        if name not in _broker_settings():
            yield ("broker", name), unknown("broker setting", name, _broker_settings())


@cache
def _broker_settings() -> list[str]:
    from reference_broker.broker.values.config import BrokerConfig  # noqa: PLC0415  # only where a scenario has settings

    return sorted(field.name for field in fields(BrokerConfig))


# --- actors and moments -----------------------------------------------------------------------------------------------


def actors(one: LoadedScenario) -> Found:
    """Every actor a step speaks of exists, and every actor is spoken of."""
    known_actors = list(one.scenario.actors)
    used = set()
    for index, step in enumerate(one.scenario.steps):
        said = vars(step)
        for key, field in _WHO:
            if (name := said.get(field)) is None:
                continue
            used.add(name)
            if name not in known_actors:
                yield ("steps", index, key), unknown("actor", name, known_actors)
    for name in known_actors:
        if name not in used:
            yield ("actors", name), f"no step speaks of the actor {name!r}"


def moments(one: LoadedScenario) -> Found:
    """`since` names a moment that is past when the step begins."""
    past = set(_MOMENTS)
    has_fault = False
    for index, step in enumerate(one.scenario.steps):
        if isinstance(step, Mark):
            if step.name in past:
                yield ("steps", index, "name"), f"the moment {step.name!r} is named already"
            past.add(step.name)
        has_fault = has_fault or isinstance(step, Fault)
        if isinstance(step, Wire):
            if step.since not in past:
                yield ("steps", index, "since"), unknown("moment", step.since, sorted(past))
            elif step.since == "cut" and not has_fault:
                yield ("steps", index, "since"), "no fault comes before this step; `cut` is the last fault that fired"


def set_up(one: LoadedScenario) -> Found:
    """An actor whose connecting is put to the test connects in a step of its own: what is left to itself is set-up."""
    connected: set[str] = set()
    put_to_the_test: dict[str, str] = {}
    for index, step in enumerate(one.scenario.steps):
        if isinstance(step, Split | Reframe | Throttle) or (isinstance(step, Fault) and step.at in _TO_CONNECT):
            put_to_the_test.setdefault(step.link, step.do)
        name = step.link if isinstance(step, Inject) else vars(step).get("actor")
        if name is None or name in connected:
            continue
        connected.add(name)
        if name in put_to_the_test and not isinstance(step, Connect):
            verb, connect = put_to_the_test[name], f"{{do: connect, as: {name}}}"
            yield ("steps", index), f"`{verb}` puts the connecting of {name!r} to the test; say {connect} before this"


def frames(one: LoadedScenario) -> Found:
    """What speaks of WebSocket frames is played where there are some."""
    without = [name for name in one.scenario.transports if name not in _WITH_FRAMES]
    for index, step in enumerate(one.scenario.steps):
        if without and (isinstance(step, Reframe | Frame) or (isinstance(step, Inject) and step.beneath)):
            yield (
                ("steps", index),
                f"there are no WebSocket frames over {', '.join(without)}; say transports: [ws, wss]",
            )


def observations(one: LoadedScenario) -> Found:
    """A scenario that looks at nothing proves nothing."""
    if not any(isinstance(step, Observation) or _expects(step) for step in one.scenario.steps):
        yield ("steps",), "nothing is observed or expected: no receive, wire, closed, ... and no expected answer"


def _expects(step: AnyStep) -> bool:
    given = step.model_fields_set
    return (
        any(name in given for name in _EXPECTATIONS) or vars(step).get("outcome", "done") not in _WHAT_USUALLY_HAPPENS
    )


def windows(one: LoadedScenario) -> Found:
    """A window ends after it begins, and one that decides a verdict says what sets its times."""
    for index, step in enumerate(one.scenario.steps):
        if not isinstance(step, Windowed):
            continue
        if step.within <= step.after:
            yield ("steps", index), f"the window is empty: after {step.after:g} s but within {step.within:g} s"
        if _decides_by_time(step, one) and not step.because:
            yield ("steps", index), "say with `because` which statement or tolerance sets `after` and `within`"


def _decides_by_time(step: Windowed, one: LoadedScenario) -> bool:
    binds = any((step.level or clause.level) is not Level.MAY for clause in one.scenario.versions.values())
    given = step.model_fields_set & {"after", "within"}
    may_stay_away = isinstance(step, Receive) and isinstance(step.times, AtLeastAtMost) and step.times.at_least == 0
    only_listens = isinstance(step, Wire) and step.never is not None
    return bool(given) and binds and not may_stay_away and not only_listens


def reliance(one: LoadedScenario) -> Found:
    """What relies on an armed fault has one to rely on: not optional, and followed by something that makes it fire."""
    steps = one.scenario.steps
    for index, step in enumerate(steps):
        if isinstance(step, Thaw):
            kept = [each for each in steps[:index] if isinstance(each, Freeze | Hold) and each.link == step.link]
            if all(each.optional for each in kept):
                yield ("steps", index), f"no `freeze` or `hold` on the link of {step.link!r} is sure to have happened"
        if isinstance(step, Wire) and step.since == "cut":
            faults = [each for each in steps[:index] if isinstance(each, Fault) and each.link == step.link]
            if faults and all(each.optional for each in faults):
                yield ("steps", index), f"no fault on the link of {step.link!r} is sure to have happened"
        if isinstance(step, Fault) and step.at is not None and not step.optional and not _goes_on(steps[index + 1 :]):
            yield ("steps", index), f"nothing that follows makes a {step.at} come; the fault never fires"


def _goes_on(steps: Sequence[AnyStep]) -> bool:
    return any(not isinstance(each, Fault | Mark) for each in steps)


def counts(one: LoadedScenario) -> Found:
    """What is done very often takes long: such a scenario is played only when asked for."""
    for index, step in enumerate(one.scenario.steps):
        if not one.scenario.slow and vars(step).get("count", 1) > MOST_UNLESS_SLOW:
            yield ("steps", index, "count"), f"more than {MOST_UNLESS_SLOW} take long; say slow: true"


def restarts(one: LoadedScenario) -> Found:
    """Who ends the broker has one of its own, and says what it has to outlast."""
    for index, step in enumerate(one.scenario.steps):
        if isinstance(step, Restart):
            need = "crash-persistence" if step.how == "kill" else "persistence"
            if not one.scenario.own_broker:
                yield ("steps", index), "the broker is shared with other cells; say own_broker: true"
            if need not in one.scenario.needs:
                yield ("steps", index), f"not every broker comes back from it; say needs: [{need}]"


# --- statements -------------------------------------------------------------------------------------------------------


def citations(one: LoadedScenario) -> Found:
    """Statements exist in the version they are cited for, and bind as much as the scenario says."""
    for label, clause in one.scenario.versions.items():
        where: Where = ("versions", label)
        yield from _unknown_statements(label, clause.cites, (*where, "cites"))
        yield from _too_binding(label, clause.level, clause.cites, where)
    for index, step in enumerate(one.scenario.steps):
        for label in _versions_of(step, one) if step.cites is not None or step.level is not None else ():
            cites = step.cites if step.cites is not None else one.scenario.versions[label].cites
            if step.cites is not None:
                yield from _unknown_statements(label, step.cites, ("steps", index, "cites"), hint=step.only is None)
            level = step.level or one.scenario.versions[label].level
            yield from _too_binding(label, level, cites, ("steps", index))


def _versions_of(step: AnyStep, one: LoadedScenario) -> list[MqttLabel]:
    return [label for label in one.scenario.versions if step.only is None or label in step.only]


def _unknown_statements(label: MqttLabel, cites: Iterable[str], where: Where, *, hint: bool = False) -> Found:
    for place, cite in enumerate(cites):
        if not known(label, cite):
            near = ", ".join(nearest(label, cite))
            more = f"; statements are numbered by version: write only: [{label!r}, ...]" if hint else ""
            yield (*where, place), f"MQTT {label} has no statement {cite!r} (nearest: {near}){more}"


def _too_binding(label: MqttLabel, level: Level, cites: tuple[str, ...], where: Where) -> Found:
    levels = [Level(statement(label, cite).level) for cite in cites if known(label, cite)]
    if not cites and level is not Level.MAY:
        yield where, f"the level is {level}, but no statement of MQTT {label} is cited ({len(statements(label))} exist)"
    elif levels and _BINDING[level] > max(_BINDING[each] for each in levels):
        strongest = max(levels, key=_BINDING.__getitem__)
        yield where, f"the level is {level}, but what is cited of MQTT {label} is at most a {strongest}"


RULES: tuple[Callable[[LoadedScenario], Found], ...] = (
    needs,
    broker_settings,
    actors,
    moments,
    set_up,
    frames,
    observations,
    windows,
    reliance,
    counts,
    restarts,
    citations,
    version_problems,
    packet_problems,
)
"""Every rule over one scenario."""
