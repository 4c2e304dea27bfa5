"""Where things are kept for this user that can be made again at any time.

Belongs here: the folder. Does not belong here: what is kept there, and how it is known to be of use still.
"""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(kind: str) -> Path:
    """The folder for things of that kind; it need not be there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mqtt-interop" / kind
