"""Where in a scenario file a cell went wrong, for whatever points at files and lines.

Belongs here: file and line of a record. Does not belong here: how they are shown (`ctrf`, `github`).
"""

from __future__ import annotations

from reports.defects import told
from reports.record import Record


def line_of(record: Record) -> int:
    """The 1-based line of the step that failed, else of the one under way when the packet came that broke a rule."""
    finding = told(record)
    if finding is None:
        return 1
    outline = record.outline
    lines = {step.number: step.line for step in outline.steps}
    if finding.step is not None and (line := lines.get(finding.step)):
        return line
    if finding.trace_index is None or not 0 <= finding.trace_index < len(outline.trace):
        return 1
    at = outline.trace[finding.trace_index].at
    begun = [step.line for step in outline.steps if step.line and step.at is not None and step.at <= at]
    return begun[-1] if begun else 1
