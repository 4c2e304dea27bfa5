"""A scenario played again under other conditions: `also: [resumed, queued, shared+queued]`.

Belongs here: the conditions there are, what each does to the steps of a scenario, and the statement it adds.
Does not belong here: rows and their columns (`table`), what a step means (`steps`).

The simple case has a scenario; faults live in the same thing over a lost connection, out of a queue, by a share. Each
condition is about the actors that subscribe. It sets in before the first step that does something (publishes, cuts,
lets time pass ...) after a SUBSCRIBE or UNSUBSCRIBE of theirs, each time, or at the end where none follows: there it
proves that nothing comes again. `a+b` is both, from left to right. A variant puts the broker alone to the test.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from interop.scenario.problems import unknown

Data = dict[str, Any]

_LOOKS_ON = frozenset(
    {"connect", "subscribe", "unsubscribe", "mark", "receive", "nothing", "completed", "reported", "wire", "closed",
     "stays_open"}
)  # fmt: skip
"""Verbs that need the subscriptions only to be there, not to have been through anything."""

_SOMEBODY_ELSE = "somebody_else"
"""Who publishes for an actor that is away."""

_BINDING = ("may", "should", "must")


class DoesNotFit(Exception):
    """A variant that the scenario gives no place to."""


@dataclass(frozen=True, slots=True)
class Varied:
    """A variant of one row: `data` with the steps changed, and for each step the place it had, None where it is new."""

    data: Data
    origins: tuple[int | None, ...]

    def is_as_in(self, row: Data, place: int) -> bool:
        """Whether a step is that of the row, unchanged."""
        origin = self.origins[place]
        return origin is not None and bool(self.data["steps"][place] == row["steps"][origin])


@dataclass(slots=True)
class _Story:
    """The scenario under change."""

    data: Data
    origins: list[int | None]

    @property
    def steps(self) -> list[Data]:
        steps: list[Data] = self.data["steps"]
        return steps

    def subscribers(self) -> list[str]:
        return list(dict.fromkeys(step["as"] for step in self.steps if step["do"] == "subscribe"))

    def insert(self, place: int, *steps: Data) -> None:
        self.steps[place:place] = steps
        self.origins[place:place] = [None] * len(steps)
        if any(step.get("as") == _SOMEBODY_ELSE for step in steps):
            self.data["actors"].setdefault(_SOMEBODY_ELSE, {})

    def interludes(self, actor: str, acts: Callable[[Data], bool]) -> Iterator[int]:
        """Where a condition sets in for an actor, last first, so that steps may be inserted there."""
        places = []
        is_due = False
        for place, step in enumerate(self.steps):
            if step["do"] in ("subscribe", "unsubscribe") and step.get("as") == actor:
                is_due = True
            elif is_due and acts(step):
                places.append(place)
                is_due = False
        if is_due:
            places.append(len(self.steps))
        return reversed(places)


# --- what happens to the subscribers ----------------------------------------------------------------------------------


def _acts(step: Data) -> bool:
    return step["do"] not in _LOOKS_ON


def _publishes(step: Data) -> bool:
    return bool(step["do"] == "publish")


def _back(actor: str) -> Data:
    return {"do": "connect", "as": actor, "session_present": True}


def _over(*steps: Callable[[str], Data]) -> Callable[[_Story], None]:
    """The actor goes through these steps in between."""

    def change(story: _Story) -> None:
        for actor in story.subscribers():
            story.data["actors"][actor] |= {"session": "kept"}
            for place in story.interludes(actor, _acts):
                story.insert(place, *(step(actor) for step in steps))

    return change


def _cut(how: str) -> Callable[[str], Data]:
    return lambda actor: {"do": "cut", "link": actor, "how": how}


def _absent(
    leave: Callable[[str, str], list[Data]], returns: Callable[[str, str], list[Data]], **properties: Any
) -> Callable[[_Story], None]:
    """The actor, which says `properties` in CONNECT, is away while somebody publishes, and back when it is needed."""

    def change(story: _Story) -> None:
        away = 0
        for actor in story.subscribers():
            settings = story.data["actors"][actor]
            story.data["actors"][actor] = settings | {"session": "kept"} | _announcing(settings, properties)
            for place in story.interludes(actor, _publishes):
                if place == len(story.steps):
                    continue  # nothing is published any more
                away += 1
                back = _needed_again(story, actor, place)
                story.insert(back, *returns(actor, f"away-{away}"))
                story.insert(place, *leave(actor, f"away-{away}"))
        if not away:
            raise DoesNotFit("no message is published after a subscription")

    return change


def _restart(how: str) -> Callable[[_Story], None]:
    """The broker ends and starts again in between, and all who were connected come back."""

    def change(story: _Story) -> None:
        subscribers = story.subscribers()
        for actor in subscribers:
            story.data["actors"][actor] |= {"session": "kept"}
        for place in sorted({place for actor in subscribers for place in story.interludes(actor, _acts)}, reverse=True):
            story.insert(place, {"do": "restart", "how": how}, *_all_back(story, place))

    return change


def _all_back(story: _Story, place: int) -> list[Data]:
    """Everybody who was connected before a step connects again."""
    before = story.steps[:place]
    there = dict.fromkeys(who for step in before for who in (step.get("as"), step.get("link")) if who)
    subscribed = {step["as"] for step in before if step["do"] == "subscribe"}
    return [_back(actor) if actor in subscribed else {"do": "connect", "as": actor} for actor in there]


def _restart_before_return(how: str) -> Callable[[_Story], None]:
    """Behind `queued` or `resent`: the broker ends and starts again before the one who is away comes back."""

    def change(story: _Story) -> None:
        if len(story.subscribers()) > 1:
            raise DoesNotFit("several actors subscribe, and each would need a broker that starts again")
        for place in reversed(range(len(story.steps))):
            if story.origins[place] is None and story.steps[place]["do"] == "connect":
                absent = story.steps[place]
                others = [step for step in _all_back(story, place) if step["as"] != absent["as"]]
                story.insert(place, {"do": "restart", "how": how}, *others)

    return change


def _needed_again(story: _Story, actor: str, place: int) -> int:
    """The place of the next step an absent actor has a part in; what it would have published somebody else does."""
    for later in range(place, len(story.steps)):
        step = story.steps[later]
        if step.get("as") == actor and _publishes(step):
            story.steps[later] = step | {"as": _SOMEBODY_ELSE}
            story.data["actors"].setdefault(_SOMEBODY_ELSE, {})
        elif actor in (step.get("as"), step.get("link")):
            return later
    return len(story.steps)


def _by_a_share(story: _Story) -> None:
    for place, step in enumerate(story.steps):
        if step["do"] in ("subscribe", "unsubscribe"):
            group = f"$share/{step['as']}/"
            changed = dict(step)
            if "topic" in step:
                changed["topic"] = group + step["topic"]
            if "topics" in step:
                changed["topics"] = [
                    group + each if isinstance(each, str) else each | {"topic": group + each["topic"]}
                    for each in step["topics"]
                ]
            story.steps[place] = changed


def _with(**properties: Any) -> Callable[[_Story], None]:
    """The actor says this in CONNECT."""

    def change(story: _Story) -> None:
        for actor in story.subscribers():
            story.data["actors"][actor] |= _announcing(story.data["actors"][actor], properties)

    return change


def _announcing(settings: Data, properties: Data) -> Data:
    return {"properties": settings.get("properties", {}) | properties} if properties else {}


def _dies_under_it(actor: str) -> Data:
    return {"do": "cut", "link": actor, "at": "PUBLISH", "from": "broker"}


def _was_under_way(actor: str, moment: str) -> Data:
    return {"do": "wire", "link": actor, "from": "broker", "since": moment, "contains": ["PUBLISH"]}


def _in_the_way(actor: str, moment: str) -> list[Data]:
    """A message fills the window of 1, because it is not acknowledged."""
    return [
        {"do": "subscribe", "as": actor, "topic": moment, "qos": 1},
        {"do": "drop", "link": actor, "at": "PUBACK", "from": "client"},
        {"do": "publish", "as": _SOMEBODY_ELSE, "topic": moment, "qos": 1, "payload": "in the way"},
        _gets_it(actor, moment),
    ]


def _over_two_losses(actor: str, moment: str) -> list[Data]:
    return [
        _cut("silence")(actor),
        {"do": "drop", "link": actor, "at": "PUBACK", "from": "client"},
        _back(actor),
        _gets_it(actor, moment),
        _cut("fin")(actor),
        _back(actor),
        _gets_it(actor, moment),
    ]


def _gets_it(actor: str, moment: str) -> Data:
    return {"do": "receive", "as": actor, "topic": moment, "payload": "in the way"}


@dataclass(frozen=True, slots=True)
class Variant:
    """One condition: how a title says it, what it needs, and what each version says of it."""

    says: str
    change: Callable[[_Story], None]
    clauses: Mapping[str, tuple[str, tuple[str, ...]]]
    needs: tuple[str, ...] = ()
    drops: Collection[str] = field(default=())
    """Fields of `receive` that no longer hold."""
    own_broker: bool = False


_RESUMED = {
    "3.1": ("must", ("MQTT31-29",)),
    "3.1.1": ("must", ("MQTT-3.1.2-4",)),
    "5.0": ("must", ("MQTT-3.1.2-5",)),
}
_TAKEN_OVER = {
    "3.1": ("must", ("MQTT31-27", "MQTT31-29")),
    "3.1.1": ("must", ("MQTT-3.1.4-2", "MQTT-3.1.2-4")),
    "5.0": ("must", ("MQTT-3.1.4-3", "MQTT-3.1.2-5")),
}
_QUEUED = {
    "3.1": ("must", ("MQTT31-29",)),
    "3.1.1": ("must", ("MQTT-3.1.2-5",)),
    "5.0": ("must", ("MQTT-4.5.0-1",)),
}
_RESENT = {
    "3.1": ("should", ("MQTT31-16",)),
    "3.1.1": ("must", ("MQTT-4.4.0-1",)),
    "5.0": ("must", ("MQTT-4.4.0-1",)),
}
_OUTLASTED = {
    "3.1": ("must", ("MQTT31-29",)),
    "3.1.1": ("must", ("MQTT-4.1.0-1",)),
    "5.0": ("must", ("MQTT-3.1.2-23",)),
}
_KEPT = ("kept-session",)
_WAITS = ("kept-session", "offline-queue")

VARIANTS: dict[str, Variant] = {
    "resumed": Variant("the subscriber lost its connection in between", _over(_cut("fin"), _back), _RESUMED, _KEPT),
    "resumed-twice": Variant(
        "the subscriber lost its connection twice in between",
        _over(_cut("fin"), _back, _cut("rst"), _back),
        _RESUMED,
        _KEPT,
    ),
    "taken-over": Variant(
        "another connection took the subscriber's session over", _over(_cut("silence"), _back), _TAKEN_OVER, _KEPT
    ),
    "queued": Variant(
        "the subscriber was away meanwhile",
        _absent(lambda actor, _: [{"do": "disconnect", "as": actor}], lambda actor, _: [_back(actor)]),
        _QUEUED,
        _WAITS,
    ),
    "resent": Variant(
        "the link died under the message",
        _absent(
            lambda actor, moment: [{"do": "mark", "name": moment}, _dies_under_it(actor)],
            lambda actor, moment: [_was_under_way(actor, moment), _back(actor)],
        ),
        _RESENT,
        _WAITS,
        drops=("dup",),
    ),
    "resent-twice": Variant(
        "the link died under the message twice",
        _absent(
            lambda actor, moment: [{"do": "mark", "name": moment}, _dies_under_it(actor)],
            lambda actor, moment: [
                _was_under_way(actor, moment),
                _dies_under_it(actor),
                _back(actor),
                _was_under_way(actor, "connect"),
                _back(actor),
            ],
        ),
        _RESENT,
        _WAITS,
        drops=("dup",),
    ),
    "restarted": Variant(
        "the broker was restarted in between",
        _restart("stop"),
        _OUTLASTED,
        (*_KEPT, "persistence"),
        own_broker=True,
    ),
    "killed": Variant(
        "the broker was killed in between",
        _restart("kill"),
        _OUTLASTED,
        (*_KEPT, "crash-persistence"),
        own_broker=True,
    ),
    "then-restarted": Variant(
        "the broker was restarted before its return",
        _restart_before_return("stop"),
        _OUTLASTED,
        (*_WAITS, "persistence"),
        own_broker=True,
    ),
    "then-killed": Variant(
        "the broker was killed before its return",
        _restart_before_return("kill"),
        _OUTLASTED,
        (*_WAITS, "crash-persistence"),
        own_broker=True,
    ),
    "held-up": Variant(
        "it waited for its turn over two losses of the connection",
        _absent(_in_the_way, _over_two_losses, receive_maximum=1),
        {"5.0": ("must", ("MQTT-3.3.4-9", "MQTT-4.4.0-1", "MQTT-4.5.0-1"))},
        (*_WAITS, "announce-receive-maximum"),
    ),
    "shared": Variant(
        "by a shared subscription", _by_a_share, {"5.0": ("must", ("MQTT-4.8.2-3",))}, ("shared-subscription",)
    ),
    "one-by-one": Variant(
        "under a Receive Maximum of 1",
        _with(receive_maximum=1),
        {"5.0": ("must", ("MQTT-3.3.4-9",))},
        ("announce-receive-maximum",),
    ),
    "aliased": Variant(
        "to a subscriber that takes topic aliases",
        _with(topic_alias_maximum=2),
        {"5.0": ("must", ("MQTT-3.1.2-26",))},
        ("topic-alias-inbound",),
    ),
}
"""Every condition by its name."""


def vary(data: Data, name: str) -> Varied:
    """A valid row of a scenario under the conditions `name` names, e.g. `shared+queued`.

    Raises DoesNotFit when there is no such condition, the scenario gives it no place, or none of its versions has it.
    """
    for word in name.split("+"):
        if word not in VARIANTS:
            raise DoesNotFit(unknown("variant", word, list(VARIANTS)))
    story = _Story(copy.deepcopy(data), list(range(len(data["steps"]))))
    parts = [VARIANTS[part] for part in name.split("+")]
    for variant in parts:
        variant.change(story)
        for step in story.steps:
            if step["do"] == "receive":
                for dropped in variant.drops:
                    step.pop(dropped, None)
    varied = {key: value for key, value in story.data.items() if key != "also"}
    varied["versions"] = dict(_clauses(varied["versions"], parts))
    if not varied["versions"]:
        raise DoesNotFit("none of the scenario's versions has it")
    varied["title"] = ", ".join([str(varied["title"]), *(part.says for part in parts)])
    varied["judges"], varied["any_client"] = "broker", True
    varied["transports"] = ["tcp"]
    if any(part.own_broker for part in parts):
        varied["own_broker"] = True
    varied["needs"] = list(dict.fromkeys([*varied.get("needs", ()), *(need for part in parts for need in part.needs)]))
    return Varied(varied, tuple(story.origins))


def _clauses(versions: Mapping[str, Any], parts: list[Variant]) -> Iterator[tuple[str, Data]]:
    for label, clause in versions.items():
        if all(label in part.clauses for part in parts):
            levels = [clause["level"], *(part.clauses[label][0] for part in parts)]
            cites = [*clause["cites"], *(cite for part in parts for cite in part.clauses[label][1])]
            yield label, clause | {"level": min(levels, key=_BINDING.index), "cites": list(dict.fromkeys(cites))}
