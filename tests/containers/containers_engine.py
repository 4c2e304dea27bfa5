"""A container engine that is none: its containers are what a test makes of them."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import docker
import pytest
from docker.errors import ImageNotFound

from interop.containers import container as life
from interop.drivers.examples import minimal

DIGEST = f"sha256:{'ab' * 32}"


class FakeContainer:
    """One whose inside is the test's: `say` what it writes, `end` it."""

    def __init__(self, engine: FakeEngine, labels: dict[str, str], plays: Callable[[FakeContainer], None]) -> None:
        self.engine, self.labels, self._plays = engine, labels, plays
        said = {"org.opencontainers.image.version": "2.0.99"}
        self.image = SimpleNamespace(id=DIGEST, labels=said, attrs={"RepoDigests": list(engine.repo_digests)})
        self.attrs = {"State": {"Pid": 4711}}
        self._ended = threading.Event()
        self._code = 0

    @property
    def ports(self) -> dict[str, Any]:
        return {"1883/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(self.engine.port)}]}

    def attach_socket(self, params: dict[str, int]) -> Any:
        self.engine.did.append("attach")
        outside, self.inside = socket.socketpair()
        return outside.makefile("rb", buffering=0)  # what the library gives of a Unix socket: it reads only

    def start(self) -> None:
        self.engine.did.append("start")
        self._plays(self)

    def reload(self) -> None: ...

    def wait(self) -> dict[str, int]:
        assert self._ended.wait(10)
        return {"StatusCode": self._code}

    def remove(self, *, force: bool, v: bool) -> None:
        self.engine.did.append("remove")
        if hasattr(self, "inside"):
            self.end(137)

    def say(self, stream: int, data: bytes) -> None:
        self.inside.sendall(struct.pack(">BxxxL", stream, len(data)) + data)

    def end(self, code: int) -> None:
        if not self._ended.is_set():
            self._code = code
            self._ended.set()
            with contextlib.suppress(OSError):
                self.inside.shutdown(socket.SHUT_RDWR)
            self.inside.close()


class FakeEngine:
    """One with one image, `acme/it:1`; `left` are the containers that were there before."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        port: int = 1,
        plays: Callable[[FakeContainer], None] = lambda _: None,
        repo_digests: tuple[str, ...] = (),
    ) -> None:
        self.port, self.plays, self.repo_digests = port, plays, repo_digests
        self.did: list[str] = []
        self.created: list[tuple[str, Any, dict[str, Any]]] = []
        self.left: list[FakeContainer] = []
        self.images = self.containers = self
        monkeypatch.setattr(docker, "from_env", lambda: self)
        monkeypatch.setattr(life, "_GUARD", SimpleNamespace(tell=lambda line: self.did.append(line.strip())))

    def get(self, image: str) -> Any:
        if "acme/it" not in image:
            raise ImageNotFound("no such image")
        return SimpleNamespace(id=DIGEST)

    def list(self, **_: Any) -> list[FakeContainer]:
        return self.left

    def create(self, image: str, command: Any, *, labels: dict[str, str], **options: Any) -> FakeContainer:
        self.get(image)
        self.did.append("create")
        self.created.append((image, command, {"labels": labels, **options}))
        return FakeContainer(self, labels, self.plays)

    def close(self) -> None: ...


def ends_at_once(container: FakeContainer) -> None:
    """Says its last words."""
    container.say(1, b"starting\n")
    container.say(2, b"out of cheese\n")
    container.end(3)


def ends_before_hello(container: FakeContainer) -> None:
    """Says its last words where an adapter says them, and nothing that its driver would read."""
    container.say(2, b"out of cheese\n")
    container.end(3)


def is_the_minimal_adapter(container: FakeContainer) -> None:
    """Runs the contract's example inside."""
    assert minimal.__file__ is not None
    inside = subprocess.Popen(
        [sys.executable, "-S", minimal.__file__], stdin=container.inside.fileno(), stdout=subprocess.PIPE
    )

    def carry() -> None:
        with inside:
            assert inside.stdout is not None
            while line := inside.stdout.readline():
                with contextlib.suppress(OSError):
                    container.say(1, line)
        container.end(inside.returncode)

    threading.Thread(target=carry, daemon=True).start()
