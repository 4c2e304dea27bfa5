"""The page with pictures of the two automata of delivery.

Belongs here: drawing the tables of `session.delivery`. Does not belong here: the tables.
"""

from __future__ import annotations

from enum import StrEnum

from reference_broker.session.delivery import RECEIVER, REFUSED, SENDER, Receiving, Sending
from reference_broker.wire.types import PacketType

_HEAD = """# How QoS 1 and QoS 2 are delivered

Written by `make docs` from the tables that drive [delivery](../reference_broker/session/delivery.py), for broker and
client alike. An acknowledgement that has no arrow where a message stands is out of order: the connection
is closed. [5.0 4.13.1]
"""

_SENDER = """
## The sender of a message

`✗` is an acknowledgement whose reason is an error, 0x80 or greater; behind the stroke stands what is sent in answer.
"""

_RECEIVER = """
## The receiver of a QoS 2 message

PUBLISH is answered by PUBREC, PUBREL by PUBCOMP, in every state; *news* is what is delivered, or was there to
be let go. A PUBREC with an error takes the message back to where it was not known. [5.0 MQTT-4.3.3-9]
"""

_FIRST = {Sending.PUBACK: "PUBLISH of QoS 1", Sending.PUBREC: "PUBLISH of QoS 2"}
"""Where a message begins, by what its sender waits for then."""


def automata_page() -> str:
    """The page as it is committed."""
    sender = [f"    {_node(Sending.UNKNOWN)} --> {_node(state)}: {sent}" for state, sent in _FIRST.items()]
    arrows: dict[tuple[Sending, Sending], list[str]] = {}
    for (state, kind, refused), (following, answer) in SENDER.items():
        label = f"{kind.name}{' ✗' if refused is REFUSED else ''}{f' / {answer.name}' if answer else ''}"
        arrows.setdefault((state, following), []).append(label)
    sender += [f"    {_node(a)} --> {_node(b)}: {', '.join(labels)}" for (a, b), labels in arrows.items()]
    receiver = []
    for (received, kind), (then, is_news) in RECEIVER.items():
        answer = {PacketType.PUBLISH: PacketType.PUBREC, PacketType.PUBREL: PacketType.PUBCOMP}[kind]
        news = " (news)" if is_news else ""
        receiver.append(f"    {_node(received)} --> {_node(then)}: {kind.name}{news} / {answer.name}")
    return _HEAD + _SENDER + _picture(Sending, sender) + _RECEIVER + _picture(Receiving, receiver)


def _node(state: Sending | Receiving) -> str:
    return state.name.lower()


def _picture(states: type[StrEnum], arrows: list[str]) -> str:
    names = [f'    state "{state}" as {state.name.lower()}' for state in states]
    return "\n".join(["\n```mermaid", "stateDiagram-v2", *names, *arrows, "```\n"])
