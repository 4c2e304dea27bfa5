"""The clients of the folder `adapters`, each with an `adapter.toml` that says what it is, how it is built and started.

Belongs here: which there are, what an adapter's description says beyond that of everything built.
Does not belong here: building one (`interop.building`), starting what was built (`registry`), the adapters themselves
(`adapters/NAME/`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field

from interop.building import CHECKOUT, Buildable, NotBuildable, Recipe, files_of, filled_in, read

ADAPTERS_FOLDER = CHECKOUT / "adapters"

BadAdapter = NotBuildable
"""An `adapter.toml` cannot be read, or an adapter is not there or not built; the text says which."""


class Description(Recipe):
    """What `adapter.toml` says."""

    independent: bool = Field(description="false where another engine of this list does the MQTT")


class AdapterProgram(Buildable[Description]):
    """One client of the folder; its name is what `--client` calls it."""

    @property
    def parts(self) -> dict[str, Path]:
        """The files it consists of, by name."""
        return files_of(self.folder, self.folder / self.description.product, self.description.run)

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        said = self.description
        wrapper = "" if said.independent else ", another engine's wrapper"
        return f"{said.package} {said.version}, {said.language} ({', '.join(said.mqtt)}{wrapper})"

    @property
    def command(self) -> list[str]:
        """What starts it, in its folder; raises BadAdapter, with what to do, when it is not built."""
        if self.absence:
            raise BadAdapter(f"the adapter of {self.absence}")
        return filled_in(self.description.run)

    @property
    def installed(self) -> str:
        """Where a build in Python puts what has to come before what the harness has."""
        return str(self.folder / "build")


@cache
def adapter_programs(folder: Path = ADAPTERS_FOLDER) -> dict[str, AdapterProgram]:
    """All of the folder by name, in alphabetical order; raises BadAdapter."""
    files = sorted(folder.glob("*/adapter.toml"))
    return {path.parent.name: AdapterProgram(read(path, Description), path.parent) for path in files}
