"""Brokers and clients that are wrong about exchanges an earlier connection began.

Belongs here: faults that need a resumed session to show, in what counts, is limited or goes on across connections.
Does not belong here: what a session keeps at all (`broker_sessions`), the exchange on one connection
(`broker_messages`, `client_messages`).
"""

from __future__ import annotations

from typing import Any

from interop.mutants.mutant import around, table
from interop.mutants.words import nothing
from reference_broker.session.flow_control import SendQuota


def _take_one_if_there_is(_real: Any, quota: SendQuota) -> None:
    quota.take()


CLIENTS = table("client", "flow_control", {
    "forgets PUBRELs beyond Receive Maximum": around(SendQuota, "occupy", _take_one_if_there_is),
    "resumes with PUBREL without a place in Receive Maximum": around(SendQuota, "occupy", nothing),
})  # fmt: skip

BROKERS = table("broker", "flow_control", {
    "forgets PUBRELs beyond a subscriber's Receive Maximum": around(SendQuota, "occupy", _take_one_if_there_is),
    "resumes with PUBREL without a place in a subscriber's Receive Maximum": around(SendQuota, "occupy", nothing),
})  # fmt: skip

MUTANTS = [*CLIENTS, *BROKERS]
