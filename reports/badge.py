"""A badge of a run: what it came to in a few words, as SVG and as what shields.io draws badges from.

Belongs here: the words, the colour, both files. Does not belong here: counting (`summary`).
"""

from __future__ import annotations

import json
from pathlib import Path
from xml.sax.saxutils import escape

from reports.outcome import Outcome
from reports.summary import Summary
from reports.words import number

LABEL = "MQTT interop"
_COLOURS = {"brightgreen": "#4c1", "green": "#97ca00", "red": "#e05d44", "lightgrey": "#9f9f9f"}
_HEIGHT, _CHARACTER, _MARGIN = 20, 7, 10
"""Pixels; no font is at hand to measure a text with, so a character has its usual width."""


def message_of(summary: Summary) -> tuple[str, str]:
    """`412 of 427 pass` and its colour: red for a new failure, grey where there are cells without a verdict."""
    counts = summary.counts
    broken = counts[Outcome.HARNESS_ERROR] + counts[Outcome.SETUP_FAILED] + summary.not_run
    passed = f"{number(counts.passed)} of {number(counts.applying)} pass"
    if new := counts[Outcome.FAIL] + counts[Outcome.FLAKY]:
        return f"{passed}, {number(new)} new {'failure' if new == 1 else 'failures'}", "red"
    if broken or not counts.applying:
        return f"{passed}, {number(broken)} without a verdict" if counts.applying else "nothing ran", "lightgrey"
    return passed, "brightgreen" if counts.passed == counts.applying else "green"


def write_shields(summary: Summary, path: Path) -> None:
    """Write `badge.json`, an endpoint of shields.io; raises OSError."""
    message, colour = message_of(summary)
    badge = {"schemaVersion": 1, "label": LABEL, "message": message, "color": colour}
    path.write_text(json.dumps(badge) + "\n", encoding="utf-8")


def write_badge(summary: Summary, path: Path) -> None:
    """Write `badge.svg`; raises OSError."""
    message, colour = message_of(summary)
    left, right = (_MARGIN + _CHARACTER * len(text) for text in (LABEL, message))
    words = escape(f"{LABEL}: {message}")
    texts = "".join(
        f'<text x="{x}" y="14">{escape(text)}</text>' for x, text in ((left / 2, LABEL), (left + right / 2, message))
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_HEIGHT}" role="img" '
        f'aria-label="{words}"><title>{words}</title>'
        f'<rect width="{left}" height="{_HEIGHT}" fill="#555"/>'
        f'<rect x="{left}" width="{right}" height="{_HEIGHT}" fill="{_COLOURS[colour]}"/>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">{texts}</g>'
        "</svg>\n",
        encoding="utf-8",
    )
