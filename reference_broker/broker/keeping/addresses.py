"""How many connections come from one network address, how often, and how often their passwords are wrong.

Belongs here: counting them by address. Does not belong here: what becomes of one too many (`broker`, `connecting`).

An address is one of IPv4, or a network of 64 bits of IPv6, which is what one customer has. What has none, a Unix
socket, is not counted.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.rates import Rate

_MOST_IDLE = 10_000
"""So many addresses without a connection are remembered for their rate, before those are forgotten that have none."""


def address_of(peer: str) -> str | None:
    """What a peer `host:port` is counted under; None for one without address."""
    host, colon, _ = peer.rpartition(":")
    return _address_of_host(host) if colon else None


@lru_cache(maxsize=1024)
def _address_of_host(host: str) -> str | None:
    """As `address_of`; a host that comes again is known: to read an address takes longer than to count it."""
    try:
        if not host.startswith("["):
            return str(IPv4Address(host))
        address = IPv6Address(host[1:-1].partition("%")[0])
    except AddressValueError:
        return None
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, 64), strict=False))


_MINUTE_SECONDS = 60.0


class _Address:
    __slots__ = ("count", "failures", "rate")

    def __init__(self, per_second: int | None) -> None:
        self.count = 0
        self.rate = None if per_second is None else Rate(per_second)
        self.failures: Rate | None = None

    def is_settled(self, now: float) -> bool:
        """Whether nothing has to be remembered of it."""
        return not self.count and all(each is None or each.settled_at <= now for each in (self.rate, self.failures))


class Addresses:
    """Where the open connections come from."""

    def __init__(self, config: BrokerConfig) -> None:
        self._maximum = config.maximum_connections_per_address
        self._per_second = config.maximum_connects_per_second
        self._failures_per_minute = config.maximum_failed_logins_per_minute
        self._by_address: dict[str, _Address] = {}
        self._look_at = _MOST_IDLE
        """With so many known it is looked who may be forgotten, which takes a while: not for each that comes."""
        limits = (self._maximum, self._per_second, self._failures_per_minute)
        self._is_counting = any(limit is not None for limit in limits)

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._by_address)

    def arrived(self, peer: str, now: float) -> float:
        """One more comes; the time from which it may be read."""
        address = address_of(peer) if self._is_counting else None
        if address is None:
            return now
        known = self._by_address.get(address)
        if known is None:
            if len(self._by_address) >= self._look_at:
                self._forget_settled(now)
                self._look_at = max(_MOST_IDLE, 2 * len(self._by_address))
            known = self._by_address[address] = _Address(self._per_second)
        known.count += 1
        return now if known.rate is None else known.rate.charge(1, now)

    def is_full(self, peer: str) -> bool:
        """Whether more come from a peer's address than may."""
        address = address_of(peer) if self._maximum is not None else None
        known = None if address is None else self._by_address.get(address)
        return known is not None and self._maximum is not None and known.count > self._maximum

    def failed(self, peer: str, now: float) -> str | None:
        """Somebody there did not know a password; a line for people where none from there is looked at from now on."""
        address = address_of(peer) if self._failures_per_minute is not None else None
        known = None if address is None else self._by_address.get(address)
        if known is None or self._failures_per_minute is None:
            return None
        if known.failures is None:
            known.failures = Rate(self._failures_per_minute / _MINUTE_SECONDS, _MINUTE_SECONDS)
        was_guessing = known.failures.settled_at > now
        seconds = known.failures.charge(1, now) - now
        if was_guessing or seconds <= 0:
            return None
        return f"address {address}: passwords are not looked at for {seconds:.1f} s, because too many were wrong"

    def is_guessing(self, peer: str, now: float) -> bool:
        """Whether so many passwords were wrong there that no more are looked at now."""
        address = address_of(peer) if self._failures_per_minute is not None else None
        known = None if address is None else self._by_address.get(address)
        return known is not None and known.failures is not None and known.failures.settled_at > now

    def left(self, peer: str) -> None:
        """One of them is gone."""
        address = address_of(peer) if self._is_counting else None
        known = None if address is None else self._by_address.get(address)
        if address is None or known is None:
            return
        known.count -= 1
        if not known.count and known.rate is None and known.failures is None:
            del self._by_address[address]

    def _forget_settled(self, now: float) -> None:
        self._by_address = {address: known for address, known in self._by_address.items() if not known.is_settled(now)}
