"""Pages that follow from code are as the code is, and every setting has its words."""

from __future__ import annotations

import pytest

from interop.docs.pages import FOLDER, PAGES
from interop.docs.settings import settings
from reference_broker.net.config import setting_types
from reference_broker.observe.config import ObservedConfig
from reference_broker.session.delivery import SENDER, Sending
from reference_broker.wire.types import PacketType


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_current(name: str) -> None:
    """`make docs` writes it."""
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name]()


def test_every_setting_says_what_it_does() -> None:
    assert [each.name for each in settings() if len(each.words.split("[")[0]) < 10] == []
    assert {each.name for each in settings()} == setting_types(ObservedConfig).keys()


def test_a_picture_changes_with_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    before = PAGES["automata.md"]()
    row = (Sending.PUBACK, PacketType.PUBACK, False)
    monkeypatch.setitem(SENDER, row, (Sending.PUBCOMP, PacketType.PUBREL))
    assert "puback --> pubcomp: PUBACK / PUBREL" in PAGES["automata.md"]()
    assert "puback --> pubcomp" not in before
