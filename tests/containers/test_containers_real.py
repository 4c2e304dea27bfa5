"""With a real engine: whatever ends the process that started a container, the container goes. Skipped where none is."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import docker
import forked
import pytest
import requests
from docker.errors import DockerException

from interop.containers.container import LABEL, OwnContainer

IMAGE = os.environ.get("MQTT_INTEROP_TEST_IMAGE", "mqtt-interop:ci")
"""What `.ci/image` builds."""

_GONE_SECONDS = 60.0  # an engine that copies images takes its time
_OWNER = f"""\
import signal, sys
from interop.containers.container import LABEL, OwnContainer, _owner
own = OwnContainer({IMAGE!r}, ["broker", "--allow-anonymous"], take=lambda *_: None)
print(_owner(), flush=True)
sys.stdin.read()
"""


def _why_not() -> str:
    try:
        with contextlib.closing(docker.from_env()) as engine:
            engine.images.get(IMAGE)
    except (DockerException, requests.RequestException) as problem:
        return f"no container engine with the image {IMAGE}: {type(problem).__name__}"
    return ""


@pytest.fixture
def engine() -> Iterator[Any]:
    if why := _why_not():
        gc.collect()  # the docker package leaves its socket to the collector
        pytest.skip(why)
    with contextlib.closing(docker.from_env()) as engine:
        yield engine


pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the docker package


@contextlib.contextmanager
def owner() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that has a container, and the label of that."""
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(forked.REPOSITORY)},
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def of(engine: Any, label: str) -> list[Any]:
    found: list[Any] = engine.containers.list(all=True, filters={"label": f"{LABEL}={label}"}, ignore_removed=True)
    return found


def until_gone(engine: Any, label: str) -> None:
    deadline = time.monotonic() + _GONE_SECONDS
    while of(engine, label):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, None])
def test_a_container_goes_with_its_owner(number: signal.Signals | None, engine: Any) -> None:
    with owner() as (process, label):
        assert len(of(engine, label)) == 1
        if number is None:
            process.communicate()  # it reads to the end of its input
        else:
            process.send_signal(number)
            process.wait()
        until_gone(engine, label)


def test_what_nobody_could_remove_goes_with_the_next_start(engine: Any) -> None:
    with owner() as (process, label):
        guards = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        for guard in guards:
            os.kill(int(guard), signal.SIGKILL)
        process.kill()
        process.wait()
        assert len(of(engine, label)) == 1
        OwnContainer(IMAGE, ["--help"], take=lambda *_: None).remove()
        until_gone(engine, label)
