"""Scenario files, read, expanded and validated.

Belongs here: finding the files, the result type, collecting all problems of all files.
Does not belong here: YAML (`yaml12`), tables (`table`), wording (`explain`), checks beyond the schema (`lint`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from interop.scenario import kept
from interop.scenario.explain import problems_of
from interop.scenario.model import Scenario
from interop.scenario.problems import Problem, ScenarioError, shown
from interop.scenario.table import Row, expand, source_of, variants_of
from interop.scenario.values import MqttLabel, TransportName
from interop.scenario.yaml12 import Document, Where, read, written
from reports.resting import resting_collector

DEFAULT_FOLDER = Path(__file__).parents[2] / "scenarios"
"""The collection that comes with the product: beside this package in a checkout and when installed."""

SUFFIX = ".yaml"

_NO_LETTERS = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Heading:
    """What is asked of every scenario there is, so that of those kept only what is played has to be made whole."""

    title: str
    versions: tuple[MqttLabel, ...]
    transports: tuple[TransportName, ...]
    any_client: bool
    slow: bool

    @classmethod
    def of(cls, scenario: Scenario) -> Heading:
        """That of a scenario."""
        versions = tuple(scenario.versions)
        return cls(scenario.title, versions, scenario.transports, scenario.any_client, scenario.slow)


@dataclass(frozen=True)
class LoadedScenario:
    """One scenario, or one row of its table: `name` is `area/file-stem` or `area/file-stem[case]`.

    `read_scenario` gives the scenario, which was found right before it was kept. `step_lines` holds the 1-based line of
    each step, `step_texts` each step as it is written, with the row's values; `step_places` its place in the file, None
    for what a variant adds. `file_versions` are those of all rows of the file; `document` gives the file as it is
    written, which is read again where it was not kept. `kept_as` is how what its file gave is kept; empty where nothing
    is.
    """

    name: str
    area: str
    path: Path
    heading: Heading
    read_scenario: Callable[[], Scenario]
    step_lines: tuple[int, ...]
    step_texts: tuple[str, ...]
    step_places: tuple[int | None, ...]
    file_versions: tuple[str, ...]
    document: Callable[[], Document]
    kept_as: str

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario."""
        return self.read_scenario()

    def in_file(self, where: Where) -> Where:
        """A place in the scenario as a place in its file."""
        match where:
            case ("steps", int(index), *rest):
                place = self.step_places[index]
                return ("also",) if place is None else ("steps", place, *rest)
        return where

    @cached_property
    def shown_file(self) -> str:
        """The file from the current directory if it is in there; of the product's own collection, `scenarios/...`."""
        file = self.path.absolute()
        if not file.is_relative_to(Path.cwd()) and file.is_relative_to(DEFAULT_FOLDER):
            return file.relative_to(DEFAULT_FOLDER.parent).as_posix()
        return shown(file).as_posix()

    @property
    def file_name(self) -> str:
        """`area/file-stem`, shared by all rows of a table."""
        return self.name.partition("[")[0]

    @property
    def case(self) -> str:
        """The row of the table, with its variant; empty where there is neither."""
        return self.name.removeprefix(self.file_name)[1:-1]


def load_scenarios(paths: Sequence[Path] | None = None, patterns: Sequence[str] = ()) -> list[LoadedScenario]:
    """All scenarios of these folders or files (none: of the product's own collection), sorted by file, rows in order.

    With shell patterns of names, files are left out that have none of what these match. Raises ScenarioError with
    every problem of every file that is read.
    """
    if patterns:
        return _load([file for file in _files(paths or [DEFAULT_FOLDER]) if _may_have(file, patterns)])
    return _load(paths) if paths else list(_shipped())


def _may_have(file: Path, patterns: Sequence[str]) -> bool:
    """Whether one of these, as far as it is letters, begins as the file's scenarios do."""
    name = _name_of(file)
    beginnings = (_NO_LETTERS.split(pattern, maxsplit=1)[0] for pattern in patterns)
    return any(name.startswith(beginning) or beginning.startswith(name) for beginning in beginnings)


def load_named(names: Iterable[str]) -> dict[str, LoadedScenario]:
    """Scenarios of the product's own collection by their names; no file but theirs is read. Raises ScenarioError."""
    wanted = set(names)
    files = {DEFAULT_FOLDER / f"{name.partition('[')[0]}{SUFFIX}" for name in wanted}
    return {each.name: each for each in _load(sorted(files)) if each.name in wanted}


@cache
def _shipped() -> tuple[LoadedScenario, ...]:
    """The whole collection, which takes most of a second to read and does not change while we run."""
    return tuple(_load([DEFAULT_FOLDER]))


def _load(paths: Sequence[Path]) -> list[LoadedScenario]:
    loaded: list[LoadedScenario] = []
    problems: list[Problem] = []
    with resting_collector():
        for path in _files(paths):
            try:
                loaded += load_file(path)
            except ScenarioError as error:
                problems += error.problems
    if problems:
        raise ScenarioError(problems)
    return loaded


def load_file(path: Path) -> list[LoadedScenario]:
    """The scenarios of one file, each row before its variants; raises ScenarioError.

    Of the product's own collection, what another process read is taken as it was kept.
    """
    text = _text(path)
    if not path.absolute().is_relative_to(DEFAULT_FOLDER):
        return _read(path, text)
    name = kept.name_of(text)
    if (outcomes := kept.find(name)) is not None:
        return [_as_kept(path, text, name, outcome) for outcome in outcomes]
    loaded = _read(path, text, name)
    kept.keep(name, [_to_keep(one) for one in loaded])
    return loaded


def _read(path: Path, text: str, kept_as: str = "") -> list[LoadedScenario]:
    document = read(path, text)
    loaded: list[LoadedScenario] = []
    problems: list[Problem] = []
    for row in expand(document):
        try:
            loaded.append(_loaded(path, document, row, kept_as))
            loaded += [_loaded(path, document, varied, kept_as) for varied in variants_of(document, row)]
        except ValidationError as error:
            problems += problems_of(error, document, row.data)
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(problems)
    return loaded


def _loaded(path: Path, document: Document, row: Row, kept_as: str) -> LoadedScenario:
    scenario = _validated(json.dumps(row.data))
    return LoadedScenario(
        name=_name_of(path, row.case),
        area=_area_of(path),
        path=path,
        heading=Heading.of(scenario),
        read_scenario=lambda: scenario,
        step_lines=tuple(document.line(("also",) if place is None else ("steps", place)) for place in row.places),
        step_texts=tuple(_step_text(document, row, index) for index in range(len(row.places))),
        step_places=row.places,
        file_versions=tuple(map(str, document.data["versions"])),
        document=lambda: document,
        kept_as=kept_as,
    )


def _to_keep(one: LoadedScenario) -> list[Any]:
    scenario = one.scenario.model_dump_json(by_alias=True, exclude_unset=True)
    heading = astuple(one.heading)
    return [one.case, heading, scenario, one.step_lines, one.step_texts, one.step_places, one.file_versions]


def _as_kept(path: Path, text: str, kept_as: str, outcome: list[Any]) -> LoadedScenario:
    case, (title, of_versions, transports, any_client, slow), scenario, lines, texts, places, versions = outcome
    return LoadedScenario(
        name=_name_of(path, case),
        area=_area_of(path),
        path=path,
        heading=Heading(title, tuple(of_versions), tuple(transports), any_client, slow),
        read_scenario=partial(_validated, scenario),
        step_lines=tuple(lines),
        step_texts=tuple(texts),
        step_places=tuple(places),
        file_versions=tuple(versions),
        document=partial(read, path, text),
        kept_as=kept_as,
    )


def _area_of(file: Path) -> str:
    return file.absolute().parent.name


def _name_of(file: Path, case: str = "") -> str:
    return f"{_area_of(file)}/{file.stem}[{case}]" if case else f"{_area_of(file)}/{file.stem}"


def _step_text(document: Document, row: Row, index: int) -> str:
    place = row.places[index]
    if place is not None and row.as_written[index]:
        return source_of(document.source(("steps", place)), row.values)
    return written(row.data["steps"][index])


def _validated(written: str) -> Scenario:
    # Through JSON, because there strict validation still takes a list for a tuple and a text for an enum.
    return Scenario.model_validate_json(written, strict=True)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ScenarioError([Problem(path, 1, "", f"not UTF-8: {error.reason} at byte {error.start}")]) from None
    except OSError as error:
        raise ScenarioError([Problem(path, 1, "", error.strerror or str(error))]) from None


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob(f"*{SUFFIX}"))
        else:
            yield path
