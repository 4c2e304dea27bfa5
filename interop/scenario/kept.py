"""What reading a scenario file gave, kept for the next process: YAML, tables and variants take longest of all.

Belongs here: the file of one such outcome, its key, and whether it can be relied on.
Does not belong here: reading (`load`), which validates what it gets from here as it validates what it read.

An outcome is named by the SHA-256 of the scenario file's text, in a folder named by that of all code it depends on:
what was kept by other code, or of another text, is never found. It is JSON, put in its place when it is whole; one that
is not whole, or that was changed, is as good as none, and so is a folder that cannot be read or written. Beside them
are the names of those in which `lint` found nothing wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from interop.user_cache import user_cache

_HERE = Path(__file__).parent
_BROKER = _HERE.parents[1] / "reference_broker"
CODE = (_HERE, _HERE.parent / "requirements", _BROKER / "wire", _BROKER / "broker" / "values")
"""The folders of all modules, and tables, that reading a scenario and checking it takes."""
_FILES = (".py", ".csv")
_CLEAN = "clean"

_PACKAGES = ("pydantic", "pydantic_core", "PyYAML")
_OUTDATED_SECONDS = 30 * 24 * 3600.0


def name_of(text: str) -> str:
    """What is kept of a scenario file with this text is called so."""
    return _digest(text)


def find(name: str) -> list[Any] | None:
    """What was kept of a scenario file; None where there is nothing to rely on."""
    try:
        checksum, _, body = (folder() / name).read_text(encoding="utf-8").partition("\n")
    except (OSError, RuntimeError, UnicodeDecodeError):  # RuntimeError: there is no home
        return None
    if checksum != _digest(body):
        return None
    kept: list[Any] = json.loads(body)
    return kept


def keep(name: str, outcome: Sequence[Any]) -> None:
    """Keep what a scenario file gave, if that can be done."""
    body = json.dumps(outcome)
    _write(name, f"{_digest(body)}\n{body}")


def clean() -> set[str]:
    """The names of files in which nothing was found wrong."""
    try:
        return set((folder() / _CLEAN).read_text(encoding="ascii").split())
    except (OSError, RuntimeError, UnicodeDecodeError):
        return set()


def keep_clean(names: Iterable[str]) -> None:
    """Keep that nothing was found wrong in these either; where two do so at once, one's may be found out again."""
    if more := set(names) - (known := clean()):
        _write(_CLEAN, "\n".join(sorted(known | more)))


def _write(name: str, content: str) -> None:
    with contextlib.suppress(OSError, RuntimeError):
        if not folder().exists():
            _remove_outdated(folder().parent)
            folder().mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=folder())
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
            Path(beside).replace(folder() / name)
        except OSError:
            Path(beside).unlink()


def folder() -> Path:
    """Where the outcomes of this code are kept; raises RuntimeError where the user has no home."""
    return user_cache("scenarios") / _code()


@cache
def _code() -> str:
    """What decides about an outcome besides the file's text."""
    digest = hashlib.sha256(repr([sys.version, *map(version, _PACKAGES)]).encode())
    for file in (file for place in CODE for file in sorted(place.iterdir()) if file.suffix in _FILES):
        digest.update(b"%s %d\n" % (os.fsencode(file.name), file.stat().st_size))
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _remove_outdated(of_all_code: Path) -> None:
    for each in of_all_code.glob("*"):
        if each.stat().st_mtime < time.time() - _OUTDATED_SECONDS:
            shutil.rmtree(each, ignore_errors=True)
