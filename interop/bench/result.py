"""What came of a measurement, as a value; percentiles and ratios.

Belongs here: numbers and their JSON form. Does not belong here: getting them (`measure`), tables (`table`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Latency:
    """Microseconds from send to receipt."""

    p50_us: float
    p99_us: float
    max_us: float

    @classmethod
    def of(cls, latencies_ns: Sequence[int]) -> Latency | None:
        """Of latencies in nanoseconds; None where there are none."""
        if not latencies_ns:
            return None
        ordered = sorted(latencies_ns)
        return cls(*(percentile(ordered, percent) / 1000 for percent in (50, 99, 100)))


@dataclass(frozen=True, slots=True)
class Result:
    """One cell against one broker.

    `per_second` are deliveries, or connections in connect and idle. `broker_cores` and `rss_bytes` are None where the
    broker's process cannot be seen; `generator_cores` is that of the busiest worker. `failure` is one line, empty when
    the run came to its end. `dropped` are clients whose connection the broker ended; `first_drop` is a line about one.
    `offered_per_second` are messages, where latency was measured. `lacks` says what the cell needs and the broker has
    not, in a line: then nothing was measured.
    """

    cell: str
    broker: str
    broker_version: str
    seconds: float = 0.0
    sent: int = 0
    delivered: int = 0
    lost: int = 0
    repeated: int = 0
    dropped: int = 0
    first_drop: str = ""
    per_second: float = 0.0
    latency: Latency | None = None
    broker_cores: float | None = None
    rss_bytes: int | None = None
    bytes_per_connection: float | None = None
    generator_cores: float = 0.0
    ceiling_per_second: float | None = None
    """What the generator reaches with a broker that only copies; None where copying is not all there is to do."""
    failure: str = ""
    offered_per_second: float = 0.0
    lacks: str = ""

    @property
    def has_figures(self) -> bool:
        """Whether it came to its end."""
        return not (self.failure or self.lacks)

    @property
    def fell_short(self) -> bool:
        """Whether the broker failed somebody, whatever its figures."""
        return bool(self.failure or self.lost or self.repeated or self.dropped)

    @property
    def flaws(self) -> str:
        """In what it fell short, in a line; empty when in nothing."""
        if self.failure or not self.fell_short:
            return self.failure
        drops = f", {self.dropped:,} clients dropped ({self.first_drop})" if self.dropped else ""
        return f"{self.lost:,} lost, {self.repeated:,} repeated{drops}"


def percentile(ordered: Sequence[int], percent: float) -> int:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank)."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]
