import pytest
from scripted import Client, connected

from reference_broker.client import Cause, Message
from reference_broker.wire.errors import LocalError
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version

V31, V311, V5 = Version.V31, Version.V311, Version.V5


def qos1(packet_id, payload="78", dup=False):
    return f"{'3a' if dup else '32'} 07 00 01 74 {packet_id:04x} 00 {payload}"


def qos2(packet_id, payload="78", dup=False):
    return f"{'3c' if dup else '34'} 07 00 01 74 {packet_id:04x} 00 {payload}"


def messages(client):
    return [event for event in client.news() if isinstance(event, Message)]


class TestDelivery:
    def test_everything_that_arrived_is_told(self):
        client = connected(properties=Properties(topic_alias_maximum=5))
        client.receive("3b 18 00 01 74 00 09 11 01 01 23 00 03 0b 07 0b ac 02 26 00 01 6b 00 01 76 68")
        (message,) = messages(client)
        assert (message.topic, message.payload, message.qos, message.retain) == ("t", b"h", QoS(1), True)
        assert (message.dup, message.packet_id, message.topic_alias) == (True, 9, 3)
        assert message.properties == Properties(
            payload_format_indicator=1, subscription_identifier=(7, 300), user_property=(("k", "v"),)
        )

    def test_qos_0_needs_no_acknowledgement(self):
        client = connected()
        assert client.receive("30 05 00 01 74 00 78") == ""
        assert messages(client)[0].packet_id is None

    def test_qos_1_is_acknowledged_at_once(self):  # 5.0 MQTT-4.3.2-4
        client = connected()
        assert client.receive(qos1(1) + qos1(2)) == "40 02 00 01 40 02 00 02"
        assert len(messages(client)) == 2

    def test_qos_1_with_a_known_identifier_is_a_new_message(self):  # 5.0 MQTT-4.3.2-5
        client = connected()
        client.receive(qos1(1) + qos1(1, dup=True))
        assert [message.dup for message in messages(client)] == [False, True]

    @pytest.mark.parametrize("dup", [False, True])
    def test_a_repeat_before_pubrel_is_acknowledged_and_not_delivered_again(self, dup):  # 5.0 MQTT-4.3.3-10
        client = connected()
        assert client.receive(qos2(1)) == "50 02 00 01"
        assert client.receive(qos2(1, dup=dup)) == "50 02 00 01"
        assert client.receive("62 02 00 01") == "70 02 00 01"
        assert len(messages(client)) == 1
        client.receive(qos2(1))
        assert len(messages(client)) == 1

    def test_a_repeated_pubrel_is_answered_again(self):  # 5.0 MQTT-4.3.3-11
        client = connected()
        client.receive(qos2(1))
        assert client.receive("62 02 00 01 62 02 00 01") == "70 02 00 01 70 03 00 01 92"
        client = connected(version=V311)
        assert client.receive("62 02 00 05") == "70 02 00 05"


class TestTopicAliases:
    def test_an_alias_stands_for_its_topic_on_this_connection(self):  # 5.0 3.3.2.3.4
        client = connected(properties=Properties(topic_alias_maximum=2))
        client.receive("30 09 00 03 61 62 63 03 23 00 02" + "30 06 00 00 03 23 00 02")
        assert [(message.topic, message.topic_alias) for message in messages(client)] == [("abc", 2), ("abc", 2)]

    def test_an_alias_of_an_earlier_connection_is_unknown(self):  # 5.0 MQTT-3.3.2-7
        options = {"properties": Properties(topic_alias_maximum=2), "kept": True}
        client = Client(**options).connected()
        client.receive("30 09 00 03 61 62 63 03 23 00 02")
        client.cut()
        again = Client(client.session, **options).resumed()
        assert again.receive("30 06 00 00 03 23 00 02") == "e0 01 82"

    @pytest.mark.parametrize(
        ("maximum", "publish", "reason"),
        [
            (0, "30 07 00 01 74 03 23 00 01", 0x94),
            (2, "30 07 00 01 74 03 23 00 03", 0x94),
            (2, "30 07 00 01 74 03 23 00 00", 0x94),
            (2, "30 06 00 00 03 23 00 01", 0x82),  # never set
        ],
    )
    def test_an_alias_the_server_may_not_use_closes(self, maximum, publish, reason):  # 5.0 3.3.4
        client = connected(properties=Properties(topic_alias_maximum=maximum))
        assert client.receive(publish) == f"e0 01 {reason:02x}"


RECEIVE_MAXIMUM_2 = {"properties": Properties(receive_maximum=2), "manual_acknowledgement": True}


class TestReceiveMaximum:
    def test_one_message_too_many_closes_with_0x93(self):  # 5.0 3.3.4
        client = connected(**RECEIVE_MAXIMUM_2)
        assert client.receive(qos1(1) + qos2(2)) == ""
        assert client.receive(qos1(3)) == "e0 01 93"
        assert client.end.reason == 0x93

    def test_puback_and_pubcomp_make_room(self):
        client = connected(**RECEIVE_MAXIMUM_2)
        client.receive(qos1(1) + qos2(2))
        first, second = messages(client)
        client.core.acknowledge(second, client.now)
        assert client.sent() == "50 02 00 02"
        client.core.acknowledge(first, client.now)
        assert client.sent() == "40 02 00 01"
        assert client.receive(qos1(3)) == ""
        assert client.receive("62 02 00 02") == "70 02 00 02"
        assert client.receive(qos1(4)) == ""
        assert client.receive(qos1(5)) == "e0 01 93"

    def test_pubrec_with_an_error_makes_room(self):
        client = connected(**RECEIVE_MAXIMUM_2)
        client.receive(qos2(1) + qos2(2))
        client.core.acknowledge(messages(client)[0], client.now, 0x83)
        assert client.receive(qos2(3)) == "50 03 00 01 83"
        assert client.receive(qos2(4)) == "e0 01 93"

    def test_without_one_65535_messages_may_come(self):
        client = connected(manual_acknowledgement=True)
        client.receive("".join(qos1(n) for n in range(1, 65536)))
        assert len(messages(client)) == 65535

    def test_messages_acknowledged_at_once_never_count(self):
        client = connected(properties=Properties(receive_maximum=1))
        assert client.receive(qos1(1) + qos1(2)) == "40 02 00 01 40 02 00 02"


class TestManualAcknowledgement:
    def client(self, **options):
        return connected(manual_acknowledgement=True, **options)

    def test_nothing_is_acknowledged_before_the_application_says_so(self):
        client = self.client()
        assert client.receive(qos1(1) + qos2(2)) == ""
        first, second = messages(client)
        assert client.core.acknowledge(first, client.now)
        assert client.sent() == "40 02 00 01"
        assert client.core.acknowledge(second, client.now)
        assert client.sent() == "50 02 00 02"
        assert client.receive("62 02 00 02") == "70 02 00 02"

    @pytest.mark.parametrize("publish", [qos1, qos2])
    def test_acknowledgements_leave_in_the_order_of_arrival(self, publish):  # 5.0 MQTT-4.6.0-2, -3
        client = self.client()
        client.receive(publish(1) + publish(2) + publish(3))
        one, two, three = messages(client)
        kind = "40" if publish is qos1 else "50"
        client.core.acknowledge(three, client.now)
        client.core.acknowledge(two, client.now)
        assert client.sent() == ""
        client.core.acknowledge(one, client.now)
        assert client.sent() == " ".join(f"{kind} 02 00 0{n}" for n in (1, 2, 3))

    def test_the_two_kinds_do_not_wait_for_each_other(self):
        client = self.client()
        client.receive(qos1(1) + qos2(2))
        client.core.acknowledge(messages(client)[1], client.now)
        assert client.sent() == "50 02 00 02"

    def test_a_reason_and_properties_can_be_given(self):
        client = self.client()
        client.receive(qos1(1))
        client.core.acknowledge(messages(client)[0], client.now, 0x83, Properties(reason_string="n"))
        assert client.sent() == "40 08 00 01 83 04 1f 00 01 6e"

    def test_after_a_refusal_the_identifier_is_new(self):  # 5.0 MQTT-4.3.3-9
        client = self.client()
        client.receive(qos2(1))
        client.core.acknowledge(messages(client)[0], client.now, 0x99)
        assert client.sent() == "50 03 00 01 99"
        client.receive(qos2(1))
        assert len(messages(client)) == 1

    @pytest.mark.parametrize("reason", [0x10, 0x92, 0x01])
    def test_a_reason_a_client_may_not_give_is_refused(self, reason):  # 5.0 MQTT-3.4.2-1
        client = self.client()
        client.receive(qos1(1))
        message = messages(client)[0]
        with pytest.raises(LocalError):
            client.core.acknowledge(message, client.now, reason)
        assert client.core.acknowledge(message, client.now)

    def test_3_1_1_knows_no_reason(self):
        client = self.client(version=V311)
        client.receive("32 06 00 01 74 00 01 78")
        with pytest.raises(LocalError):
            client.core.acknowledge(messages(client)[0], client.now, 0x80)

    def test_a_message_is_acknowledged_once(self):
        client = self.client()
        client.receive(qos1(1) + qos1(2) + qos2(3) + qos2(4))
        for message in messages(client):
            # acknowledged out of turn, so that the second time comes while the first is held back
            assert client.core.acknowledge(message, client.now) is True
            assert client.core.acknowledge(message, client.now) is False
        assert client.sent().count("02 00 0") == 4

    def test_qos_0_has_nothing_to_acknowledge(self):
        client = self.client()
        client.receive("30 05 00 01 74 00 78")
        assert client.core.acknowledge(messages(client)[0], client.now) is False

    def test_a_repeat_is_not_acknowledged_before_the_application_does(self):
        client = self.client()
        client.receive(qos2(1))
        assert client.receive(qos2(1, dup=True)) == ""
        (message,) = messages(client)
        client.core.acknowledge(message, client.now)
        assert client.sent() == "50 02 00 01"
        assert client.receive(qos2(1, dup=True)) == "50 02 00 01"

    def test_a_server_that_releases_early_gets_its_pubcomp(self):
        client = self.client()
        client.receive(qos2(1) + qos2(2))
        first, second = messages(client)
        assert client.receive("62 02 00 01") == "70 02 00 01"
        assert not client.core.acknowledge(first, client.now)
        client.core.acknowledge(second, client.now)
        assert client.sent() == "50 02 00 02"

    @pytest.mark.parametrize("version", [V31, V311, V5])
    def test_a_qos_1_message_of_an_earlier_connection_is_acknowledged_through_its_repeat(self, version):
        publish = "32 05 00 01 74 00 01" if version < V5 else "32 06 00 01 74 00 01 00"
        client = Client(version=version, kept=True, manual_acknowledgement=True).connected()
        client.receive(publish)
        (old,) = messages(client)
        client.cut()
        again = Client(client.session, version=version, kept=True, manual_acknowledgement=True).resumed()
        assert again.core.acknowledge(old, again.now) is False
        again.receive("3a" + publish[2:])
        (new,) = messages(again)
        assert (new.packet_id, new.dup) == (1, True)
        assert again.core.acknowledge(old, again.now) is False
        assert again.sent() == ""
        assert again.core.acknowledge(new, again.now) is True
        assert again.sent() == "40 02 00 01"

    @pytest.mark.parametrize("before_repeat", [True, False])
    def test_a_qos_2_message_of_an_earlier_connection_is_acknowledged_when_the_server_repeats_it(self, before_repeat):
        client = Client(kept=True, manual_acknowledgement=True).connected()
        client.receive(qos2(1))
        (message,) = messages(client)
        client.cut()
        again = Client(client.session, kept=True, manual_acknowledgement=True).resumed()
        if before_repeat:
            assert again.core.acknowledge(message, again.now)
            assert again.sent() == ""
            assert again.receive(qos2(1, dup=True)) == "50 02 00 01"
        else:
            assert again.receive(qos2(1, dup=True)) == ""
            assert again.core.acknowledge(message, again.now)
            assert again.sent() == "50 02 00 01"
        assert messages(again) == []
        assert again.receive("62 02 00 01") == "70 02 00 01"

    def test_the_connection_must_be_up_to_acknowledge(self):
        client = self.client()
        client.receive(qos1(1))
        (message,) = messages(client)
        client.cut()
        with pytest.raises(LocalError):
            client.core.acknowledge(message, client.now)


def test_a_bad_packet_behind_a_good_one_does_not_take_it_back():
    client = connected()
    assert client.receive(qos1(1) + "c0 00") == "40 02 00 01 e0 01 82"
    message, end = client.news()
    assert message.payload == b"x"
    assert end.cause is Cause.BAD_PACKET


class TestProblemInformation:
    """Reason String and User Property where the client asked for none. [5.0 3.1.2.11.7]"""

    SUBACK = "90 08 00 01 04 1f 00 01 78 00"
    PUBACK_WITH_USER_PROPERTY = "40 0b 00 01 10 07 26 00 01 6b 00 01 76"

    @pytest.mark.parametrize("packet", [SUBACK, PUBACK_WITH_USER_PROPERTY])
    def test_it_is_a_protocol_error(self, packet):  # 5.0 MQTT5-U-14
        client = connected(properties=Properties(request_problem_information=0))
        client.publish(qos=1)
        client.sent()
        assert client.receive(packet) == "e0 01 82"
        assert client.news()[-1].cause is Cause.BAD_PACKET

    def test_it_is_allowed_on_publish_and_disconnect(self):  # 5.0 MQTT-3.1.2-29
        client = connected(properties=Properties(request_problem_information=0))
        client.receive("30 0b 00 01 74 07 26 00 01 6b 00 01 76")
        assert len(messages(client)) == 1
        client.receive("e0 06 8b 04 1f 00 01 78")
        assert client.news()[-1].cause is Cause.BY_SERVER

    def test_it_is_welcome_otherwise(self):
        client = connected()
        client.publish(qos=1)
        client.sent()
        assert client.receive(self.PUBACK_WITH_USER_PROPERTY) == ""
