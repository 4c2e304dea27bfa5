"""The names of the package itself: the README's example, and that the core stays free of asyncio."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import reference_broker

pytestmark = pytest.mark.usefixtures("on_both_loops")

README = Path(__file__).parents[2] / "README.md"


def test_every_public_name_is_there_and_no_other() -> None:
    assert sorted(reference_broker.__all__) == sorted(reference_broker._HOMES)
    for name in reference_broker.__all__:
        assert getattr(reference_broker, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Brokr'"):
        reference_broker.Brokr  # noqa: B018  # the access is what is tested


def test_the_core_is_imported_without_asyncio() -> None:
    code = "import sys, reference_broker.broker, reference_broker.client; sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=README.parent).returncode == 0


def test_the_example_of_the_readme_runs_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = (
        code for code in re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.S) if "BrokerServer" in code
    )
    names: dict[str, Any] = {}
    exec(example, names)
    asyncio.run(asyncio.wait_for(names["main"](), 10))
    printed = capsys.readouterr().out
    assert "house/light" in printed
    assert "b'on'" in printed
