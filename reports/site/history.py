"""Releases of one implementation in their order, and what each comes to with the same other side.

Belongs here: the series and the figures of its drawing. Does not belong here: markup (`templates/history.html.j2`).

What passes would hide what does not: the bars are of what needs a look, the table beside them has all counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.outcome import Outcome
from reports.site.plays import Implementation, Play, Plays, other

_BAR_WIDTH, _GAP, _HEIGHT, _FOOT, _LEFT, _HEAD = 44, 26, 150, 22, 44, 18


@dataclass(frozen=True, slots=True)
class Block:
    """Cells of one outcome in the bar of a release; pixels, from the top left."""

    outcome: Outcome
    count: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Point:
    """One release: its play, what changed since the release before (none for the first), and its bar."""

    play: Play
    before: Play | None
    blocks: tuple[Block, ...]
    middle: float
    total: int
    """cells that need a look"""
    top: float


@dataclass(frozen=True, slots=True)
class History:
    """All releases of an implementation with one other implementation, the oldest first."""

    implementation: Implementation
    opposite: Implementation
    points: tuple[Point, ...]
    width: float
    height: float = _HEIGHT + _FOOT + _HEAD
    ground: float = _HEIGHT + _HEAD

    @classmethod
    def of(cls, implementation: Implementation, opposite: Implementation, plays: Sequence[Play]) -> History:
        """`plays` are in the order of the releases."""
        loud = [
            [(outcome, count) for outcome, count in play.counts.present() if not outcome.is_quiet] for play in plays
        ]
        highest = max((sum(count for _, count in each) for each in loud), default=0) or 1
        points = []
        for place, (play, present) in enumerate(zip(plays, loud, strict=True)):
            x, y = _LEFT + place * (_BAR_WIDTH + _GAP), float(_HEIGHT + _HEAD)
            blocks = []
            for outcome, count in reversed(present):
                height = round(_HEIGHT * count / highest, 1)
                y -= height
                blocks.append(Block(outcome, count, x, round(y, 1), _BAR_WIDTH, height))
            before = plays[place - 1] if place else None
            total = sum(count for _, count in present)
            points.append(Point(play, before, tuple(blocks), x + _BAR_WIDTH / 2, total, round(y, 1)))
        return cls(implementation, opposite, tuple(points), _LEFT + len(points) * (_BAR_WIDTH + _GAP))


def histories(plays: Plays, implementation: Implementation) -> list[History]:
    """With each other side it was played with, those with more releases first."""
    by_opposite: dict[Implementation, list[Play]] = {}
    for release in plays.releases(implementation):
        for play in plays.with_release(release):
            by_opposite.setdefault(play.release(other(implementation.role)).implementation, []).append(play)
    found = [History.of(implementation, opposite, each) for opposite, each in by_opposite.items()]
    return sorted(found, key=lambda each: (-len(each.points), each.opposite))
