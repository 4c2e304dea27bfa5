"""Another release of a broker of the folder `brokers` than the one it has, by `NAME@RELEASE`: `mochi@2.6.6`.

Belongs here: which brokers that is possible for, and how such a release is described.
Does not belong here: building and starting it: it is a broker like those of the folder (`catalog`), in a folder of a
cache, into which the program around it is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from interop.brokers.catalog import BROKERS_FOLDER, BuiltBroker, built_brokers
from interop.building import RELEASE_NUMBER, SEPARATOR, NotBuildable, releases_folder


def _go(package: str, release: str) -> tuple[tuple[str, ...], ...]:
    return ("go", "get", f"{package}@v{release}"), ("go", "build", "-mod=mod", "-o", "broker", ".")


def _maven(_package: str, release: str) -> tuple[tuple[str, ...], ...]:
    """Its pom.xml has the release in this property."""
    return (("mvn", "--quiet", "--batch-mode", f"-Drelease.of.broker={release}", "compile"),)


_BUILDS: Mapping[str, Callable[[str, str], tuple[tuple[str, ...], ...]]] = {"Go": _go, "Java": _maven}
"""By language: the words that build the program around a release of a package, in a folder with its sources."""


def broker_of(name: str) -> str:
    """The broker that a name is a release of, or the name: `mochi` of `mochi@2.6.6`."""
    broker, is_release, _ = name.partition(SEPARATOR)
    return broker if is_release and broker in built_brokers() else name


def release(name: str, folder: Path = BROKERS_FOLDER) -> BuiltBroker | None:
    """The release of that name; None where it names none of a broker of the folder. Raises NotBuildable."""
    broker, is_release, number = name.partition(SEPARATOR)
    there = built_brokers(folder).get(broker)
    if there is None or not is_release:
        return None
    said = there.description
    builds = _BUILDS.get(said.language)
    if builds is None or not RELEASE_NUMBER.fullmatch(number):
        choices = [each for each, found in built_brokers(folder).items() if found.description.language in _BUILDS]
        raise NotBuildable(f"there is no {name!r}; NAME{SEPARATOR}RELEASE is for {', '.join(choices)}, as mochi@2.6.6")
    sources = (str(path) for path in sorted(there.folder.iterdir()) if path.is_file() and path.name != said.product)
    changes = {
        "name": name,
        "known_as": said.known_as or broker,
        "version": number,
        "build": (("cp", *sources, "."), *builds(said.package, number)),
        "known_failures": str(there.known_failures),
    }
    return BuiltBroker(said.model_copy(update=changes), releases_folder() / name)
