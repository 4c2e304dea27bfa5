"""A broker in a container, by the engine's own interface.

Belongs here: what an image needs to be told, its MQTT port mapped to 127.0.0.1, waiting until MQTT is spoken there.
Does not belong here: the container's life (`interop.containers`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interop.brokers.broker import BrokerFault, BrokerNotThere, BrokerSpec, LentBroker, RunningBroker, end_in_words
from interop.brokers.probe import Reaction, ask
from interop.containers import CONTAINER_PREFIX
from interop.containers.container import OwnContainer, image_digests, repository, told_in_one_line
from reference_broker.net.address import Address, Transport
from reference_broker.wire.types import Version

HOST = "127.0.0.1"
START_SECONDS = 30.0
LOG_LIMIT_BYTES = 64 * 1024

_POLL_SECONDS = 0.05  # a program in a container does not tell when it speaks: it is asked
_MQTT_PORT = "1883/tcp"


@dataclass(frozen=True, slots=True)
class ImageNotes:
    """What an image needs to be told so that it lets anybody in."""

    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


IMAGES: dict[str, ImageNotes] = {
    "mqtt-interop": ImageNotes(command=("broker", "--host", "0.0.0.0", "--allow-anonymous")),
    "eclipse-mosquitto": ImageNotes(command=("mosquitto", "-c", "/mosquitto-no-auth.conf")),
    "vernemq/vernemq": ImageNotes(
        environment=(("DOCKER_VERNEMQ_ACCEPT_EULA", "yes"), ("DOCKER_VERNEMQ_ALLOW_ANONYMOUS", "on"))
    ),
}
"""By the image's name without its tag; all others start as they are."""


class ContainerBroker(RunningBroker):
    """A container that listens; it is removed at the latest when this process ends."""

    is_renewed = True

    def __init__(self, name: str, image: str) -> None:
        """Start it; raises what the engine's library does, and BrokerNotThere."""
        self._log = bytearray()
        notes = IMAGES.get(repository(image), ImageNotes())
        self._container = OwnContainer(
            image,
            list(notes.command) or None,
            take=self._take,
            environment=dict(notes.environment),
            ports={_MQTT_PORT: (HOST, 0)},
        )
        super().__init__(name, self._container.version)
        mapped = self._container.ports.get(_MQTT_PORT)
        self._address = Address(HOST, int(mapped[0]["HostPort"])) if mapped else None

    def _take(self, stream: int, data: bytes) -> None:  # noqa: ARG002 - both are its log
        self._log += data
        del self._log[:-LOG_LIMIT_BYTES]

    @property
    def log(self) -> str:
        """The end of what it wrote."""
        return self._log.decode("utf-8", "replace")

    @property
    def end(self) -> str:
        """How it ended, if it has."""
        status = self._container.status
        return "" if status is None else end_in_words(status)

    def address(self, transport: Transport = Transport.TCP) -> Address:
        """Where its MQTT port is mapped to; raises BrokerFault for any other transport."""
        if transport is not Transport.TCP:
            raise BrokerFault(f"{self.name} is reached by tcp only")
        if self._address is None:
            raise BrokerNotThere(f"{self.name} ended before its port was mapped: {self._last_line()}")
        return self._address

    async def stop(self) -> None:
        """Kill and remove the container."""
        await asyncio.to_thread(self._container.remove)

    async def wait_until_it_speaks(self) -> None:
        """Wait for a CONNACK: an engine accepts connections before the program inside does.

        Raises BrokerNotThere with the container's last words.
        """
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while (await ask(self.address(), Version.V311)).reaction is not Reaction.CONNACK:
            if self._container.ended.is_set():
                raise BrokerNotThere(f"{self.name} ended: {self._last_line()}")
            if asyncio.get_running_loop().time() > deadline:
                raise BrokerNotThere(
                    f"{self.name} did not answer CONNECT within {START_SECONDS:g} s: {self._last_line()}"
                )
            await asyncio.sleep(_POLL_SECONDS)

    def _last_line(self) -> str:
        return next(iter(reversed(self.log.strip().splitlines())), "it wrote nothing")


class ContainerSpec(BrokerSpec):
    """One container of an image, for all cells."""

    def __init__(self, image: str) -> None:
        self.name = f"{CONTAINER_PREFIX}{image}"
        self._image = image
        self._lock = asyncio.Lock()
        self._running: ContainerBroker | None = None

    def check(self) -> None:
        """Raise BrokerNotThere when there is no engine, or the engine has no such image."""
        self.digests()

    def digests(self) -> dict[str, str]:
        """The image."""
        return image_digests(self.name, self._image, BrokerNotThere)

    async def start(self, settings: Mapping[str, Any], *, transport: Transport = Transport.TCP) -> RunningBroker:  # noqa: ARG002 - it takes none
        """Start or lend the container, once MQTT is spoken there; raises BrokerNotThere."""
        async with self._lock:
            if self._running is not None and (self._running.end or self._running.is_lost):
                await self.close()  # what one cell did to it is no matter of the next
            if self._running is None:
                self._running = await asyncio.to_thread(self._run)
                try:
                    await self._running.wait_until_it_speaks()
                except BaseException:
                    await self.close()
                    raise
            self._running.address(transport)
            return LentBroker(self._running)

    async def close(self) -> None:
        """Remove the container."""
        if self._running is not None:
            running, self._running = self._running, None
            await running.stop()

    def _run(self) -> ContainerBroker:
        with told_in_one_line(self.name, self._image, BrokerNotThere):
            return ContainerBroker(self.name, self._image)
