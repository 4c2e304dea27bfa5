import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_broker.session.keep_alive import ClientKeepAlive, KeepAliveAction, ServerKeepAlive


class TestClient:
    def test_keep_alive_0_never_asks_for_anything(self):
        timer = ClientKeepAlive(0, 100.0)
        assert timer.deadline() is None
        assert timer.action(1e9) is KeepAliveAction.NOTHING

    @pytest.mark.parametrize(("keep_alive", "due"), [(1, 0.9), (2, 1.8), (10, 9.0), (60, 55.0), (65535, 65530.0)])
    def test_pingreq_is_due_a_tenth_but_at_most_5_s_before_the_keep_alive(self, keep_alive, due):
        timer = ClientKeepAlive(keep_alive, 100.0)
        assert timer.deadline() == pytest.approx(100.0 + due)
        assert timer.action(100.0 + due - 0.01) is KeepAliveAction.NOTHING
        assert timer.action(100.0 + due + 0.01) is KeepAliveAction.SEND_PINGREQ

    def test_pingreq_is_due_when_only_receiving(self):  # 5.0 MQTT-3.1.2-20
        timer = ClientKeepAlive(10, 0.0)
        for now in range(1, 9):
            timer.packet_received(float(now))
        assert timer.action(9.0) is KeepAliveAction.SEND_PINGREQ

    def test_pingreq_is_due_when_only_sending_so_that_a_dead_link_is_noticed(self):
        timer = ClientKeepAlive(10, 0.0)
        for now in range(1, 9):
            timer.packet_sent(float(now))
        assert timer.action(9.0) is KeepAliveAction.SEND_PINGREQ

    def test_traffic_in_both_directions_needs_no_pingreq(self):
        timer = ClientKeepAlive(10, 0.0)
        timer.packet_sent(8.0)
        timer.packet_received(8.0)
        assert timer.deadline() == 17.0

    def test_no_answer_for_a_whole_keep_alive_ends_the_connection(self):  # 3.1: close without PINGRESP
        timer = ClientKeepAlive(10, 0.0)
        timer.ping_sent(9.0)
        timer.packet_sent(18.0)
        assert timer.action(18.9) is KeepAliveAction.NOTHING
        assert timer.deadline() == 19.0
        assert timer.action(19.0) is KeepAliveAction.GIVE_UP

    def test_the_time_to_answer_can_be_chosen(self):
        timer = ClientKeepAlive(10, 0.0, answer_timeout_seconds=2.0)
        timer.ping_sent(9.0)
        assert timer.deadline() == 11.0
        assert timer.action(11.0) is KeepAliveAction.GIVE_UP

    def test_while_an_answer_is_owed_pingreq_still_follows_a_silence_of_our_own(self):  # 5.0 MQTT-3.1.2-20
        timer = ClientKeepAlive(10, 0.0, answer_timeout_seconds=30.0)
        timer.ping_sent(9.0)
        assert timer.action(18.0) is KeepAliveAction.SEND_PINGREQ
        timer.ping_sent(18.0)
        assert timer.action(39.0) is KeepAliveAction.GIVE_UP  # counted from the first one

    def test_an_answer_starts_over(self):
        timer = ClientKeepAlive(10, 0.0)
        timer.ping_sent(9.0)
        timer.packet_received(9.1)
        timer.ping_answered()
        assert timer.deadline() == 18.0
        assert timer.action(17.9) is KeepAliveAction.NOTHING

    @given(st.integers(1, 65535), st.lists(st.floats(0.01, 5), max_size=20))
    def test_a_client_that_obeys_never_leaves_a_gap_above_the_keep_alive(self, keep_alive, gaps):
        now, last_sent, timer = 0.0, 0.0, ClientKeepAlive(keep_alive, 0.0)
        for gap in gaps:
            arrival = now + gap * keep_alive
            while (deadline := timer.deadline()) <= arrival:
                now = deadline
                assert timer.action(now) is KeepAliveAction.SEND_PINGREQ
                assert now - last_sent <= keep_alive
                last_sent = now
                timer.ping_sent(now)
                timer.packet_received(now)
                timer.ping_answered()
            now = arrival
            timer.packet_received(now)


class TestServer:
    @pytest.mark.parametrize(("keep_alive", "patience"), [(1, 1.5), (2, 3.0), (65535, 98302.5)])
    def test_a_client_is_given_up_after_one_and_a_half_keep_alives(self, keep_alive, patience):
        timer = ServerKeepAlive(keep_alive, 100.0)
        assert timer.deadline() == 100.0 + patience
        assert not timer.is_overdue(100.0 + patience - 0.01)
        assert timer.is_overdue(100.0 + patience)

    def test_a_packet_from_the_client_starts_over(self):
        timer = ServerKeepAlive(2, 0.0)
        timer.packet_received(2.9)
        assert not timer.is_overdue(5.8)
        assert timer.is_overdue(5.9)

    def test_keep_alive_0_never_gives_up(self):
        timer = ServerKeepAlive(0, 0.0)
        assert timer.deadline() is None
        assert not timer.is_overdue(1e12)
