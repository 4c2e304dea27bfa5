"""The sans-IO reference broker: bytes and times come in, bytes, deadlines and log lines go out.

Here live what an adapter holds, `broker` and `link`, and below them five floors that import one way (lint-imports):
`fast` > `peers` > `keeping` > `outgoing` > `values`. ARCHITECTURE.md has the picture and the way of one PUBLISH.
"""

from reference_broker.broker.broker import Broker
from reference_broker.broker.link import Link
from reference_broker.broker.values.config import AccessRule, Action, BrokerConfig, ChallengeMethod, DropPolicy

__all__ = ["AccessRule", "Action", "Broker", "BrokerConfig", "ChallengeMethod", "DropPolicy", "Link"]
