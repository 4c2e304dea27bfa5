"""`pub` and `sub` told something that cannot be: one line says what, and the exit status."""

import asyncio
import re

import pytest

from reference_broker.command import pub, sub
from reference_broker.command.absent import ABSENT

pytestmark = pytest.mark.usefixtures("on_both_loops")


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
