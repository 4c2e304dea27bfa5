"""The judge on the connections of a capture: each by itself, or all of one broker together.

Belongs here: which connections are judged together, until when, and by which rules; where each finding belongs.
Does not belong here: rules (`interop.judge`), traces (`connections`), words (`command`).

Rules about what goes from one connection to another (delivery, retained messages, wills, sessions) need to know all
that went to a broker since it had nothing. Who made the capture may know that it is so. Then all is judged up to the
first moment at which something of any of them is not known: what is missing may have been said there.

A recording of our own tap, made from a report, has both its sides, each as an interface. What stands there for the
other end is the tap, so that of each interface only the side that touches it is judged.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from interop.capture.connections import Gathered, PassedOver, Told
from interop.judge import Finding, judge
from interop.tap.trace import Sender, TraceEntry
from reference_broker.wire.types import Version

_BESIDE_THE_TAP = {"clients - proxy": Sender.CLIENT, "proxy - broker": Sender.BROKER}
"""Who is judged by what is seen on an interface of our own recordings; written by `reports/static/pcapng.js`."""
_NOTHING_LOST = frozenset({PassedOver.NO_MQTT, PassedOver.SILENT})


def is_of_our_tap(gathered: Gathered) -> bool:
    """Whether a capture is a recording of our own tap, which has all there was."""
    return bool(gathered.told) and all(each.conversation.interface in _BESIDE_THE_TAP for each in gathered.told)


def why_not_together(gathered: Gathered) -> str:
    """Why the connections of a capture cannot be judged together; empty where they can."""
    unknown = Counter(why for _, why in gathered.passed_over if why not in _NOTHING_LOST)
    return "; ".join(f"{count} connections: {why}" for why, count in unknown.items())


def judge_each(gathered: Gathered) -> Iterator[tuple[Told, list[Finding]]]:
    """What each connection by itself breaks."""
    for told in gathered.told:
        yield told, told.recorder.take(*told.recorder.look())


def judge_together(gathered: Gathered) -> Iterator[tuple[Told, list[Finding]]]:
    """What the connections to each broker break together."""
    is_ours = is_of_our_tap(gathered)
    groups: defaultdict[str, list[Told]] = defaultdict(list)
    for told in gathered.told:
        groups[told.conversation.interface if is_ours else told.conversation.broker.host].append(told)
    for name, group in groups.items():
        of = {id(told): told for told in group}
        order = [told for told in gathered.order if id(told) in of]
        found = _judge_group(group, order, _BESIDE_THE_TAP[name] if is_ours else None)
        for told in group:
            told.recorder.knows_all = True
            yield told, told.recorder.take(len(told.recorder.trace), found[id(told)])


def _judge_group(group: Sequence[Told], order: Iterable[Told], only: Sender | None) -> dict[int, list[Finding]]:
    """The findings of each connection, by its id, with their places in its own trace; of one side, if so wished."""
    places = _places(group)
    began = min(told.connection.began for told in group)
    entries: list[TraceEntry] = []
    origins: list[tuple[Told, int]] = []
    taken: Counter[int] = Counter()
    is_cut = False
    for told in order:
        index = taken[id(told)]
        taken[id(told)] += 1
        link, number = places[id(told)]
        entry = told.recorder.trace.entries[index]
        later = told.connection.began - began
        entries.append(
            dataclasses.replace(
                entry,
                index=len(entries),
                at=entry.at + later,
                began_at=None if entry.began_at is None else entry.began_at + later,
                link=link,
                connection=number,
            )
        )
        origins.append((told, index))
        if told.recorder.why_not is not None and index + 1 == len(told.recorder.trace):
            is_cut = True
            break
    found: dict[int, list[Finding]] = {id(told): [] for told in group}
    until = 0.0 if is_cut else max(told.recorder.until for told in group) - began
    version = _version(group)
    spoken = {places[id(told)]: told.recorder.version or version for told in group}
    found_together = judge(
        entries,
        version,
        until=until,
        asked=lambda link, number: spoken[link, number],  # nobody asked: whatever they speak is right
        round_trip_seconds=max(told.recorder.round_trip_seconds for told in group),
    )
    for finding in found_together:
        if only is None or finding.blame is only:
            told, index = origins[finding.trace_index]
            found[id(told)].append(dataclasses.replace(finding, trace_index=index))
    return found


def _places(group: Sequence[Told]) -> dict[int, tuple[str, int]]:
    """The link of each connection, which is its client, and its number there."""
    numbers: Counter[str] = Counter()
    places = {}
    for told in group:
        client_id = told.recorder.client_id
        link = f"{client_id} at {told.conversation.client.host}" if client_id else str(told.conversation.client)
        numbers[link] += 1
        places[id(told)] = link, numbers[link]
    return places


def _version(group: Sequence[Told]) -> Version:
    """The version most of them speak, whose statements are cited."""
    spoken = Counter(told.recorder.version for told in group if told.recorder.version is not None)
    return spoken.most_common(1)[0][0] if spoken else Version.V311
