"""Who may connect, publish and subscribe.

Belongs here: passwords, the access list, and the exchange of enhanced authentication. [5.0 4.12, 5.4.1, 5.4.2]
Does not belong here: packets, or what a refusal looks like on the wire.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from reference_broker.broker.values.config import Action, BrokerConfig, ChallengeMethod
from reference_broker.wire.topics import matches


class Subject(Protocol):
    """Whose rights are asked for: a session, or a `Claim` to one."""

    @property
    def username(self) -> str | None:
        """Whom the client was proved to be, as far as anything is to be proved; None for nobody in particular."""

    @property
    def client_id(self) -> str:
        """What it goes by; empty while the broker has not chosen one."""

    @property
    def listener(self) -> str | None:
        """Where it came in: the listener's name, empty where it has none, None where that is not known any more."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who somebody says to be who wants to be let in; `certified` is what a certificate proves, None for nothing."""

    username: str | None
    client_id: str = ""
    listener: str | None = ""
    certified: str | None = None


class AccessControl:
    """Answers from the configuration; every answer is a pure function of it. Who knows more extends it."""

    def __init__(self, config: BrokerConfig) -> None:
        self._users = config.users
        self._allow_anonymous = config.allow_anonymous
        self._rules = config.access_rules
        self._dollar_topics = config.dollar_topics_between_clients
        self.publishes_sys = False
        """Whether topics that begin with $SYS/ are the broker's own."""
        self._methods = {method.method: method for method in config.authentication_methods}
        self.has_rules = bool(self._rules)
        """Whether users may do different things."""
        self.limits_receivers = any(rule.action is not Action.PUBLISH for rule in self._rules)
        self.proves_users = self._users is not None and self.has_rules
        """Whether user names are proved and make a difference, so that a session belongs to one. [5.0 5.4.2]"""

    def may_connect(self, claim: Claim, password: bytes | None) -> bool:
        """Whether user name and password are accepted."""
        username = claim.username
        if self._users is None or (username is None and self._allow_anonymous):
            return True
        expected = self._users.get(username) if username is not None else None
        return expected is not None and hmac.compare_digest(expected.encode(), password or b"")

    def lengthy_check(self, _claim: Claim, _password: bytes | None) -> Callable[[], bool] | None:
        """What tells in the place of `may_connect`, and takes so long that nobody else should wait; None for nothing.

        It may run in another thread.
        """
        return None

    def proved_username(self, claim: Claim) -> str | None:
        """Whom a client is taken for that `may_connect`."""
        return claim.username

    def may_use_client_id(self, _claim: Claim) -> bool:
        """Whether a client id is free for this user, whoever has used it before."""
        return True

    def may_stay(self, _claim: Claim) -> bool:
        """Whether who was let in may be there still, now that users or rules have changed."""
        return True

    def may_take_over(self, username: str | None, owner: str | None) -> bool:
        """Whether the connection of one user may end for another one's that has its client id. [5.0 5.4.2]"""
        return not self.proves_users or owner in (None, username)

    def may_publish(self, subject: Subject, topic: str) -> bool:
        """Whether this user may publish to a topic. [3.1.1 MQTT311-U-7, 5.0 MQTT5-U-67]"""
        if topic.startswith("$") and (not self._dollar_topics or (self.publishes_sys and topic.startswith("$SYS/"))):
            return False
        return self._decide(Action.PUBLISH, subject, topic, matches)

    def may_subscribe(self, subject: Subject, topic_filter: str) -> bool:
        """Whether this user may subscribe to a filter (without share name)."""
        return self._decide(Action.SUBSCRIBE, subject, topic_filter, covers)

    def may_receive(self, subject: Subject, topic: str) -> bool:
        """Whether this user may be sent a message, however wide the filter it came by."""
        return self._decide(Action.SUBSCRIBE, subject, topic, matches)

    def may_receive_shared(self, subject: Subject, topic: str, topic_filter: str) -> bool:
        """Whether this user may be sent a message by a shared subscription, `$share/...` included."""
        if not self.limits_receivers:
            return True
        return self.may_receive(subject, topic) and self.may_subscribe(subject, topic_filter.split("/", 2)[2])

    def same_rights(self, subject: Subject) -> Hashable:
        """Something that is equal for all who have the same rights."""
        return subject.username if self.has_rules else None

    def _decide(self, action: Action, subject: Subject, topic: str, fits: Callable[[str, str], bool]) -> bool:
        """What holds for a topic or filter, by the first rule that `fits`."""
        for rule in self._rules:
            speaks = rule.action in (action, Action.BOTH) and rule.username in (None, subject.username)
            if speaks and fits(rule.topic_filter, topic):
                return rule.allow
        return True

    def proof(self, name: str) -> Proof | None:
        """A new run of the enhanced authentication method of a name, or None when it is not supported."""
        method = self._methods.get(name)
        return None if method is None else Authentication(method)


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


class Proof(Protocol):
    """One run of a method of enhanced authentication. [5.0 4.12]"""

    @property
    def name(self) -> str:
        """The method's name."""

    @property
    def username(self) -> str | None:
        """Whom a success proves; None for nobody in particular."""

    @property
    def finished(self) -> bool:
        """Whether it has come to an end, either way."""

    def step(self, data: bytes | None) -> tuple[AuthenticationResult, bytes | None]:
        """Take what the client sent; returns how it stands and the Authentication Data to send."""


@dataclass(slots=True)
class Authentication:
    """One run of a challenge method: the challenge goes out, one answer comes back. [5.0 4.12]"""

    method: ChallengeMethod
    challenged: bool = False
    finished: bool = False

    @property
    def name(self) -> str:
        """The method's name."""
        return self.method.method

    @property
    def username(self) -> str | None:
        """Whom a right answer proves."""
        return self.method.username

    def step(self, data: bytes | None) -> tuple[AuthenticationResult, bytes | None]:
        """Take what the client sent; returns how it stands and the Authentication Data to send."""
        if not self.challenged:
            self.challenged = True
            return AuthenticationResult.CONTINUE, self.method.challenge
        self.finished = True
        if data is not None and hmac.compare_digest(data, self.method.response):
            return AuthenticationResult.SUCCESS, self.method.final_data
        return AuthenticationResult.FAILURE, None
