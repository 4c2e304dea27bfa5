"""Captures made for tests: a connection's segments, and files of them as tcpdump would write them.

Belongs here: the other side of `interop.capture.segments`. Does not belong here: what is expected of them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import dpkt

from interop.capture.segments import SEQUENCES, Endpoint, Segment
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Packet
from reference_broker.wire.types import Version

CLIENT, BROKER = Endpoint("10.1.0.1", 40000), Endpoint("10.1.0.2", 1883)


@dataclass
class Line:
    """A TCP connection; every segment is a millisecond after the one before."""

    client: Endpoint = CLIENT
    broker: Endpoint = BROKER
    now: float = 1_700_000_000.0
    first: int = SEQUENCES - 3  # the numbers begin again soon
    segments: list[Segment] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next = {self.client: self.first, self.broker: 7000}

    def open(self) -> Line:
        """The handshake."""
        self._add(self.client, syn=True, acknowledges=False)
        self._add(self.broker, syn=True)
        self._add(self.client)
        return self

    def say(self, end: Endpoint, data: bytes) -> Line:
        """One segment with data."""
        self._add(end, data)
        return self

    def packet(self, end: Endpoint, packet: Packet, version: Version = Version.V311) -> Line:
        """One MQTT packet in one segment."""
        return self.say(end, encode(packet, version))

    def acknowledge(self, end: Endpoint) -> Line:
        """A segment without data."""
        self._add(end)
        return self

    def close(self, end: Endpoint, *, reset: bool = False) -> Line:
        """FIN, or RST."""
        self._add(end, fin=not reset, rst=reset)
        return self

    def wait(self, seconds: float) -> Line:
        """Time passes."""
        self.now += seconds
        return self

    def peer(self, end: Endpoint) -> Endpoint:
        """The other end."""
        return self.broker if end == self.client else self.client

    def _add(
        self,
        end: Endpoint,
        data: bytes = b"",
        *,
        syn: bool = False,
        fin: bool = False,
        rst: bool = False,
        acknowledges: bool = True,
    ) -> None:
        self.now += 0.001
        peer = self.peer(end)
        acknowledged = self._next[peer] if acknowledges else None
        number, sequence = len(self.segments), self._next[end]
        self.segments.append(
            Segment(number, self.now, end, peer, sequence, acknowledged, data, len(data), syn=syn, fin=fin, rst=rst)
        )
        self._next[end] = (sequence + len(data) + syn + fin) % SEQUENCES


def numbered(segments: Iterable[Segment]) -> list[Segment]:
    """Segments in this order, with the numbers a file would give them."""
    return [replace(each, number=number) for number, each in enumerate(segments)]


def write_pcap(path: Path, segments: Iterable[Segment], *, kept_bytes: int | None = None) -> Path:
    """Write Ethernet frames, of each no more than so many bytes."""
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for segment in segments:
            writer.writepkt(_frame(segment)[:kept_bytes], segment.at)
    return path


def _frame(segment: Segment) -> bytes:
    flags = (
        dpkt.tcp.TH_SYN * segment.syn
        | dpkt.tcp.TH_FIN * segment.fin
        | dpkt.tcp.TH_RST * segment.rst
        | dpkt.tcp.TH_ACK * (segment.acknowledged is not None)
    )
    tcp = dpkt.tcp.TCP(
        sport=segment.source.port,
        dport=segment.target.port,
        seq=segment.sequence,
        ack=segment.acknowledged or 0,
        flags=flags,
        data=segment.data,
    )
    if ":" in segment.source.host:
        source, target = (socket.inet_pton(socket.AF_INET6, each.host) for each in (segment.source, segment.target))
        packet = dpkt.ip6.IP6(src=source, dst=target, nxt=6, plen=len(tcp), hlim=64, data=tcp)
        packet.extension_hdrs = {}
        return bytes(dpkt.ethernet.Ethernet(type=dpkt.ethernet.ETH_TYPE_IP6, data=packet))
    source, target = (socket.inet_aton(each.host) for each in (segment.source, segment.target))
    return bytes(dpkt.ethernet.Ethernet(data=dpkt.ip.IP(src=source, dst=target, p=6, len=20 + len(tcp), data=tcp)))
