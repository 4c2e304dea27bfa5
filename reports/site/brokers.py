"""The brokers in one table: how many cells each passes, from the runs that are kept.

Belongs here: which plays are shown, and their rows in Markdown.
Does not belong here: counting (`reports.summary`), releases and what they were played with (`plays`).
"""

from __future__ import annotations

from collections.abc import Iterator

from reports.outcome import Outcome
from reports.site.plays import Play, Plays
from reports.words import number

_COLUMNS = (
    ("pass", (Outcome.PASS, Outcome.UNEXPECTED_PASS)),
    ("fail, known", (Outcome.KNOWN_FAILURE, Outcome.AMBIGUOUS)),
    ("fail", (Outcome.FAIL, Outcome.FLAKY)),
    ("warn", (Outcome.WARN,)),
    ("observed", (Outcome.OBSERVED,)),
    ("unsupported", (Outcome.UNSUPPORTED,)),
    ("no verdict", (Outcome.SETUP_FAILED, Outcome.KNOWN_SETUP_FAILED, Outcome.HARNESS_ERROR)),
)


def brokers_in_markdown(plays: Plays, client: str) -> str:
    """One row for each release of a broker that was played with that client."""
    heads = ("broker", "MQTT", *(name for name, _ in _COLUMNS), "cells", "played")
    lines = [
        "# Brokers, and how many cells each passes",
        "",
        f"Made by `mqtt-interop published` from `runs/`, with the client `{client}`; "
        "what is known is decided in [defects.md](defects.md).",
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
    ]
    lines += [
        f"| {' | '.join(_row(play))} |"
        for broker in plays.implementations("broker")
        for release in plays.releases(broker)
        for play in plays.with_release(release)
        if play.client.implementation.name == client
    ]
    return "\n".join(lines) + "\n"


def _row(play: Play) -> Iterator[str]:
    yield play.broker.label
    yield ", ".join(sorted({record.mqtt for record in play.records if record.verdict != "unsupported"}))
    for _, outcomes in _COLUMNS:
        yield number(sum(play.counts[outcome] for outcome in outcomes))
    yield number(len(play.records))
    yield play.started_at[:10]
