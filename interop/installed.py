"""Which mqtt-interop this is.

Belongs here: the installed version, as reports and `--version` say it, and what is not installed with it.
Does not belong here: versions of what is tested.
"""

from __future__ import annotations

import functools
import platform
import re
from importlib.metadata import PackageNotFoundError, distribution, requires, version


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


def missing(extra: str) -> list[str]:
    """The packages an extra of ours brings that are not installed; none where this runs from a folder."""
    try:
        required = requires("mqtt-interop") or []
    except PackageNotFoundError:
        return []
    wanted = [text for text in required if re.search(rf"""extra == ['"]{extra}['"]""", text)]
    return [name for text in wanted if not _is_installed(name := re.split(r"[^\w.-]", text, maxsplit=1)[0])]


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
