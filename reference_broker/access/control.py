"""What files, certificates and settings come to: the answers the broker asks for.

Belongs here: putting the sources together, and reading them again.
Does not belong here: what stands in a file (`passwords`, `rules`), sockets (`server`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from reference_broker.access.config import GuardedConfig, Naming
from reference_broker.access.passwords import PasswordFile, ScramKeys
from reference_broker.access.rules import Rules
from reference_broker.access.scram import SCRAM, ScramProof
from reference_broker.broker.values.access import AccessControl, Claim, Proof, Subject
from reference_broker.broker.values.config import Action
from reference_broker.net.config import ConfigError


class GuardedAccess(AccessControl):
    """Answers from files where there are any, and from the configuration where there are none."""

    def __init__(self, config: GuardedConfig) -> None:
        """Raises ConfigError for a file that cannot be used."""
        super().__init__(config.broker)
        self._config = config
        self._lets_anonymous_in = {each.name: bool(each.allow_anonymous) for each in config.entrances()}
        self._passwords: PasswordFile | None = None
        self._file_rules: Rules | None = None
        self._changed_users: frozenset[str] = frozenset()
        """Who is not in the file as before, since it was read the last time."""
        self.read_again()
        if self._file_rules is not None:
            self.has_rules = self.limits_receivers = True
        self._has_users = self._passwords is not None or config.broker.users is not None
        certifies = any(each.username_from is not Naming.NONE for each in config.entrances())
        self.proves_users = certifies or self._passwords is not None or (self._has_users and self.has_rules)

    def read_again(self) -> None:
        """Read users and rules anew; raises ConfigError, and then the old ones stay."""
        config = self._config
        passwords = None if config.password_file is None else PasswordFile.read(config.password_file)
        rules = None if config.rules_file is None else Rules.read(config.rules_file)
        for name in sorted(rules.listeners if rules is not None else ()):
            if name not in self._lets_anonymous_in:
                there = ", ".join(self._lets_anonymous_in)
                raise ConfigError(f"{config.rules_file}: there is no listener {name!r}; there are {there}")
        self._changed_users = _changed(self._passwords, passwords)
        self._passwords, self._file_rules = passwords, rules

    # --- who comes in -------------------------------------------------------------------------------------------------

    def may_connect(self, claim: Claim, password: bytes | None) -> bool:
        """Whether somebody is let in of whom nothing has to be hashed."""
        if claim.certified is not None:
            return claim.username in (None, claim.certified)  # a certificate proves one name
        if claim.username is None:
            return not self._has_users or self._lets_anonymous_in.get(claim.listener or "", False)
        return self._passwords is None and super().may_connect(claim, password)

    def lengthy_check(self, claim: Claim, password: bytes | None) -> Callable[[], bool] | None:
        """Compare a password with the file's, where both are there."""
        passwords, username = self._passwords, claim.username
        if passwords is None or claim.certified is not None or username is None or password is None:
            return None
        return lambda: passwords.is_right(username, password)

    def proved_username(self, claim: Claim) -> str | None:
        """Whom a client is taken for: whom it was proved to be, nobody where rules are for those who are."""
        if claim.certified is not None:
            return claim.certified
        return claim.username if self._has_users or self._file_rules is None else None

    def proof(self, name: str) -> Proof | None:
        """SCRAM for the file's users, where any may use it; else as the configuration says."""
        passwords = self._passwords
        if name != SCRAM or passwords is None or not passwords.has_scram:
            return super().proof(name)
        return ScramProof(self._scram_keys)

    def _scram_keys(self, username: str) -> ScramKeys:
        """A user's keys by the file as it is when they are asked for: it may be another one than when a proof began."""
        assert self._passwords is not None
        return self._passwords.scram_keys(username)

    def may_stay(self, claim: Claim) -> bool:
        """Not whose line in the file of users is gone or another one, nor whose client id is another user's now."""
        is_as_before = claim.username == claim.certified or claim.username not in self._changed_users
        return is_as_before and self.may_use_client_id(claim)

    def may_use_client_id(self, claim: Claim) -> bool:
        """Whether a client id is this user's or nobody's."""
        return self._file_rules is None or self._file_rules.may_use_client_id(claim)

    # --- what they may do ---------------------------------------------------------------------------------------------

    def same_rights(self, subject: Subject) -> Hashable:
        """User, listener and, where rules speak of it, client id."""
        if self._file_rules is None:
            return super().same_rights(subject)
        return subject.username, subject.listener, self._file_rules.name_clients and subject.client_id

    def _decide(self, action: Action, subject: Subject, topic: str, fits: Callable[[str, str], bool]) -> bool:
        if self._file_rules is None:
            return super()._decide(action, subject, topic, fits)
        return self._file_rules.allow(action, subject, topic, fits)


def _changed(before: PasswordFile | None, now: PasswordFile | None) -> frozenset[str]:
    """The users of before whose lines are not the same now."""
    if before is None or now is None:
        return frozenset()
    return frozenset(name for name, user in before.users.items() if now.users.get(name) != user)
