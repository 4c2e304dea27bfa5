"""`pub` and `sub` as a person uses them."""

import asyncio
import io
import re
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
from client_command import lines

from reference_broker.command import pub, sub
from reference_broker.net.address import Transport
from reference_broker.net.reconnection import Reconnection
from reference_broker.net.stream import Stream

pytestmark = pytest.mark.usefixtures("on_both_loops")


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
