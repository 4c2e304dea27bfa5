"""The brokers of the folder `brokers`, each with a `broker.toml` that says what it is, how it is built and started.

Belongs here: which there are, what a broker's description says beyond that of everything built, the program it becomes.
Does not belong here: building one (`interop.building`), starting it (`process`), the programs (`brokers/NAME/`).

Each is a program of ours around the broker, which reads in a file what it is to be: where to listen, which settings.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from interop.brokers.process import HOST, Program, Wish
from interop.building import CHECKOUT, Buildable, Recipe, files_of, filled_in, read
from interop.scenario.features import unknown_features
from interop.scenario.values import TransportName

BROKERS_FOLDER = CHECKOUT / "brokers"

_WISH = "wish.json"


def _features(names: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := unknown_features(names):
        raise ValueError(unknown[0])
    return names


class Description(Recipe):
    """What `broker.toml` says; in `run`, `{here}` is its folder and `{folder}` that of a broker that is started."""

    known_as: str = Field("", description="what its releases are called together, where that is not its name")
    settings: tuple[str, ...] = Field((), description="settings of BrokerConfig that the program understands")
    transports: tuple[TransportName, ...] = ("tcp",)
    unsupported: Annotated[tuple[str, ...], AfterValidator(_features)] = Field((), description="features it lacks")
    cells_each: int | None = Field(None, ge=1, description="so many cells share one that runs, then comes a fresh one")


class BuiltBroker(Buildable[Description]):
    """One broker of the folder; its name is what `--broker` calls it."""

    @property
    def program(self) -> Program:
        """What starts it."""
        said = self.description
        executable, *arguments = filled_in(said.run, {"here": str(self.folder)})
        return Program(
            name=self.name,
            known_as=said.known_as,
            executable=executable,
            arguments=tuple(arguments),
            configure=_write_wish,
            version=said.version,
            settings=frozenset(said.settings),
            versions=said.mqtt,
            transports=said.transports,
            unsupported=said.unsupported,
            why_not=lambda: self.absence,
            files=self.files,
            cells_each=said.cells_each,
        )

    def files(self) -> dict[str, Path]:
        """The files it consists of, by name."""
        words = [word.removeprefix("{here}/") for word in self.description.run if word.startswith("{here}/")]
        return files_of(self.folder, self.folder / self.description.product, words)


def _write_wish(wish: Wish) -> None:
    asked = {
        "host": HOST,
        "port": wish.port,
        "transport": str(wish.transport),
        "settings": dict(wish.settings),
        "folder": str(wish.folder),
        "persistent": wish.persistent,
    }
    (wish.folder / _WISH).write_text(json.dumps(asked), encoding="utf-8")


@cache
def built_brokers(folder: Path = BROKERS_FOLDER) -> dict[str, BuiltBroker]:
    """All of the folder by name, in alphabetical order; raises NotBuildable."""
    files = sorted(folder.glob("*/broker.toml"))
    return {path.parent.name: BuiltBroker(read(path, Description), path.parent) for path in files}
