import pytest
from scripted import Client, connected

from reference_broker.client import Cause, Closing, Failed, Published, State, Subscribed, Unsubscribed
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Subscription
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, RetainHandling, Version

V31, V311, V5 = Version.V31, Version.V311, Version.V5
RECEIVE_MAXIMUM_2 = "20 06 00 00 03 21 00 02"
ALIAS_MAXIMUM_2 = "20 06 00 00 03 22 00 02"


class TestFlows:
    def test_qos_0_is_settled_when_sent(self):  # 5.0 MQTT-4.3.1-1
        client = connected()
        ticket = client.publish(b"hi", qos=0)
        assert client.sent() == "30 06 00 01 74 00 68 69"
        assert client.news() == [Published(ticket, None)]

    @pytest.mark.parametrize(
        ("version", "publish"),
        [(V31, "32 05 00 01 74 00 01"), (V311, "32 05 00 01 74 00 01"), (V5, "32 06 00 01 74 00 01 00")],
    )
    def test_qos_1_is_settled_by_puback(self, version, publish):  # 5.0 MQTT-4.3.2-2, -3
        client = connected(version=version)
        ticket = client.publish(b"")
        assert client.sent() == publish
        assert client.news() == []
        assert client.receive("40 02 00 01") == ""
        assert client.news() == [Published(ticket, 1)]

    @pytest.mark.parametrize("version", list(Version))
    def test_qos_2_goes_through_its_four_packets(self, version):  # 5.0 MQTT-4.3.3-2, -4, -5
        client = connected(version=version)
        ticket = client.publish(b"", qos=2)
        assert client.sent().startswith("34 0")
        assert client.receive("50 02 00 01") == "62 02 00 01"
        assert client.news() == []
        assert client.receive("70 02 00 01") == ""
        assert client.news() == [Published(ticket, 1)]

    @pytest.mark.parametrize(("packet", "reason"), [("40 04 00 01 10 00", 0x10), ("40 03 00 01 87", 0x87)])
    def test_the_reason_of_puback_is_the_verdict(self, packet, reason):
        client = connected()
        ticket = client.publish()
        client.receive(packet)
        assert client.news() == [Published(ticket, 1, reason)]

    def test_the_reason_of_pubrec_is_the_verdict_and_pubcomp_only_ends_it(self):
        client = connected()
        ticket = client.publish(qos=2)
        client.sent()
        assert client.receive("50 08 00 01 10 04 1f 00 01 6e") == "62 02 00 01"
        client.receive("70 03 00 01 92")
        assert client.news() == [Published(ticket, 1, 0x10, Properties(reason_string="n"))]

    def test_pubrec_with_an_error_settles_the_message_without_pubrel(self):  # 5.0 MQTT-4.4.0-2
        client = connected()
        ticket = client.publish(qos=2)
        client.sent()
        assert client.receive("50 03 00 01 97") == ""
        assert client.news() == [Published(ticket, 1, 0x97)]
        assert len(client.session) == 0

    def test_pubrels_leave_in_the_order_of_the_pubrecs(self):  # 5.0 MQTT-4.6.0-4
        client = connected()
        for _ in range(3):
            client.publish(qos=2)
        client.sent()
        assert client.receive("50 02 00 02 50 02 00 01") == "62 02 00 02 62 02 00 01"

    def test_an_unknown_pubrec_is_released_with_0x92(self):  # 5.0 3.6.2.1
        assert connected().receive("50 02 00 07") == "62 03 00 07 92"
        assert connected(version=V311).receive("50 02 00 07") == "62 02 00 07"

    @pytest.mark.parametrize("packet", ["40 02 00 07", "70 02 00 07"])
    def test_acknowledgements_of_nothing_are_ignored(self, packet):
        client = connected()
        assert client.receive(packet) == ""
        assert client.core.state is State.CONNECTED

    def test_puback_for_qos_2_is_a_protocol_error(self):
        client = connected()
        client.publish(qos=2)
        client.sent()
        assert client.receive("40 02 00 01") == "e0 01 82"
        assert client.news()[-1].cause is Cause.BAD_PACKET

    def test_properties_go_out_as_asked(self):
        client = connected()
        client.publish(
            b"",
            0,
            payload_format_indicator=1,
            message_expiry_interval=60,
            content_type="c",
            response_topic="r",
            correlation_data=b"d",
            user_property=(("k", "v"), ("k", "w")),
        )
        assert client.sent() == (
            "30 25 00 01 74 21 01 01 02 00 00 00 3c 03 00 01 63 08 00 01 72 09 00 01 64 "
            "26 00 01 6b 00 01 76 26 00 01 6b 00 01 77"
        )

    def test_a_client_sends_no_subscription_identifier(self):  # 5.0 MQTT-3.3.4-6
        with pytest.raises(LocalError):
            connected().publish(subscription_identifier=(1,))

    @pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0b"])
    def test_a_topic_that_is_none_is_refused_and_leaves_no_trace(self, topic):
        client = connected()
        with pytest.raises(LocalError):
            client.publish(topic=topic)
        assert client.sent() == ""
        assert len(client.session) == len(client.session.packet_ids) == 0

    def test_3_1_1_has_no_properties(self):
        with pytest.raises(LocalError):
            connected(version=V311).publish(content_type="c")


class TestBackPressure:
    def test_excess_messages_wait_for_acknowledgements(self):  # 5.0 MQTT-3.3.4-7, MQTT-4.9.0-2
        client = Client().connected(RECEIVE_MAXIMUM_2)
        for payload in (b"1", b"2", b"3", b"4"):
            client.publish(payload)
        assert client.sent() == "32 07 00 01 74 00 01 00 31 32 07 00 01 74 00 02 00 32"
        assert client.receive("40 02 00 01") == "32 07 00 01 74 00 03 00 33"
        assert client.receive("40 03 00 02 80") == "32 07 00 01 74 00 04 00 34"
        client.receive("40 02 00 03 40 02 00 04")
        assert [event.ticket for event in client.news()] == [1, 2, 3, 4]

    def test_qos_2_takes_its_place_until_pubcomp_or_pubrec_with_an_error(self):  # 5.0 4.9
        client = Client().connected("20 06 00 00 03 21 00 01")
        for qos in (2, 2, 1):
            client.publish(b"", qos)
        assert client.sent() == "34 06 00 01 74 00 01 00"
        assert client.receive("50 02 00 01") == "62 02 00 01"
        assert client.receive("70 02 00 01") == "34 06 00 01 74 00 02 00"
        assert client.receive("50 03 00 02 97") == "32 06 00 01 74 00 03 00"

    def test_everything_else_is_sent_at_zero_quota(self):  # 5.0 MQTT-3.3.4-8, MQTT-4.9.0-3
        client = Client().connected("20 06 00 00 03 21 00 01")
        client.publish(b"")
        client.sent()
        client.publish(b"")
        client.publish(b"", qos=0)
        client.subscribe("t")
        assert client.sent() == "30 04 00 01 74 00 82 07 00 02 00 00 01 74 00"
        assert client.receive("34 06 00 01 74 00 09 00 62 02 00 09") == "50 02 00 09 70 02 00 09"

    def test_65535_messages_in_flight_are_the_limit_of_every_version(self):
        client = connected(version=V311)
        for _ in range(65535):
            client.publish(b"")
        client.sent()
        client.publish(b"last")
        assert client.sent() == ""
        assert client.receive("40 02 00 05") == "32 09 00 01 74 00 05 6c 61 73 74"

    def test_a_session_that_ends_fails_what_waits_and_what_flies(self):
        client = Client().connected("20 06 00 00 03 21 00 01")
        tickets = [client.publish(), client.publish()]
        events = client.cut()
        assert [event.ticket for event in events if isinstance(event, Failed)] == tickets
        assert len(client.session) == len(client.session.packet_ids) == 0


class TestServerLimits:
    def test_maximum_qos(self):  # 5.0 MQTT-3.2.2-11
        client = Client().connected("20 05 00 00 02 24 01")
        client.publish(qos=1)
        with pytest.raises(LocalError, match="Maximum QoS"):
            client.publish(qos=2)
        client.subscribe("t", qos=2)  # any QoS may be asked for [5.0 MQTT-3.2.2-10]

    def test_maximum_qos_0(self):
        client = Client().connected("20 05 00 00 02 24 00")
        client.publish(qos=0)
        with pytest.raises(LocalError):
            client.publish(qos=1)

    def test_retain_not_available(self):  # 5.0 MQTT-3.2.2-14
        client = Client().connected("20 05 00 00 02 25 00")
        with pytest.raises(LocalError, match="retained"):
            client.publish(retain=True)

    def test_maximum_packet_size(self):  # 5.0 MQTT-3.2.2-15
        client = Client().connected("20 08 00 00 05 27 00 00 00 0a")
        client.publish(b"1234", qos=0)
        assert len(bytes.fromhex(client.sent())) == 10
        for too_large in (
            lambda: client.publish(b"12345", qos=0),
            lambda: client.publish(b"123", qos=1),
            lambda: client.subscribe("abc"),
            lambda: client.core.unsubscribe(["abcd"], client.now),
            lambda: client.core.disconnect(client.now, 0, Properties(reason_string="abcdef")),
        ):
            with pytest.raises(LocalError, match="larger than the server's Maximum Packet Size"):
                too_large()
        assert client.sent() == ""
        assert len(client.session.packet_ids) == 0
        assert client.core.state is State.CONNECTED

    @pytest.mark.parametrize(
        ("identifier", "subscribe"),
        [
            ("28", lambda client: client.subscribe("a/+")),
            ("28", lambda client: client.subscribe("b", "a/#")),
            ("29", lambda client: client.subscribe("a", subscription_identifier=(1,))),
            ("2a", lambda client: client.subscribe("$share/g/a")),
        ],
    )
    def test_subscriptions_the_server_cannot_serve(self, identifier, subscribe):  # 5.0 3.2.2.3.11 to .13
        client = Client().connected(f"20 05 00 00 02 {identifier} 00")
        with pytest.raises(LocalError):
            subscribe(client)
        assert client.sent() == ""
        assert len(client.session.packet_ids) == 0
        client = Client().connected(f"20 05 00 00 02 {identifier} 01")
        subscribe(client)
        assert client.sent()

    def test_limits_of_a_new_server_hold_for_messages_of_an_earlier_connection(self):
        client = Client(kept=True).connected("20 06 00 00 03 21 00 02")
        sent, also_sent, waited = client.publish(b"", 2), client.publish(b"", 1), client.publish(b"", 2)
        client.cut()
        again = Client(client.session, kept=True)
        again.sent()
        assert again.receive("20 05 01 00 02 24 01") == "3a 06 00 01 74 00 02 00"
        failed = [event.ticket for event in again.news() if isinstance(event, Failed)]
        assert failed == [sent, waited]
        again.receive("40 02 00 02")
        assert again.news() == [Published(also_sent, 2)]
        assert len(again.session) == len(again.session.packet_ids) == 0


class TestTopicAliases:
    def test_an_alias_is_sent_as_asked_for(self):
        client = Client().connected(ALIAS_MAXIMUM_2)
        client.publish(b"", 0, "abc", topic_alias=2)
        client.publish(b"", 0, "", topic_alias=2)
        client.publish(b"", 0, "abc", topic_alias=2)
        assert client.sent() == (
            "30 09 00 03 61 62 63 03 23 00 02 30 06 00 00 03 23 00 02 30 09 00 03 61 62 63 03 23 00 02"
        )

    @pytest.mark.parametrize("alias", [0, 3, 65535])
    def test_an_alias_beyond_the_servers_maximum_is_refused(self, alias):  # 5.0 MQTT-3.2.2-17, MQTT-3.3.2-8
        client = Client().connected(ALIAS_MAXIMUM_2)
        with pytest.raises(LocalError):
            client.publish(topic_alias=alias)

    def test_without_a_maximum_no_alias_is_sent(self):  # 5.0 MQTT-3.2.2-18
        with pytest.raises(LocalError):
            connected().publish(topic_alias=1)
        client = connected(automatic_topic_aliases=True)
        client.publish(qos=0)
        client.publish(qos=0)
        assert client.sent() == "30 05 00 01 74 00 78 30 05 00 01 74 00 78"

    def test_an_alias_that_was_not_set_is_refused(self):
        client = Client().connected(ALIAS_MAXIMUM_2)
        with pytest.raises(LocalError):
            client.publish(topic="", topic_alias=1)

    def test_a_topic_left_out_is_sent_when_the_message_that_sets_the_alias_still_waits(self):
        client = Client().connected("20 09 00 00 06 21 00 01 22 00 02")
        client.publish(b"", 1, "first")
        client.publish(b"", 1, "abc", topic_alias=1)  # waits
        client.publish(b"", 0, "", topic_alias=1)  # overtakes it
        assert client.sent() == "32 0a 00 05 66 69 72 73 74 00 01 00 30 09 00 03 61 62 63 03 23 00 01"

    def test_automatic_aliases_shorten_known_topics_up_to_the_maximum(self):
        client = Client(automatic_topic_aliases=True).connected(ALIAS_MAXIMUM_2)
        for topic in ("a", "b", "c", "a", "c"):
            client.publish(b"", 0, topic)
        assert client.sent() == (
            "30 07 00 01 61 03 23 00 01 30 07 00 01 62 03 23 00 02 30 04 00 01 63 00 "
            "30 06 00 00 03 23 00 01 30 04 00 01 63 00"
        )
        with pytest.raises(LocalError):
            client.publish(topic_alias=1)

    @pytest.mark.parametrize("qos", [0, 1, 2])
    def test_an_automatic_alias_is_left_out_where_it_would_make_the_packet_too_large(self, qos):  # 5.0 MQTT-3.2.2-15
        # Maximum Packet Size 20, Topic Alias Maximum 1: the PUBLISH has 20 bytes without an alias, 23 with one.
        client = Client(automatic_topic_aliases=True).connected("20 0b 00 00 08 27 00 00 00 14 22 00 01")
        client.publish(b"x" * (12 if qos == 0 else 10), qos, "abc")
        packet_id = "" if qos == 0 else " 00 01"
        payload = " 78" * (12 if qos == 0 else 10)
        assert client.sent() == f"{0x30 | qos << 1:02x} 12 00 03 61 62 63{packet_id} 00{payload}"
        client.publish(b"", 0, "abc")  # there is no alias yet that the server could know
        assert client.sent() == "30 09 00 03 61 62 63 03 23 00 01"

    def test_a_message_that_is_repeated_gets_no_automatic_alias_it_has_no_room_for(self):  # 5.0 MQTT-3.2.2-15
        client = Client(kept=True, automatic_topic_aliases=True).connected(ALIAS_MAXIMUM_2)
        client.publish(b"x" * 10, 1, "abc")
        client.cut()
        again = Client(client.session, kept=True, automatic_topic_aliases=True)
        again.sent()
        sent = again.receive("20 0b 01 00 08 27 00 00 00 14 22 00 01")
        assert sent == "3a 12 00 03 61 62 63 00 01 00" + " 78" * 10

    @pytest.mark.parametrize("automatic", [False, True])
    def test_a_repeated_message_has_its_topic_because_aliases_ended_with_the_connection(self, automatic):
        client = Client(kept=True, automatic_topic_aliases=automatic).connected(ALIAS_MAXIMUM_2)
        alias = {} if automatic else {"topic_alias": 1}
        client.publish(b"1", 1, "abc", **alias)
        client.publish(b"2", 1, "abc" if automatic else "", **alias)
        client.cut()
        again = Client(client.session, kept=True)
        again.sent()
        assert again.receive("20 03 01 00 00") == ("3a 09 00 03 61 62 63 00 01 00 31 3a 09 00 03 61 62 63 00 02 00 32")


class TestSubscriptions:
    @pytest.mark.parametrize(
        ("version", "subscribe", "suback"),
        [
            (V31, "82 0a 00 01 00 01 61 01 00 01 62 01", "90 04 00 01 01 00"),
            (V311, "82 0a 00 01 00 01 61 01 00 01 62 01", "90 04 00 01 01 80"),
            (V5, "82 0b 00 01 00 00 01 61 01 00 01 62 01", "90 05 00 01 00 01 87"),
        ],
    )
    def test_each_subscription_gets_its_reason(self, version, subscribe, suback):
        client = connected(version=version)
        ticket = client.subscribe("a", "b", qos=1)
        assert client.sent() == subscribe
        client.receive(suback)
        assert client.news() == [Subscribed(ticket, 1, tuple(bytes.fromhex(suback[-5:])))]
        assert len(client.session.packet_ids) == 0

    def test_options_and_identifier_go_out_as_asked(self):
        client = connected()
        wanted = Subscription("a", QoS.EXACTLY_ONCE, True, True, RetainHandling.DO_NOT_SEND)
        client.core.subscribe([wanted], client.now, Properties(subscription_identifier=(300,)))
        assert client.sent() == "82 0a 00 01 03 0b ac 02 00 01 61 2e"

    @pytest.mark.parametrize(
        ("version", "unsuback", "reasons"),
        [(V31, "b0 02 00 01", ()), (V311, "b0 02 00 01", ()), (V5, "b0 05 00 01 00 00 11", (0, 0x11))],
    )
    def test_unsubscribe_is_answered_in_order(self, version, unsuback, reasons):
        client = connected(version=version)
        ticket = client.core.unsubscribe(["a", "b"], client.now)
        assert client.sent().startswith("a2")
        client.receive(unsuback)
        assert client.news() == [Unsubscribed(ticket, 1, reasons)]

    @pytest.mark.parametrize(
        ("version", "answer"),
        [
            (V5, "90 04 00 01 00 00"),  # one reason for two filters [5.0 MQTT-3.8.4-6]
            (V5, "90 06 00 01 00 00 00 00"),
            (V5, "90 05 00 02 00 00 00"),  # another identifier
            (V5, "b0 05 00 01 00 00 00"),  # UNSUBACK for a SUBSCRIBE
            (V311, "90 03 00 01 00"),
        ],
    )
    def test_an_answer_that_does_not_fit_is_a_protocol_error(self, version, answer):
        client = connected(version=version)
        ticket = client.subscribe("a", "b")
        client.sent()
        assert client.receive(answer) == ("e0 01 82" if version is V5 else "")
        assert client.core.closing is Closing.FLUSH
        events = client.news()
        assert isinstance(events[0], Failed)
        assert events[0].ticket == ticket
        assert events[-1].cause is Cause.BAD_PACKET

    def test_identifiers_of_subscribe_and_publish_never_meet(self):  # 5.0 MQTT-2.2.1-3
        client = connected()
        client.publish()
        client.subscribe("a")
        client.publish()
        client.core.unsubscribe(["a"], client.now)
        assert len(client.session.packet_ids) == 4

    @pytest.mark.parametrize("filters", [[], ["a/#/b"], [""], ["$share//a"]])
    def test_an_ill_formed_request_is_refused_and_leaves_no_trace(self, filters):
        client = connected()
        with pytest.raises(LocalError):
            client.subscribe(*filters)
        with pytest.raises(LocalError):
            client.core.unsubscribe(filters, client.now)
        assert len(client.session.packet_ids) == 0
        assert client.sent() == ""
