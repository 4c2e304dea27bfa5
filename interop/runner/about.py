"""What a selection is about: cells by the statements their scenarios cite, and by the rules of the judge.

Belongs here: reading `--statement` and `--rule`, and the rows of the collection that fit, in the versions that fit.
Does not belong here: what else a selection is made by (`cell`), which command has the options.

A rule reads every trace, whatever the scenario was about. What has to do with it are the cells whose scenario cites a
statement the rule can find broken: there what it looks for is brought about, rather than seen in passing. A rule
without a numbered statement goes with the one that needs the same to happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from interop.judge import RULES, citations
from interop.requirements.requirements import VERSIONS, known, nearest
from interop.scenario.load import Heading, LoadedScenario
from interop.scenario.problems import closest
from interop.scenario.values import MqttLabel
from interop.tap.trace import Sender
from reference_broker.wire.types import Version

_BROUGHT_ABOUT_BY = {"waits-for-keep-alive": "ends-silent-connection"}
"""Rules that rest on no numbered statement, and the rule that needs the same to happen: here, silence."""

Numbered = tuple[str, str]
"""A version and a statement's id in it: the same number means different things in 3.1.1 and 5.0."""


class UnknownSubject(ValueError):
    """A statement or a rule there is none of; the message is one line with what is most like it."""


@dataclass(frozen=True, slots=True)
class About:
    """The statements and the rules that what is played has to do with; a row has to fit each that is given.

    `statements` are ids, of every version that has them or of the one before a colon (`5.0:MQTT-4.3.3-10`); `rules`
    are names of the judge's. Of several, one is enough. Raises UnknownSubject.
    """

    statements: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._demands()

    def rows(self, scenarios: Iterable[LoadedScenario]) -> list[LoadedScenario]:
        """The rows that fit, each with only the versions in which it does."""
        if not (self.statements or self.rules):
            return list(scenarios)
        demands = self._demands()
        return [row for each in scenarios for row in _narrowed(each, demands)]

    def _demands(self) -> list[frozenset[Numbered]]:
        by_statement = frozenset(each for text in self.statements for each in _statements(text))
        by_rule = frozenset(each for name in self.rules for each in _found_broken(name))
        return [found for given, found in ((self.statements, by_statement), (self.rules, by_rule)) if given]


def _narrowed(loaded: LoadedScenario, demands: Sequence[frozenset[Numbered]]) -> Iterator[LoadedScenario]:
    versions = {
        mqtt: clause
        for mqtt, clause in loaded.scenario.versions.items()
        if all(not demanded.isdisjoint(_cited(loaded, mqtt)) for demanded in demands)
    }
    if versions:
        narrowed = loaded.scenario.model_copy(update={"versions": versions})
        yield replace(loaded, heading=Heading.of(narrowed), read_scenario=lambda: narrowed)


def _cited(loaded: LoadedScenario, mqtt: MqttLabel) -> set[Numbered]:
    return {(mqtt, each) for ids in loaded.scenario.covers(mqtt).values() for each in ids}


def _statements(text: str) -> set[Numbered]:
    label, colon, statement_id = text.rpartition(":")
    if colon and label not in VERSIONS:
        raise UnknownSubject(f"statement {text}: there is no MQTT {label} (versions: {', '.join(VERSIONS)})")
    versions = [label] if colon else VERSIONS
    found = {(mqtt, statement_id) for mqtt in versions if known(mqtt, statement_id)}
    if not found:
        like = dict.fromkeys(each for mqtt in reversed(versions) for each in nearest(mqtt, statement_id, 2))
        guesses = ", ".join(f"{label}{colon}{each}" for each in like)
        raise UnknownSubject(f"unknown statement {text}; nearest are {guesses} (`mqtt-interop coverage` has them all)")
    return found


def _found_broken(name: str) -> set[Numbered]:
    if name not in RULES:
        close = closest(name, RULES)
        guess = f"; did you mean {close}?" if close else ""
        raise UnknownSubject(f"unknown rule {name}{guess} (`mqtt-interop list rules` has them all)")
    return {
        (version.label, each)
        for version in Version
        for side in (Sender.CLIENT, Sender.BROKER)
        for each in citations(RULES[_BROUGHT_ABOUT_BY.get(name, name)], side, version)
    }
