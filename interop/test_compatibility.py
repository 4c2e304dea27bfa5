"""The compatibility matrix: one test per cell. For options and markers see `pytest interop/ --help` and `--markers`."""

from __future__ import annotations

from collections.abc import Callable

from interop.runner.cell import Cell


def test_cell(cell: Cell, play: Callable[[Cell], None]) -> None:
    """The client and the broker do what the scenario and the specification expect of them."""
    play(cell)
