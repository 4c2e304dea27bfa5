"""A broker in a container, by the engine's own interface.

Belongs here: starting an image with its MQTT port mapped to 127.0.0.1, and removing the container.
Does not belong here: building or pulling images: what is tested should be chosen, not fetched by accident.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import docker
import requests
from docker import DockerClient
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container

from interop.brokers.broker import BrokerFault, BrokerNotThere, BrokerSpec, RunningBroker
from interop.brokers.probe import Reaction, ask
from reference_broker.net.address import Address, Transport
from reference_broker.wire.types import Version

HOST = "127.0.0.1"
START_SECONDS = 30.0
LOG_LIMIT_LINES = 500

_POLL_SECONDS = 0.05  # a program in a container does not tell when it speaks: it is asked
_MQTT_PORT = "1883/tcp"


@dataclass(frozen=True, slots=True)
class ImageNotes:
    """What an image needs to be told so that it lets anybody in."""

    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


IMAGES: dict[str, ImageNotes] = {
    "eclipse-mosquitto": ImageNotes(command=("mosquitto", "-c", "/mosquitto-no-auth.conf")),
    "vernemq/vernemq": ImageNotes(
        environment=(("DOCKER_VERNEMQ_ACCEPT_EULA", "yes"), ("DOCKER_VERNEMQ_ALLOW_ANONYMOUS", "on"))
    ),
}
"""By the image's name without its tag; all others start as they are."""


class ContainerBroker(RunningBroker):
    """A container that listens; it is removed at the latest when this process ends."""

    is_renewed = True

    def __init__(self, name: str, engine: DockerClient, container: Container) -> None:
        super().__init__(name, _version(container))
        self._container = container
        self._last_resort = weakref.finalize(self, _remove, engine, container)
        self._address = _mapped_address(container)

    @property
    def log(self) -> str:
        """The end of what it wrote."""
        try:
            return self._container.logs(tail=LOG_LIMIT_LINES).decode("utf-8", "replace")
        except (DockerException, requests.RequestException):
            return ""

    def address(self, transport: Transport = Transport.TCP) -> Address:
        """Where its MQTT port is mapped to; raises BrokerFault for any other transport."""
        if transport is not Transport.TCP:
            raise BrokerFault(f"{self.name} is reached by tcp only")
        return self._address

    async def stop(self) -> None:
        """Give it back; its spec removes it."""

    async def remove(self) -> None:
        """Kill and remove the container."""
        await asyncio.to_thread(self._last_resort)

    async def wait_until_it_speaks(self) -> None:
        """Wait for a CONNACK: an engine accepts connections before the program inside does.

        Raises BrokerNotThere with the container's last words.
        """
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while (await ask(self._address, Version.V311)).reaction is not Reaction.CONNACK:
            last = next(iter(reversed(self.log.strip().splitlines())), "it wrote nothing")
            await asyncio.to_thread(self._container.reload)
            if self._container.status == "exited":
                raise BrokerNotThere(f"{self.name} ended: {last}")
            if asyncio.get_running_loop().time() > deadline:
                raise BrokerNotThere(f"{self.name} did not answer CONNECT within {START_SECONDS:g} s: {last}")
            await asyncio.sleep(_POLL_SECONDS)


class ContainerSpec(BrokerSpec):
    """One container of an image, for all cells."""

    def __init__(self, image: str) -> None:
        self.name = f"docker:{image}"
        self._image = image
        self._lock = asyncio.Lock()
        self._running: ContainerBroker | None = None

    def check(self) -> None:
        """Raise BrokerNotThere when there is no engine, or the engine has no such image."""
        with self._told_in_one_line(), contextlib.closing(docker.from_env()) as engine:
            engine.images.get(self._image)

    def digests(self) -> dict[str, str]:
        """The image: an engine calls it by the SHA-256 of its configuration, which names every layer."""
        with self._told_in_one_line(), contextlib.closing(docker.from_env()) as engine:
            return {self._image: str(engine.images.get(self._image).id).removeprefix("sha256:")}

    async def start(self, settings: Mapping[str, Any], *, transport: Transport = Transport.TCP) -> RunningBroker:  # noqa: ARG002 - it takes none
        """Start or lend the container, once MQTT is spoken there; raises BrokerNotThere."""
        async with self._lock:
            if self._running is not None and self._running.is_lost:  # what one cell did to it is no matter of the next
                await self.close()
            if self._running is None:
                self._running = await asyncio.to_thread(self._run)
                try:
                    await self._running.wait_until_it_speaks()
                except BaseException:
                    await self.close()
                    raise
            self._running.address(transport)
            return self._running

    async def close(self) -> None:
        """Remove the container."""
        if self._running is not None:
            running, self._running = self._running, None
            await running.remove()

    def _run(self) -> ContainerBroker:
        notes = IMAGES.get(self._image.partition("@")[0].partition(":")[0], ImageNotes())
        with self._told_in_one_line():
            engine = docker.from_env()
            container = engine.containers.run(
                self._image,
                list(notes.command) or None,
                environment=dict(notes.environment),
                ports={_MQTT_PORT: (HOST, 0)},
                detach=True,
            )
            return ContainerBroker(self.name, engine, container)

    @contextlib.contextmanager
    def _told_in_one_line(self) -> Iterator[None]:
        try:
            yield
        except ImageNotFound:
            raise BrokerNotThere(f"the container engine has no image {self._image!r}; pull or build it first") from None
        except (DockerException, requests.RequestException) as problem:
            raise BrokerNotThere(f"{self.name} needs a container engine: {_cause(problem)}") from None


def _cause(problem: Exception) -> str:
    """What the engine said, or what the system said when there is no engine to say anything."""
    inner: BaseException | None = problem
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return f"none answers ({inner.strerror.lower()})"
        inner = inner.__cause__ or inner.__context__
    return str(problem).splitlines()[0]


def _mapped_address(container: Container) -> Address:
    container.reload()
    mapped = container.ports.get(_MQTT_PORT)
    if not mapped:
        raise BrokerNotThere("the container ended before its port was mapped")
    return Address(HOST, int(mapped[0]["HostPort"]))


def _version(container: Container) -> str:
    image = container.image
    labels = image.labels if image else {}
    return labels.get("org.opencontainers.image.version") or (image.short_id if image else "version unknown")


def _remove(engine: DockerClient, container: Container) -> None:
    with contextlib.suppress(DockerException, requests.RequestException), contextlib.closing(engine):
        container.remove(force=True, v=True)
