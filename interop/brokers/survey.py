"""Which versions a broker speaks, asked all at once, and what to do about one that lets nobody in.

Belongs here: the answers to one CONNECT of each version, weighed together.
Does not belong here: the single answer (`probe`), when a run asks (`interop.runner.preflight`).

Only what a broker says of a version makes it one that is not there: CONNACK 0x01, or 0x84 [3.1.1 MQTT-3.1.2-2, 5.0
MQTT-3.1.2-2], or an end without CONNACK while another version is let in, as for a protocol it does not know
[3.1.1 MQTT-3.1.2-1].
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from interop.brokers.broker import BrokerFault, BrokerNotThere
from interop.brokers.probe import ANSWER_SECONDS, Answer, Login, Reaction, ask_all
from reference_broker.net.address import Address
from reference_broker.wire.types import Version

_NO_MQTT = {
    Reaction.SILENT: f"accepts connections, but answers no CONNECT within {ANSWER_SECONDS:g} s",
    Reaction.CLOSED: "accepts connections, but closes them at CONNECT, whatever the version",
    Reaction.GARBLED: "accepts connections, but answers CONNECT with something that is no CONNACK",
}


@dataclass(frozen=True, slots=True)
class Survey:
    """The answers of one broker, by version."""

    name: str
    answers: Sequence[Answer]

    @property
    def is_reached(self) -> bool:
        """Whether there is anybody to speak of."""
        return bool(self._reactions)

    @property
    def _reactions(self) -> list[Reaction]:
        nobody = (Reaction.UNREACHED, Reaction.UNASKED)
        return [answer.reaction for answer in self.answers if answer.reaction not in nobody]

    @property
    def absent(self) -> dict[str, str]:
        """By version, what the broker said or did instead of speaking it."""
        return {
            answer.version.label: f"{self.name} {answer.words}" for answer in self.answers if self._is_absent(answer)
        }

    def check(self, wanted: Collection[str], has_login: bool) -> None:
        """Raise BrokerNotThere where no version is spoken, BrokerFault where one that is wanted keeps us out."""
        last = self.answers[-1]
        if not self.is_reached:
            raise BrokerNotThere(f"no broker at {self.name}: {last.reason}")
        if Reaction.CONNACK not in self._reactions:
            what, transport = _NO_MQTT[self._reactions[-1]], last.address.transport
            raise BrokerNotThere(f"{self.name} {what}; is it an MQTT broker that listens for {transport}?")
        asked = [each for each in self.answers if each.version.label in wanted or not self._lets_anybody_in]
        refusals = [each for each in asked if not each.lets_in and not self._is_absent(each)]
        for refusal in sorted(refusals, key=lambda each: not each.is_about_credentials):
            raise BrokerFault(f"{self.name} {refusal.words}; {_advice(refusal, has_login)}")

    @property
    def _lets_anybody_in(self) -> bool:
        return any(answer.lets_in for answer in self.answers)

    def _is_absent(self, answer: Answer) -> bool:
        if answer.reaction is Reaction.CLOSED:
            return self._lets_anybody_in
        return answer.is_of_another_version or answer.reaction is Reaction.UNASKED


async def survey(
    name: str,
    address: Address,
    login: Login,
    seconds: float = ANSWER_SECONDS,
    versions: Iterable[Version] = Version,
) -> Survey:
    """Ask a broker in every version at once; it takes no longer than twice `seconds`."""
    return Survey(name, await ask_all(address, versions, login, seconds))


def _advice(refusal: Answer, has_login: bool) -> str:
    if refusal.is_about_credentials and has_login:
        return "put right the user name and password in its address, or what they may do there"
    if refusal.is_about_credentials:
        scheme = refusal.address.url.partition("://")[0]
        return f"name a user it knows in its address, {scheme}://USER:PASSWORD@{refusal.address.host_and_port}"
    if refusal.reaction is Reaction.CONNACK:
        return "nothing can be tried there before it lets clients in"
    return f"leave that version out with --mqtt, or let it answer within {ANSWER_SECONDS:g} s"
