"""All mutants by name.

Belongs here: the list of tables. Does not belong here: a mutant.
"""

from __future__ import annotations

from interop.mutants import (
    broker_beyond,
    broker_carried,
    broker_connect,
    broker_counts,
    broker_ending,
    broker_messages,
    broker_reconnected,
    broker_reported,
    broker_resent,
    broker_restart,
    broker_sessions,
    broker_shares,
    broker_sparkplug,
    broker_topics,
    broker_versions,
    client_carried,
    client_connections,
    client_messages,
    client_reported,
    overlooks,
    resumption,
    told_by_the_peer,
    websocket_frames,
)
from interop.mutants.mutant import Mutant

_TABLES = (
    broker_carried,
    broker_beyond,
    broker_connect,
    broker_counts,
    broker_ending,
    broker_messages,
    broker_reconnected,
    broker_reported,
    broker_resent,
    broker_restart,
    broker_sessions,
    broker_shares,
    broker_sparkplug,
    broker_topics,
    broker_versions,
    websocket_frames,
    client_carried,
    client_connections,
    client_messages,
    client_reported,
    overlooks,
    resumption,
    told_by_the_peer,
)

MUTANTS: dict[str, Mutant] = {mutant.name: mutant for table in _TABLES for mutant in table.MUTANTS}
"""Every mutant by its name."""
