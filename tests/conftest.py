"""What tests of several folders share: every event loop the product may run on."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import signal
import sys
from collections.abc import Iterator

import forked
import pytest
from hypothesis import HealthCheck, settings

# Else what tests run would write on the page of the job that runs the tests.
for _name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
    os.environ.pop(_name, None)

# How long it takes to make an input up tells how busy the machine is, and not whether the product is right.
settings.register_profile("on any machine", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("on any machine")

HIDDEN = "raise ImportError('hidden by a test, as where it is not installed')\n"


@pytest.fixture(params=["asyncio", "uvloop"], scope="module")
def on_both_loops(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have a module's loops be asyncio's, and then uvloop's: those of its fixtures, threads and child processes too.

    A module whose subject is sockets asks for it with `pytest.mark.usefixtures`. uvloop is installed with the
    development tools wherever there is one, so a missing one is an error and not a reason to skip.
    """
    if request.param == "uvloop" and (sys.implementation.name != "cpython" or sys.platform == "win32"):
        pytest.skip("there is no uvloop for this platform")
    new_event_loop = importlib.import_module(request.param).new_event_loop
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", new_event_loop)
        patch.setattr(asyncio.events, "new_event_loop", new_event_loop)  # where asyncio.run looks
        if request.param == "asyncio":
            folder = tmp_path_factory.mktemp("without-uvloop")
            (folder / "uvloop.py").write_text(HIDDEN)
            patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
            patch.setitem(sys.modules, "uvloop", None)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        yield
        for number, handler in handlers.items():  # a closed loop of uvloop leaves its own behind
            signal.signal(number, handler)


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are processors: some tests wait most of their time."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    """Leave modules and tests, which stay to the end, out of garbage collections: each took a tenth of a second."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let the process go that commands are forked from."""
    forked.close()
