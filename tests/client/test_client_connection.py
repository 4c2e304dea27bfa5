import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Client, connected

from reference_broker.client import Cause, Closing, Connected, Disconnected, Failed, State
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Will
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version

V31, V311, V5 = Version.V31, Version.V311, Version.V5


class TestConnect:
    @pytest.mark.parametrize(
        ("version", "expected"),
        [
            (V31, "10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61"),
            (V311, "10 0d 00 04 4d 51 54 54 04 02 00 3c 00 01 61"),
            (V5, "10 0e 00 04 4d 51 54 54 05 02 00 3c 00 00 01 61"),
        ],
    )
    def test_connect_is_the_first_packet(self, version, expected):  # 5.0 MQTT-3.1.0-1
        assert Client(version=version, client_id="a").sent() == expected

    def test_will_user_name_password_and_properties_go_out_as_asked(self):
        client = Client(
            client_id="a",
            clean_start=False,
            keep_alive=10,
            username="u",
            password=b"p",
            will=Will("w", b"gone", QoS.AT_LEAST_ONCE, True, Properties(will_delay_interval=5)),
            properties=Properties(session_expiry_interval=1, receive_maximum=2),
        )
        assert client.sent() == (
            "10 2b 00 04 4d 51 54 54 05 ec 00 0a 08 11 00 00 00 01 21 00 02 00 01 61 "
            "05 18 00 00 00 05 00 01 77 00 04 67 6f 6e 65 00 01 75 00 01 70"
        )

    def test_a_forbidden_connect_is_refused_here_and_nothing_is_sent(self):
        with pytest.raises(LocalError):
            Client(version=V311, password=b"without user name")  # 3.1.1 MQTT-3.1.2-22

    def test_one_core_serves_one_connection(self):
        with pytest.raises(LocalError):
            connected().core.connect(2000.0)

    @pytest.mark.parametrize("version", list(Version))
    def test_acceptance_is_an_event_with_what_the_server_said(self, version):
        client = Client(version=version, client_id="a", keep_alive=7)
        client.receive({V31: "20 02 00 00", V311: "20 02 00 00", V5: "20 03 00 00 00"}[version])
        (event,) = client.news()
        assert isinstance(event, Connected)
        assert (event.session_present, event.client_id, event.limits.keep_alive) == (False, "a", 7)
        assert client.core.state is State.CONNECTED

    def test_an_assigned_client_identifier_is_the_one_in_use_and_used_again(self):  # 5.0 3.2.2.3.7
        client = Client(client_id="", clean_start=False, properties=Properties(session_expiry_interval=9))
        client.receive("20 09 00 00 06 12 00 03 61 62 63")
        assert client.news()[0].client_id == "abc"
        client.cut()
        again = Client(
            client.session, client_id="", clean_start=False, properties=Properties(session_expiry_interval=9)
        )
        assert again.sent().endswith("00 03 61 62 63")

    def test_connack_arrives_in_single_bytes(self):
        client = Client()
        for byte in ("20", "03", "00", "00"):
            client.receive(byte)
            assert client.news() == []
        client.receive("00")
        assert isinstance(client.news()[0], Connected)

    def test_nothing_can_be_asked_before_connack_but_the_end(self):
        client = Client(client_id="a")
        for command in (client.publish, lambda: client.subscribe("t")):
            with pytest.raises(LocalError):
                command()
        client.sent()
        client.core.disconnect(client.now)
        assert client.sent() == "e0 00"
        assert client.end.cause is Cause.REQUESTED


class TestRefused:
    @pytest.mark.parametrize(
        ("version", "connack", "reason", "explanation"),
        [
            (V31, "20 02 00 02", 2, "Identifier rejected"),
            (V311, "20 02 00 05", 5, "Not authorized"),
            (V5, "20 03 00 87 00", 0x87, "Not authorized"),
            (V5, "20 08 00 9d 05 1c 00 02 68 69", 0x9D, "Server moved"),
            (V5, "20 08 00 88 05 1f 00 02 6e 6f", 0x88, "Server unavailable (no)"),
            (V5, "20 12 00 9d 0f 1f 00 0c 73 65 72 76 65 72 20 6d 6f 76 65 64", 0x9D, "Server moved"),
        ],
    )
    def test_a_refusal_ends_the_connection_with_the_servers_code(self, version, connack, reason, explanation):
        client = Client(version=version)
        client.sent()
        assert client.receive(connack) == ""
        assert client.core.closing is Closing.FLUSH
        end = client.end
        assert (end.cause, end.reason, end.explanation) == (Cause.REFUSED, reason, explanation)

    def test_server_reference_is_passed_on(self):  # 5.0 4.11
        client = Client()
        client.receive("20 08 00 9d 05 1c 00 02 68 69")
        assert client.end.properties.server_reference == "hi"

    def test_without_an_answer_the_client_gives_up(self):  # 5.0 3.1.4, 3.1.1 3.1.4
        client = Client(connack_timeout_seconds=5.0)
        client.sent()
        assert client.wait(4.9) == []
        assert client.news() == []
        client.wait(0.2)
        assert client.end.cause is Cause.NO_CONNACK
        assert client.core.closing is Closing.ABORT

    def test_waiting_for_ever_can_be_asked_for(self):
        client = Client(connack_timeout_seconds=None)
        assert client.core.next_deadline() is None


class TestBadServer:
    @pytest.mark.parametrize("version", list(Version))
    @pytest.mark.parametrize(
        ("packet", "what"),
        [
            ("d0 00", "PINGRESP before CONNACK"),
            ("30 03 00 01 74", "PUBLISH before CONNACK"),
            ("10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00", "CONNECT"),
            ("f1 00", "ill-formed AUTH"),
            ("00 00", "packet type 0"),
        ],
    )
    def test_anything_but_connack_first_closes(self, version, packet, what):  # 3.1.1, 5.0 MQTT-3.2.0-1
        client = Client(version=version)
        client.sent()
        answer = client.receive(packet)
        assert answer.startswith("e0 01") if version is V5 else answer == ""
        assert client.end.cause is Cause.BAD_PACKET
        assert client.core.closing is Closing.FLUSH

    @pytest.mark.parametrize(
        ("packet", "answer"),
        [
            ("20 03 00 00 00", "e0 01 82"),  # a second CONNACK [5.0 MQTT-3.2.0-2]
            ("82 06 00 01 00 00 01 74 00", "e0 01 81"),  # SUBSCRIBE with a filter beyond its end
            ("82 07 00 01 00 00 01 74 00", "e0 01 82"),  # SUBSCRIBE from a server
            ("82 08 00 01 00 00 02 61 23 00", "e0 01 82"),  # ... whose filter is bad, for which a client has no code
            ("10 0d 00 04 4d 51 54 54 09 02 00 3c 00 00 00", "e0 01 82"),  # CONNECT of another protocol
            ("c0 00", "e0 01 82"),  # PINGREQ from a server
            ("36 08 00 01 74 00 01 00 78 79", "e0 01 81"),  # QoS 3
            ("30 06 00 01 23 00 78 79", "e0 01 90"),  # a wildcard in the topic name
            ("30 06 00 00 03 23 00 01", "e0 01 94"),  # topic alias above our maximum, 0
            ("90 04 00 09 00 00", "e0 01 82"),  # SUBACK nobody asked for
            ("b0 04 00 09 00 00", "e0 01 82"),  # UNSUBACK nobody asked for
            ("f0 05 18 03 15 00 00", "e0 01 82"),  # AUTH without a method in CONNECT [5.0 MQTT-4.12.0-6]
            ("d1 00", "e0 01 81"),  # reserved flags
            ("e0 07 00 05 11 00 00 00 01", "e0 01 82"),  # session expiry in a server's DISCONNECT [5.0 MQTT-3.14.2-2]
            ("e0 01 04", "e0 01 82"),  # a reason only clients may give
        ],
    )
    def test_a_5_0_client_says_why_it_closes(self, packet, answer):  # 5.0 4.13.1
        client = connected()
        assert client.receive(packet) == answer
        end = client.end
        assert end.cause is Cause.BAD_PACKET
        assert end.explanation
        assert end.reason == int(answer[-2:], 16)

    @pytest.mark.parametrize("packet", ["20 02 00 00", "c0 00", "e0 00", "36 05 00 01 74 00 01", "d1 00", "f0 00"])
    def test_a_3_1_1_client_just_closes(self, packet):  # 3.1.1 MQTT-4.8.0-1
        client = connected(version=V311)
        assert client.receive(packet) == ""
        assert client.core.closing is Closing.FLUSH
        assert client.end.cause is Cause.BAD_PACKET

    def test_a_packet_above_our_maximum_is_refused_by_its_header_alone(self):  # 5.0 MQTT-3.1.2-24
        client = connected(properties=Properties(maximum_packet_size=20))
        assert client.receive("30 13") == "e0 01 95"

    def test_a_packet_of_exactly_our_maximum_is_taken(self):
        client = connected(properties=Properties(maximum_packet_size=20))
        assert client.receive("30 12 00 01 74 00" + " 78" * 14) == ""
        assert client.news()[0].payload == b"x" * 14

    def test_nothing_counts_after_the_end(self):
        client = connected()
        assert client.receive("e0 00 32 06 00 01 74 00 05 00") == ""
        assert client.receive("32 06 00 01 74 00 05 00") == ""
        assert isinstance(client.end, Disconnected)
        client.core.connection_lost(client.now)
        assert client.news() == []

    def test_a_server_whose_maximum_is_below_every_answer_is_left(self):
        client = Client().connected("20 08 00 00 05 27 00 00 00 03")  # Maximum Packet Size 3
        assert client.receive("32 06 00 01 74 00 05 00") == "e0 01 83"
        assert client.end.cause is Cause.BAD_PACKET

    @settings(max_examples=200)
    @given(st.sampled_from(list(Version)), st.booleans(), st.binary(max_size=60), st.binary(max_size=10))
    def test_no_bytes_make_it_raise(self, version, accepted, data, more):
        client = connected(version=version) if accepted else Client(version=version)
        client.core.receive_data(data, client.now)
        client.core.receive_data(more, client.now)
        client.cut()
        assert client.core.state is State.CLOSED


class TestEnd:
    @pytest.mark.parametrize(("version", "expected"), [(V31, "e0 00"), (V311, "e0 00"), (V5, "e0 00")])
    def test_disconnect_is_sent_and_the_connection_closed(self, version, expected):  # 5.0 MQTT-3.14.4-1, -2
        client = connected(version=version)
        client.core.disconnect(client.now)
        assert client.sent() == expected
        assert client.core.closing is Closing.FLUSH
        assert client.end == Disconnected(Cause.REQUESTED)
        for command in (client.publish, lambda: client.subscribe("t"), lambda: client.core.disconnect(client.now)):
            with pytest.raises(LocalError):
                command()
        assert client.sent() == ""

    def test_disconnect_with_will_and_properties(self):
        client = connected(properties=Properties(session_expiry_interval=1))
        client.core.disconnect(client.now, 0x04, Properties(session_expiry_interval=2, reason_string="r"))
        assert client.sent() == "e0 0b 04 09 11 00 00 00 02 1f 00 01 72"

    def test_disconnect_cannot_give_a_session_a_life_it_never_had(self):  # 5.0 3.14.2.2.2
        client = connected()
        with pytest.raises(LocalError):
            client.core.disconnect(client.now, 0, Properties(session_expiry_interval=2))
        assert client.core.state is State.CONNECTED

    @pytest.mark.parametrize("reason", [0x8E, 0x9A, 0x01])
    def test_reasons_only_a_server_may_give_are_refused(self, reason):  # 5.0 MQTT-3.14.2-1
        client = connected()
        with pytest.raises(LocalError):
            client.core.disconnect(client.now, reason)
        assert client.sent() == ""

    def test_3_1_1_has_no_reason_to_give(self):
        client = connected(version=V311)
        with pytest.raises(LocalError):
            client.core.disconnect(client.now, 0x04)

    def test_a_servers_disconnect_is_reported_and_answered_by_closing(self):
        client = connected()
        assert client.receive("e0 09 8e 07 1f 00 04 74 61 6b 65") == ""
        assert client.core.closing is Closing.FLUSH
        end = client.end
        assert (end.cause, end.reason, end.explanation) == (Cause.BY_SERVER, 0x8E, "Session taken over (take)")

    def test_a_lost_connection_fails_requests_without_an_answer_and_frees_their_identifiers(self):
        client = connected()
        ticket = client.subscribe("t")
        assert client.cut()[0] == Failed(ticket, "the connection ended before the server answered")
        assert len(client.session.packet_ids) == 0
        assert client.core.closing is Closing.FLUSH

    def test_every_packet_can_be_watched(self):
        client = Client(client_id="a")
        seen = []
        client.core.watch = lambda sender, packet: seen.append((sender.value, packet.type.name))
        client.receive("20 03 00 00 00")
        client.publish(qos=0)
        client.receive("d0 00")
        assert seen == [("server", "CONNACK"), ("client", "PUBLISH"), ("server", "PINGRESP")]


class TestKeepAlive:
    @pytest.mark.parametrize("version", list(Version))
    def test_an_idle_client_sends_pingreq_in_time(self, version):  # 3.1.1 MQTT-3.1.2-23, 5.0 MQTT-3.1.2-20
        client = connected(version=version, keep_alive=10)
        assert client.wait(9.5) == [(9.0, "c0 00")]
        assert client.receive("d0 00") == ""
        assert client.wait(9.0) == [(18.0, "c0 00")]

    def test_a_client_that_only_receives_sends_pingreq_in_time(self):
        client, pings = connected(keep_alive=2), []
        for _ in range(8):
            pings += client.wait(0.5)
            client.receive("30 04 00 01 74 00")
            if pings and len(pings) == 1:
                client.receive("d0 00")
        assert [at for at, _ in pings] == [1.8, 3.6]

    def test_a_client_that_only_sends_qos_0_still_asks_whether_the_server_lives(self):
        client, sent = connected(keep_alive=2), []
        for _ in range(8):
            sent += client.wait(0.5)
            if client.core.state is State.CONNECTED:
                client.publish(qos=0)
                client.sent()
        assert sent == [(1.8, "c0 00")]
        assert client.end.cause is Cause.NO_PINGRESP
        assert client.core.closing is Closing.ABORT

    def test_no_pingresp_for_one_keep_alive_ends_the_connection(self):  # 3.1 MQTT31-18, 5.0 3.1.2.10
        client = connected(keep_alive=10)
        client.wait(18.9)
        assert client.core.state is State.CONNECTED
        client.wait(0.2)
        assert client.end == Disconnected(Cause.NO_PINGRESP)

    def test_the_time_for_pingresp_can_be_chosen(self):
        client = connected(keep_alive=10, ping_timeout_seconds=1.0)
        client.wait(10.1)
        assert client.end.cause is Cause.NO_PINGRESP

    def test_server_keep_alive_is_the_one_that_counts(self):  # 5.0 MQTT-3.1.2-21, MQTT-3.2.2-21
        client = Client(keep_alive=100).connected("20 06 00 00 03 13 00 0a")
        assert client.wait(9.5) == [(9.0, "c0 00")]
        client = Client(keep_alive=2).connected("20 06 00 00 03 13 00 0a")
        assert client.wait(9.5) == [(9.0, "c0 00")]

    def test_server_keep_alive_0_turns_it_off(self):
        client = Client(keep_alive=2).connected("20 06 00 00 03 13 00 00")
        assert client.core.next_deadline() is None

    def test_keep_alive_0_sends_nothing(self):
        client = connected(keep_alive=0)
        assert client.wait(1e6) == []

    def test_a_late_connack_does_not_shorten_the_servers_clock(self):
        client = Client(keep_alive=10)
        client.wait(8.0)  # the server began to count at CONNECT
        client.connected()
        assert client.wait(1.5) == [(9.0, "c0 00")]

    def test_half_a_packet_is_no_sign_of_life(self):
        client = connected(keep_alive=10)
        client.wait(5)
        client.receive("30 04 00 01")
        assert client.core.next_deadline() == 1009.0
