"""The printable page: what stands on it, and how it is printed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from certify_samples import KNOWN, profile, record, subject, without_a_browser
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interop.certify import page
from interop.certify.issuing import PAGE, PDF, Case, issue
from interop.certify.page import PdfNotMade, html, write_pdf
from interop.certify.statement import Certificate
from interop.runner.known_failures import SHIPPED
from reports.record import PlayedAgain, Record, Verdict
from reports.write import RESULTS, write_records


def certificate(folder: Path, *records: Record) -> Certificate:
    write_records(folder / RESULTS, records)
    case = Case(profile(exceptions_at_most=0.5), subject(), "kit\n", "scenarios\n", SHIPPED)
    issued, _ = issue(case, records, folder, Ed25519PrivateKey.generate())
    return issued


def test_the_page_says_all_that_is_certified(tmp_path: Path) -> None:
    again = PlayedAgain(lag_seconds=1, lost_seconds=2, cpu_pressure=0.5, withheld=False)
    known = record("qos1/known", Verdict.FAIL, known_failure=KNOWN)
    text = html(certificate(tmp_path, record(), record("qos1/again", played_again=again), known))
    for words in (
        "acme 1.0",
        "Meets Small, with 1 exception",
        "2 of 3",
        "acme.py SHA-256 " + "ab" * 32,
        "2026-03-01 10:00 to 10:00 UTC",
        "1 because the machine was too busy the first time: 1 then gave a verdict, 0 withheld",
        "Answers late",
        "https://example.com/1",
        "SHA256:",
    ):
        assert words in text


def test_what_falls_short_stands_on_the_page_and_cannot_be_taken_for_markup(tmp_path: Path) -> None:
    text = html(certificate(tmp_path, record(), record("qos1/other", Verdict.FAIL, reason="<b>no</b> PUBACK")))
    assert "Falls short of Small" in text
    assert "&lt;b&gt;no&lt;/b&gt; PUBACK" in text
    assert "<script" not in text
    assert "http-equiv" not in text


@pytest.mark.parametrize(("times", "words"), [(1, "<b>1</b> known failure<"), (2, "<b>2</b> known failures<")])
def test_figures_are_in_the_number_of_their_words(tmp_path: Path, times: int, words: str) -> None:
    known = [record(f"qos1/known{number}", Verdict.FAIL, known_failure=KNOWN) for number in range(times)]
    assert words in html(certificate(tmp_path, record(), *known))


def test_a_run_over_midnight_has_both_days(tmp_path: Path) -> None:
    late = record("qos1/late", started_at="2026-03-01T23:59:30+00:00", seconds=60)
    assert "2026-03-01 23:59 to 2026-03-02 00:00 UTC" in html(certificate(tmp_path, late))


# --- PDF --------------------------------------------------------------------------------------------------------------


def browser(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """Put a program called chromium where one is looked for; it finds the PDF's place in `$out`."""
    program = folder / "chromium"
    find = 'for each in "$@"; do case "$each" in --print-to-pdf=*) out="${each#--print-to-pdf=}";; esac; done\n'
    program.write_text(f"#!/bin/sh\n{find}{does}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")


def test_a_browser_prints_the_page_and_its_digest_is_certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser(tmp_path, monkeypatch, 'echo "%PDF" > "$out"')
    monkeypatch.setattr("interop.certify.issuing.write_pdf", page.write_pdf)
    issued = certificate(tmp_path, record())
    assert (tmp_path / PDF).read_text() == "%PDF\n"
    assert {PAGE, PDF} <= set(issued.beside)


@pytest.mark.parametrize(("does", "why"), [("exit 1", "did not print it"), ("exit 0", "printed nothing")])
def test_a_browser_that_prints_nothing_leaves_no_pdf_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, why: str
) -> None:
    browser(tmp_path, monkeypatch, does)
    (tmp_path / "old.pdf").write_text("of an earlier certificate")
    with pytest.raises(PdfNotMade, match=why):
        write_pdf(tmp_path / "page.html", tmp_path / "old.pdf")
    assert not (tmp_path / "old.pdf").exists()


def test_without_a_browser_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PdfNotMade, match="the page prints from any browser"):
        write_pdf(tmp_path / "page.html", tmp_path / "page.pdf")


def test_a_pdf_of_an_earlier_certificate_is_not_taken_for_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / PDF).write_text("of an earlier certificate")
    monkeypatch.setattr("interop.certify.issuing.write_pdf", without_a_browser)
    assert PDF not in certificate(tmp_path, record()).beside
    assert not (tmp_path / PDF).exists()


def test_what_did_not_apply_is_not_said_to_have_been_played(tmp_path: Path) -> None:
    issued = certificate(tmp_path, record(), record("qos1/wss", Verdict.UNSUPPORTED, transport="wss", mqtt="3.1"))
    assert (issued.mqtt, issued.transports) == (("5.0",), ("tcp",))
    assert issued.headline == "acme 1.0 (client) meets Small: 1 of 1 cell that applies passes"
