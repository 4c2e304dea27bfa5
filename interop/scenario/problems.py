"""What can be wrong with scenario files, and how it is said to the person who wrote them.

Belongs here: one problem with its place, the exception that carries all of them, the "did you mean".
Does not belong here: finding problems (`load`, `lint`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong: file, 1-based line, the place inside it (`steps[3].topic`), what was expected."""

    path: Path
    line: int
    where: str
    message: str

    def __str__(self) -> str:
        place = f"{shown(self.path)}:{self.line}"
        return f"{place}: {self.where}: {self.message}" if self.where else f"{place}: {self.message}"


class ScenarioError(Exception):
    """Scenario files that cannot be used; `problems` has all of them, and so has the message, one per line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def shown(path: Path) -> Path:
    """The path as a person in the current directory would type it."""
    absolute = path.absolute()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else path


def unknown(what: str, found: object, known: Sequence[str], plural: str | None = None) -> str:
    """`unknown verb 'publsh'; did you mean 'publish'? (verbs: ack, auth, ...)`."""
    close = closest(str(found), known)
    guess = f"; did you mean {close!r}?" if close else ""
    return f"unknown {what} {found!r}{guess} ({plural or what + 's'}: {', '.join(known)})"


def closest(found: str, known: Iterable[str]) -> str | None:
    """The known word most like what was found, whatever its case; None when nothing is like it."""
    by_folded = {word.casefold(): word for word in known}
    close = get_close_matches(found.casefold(), by_folded, n=1)
    return by_folded[close[0]] if close else None


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """Where a file of that model is wrong, and what is: a key there is none of rather than the one it was meant to be.

    No value of the file is shown.
    """
    found = error.errors(include_input=False, include_url=False)
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    *within, last = first["loc"] or ("",)
    keys = _keys_of(model, within) if first["type"] == "extra_forbidden" else []
    where = ".".join(map(str, within if keys else first["loc"]))
    said = unknown("key", last, keys) if keys else first["msg"].removeprefix("Value error, ")
    return f"{where}: {said}" if where else said


def _keys_of(model: type[BaseModel], within: Sequence[object]) -> list[str]:
    for part in within:
        field = model.model_fields.get(str(part))
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)
