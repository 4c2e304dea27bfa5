"""The life of one container: made with our label, listened to from its first word, removed whatever happens.

Belongs here: what brokers and adapters in images share; what an engine says, in one line; which image it is.
Does not belong here: ports and CONNECT (`interop.brokers.container`), the contract (`interop.drivers.container`).

Who started a container removes it; what is forgotten goes when this process ends; where this process is killed, a guard
does it; and what even that left, because somebody killed it, too, or the engine was away, goes with the next start.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import requests
from docker import DockerClient
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container
from docker.utils.socket import frames_iter

from interop.lifeline import Guard

LABEL = "mqtt-interop.run"
"""The label of every container of ours; its value is the machine and the process that started it, `HOST/PID`."""

Take = Callable[[int, bytes], None]
"""Takes what came on a stream, 1 for standard output and 2 for standard error."""

_TROUBLE = (DockerException, requests.RequestException)
_GUARD = Guard([sys.executable, "-I", str(Path(__file__).with_name("guard.py"))])


class OwnContainer:
    """A container of ours that runs.

    `take` is called from a thread of its own, and `at_end` once the container has ended and `status` is known.
    """

    def __init__(
        self,
        image: str,
        command: list[str] | None = None,
        *,
        take: Take,
        at_end: Callable[[], None] = lambda: None,
        is_spoken_to: bool = False,
        **options: Any,
    ) -> None:
        """Make and start it; `options` are the engine's. Raises what the engine's library does."""
        _GUARD.tell(f"{LABEL}={_owner()}\n")
        engine = docker.from_env()
        _remove_left_overs(engine)
        container = engine.containers.create(
            image, command, labels={LABEL: _owner()}, stdin_open=is_spoken_to, detach=True, **options
        )
        self.remove = weakref.finalize(self, _remove, engine, container)
        """Kill and remove it, at most once."""
        self.status: int | None = None
        """The exit status, or minus the signal, once it has ended."""
        self.ended = threading.Event()
        self._container = container
        self._take, self._at_end = take, at_end
        with contextlib.ExitStack() as undo:
            undo.callback(self.remove)
            streams = {"stdin": int(is_spoken_to), "stdout": 1, "stderr": 1, "stream": 1}
            stream: Any = container.attach_socket(params=streams)
            self._stream = stream
            # What can be written to, where the engine's library gives what can be read only.
            self._socket: socket.socket = getattr(stream, "_sock", stream)
            undo.callback(self._hang_up)
            container.start()
            container.reload()
            undo.pop_all()
        threading.Thread(target=self._listen, name="container", daemon=True).start()

    @property
    def ports(self) -> dict[str, Any]:
        """Where its ports are mapped to, as the engine says it."""
        return self._container.ports

    @property
    def pid(self) -> int:
        """Its first process, as the engine's machine calls it."""
        return int(self._container.attrs["State"]["Pid"])

    @property
    def version(self) -> str:
        """Which image it is of: the version it says it has, and its digest."""
        image = self._container.image
        said = image.labels.get("org.opencontainers.image.version") if image else None
        return f"{said or 'version unknown'}, {self.digest}"

    @property
    def digest(self) -> str:
        """What follows the `@` in the image's name: its digest in a registry; of one that was built here, its id."""
        image = self._container.image
        if image is None:
            return "digest unknown"
        pulled = (name.partition("@")[2] for name in image.attrs.get("RepoDigests") or ())
        return str(next(pulled, image.id))

    def _hang_up(self) -> None:
        self._stream.close()
        self._socket.close()

    def write(self, data: bytes) -> None:
        """To its standard input; raises OSError once it has ended."""
        self._socket.sendall(data)

    def end_input(self) -> None:
        """Nothing more comes; raises OSError once it has ended."""
        self._socket.shutdown(socket.SHUT_WR)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # removed, or nobody listens any more
            for stream, data in frames_iter(self._stream, tty=False):  # type: ignore[no-untyped-call]
                self._take(stream, data)
        with contextlib.suppress(*_TROUBLE):
            code = int(self._container.wait()["StatusCode"])
            self.status = code if code <= 128 else 128 - code
        self._hang_up()
        self.ended.set()
        self._at_end()


@contextlib.contextmanager
def told_in_one_line(who: str, image: str, fault: type[Exception]) -> Iterator[None]:
    """Raise what goes wrong with an engine as `fault`, with a text a person can act on."""
    try:
        yield
    except ImageNotFound:
        raise fault(f"the container engine has no image {image!r}; pull or build it first") from None
    except _TROUBLE as problem:
        raise fault(f"{who} needs a container engine: {_cause(problem)}") from None


def image_digests(who: str, image: str, fault: type[Exception]) -> dict[str, str]:
    """The image: an engine calls it by the SHA-256 of its configuration, which names every layer; raises `fault`."""
    with told_in_one_line(who, image, fault), contextlib.closing(docker.from_env()) as engine:
        return {image: str(engine.images.get(image).id).removeprefix("sha256:")}


def repository(image: str) -> str:
    """An image's name without tag and digest: `localhost:5000/acme:1@sha256:...` is `localhost:5000/acme`."""
    folder, slash, name = image.partition("@")[0].rpartition("/")
    return folder + slash + name.partition(":")[0]


# --- removal ----------------------------------------------------------------------------------------------------------


def _owner() -> str:
    return f"{socket.gethostname()}/{os.getpid()}"


def _remove_left_overs(engine: DockerClient) -> None:
    """Those of processes of this machine that are no more; of another machine's nobody knows here."""
    for container in engine.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True):
        host, _, pid = container.labels[LABEL].rpartition("/")
        if host == socket.gethostname() and not _is_there(int(pid)):
            with contextlib.suppress(*_TROUBLE):
                container.remove(force=True, v=True)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _remove(engine: DockerClient, container: Container) -> None:
    with contextlib.suppress(*_TROUBLE), contextlib.closing(engine):
        container.remove(force=True, v=True)


def _cause(problem: Exception) -> str:
    """What the engine said, or what the system said when there is no engine to say anything."""
    inner: BaseException | None = problem
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return f"none answers ({inner.strerror.lower()})"
        inner = inner.__cause__ or inner.__context__
    return str(problem).splitlines()[0]
