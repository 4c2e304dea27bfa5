"""The file of rules: who may publish and subscribe to what, and whose a client id is.

Belongs here: reading it, and what it says of a topic or filter. A line is one of

    user NAME | anonymous | everybody     for whom the lines below hold, until the next of these
    listener NAME                         where they hold, until the next of these or of the above
    [deny] publish|subscribe|both FILTER  `%u` and `%c` stand for user name and client id
    client-id ID                          is this user's only; `ID*` for all that begin so

The first line that fits decides, and what none fits is refused.
Does not belong here: when it is asked (`broker.values.access`), passwords.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reference_broker.broker.values.access import Claim, Subject
from reference_broker.broker.values.config import Action
from reference_broker.net.config import ConfigError
from reference_broker.net.errors import reason_of
from reference_broker.wire.topics import check_topic_filter


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom a rule speaks of: a user, nobody (`anonymous`), or with neither everybody; at one listener or at all."""

    username: str | None = None
    is_anonymous: bool = False
    listener: str | None = None

    def has(self, subject: Subject) -> bool:
        """Whether a rule for these speaks of somebody, the listener aside."""
        if self.is_anonymous:
            return subject.username is None
        return self.username in (None, subject.username)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line about topics."""

    whom: Whom
    action: Action
    topic_filter: str
    is_allowed: bool

    def speaks_of(self, action: Action, subject: Subject) -> bool:
        """Whether it is for this subject.

        Where it came in is not known of a session that has been here since before the broker's start. Until its client
        is back it may have what any listener would let it have; what waits is looked at again then.
        """
        if self.action not in (action, Action.BOTH) or not self.whom.has(subject):
            return False
        if self.whom.listener is None:
            return True
        return self.is_allowed if subject.listener is None else self.whom.listener == subject.listener

    def filter_for(self, subject: Subject) -> str | None:
        """The filter with the subject's names in it; None where no topic can have them in this place.

        A name with a separator or wildcard would be more than a name there, and so would one that begins with $ where
        a topic begins. [5.0 4.7]
        """
        text = self.topic_filter
        for mark, name in (("%u", subject.username), ("%c", subject.client_id)):
            if mark in text:
                if not name or any(letter in "/+#" for letter in name):
                    return None
                if name.startswith("$") and text.startswith(mark):
                    return None
                text = text.replace(mark, name.replace("%", "\0"))
        return text.replace("\0", "%")


class Rules:
    """All rules of a file, in its order."""

    def __init__(self, rules: tuple[Rule, ...] = (), owners: tuple[tuple[str, str], ...] = ()) -> None:
        """`owners` are client ids, `*` at the end for any more, each with its user."""
        self._rules = rules
        self._owners = owners
        self.name_clients = any("%c" in rule.topic_filter for rule in rules)
        """Whether two clients of one user may have different rights."""

    @classmethod
    def read(cls, path: Path) -> Rules:
        """Read the file; raises ConfigError with file and line."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {reason_of(error)}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: not UTF-8") from None
        reader = _Reader()
        for number, line in enumerate(lines, 1):
            try:
                reader.take(line.strip())
            except ValueError as error:
                raise ConfigError(f"{path}, line {number}: {error}") from None
        return cls(tuple(reader.rules), tuple(reader.owners))

    @property
    def listeners(self) -> set[str]:
        """The listeners they name."""
        return {rule.whom.listener for rule in self._rules if rule.whom.listener is not None}

    def allow(self, action: Action, subject: Subject, topic: str, fits: Callable[[str, str], bool]) -> bool:
        """Whether a subject may publish to or receive of a topic, or subscribe to a filter."""
        for rule in self._rules:
            if not rule.speaks_of(action, subject):
                continue
            topic_filter = rule.filter_for(subject)
            if topic_filter is not None and fits(topic_filter, topic):
                return rule.is_allowed
        return False

    def may_use_client_id(self, claim: Claim) -> bool:
        """Whether a client id is this user's or nobody's."""
        owners = {user for owned, user in self._owners if _is_owned(claim.client_id, owned)}
        return not owners or claim.username in owners


def _is_owned(client_id: str, owned: str) -> bool:
    return client_id.startswith(owned[:-1]) if owned.endswith("*") else client_id == owned


_WORDS = ("user", "anonymous", "everybody", "listener", *Action, "deny", "client-id")
"""What a line may begin with."""


class _Reader:
    """Takes one line after the other; raises ValueError."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.owners: list[tuple[str, str]] = []
        self._whom = Whom()

    def take(self, line: str) -> None:
        if not line or line.startswith("#"):
            return
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if word in ("everybody", "anonymous"):
            self._whom = Whom(is_anonymous=word == "anonymous")
            if rest:
                raise ValueError(f"nothing stands behind {word}, not {rest!r}")
        elif word not in _WORDS:
            raise ValueError(f"expected {', '.join(_WORDS)}, not {word!r}")
        elif not rest:
            raise ValueError(f"something is missing behind {word}")
        elif word == "user":
            self._whom = Whom(rest)
        elif word == "listener":
            self._whom = Whom(self._whom.username, self._whom.is_anonymous, rest)
        elif word == "client-id":
            if self._whom.username is None:
                raise ValueError("client-id stands below the user whose it is")
            self.owners.append((rest, self._whom.username))
        else:
            self._take_rule(word, rest)

    def _take_rule(self, word: str, rest: str) -> None:
        is_allowed = word != "deny"
        if not is_allowed:
            word, _, rest = rest.partition(" ")
            if word not in [*Action] or not rest:
                raise ValueError("behind deny stand publish, subscribe or both, and a filter")
        topic_filter = rest.strip()
        check_topic_filter(topic_filter)
        self.rules.append(Rule(self._whom, Action(word), topic_filter, is_allowed))
