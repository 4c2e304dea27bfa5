from itertools import permutations

import pytest
from scripted import CONNACK_SESSION, Client, connected

from reference_broker.client import Cause, Closing, Connected, Failed, Message, Published, Session
from reference_broker.wire.errors import LocalError
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import Version

V31, V311, V5 = Version.V31, Version.V311, Version.V5
PUBLISH = {V31: "05 00 01 74 00 01", V311: "05 00 01 74 00 01", V5: "06 00 01 74 00 01 00"}
PUBREL_AGAIN = {V31: "6a", V311: "62", V5: "62"}
"""Only in 3.1 a PUBREL that is sent again says so. [3.1 MQTT31-13]"""


def resume(client, **options):
    """A new connection with the same session, the server having it too; returns it and what it sends first."""
    again = Client(client.session, kept=True, version=client.core.options.version, **options)
    again.sent()
    return again, again.receive(CONNACK_SESSION[again.core.options.version])


@pytest.mark.parametrize("version", list(Version))
class TestResumption:
    """Cut after each packet of each flow. [3.1.1 MQTT-4.4.0-1, 5.0 MQTT-4.4.0-1]"""

    def test_qos_1_cut_before_puback_is_sent_again_with_dup(self, version):  # 5.0 MQTT-3.3.1-1
        client = Client(kept=True, version=version).connected()
        ticket = client.publish(b"")
        client.cut()
        again, sent = resume(client)
        assert sent == f"3a {PUBLISH[version]}"
        again.receive("40 02 00 01")
        assert again.news()[-1] == Published(ticket, 1)

    def test_qos_2_cut_before_pubrec_is_sent_again_with_dup(self, version):
        client = Client(kept=True, version=version).connected()
        client.publish(b"", 2)
        client.cut()
        again, sent = resume(client)
        assert sent == f"3c {PUBLISH[version]}"
        assert again.receive("50 02 00 01") == "62 02 00 01"

    def test_qos_2_cut_before_pubcomp_sends_pubrel_and_never_the_message(self, version):  # 5.0 MQTT-4.3.3-6
        client = Client(kept=True, version=version).connected()
        ticket = client.publish(b"", 2)
        client.receive("50 02 00 01")
        client.cut()
        again, sent = resume(client)
        assert sent == f"{PUBREL_AGAIN[version]} 02 00 01"
        again.receive("70 02 00 01")
        assert again.news()[-1] == Published(ticket, 1)
        assert len(again.session) == 0

    def test_what_was_settled_is_not_sent_again(self, version):
        client = Client(kept=True, version=version).connected()
        client.publish(b"", 1)
        client.receive("40 02 00 01")
        client.cut()
        assert resume(client)[1] == ""

    def test_received_qos_2_is_remembered_until_pubrel(self, version):  # 5.0 MQTT-4.3.3-10
        client = Client(kept=True, version=version).connected()
        client.receive(f"34 {PUBLISH[version]}")
        client.cut()
        again, _ = resume(client)
        assert again.receive(f"3c {PUBLISH[version]}") == "50 02 00 01"
        assert again.receive("62 02 00 01") == "70 02 00 01"
        assert not any(isinstance(event, Message) for event in again.news())

    def test_a_cut_that_nobody_noticed_before_the_next_one_changes_nothing(self, version):
        client = Client(kept=True, version=version).connected()
        client.publish(b"", 2)
        client.cut()
        again, first = resume(client)
        again.cut()
        _, second = resume(again)
        assert first == second == f"3c {PUBLISH[version]}"

    def test_a_clean_start_forgets_everything(self, version):  # 5.0 MQTT-3.1.2-4
        client = Client(kept=True, version=version).connected()
        ticket = client.publish(b"", 2)
        client.receive(f"34 {PUBLISH[version]}")
        client.cut()
        fresh = Client(client.session, version=version, client_id="c")
        assert Failed(ticket, "the session was dropped by a clean start") in fresh.news()
        fresh.connected()
        assert fresh.rest == ""
        fresh.receive(f"34 {PUBLISH[version]}")
        assert isinstance(fresh.news()[0], Message)

    def test_messages_are_repeated_in_the_original_order(self, version):  # 5.0 MQTT-4.6.0-1
        client = Client(kept=True, version=version).connected()
        for qos in (1, 2, 2, 1):
            client.publish(b"", qos)
        client.receive("50 02 00 03")
        client.cut()
        _, sent = resume(client)
        body = PUBLISH[version]
        expected = [f"3a {body}", f"3c {body.replace('00 01 74 00 01', '00 01 74 00 02')}"]
        expected += [f"3a {body.replace('00 01 74 00 01', '00 01 74 00 04')}"]
        assert sent == " ".join([f"{PUBREL_AGAIN[version]} 02 00 03", *expected])

    def test_a_session_ends_with_its_connection_unless_it_is_kept(self, version):
        client = connected(version=version)
        ticket = client.publish(b"", 2)
        events = client.cut()
        assert events[0] == Failed(ticket, "the session ended before the message was acknowledged")
        assert not client.session.established

    def test_new_messages_follow_the_repeated_ones(self, version):
        client = Client(kept=True, version=version).connected()
        client.publish(b"", 1)
        client.cut()
        again, _ = resume(client)
        again.publish(b"", 1)
        assert again.sent() == "32 " + PUBLISH[version].replace("00 01 74 00 01", "00 01 74 00 02")


class TestSessionPresent:
    def test_5_0_closes_when_the_server_has_a_session_we_do_not(self):  # 5.0 MQTT-3.2.2-4
        client = Client(kept=True)
        client.sent()
        assert client.receive("20 03 01 00 00") == "e0 01 82"
        assert client.core.closing is Closing.FLUSH
        assert client.end.cause is Cause.UNEXPECTED_SESSION

    def test_a_session_said_to_be_established_is_welcome(self):
        client = Client(Session(established=True), kept=True).resumed()
        client.receive("34 " + PUBLISH[V5])
        assert isinstance(client.news()[0], Message)

    def test_3_1_1_goes_on_with_a_session_it_does_not_know(self):  # 3.1.1 3.2.2.2
        client = Client(version=V311, kept=True)
        client.receive("20 02 01 00")
        assert client.news()[0].session_present

    @pytest.mark.parametrize(("version", "connack"), [(V311, "20 02 01 00"), (V5, "20 03 01 00 00")])
    def test_session_present_after_a_clean_start_is_a_violation(self, version, connack):  # 5.0 MQTT-3.2.2-2
        client = Client(Session(established=True), version=version, client_id="c")
        client.receive(connack)
        assert client.end.cause is Cause.BAD_PACKET

    def test_3_1_has_no_session_present(self):  # MQTT31-6
        client = Client(version=V31)
        client.receive("20 02 01 00")
        assert client.news()[0].session_present is False

    def test_5_0_forgets_its_session_when_the_server_has_none(self):  # 5.0 MQTT-3.2.2-5
        client = Client(kept=True).connected("20 06 00 00 03 21 00 02")
        flying, released, waiting = client.publish(b"1", 1), client.publish(b"2", 2), client.publish(b"3", 1)
        client.receive("50 02 00 02")
        client.receive("34 06 00 01 74 00 05 00")
        client.cut()
        again = Client(client.session, kept=True)
        again.sent()
        # What was never sent is sent as a new message, with the first identifier and without DUP.
        sent = again.receive("20 03 00 00 00")
        assert sent == "32 07 00 01 74 00 03 00 33"
        assert not again.session.receipts
        failed, also_failed, accepted = again.news()
        assert {failed.ticket, also_failed.ticket} == {flying, released}
        assert isinstance(accepted, Connected)
        again.receive("34 06 00 01 74 00 05 00 40 02 00 03")
        assert [type(event) for event in again.news()] == [Message, Published]
        assert waiting not in {failed.ticket, also_failed.ticket}

    def test_3_1_1_sends_again_even_so_but_takes_what_comes_as_new(self):  # 3.1.1 MQTT-4.4.0-1
        client = Client(version=V311, kept=True).connected()
        client.publish(b"", 2)
        client.receive("34 05 00 01 74 00 01")
        client.cut()
        again = Client(client.session, version=V311, kept=True)
        again.sent()
        assert again.receive("20 02 00 00") == "3c 05 00 01 74 00 01"
        again.receive("34 05 00 01 74 00 01")
        assert isinstance(again.news()[-1], Message)


class TestExpiry:
    def test_the_servers_session_expiry_overrides_ours(self):  # 5.0 3.2.2.3.2
        client = Client(kept=True).connected("20 08 00 00 05 11 00 00 00 00")
        ticket = client.publish()
        assert [event.ticket for event in client.cut() if isinstance(event, Failed)] == [ticket]

    def test_a_server_may_keep_what_we_did_not_ask_for(self):
        client = Client(clean_start=False, client_id="c").connected("20 08 00 00 05 11 00 00 00 09")
        client.publish()
        client.cut()
        assert len(client.session) == 1

    def test_disconnect_can_end_the_session(self):  # 5.0 3.14.2.2.2
        client = Client(kept=True).connected()
        ticket = client.publish()
        client.core.disconnect(client.now, 0, Properties(session_expiry_interval=0))
        assert client.sent().endswith("e0 07 00 05 11 00 00 00 00")
        assert client.news()[0] == Failed(ticket, "the session ended before the message was acknowledged")
        assert not client.session.established

    def test_a_refused_connection_leaves_the_session_alone(self):
        client = Client(kept=True).connected()
        client.publish(b"")
        client.cut()
        refused = Client(client.session, kept=True)
        refused.receive("20 03 00 88 00")
        assert refused.end.cause is Cause.REFUSED
        assert resume(refused)[1] == "3a 06 00 01 74 00 01 00"


class TestLimitsOnResumption:
    def test_repeats_wait_for_a_smaller_receive_maximum_and_keep_dup_and_order(self):  # 5.0 MQTT-4.9.0-2
        client = Client(kept=True).connected()
        for _ in range(3):
            client.publish(b"")
        client.cut()
        again = Client(client.session, kept=True)
        again.sent()
        assert again.receive("20 06 01 00 03 21 00 01") == "3a 06 00 01 74 00 01 00"
        again.publish(b"")
        assert again.sent() == ""
        assert again.receive("40 02 00 01") == "3a 06 00 01 74 00 02 00"
        assert again.receive("40 02 00 02") == "3a 06 00 01 74 00 03 00"
        assert again.receive("40 02 00 03") == "32 06 00 01 74 00 04 00"

    def test_repeated_pubrels_leave_at_once_and_take_their_place(self):  # 5.0 MQTT-4.9.0-3
        client = Client(kept=True).connected()
        for qos in (2, 2, 1):
            client.publish(b"", qos)
        client.receive("50 02 00 01 50 02 00 02")
        client.cut()
        again = Client(client.session, kept=True)
        again.sent()
        assert again.receive("20 06 01 00 03 21 00 01") == "62 02 00 01 62 02 00 02"
        assert again.receive("70 02 00 01") == ""  # the second is one under way already
        assert again.receive("70 02 00 02") == "3a 06 00 01 74 00 03 00"

    @pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
    def test_new_messages_wait_for_as_many_pubcomps_as_there_are_pubrels_too_many(self, order):  # 5.0 MQTT-3.3.4-7
        client = Client(kept=True).connected()
        for _ in order:
            client.publish(b"", 2)
        client.receive("50 02 00 01 50 02 00 02 50 02 00 03")
        client.cut()
        again = Client(client.session, kept=True)
        again.sent()
        assert again.receive("20 06 01 00 03 21 00 02") == "62 02 00 01 62 02 00 02 62 02 00 03"
        for _ in order:
            again.publish(b"", 2)
        assert again.sent() == ""
        answers = [again.receive(f"70 02 00 0{packet_id}") for packet_id in order]
        assert answers == ["", "34 06 00 01 74 00 04 00", "34 06 00 01 74 00 05 00"]
        assert again.receive("50 02 00 04") == "62 02 00 04"
        assert again.receive("70 02 00 04") == "34 06 00 01 74 00 06 00"

    def test_pubrels_beyond_receive_maximum_free_no_place(self):  # 5.0 MQTT-3.3.4-7
        client = Client(kept=True).connected()
        for qos in (2, 2, 2, 1, 1, 1):
            client.publish(b"", qos)
        client.receive("50 02 00 01 50 02 00 02 50 02 00 03")
        client.cut()
        again = Client(client.session, kept=True)
        again.sent()
        assert again.receive("20 06 01 00 03 21 00 02") == "62 02 00 01 62 02 00 02 62 02 00 03"
        assert again.receive("70 02 00 03") == ""
        assert again.receive("70 02 00 01") == "3a 06 00 01 74 00 04 00"
        assert again.receive("70 02 00 02") == "3a 06 00 01 74 00 05 00"
        assert again.receive("40 02 00 04") == "3a 06 00 01 74 00 06 00"

    @pytest.mark.parametrize(("qos", "acknowledgement"), [(1, "40 02 00 02"), (2, "50 03 00 02 80")])
    def test_an_acknowledgement_of_what_was_not_sent_here_frees_no_place(self, qos, acknowledgement):
        """And it is not sent afterwards. [5.0 MQTT-3.3.4-7]"""
        client = Client(kept=True).connected()
        tickets = [client.publish(b"", qos) for _ in range(3)]
        client.cut()
        again = Client(client.session, kept=True)
        again.sent()
        first = {1: "3a", 2: "3c"}[qos]
        assert again.receive("20 06 01 00 03 21 00 01") == f"{first} 06 00 01 74 00 01 00"
        assert again.receive(acknowledgement) == ""
        assert again.news()[-1].ticket == tickets[1]
        settled = {1: "40 02 00 01", 2: "50 03 00 01 80"}[qos]
        assert again.receive(settled) == f"{first} 06 00 01 74 00 03 00"

    def test_pubrec_of_what_was_not_sent_here_is_followed_by_no_publish(self):
        """[5.0 MQTT-4.3.3-6]"""
        client = Client(kept=True).connected()
        for _ in range(3):
            client.publish(b"", 2)
        client.cut()
        again = Client(client.session, kept=True)
        again.sent()
        assert again.receive("20 06 01 00 03 21 00 01") == "3c 06 00 01 74 00 01 00"
        assert again.receive("50 02 00 02") == "62 02 00 02"
        assert again.receive("50 03 00 01 80") == ""  # the second is under way again
        assert again.receive("70 02 00 02") == "3c 06 00 01 74 00 03 00"

    def test_what_waited_is_sent_first_time_without_dup(self):
        client = Client(kept=True).connected("20 06 00 00 03 21 00 01")
        client.publish(b"1")
        client.publish(b"2")
        client.cut()
        assert resume(client)[1] == "3a 07 00 01 74 00 01 00 31 32 07 00 01 74 00 02 00 32"


def test_a_session_belongs_to_one_client_identifier():
    client = Client(kept=True).connected()
    client.cut()
    with pytest.raises(LocalError):
        Client(client.session, kept=True, client_id="someone else")


def test_a_session_can_change_its_version():
    client = Client(version=V311, kept=True).connected()
    client.publish(b"", 2)
    client.cut()
    again = Client(client.session, kept=True)
    again.sent()
    assert again.receive("20 03 01 00 00") == "3c 06 00 01 74 00 01 00"
    assert again.receive("50 02 00 09") == "62 03 00 09 92"


def test_tickets_are_never_used_twice_within_a_session():
    client = Client(kept=True).connected()
    tickets = [client.publish(qos=qos) for qos in (0, 1, 2)] + [client.subscribe("t")]
    client.cut()
    again, _ = resume(client)
    tickets += [again.publish(), again.subscribe("t")]
    assert len(set(tickets)) == len(tickets)
