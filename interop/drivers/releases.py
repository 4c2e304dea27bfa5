"""Another release of a client than the one this harness has, by `NAME@RELEASE`: `paho@2.1.0`, `mqttjs@5.0.0`.

Belongs here: which clients that is possible for, and how such a release is described.
Does not belong here: building and starting it: it is an adapter like those of the folder (`catalog`), in a folder of a
cache, and whoever can build and start those can build and start it.

The adapter is the one that ships. Where a release is too old for it, each of its cells is a harness error, and nothing
is said about the release.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from interop.building import RELEASE_NUMBER, SEPARATOR, releases_folder
from interop.drivers.catalog import ADAPTERS_FOLDER, AdapterProgram, BadAdapter, Description, adapter_programs

_ALL_VERSIONS = ("3.1", "3.1.1", "5.0")


def _ours(name: str, package: str, upstream: str) -> Description:
    """A client of ours that is a package of Python: its driver is a module, and its library beside it."""
    module = package.removesuffix("-mqtt")
    return Description(
        name=name, language="Python", package=package, version="", upstream=upstream, mqtt=_ALL_VERSIONS,
        independent=True, needs=("python3",), debian="python3", build=(("unused",),),
        product=f"build/{module}/__init__.py", run=("{python}", "-m", f"interop.drivers.{name}"),
    )  # fmt: skip


_OURS = {
    each.name: each
    for each in (
        _ours("paho", "paho-mqtt", "https://github.com/eclipse-paho/paho.mqtt.python"),
        _ours("gmqtt", "gmqtt", "https://github.com/wialon/gmqtt"),
    )
}


def _pip(package: str, release: str) -> tuple[str, ...]:
    quiet = ("--quiet", "--disable-pip-version-check")
    return ("{python}", "-m", "pip", "install", *quiet, "--upgrade", "--target", "build", f"{package}=={release}")


def _npm(package: str, release: str) -> tuple[str, ...]:
    quiet = ("--no-audit", "--no-fund", "--loglevel=error")
    return ("npm", "install", "--prefix", ".", "--no-save", "--ignore-scripts", *quiet, f"{package}@{release}")


_INSTALLS: Mapping[str, Callable[[str, str], tuple[str, ...]]] = {"Python": _pip, "JavaScript": _npm}
"""By language: the words that install a release of a package into the folder they are carried out in."""


def client_of(name: str) -> str:
    """The client that a name is a release of, or the name: `paho` of `paho@2.1.0`."""
    return name.partition(SEPARATOR)[0]


def program(name: str, folder: Path = ADAPTERS_FOLDER) -> AdapterProgram | None:
    """The adapter of that name, one of the folder or a release; None where there is none. Raises BadAdapter."""
    client, is_release, release = name.partition(SEPARATOR)
    if not is_release:
        return adapter_programs(folder).get(name)
    there = adapter_programs(folder).get(client)
    description = there.description if there else _OURS.get(client)
    install = _INSTALLS.get(description.language) if description else None
    if description is None or install is None or not RELEASE_NUMBER.fullmatch(release):
        choices = [*_OURS, *(each for each, found in adapter_programs(folder).items() if _can(found))]
        raise BadAdapter(f"there is no {name!r}; NAME{SEPARATOR}RELEASE is for {', '.join(choices)}, as paho@2.1.0")
    return AdapterProgram(
        description.model_copy(
            update={
                "name": name,
                "version": release,
                "build": (install(description.package, release),),
                "run": tuple(_from(there.folder, word) for word in description.run) if there else description.run,
                "known_failures": _from(there.folder, description.known_failures) if there else "",
            }
        ),
        releases_folder() / name,
    )


def wanted(names: list[str], folder: Path = ADAPTERS_FOLDER) -> list[AdapterProgram]:
    """Those named, or all of the folder; raises BadAdapter, with the choices, for a name there is none of."""
    programs = {name: program(name, folder) for name in names or adapter_programs(folder)}
    for name, found in programs.items():
        if found is None:
            raise BadAdapter(
                f"there is no adapter {name!r}; expected one of {', '.join(adapter_programs(folder))}, or NAME@RELEASE"
            )
    return [found for found in programs.values() if found is not None]


def _can(found: AdapterProgram) -> bool:
    return found.description.language in _INSTALLS


def _from(folder: Path, word: str) -> str:
    """A word of a command that is carried out elsewhere: a file of the adapter's folder by its whole path."""
    return os.path.normpath(folder / word) if (folder / word).is_file() else word
