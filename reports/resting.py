"""The garbage collector, at rest while what stays to the end is made.

Belongs here: that, for records and scenarios alike. Does not belong here: anything that imports.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def resting_collector() -> Iterator[None]:
    """Do without the garbage collector while much is made that stays to the end: records, scenarios.

    Looking among it for what does not stay takes as long as the work itself. Afterwards it is left out of collections
    for good, because it stays.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()
