"""Which trials are played, and in which order: first those that told something before, then what may tell the rest.

Belongs here: the list of known trials, the search for what they leave open, the choice of those worth knowing.
Does not belong here: playing (`run`), counting (`kill_table`).

A trial in `known.csv` proves nothing: it is played again in every run. It only saves the search, which is long.
"""

from __future__ import annotations

import csv
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path

from interop.mutants.mutant import Mutant
from interop.mutants.trial import Kill, Trial
from interop.scenario.load import LoadedScenario
from reports.write import write_whole

KNOWN = Path(__file__).with_name("known.csv")
"""Trials that turned red before."""


def known_trials(
    mutants: Collection[str], scenarios: Mapping[str, LoadedScenario], file: Path = KNOWN
) -> tuple[Trial, ...]:
    """Those of these mutants and scenarios; what is not there any more is left out."""
    with file.open(encoding="utf-8", newline="") as lines:
        trials = [Trial(row["mutant"], row["scenario"], row["mqtt"]) for row in csv.DictReader(lines)]  # type: ignore[arg-type]
    return tuple(
        each
        for each in trials
        if each.mutant in mutants
        and each.scenario in scenarios
        and each.mqtt in scenarios[each.scenario].scenario.versions
    )


def all_trials(mutant: Mutant, scenarios: Iterable[LoadedScenario], *, everything: bool = False) -> list[Trial]:
    """A mutant put to its subjects (or to `everything`), in each version; slow scenarios are for those that name them.

    By turns from each area, in an order of each mutant's own, and first in the newest version: so all mutants together
    come soon to every scenario, and each soon to one that catches it.
    """
    by_area: dict[str, list[LoadedScenario]] = {}
    for loaded in sorted(scenarios, key=lambda each: zlib.crc32(f"{mutant.name} {each.name}".encode())):
        slow = loaded.scenario.slow
        if (everything and not slow) or mutant.concerns(loaded.name, slow=slow):
            by_area.setdefault(loaded.area, []).append(loaded)
    ordered = [each for group in zip_longest(*by_area.values()) for each in group if each is not None]
    versions = [list(reversed(each.scenario.versions)) for each in ordered]
    return [
        Trial(mutant.name, loaded.name, its_versions[turn])
        for turn in range(max(map(len, versions), default=0))
        for loaded, its_versions in zip(ordered, versions, strict=True)
        if turn < len(its_versions)
    ]


def in_turns(mutants: Iterable[Mutant], scenarios: Sequence[LoadedScenario], *, everything: bool) -> Iterator[Trial]:
    """The trials of several mutants, by turns, so that those that wait overlap."""
    each = [all_trials(mutant, scenarios, everything=everything) for mutant in mutants]
    return (trial for trial in chain.from_iterable(zip_longest(*each)) if trial is not None)


def worth_knowing(kills: Sequence[Kill]) -> list[Trial]:
    """Enough of the trials to catch each mutant and break each scenario and rule again: a kill that adds none goes.

    A mutant that breaks few scenarios says more of those than one that breaks them all, and is taken first.
    """
    breaks = Counter(mutant for mutant, _ in {(kill.trial.mutant, kill.trial.scenario) for kill in kills})
    told: set[tuple[str, str]] = set()
    kept = []
    for kill in sorted(kills, key=lambda each: (breaks[each.trial.mutant], each.trial)):
        tells = {("mutant", kill.trial.mutant), *(("rule", rule) for rule in kill.rules)}
        if kill.by_step:
            tells.add(("scenario", kill.trial.scenario))
        if not tells <= told:
            told |= tells
            kept.append(kill.trial)
    return sorted(kept)


def write_known(trials: Iterable[Trial], file: Path = KNOWN) -> None:
    """Make these the known trials."""
    rows = [("mutant", "mqtt", "scenario"), *((each.mutant, each.mqtt, each.scenario) for each in trials)]

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines, lineterminator="\n").writerows(rows)

    write_whole(file, write)
