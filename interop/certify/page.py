"""The printable page of a certificate, as HTML and, where a browser is there to print it, as PDF.

Belongs here: drawing and printing. Does not belong here: what a certificate says (`statement`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from interop.certify.statement import Certificate

PRINT_SECONDS = 60.0
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_TEMPLATE = Path(__file__).with_name("templates") / "certificate.html.j2"


class PdfNotMade(Exception):
    """There is no PDF; the message says why."""


@cache
def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["span"] = _span
    return environment


def _span(certificate: Certificate) -> str:
    """When it was played: `2026-11-28 10:41 to 10:43 UTC`, with both days where they differ."""
    if not certificate.started_at:
        return "not known"
    began, ended = (datetime.fromisoformat(at) for at in (certificate.started_at, certificate.ended_at))
    day = "" if began.date() == ended.date() else f"{ended:%Y-%m-%d} "
    return f"{began:%Y-%m-%d %H:%M} to {day}{ended:%H:%M} UTC"


def html(certificate: Certificate) -> str:
    """The page, which needs nothing beside it."""
    template = _environment().from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(c=certificate)


def write_pdf(page: Path, pdf: Path) -> None:
    """Have a Chromium of this machine print a page; raises PdfNotMade."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise PdfNotMade("there is no Chromium here to print it; the page prints from any browser")
    with tempfile.TemporaryDirectory(prefix="mqtt-interop-print-") as profile:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # it refuses to run as root with one
        command = [browser, "--headless", "--disable-gpu", *sandbox, f"--user-data-dir={profile}",
                   "--no-pdf-header-footer", f"--print-to-pdf={pdf.absolute()}", page.absolute().as_uri()]  # fmt: skip
        try:
            pdf.unlink(missing_ok=True)
            subprocess.run(command, check=True, timeout=PRINT_SECONDS, stdin=subprocess.DEVNULL, capture_output=True)
        except (OSError, subprocess.SubprocessError) as problem:
            raise PdfNotMade(f"{browser} did not print it ({type(problem).__name__})") from None
    if not pdf.is_file():
        raise PdfNotMade(f"{browser} printed nothing")
