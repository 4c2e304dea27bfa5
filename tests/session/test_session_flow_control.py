import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_broker.session.flow_control import ReceiveQuota, SendQuota
from reference_broker.wire.errors import ProtocolError


def test_the_default_receive_maximum_is_65535():
    assert SendQuota().available == 65535
    assert ReceiveQuota().receive_maximum == 65535


def test_nothing_is_sent_at_zero_quota_until_something_is_settled():  # 5.0 MQTT-4.9.0-2
    quota = SendQuota(2)
    assert [quota.take(), quota.take(), quota.take()] == [True, True, False]
    quota.give_back()
    assert [quota.take(), quota.take()] == [True, False]


def test_giving_back_never_goes_above_the_start():  # 5.0 4.9
    quota = SendQuota(1)
    quota.give_back()
    assert quota.available == 1


def test_what_goes_on_beyond_the_quota_is_made_up_for_before_anything_is_sent():  # 5.0 MQTT-3.3.4-7, -9
    quota = SendQuota(2)
    for _ in range(4):
        quota.occupy()
    quota.give_back()
    quota.give_back()
    assert not quota.take()
    quota.give_back()
    assert [quota.take(), quota.take()] == [True, False]


@given(st.integers(1, 5), st.lists(st.booleans()))
def test_the_peer_never_sees_more_than_its_receive_maximum(maximum, steps):
    sender, receiver, in_flight = SendQuota(maximum), ReceiveQuota(maximum), []
    for number, send in enumerate(steps, start=1):
        if send and sender.take():
            in_flight.append(number)
            receiver.take(number)  # raises when the sender was wrong
        elif not send and in_flight:
            receiver.give_back(in_flight.pop(0))
            sender.give_back()
        assert len(receiver) == len(in_flight) <= maximum


def test_one_publish_too_many_is_reason_0x93():  # 5.0 3.3.4
    quota = ReceiveQuota(2)
    quota.take(1)
    quota.take(2)
    with pytest.raises(ProtocolError) as error:
        quota.take(3)
    assert error.value.reason == 0x93


def test_a_repeat_of_an_unanswered_publish_does_not_count_twice():
    quota = ReceiveQuota(1)
    quota.take(1)
    quota.take(1)
    quota.give_back(1)
    assert len(quota) == 0
