"""The kill table: which mutant was caught by what, and what no mutant breaks.

Belongs here: counting kills, the table as text and as JSON. Does not belong here: playing (`run`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from interop.mutants.trial import Kill
from reports.write import write_whole

_REASON_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class KillTable:
    """Who was caught by what; `mutants`, `scenarios` and `rules` are those there should be a kill for."""

    mutants: tuple[str, ...]
    scenarios: tuple[str, ...]
    rules: tuple[str, ...]
    kills: tuple[Kill, ...]

    @property
    def survivors(self) -> tuple[str, ...]:
        """Mutants nobody caught."""
        caught = {kill.trial.mutant for kill in self.kills}
        return tuple(mutant for mutant in self.mutants if mutant not in caught)

    @property
    def unbroken_scenarios(self) -> tuple[str, ...]:
        """Scenarios of which no mutant failed a step."""
        broken = {kill.trial.scenario for kill in self.kills if kill.by_step}
        return tuple(scenario for scenario in self.scenarios if scenario not in broken)

    @property
    def unbroken_rules(self) -> tuple[str, ...]:
        """Rules of the judge no mutant broke."""
        broken = {rule for kill in self.kills for rule in kill.rules}
        return tuple(rule for rule in self.rules if rule not in broken)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not (self.survivors or self.unbroken_scenarios or self.unbroken_rules)

    def lines(self) -> Iterator[str]:
        """Every kill, by mutant: what was played, why it is red, which of the judge's rules were broken."""
        mutant = None
        for kill in sorted(self.kills, key=lambda each: each.trial):
            if kill.trial.mutant != mutant:
                mutant = kill.trial.mutant
                yield mutant
            rules = f" [{', '.join(kill.rules)}]" if kill.rules else ""
            yield f"    {kill.trial.scenario} {kill.trial.mqtt}: {_short(kill.reason)}{rules}"

    def missing(self) -> Iterator[str]:
        """What is not caught or not broken, by name."""
        for title, names in (
            ("mutants nobody caught", self.survivors),
            ("scenarios no mutant breaks", self.unbroken_scenarios),
            ("judge rules no mutant breaks", self.unbroken_rules),
        ):
            if names:
                yield f"{title} ({len(names)}):"
                yield from (f"    {name}" for name in names)

    def summary(self) -> str:
        """The three counts in a line."""
        counts = (
            (self.mutants, self.survivors, "mutants caught"),
            (self.scenarios, self.unbroken_scenarios, "scenarios broken"),
            (self.rules, self.unbroken_rules, "judge rules broken"),
        )
        return ", ".join(
            f"{len(names) - len(missing)} of {len(names)} {what}" for names, missing, what in counts if names
        )

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write `kills.txt`, to be read, and `kills.json`; gives their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        text, data = folder / "kills.txt", folder / "kills.json"
        lines = "".join(f"{line}\n" for line in (*self.lines(), *self.missing(), self.summary()))
        write_whole(text, lambda path: path.write_text(lines, "utf-8"))
        kills = [
            kill.trial._asdict() | {"reason": kill.reason, "by_step": kill.by_step, "rules": kill.rules}
            for kill in self.kills
        ]
        missing = {
            "survivors": self.survivors,
            "unbroken_scenarios": self.unbroken_scenarios,
            "unbroken_rules": self.unbroken_rules,
        }
        document = json.dumps({"kills": kills} | missing, indent=2) + "\n"
        write_whole(data, lambda path: path.write_text(document, "utf-8"))
        return text, data


def _short(reason: str) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= _REASON_CHARACTERS else f"{line[:_REASON_CHARACTERS]}..."
