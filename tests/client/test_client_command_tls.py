"""`pub` and `sub` over TLS and Unix sockets."""

import asyncio
import shutil
import ssl
import subprocess

import pytest
import trustme
from client_command import lines

from reference_broker.command import pub, sub
from reference_broker.net.config import ServerConfig
from reference_broker.testing import running_broker

HASH = "b5b38e06.0"
"""What `openssl rehash` calls the certificate of an authority with the names of the test."""

pytestmark = pytest.mark.usefixtures("on_both_loops")


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
