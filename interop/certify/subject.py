"""Whom a certificate is about: what it says of itself, and the SHA-256 of what it consists of.

Belongs here: asking a client or a broker before the run, by the same words that `run` takes.
Does not belong here: what follows from it (`weighing`).
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from interop.brokers.broker import BrokerFault
from interop.brokers.claims import check_claims
from interop.brokers.profiled import ProfiledSpec
from interop.brokers.registry import broker_spec, shown_name
from interop.certify import digests
from interop.containers import CONTAINER_PREFIX
from interop.drivers.choice import UnusableClient, chosen_clients
from interop.drivers.driver import DriverFault
from interop.drivers.registry import COMMAND_PREFIX, DriverStarter, UnknownDriver
from interop.drivers.releases import program
from interop.exit_codes import CommandError
from interop.scenario.values import Side

KIT = "mqtt-interop"
_PACKAGES = {"gmqtt": "gmqtt", "paho": "paho-mqtt"}
"""Clients that ship an adapter only, and the package each is."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One implementation; `name` is the one every record has, `lacks` are the features it declares to lack.

    `digests` are SHA-256 in hexadecimal by what has them; none where nothing of it is on this machine. `doubts` are
    what it says on the wire otherwise than in its own file, a sentence each.
    """

    side: Side
    name: str
    lacks: tuple[str, ...]
    digests: dict[str, str]
    doubts: tuple[str, ...] = ()


def client_subject(text: str, kit_sha256: str) -> Subject:
    """Ask a client's adapter who it is; raises CommandError."""
    try:
        return asyncio.run(_client(text, kit_sha256))
    except (UnknownDriver, UnusableClient, DriverFault) as problem:
        raise CommandError(str(problem)) from None


async def _client(text: str, kit_sha256: str) -> Subject:
    chosen = await chosen_clients([text])
    ((name, adapter),) = chosen.items()
    starter = DriverStarter(chosen)
    try:
        driver = await starter.start(name)
        await driver.close()
    finally:
        await starter.close()
    return Subject("client", name, driver.hello.unsupported, _of_client(adapter, kit_sha256))


def _of_client(adapter: str, kit_sha256: str) -> dict[str, str]:
    if adapter.startswith(COMMAND_PREFIX):
        return of_files(_files(shlex.split(adapter.removeprefix(COMMAND_PREFIX))))
    if adapter.startswith(CONTAINER_PREFIX):
        from interop.containers.container import image_digests  # noqa: PLC0415  # an engine's library is slow to load

        return image_digests(adapter, adapter.removeprefix(CONTAINER_PREFIX), DriverFault)
    if (found := program(adapter)) is not None:
        said = found.description
        return {f"{said.package} {said.version}": digests.of_bytes(digests.listing(found.parts).encode())}
    if adapter not in _PACKAGES:
        return {KIT: kit_sha256}
    package = metadata.distribution(_PACKAGES[adapter])
    files = {str(file): Path(str(file.locate())) for file in package.files or () if file.suffix != ".pyc"}
    there = {name: path for name, path in files.items() if path.is_file()}
    return {f"{package.name} {package.version}": digests.of_bytes(digests.listing(there).encode())}


def _files(words: list[str]) -> Iterable[Path]:
    """The program and whatever else of its command line is a file: of `python acme.py`, both."""
    if program := shutil.which(words[0]):
        yield Path(program)
    yield from (Path(word) for word in words[1:] if Path(word).is_file())


def of_files(paths: Iterable[Path]) -> dict[str, str]:
    """By file name; raises OSError."""
    return {path.name: digests.of_file(path) for path in paths}


def broker_subject(text: str, kit_sha256: str) -> Subject:
    """What is known of a broker before it is started; raises CommandError."""
    try:
        spec = broker_spec(text)
        parts = spec.digests() or ({KIT: kit_sha256} if text == "reference" else {})
    except BrokerFault as problem:
        raise CommandError(str(problem)) from None
    doubts = asyncio.run(check_claims([spec.profile])) if isinstance(spec, ProfiledSpec) else []
    return Subject("broker", shown_name(text), spec.lacks, parts, tuple(doubts))
