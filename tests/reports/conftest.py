"""What tests of pages share: a real browser, where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import browser as real
import pytest
from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for a module: while it is there an event loop runs in this thread, and others' tests need their own."""
    with real.started() as started:
        yield started
