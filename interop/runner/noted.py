"""The list of known failures that a run would need to be green, written down to be gone through.

Belongs here: entries for what is new, and the file. Does not belong here: what an entry may say (`known_failures`).

Entries name exactly the cells that failed: what passes beside them is not listed. A list is never made poorer: what was
in use stays in it, word for word where it is the same file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from interop.runner.known_failures import Entry, load_known_failures
from reports.defects import Defect, find_defects
from reports.outcome import Outcome, is_known, outcome_of
from reports.record import Record
from reports.write import write_whole

_HEADER = "# Failures that are expected. Say why, and link the report; fields: interop/runner/known_failures.py.\n"
_WIDTH_CHARACTERS = 120

Names = tuple[str, ...]


def entries_for(records: Sequence[Record]) -> list[Entry]:
    """Entries that explain every failure which is not listed yet, and speak of no other cell."""
    return [entry for defect in find_defects(records) for entry in _entries_of(defect)]


def _entries_of(defect: Defect) -> Iterator[Entry]:
    new = [record for record in defect.records if outcome_of(record) is Outcome.FAIL and not is_known(record)]
    cited = f" [{' '.join(defect.statements[0])}]" if defect.statements else ""
    for (client, broker, mqtt, transports, rules), scenarios in _boxes(new).items():
        yield Entry.model_validate(
            {
                "client": client, "broker": broker, "scenarios": scenarios, "mqtt": mqtt, "transports": transports,
                "rules": rules, "reason": f"{defect.headline}{cited}",
            }
        )  # fmt: skip


def _boxes(records: Iterable[Record]) -> Mapping[tuple[str, str, Names, Names, Names], Names]:
    """The cells as few products of names that have no other cell: transports first, then versions, then scenarios."""
    transports: defaultdict[tuple[str, str, str, str, Names], list[str]] = defaultdict(list)
    for r in sorted(records, key=lambda record: record.cell_id):
        rules = tuple(sorted({finding.rule for finding in r.findings}))
        transports[r.client, r.broker, r.scenario, r.mqtt, rules].append(r.transport)
    versions: defaultdict[tuple[str, str, str, Names, Names], list[str]] = defaultdict(list)
    for (client, broker, scenario, mqtt, rules), some in transports.items():
        versions[client, broker, scenario, tuple(some), rules].append(mqtt)
    scenarios: defaultdict[tuple[str, str, Names, Names, Names], list[str]] = defaultdict(list)
    for (client, broker, scenario, over, rules), some in versions.items():
        scenarios[client, broker, tuple(some), over, rules].append(scenario)
    return {key: tuple(some) for key, some in scenarios.items()}


def write_known_failures(path: Path, records: Sequence[Record], used: Path | None) -> int:
    """Write a list by which these results are as expected; gives how many entries are new.

    `used` is the list of the run, none for the one that ships. Raises OSError and BadKnownFailures.
    """
    new = entries_for(records)
    entries = load_known_failures(used).entries
    if used is not None and path.exists() and path.samefile(used):
        text = f"{path.read_text(encoding='utf-8').rstrip()}\n{_yaml(new)}" if new else path.read_text(encoding="utf-8")
        if not _has(text, len(entries) + len(new)):  # a list in brackets cannot be gone on with
            text = _HEADER + _yaml([*entries, *new])
    else:
        spoken = [
            entry for entry in entries if any(entry.speaks_of(record, record.implementations) for record in records)
        ]
        text = _HEADER + _yaml([*spoken, *new])
    write_whole(path, lambda beside: beside.write_text(text, encoding="utf-8"))
    return len(new)


def _has(text: str, count: int) -> bool:
    try:
        written = yaml.load(text, yaml.CSafeLoader)
    except yaml.YAMLError:
        return False
    return (isinstance(written, list) and len(written) == count) or (not written and not count)


def _yaml(entries: Iterable[Entry]) -> str:
    values: list[dict[str, Any]] = [
        each.model_dump(mode="json", by_alias=True, exclude_defaults=True) for each in entries
    ]
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=_WIDTH_CHARACTERS)


def noted(path: Path, count: int) -> str:
    """What is said of it: `known.yaml: 2 new entries; say of each why, and link its report`."""
    entries = "no new entry" if not count else f"{count} new {'entry' if count == 1 else 'entries'}"
    return f"{path}: {entries}{'; say of each why, and link its report' * bool(count)}"
