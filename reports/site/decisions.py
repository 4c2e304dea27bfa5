"""Each red defect of the newest plays with what was decided of it, as Markdown: whose it is, by which statement.

Belongs here: the table. Does not belong here: deciding (the lists of known failures).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reports.defects import Defect, Sentences
from reports.outcome import Outcome
from reports.site.plays import Play, Plays
from reports.words import cells

_RED = (Outcome.FAIL, Outcome.KNOWN_FAILURE, Outcome.AMBIGUOUS)


class Decision(NamedTuple):
    """A defect in one play, and what was decided; `words` is empty where nothing was."""

    play: Play
    defect: Defect
    words: str


def decisions(plays: Plays) -> Iterator[Decision]:
    """By play, the worst first."""
    for play in plays.all:
        for defect in play.defects:
            if defect.outcome in _RED:
                yield Decision(play, defect, _words(defect))


def _words(defect: Defect) -> str:
    if defect.outcome is Outcome.FAIL or not defect.listed_as:
        return ""
    listed = defect.listed_as[0]
    if listed.is_ambiguous:
        return f"ambiguous: {'; or '.join(listed.readings)}"
    return f"theirs: {listed.reason}{f' ({listed.link})' if listed.link else ''}"


def in_markdown(plays: Plays, sentences: Sentences) -> str:
    """One section for each play that has a red defect."""
    lines = ["# Red defects, and what was decided of each", ""]
    lines += ["Made by `mqtt-interop published`; what is decided stands in the lists of known failures.", ""]
    shown: Play | None = None
    for play, defect, words in decisions(plays):
        if play is not shown:
            shown = play
            lines += [
                f"## {play.label}",
                "",
                "| blamed | what | statement | cells | decided |",
                "|---|---|---|---|---|",
            ]
        cited = defect.statements[0] if defect.statements else None
        says = f"{cited.mqtt} {cited.id}: {defect.sentence(sentences)}" if cited else ""
        fields = (defect.blamed, defect.headline, says, cells(len(defect.records)), words or "**not yet**")
        lines.append(f"| {' | '.join(map(_cell, fields))} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
