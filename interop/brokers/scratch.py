"""Files a broker under test needs on disk: its folder, its certificates.

Belongs here: a folder that goes away with its owner, at the latest when this process ends.
Does not belong here: what is written there (`process`).
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from reference_broker.net.tls import TestCertificates, make_test_certificates


class Scratch:
    """A folder, made when first wanted."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder; empty at first."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="mqtt-interop-broker-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def certificates(self) -> TestCertificates:
        """A throw-away authority and a certificate for localhost."""
        return make_test_certificates(self.folder / "certificates")
