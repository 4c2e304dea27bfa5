"""Packages that not everybody has who has the broker.

Belongs here: getting one, and the line that says how to have it.
"""

from __future__ import annotations

import importlib
from typing import Any

from reference_broker.net.config import ConfigError

_EXTRAS = {"argon2": "access", "scramp": "access", "prometheus_client": "observe"}
"""What brings a package."""


def package(name: str, what_for: str) -> Any:
    """Import it or a module of it; raises ConfigError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        whole = name.partition(".")[0]
        raise ConfigError(
            f"{what_for} needs a package that is not installed ({whole}): pip install 'mqtt-interop[{_EXTRAS[whole]}]'"
        ) from None
