"""The kill table: which mutant was caught by what, and what no mutant breaks.

Belongs here: counting kills, the table as text and as JSON. Does not belong here: playing (`run`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interop.mutants.run import Kill

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class KillTable:
    """Who was caught by what; `scenarios` and `rules` are all there are."""

    mutants: tuple[str, ...]
    scenarios: tuple[str, ...]
    rules: tuple[str, ...]
    kills: tuple[Kill, ...]

    @property
    def survivors(self) -> tuple[str, ...]:
        """Mutants nobody caught."""
        caught = {kill.mutant for kill in self.kills}
        return tuple(mutant for mutant in self.mutants if mutant not in caught)

    @property
    def unbroken_scenarios(self) -> tuple[str, ...]:
        """Scenarios no mutant turned red."""
        broken = {kill.scenario for kill in self.kills}
        return tuple(scenario for scenario in self.scenarios if scenario not in broken)

    @property
    def unbroken_rules(self) -> tuple[str, ...]:
        """Rules of the judge no mutant broke."""
        broken = {rule for kill in self.kills for rule in kill.rules}
        return tuple(rule for rule in self.rules if rule not in broken)

    def rows(self) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        """Each mutant with the scenarios and the judge's rules that caught it."""
        for mutant in self.mutants:
            mine = [kill for kill in self.kills if kill.mutant == mutant]
            yield (
                mutant,
                tuple(dict.fromkeys(kill.scenario for kill in mine)),
                tuple(dict.fromkeys(rule for kill in mine for rule in kill.rules)),
            )

    def lines(self, *, missing_only: bool = False) -> Iterator[str]:
        """The table for a terminal, what is missing at its end."""
        if not missing_only:
            for mutant, scenarios, rules in self.rows():
                yield f"{'caught' if scenarios else 'MISSED'}  {mutant}: {_some(scenarios)}; judge: {_some(rules)}"
        for title, names in (
            ("mutants nobody caught", self.survivors),
            ("scenarios no mutant breaks", self.unbroken_scenarios),
            ("judge rules no mutant breaks", self.unbroken_rules),
        ):
            if names:
                yield f"{title} ({len(names)}):"
                yield from (f"  {name}" for name in names)
        yield (
            f"{len(self.mutants) - len(self.survivors)} of {len(self.mutants)} mutants caught; "
            f"{len(self.scenarios) - len(self.unbroken_scenarios)} of {len(self.scenarios)} scenarios and "
            f"{len(self.rules) - len(self.unbroken_rules)} of {len(self.rules)} judge rules broken"
        )

    def write(self, folder: Path) -> Path:
        """Write `kills.json`; gives its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "kills.json"
        data: dict[str, Any] = {
            "mutants": {mutant: {"scenarios": scenarios, "rules": rules} for mutant, scenarios, rules in self.rows()},
            "survivors": self.survivors,
            "unbroken_scenarios": self.unbroken_scenarios,
            "unbroken_rules": self.unbroken_rules,
        }
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        return path


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "-"
