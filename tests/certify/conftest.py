"""No browser prints in these tests: each start of one takes seconds."""

from __future__ import annotations

import pytest
from certify_samples import without_a_browser


@pytest.fixture(autouse=True)
def _no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interop.certify.issuing.write_pdf", without_a_browser)
