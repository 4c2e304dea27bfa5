"""Processes of ours end with us, and are told to end once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from interop.lifeline import sigterm_interrupts

REPOSITORY = Path(__file__).parents[2]

# Starts a child that has a child of its own, in a group of their own, and prints the group's number.
_PARENT = """\
import subprocess, sys
from interop.lifeline import guard, unguard
child = subprocess.Popen(["sh", "-c", "sleep 60 & wait"], stdout=subprocess.DEVNULL, start_new_session=True)
guard(child.pid)
if "unguarded" in sys.argv:
    unguard(child.pid)
print(child.pid, flush=True)
sys.stdin.read()
"""

_WORKER = """\
import subprocess, sys
worker = "import time; from interop.lifeline import end_with_parent as end; end(); print(1, flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


def start(script: str, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    """A process and the number it prints."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def is_there(kill: Callable[[int, int], None], number: int) -> bool:
    try:
        kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def until_gone(kill: Callable[[int, int], None], number: int) -> None:
    deadline = time.monotonic() + 20
    while is_there(kill, number):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_childs_whole_group_ends_with_a_parent_that_is_killed() -> None:
    process, group = start(_PARENT)
    end(process)
    until_gone(os.killpg, group)


def test_a_group_that_has_ended_is_nobodys_business() -> None:
    process, group = start(_PARENT, "unguarded")
    end(process)
    try:
        time.sleep(0.2)  # nothing happens
        assert is_there(os.killpg, group)
    finally:
        os.killpg(group, signal.SIGKILL)


def test_a_worker_ends_with_its_parent() -> None:
    process, worker = start(_WORKER)
    end(process)
    until_gone(os.kill, worker)


def test_sigterm_interrupts_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_interrupts():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # does not disturb what ends in order
    assert signal.getsignal(signal.SIGTERM) is before
