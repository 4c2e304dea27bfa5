"""What the broker's process sets for speed works where it can and does no harm where it cannot."""

from __future__ import annotations

import ctypes
import gc
import platform
import weakref

import pytest

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


def test_nothing_is_looked_through_while_a_store_is_taken_in_and_little_behind_it() -> None:
    threshold = gc.get_threshold()
    try:
        with garbage_looked_for_seldom():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_threshold()[0] > threshold[0]
        assert gc.get_freeze_count()
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()


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
