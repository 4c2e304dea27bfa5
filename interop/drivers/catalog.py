"""The clients of the folder `adapters`, each with an `adapter.toml` that says what it is, how it is built and started.

Belongs here: reading those files, whether one is built or can be, building it.
Does not belong here: starting what was built (`registry`), the adapters themselves (`adapters/NAME/`).

A build fetches the pinned package; a run fetches nothing. The folder is part of a checkout and of no wheel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from interop.scenario.values import MqttLabel, Strict

ADAPTERS_FOLDER = Path(__file__).resolve().parents[2] / "adapters"

_HEADERS = (Path("/usr/include"), Path("/usr/local/include"))
_LOG_LINES = 8

Words = Annotated[tuple[str, ...], Field(min_length=1)]


class BadAdapter(ValueError):
    """An `adapter.toml` cannot be read, or an adapter is not there or not built; the text says which."""


class Description(Strict):
    """What `adapter.toml` says; commands are words, carried out in the adapter's folder, `{python}` is ours."""

    name: str
    language: str
    package: str = Field(description="as its registry calls it")
    version: str = Field(description="exactly this one is built")
    upstream: str
    mqtt: Annotated[tuple[MqttLabel, ...], Field(min_length=1)]
    independent: bool = Field(description="false where another engine of this list does the MQTT")
    needs: Words = Field(description="programs, and C headers, without which it cannot be built")
    debian: str = Field(description="the packages that have them")
    build: Annotated[tuple[Words, ...], Field(min_length=1)]
    product: str = Field(description="a file that is there once it is built")
    run: Words
    known_failures: str = "known_failures.yaml"


@dataclass(frozen=True, slots=True)
class AdapterProgram:
    """One client of the folder."""

    description: Description
    folder: Path

    @property
    def name(self) -> str:
        """What `--client` calls it."""
        return self.description.name

    @property
    def is_built(self) -> bool:
        """Whether it can be started."""
        return (self.folder / self.description.product).exists()

    @property
    def parts(self) -> dict[str, Path]:
        """The files it consists of, by name: the program that was built, or the library and what drives it."""
        product = self.folder / self.description.product
        if os.access(product, os.X_OK):
            return {product.name: product}
        driving = (self.folder / word for word in self.description.run)
        library = (path for path in sorted(product.parent.rglob("*")) if "__pycache__" not in path.parts)
        beside = sorted((product.parent.parent / "lib").glob("*.jar"))
        files = [path for path in (*driving, *library, *beside) if path.is_file()]
        return {os.path.relpath(path, self.folder): path for path in files}

    @property
    def known_failures(self) -> Path:
        """Its list of known failures."""
        return self.folder / self.description.known_failures

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        said = self.description
        wrapper = "" if said.independent else ", another engine's wrapper"
        return f"{said.package} {said.version}, {said.language} ({', '.join(said.mqtt)}{wrapper})"

    @property
    def command(self) -> list[str]:
        """What starts it, in its folder; raises BadAdapter, with what to do, when it is not built."""
        if not self.is_built:
            lacking = self.lacking()
            why = f"and cannot be here: {lacking}" if lacking else f"yet: mqtt-interop adapter build {self.name}"
            raise BadAdapter(f"the adapter of {self.name} is not built {why}")
        return _with_python(self.description.run)

    @property
    def installed(self) -> str:
        """Where a build in Python puts what has to come before what the harness has."""
        return str(self.folder / "build")

    def lacking(self) -> str:
        """What a build needs and this machine does not have, with the packages that bring it; empty when nothing."""
        missing = [need for need in self.description.needs if not _is_here(need)]
        return f"no {' and no '.join(missing)} (Debian: apt install {self.description.debian})" if missing else ""


def _is_here(need: str) -> bool:
    if need.endswith(".h"):
        return any((folder / need).exists() for folder in _HEADERS)
    return shutil.which(need) is not None


def _with_python(words: Iterable[str]) -> list[str]:
    return [sys.executable if word == "{python}" else word for word in words]


@cache
def adapter_programs(folder: Path = ADAPTERS_FOLDER) -> dict[str, AdapterProgram]:
    """All of the folder by name, in alphabetical order; raises BadAdapter."""
    return {path.parent.name: _read(path) for path in sorted(folder.glob("*/adapter.toml"))}


def _read(path: Path) -> AdapterProgram:
    try:
        description = Description.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise BadAdapter(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise BadAdapter(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if description.name != path.parent.name:
        raise BadAdapter(f"{path}: name: {description.name!r} is in the folder {path.parent.name!r}")
    return AdapterProgram(description, path.parent)


# --- building ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Built:
    """How a build went; `skipped` says what this machine lacks, `failure` what went wrong."""

    seconds: float = 0.0
    skipped: str = ""
    failure: str = ""


def build(program: AdapterProgram) -> Built:
    """Build one adapter in its folder, in the foreground."""
    if lacking := program.lacking():
        return Built(skipped=lacking)
    program.folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for words in program.description.build:
        done = subprocess.run(
            _with_python(words), cwd=program.folder, capture_output=True, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            log = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LOG_LINES:])
            return Built(time.monotonic() - began, failure=f"{' '.join(words)}: exit status {done.returncode}\n{log}")
    failure = "" if program.is_built else f"its build brought no {program.description.product}"
    return Built(time.monotonic() - began, failure=failure)
