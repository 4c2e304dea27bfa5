"""What a capture file has of TCP: its segments, in the order of the file.

Belongs here: the formats of files (pcap, pcapng), of links and of IP, which libraries read.
Does not belong here: what segments make together (`streams`).

Not every byte need be there: a capture may keep only the beginning of each packet, and end in the middle of one.
"""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import dpkt
import pcapng
from pcapng import blocks
from pcapng.exceptions import PcapngException

SEQUENCES = 1 << 32
"""How many sequence numbers there are, after which they begin again."""
_PCAPNG = b"\x0a\x0d\x0d\x0a"


class BadCapture(Exception):
    """A file that is no capture, or is broken; the text is one line a person can act on."""


class Endpoint(NamedTuple):
    """One end of a TCP connection."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment; `at` in seconds since 1970, `size_bytes` as it was sent, of which `data` was kept.

    `acknowledged` is the sequence number that is expected next from the other side, None where the segment tells none.
    `interface` is what the file calls the place where it was seen.
    """

    number: int
    at: float
    source: Endpoint
    target: Endpoint
    sequence: int
    acknowledged: int | None = None
    data: bytes = b""
    size_bytes: int = 0
    syn: bool = False
    fin: bool = False
    rst: bool = False
    interface: str = ""

    @property
    def end(self) -> int:
        """The number of the byte behind it; a SYN counts as one."""
        return (self.sequence + self.syn + self.size_bytes) % SEQUENCES


@dataclass(slots=True)
class Capture:
    """A file to be read once; what it says of itself is known when its segments were read."""

    path: Path
    until: float = 0.0
    """Until when it was captured, in seconds since 1970: its last packet, or what it says itself."""
    problem: str = ""
    """Why it could not be read to its end."""
    not_read: int = 0
    """Packets of links that are not known here."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def segments(self) -> Iterator[Segment]:
        """Read the file; raises BadCapture where it is none."""
        try:
            with self.path.open("rb") as file:
                is_pcapng = file.read(4) == _PCAPNG
                file.seek(0)
                yield from self._pcapng(file) if is_pcapng else self._pcap(file)
        except OSError as error:
            raise BadCapture(f"{self.path}: {error.strerror}") from error

    def _pcap(self, file: BinaryIO) -> Iterator[Segment]:
        try:
            reader = dpkt.pcap.Reader(file)
        except (ValueError, dpkt.Error):
            raise BadCapture(f"{self.path} is no capture: neither pcap nor pcapng") from None
        try:
            for at, packet in reader:
                yield from self._segment(reader.datalink() & 0xFFFF, float(at), packet)
        except dpkt.Error:
            self.problem = "the file ends in the middle of a packet"

    def _pcapng(self, file: BinaryIO) -> Iterator[Segment]:
        try:
            for block in pcapng.FileScanner(file):
                if isinstance(block, blocks.InterfaceStatistics):
                    self.until = max(self.until, float(block.timestamp))
                elif isinstance(block, blocks.EnhancedPacket):
                    link, at, packet = block.interface.link_type, float(block.timestamp), block.packet_data
                    yield from self._segment(link, at, packet, block.interface.options.get("if_name", ""))
                elif isinstance(block, blocks.SimplePacket):
                    self.not_read += 1  # it has no time
        except (PcapngException, struct.error, ValueError, KeyError, IndexError, OverflowError) as error:
            self.problem = f"the file is broken, or cut off: {type(error).__name__}"

    def _segment(self, link_type: int, at: float, packet: bytes, interface: str = "") -> Iterator[Segment]:
        self.until = max(self.until, at)
        open_link = _LINKS.get(link_type)
        if open_link is None:
            self.not_read += 1
            return
        try:
            found = _tcp(open_link(packet))
        except (dpkt.Error, IndexError, ValueError):
            self.not_read += 1
            return
        if found is None:
            return
        source, target, tcp, size_bytes = found
        yield Segment(
            next(self._numbers),
            at,
            Endpoint(source, tcp.sport),
            Endpoint(target, tcp.dport),
            tcp.seq,
            tcp.ack if tcp.flags & dpkt.tcp.TH_ACK else None,
            bytes(tcp.data),
            size_bytes,
            bool(tcp.flags & dpkt.tcp.TH_SYN),
            bool(tcp.flags & dpkt.tcp.TH_FIN),
            bool(tcp.flags & dpkt.tcp.TH_RST),
            interface,
        )


def _raw(packet: bytes) -> Any:
    return dpkt.ip6.IP6(packet) if packet[0] >> 4 == 6 else dpkt.ip.IP(packet)


_LINKS: dict[int, Callable[[bytes], Any]] = {
    0: dpkt.loopback.Loopback,
    1: dpkt.ethernet.Ethernet,
    12: _raw,
    14: _raw,
    101: _raw,
    108: dpkt.loopback.Loopback,
    113: dpkt.sll.SLL,
    228: _raw,
    229: _raw,
    276: dpkt.sll2.SLL2,
}
"""What opens a packet, by the number of its link: https://www.tcpdump.org/linktypes.html"""


def _tcp(packet: Any) -> tuple[str, str, Any, int] | None:
    """Source, target, segment, and how many bytes it carried; None where it is no TCP."""
    while isinstance(packet, dpkt.Packet) and not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
        packet = packet.data
    if not isinstance(packet, dpkt.Packet) or not isinstance(packet.data, dpkt.tcp.TCP):
        return None
    tcp = packet.data
    if isinstance(packet, dpkt.ip.IP):
        family, length_bytes, header_bytes = socket.AF_INET, packet.len, packet.hl * 4
    else:
        extensions = sum(len(each) for each in packet.extension_hdrs.values() if each is not None)
        family, length_bytes, header_bytes = socket.AF_INET6, packet.plen, extensions
    kept = len(tcp.data)
    # A length of 0 is of a segment that the network card was to divide: it is all there.
    size_bytes = length_bytes - header_bytes - tcp.off * 4 if length_bytes else kept
    return socket.inet_ntop(family, packet.src), socket.inet_ntop(family, packet.dst), tcp, max(kept, size_bytes)
