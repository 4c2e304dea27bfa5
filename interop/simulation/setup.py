"""What a world is made of, drawn from its seed: how many peers of which version, and the broker's settings.

Belongs here: the values and how they are drawn. Does not belong here: what happens in the world (`script`, `world`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from interop.simulation.ledger import LONG_QUEUE
from reference_broker.broker import BrokerConfig, DropPolicy
from reference_broker.wire.types import Version

LIMIT_BYTES = 250
"""A Maximum Packet Size that everything fits but messages with a long payload."""
_QUEUES = (*[LONG_QUEUE] * 5, 0, 3, 20)
JUDGED = 0.03
"""How many worlds are judged."""


@dataclass(frozen=True, slots=True)
class PeerSetup:
    """One client: its version, and what it says of itself in 5.0; whether it makes up topic aliases."""

    version: Version
    receive_maximum: int | None = None
    maximum_packet_size: int | None = None
    topic_alias_maximum: int | None = None
    has_aliases: bool = False

    @classmethod
    def drawn(cls, version: Version, rng: random.Random) -> PeerSetup:
        """A client of this version."""
        if version is not Version.V5:
            return cls(version)
        return cls(
            version,
            rng.choice((None, None, 1, 3)),
            rng.choice((None, None, LIMIT_BYTES)),
            rng.choice((None, 1, 5)),
            rng.random() < 0.5,
        )


@dataclass(frozen=True, slots=True)
class Setup:
    """A world: its clients, the broker's settings, whether packets that begin alike go the broker's fast way.

    `roughness` is how often something fails, as a multiple of what is usual. The judge looks at worlds that are judged,
    which takes as long again as all that happens there; half of them have no client that ceases to read, so that rules
    about time count, too.
    """

    peers: tuple[PeerSetup, ...]
    config: BrokerConfig
    fast_path: bool = True
    roughness: int = 1
    is_judged: bool = False
    has_pauses: bool = True
    has_crashes: bool = False

    @classmethod
    def drawn(cls, rng: random.Random, *, has_crashes: bool = False) -> Setup:
        """A world as a seed has it; every version is there."""
        versions = [*Version, *rng.choices([*Version, *[Version.V5] * 3], k=rng.choice((0, 1, 2, 2)))]
        peers = [PeerSetup.drawn(each, rng) for each in versions]
        rng.shuffle(peers)
        config = BrokerConfig(
            receive_maximum=rng.choice((65_535, 65_535, 1, 4)),
            maximum_inflight=rng.choice((1024, 1024, 2, 10)),
            queue_maximum_messages=LONG_QUEUE if has_crashes else rng.choice(_QUEUES),
            queue_drop_policy=rng.choice(tuple(DropPolicy)),
            topic_alias_maximum=rng.choice((0, 2, 32)),
            outgoing_topic_alias_maximum=rng.choice((0, 2, 16)),
        )
        is_judged = rng.random() < JUDGED and not has_crashes
        return cls(
            tuple(peers),
            config,
            rng.random() < 0.7,
            rng.choice((1, 1, 4, 10)),
            is_judged=is_judged,
            has_pauses=not is_judged or rng.random() < 0.5,
            has_crashes=has_crashes,
        )

    def in_words(self) -> str:
        """One line."""
        peers = ", ".join(
            f"{number}: {each.version.label}{f' Receive Maximum {each.receive_maximum}' * bool(each.receive_maximum)}"
            f"{f' Maximum Packet Size {each.maximum_packet_size}' * bool(each.maximum_packet_size)}"
            for number, each in enumerate(self.peers)
        )
        config = self.config
        return (
            f"peers {peers}; broker: Receive Maximum {config.receive_maximum}, {config.maximum_inflight} in flight, "
            f"queue of {config.queue_maximum_messages} dropping the {config.queue_drop_policy}, "
            f"{'with' if self.fast_path else 'without'} the fast path"
        )
