"""What the broker's process sets for speed works where it can and does no harm where it cannot."""

from __future__ import annotations

import ctypes
import platform

import pytest

from reference_broker.command.tuning import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_glibc_takes_the_settings() -> None:
    assert keep_freed_memory()


@pytest.mark.parametrize("missing", [AttributeError, OSError, TypeError])
def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch, missing: type[Exception]) -> None:
    def load(_name: None) -> ctypes.CDLL:
        raise missing

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert not keep_freed_memory()
