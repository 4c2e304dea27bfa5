"""`mqtt-interop report`: the pages again, whatever they say.

Belongs here: the command. Does not belong here: a run's exit code from its shards (`merge`).
"""

from __future__ import annotations

import argparse

from interop.exit_codes import OK
from interop.results import drawing
from interop.results.joining import read_parts, told_in_a_line
from reports.resting import resting_collector

add_options = drawing.add_options


def run(options: argparse.Namespace) -> int:
    """Draw them; gives the exit code. Raises CommandError."""
    with resting_collector(), told_in_a_line():
        drawing.draw(read_parts(options.results, options.out), options.out, "report")
    return OK
