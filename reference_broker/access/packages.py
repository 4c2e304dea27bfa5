"""Packages that not everybody has who has the broker.

Belongs here: getting one, and the line that says how to have it.
"""

from __future__ import annotations

import importlib
from typing import Any

from reference_broker.net.config import ConfigError


def package(name: str, what_for: str) -> Any:
    """Import it; raises ConfigError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigError(f"{what_for} needs the package {name}: pip install 'mqtt-interop[access]'") from None
