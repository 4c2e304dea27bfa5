"""What an ordinary CONNECT finds out: who is there, which versions are spoken, what to do about the rest."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from interop.brokers.broker import BrokerFault, BrokerNotThere
from interop.brokers.probe import Answer, Login, Reaction, as_clause, ask
from interop.brokers.reference import ReferenceSpec
from interop.brokers.survey import Survey, survey
from reference_broker.net.address import Address, Transport
from reference_broker.wire.decode import decode
from reference_broker.wire.packets import Connect
from reference_broker.wire.types import Version

V31, V311, V5 = Version
SOON_SECONDS = 0.05
WELCOME_311, WELCOME_5 = b"\x20\x02\x00\x00", b"\x20\x03\x00\x00\x00"

# --- the answers, without sockets -------------------------------------------------------------------------------------

ADDRESS = Address("127.0.0.1", 1883)


def connack(version: Version, code: int) -> Answer:
    return Answer(version, ADDRESS, Reaction.CONNACK, code)


def surveyed(*answers: Answer) -> Survey:
    return Survey("it", answers)


def closed(version: Version) -> Answer:
    return Answer(version, ADDRESS, Reaction.CLOSED)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (connack(V5, 1), "it answered CONNECT of MQTT 5.0 with return code 0x01, unacceptable protocol version"),
        (connack(V5, 0x84), "it answered CONNECT of MQTT 5.0 with reason code 0x84, unsupported protocol version"),
        (connack(V5, 5), "it answered CONNECT of MQTT 5.0 with return code 0x05, not authorized"),  # no code of 5.0
        (connack(V31, 1), "it answered CONNECT of MQTT 3.1 with return code 0x01, unacceptable protocol version"),
        (closed(V5), "it closed the connection at CONNECT of MQTT 5.0, without CONNACK"),
    ],
)
def test_a_version_that_a_broker_says_it_does_not_speak_is_not_there(answer: Answer, why: str) -> None:
    found = surveyed(connack(V311, 0), answer)
    assert found.absent == {answer.version.label: why}
    found.check({"3.1.1", answer.version.label}, has_login=False)


@pytest.mark.parametrize("code", [1, 0x84])
def test_a_broker_that_speaks_no_version_asked_for_is_there_all_the_same(code: int) -> None:
    surveyed(connack(V5, code)).check({"5.0"}, has_login=False)


@pytest.mark.parametrize(
    ("answer", "has_login", "words"),
    [
        (
            connack(V5, 0x87),
            False,
            "reason code 0x87, not authorized; name a user it knows in its address, mqtt://USER",
        ),
        (connack(V311, 5), False, "return code 0x05, not authorized; name a user"),
        (connack(V5, 0x86), True, "bad user name or password; put right the user name and password in its address"),
        (connack(V311, 4), True, "bad user name or password; put right the user name"),
        (connack(V5, 0x88), False, "server unavailable; nothing can be tried there before it lets clients in"),
        (connack(V311, 3), False, "server unavailable; nothing can be tried"),
        (Answer(V5, ADDRESS, Reaction.SILENT), False, "did not answer CONNECT of MQTT 5.0; leave that version out"),
    ],
)
def test_a_broker_that_keeps_us_out_ends_the_run_and_says_what_to_do(
    answer: Answer, has_login: bool, words: str
) -> None:
    other = connack(V31, 0)
    with pytest.raises(BrokerFault, match=r"^it ") as caught:
        surveyed(other, answer).check({"3.1", answer.version.label}, has_login)
    assert words in str(caught.value)
    surveyed(other, answer).check({"3.1"}, has_login)  # nobody asked for the other version


def test_a_closed_connection_says_nothing_of_a_version_where_nobody_is_let_in() -> None:
    found = surveyed(closed(V5), connack(V311, 5))
    assert found.absent == {}
    with pytest.raises(BrokerFault, match="not authorized; name a user"):
        found.check({"5.0"}, has_login=False)


@pytest.mark.parametrize(
    ("reaction", "words"),
    [
        (Reaction.SILENT, "accepts connections, but answers no CONNECT within 1 s; is it an MQTT broker that listens"),
        (Reaction.CLOSED, "accepts connections, but closes them at CONNECT, whatever the version"),
        (Reaction.GARBLED, "answers CONNECT with something that is no CONNACK"),
        (Reaction.UNREACHED, "no broker at it: nobody home"),
    ],
)
def test_who_answers_no_version_at_all_is_no_broker(reaction: Reaction, words: str) -> None:
    answers = [Answer(version, ADDRESS, reaction, reason="nobody home") for version in Version]
    with pytest.raises(BrokerNotThere) as caught:
        surveyed(*answers).check({"5.0"}, has_login=False)
    assert words in str(caught.value)


# --- asking -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def broker_that(answers: Callable[[Connect], bytes | None]) -> AsyncIterator[Address]:
    """A server that answers each CONNECT like that, nothing at all for b"", and closes where there is no answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(1000)
        packet = decode(data, V5)
        assert isinstance(packet, Connect)
        answer = answers(packet)
        if answer is not None:
            for byte in answer:
                writer.write(bytes([byte]))
                await writer.drain()
            await reader.read(1000)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Address(*server.sockets[0].getsockname())


@pytest.mark.usefixtures("on_both_loops")
@pytest.mark.parametrize(
    ("said", "reaction", "code"),
    [
        (WELCOME_311, Reaction.CONNACK, 0),
        (WELCOME_5, Reaction.CONNACK, 0),
        (b"\x20\x02\x00\x01", Reaction.CONNACK, 1),
        (b"\x20\x81\x00\x00\x84", Reaction.CONNACK, 0x84),  # the length in two bytes
        (b"", Reaction.SILENT, 0),
        (b"\x20\x02", Reaction.SILENT, 0),
        (None, Reaction.CLOSED, 0),
        (b"HTTP/1.1 400 Bad Request", Reaction.GARBLED, 0),
        (b"\x20\xff\xff\xff\xff\xff", Reaction.GARBLED, 0),
    ],
)
def test_an_answer_is_read_in_any_form(said: bytes | None, reaction: Reaction, code: int) -> None:
    async def main() -> Answer:
        async with broker_that(lambda _: said) as address:
            return await ask(address, V5, seconds=SOON_SECONDS if reaction is Reaction.SILENT else 5.0)

    answer = asyncio.run(main())
    assert (answer.reaction, answer.code) == (reaction, code)


@pytest.mark.usefixtures("on_both_loops")
def test_nobody_who_listens_is_told_with_the_systems_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answer = asyncio.run(ask(Address("127.0.0.1", port), V5))
    assert answer.words == f"could not be reached at 127.0.0.1:{port}: connection refused"


@pytest.mark.usefixtures("on_both_loops")
@pytest.mark.parametrize("transport", Transport)
def test_the_reference_broker_lets_a_probe_in_over_every_transport(transport: Transport) -> None:

    async def main() -> list[Answer]:
        broker = await ReferenceSpec().start({}, transport=transport)
        try:
            return list((await survey("it", broker.address(transport), None)).answers)
        finally:
            await broker.stop()

    assert [(each.version, each.lets_in) for each in asyncio.run(main())] == [(version, True) for version in Version]


@pytest.mark.parametrize("login", [None, ("alice", None), ("alice", "sesame")])
def test_a_probe_is_an_ordinary_client_with_the_brokers_login(login: Login) -> None:
    seen: list[Connect] = []

    def welcome(packet: Connect) -> bytes:
        seen.append(packet)
        return WELCOME_5 if packet.version is V5 else WELCOME_311

    async def main() -> Survey:
        async with broker_that(welcome) as address:
            return await survey("it", address, login)

    assert asyncio.run(main()).absent == {}
    assert {packet.version for packet in seen} == set(Version)
    assert len({packet.client_id for packet in seen}) == len(Version)  # none takes over another
    for packet in seen:
        assert len(packet.client_id) <= 23  # [3.1.1 MQTT-3.1.3-5]
        assert packet.username == (login and login[0])
        assert packet.password == (login and login[1] and login[1].encode("utf-8", "surrogateescape"))


def test_a_version_that_cannot_carry_the_login_is_not_there() -> None:
    """Only 3.1 has passwords of characters alone. [3.1 MQTT31-10]"""

    async def main() -> Survey:
        async with broker_that(lambda packet: WELCOME_5 if packet.version is V5 else WELCOME_311) as address:
            return await survey("it", address, ("alice", "s\udcffsame"))

    found = asyncio.run(main())
    assert found.absent == {"3.1": "it cannot be given its login in MQTT 3.1: a password is a string [3.1 MQTT31-10]"}
    found.check(set(found.absent), has_login=True)


@pytest.mark.parametrize(
    ("said", "clause"), [("Connection refused", "connection refused"), ("TLS failed", "TLS failed"), ("", "")]
)
def test_what_a_system_says_stands_behind_a_colon(said: str, clause: str) -> None:
    assert as_clause(said) == clause
