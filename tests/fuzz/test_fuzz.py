"""Every input that fuzzing has found, and the seeds it begins with, are ordinary tests; so are a few random ones."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fuzz_targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_once_is_put_right(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_fine(name: str) -> None:
    rng = random.Random(name)
    for _ in range(30):
        TARGETS[name](rng.randbytes(rng.randrange(200)))


def test_every_target_has_a_corpus_which_is_small() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS)
    assert sum(path.stat().st_size for path in FILES) < 100_000
