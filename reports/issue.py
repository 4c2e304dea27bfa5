"""What a maintainer asks for: one defect as the text of a report to whoever wrote the implementation.

Belongs here: that text, from a defect. Does not belong here: which cells are one defect (`defects`), the script that
shows it again without us (`replay`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from reports.defects import NO_SENTENCES, Defect, Sentences
from reports.record import Record, TraceEntry
from reports.replay import replay

_FLIGHT = frozenset({"packet", "malformed", "open", "close", "fault", "gap"})
_LOG_LINES = 40


def issue(defect: Defect, sentences: Sentences = NO_SENTENCES) -> str:
    """The report in Markdown: what was broken, the packets with bytes and decoded, versions, log, a replay."""
    return "\n\n".join(part for part in _parts(defect, defect.smallest, sentences) if part) + "\n"


def _parts(defect: Defect, smallest: Record, sentences: Sentences) -> Iterator[str]:
    yield f"# {defect.headline}"
    yield _statements(defect, sentences)
    found_by = "the rule" if defect.source == "judge" else "the step"
    yield f"Seen in {defect.extent}, {defect.where}, by {found_by} `{defect.rule}`. The shortest: {smallest.title}."
    yield "## Versions"
    yield _listed(f"{part}: {version}" for part, version in smallest.implementations.items() if version)
    yield "## Packets"
    yield _fenced("text", _packets(smallest))
    if script := replay(defect):
        yield "## Replay"
        yield f"Python and sockets, nothing else: {script.usage}."
        yield _fenced("python", script.text.splitlines())
    yield "With the harness that found it:"
    yield _fenced("sh", [smallest.rerun])
    if smallest.log:
        yield "## Log"
        yield _fenced("text", smallest.log.splitlines()[-_LOG_LINES:])


def _statements(defect: Defect, sentences: Sentences) -> str:
    return _listed(
        f"MQTT {cited.mqtt} [{cited.id}]: {sentences.get(cited, 'see the specification')}"
        for cited in defect.statements
    )


def _packets(record: Record) -> Iterator[str]:
    """Each packet in three lines: when and whose, its bytes, what it says."""
    for entry in record.trace:
        if entry.kind in _FLIGHT:
            yield f"{entry.at:8.3f}  {_way(entry):18}  {entry.link} {entry.connection}  {entry.summary}{_fate(entry)}"
            if entry.hex:
                rest = entry.size_bytes - len(entry.hex) // 2
                yield f"          {entry.hex}{f'... and {rest} bytes' if rest > 0 else ''}"
            if entry.fields:
                yield f"          {json.dumps(entry.fields, ensure_ascii=False)}"


def _way(entry: TraceEntry) -> str:
    if entry.kind not in ("packet", "malformed"):
        return entry.sender
    receiver = entry.receiver or {"client": "broker", "broker": "client"}.get(entry.sender, "")
    return f"{entry.sender} -> {receiver}"


def _fate(entry: TraceEntry) -> str:
    return "" if entry.fate == "forwarded" else f" ({entry.fate})"


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _fenced(language: str, lines: Iterable[str]) -> str:
    return "\n".join([f"```{language}", *lines, "```"])
