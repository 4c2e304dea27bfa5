"""Settings from a TOML file: every field of the broker, and clear words for what cannot be."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import reference_broker
from reference_broker.access.config import GuardedConfig
from reference_broker.broker import AccessRule, Action, BrokerConfig, ChallengeMethod, DropPolicy
from reference_broker.net.address import Address, Transport
from reference_broker.net.config import _GONE, ConfigError, ServerConfig, load_settings, make_config, setting_types

EVERY_KEY = """
host = "0.0.0.0"
port = 1
unix = "broker.sock"
tls_port = 2
ws_port = 3
wss_port = 4
cert = "server.pem"
key = "/absolute/key.pem"
ca = "ca.pem"
store = "state.sqlite"
receive_maximum = 10
maximum_qos = 1
retain_available = false
maximum_packet_size = 1000
topic_alias_maximum = 0
wildcard_subscription_available = false
subscription_identifier_available = false
shared_subscription_available = false
server_keep_alive = 30
session_expiry_maximum = 3600
response_information = "answers/"
connack_user_property = [["a", "1"], ["a", "2"]]
granted_qos_maximum = 1
outgoing_topic_alias_maximum = 0
assigned_client_id_prefix = "made-"
allow_empty_client_id = false
enforce_client_id_length_31 = true
no_matching_subscribers_reason = false
reason_strings = false
validate_payload_format = true
retry_31_seconds = 20
refuse_connect = 0x88
server_reference = "other:1883"
allow_anonymous = true
dollar_topics_between_clients = false
maximum_topic_levels = 12
maximum_half_open = 13
maximum_connect_size = 1400
maximum_connect_size_with_will = 1500
maximum_control_size = 1600
maximum_properties_size = 1700
maximum_filters = 18
maximum_subscriptions = 19
maximum_connections_per_address = 20
maximum_connects_per_second = 21
maximum_failed_logins_per_minute = 20
maximum_packets_per_second = 22
maximum_bytes_per_second = 23
maximum_topic_length = 24
queues_maximum_bytes = 25
memory_maximum_bytes = 26
tcp_keepalive_seconds = 27
opening_maximum_bytes = 15
incoming_maximum_bytes = 16
connect_timeout_seconds = 3
maximum_connections = 5
maximum_inflight = 6
queue_maximum_messages = 7
queue_maximum_bytes = 8
queue_drop_policy = "oldest"
queue_qos0_offline = true
retained_maximum_messages = 9
outgoing_maximum_bytes = 11
retained_maximum_bytes = 16
subscriptions_maximum_bytes = 17
sessions_maximum_bytes = 18
inflight_maximum_bytes = 19
backpressure_seconds = 0.5

[users]
alice = "secret"

[[access_rules]]
topic_filter = "secret/#"
action = "subscribe"
username = "alice"
allow = true

[[access_rules]]
topic_filter = "secret/#"

[[authentication_methods]]
method = "SAMPLE"
challenge = "who?"
response = "me"
"""


def load(folder: Path, text: str) -> ServerConfig:
    file = folder / "broker.toml"
    file.write_text(text)
    return make_config(load_settings(file))


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "") == ServerConfig()
    assert ServerConfig().listeners() == [Address("127.0.0.1", 1883)]


def test_every_setting_can_be_given(tmp_path: Path) -> None:
    config = load(tmp_path, EVERY_KEY)
    assert config.listeners() == [
        Address("localhost", 0, unix_socket=tmp_path / "broker.sock"),
        Address("0.0.0.0", 2, Transport.TLS, ca_file=tmp_path / "ca.pem"),
        Address("0.0.0.0", 3, Transport.WS),
        Address("0.0.0.0", 4, Transport.WSS, ca_file=tmp_path / "ca.pem"),
    ]
    assert (config.cert, config.key) == (tmp_path / "server.pem", Path("/absolute/key.pem"))
    assert config.store == tmp_path / "state.sqlite"
    broker = config.broker
    assert broker.connack_user_property == (("a", "1"), ("a", "2"))
    assert broker.queue_drop_policy is DropPolicy.OLDEST
    assert broker.users == {"alice": "secret"}
    assert broker.access_rules == (
        AccessRule("secret/#", Action.SUBSCRIBE, allow=True, username="alice"),
        AccessRule("secret/#"),
    )
    assert broker.authentication_methods == (ChallengeMethod("SAMPLE", b"who?", b"me"),)
    assert isinstance(broker.connect_timeout_seconds, float)


def test_the_example_with_every_key_has_every_key_and_no_default(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(EVERY_KEY)
    settings = load_settings(file)
    assert settings.keys() == setting_types().keys() - _GONE.keys()
    for cls in (ServerConfig, BrokerConfig):
        default = cls()
        for field in dataclasses.fields(cls):
            assert settings.get(field.name) != getattr(default, field.name), field.name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prot = 1", "unknown key 'prot', did you mean 'port'? allowed are access_rules, "),
        ("maximum-qos = 1", "unknown key 'maximum-qos', did you mean 'maximum_qos'? allowed are "),
        ("zzz = 1", "unknown key 'zzz'; allowed are access_rules, "),
        ("port = '1'", "port: expected a whole number, not '1'"),
        ("port = true", "port: expected a whole number, not true"),
        ("port = 1.5", "port: expected a whole number, not 1.5"),
        ("host = 1", "host: expected a string, not 1"),
        ("cert = 1", "cert: expected a file name, not 1"),
        ("retain_available = 1", "retain_available: expected true or false, not 1"),
        ("connect_timeout_seconds = 'x'", "connect_timeout_seconds: expected a number, not 'x'"),
        ("queue_drop_policy = 'all'", "queue_drop_policy: expected one of 'newest', 'oldest', not 'all'"),
        ("users = 'x'", "users: expected a table, not 'x'"),
        ("users = {a = 1}", "users.a: expected a string, not 1"),
        ("connack_user_property = 1", "connack_user_property: expected an array, not 1"),
        ("connack_user_property = [['a']]", "connack_user_property[0]: expected an array of 2, not of 1"),
        ("access_rules = [1]", "access_rules[0]: expected a table, not 1"),
        (
            "[[access_rules]]\ntopic = 'x'",
            "unknown key 'access_rules[0].topic', did you mean 'topic_filter'? allowed are action, allow, ",
        ),
        ("[[access_rules]]\nallow = true", "access_rules[0] lacks the key 'topic_filter'"),
        ("port", "not TOML: "),
    ],
)
def test_what_cannot_be_read_names_file_key_and_what_is_allowed(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'broker.toml'}: {expected}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("port = 65536", "port 65536 is not between 0 and 65535"),
        ("tls_port = 0", "tls_port needs a certificate and its key"),
        ("wss_port = 0\ncert = 'x'", "wss_port needs a certificate and its key"),
        ("maximum_qos = 3", "maximum_qos = 3 is not in 0..2"),
        ("[[access_rules]]\ntopic_filter = 'a/#/b'", "#"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load(tmp_path, text)


def test_a_broker_that_would_listen_nowhere_is_refused() -> None:
    with pytest.raises(ConfigError, match="listen nowhere"):
        ServerConfig(port=None)


def test_a_setting_that_is_gone_says_what_became_of_it(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text("store_interval_seconds = 4.0\n")
    with pytest.raises(ConfigError, match="everything is kept before it is answered now, so there is no interval"):
        load_settings(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"cannot read {tmp_path}/none.toml: No such file or directory"):
        load_settings(tmp_path / "none.toml")


def test_every_setting_that_bounds_memory_is_in_the_table_with_its_default() -> None:
    """And the table names no setting that there is not."""
    readme = (Path(reference_broker.__file__).parents[1] / "README.md").read_text()
    text = readme[readme.index("### What bounds a peer") : readme.index("## How fast is a broker?")]
    named = set(re.findall(r"`([a-z0-9_]+)`", text))
    default = BrokerConfig()
    assert named <= setting_types().keys()
    source = inspect.getsource(BrokerConfig)
    bounding = re.findall(r"^    (\w+): ", source[source.index("# What keeps memory bounded") :], re.MULTILINE)
    assert set(bounding) - {"queue_qos0_offline", "store_interval_seconds", "self"} <= named
    for name in bounding:
        value = getattr(default, name, None)
        if name.endswith(("_bytes", "_size")) and value is not None:
            assert any(f"`{name}`" in line and _in_words(value) in line for line in text.splitlines()), name


def _in_words(size: int) -> str:
    units = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
    return next(f"{size // unit} {name}" for unit, name in units if size >= unit)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "broker.example", "192.0.2.1"])
@pytest.mark.parametrize("cls", [ServerConfig, GuardedConfig])
def test_nobody_is_let_in_from_elsewhere_without_a_word(host: str, cls: type[ServerConfig]) -> None:
    with pytest.raises(ConfigError, match="--allow-anonymous") as caught:
        cls(host=host)
    assert "--password-file FILE" in str(caught.value)
    cls(host=host, broker=BrokerConfig(allow_anonymous=True))
    cls(host=host, broker=BrokerConfig(users={"alice": "secret"}))
    GuardedConfig(host=host, password_file=Path("users"))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_on_loopback_anybody_may_come(host: str) -> None:
    ServerConfig(host=host)


def test_the_word_may_be_one_listeners(tmp_path: Path) -> None:
    text = "[[listener]]\nname = 'lab'\nhost = '192.0.2.1'\nport = 1\n"
    file = tmp_path / "broker.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:1 would let in anybody"):
        make_config(load_settings(file, GuardedConfig), GuardedConfig)
    file.write_text(text + "allow_anonymous = true\n")
    config = make_config(load_settings(file, GuardedConfig), GuardedConfig)
    assert config.listeners()[1:] == [Address("192.0.2.1", 1)]


CERTIFIED = "name = 'a'\nport = 1\ntransport = 'tls'\nclient_certificate = 'required'\n"


@pytest.mark.parametrize(
    ("listener", "said"),
    [
        ("name = 'two words'\nport = 1\n", "listener[0]: a listener's name is one word, not 'two words'"),
        ("name = 'tcp'\nport = 1\n", "two listeners have the name tcp"),
        ("name = 'a'\nport = 1\ntransport = 'tls'\n", "listener a needs a certificate and its key"),
        (CERTIFIED, "listener a: client_certificate needs client_ca"),
        (CERTIFIED.replace("tls", "ws"), "listener a: client_certificate needs transport tls or wss"),
        ("name = 'a'\nport = 1\nusername_from = 'san'\n", "listener a: username_from needs client_certificate"),
    ],
)
def test_a_listener_that_cannot_be_is_named(tmp_path: Path, listener: str, said: str) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(f"[[listener]]\n{listener}")
    with pytest.raises(ConfigError) as caught:
        make_config(load_settings(file, GuardedConfig), GuardedConfig)
    assert said in str(caught.value)


def test_files_of_a_listener_are_beside_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(f"[[listener]]\n{CERTIFIED}client_ca = 'ca.pem'\ncert = 'c.pem'\nkey = '/k.pem'\n")
    [listener] = make_config(load_settings(file, GuardedConfig), GuardedConfig).listener
    assert (listener.client_ca, listener.cert) == (tmp_path / "ca.pem", tmp_path / "c.pem")
    assert listener.key == Path("/k.pem")
