"""How templates become pages: where they are, and the words and numbers that all of them share.

Belongs here: the environment, its filters, the package's files. Does not belong here: what a page shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from typing import Generic, TypeVar

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from reports.defects import Defect
from reports.matrix import filter_link
from reports.outcome import Outcome, outcome_of, why
from reports.record import Record
from reports.words import cell_link, cells, duration, milliseconds, number

Member = TypeVar("Member", Record, Defect)


def environment(package: str = "reports") -> Environment:
    """Templates of `reports`, and before them those of a package below it, with the filters they share."""
    environment = Environment(
        loader=FunctionLoader(lambda name: _template(package, name)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "cells": cells,
        "duration": duration,
        "milliseconds": milliseconds,
        "outcome": outcome_of,
        "why": why,
        "cell_link": cell_link,
        "groupby_outcome": _by_outcome,
    }
    environment.globals["filter_link"] = filter_link
    return environment


def _template(package: str, name: str) -> str:
    own = resources.files(package).joinpath("templates", name)
    return own.read_text(encoding="utf-8") if own.is_file() else asset(f"templates/{name}")


def asset(name: str, package: str = "reports") -> str:
    """A file of the package: a style, a script, a template."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Group(Generic[Member]):
    outcome: Outcome
    members: list[Member]


def _by_outcome(ordered: Iterable[Member]) -> list[_Group[Member]]:
    groups = groupby(ordered, key=lambda each: each.outcome if isinstance(each, Defect) else outcome_of(each))
    return [_Group(outcome, list(group)) for outcome, group in groups]


def json_in_html(value: object) -> Markup:
    """A value as JSON that can end no element."""
    return Markup(json.dumps(value, ensure_ascii=False).replace("<", "\\u003c"))
