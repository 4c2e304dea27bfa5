"""Addresses as values and as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from reference_broker.net.address import Address, Login, Transport, without_login


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost", Address("localhost", 1883)),
        ("127.0.0.1:1884", Address("127.0.0.1", 1884)),
        ("[::1]:1884", Address("::1", 1884)),
        ("mqtt://host", Address("host", 1883)),
        ("tcp://host:1", Address("host", 1)),
        ("mqtts://host", Address("host", 8883, Transport.TLS)),
        ("tls://host:1", Address("host", 1, Transport.TLS)),
        ("ws://host", Address("host", 80, Transport.WS)),
        ("ws://host:8080/path", Address("host", 8080, Transport.WS, path="/path")),
        ("wss://host/", Address("host", 443, Transport.WSS, path="/")),
        ("host:0", Address("host", 0)),
    ],
)
def test_text_names_an_address(text: str, expected: Address) -> None:
    assert Address.parse(text) == expected


def test_the_ca_file_goes_along() -> None:
    assert Address.parse("mqtts://host", ca_file=Path("ca.pem")).ca_file == Path("ca.pem")


@pytest.mark.parametrize("text", ["", ":1883", "http://host", "host:port", "host:65536", "mqtt://"])
def test_text_that_names_none_is_refused_and_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected host:port|no usable port|is not between"):
        Address.parse(text)


@pytest.mark.parametrize("url", ["mqtt://h:1", "mqtts://[::1]:2", "ws://h:3/mqtt", "wss://h:4/x"])
def test_a_url_survives_parsing_and_writing(url: str) -> None:
    assert str(Address.parse(url)) == url


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_outside_sixteen_bits_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match=f"port {port}"):
        Address("host", port)


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("mqtt://ann:sesame@host", Login("ann", b"sesame")),
        ("ann:sesame@host:1", Login("ann", b"sesame")),
        ("wss://ann@host/mqtt", Login("ann")),
        ("mqtt://ann:@host", Login("ann", b"")),
        ("mqtt://gr%C3%B6%C3%9Fe:%00%FF%2F%40%3A@host", Login("größe", b"\x00\xff/@:")),
        ("mqtt://ann:a@b@host", Login("ann", b"a@b")),
        ("mqtt://host", None),
        ("ws://host/p@th", None),
    ],
)
def test_a_url_may_bring_a_login(text: str, login: Login | None) -> None:
    address = Address.parse(text)
    assert (address.login, address.host) == (login, "host")


def test_no_text_of_an_address_shows_its_login() -> None:
    address = Address.parse("mqtts://ann:sesame@host:1")
    for text in (str(address), repr(address), address.url, address.host_and_port, repr(address.login)):
        assert "sesame" not in text
        assert "ann" not in text


@pytest.mark.parametrize(
    "text",
    ["http://ann:sesame@host", "mqtt://ann:se/same@host", "mqtt://ann:sesame#@host", "ann:sesame@host:x",
     "mqtt://ann:sesame@[host", "mqtt://%FF:sesame@host", "mqtt://ann:sesame@"],
)  # fmt: skip
def test_no_error_about_an_address_shows_its_login(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no address|no usable port|no UTF-8") as caught:
        Address.parse(text)
    assert "same" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("mqtt://a:b@h:1", "mqtt://h:1"), ("a:b@h:1", "h:1"), ("a:x://y@h", "h"), ("h:1", "h:1"), ("a:p@q://w@h", "h")],
)
def test_a_text_loses_what_may_be_a_login(text: str, shown: str) -> None:
    assert without_login(text) == shown
