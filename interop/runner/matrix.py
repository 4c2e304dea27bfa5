"""A run of the matrix, started from within.

Belongs here: handing it to pytest. Does not belong here: its options (`plugin`), command lines (`interop.cli`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import interop
from interop.exit_codes import HARNESS_FELL_SHORT, NOTHING_RAN

_TESTS = Path(interop.__path__[0]) / "test_compatibility.py"

# The matrix may be installed where nothing can be written; Hypothesis, where there is one, delays every process.
_QUIET = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")


def run_matrix(options: Iterable[str]) -> int:
    """Play what the options of the plugin select, and write the reports; gives the exit code."""
    exit_code = int(pytest.main([str(_TESTS), *_QUIET, *options]))
    if exit_code == pytest.ExitCode.USAGE_ERROR:  # which pytest said in its own words
        sys.stderr.write("mqtt-interop: `mqtt-interop run --help` has the options; others are pytest's\n")
    return HARNESS_FELL_SHORT if exit_code > NOTHING_RAN else exit_code
