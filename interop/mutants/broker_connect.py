"""Brokers that are wrong about who is let in, and about what CONNACK says.

Belongs here: faults of a broker from the first byte to CONNACK, and in authentication.
Does not belong here: how connections end (`broker_ending`), what is malformed (`mutants_broker_wire`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interop.mutants.mutant import Hears, Overlooks, Patch, Says, Set, around, table
from interop.mutants.words import (
    always,
    disliked,
    having,
    having_properties,
    nothing,
    twice,
    when,
    with_session_present,
)
from reference_broker.broker.keeping.house import House
from reference_broker.broker.link import Link
from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.peers import accepting, authenticating, connecting
from reference_broker.broker.peers.connecting import Refused
from reference_broker.broker.peers.dispatch import HANDLERS
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.access import AccessControl, Authentication, AuthenticationResult, Claim
from reference_broker.broker.values.phase import Phase
from reference_broker.wire import decode, decoders
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import RemoteError, UnacceptableProtocolVersion
from reference_broker.wire.packets import Auth, ConnAck, Connect, Packet, PingResp
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.rules import Rule
from reference_broker.wire.types import PacketType, ReasonCode, Version
from reference_broker.wire.varint import read_remaining_length


def refuses(when_: Any, reason: ReasonCode = ReasonCode.CLIENT_IDENTIFIER_NOT_VALID) -> Patch:
    """A CONNECT that is fine is refused where `when_(packet, link)` says so."""

    def check(real: Any, link: Any, packet: Any) -> None:
        if when_(packet, link):
            raise Refused(reason, "not liked here")
        real(link, packet)

    return around(connecting, "_check", check)


def _is_refusal(packet: ConnAck, _end: Any) -> bool:
    return packet.reason != 0


# --- CONNECT and CONNACK ----------------------------------------------------------------------------------------------


def _accept_instead(_real: Any, link: Any, _reason: int, _text: str, now: float) -> None:
    accepting.accept(link, now, None)


def _refuse_and_go_on(_real: Any, link: Any, reason: int, _text: str, now: float) -> None:
    link.sender.send(ConnAck(False, reason if link.version is Version.V5 else 5))
    accepting.accept(link, now, None)


def _wrong_code(packet: ConnAck, link: Any) -> ConnAck:
    reason = 0x80 if packet.reason >= ReasonCode.UNSPECIFIED_ERROR else packet.reason % 5 + 1
    return replace(packet, reason=reason, properties=NO_PROPERTIES)


def _end_connected_only(real: Any, link: Any, now: float, *, publish_will: bool) -> None:
    if link.phase is Phase.CONNECTED:
        real(link, now, publish_will=publish_will)


def _forget_rest(real: Any, link: Any, now: float, keep_alive: int) -> None:
    real(link, now, keep_alive)
    link.reader.take_rest()


def _forget_half_packets(real: Any, link: Any, data: bytes, now: float) -> None:
    real(link, data, now)
    link.reader.take_rest()


def _any_protocol(*names: bytes) -> Any:
    """Read a protocol that is not known as 3.1.1; with names, these only."""

    def read(real: Any, data: bytes, position: int, end: int) -> Any:
        try:
            return real(data, position, end)
        except UnacceptableProtocolVersion as error:
            if names and error.protocol_name not in names:
                raise
            return Version.V311, position + 3 + len(error.protocol_name)

    return around(decode, "read_protocol", read)


def _newer_is_5_0(real: Any, data: bytes, position: int, end: int) -> Any:
    try:
        return real(data, position, end)
    except UnacceptableProtocolVersion as error:
        if error.protocol_level <= Version.V5:
            raise
        return Version.V5, position + 3 + len(error.protocol_name)


def _refuse_what_5_0_can_read(real: Any, link: Any, error: RemoteError, rest: bytes) -> None:
    """Close without a word where a CONNECT of a later version is none of 5.0 but for its number."""
    if isinstance(error, UnacceptableProtocolVersion):
        _, body = read_remaining_length(rest, 0) or (0, 0)
        level_at = body + 2 + len(error.protocol_name)
        try:
            decode.decode(rest[:level_at] + bytes([Version.V5]) + rest[level_at + 1 :], Version.V5)
        except RemoteError:
            return
    real(link, error, rest)


def _connack_for_all_else(code: int) -> Any:
    def answer(_real: Any, link: Any, _error: RemoteError, _rest: bytes) -> None:
        link.write(encode(ConnAck(False, code), Version.V311))

    return around(accepting, "answer_failed", answer)


_STRICT_31 = (
    Patch(decoders, "_V31", None),
    Patch(decode, "_DECODER_BY_VERSION", tuple(
        decode._DECODER_BY_VERSION[4 if level == 3 else level] for level in range(6)
    )),
)  # fmt: skip

CONNECTING = table("broker", "connect auth malformed delivery", {
    "never answers CONNECT": Says(ConnAck, nothing),
    "answers CONNECT twice": Says(ConnAck, twice),
    "sends PINGRESP before CONNACK": Says(ConnAck, lambda p, _: (PingResp(), p)),
    "accepts every CONNECT it can read": around(connecting, "refuse", _accept_instead),
    "is silent before it refuses": Says(ConnAck, when(_is_refusal, nothing)),
    "refuses with the wrong code": Says(ConnAck, when(_is_refusal, _wrong_code)),
    "leaves the connection open after a refusal": around(Peer, "end", _end_connected_only),
    "refuses with Session Present": Says(ConnAck, when(_is_refusal, with_session_present(True))),
    "always says Session Present": Says(ConnAck, when(lambda p, _: not p.reason, with_session_present(True))),
    "never says Session Present": Says(ConnAck, having(session_present=False)),
    "waits for CONNECT for ever": Set(connect_timeout_seconds=3600.0),
    "drops what comes in one read with CONNECT": around(Peer, "connected", _forget_rest),
    "forgets half packets": around(Link, "receive_data", _forget_half_packets),
    "acts on what follows a refused CONNECT": around(connecting, "refuse", _refuse_and_go_on),
    "takes no notice of a second CONNECT": Patch(HANDLERS, (Phase.CONNECTED, PacketType.CONNECT), nothing),
    "forgets the will at a second CONNECT": Patch(
        HANDLERS, (Phase.CONNECTED, PacketType.CONNECT), lambda link, _p, now: link.end(now, publish_will=False)
    ),
    "accepts any protocol name": _any_protocol(),
    "accepts any protocol level": _any_protocol(b"MQTT", b"MQIsdp"),
    "takes a version above 5 for 5.0": around(decode, "read_protocol", _newer_is_5_0),
    "reads a CONNECT of a later version as 5.0 before it refuses it": around(
        accepting, "answer_failed", _refuse_what_5_0_can_read
    ),
    "is silent to whatever it cannot read": around(accepting, "answer_failed", nothing),
    "answers what it cannot read with a refusal": _connack_for_all_else(2),
    "answers what it cannot read with a welcome": _connack_for_all_else(0),
    "waits for CONNECT whatever else comes": Overlooks(Rule.CONNECT_FIRST),
    "reads 3.1 as strictly as 3.1.1": _STRICT_31,
    "takes DUP on anything but PUBLISH for an error": Hears(
        Packet, when(lambda p, _: getattr(p, "dup", False) and p.type is not PacketType.PUBLISH, disliked)
    ),
})  # fmt: skip

CLIENT_IDS = table("broker", "connect session takeover", {
    "takes client ids for lower case": Hears(Connect, lambda p, _: replace(p, client_id=p.client_id.lower())),
    "looks at the first six characters of a client id": Hears(
        Connect, lambda p, _: replace(p, client_id=p.client_id[:6])
    ),
    "refuses client ids that are not letters and digits": refuses(lambda p, _: not p.client_id.isalnum()),
    "refuses client ids with capitals": refuses(lambda p, _: p.client_id != p.client_id.lower()),
    "refuses client ids of 23 characters": refuses(lambda p, _: len(p.client_id) == 23),
    "refuses client ids of more than 8 characters": refuses(lambda p, _: len(p.client_id) > 8),
    "refuses client ids of more than 23 characters": refuses(lambda p, _: len(p.client_id) > 23),
    "refuses client ids that are not ASCII": refuses(lambda p, _: not p.client_id.isascii()),
    "accepts long client ids in 3.1": Set(enforce_client_id_length_31=False),
    "accepts empty client ids to be kept": around(connecting, "_check_client_id", nothing),
    "refuses all empty client ids": Set(allow_empty_client_id=False),
    "gives all clients without an id the same": around(House, "new_client_id", always("nobody")),
    "does not tell the client id it assigned": Says(ConnAck, having_properties(assigned_client_identifier=None)),
    "assigns a client id to whoever brings one": Says(
        ConnAck, having_properties(assigned_client_identifier="better")
    ),
})  # fmt: skip

# --- credentials and AUTH ---------------------------------------------------------------------------------------------


def _by_name_only(real: Any, self: Any, claim: Claim, password: bytes | None) -> bool:
    is_named = self._users is not None and claim.username
    return claim.username in self._users if is_named else bool(real(self, claim, password))


def _takes_every_answer(real: Any, self: Any, data: bytes | None) -> Any:
    if not self.challenged:
        return real(self, data)
    self.finished = True
    return AuthenticationResult.SUCCESS, self.method.final_data


def _takes_no_answer(real: Any, self: Any, data: bytes | None) -> Any:
    return (AuthenticationResult.FAILURE, None) if self.challenged else real(self, data)


def _another_reason(packet: Auth, link: Any) -> bytes:
    data = bytearray(encode(packet, link.version))
    data[2] = ReasonCode.RE_AUTHENTICATE
    return bytes(data)


_AUTH_OF_NOBODY = encode(Auth(0, Properties(authentication_method="none")), Version.V5)

CREDENTIALS = table("broker", "auth connect malformed delivery subscription", {
    "accepts any password": around(AccessControl, "may_connect", always(True)),
    "looks at the user name only": around(AccessControl, "may_connect", _by_name_only),
    "lets in clients without a user name": Set(allow_anonymous=True),
    "lets nobody in who has a user name": around(
        AccessControl, "may_connect", lambda real, self, claim, password: claim.username is None
    ),
    "knows no password that is not ASCII": around(
        AccessControl, "may_connect",
        lambda real, self, claim, password: real(self, claim, password) and (password or b"").isascii()
    ),
    "cuts passwords at their first null": Hears(
        Connect, lambda p, _: replace(p, password=p.password.partition(b"\0")[0]) if p.password else p
    ),
    "lets everybody publish": around(AccessControl, "may_publish", always(True)),
    "lets everybody subscribe": (
        around(AccessControl, "may_subscribe", always(True)), around(AccessControl, "may_receive", always(True)),
    ),
    "takes no notice of authentication methods": Hears(
        Connect, having_properties(authentication_method=None, authentication_data=None)
    ),
    "goes on with AUTH that begins anew": Says(Auth, _another_reason),
    "challenges nobody": around(authenticating, "begin", lambda real, link, now: accepting.accept(link, now, None)),
    "takes every answer to its challenge": around(Authentication, "step", _takes_every_answer),
    "takes no answer to its challenge": around(Authentication, "step", _takes_no_answer),
    "does not name the authentication method in CONNACK": Says(
        ConnAck, having_properties(authentication_method=None, authentication_data=None)
    ),
    "does not name the authentication method in AUTH": Says(Auth, lambda p, _: bytes((0xF0, 2, p.reason, 0))),
    "takes no notice of AUTH without a method": Patch(HANDLERS, (Phase.CONNECTED, PacketType.AUTH), nothing),
    "answers AUTH without a method": Patch(
        HANDLERS, (Phase.CONNECTED, PacketType.AUTH), lambda link, _p, _now: link.write(_AUTH_OF_NOBODY)
    ),
})  # fmt: skip

# --- limits in CONNACK ------------------------------------------------------------------------------------------------

_CLAIMS: dict[str, Any] = {
    "receive_maximum": 7, "maximum_qos": 1, "retain_available": 0, "maximum_packet_size": 5000,
    "topic_alias_maximum": 3, "wildcard_subscription_available": 0, "subscription_identifier_available": 0,
    "shared_subscription_available": 0, "server_keep_alive": 17, "session_expiry_interval": 3,
    "response_information": "here", "user_property": (("mutant", "yes"),),
}  # fmt: skip
_NO_CLAIMS = {name: () if name == "user_property" else None for name in _CLAIMS}


def _one_more(packet: ConnAck, link: Any) -> Any:
    numbers = ("receive_maximum", "maximum_packet_size", "topic_alias_maximum", "server_keep_alive")
    more = {name: value + 1 for name in numbers if (value := getattr(packet.properties, name)) is not None}
    return having_properties(**more)(packet, link)


def _response_information_for_all(real: Any, connect: Any, config: Any, client_id: str) -> Properties:
    properties: Properties = real(connect, config, client_id)
    return replace(properties, response_information=config.response_information or "here")


def _diagnostics_for_all(real: Any, self: Any, kind: PacketType, text: str) -> Properties:
    return Properties(reason_string=text) if self.is_v5 else NO_PROPERTIES


LIMITS = table("broker", "connect properties keep_alive session delivery flow_control retained subscription shared", {
    "tells none of its limits": Says(ConnAck, having_properties(**_NO_CLAIMS)),
    "tells its limits one too high": Says(ConnAck, _one_more),
    **{
        f"claims another {name}": Says(
            ConnAck, when(lambda p, _: not p.reason, having_properties(**{name: value}))
        )
        for name, value in _CLAIMS.items()
    },
    "claims no Maximum QoS": Says(ConnAck, having_properties(maximum_qos=None)),
    "tells Response Information to everybody": around(accepting, "connack_properties", _response_information_for_all),
    "never tells Response Information": Says(ConnAck, having_properties(response_information=None)),
    "names no other server": Says(ConnAck, having_properties(server_reference=None)),
    "gives Reason Strings to whoever wants none": around(Sender, "diagnostics", _diagnostics_for_all),
    "never gives Reason Strings": Set(reason_strings=False),
    "takes wills it cannot publish": around(accepting, "_will_refusal", nothing),
})  # fmt: skip

MUTANTS = [*CONNECTING, *CLIENT_IDS, *CREDENTIALS, *LIMITS]
