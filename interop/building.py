"""What comes along as source and is built where it is wanted: clients behind adapters, brokers with a program of ours.

Belongs here: what a description says of a build, whether one is built or can be, building it.
Does not belong here: what is built with it (`drivers.catalog`, `brokers.catalog`), starting it.

A build fetches the pinned package; a run fetches nothing. The folders are part of a checkout and of no wheel.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field, ValidationError

from interop.scenario.values import MqttLabel, Strict
from interop.user_cache import user_cache

CHECKOUT = Path(__file__).resolve().parents[1]

SEPARATOR = "@"
"""Between a name and another release of it."""
RELEASE_NUMBER = re.compile(r"[0-9][0-9A-Za-z.+-]*")

_HEADERS = (Path("/usr/include"), Path("/usr/local/include"))
_LOG_LINES = 8

Words = Annotated[tuple[str, ...], Field(min_length=1)]


def releases_folder() -> Path:
    """Where other releases are built, each in a folder with its name."""
    return user_cache("releases")


class NotBuildable(ValueError):
    """A description cannot be read, or what it describes is not there or not built; the text says which."""


class Recipe(Strict):
    """What a description says; commands are words, carried out in its folder, `{python}` is ours."""

    name: str
    language: str
    package: str = Field(description="as its registry calls it")
    version: str = Field(description="exactly this one is built")
    upstream: str
    mqtt: Annotated[tuple[MqttLabel, ...], Field(min_length=1)]
    needs: Words = Field(description="programs, and C headers, without which it cannot be built")
    debian: str = Field(description="the packages that have them")
    build: Annotated[tuple[Words, ...], Field(min_length=1)]
    product: str = Field(description="a file that is there once it is built")
    run: Words
    known_failures: str = "known_failures.yaml"


R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True, slots=True)
class Buildable(Generic[R]):
    """One of a folder of them."""

    description: R
    folder: Path

    @property
    def name(self) -> str:
        """What it is called."""
        return self.description.name

    @property
    def is_built(self) -> bool:
        """Whether it can be started."""
        return (self.folder / self.description.product).exists()

    @property
    def known_failures(self) -> Path:
        """Its list of known failures."""
        return self.folder / self.description.known_failures

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        said = self.description
        return f"{said.package} {said.version}, {said.language} ({', '.join(said.mqtt)})"

    @property
    def absence(self) -> str:
        """Why it cannot be started, with what to do; empty once it is built."""
        if self.is_built:
            return ""
        lacking = self.lacking()
        why = f"and cannot be here: {lacking}" if lacking else f"yet: mqtt-interop adapter build {self.name}"
        return f"{self.name} is not built {why}"

    def lacking(self) -> str:
        """What a build needs and this machine does not have, with the packages that bring it; empty when nothing."""
        missing = [need for need in self.description.needs if not _is_here(need)]
        return f"no {' and no '.join(missing)} (Debian: apt install {self.description.debian})" if missing else ""


def _is_here(need: str) -> bool:
    if need.endswith(".h"):
        return any((folder / need).exists() for folder in _HEADERS)
    return shutil.which(need) is not None


def filled_in(words: Iterable[str], values: Mapping[str, str] | None = None) -> list[str]:
    """Words of a command with what stands for them: `{python}` is ours."""
    known = {"python": sys.executable, **(values or {})}
    made = []
    for word in words:
        for name, value in known.items():
            word = word.replace(f"{{{name}}}", value)  # noqa: PLW2901 - one after another
        made.append(word)
    return made


def read(path: Path, recipe: type[R]) -> R:
    """The description in a file; raises NotBuildable."""
    try:
        description = recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise NotBuildable(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise NotBuildable(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if description.name != path.parent.name:
        raise NotBuildable(f"{path}: name: {description.name!r} is in the folder {path.parent.name!r}")
    return description


@dataclass(frozen=True, slots=True)
class Built:
    """How a build went; `skipped` says what this machine lacks, `failure` what went wrong."""

    seconds: float = 0.0
    skipped: str = ""
    failure: str = ""


def build(program: Buildable[Any]) -> Built:
    """Build one in its folder, in the foreground."""
    if lacking := program.lacking():
        return Built(skipped=lacking)
    program.folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for words in program.description.build:
        done = subprocess.run(
            filled_in(words), cwd=program.folder, capture_output=True, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            log = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LOG_LINES:])
            return Built(time.monotonic() - began, failure=f"{' '.join(words)}: exit status {done.returncode}\n{log}")
    failure = "" if program.is_built else f"its build brought no {program.description.product}"
    return Built(time.monotonic() - began, failure=failure)


def files_of(folder: Path, product: Path, words: Iterable[str]) -> dict[str, Path]:
    """The files that it consists of, by name: the program that was built, or the library and what drives it."""
    if os.access(product, os.X_OK):
        return {product.name: product}
    driving = (folder / word for word in words)
    library = (path for path in sorted(product.parent.rglob("*")) if "__pycache__" not in path.parts)
    beside = sorted((product.parent.parent / "lib").glob("*.jar"))
    files = [path for path in (*driving, *library, *beside) if path.is_file()]
    return {os.path.relpath(path, folder): path for path in files}
