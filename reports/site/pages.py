"""The pages of the site as HTML: what stands there without JavaScript.

Belongs here: what each page is given. Does not belong here: markup (`templates`), counting, files (`write`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

from jinja2 import Environment

from reports.counts import Counts
from reports.coverage import StatementLine
from reports.defects import NO_SENTENCES, Defect, Sentences
from reports.matrix import Entry, filter_link
from reports.outcome import Outcome, outcome_of
from reports.site.history import histories
from reports.site.plays import ROLES, Implementation, Play, Plays, Release, file_name
from reports.site.standings import Key, Standing, Standings, standings
from reports.summary import Role
from reports.templating import environment, json_in_html
from reports.words import cells, number

_SPECIFICATIONS = {
    "3.1.1": "https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html",
    "5.0": "https://docs.oasis-open.org/mqtt/mqtt/v5.0/os/mqtt-v5.0-os.html",
}


class Page(NamedTuple):
    """Where it is in the site, and what stands there."""

    path: str
    html: str


class Item(NamedTuple):
    """An implementation in a list: its newest release over the newest plays."""

    release: Release
    counts: Counts
    releases: int


class StatementRow(NamedTuple):
    """A statement in the list of its version."""

    id: str
    level: str
    section: str
    summary: str
    page: str
    outcome: Outcome
    words: str
    broken: bool


class StandingRow(NamedTuple):
    """An implementation on the page of a statement: its newest release, and those before, the newest first."""

    release: Release
    standing: Standing
    earlier: list[tuple[Release, Standing]]


class SideOfStatement(NamedTuple):
    """Clients or brokers on the page of a statement."""

    role: Role
    sentence: str
    reason: str
    rows: list[StandingRow]
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Pages:
    """Everything pages are made of."""

    plays: Plays
    lines: Sequence[StatementLine]
    sentences: Sentences
    standings: Standings
    newest: Mapping[Implementation, Release]
    templates: Environment

    @classmethod
    def of(cls, plays: Plays, lines: Sequence[StatementLine] = (), sentences: Sentences = NO_SENTENCES) -> Pages:
        """`lines` are by version and side, in that order."""
        templates = environment("reports.site")
        templates.globals["statement_page"] = statement_page
        newest = {each: plays.releases(each)[-1] for role in ROLES for each in plays.implementations(role)}
        return cls(plays, lines, sentences, standings(plays.all), newest, templates)

    def all(self) -> Iterator[Page]:
        """Every page."""
        yield self._matrix()
        yield from map(self._implementation, self.newest)
        yield self._statements()
        for mqtt, group in self._by_version.items():
            for each in group.values():
                yield self._statement(mqtt, each)
        yield self._page("cells.html", "cells", eyebrow="Cells", title="Cells")
        yield self._page("yours.html", "yours", eyebrow="Cells", title="Your own results")
        yield self._page("compare.html", "compare")
        yield self._page("search.html", "search")

    def entries_to_search(self) -> Iterator[tuple[str, str, str, str]]:
        """What can be searched for: its kind, its name, what it says, where it is."""
        for each in self.newest:
            versions = ", ".join(release.version for release in self.plays.releases(each))
            yield each.role, each.name, versions, each.page
        for mqtt, group in self._by_version.items():
            for lines in group.values():
                yield f"statement of {mqtt}", lines[0].id, lines[0].summary, statement_page(mqtt, lines[0].id)
        for play in self.plays.newest.values():
            for defect in play.defects:
                where = f"cells.html?play={play.number}{filter_link(defect=str(defect.number))}"
                yield "defect", defect.blamed, f"{defect.headline} ({play.label})", where

    def _page(self, path: str, kind: str, template: str = "", **given: Any) -> Page:
        root = "../" * path.count("/")
        text = self.templates.get_template(f"{template or kind}.html.j2").render(root=root, kind=kind, **given)
        return Page(path, text)

    # --- matrix -----------------------------------------------------------------------------------------------------

    def _matrix(self) -> Page:
        clients, brokers = map(self.plays.implementations, ROLES)
        fields = {pair: _field(play) for pair, play in self.plays.newest.items()}
        total = _sum(play.counts for play in self.plays.newest.values())
        return self._page(
            "index.html",
            "matrix",
            headline=f"{_so_many(clients)} with {_so_many(brokers)}: {number(total.passed)} {total.of_applying} pass.",
            rows=[(client, [fields.get((client, broker)) for broker in brokers]) for client in clients],
            brokers=brokers,
            newest=self.newest,
            notes=self._notes(),
            sides=[(f"{role}s", [self._item(each) for each in self.plays.implementations(role)]) for role in ROLES],
            runs=list(self.plays.runs()),
            fields=json_in_html([_field_data(play, clients, brokers) for play in self.plays.newest.values()]),
        )

    def _notes(self) -> str:
        """Which fields are not of both newest releases."""
        old = [
            play.label
            for (client, broker), play in self.plays.newest.items()
            if (play.client, play.broker) != (self.newest[client], self.newest[broker])
        ]
        return f"Not of the newest releases, because these were not played: {'; '.join(old)}." if old else ""

    def _item(self, implementation: Implementation) -> Item:
        role = implementation.role
        plays = [play for play in self.plays.newest.values() if play.release(role).implementation == implementation]
        releases = self.plays.releases(implementation)
        return Item(releases[-1], _sum(play.counts for play in plays), len(releases))

    # --- an implementation ------------------------------------------------------------------------------------------

    def _implementation(self, it: Implementation) -> Page:
        newest = self.newest[it]
        broken = [
            (key, by_release[newest])
            for key, by_release in self.standings.items()
            if key.role == it.role and newest in by_release and by_release[newest].breaches
        ]
        return self._page(
            it.page,
            "implementation",
            it=it,
            newest=newest,
            histories=histories(self.plays, it),
            plays=self.plays.with_release(newest),
            own=partial(_own, it.role),
            broken=sorted(broken, key=lambda each: (each[1].outcome.rank, each[0])),
            sentences=self.sentences,
        )

    # --- statements -------------------------------------------------------------------------------------------------

    @cached_property
    def _by_version(self) -> dict[str, dict[str, list[StatementLine]]]:
        found: dict[str, dict[str, list[StatementLine]]] = {}
        for line in self.lines:
            found.setdefault(line.mqtt, {}).setdefault(line.id, []).append(line)
        return dict(sorted(found.items(), reverse=True))

    def _statements(self) -> Page:
        versions = [
            (mqtt, [self._statement_row(mqtt, lines) for lines in group.values()])
            for mqtt, group in self._by_version.items()
        ]
        return self._page("statements.html", "statements", versions=versions)

    def _statement_row(self, mqtt: str, lines: Sequence[StatementLine]) -> StatementRow:
        line, words, outcomes = lines[0], [], []
        for role in ROLES:
            if rows := self._standing_rows(Key(mqtt, line.id, role)):
                kept = sum(not row.standing.breaches for row in rows)
                words.append(f"{kept} of {_some(len(rows), role)}")
                outcomes += [row.standing.outcome for row in rows]
        return StatementRow(
            line.id, line.level, line.section, line.summary, statement_page(mqtt, line.id),
            min(outcomes, key=lambda each: each.rank, default=Outcome.UNSUPPORTED),
            ", ".join(words) or Outcome.UNSUPPORTED.label.replace("unsupported", "nobody was put to it"),
            any(each in (Outcome.FAIL, Outcome.WARN) for each in outcomes),
        )  # fmt: skip

    def _standing_rows(self, key: Key) -> list[StandingRow]:
        """Implementations that were put to it, those that break it first."""
        by_release, rows = self.standings.get(key, {}), []
        for each in self.plays.implementations(key.role):
            there = [release for release in self.plays.releases(each) if release in by_release]
            if there and (there[-1] == self.newest[each] or by_release[there[-1]].tested):
                earlier = [(release, by_release[release]) for release in reversed(there[:-1])]
                rows.append(StandingRow(there[-1], by_release[there[-1]], earlier))
        return sorted(rows, key=lambda row: (row.standing.outcome.rank, row.release.label))

    def _statement(self, mqtt: str, lines: Sequence[StatementLine]) -> Page:
        line = lines[0]
        fragment = line.id.replace("-", "%2D")
        link = f"{_SPECIFICATIONS[mqtt]}#:~:text=%5B{fragment}%5D" if _is_numbered(mqtt, line.id) else ""
        others = [each for each, group in self._by_version.items() if each != mqtt and line.id in group]
        return self._page(
            statement_page(mqtt, line.id),
            "statement",
            mqtt=mqtt,
            id=line.id,
            section=line.section,
            level=line.level.upper(),
            summary=line.summary,
            link=link,
            elsewhere=others,
            sides=[self._side(each) for each in lines],
        )

    def _side(self, line: StatementLine) -> SideOfStatement:
        role: Role = "client" if line.side == "client" else "broker"
        rows = self._standing_rows(Key(line.mqtt, line.id, role))
        return SideOfStatement(role, _sentence(role, rows), line.reason, rows, line.evidence)


def statement_page(mqtt: str, statement_id: str) -> str:
    """Where the page of a statement is in the site."""
    return f"statements/{mqtt}/{file_name(statement_id)}.html"


def _is_numbered(mqtt: str, statement_id: str) -> bool:
    return mqtt in _SPECIFICATIONS and statement_id[:5] == "MQTT-" and statement_id[5:6].isdigit()


def _sentence(role: Role, rows: Sequence[StandingRow]) -> str:
    """`Kept by 4 of 6 clients; broken by gmqtt 0.8.0, paho 2.2.0.`"""
    if not rows:
        return f"No {role} was put to it."
    bad = [row for row in rows if row.standing.breaches]
    kept = f"Kept by {len(rows) - len(bad)} of {_some(len(rows), role)}"
    by_words: dict[str, list[str]] = {}
    for row in bad:
        by_words.setdefault(row.standing.words, []).append(row.release.label)
    return "; ".join([kept, *(f"{words} by {', '.join(names)}" for words, names in by_words.items())]) + "."


def _some(count: int, role: Role) -> str:
    return f"{count} {role}{'s' if count != 1 else ''}"


def _so_many(implementations: Sequence[Implementation]) -> str:
    return _some(len(implementations), implementations[0].role) if implementations else "nothing"


def _own(role: Role, play: Play) -> list[Defect]:
    return [defect for defect in play.defects if defect.side in (role, "unknown")]


def _sum(all_counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for counts in all_counts:
        total.by_outcome.update(counts.by_outcome)
    return total


def _field(play: Play) -> Entry:
    words = f"{play.label}: {number(play.counts.passed)} of {cells(play.counts.applying)} pass"
    besides = play.counts.besides_passes()
    link = f"cells.html?play={play.number}{filter_link()}"
    return Entry(play.counts, f"{words}; {besides}" if besides else words, link)


def _field_data(play: Play, clients: Sequence[Implementation], brokers: Sequence[Implementation]) -> dict[str, Any]:
    """What the scripts filter a field by: its counts for each version, area and transport."""
    parts: dict[tuple[str, str, str], Counts] = {}
    for record in play.records:
        counts = parts.setdefault((record.mqtt, record.area, record.transport), Counts())
        counts.by_outcome[outcome_of(record)] += 1
    return {
        "row": clients.index(play.client.implementation),
        "column": brokers.index(play.broker.implementation),
        "play": play.number,
        "label": play.label,
        "parts": [[*where, dict(counts.by_outcome)] for where, counts in sorted(parts.items())],
    }
