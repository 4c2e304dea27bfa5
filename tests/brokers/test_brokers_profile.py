"""A broker that speaks for itself in a file: what the file means, what is wrong with one, its owner's commands."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from interop.brokers.broker import BrokerFault, BrokerNotThere
from interop.brokers.claims import CLAIMS, check_claims, mismatches
from interop.brokers.profile import BadProfile, BrokerProfile, load_profile
from interop.brokers.profiled import ProfiledSpec, carry_out
from interop.brokers.reference import ReferenceSpec
from interop.brokers.registry import broker_spec, shown_name
from interop.runner.able import check_broker_can
from interop.runner.cell import Cell
from interop.runner.failures import Unsupported
from interop.runner.known_failures import BadKnownFailures, load_known_failures
from interop.scenario.load import load_scenarios
from reference_broker.net.address import Address, Transport
from reference_broker.wire.properties import Properties

FULL = """\
name = "acme"
version = "3.2"
mqtt = ["3.1.1", "5.0"]
lacks = ["auth"]
alone = true
[listeners]
tcp = "127.0.0.1:1883"
tls = "127.0.0.1:8883"
ws = "ws://127.0.0.1:8080/path"
ca = "ca.pem"
[login]
username = "vendor"
password = "s3cret"
[settings]
maximum_qos = 1
[commands]
restart = "true"
kill = "true"
reset = "true"
[[known_failures]]
scenarios = ["will/*"]
reason = "late"
"""
MINIMAL = 'name = "acme"\n[listeners]\ntcp = "127.0.0.1:1883"\n'


def saved(folder: Path, text: str) -> Path:
    path = folder / "acme.toml"
    path.write_text(text, encoding="utf-8")
    (folder / "ca.pem").touch()
    return path


def profile(**fields: Any) -> BrokerProfile:
    return BrokerProfile.model_validate({"name": "acme", "listeners": {"tcp": "127.0.0.1:1883"}, **fields})


def test_a_profile_says_where_its_broker_listens_for_each_transport(tmp_path: Path) -> None:
    addresses = load_profile(saved(tmp_path, FULL)).addresses
    assert {transport.value: str(address) for transport, address in addresses.items()} == {
        "tcp": "mqtt://127.0.0.1:1883", "tls": "mqtts://127.0.0.1:8883", "ws": "ws://127.0.0.1:8080/path",
    }  # fmt: skip
    assert addresses[Transport.TLS].ca_file == tmp_path / "ca.pem"
    assert addresses[Transport.TCP].ca_file is None


def test_a_broker_is_what_its_profile_says(tmp_path: Path) -> None:
    spec = ProfiledSpec(saved(tmp_path, FULL))
    assert (spec.name, spec.versions, spec.transports) == ("acme", ("3.1.1", "5.0"), ("tcp", "tls", "ws"))
    assert spec.unsupported == ("auth", "anonymous", "any-login")
    assert (spec.login, spec.login_is_secret) == (("vendor", "s3cret"), True)
    assert spec.exclusive
    assert spec.is_single


def test_what_needs_a_command_there_is_none_of_is_lacking(tmp_path: Path) -> None:
    spec = ProfiledSpec(saved(tmp_path, MINIMAL))
    assert spec.unsupported == ("persistence", "crash-persistence")
    assert not spec.exclusive
    assert not ProfiledSpec(saved(tmp_path, "alone = true\n" + MINIMAL)).exclusive  # nothing would make it forget


def test_what_is_no_part_of_mqtt_is_lacking_unless_a_profile_offers_it(tmp_path: Path) -> None:
    assert "sparkplug-aware" in ProfiledSpec(saved(tmp_path, MINIMAL)).lacks
    assert "sparkplug-aware" not in ProfiledSpec(saved(tmp_path, 'offers = ["sparkplug-aware"]\n' + MINIMAL)).lacks


def test_no_name_of_a_profiled_broker_shows_more_than_its_profile_does(tmp_path: Path) -> None:
    assert shown_name(f"profile:{saved(tmp_path, FULL)}") == "acme"


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('name = "acme"', "", "acme.toml: name: Field required"),
        ('tcp = "127.0.0.1:1883"', 'tls = "mqtt://127.0.0.1"', "listeners.tls: mqtt://127.0.0.1 is for tcp"),
        ('tcp = "127.0.0.1:1883"', 'tcp = "u:s3cret@127.0.0.1"', "listeners.tcp: user name and password belong into"),
        ('tcp = "127.0.0.1:1883"', "", "listeners: expected at least one of tcp, tls, ws, wss"),
        ('name = "acme"', 'name = "acme"\nlacks = ["wil"]', "did you mean 'will'?"),
        ('name = "acme"', "name = acme", "not TOML"),
        ("[listeners]", '[login]\nusername = ["s3cret"]\n[listeners]', "acme.toml: login.username: "),
        ("[listeners]", "[listener]", "unknown key 'listener'; did you mean 'listeners'?"),
        ('name = "acme"', 'nmae = "acme"', "acme.toml: unknown key 'nmae'; did you mean 'name'? (keys: name, version,"),
        (
            'tcp = "127.0.0.1:1883"',
            'tpc = "127.0.0.1:1883"',
            "acme.toml: listeners: unknown key 'tpc'; did you mean 'tcp'?",
        ),
        (
            "[listeners]",
            "[settings]\nrecieve_maximum = 2\n[listeners]",
            "settings: there is no setting 'recieve_maximum'; did",
        ),
        (
            "[listeners]",
            '[listeners]\nca = "no.pem"',
            "listeners.ca: there is no file no.pem, seen from where the profile",
        ),
    ],
)
def test_what_is_wrong_with_a_profile_is_said_in_one_line_without_a_secret(
    tmp_path: Path, right: str, wrong: str, said: str
) -> None:
    with pytest.raises(BadProfile) as caught:
        load_profile(saved(tmp_path, MINIMAL.replace(right, wrong)))
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_profile_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(BrokerFault, match=r"absent\.toml: No such file"):
        broker_spec(f"profile:{tmp_path / 'absent.toml'}")


# --- what it makes possible -------------------------------------------------------------------------------------------


def cell(name: str) -> Cell:
    (loaded,) = (one for one in load_scenarios() if one.name == name)
    return Cell(loaded, "builtin", "acme", "5.0", "tcp")


def test_a_cell_that_asks_for_the_setting_it_was_started_with_can_be_played(tmp_path: Path) -> None:
    over_1, over_0 = (cell(f"connect/limits_obeyed_by_client[qos-{more}]") for more in ("2-over-1", "1-over-0"))
    spec = ProfiledSpec(saved(tmp_path, FULL.replace('["auth"]', '["auth", "qos2"]')))
    check_broker_can(over_1, spec)  # that it has no QoS 2 is what the cell is about
    with pytest.raises(Unsupported, match="cannot be configured with maximum_qos"):
        check_broker_can(over_0, spec)
    with pytest.raises(Unsupported, match="cannot be configured with maximum_qos"):
        check_broker_can(over_1, ProfiledSpec(saved(tmp_path, MINIMAL)))


def test_a_cell_is_played_again_by_the_file_of_its_broker(tmp_path: Path) -> None:
    loaded = cell("connect/limits_obeyed_by_client[qos-2-over-1]").loaded
    assert "--broker-profile acme.toml" in Cell(loaded, "builtin", "acme", "5.0", "tcp", profile="acme.toml").rerun


def test_known_failures_of_a_profile_are_of_its_broker_and_come_first(tmp_path: Path) -> None:
    path = saved(tmp_path, FULL)
    first = load_known_failures(profiles={"acme": str(path)}).entries[0]
    assert (first.broker, first.scenarios, first.reason) == ("acme", ("will/*",), "late")
    with pytest.raises(BadKnownFailures, match=r"acme\.toml: known_failures: entry 0\.reason: Field required"):
        load_known_failures(profiles={"acme": str(saved(tmp_path, FULL.replace('reason = "late"', "")))})


# --- what CONNACK says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.feature], ids=lambda claim: claim.feature)
def test_what_connack_denies_and_what_the_profile_denies_have_to_be_the_same(claim: Any) -> None:
    denies = Properties(**{claim.field: 0}) if claim.field != "topic_alias_maximum" else Properties()
    has_all = Properties(topic_alias_maximum=5)
    others = ["qos1", "qos2"] if claim.field == "maximum_qos" else [claim.feature]
    others += ["topic-alias"] if claim.field != "topic_alias_maximum" else []
    assert mismatches(profile(lacks=others), denies) == []
    assert mismatches(profile(), has_all) == []
    (said,) = mismatches(profile(lacks=[each for each in others if each != claim.feature]), denies)
    assert said.startswith(f"acme: the profile does not say that it lacks {claim.feature}, but CONNACK says")
    (said,) = mismatches(profile(lacks=[claim.feature]), has_all)
    assert said.startswith(f"acme: the profile says that it lacks {claim.feature}, but CONNACK does not say so")


def test_a_setting_has_to_be_what_connack_says() -> None:
    same = profile(settings={"receive_maximum": 20, "retain_available": True, "maximum_packet_size": 9})
    said = Properties(topic_alias_maximum=5, receive_maximum=20, maximum_packet_size=9)
    assert mismatches(same, said) == []
    assert mismatches(profile(settings={"receive_maximum": 20}), Properties(topic_alias_maximum=5)) == [
        "acme: the profile says that Receive Maximum is 20, but CONNACK says 65535"
    ]


def test_the_brokers_own_connack_is_what_is_asked_for() -> None:
    async def main() -> list[str]:
        broker = await ReferenceSpec().start({"maximum_qos": 1, "topic_alias_maximum": 3})
        try:
            here = {"tcp": broker.address().host_and_port}
            right = profile(listeners=here, lacks=["qos2"], settings={"maximum_qos": 1})
            assert await check_claims([right]) == []
            return await check_claims([profile(listeners=here), profile(listeners={"tcp": "127.0.0.1:1"})])
        finally:
            await broker.stop()

    assert asyncio.run(main()) == ["acme: the profile does not say that it lacks qos2, but CONNACK says Maximum QoS 1"]


# --- its owner's commands ---------------------------------------------------------------------------------------------


def test_a_command_that_fails_is_said_so_without_what_it_is() -> None:
    fails = f"{sys.executable} -c 'raise SystemExit(3)' s3cret"
    with pytest.raises(BrokerFault, match=r"^acme: its command to reset ended with code 3$"):
        asyncio.run(carry_out("acme", "reset", fails))
    with pytest.raises(BrokerFault, match=r"^acme: its command to kill cannot be carried out: no such file"):
        asyncio.run(carry_out("acme", "kill", "/nowhere/s3cret"))
    with pytest.raises(BrokerFault, match="its profile has no command for it"):
        asyncio.run(carry_out("acme", "restart", None))


@pytest.fixture(name="posts")
def web_server() -> Iterator[tuple[str, list[str]]]:
    """An address to POST to, and the paths that were; one of them does not like it."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.send_response(500 if self.path == "/broken" else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_url_is_posted_to(posts: tuple[str, list[str]]) -> None:
    url, paths = posts
    asyncio.run(carry_out("acme", "reset", f"{url}/reset"))
    assert paths == ["/reset"]
    with pytest.raises(BrokerFault, match="its command to reset cannot be carried out"):
        asyncio.run(carry_out("acme", "reset", f"{url}/broken"))


def test_a_restart_is_the_owners_command_and_over_when_clients_are_let_in(tmp_path: Path) -> None:
    done = tmp_path / "done"
    touch = f"""{sys.executable} -S -c 'open("{done}", "a").write("{{}}\\n")'"""

    async def main() -> Address:
        broker = await ReferenceSpec().start({})
        try:
            commands = "".join(f"{what} = '''{touch.format(what)}'''\n" for what in ("restart", "kill", "reset"))
            here = MINIMAL.replace("127.0.0.1:1883", broker.address().host_and_port)
            spec = ProfiledSpec(saved(tmp_path, f"alone = true\n{here}[commands]\n{commands}"))
            mine = await spec.start_own({}, persistent=True)
            await mine.go_down(kill=False)
            await mine.come_back()
            await mine.go_down(kill=True)
            return mine.address()
        finally:
            await broker.stop()

    address = asyncio.run(main())
    assert done.read_text().split() == ["reset", "restart", "kill"]
    assert address.transport is Transport.TCP


def test_a_broker_that_does_not_come_back_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interop.brokers.profiled.COMMAND_SECONDS", 0.1)
    spec = ProfiledSpec(saved(tmp_path, MINIMAL.replace("1883", "1")))

    async def main() -> None:
        broker = await spec.start({})
        await broker.come_back()

    with pytest.raises(BrokerNotThere, match=r"acme was not back within 0\.1 s of its restart"):
        asyncio.run(main())


def test_every_listener_is_asked_in_every_version_it_says_it_speaks(tmp_path: Path) -> None:
    async def main() -> list[set[str]]:
        tcp, ws = await ReferenceSpec().start({}), await ReferenceSpec().start({}, transport=Transport.WS)
        try:
            places = f'tcp = "{tcp.address().host_and_port}"\nws = "{ws.address(Transport.WS).url}"\n'
            path = saved(tmp_path, f'name = "acme"\nmqtt = ["3.1", "5.0"]\n[listeners]\n{places}')
            return [
                {answer.version.label for answer in found.answers if answer.lets_in}
                for found in await ProfiledSpec(path).surveys()
            ]
        finally:
            await tcp.stop()
            await ws.stop()

    assert asyncio.run(main()) == [{"3.1", "5.0"}, {"3.1", "5.0"}]
