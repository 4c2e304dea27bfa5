"""The commands `pub` and `sub`, as a person at a terminal uses them."""

import asyncio
import io
import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import trustme

from reference_broker.client import Message
from reference_broker.command import pub, sub
from reference_broker.command.absent import ABSENT
from reference_broker.command.message_format import FormatError, MessageFormat
from reference_broker.net.address import Transport
from reference_broker.net.blocking import BlockingClient
from reference_broker.net.config import ServerConfig
from reference_broker.net.reconnection import Reconnection
from reference_broker.net.stream import Stream
from reference_broker.testing import running_broker
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS

HASH = "b5b38e06.0"
"""What `openssl rehash` calls the certificate of an authority with the names of the test."""

pytestmark = pytest.mark.usefixtures("on_both_loops")


@pytest.fixture
def at(address):
    """The options that say where the broker is."""
    return ["-h", address.host, "-p", str(address.port)]


@pytest.fixture
def listener(address):
    with BlockingClient(address) as client:
        yield client


def lines(capsysbinary):
    return capsysbinary.readouterr().out.decode().splitlines()


class TestPub:
    def test_a_message(self, at, listener):
        listener.subscribe("pub/m", qos=2)
        assert pub.main([*at, "-t", "pub/m", "-m", "hello", "-q", "1"]) == 0
        message = listener.receive(5)
        assert (message.payload, message.qos, message.retain) == (b"hello", 1, False)

    @pytest.mark.parametrize("version", ["31", "311", "5", "mqttv31", "mqttv311", "mqttv5", "3.1", "3.1.1", "5.0"])
    def test_every_name_of_a_version(self, at, version, capsysbinary):
        assert pub.main([*at, "-V", version, "-t", "pub/v", "-n", "-d"]) == 0
        spoken = {"31": "3.1", "311": "3.1.1", "5": "5.0"}[version.removeprefix("mqttv").replace(".", "").rstrip("0")]
        assert f"sending CONNECT {spoken} " in lines(capsysbinary)[0]

    def test_a_property_asks_for_the_version_that_has_it(self, at, listener, capsysbinary):
        assert pub.main([*at, "-t", "pub/p", "-n", "-d", "-D", "publish", "content-type", "text/plain"]) == 0
        assert "sending CONNECT 5.0 " in lines(capsysbinary)[0]

    @pytest.mark.parametrize("payload", ["-starts-with-a-dash", "", "-5", "--retain", "ünïcode"])
    def test_any_payload_can_be_given(self, at, listener, payload):
        listener.subscribe("pub/any")
        assert pub.main([*at, "-t", "pub/any", "-m", payload]) == 0
        assert listener.receive(5).payload == payload.encode()

    def test_a_file_and_an_empty_message(self, at, listener, tmp_path):
        listener.subscribe("pub/f")
        file = tmp_path / "payload"
        file.write_bytes(bytes(range(256)))
        assert pub.main([*at, "-t", "pub/f", "-f", str(file)]) == 0
        assert pub.main([*at, "-t", "pub/f", "-n"]) == 0
        assert [listener.receive(5).payload for _ in range(2)] == [bytes(range(256)), b""]

    def test_standard_input_as_one_message(self, at, listener, monkeypatch):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a\nb\n")))
        listener.subscribe("pub/s")
        assert pub.main([*at, "-t", "pub/s", "-s"]) == 0
        assert listener.receive(5).payload == b"a\nb\n"

    @pytest.mark.parametrize("qos", ["0", "1", "2"])
    def test_standard_input_line_by_line_in_order(self, at, listener, monkeypatch, qos):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"first\n\n" + b"".join(
            b"%d\n" % number for number in range(100)) + b"no newline")))  # fmt: skip
        listener.subscribe(f"pub/l{qos}", qos=2)
        assert pub.main([*at, "-t", f"pub/l{qos}", "-l", "-q", qos, "-V", "5"]) == 0
        expected = [b"first", b"", *(b"%d" % number for number in range(100)), b"no newline"]
        assert [listener.receive(5).payload for _ in expected] == expected

    def test_repetitions(self, at, listener):
        listener.subscribe("pub/repeat")
        assert pub.main([*at, "-t", "pub/repeat", "-m", "x", "--repeat", "3"]) == 0
        assert [listener.receive(5).payload for _ in range(3)] == [b"x"] * 3

    def test_properties(self, at, listener):
        listener.subscribe("pub/d")
        options = "-V 5 -D publish content-type text/plain -D publish user-property k v -D publish user-property k w"
        options += " -D publish response-topic r -D publish correlation-data c -D publish payload-format-indicator 1"
        options += " -D connect receive-maximum 5 -D publish message-expiry-interval 4294967295"
        assert pub.main([*at, *options.split(), "-t", "pub/d", "-m", "x"]) == 0
        properties = listener.receive(5).properties
        assert properties.user_property == (("k", "v"), ("k", "w"))
        assert (properties.content_type, properties.response_topic) == ("text/plain", "r")
        assert (properties.correlation_data, properties.payload_format_indicator) == (b"c", 1)

    def test_every_transport_by_options_and_by_url(self, broker, listener, tmp_path):
        listener.subscribe("pub/url")
        ca = str(broker[Transport.TLS].ca_file)
        for transport, address in broker.items():
            by_options = ["-h", address.host, "-p", str(address.port), *(["--ws"] if transport.is_websocket else [])]
            trust = ["--cafile", ca] if transport.is_encrypted else []
            assert pub.main([*by_options, *trust, "-t", "pub/url", "-m", transport]) == 0
            assert listener.receive(5).payload == transport.encode()
            topic = ["-t", "pub/url"] if transport.is_websocket else []
            url = address.url + ("" if transport.is_websocket else "/pub/url")
            assert pub.main(["-L", url, *trust, *topic, "-m", url]) == 0
            assert listener.receive(5).payload == url.encode()

    @pytest.mark.parametrize("nodelay", [[], ["--nodelay"]])
    def test_small_packets_never_wait_for_larger_ones(self, at, listener, nodelay, monkeypatch):
        delayed = []

        def noting(connection, transport):
            made(connection, transport)
            sock = transport.get_extra_info("socket")
            delayed.append(not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

        made = Stream.connection_made
        monkeypatch.setattr(Stream, "connection_made", noting)
        listener.subscribe("pub/nodelay")
        assert pub.main([*at, *nodelay, "-t", "pub/nodelay", "-m", "x"]) == 0
        assert listener.receive(5).payload == b"x"
        assert delayed == [False]

    def test_a_refused_message_is_an_error(self, scripted_server, run, capsys):
        async def script(server):
            await server.accept()
            await server.expect("32")
            server.send("40 03 00 01 87")
            await server.wait_for_end()

        async def main():
            async with scripted_server(script) as server:
                argv = ["-V", "5", "-p", str(server.address.port), "-h", "127.0.0.1", "-t", "t", "-m", "x", "-q", "1"]
                return await asyncio.to_thread(pub.main, argv)

        assert run(main()) == 0x87
        assert capsys.readouterr().err == "Error: Publish 1 failed: Not authorized.\n"

    def test_a_lost_connection_is_an_error(self, scripted_server, run, capsys):
        async def script(server):
            await server.accept("20 02 00 00")
            await server.expect("32")

        async def main():
            async with scripted_server(script) as server:
                argv = ["-p", str(server.address.port), "-h", "127.0.0.1", "-t", "t", "-m", "x", "-q", "1"]
                return await asyncio.to_thread(pub.main, argv)

        assert run(main()) == 7
        assert re.fullmatch(r"Error: .*\n", capsys.readouterr().err)


class TestSub:
    @pytest.fixture(autouse=True)
    def retained(self, listener):
        """Three retained messages to read back."""
        listener.publish("sub/a", "A", retain=True, qos=1)
        listener.publish("sub/b", b"\xff\n", retain=True, qos=1)
        listener.publish("sub/c/d", "", retain=True, qos=1)
        listener.publish("sub/c/d", "C", retain=True, qos=1)

    def test_messages_are_printed_and_counted(self, at, capsysbinary):
        assert sub.main([*at, "-t", "sub/#", "-C", "3"]) == 0
        assert sorted(capsysbinary.readouterr().out.split(b"\n")) == [b"", b"", b"A", b"C", b"\xff"]

    def test_topics_can_be_repeated_and_shown(self, at, capsysbinary):
        assert sub.main([*at, "-v", "-t", "sub/c/+", "-t", "sub/a", "-C", "2", "-V", "31"]) == 0
        assert sorted(lines(capsysbinary)) == ["sub/a A", "sub/c/d C"]

    def test_a_format(self, at, capsysbinary):
        assert sub.main([*at, "-t", "sub/a", "-C", "1", "-q", "1", "-F", r"%t\t%p %q %r %l %x", "-N"]) == 0
        assert capsysbinary.readouterr().out == b"sub/a\tA 1 1 1 41"

    def test_time_is_up(self, at, capsys):
        assert sub.main([*at, "-t", "sub/nothing", "-W", "0.05"]) == 27
        assert capsys.readouterr().err == "Timed out\n"

    def test_topics_can_be_filtered_out(self, at, capsysbinary):
        assert sub.main([*at, "-v", "-t", "sub/#", "-T", "sub/b", "-T", "sub/c/#", "-C", "1"]) == 0
        assert lines(capsysbinary) == ["sub/a A"]

    def test_retained_messages_can_be_left_out_chosen_and_removed(self, at, capsysbinary):
        assert sub.main([*at, "-t", "sub/#", "-R", "-W", "0.05", "--quiet"]) == 27
        assert lines(capsysbinary) == []
        assert sub.main([*at, "-t", "sub/a", "--retained-only", "--remove-retained", "-C", "1"]) == 0
        assert sub.main([*at, "-t", "sub/a", "-W", "0.05"]) == 27
        assert lines(capsysbinary) == ["A"]

    def test_it_ends_when_subscribed_if_asked_to(self, at, capsysbinary):
        assert sub.main([*at, "-t", "sub/#", "-E", "-d"]) == 0
        output = lines(capsysbinary)
        assert any("received SUBACK" in line for line in output)
        assert "sending DISCONNECT" in output[-1]

    def test_a_kept_session_is_gone_on_with(self, at, listener, capsysbinary):
        kept = [*at, "-V", "5", "-c", "-i", "sub-kept", "-t", "sub/kept", "-q", "1"]
        assert sub.main([*kept, "-E"]) == 0
        listener.publish("sub/kept", "while away", 1)
        assert sub.main([*kept, "-C", "1", "-x", "0"]) == 0
        assert lines(capsysbinary) == ["while away"]

    def test_unsubscribe_works_on_a_kept_session(self, at, listener):
        kept = [*at, "-V", "311", "-c", "-i", "sub-less"]
        assert sub.main([*kept, "-t", "sub/less", "-q", "1", "-E"]) == 0
        assert sub.main([*kept, "-U", "sub/less", "-E"]) == 0
        listener.publish("sub/less", "x", 1)
        assert sub.main([*kept, "-t", "sub/never", "-W", "0.05", "--quiet"]) == 27

    def test_the_will_is_announced(self, at, listener, scripted_server, run):
        async def script(server):
            packet = await server.expect("10")
            assert "00 01 77 00 04 67 6f 6e 65" in packet  # topic w, payload gone
            assert "18 00 00 00 05" in packet  # will delay interval
            assert packet[27:29] == "2e"  # clean start, will, QoS 1, retain
            server.send("20 03 00 87 00")

        async def main():
            async with scripted_server(script) as server:
                will = "--will-topic w --will-payload gone --will-qos 1 --will-retain -D will will-delay-interval 5"
                argv = ["-V", "5", "-h", "127.0.0.1", "-p", str(server.address.port), *will.split(), "-t", "t"]
                return await asyncio.to_thread(sub.main, argv)

        assert run(main()) == 0x87

    @pytest.mark.parametrize(
        ("suback", "code", "warnings"), [("90 05 00 01 00 87 80", 0x87, 2), ("90 05 00 01 00 00 87", 27, 1)]
    )
    def test_refused_subscriptions(self, scripted_server, run, capsys, suback, code, warnings):
        async def script(server):
            await server.accept()
            await server.expect("82")
            server.send(suback)
            await server.wait_for_end()

        async def main():
            async with scripted_server(script) as server:
                argv = ["-V", "5", "-h", "127.0.0.1", "-p", str(server.address.port), "-t", "a", "-t", "b", "-W", "0.2"]
                return await asyncio.to_thread(sub.main, argv)

        assert run(main()) == code
        assert capsys.readouterr().err.count("Warning: subscription to ") == warnings

    def test_a_lost_connection_is_made_again_and_subscribed_anew(self, scripted_server, run, capsysbinary, monkeypatch):
        monkeypatch.setattr(sub, "Reconnection", lambda *_: Reconnection(0.0, 0.0))

        async def first(server):
            await server.accept("20 02 00 00")
            await server.expect("82")
            server.send("90 03 00 01 00")

        async def second(server):
            await server.accept("20 02 00 00")
            await server.expect("82")
            server.send("90 03 00 02 00 30 04 00 01 74 78")
            await server.wait_for_end()

        async def main():
            async with scripted_server(first, second) as server:
                argv = ["-h", "127.0.0.1", "-p", str(server.address.port), "-t", "t", "-C", "1", "-W", "5"]
                return await asyncio.to_thread(sub.main, argv)

        assert run(main()) == 0
        assert lines(capsysbinary) == ["x"]


class TestMistakes:
    """One clear line and an exit code, never a traceback."""

    @pytest.mark.parametrize(
        ("command", "argv", "expected"),
        [
            (pub, "-m x", "Exactly one topic"),
            (pub, "-t a -t b -m x", "Exactly one topic"),
            (pub, "-t a", "Exactly one of -m, -f, -n, -s and -l"),
            (pub, "-t a -m x -n", "Exactly one of -m, -f, -n, -s and -l"),
            (pub, "-t a/# -m x", "wildcards"),
            (pub, "-t a -f /no/such/file", "Unable to open file"),
            (pub, "-t a -m x --repeat 0", "--repeat"),
            (pub, "-t a -m x -c", "client id"),
            (pub, "-t a -m x -i a -I b", "cannot be used together"),
            (pub, "-t a -m x -V 4", "protocol version"),
            (pub, "-t a -m x -q 3", "Invalid QoS"),
            (pub, "-t a -m x -p none", "--port"),
            (pub, "-t a -m x -p 70000", "70000"),
            (pub, "-t a -m x --bogus", "--bogus"),
            (pub, "-t a -m x -h", "--host"),
            (pub, "-t a -m x -L http://h/t", "Unsupported URL"),
            (pub, "-t a -m x -V 311 -D publish content-type c", "needs -V 5"),
            (pub, "-t a -m x -V 5 -D publish", "-D needs"),
            (pub, "-t a -m x -V 5 -D nothing content-type c", "Invalid command"),
            (pub, "-t a -m x -V 5 -D publish bogus c", "Invalid property name"),
            (pub, "-t a -m x -V 5 -D publish maximum-qos 1", "not allowed"),
            (pub, "-t a -m x -V 5 -D publish topic-alias x", "number"),
            (pub, "-t a -m x -V 5 -D publish topic-alias 1 -D publish topic-alias 2", "twice"),
            (pub, "-t a -m x -V 5 -x 5 -D connect session-expiry-interval 1", "twice"),
            (pub, "-t a -m x -V 5 -x soon", "out of range"),
            (pub, "-t a -m x --will-payload p", "no will topic"),
            (pub, "-t a -m x --will-topic a/+", "topic name"),
            (pub, "-t a -m x -k 70000", "Keep Alive"),
            (pub, "-t a -m x -P secret", "user name"),
            (pub, "-t a -m x --cafile /no/such/ca", "/no/such/ca"),
            (pub, "-t a -m x --tls --cert /no/such/cert --key /no/such/key", "/no/such/cert"),
            (pub, "-t a -m x --tls --cert c.pem", "Both --cert and --key"),
            (sub, "-t a --tls --key k.pem", "Both --cert and --key"),
            (pub, "-t a -m x --cert c.pem --key k.pem", "--cert is of no use without TLS"),
            (sub, "-t a --insecure", "--insecure is of no use without TLS"),
            (pub, "-L mqtt://127.0.0.1:1/a -m x --cafile ca.pem", "--cafile is of no use without TLS"),
            (pub, "-t a -m x --capath /no/such/folder", "/no/such/folder"),
            (sub, "-t a --tls-alpn mqtt", "--tls-alpn is of no use without TLS"),
            (sub, "-t a --tls-version tlsv1.2", "--tls-version is of no use without TLS"),
            (sub, "-t a --tls --tls-version tlsv1.1", "expected tlsv1.2 or tlsv1.3"),
            (sub, "-L mqtt://127.0.0.1:1/a --tls-use-os-certs", "--tls-use-os-certs is of no use without TLS"),
            (pub, "-t a -m x --unix /no/such/socket", "--unix takes the place of -h, -p and -L"),
            (pub, "-L mqtt://h/a -m x --unix /no/such/socket", "--unix takes the place of -h, -p and -L"),
            (pub, "-h 127.0.0.1 -p 1 -t a -m x", "cannot connect to 127.0.0.1:1"),
            (sub, "", "topic to subscribe to"),
            (sub, "-t a#", "#"),
            (sub, "-t a -C 0", "message count"),
            (sub, "-t a -W 0", "timeout"),
            (sub, "-t a -F %z", "Invalid format specifier 'z'"),
            (sub, "-t a -R --retained-only", "makes no sense"),
            (sub, "-t a -T a#", "#"),
        ],
    )
    def test_it_is_said_in_one_line(self, at, capsys, command, argv, expected):
        where = [] if "-h" in argv.split() or "-L" in argv else at
        assert command.main([*where, *argv.split()]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert re.fullmatch(r"Error: [^\n]*\n", captured.err)
        assert expected in captured.err

    @pytest.mark.parametrize(
        ("version", "connack", "code", "name"),
        [("311", "20 02 00 05", 5, "Not authorized"), ("5", "20 03 00 87 00", 0x87, "Not authorized")],
    )
    def test_a_refused_connection_gives_the_servers_code(
        self, scripted_server, run, capsys, version, connack, code, name
    ):
        async def script(server):
            await server.accept(connack)

        async def main():
            async with scripted_server(script) as server:
                argv = ["-V", version, "-h", "127.0.0.1", "-p", str(server.address.port), "-t", "t", "-m", "x"]
                return await asyncio.to_thread(pub.main, argv)

        assert run(main()) == code
        assert capsys.readouterr().err == f"Connection error: {name}\n"

    def test_quiet_says_nothing(self, capsys):
        assert pub.main(["-h", "127.0.0.1", "-p", "1", "-t", "a", "-m", "x", "--quiet"]) == 1
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize("command", [pub, sub])
    def test_help_names_every_option(self, capsys, command):
        assert command.main(["--help"]) == 0
        shown = capsys.readouterr().out
        tls = ("--cafile", "--capath", "--tls-use-os-certs", "--tls-version", "--tls-alpn", "--cert", "--key")
        for option in ("-h HOST", "--help", "--will-topic", "-D", *tls, "--insecure", "--ws", "-L URL", "--unix"):
            assert option in shown

    @pytest.mark.parametrize("command", [pub, sub])
    @pytest.mark.parametrize("option", ABSENT)
    def test_an_option_only_mosquitto_has_is_answered_with_what_to_do_instead(self, at, capsys, command, option):
        for written in ([option, "value"], [f"{option}=value"]):
            assert command.main([*at, "-t", "a", *written]) == 1
            assert capsys.readouterr().err == f"Error: {written[0]} of mosquitto is not here: {ABSENT[option]}.\n"
        assert command.main(["--help"]) == 0
        assert not re.search(rf"^ +{option}\b", capsys.readouterr().out, re.MULTILINE)

    def test_the_value_of_an_option_may_look_like_one_that_is_not_here(self, at, listener):
        listener.subscribe("pub/absent")
        assert pub.main([*at, "-t", "pub/absent", "-m", "--psk"]) == 0
        assert listener.receive(5).payload == b"--psk"


class TestUnix:
    """A Unix socket in the place of host and port."""

    @pytest.fixture
    def unix(self, tmp_path):
        with running_broker(ServerConfig(unix=tmp_path / "broker.sock")) as running:
            assert str(running.address) == f"mqtt+unix:{tmp_path}/broker.sock"
            yield ["--unix", str(tmp_path / "broker.sock")]

    def test_a_message_is_published_and_received_by_it(self, unix, capsysbinary):
        assert pub.main([*unix, "-t", "pub/unix", "-m", "kept", "-r", "-q", "1"]) == 0
        assert sub.main([*unix, "-t", "pub/unix", "-C", "1", "-W", "5", "-v"]) == 0
        assert lines(capsysbinary) == ["pub/unix kept"]

    @pytest.mark.skipif(shutil.which("mosquitto_sub") is None, reason="mosquitto's clients are not installed")
    def test_it_means_what_it_does_with_mosquittos_clients(self, unix):
        assert pub.main([*unix, "-t", "pub/unix", "-m", "kept", "-r", "-q", "1"]) == 0
        argv = ["mosquitto_sub", *unix, "-t", "pub/unix", "-C", "1", "-W", "5"]
        assert subprocess.run(argv, timeout=10, check=True, capture_output=True).stdout == b"kept\n"

    def test_a_file_that_is_not_there_is_named(self, tmp_path, capsys):
        assert pub.main(["--unix", str(tmp_path / "none"), "-t", "a", "-m", "x"]) == 1
        assert capsys.readouterr().err == f"Error: cannot connect to {tmp_path}/none: No such file or directory\n"


class TestTls:
    """A server whose certificate names another host, and one that wants to see the client's."""

    @pytest.fixture
    def authority(self):
        return trustme.CA()

    @pytest.fixture
    def ca(self, authority, tmp_path):
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        return ["--cafile", str(tmp_path / "ca.pem")]

    async def served(self, context, argv, asked=ssl.SSLObject.getpeercert):
        """The exit code of `pub` against one TLS server, and the certificate it showed, with the packets it sent.

        Instead of the certificate it may be `asked` something else of the connection.
        """
        seen = []

        async def serve(reader, writer):
            seen.append(asked(writer.get_extra_info("ssl_object")))
            seen.append(await reader.readexactly(2))
            writer.write(bytes.fromhex("20 02 00 00"))
            seen.append(await reader.read())
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            where = ["-h", "127.0.0.1", "-p", str(port)]
            return await asyncio.to_thread(pub.main, [*where, *argv, "-t", "t", "-m", "x"]), seen

    def server_context(self, authority, *names):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(context)
        return context

    def test_the_host_name_of_a_certificate_is_checked_unless_insecure(self, authority, ca, run, capsys):
        context = self.server_context(authority, "elsewhere.example")
        assert run(self.served(context, ca)) == (1, [])
        assert "certificate verify failed" in capsys.readouterr().err
        code, (_, first, _) = run(self.served(context, [*ca, "--insecure"]))
        assert (code, first[0]) == (0, 0x10)

    def test_insecure_still_wants_a_certificate_it_can_trust(self, authority, run, capsys, tmp_path):
        trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
        argv = ["--cafile", str(tmp_path / "other.pem"), "--insecure"]
        assert run(self.served(self.server_context(authority, "127.0.0.1"), argv)) == (1, [])
        assert "certificate verify failed" in capsys.readouterr().err

    def test_the_client_shows_its_certificate_to_a_server_that_asks(self, authority, ca, run, tmp_path):
        context = self.server_context(authority, "127.0.0.1")
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        own = authority.issue_cert("sensor.example")
        own.private_key_pem.write_to_path(tmp_path / "key.pem")
        own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        argv = [*ca, "--cert", str(tmp_path / "cert.pem"), "--key", str(tmp_path / "key.pem")]
        code, (certificate, *_) = run(self.served(context, argv))
        assert code == 0
        assert certificate["subjectAltName"] == (("DNS", "sensor.example"),)

    def test_a_folder_of_authorities_is_trusted_by_the_hashes_of_their_names(self, run, capsys, tmp_path):
        authority = trustme.CA(organization_name="o", organization_unit_name="u")
        context = self.server_context(authority, "127.0.0.1")
        authority.cert_pem.write_to_path(tmp_path / "ca.crt")
        assert run(self.served(context, ["--capath", str(tmp_path)])) == (1, [])
        assert f"no file is named by its hash; openssl rehash {tmp_path}" in capsys.readouterr().err
        (tmp_path / "ca.crt").rename(tmp_path / HASH)
        code, (_, first, _) = run(self.served(context, ["--capath", str(tmp_path)]))
        assert (code, first[0]) == (0, 0x10)

    def test_what_the_system_trusts_is_trusted_too_where_that_is_asked_for(
        self, authority, ca, run, capsys, tmp_path, monkeypatch
    ):
        context = self.server_context(authority, "127.0.0.1")
        trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
        monkeypatch.setenv("SSL_CERT_FILE", ca[1])
        other = ["--cafile", str(tmp_path / "other.pem")]
        assert run(self.served(context, other)) == (1, [])
        assert "certificate verify failed" in capsys.readouterr().err
        for argv in ([*other, "--tls-use-os-certs"], ["--tls-use-os-certs"]):
            assert run(self.served(context, argv))[0] == 0

    @pytest.mark.parametrize(("spoken", "fails"), [("TLSv1_2", ["tlsv1.3"]), ("TLSv1_3", [])])
    def test_no_older_tls_is_spoken_than_asked_for(self, authority, ca, run, spoken, fails):
        context = self.server_context(authority, "127.0.0.1")
        context.minimum_version = context.maximum_version = ssl.TLSVersion[spoken]
        for version in ("tlsv1.2", "tlsv1.3"):
            code, _ = run(self.served(context, [*ca, "--tls-version", version]))
            assert code == (1 if version in fails else 0), version

    def test_a_port_that_has_several_protocols_is_told_which(self, authority, ca, run):
        context = self.server_context(authority, "127.0.0.1")
        context.set_alpn_protocols(["http/1.1", "mqtt"])
        asked = ssl.SSLObject.selected_alpn_protocol
        assert run(self.served(context, [*ca, "--tls-alpn", "mqtt"], asked))[1][0] == "mqtt"
        assert run(self.served(context, ca, asked))[1][0] is None


class TestProcess:
    """What needs a process: signals and a reader that goes away."""

    def start(self, *argv, command="sub", stdin=subprocess.DEVNULL):
        code = f"import sys; from reference_broker.command import {command}; sys.exit({command}.main())"
        return subprocess.Popen(
            [sys.executable, "-c", code, *argv],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_it_cleanly(self, at, number):
        with self.start(*at, "-t", "sub/signal", "-d") as process:
            while b"SUBACK" not in (line := process.stdout.readline()):
                assert line
            process.send_signal(number)
            out, err = process.communicate(timeout=5)
        assert process.returncode == 0
        assert b"sending DISCONNECT" in out
        assert err == b""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_it_cleanly_while_it_waits_for_a_line(self, at, number):
        with self.start(*at, "-t", "pub/signal", "-l", "-d", command="pub", stdin=subprocess.PIPE) as process:
            process.stdin.write(b"one\n")
            process.stdin.flush()
            while b"PUBLISH" not in (line := process.stdout.readline()):
                assert line
            process.send_signal(number)
            assert process.wait(timeout=5) == 130
            assert process.stderr.read() == b""

    def test_a_standard_input_that_is_closed_is_said_in_one_line(self, at):
        code = "import sys; from reference_broker.command import pub; sys.stdin = None; sys.exit(pub.main())"
        run = subprocess.run(
            [sys.executable, "-c", code, *at, "-t", "pub/closed", "-l"], capture_output=True, check=False, timeout=10
        )
        assert (run.returncode, run.stderr) == (1, b"Error: Standard input is closed.\n")

    def test_a_reader_that_goes_away_ends_it_without_a_traceback(self, at, listener):
        listener.publish("sub/pipe", "x", qos=1, retain=True)
        with self.start(*at, "-t", "sub/pipe", "-v") as process:
            process.stdout.close()
            assert process.wait(timeout=5) == 1
            assert process.stderr.read() == b""


MESSAGE = Message(
    1,
    "a/ü",
    b'{"n": 1}',
    QoS.AT_LEAST_ONCE,
    True,
    False,
    7,
    Properties(content_type="c", user_property=(("k", "v"), ("k", "w"), ("l", "x")), subscription_identifier=(1, 2)),
    topic_alias=3,
)
NOW = datetime(2030, 1, 2, 3, 4, 5, 678900, UTC)


class TestFormat:
    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            ("%t %p", 'a/ü {"n": 1}'),
            ("%q%r%m%l", "1178"),
            ("%x|%X", "7b226e223a20317d|7B226E223A20317D"),
            ("%C|%D|%E|%F|%R", "c||||"),
            ("%P", "k:v k:w l:x"),
            ("%S %A", "1 2 3"),
            ("%I %U", "2030-01-02T03:04:05+0000 1893553445.678900000"),
            ("@Y-@m @@ @N %%", "2030-01 @ 678900000 %"),
            (r"\t\\\n\e\0", "\t\\\n\033\0"),
        ],
    )
    def test_specifiers(self, template, expected):
        assert MessageFormat(template).render(MESSAGE, NOW) == expected.encode()

    def test_json(self):
        shown = json.loads(MessageFormat("%j").render(MESSAGE, NOW))
        assert shown == {
            "tst": "2030-01-02T03:04:05.678900Z+0000",
            "topic": "a/ü",
            "qos": 1,
            "retain": 1,
            "payloadlen": 8,
            "mid": 7,
            "properties": {
                "content-type": "c",
                "subscription-identifier": [1, 2],
                "user-properties": {"k": ["v", "w"], "l": "x"},
                "topic-alias": 3,
            },
            "payload": '{"n": 1}',
        }
        assert json.loads(MessageFormat("%J", pretty=True).render(MESSAGE, NOW))["payload"] == {"n": 1}

    def test_json_of_a_payload_that_is_none(self):
        message = Message(1, "t", b"no json", QoS.AT_MOST_ONCE, False, False, None)
        with pytest.raises(FormatError, match="not valid JSON on topic t"):
            MessageFormat("%J").render(message, NOW)
        assert "mid" not in json.loads(MessageFormat("%j").render(message, NOW))

    @pytest.mark.parametrize("template", ["%z", "%", "\\q", "\\", "@!", "@"])
    def test_what_is_no_format_is_refused(self, template):
        with pytest.raises(FormatError):
            MessageFormat(template)
