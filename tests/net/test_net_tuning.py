"""What the broker's process sets for speed works where it can and does no harm where it cannot."""

from __future__ import annotations

import ctypes
import gc
import math
import platform
import weakref
from collections.abc import Iterator

import pytest

from reference_broker.command import tuning
from reference_broker.command.tuning import garbage_looked_for_seldom, keep_freed_memory, leave_to_the_system


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_glibc_takes_the_settings() -> None:
    assert keep_freed_memory()


@pytest.mark.parametrize("missing", [AttributeError, OSError, TypeError])
def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch, missing: type[Exception]) -> None:
    def load(_name: None) -> ctypes.CDLL:
        raise missing

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert not keep_freed_memory()


@pytest.fixture
def collector() -> Iterator[None]:
    threshold, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.set_threshold(*threshold)
    gc.callbacks[:] = callbacks
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_nothing_is_looked_through_while_a_store_is_taken_in_and_little_behind_it() -> None:
    threshold = gc.get_threshold()
    with garbage_looked_for_seldom():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_threshold()[0] > threshold[0]
    assert gc.get_freeze_count()


@pytest.mark.usefixtures("collector")
def test_what_a_long_look_found_in_use_is_not_looked_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many messages wait, a look is as long as what was made since the last."""
    monkeypatch.setattr(tuning, "_LONG_LOOK_SECONDS", 0.0)
    with garbage_looked_for_seldom():
        pass
    before = gc.get_freeze_count()
    waiting = [[number] for number in range(200_000)]
    assert gc.get_freeze_count() - before > 0.8 * len(waiting)
    assert len(gc.get_objects()) < 0.2 * len(waiting)


@pytest.mark.usefixtures("collector")
def test_garbage_in_circles_is_found_while_looks_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "_LONG_LOOK_SECONDS", math.inf)
    with garbage_looked_for_seldom():
        pass
    before = gc.get_freeze_count()
    for _ in range(2):
        gc.collect(1)
    assert gc.get_freeze_count() == before
    circle: list[object] = []
    circle.append(circle)
    del circle
    assert gc.collect(1)


def test_what_is_left_to_the_system_is_never_taken_apart() -> None:
    class Thing:
        pass

    thing = Thing()
    there = weakref.ref(thing)
    leave_to_the_system(thing)
    del thing
    gc.collect()
    assert there() is not None
    gc.unfreeze()
    gc.collect()
    assert there() is None
