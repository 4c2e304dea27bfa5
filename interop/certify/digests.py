"""SHA-256 of what a certificate is about: files, the kit, the scenarios.

Belongs here: digests, and lists of them as `sha256sum` writes and checks them.
Does not belong here: which implementation consists of which files (`subject`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import interop
import reference_broker
import reports
from interop.scenario.load import DEFAULT_FOLDER

_NO_PART = frozenset({"__pycache__", "picture.png"})
"""What is compiled, and the one file that is in a checkout and in no wheel: both have the same digest."""


def of_bytes(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """In hexadecimal; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listing(files: Mapping[str, Path]) -> str:
    """A line for each file by the name it goes by, sorted: `sha256sum -c` takes it."""
    return "".join(f"{of_file(path)}  {name}\n" for name, path in sorted(files.items()))


def kit_listing() -> str:
    """Everything the verdicts depend on that is ours: the code of harness, reference broker and reports."""
    return listing(
        {
            f"{folder.name}/{path.relative_to(folder).as_posix()}": path
            for folder in (Path(module.__path__[0]) for module in (interop, reference_broker, reports))
            for path in folder.rglob("*")
            if path.is_file() and not _NO_PART & set(path.parts)
        }
    )


def scenario_listing(paths: Iterable[Path]) -> str:
    """The scenario files that were played, as `area/name.yaml`."""
    return listing({path.relative_to(DEFAULT_FOLDER).as_posix(): path for path in paths})
