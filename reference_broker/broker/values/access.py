"""Who may connect, publish and subscribe.

Belongs here: passwords, the access list, and the exchange of enhanced authentication. [5.0 4.12, 5.4.1, 5.4.2]
Does not belong here: packets, or what a refusal looks like on the wire.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from reference_broker.broker.values.config import Action, BrokerConfig, ChallengeMethod
from reference_broker.wire.topics import matches


class AccessControl:
    """Answers from the configuration; every answer is a pure function of it."""

    def __init__(self, config: BrokerConfig) -> None:
        self._users = config.users
        self._allow_anonymous = config.allow_anonymous
        self._rules = config.access_rules
        self._dollar_topics = config.dollar_topics_between_clients
        self._methods = {method.method: method for method in config.authentication_methods}
        self.has_rules = bool(self._rules)
        """Whether users may do different things."""
        self.limits_receivers = any(rule.action is not Action.PUBLISH for rule in self._rules)
        self.proves_users = self._users is not None and self.has_rules
        """Whether user names are proved and make a difference, so that a session belongs to one. [5.0 5.4.2]"""

    def may_connect(self, username: str | None, password: bytes | None) -> bool:
        """Whether user name and password are accepted."""
        if self._users is None or (username is None and self._allow_anonymous):
            return True
        expected = self._users.get(username) if username is not None else None
        return expected is not None and hmac.compare_digest(expected.encode(), password or b"")

    def proved_username(self, username: str | None, password: bytes | None, method: ChallengeMethod) -> str | None:
        """Whom a client is taken for that will answer a method rightly; call when `may_connect` or without password.

        Its answer proves what the method says. The user name of CONNECT counts with its password only. [5.0 4.12]
        """
        return method.username if username is None or password is None else username

    def may_take_over(self, username: str | None, owner: str | None) -> bool:
        """Whether the connection of one user may end for another one's that has its client id. [5.0 5.4.2]"""
        return not self.proves_users or owner in (None, username)

    def may_publish(self, username: str | None, topic: str) -> bool:
        """Whether this user may publish to a topic. [3.1.1 MQTT311-U-7, 5.0 MQTT5-U-67]"""
        if not self._dollar_topics and topic.startswith("$"):
            return False
        return self._decide(Action.PUBLISH, username, topic, matches)

    def may_subscribe(self, username: str | None, topic_filter: str) -> bool:
        """Whether this user may subscribe to a filter (without share name)."""
        return self._decide(Action.SUBSCRIBE, username, topic_filter, covers)

    def may_receive(self, username: str | None, topic: str) -> bool:
        """Whether this user may be sent a message, however wide the filter it came by."""
        return self._decide(Action.SUBSCRIBE, username, topic, matches)

    def may_receive_shared(self, username: str | None, topic: str, topic_filter: str) -> bool:
        """Whether this user may be sent a message by a shared subscription, `$share/...` included."""
        if not self.limits_receivers:
            return True
        return self.may_receive(username, topic) and self.may_subscribe(username, topic_filter.split("/", 2)[2])

    def _decide(self, action: Action, username: str | None, subject: str, fits: Callable[[str, str], bool]) -> bool:
        for rule in self._rules:
            speaks = rule.action in (action, Action.BOTH) and rule.username in (None, username)
            if speaks and fits(rule.topic_filter, subject):
                return rule.allow
        return True

    def method(self, name: str) -> ChallengeMethod | None:
        """The enhanced authentication method of a name, or None when it is not supported."""
        return self._methods.get(name)


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that `narrow` matches is matched by `wide`; both are well-formed filters."""
    if wide[0] in "#+" and narrow[0] == "$":
        return False
    wanted, given = wide.split("/"), narrow.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(given) or given[position] == "#":
            return False
        if level not in ("+", given[position]):
            return False
    return len(wanted) == len(given)


class AuthenticationResult(Enum):
    """Where an enhanced authentication stands."""

    CONTINUE = auto()
    SUCCESS = auto()
    FAILURE = auto()


@dataclass(slots=True)
class Authentication:
    """One run of a challenge method: the challenge goes out, one answer comes back. [5.0 4.12]"""

    method: ChallengeMethod
    challenged: bool = False
    finished: bool = False

    def step(self, data: bytes | None) -> tuple[AuthenticationResult, bytes | None]:
        """Take what the client sent; returns how it stands and the Authentication Data to send."""
        if not self.challenged:
            self.challenged = True
            return AuthenticationResult.CONTINUE, self.method.challenge
        self.finished = True
        if data is not None and hmac.compare_digest(data, self.method.response):
            return AuthenticationResult.SUCCESS, self.method.final_data
        return AuthenticationResult.FAILURE, None
