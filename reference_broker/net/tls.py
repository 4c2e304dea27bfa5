"""TLS around MQTT: contexts for both ends, the wrapping, and certificates for tests.

Belongs here: everything that touches `ssl`.
Does not belong here: sockets; a `TlsWrapping` works on bytes in memory.
"""

from __future__ import annotations

import contextlib
import re
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference_broker.net.address import TlsVersion
from reference_broker.net.errors import BadPeer, CertificateUnusable, reason_of

_VERSIONS: dict[TlsVersion, ssl.TLSVersion] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_NAMED_BY_HASH = re.compile(r"[0-9a-f]{8}\.\d+")
"""How OpenSSL looks for a certificate in a folder."""

_RECORD_SIZE = 16_384  # a TLS record holds no more, so one read cannot either [RFC 8446 5.1]


@dataclass(frozen=True, slots=True)
class TestCertificates:
    """PEM files of a throw-away certificate authority and of a server certificate it signed."""

    __test__ = False  # the name would make pytest collect it

    ca_file: Path
    cert_file: Path
    key_file: Path


def make_test_certificates(folder: Path) -> TestCertificates:
    """Give certificates for localhost, 127.0.0.1 and ::1 in `folder`, made on the first call and reused after it.

    Several processes may call it for the same folder at once: one of them makes the files, all use them.
    The folder must be absent or its own: it is not for other files.
    """
    certificates = TestCertificates(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    if certificates.key_file.exists():
        return certificates
    import trustme  # noqa: PLC0415 - pulls in `cryptography`, which only test certificates need

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        made = Path(scratch) / "certificates"
        made.mkdir()
        authority = trustme.CA()
        server = authority.issue_cert("localhost", "127.0.0.1", "::1")
        authority.cert_pem.write_to_path(made / "ca.pem")
        with (made / "cert.pem").open("wb") as chain:
            chain.writelines(blob.bytes() for blob in server.cert_chain_pems)
        server.private_key_pem.write_to_path(made / "key.pem")
        with contextlib.suppress(OSError):  # somebody else was first: theirs are as good
            made.rename(folder)
    return certificates


def server_context(
    cert_file: Path, key_file: Path, *, client_ca_file: Path | None = None, requires_certificate: bool = False
) -> ssl.SSLContext:
    """Build a server's context, TLS 1.2 and newer; raises CertificateUnusable with the file's name.

    With `client_ca_file` a client may show a certificate, or has to.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client that never reads would leave session tickets unread in its socket, and its FIN would become an RST.
    context.num_tickets = 0
    _load_certificate(context, cert_file, key_file)
    if client_ca_file is not None:
        _check_readable(client_ca_file)
        try:
            context.load_verify_locations(client_ca_file)
        except ssl.SSLError as error:
            raise CertificateUnusable(f"cannot use CA file {client_ca_file}: {_reason(error)}") from None
        context.verify_mode = ssl.CERT_REQUIRED if requires_certificate else ssl.CERT_OPTIONAL
    return context


def client_context(
    ca_file: Path | None,
    *,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    check_host_name: bool = True,
    ca_folder: Path | None = None,
    trusts_system: bool = False,
    minimum: TlsVersion = "1.2",
    alpn: str | None = None,
) -> ssl.SSLContext:
    """Build a client's context, TLS of `minimum` and newer, for what `Address` says of each argument.

    Raises CertificateUnusable with the file's name.
    """
    if ca_file is not None:
        _check_readable(ca_file)
    if ca_folder is not None:
        _check_hashed(ca_folder)
    try:
        context = ssl.create_default_context(cafile=ca_file, capath=ca_folder)
    except ssl.SSLError as error:
        raise CertificateUnusable(f"cannot use CA file {ca_file}: {_reason(error)}") from None
    if trusts_system:
        context.load_default_certs()
    context.minimum_version = _VERSIONS[minimum]
    if alpn is not None:
        context.set_alpn_protocols([alpn])
    context.check_hostname = check_host_name
    if cert_file is not None and key_file is not None:
        _load_certificate(context, cert_file, key_file)
    return context


def _load_certificate(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    for file in (cert_file, key_file):
        _check_readable(file)
    try:
        context.load_cert_chain(cert_file, key_file, password=lambda: _no_passphrase(key_file))
    except ssl.SSLError as error:
        raise CertificateUnusable(f"cannot use certificate {cert_file} with key {key_file}: {_reason(error)}") from None


class TlsWrapping:
    """One end of a TLS connection, on bytes in memory."""

    name = "TLS"
    has_more = False

    def __init__(self, context: ssl.SSLContext, *, server_hostname: str | None = None) -> None:
        """Start a client's end when `server_hostname` is given, else a server's."""
        self.is_open = False
        self.has_ended = False
        self.error: BadPeer | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_hostname is None, server_hostname=server_hostname
        )
        self._shake_hands()  # a client speaks first

    def receive(self, data: bytes) -> bytes:
        """Decrypt."""
        self._incoming.write(data)
        if not self.is_open and not self._shake_hands():
            return b""
        plain: list[bytes] = []
        try:
            while chunk := self._tls.read(_RECORD_SIZE):
                plain.append(chunk)
            self.has_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # instead of b"" once we said close_notify too
            self.has_ended = True
        except ssl.SSLError as error:
            self.error = BadPeer(f"TLS failed: {_reason(error)}")
        return b"".join(plain)

    def send(self, data: bytes) -> bytes:
        """Encrypt."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]  # takes one record at a time
        return self._outgoing.read()

    def peer_certificate(self) -> Mapping[str, Any]:
        """The peer's certificate where one was asked for and verified, as `ssl.SSLObject.getpeercert`; else empty."""
        return self._tls.getpeercert() or {}

    def take_reply(self) -> bytes:
        """Give handshake messages and alerts."""
        return self._outgoing.read()

    def close(self) -> bytes:
        """Say close_notify; we do not wait for the peer's. [RFC 8446 6.1]"""
        with contextlib.suppress(ssl.SSLError):  # it wants the peer's close_notify, or the handshake is not over
            self._tls.unwrap()
        return self._outgoing.read()

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:  # a certificate that fails verification is one too
            self.error = BadPeer(f"TLS handshake failed: {_reason(error)}")
            return False
        self.is_open = True
        return True


def _check_readable(file: Path) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise CertificateUnusable(f"cannot read {file}: {reason_of(error)}") from None


def _check_hashed(folder: Path) -> None:
    """OpenSSL says nothing of a folder in which it can find no certificate, and then trusts nobody."""
    try:
        is_hashed = any(_NAMED_BY_HASH.fullmatch(each.name) for each in folder.iterdir())
    except OSError as error:
        raise CertificateUnusable(f"cannot read {folder}: {reason_of(error)}") from None
    if not is_hashed:
        raise CertificateUnusable(
            f"cannot use CA folder {folder}: no file is named by its hash; openssl rehash {folder}"
        )


def _no_passphrase(key_file: Path) -> str:
    """Stand where OpenSSL would ask the terminal."""
    raise CertificateUnusable(f"cannot use key {key_file}: it is encrypted; give one without a passphrase")


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's reason without its function names and line numbers."""
    if error.reason is None and "PEM lib" in str(error):  # all that OpenSSL says of a file with something else in it
        return "one of them is no PEM file of that kind"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    return (error.reason or str(error)).replace("_", " ").lower()
