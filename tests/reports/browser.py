"""A real browser for the tests of pages: one that the machine has; none is fetched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE_WIDTH = 390


def program() -> str | None:
    """A Chromium of this machine: what `CHROMIUM` names, else what is in PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def started() -> Iterator[Browser]:
    """The browser; skips the test where there is none."""
    path = program()
    if path is None:
        pytest.skip("no Chromium here (CHROMIUM names one that is not in PATH)")
    with sync_playwright() as playwright:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        browser = playwright.chromium.launch(executable_path=path, args=sandbox)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, *, width: int = 1280, dark: bool = False) -> Iterator[Page]:
    """A page of that width; fails where a script did, or something was to be fetched from elsewhere than this disk."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    yield page
    context.close()
    assert not wrong, wrong


def width_of(page: Page) -> int:
    """How wide the page is, in pixels, with what leaves its window."""
    width: int = page.evaluate("document.documentElement.scrollWidth")
    return width


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it is shown now."""
    found = Axe().run(page, options={"preload": False}).response["violations"]
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]
