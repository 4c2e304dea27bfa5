"""What tests of pages share: a real browser, where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import browser as real
import pytest
from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with real.started() as started:
        yield started
