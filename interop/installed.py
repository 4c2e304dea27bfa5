"""Which mqtt-interop this is.

Belongs here: the installed version, as reports and `--version` say it.
Does not belong here: versions of what is tested.
"""

from __future__ import annotations

import functools
import platform
from importlib.metadata import PackageNotFoundError, version


@functools.cache  # the metadata of all that is installed are searched, which takes milliseconds
def own_version() -> str:
    """The version of this package, `not installed` where it runs from a folder."""
    try:
        return version("mqtt-interop")
    except PackageNotFoundError:
        return "not installed"


def environment() -> dict[str, str]:
    """What a record says of ours: the versions of harness and Python."""
    return {"harness": f"mqtt-interop {own_version()}", "python": platform.python_version()}
