"""What the scripts of the site load, each piece by itself: a page's own and no more.

Belongs here: the names and contents of those files. Does not belong here: what the scripts do with them (`static`).

A file is a script that hands a value over, since a page that was opened from a disk may load scripts and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from reports.defects import Sentences
from reports.diff import BADNESS, Change
from reports.packing import Packed, of_results, pack, what_scripts_know
from reports.site.plays import Play, Plays


def common(plays: Plays) -> Iterator[tuple[str, str]]:
    """What pages about more than one play load: a name, and the file."""
    known = what_scripts_know() | {
        "badness": dict(BADNESS),
        "changes": [{"id": change.name.lower(), "label": str(change)} for change in Change],
    }
    listed = [
        {
            "run": play.run,
            "label": play.label,
            "client": play.client.implementation.page,
            "broker": play.broker.implementation.page,
            "started_at": play.started_at,
            "cells": len(play.records),
        }
        for play in plays.all
    ]
    yield "plays", _handed_over("plays", {"common": known, "plays": listed})


def search(entries: Iterable[tuple[str, str, str, str]]) -> tuple[str, str]:
    """What can be searched for."""
    return "search", _handed_over("search", list(entries))


def of_play(play: Play, sentences: Sentences) -> Iterator[tuple[str, str]]:
    """The cells of one play: its index, and the chunks with everything else."""
    packed = Packed.of(play.records, play.defects)
    name = f"play-{play.number}"
    yield (
        name,
        _handed_over(
            name,
            {
                "metadata": pack([_json(of_results(play.records, play.defects, sentences)).encode()]),
                "index": packed.index,
            },
        ),
    )
    for number, chunk in enumerate(packed.chunks):
        yield f"{name}-{number}", _handed_over(f"{name}-{number}", chunk)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _handed_over(name: str, value: Any) -> str:
    return f"arrived({_json(name)}, {_json(value)});\n"
