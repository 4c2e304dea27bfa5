"""The whole corpus: every rule, for every version, towards a broker or a client.

Belongs here: putting the rules together and choosing among their cases. Does not belong here: the rules.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Sequence

from interop.corpus.making import Bench
from interop.corpus.model import Case, UnderTest
from interop.corpus.rules_fields import fields
from interop.corpus.rules_framing import framing
from interop.corpus.rules_order import order
from interop.corpus.rules_properties import properties
from interop.corpus.rules_strings import strings
from reference_broker.wire.types import Version

RULES: tuple[Callable[[Bench], Iterator[Case]], ...] = (framing, strings, fields, properties, order)


def corpus(tested: UnderTest, versions: Sequence[str] = (), patterns: Sequence[str] = ()) -> list[Case]:
    """The cases towards one side, of some versions (`3.1`, ...) and with ids that fit a shell pattern; none: all."""
    return [
        case
        for version in Version
        if not versions or version.label in versions
        for rule in RULES
        for case in rule(Bench(version, tested))
        if not patterns or any(case.id == pattern or fnmatch.fnmatchcase(case.id, pattern) for pattern in patterns)
    ]
