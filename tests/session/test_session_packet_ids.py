import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_broker.session.packet_ids import PacketIds, PacketIdsExhausted
from reference_broker.wire.errors import LocalError


def test_the_first_identifier_is_1_because_0_is_forbidden():
    assert PacketIds().allocate() == 1


def test_an_identifier_given_back_is_not_the_next_one_chosen():
    ids = PacketIds()
    first = ids.allocate()
    ids.release(first)
    assert ids.allocate() == 2


def test_identifiers_go_round_from_65535_to_the_lowest_free_one():
    ids = PacketIds()
    ids.reserve(1)
    for _ in range(65534):
        ids.release(ids.allocate())
    assert ids.allocate() == 2


def test_all_65535_identifiers_can_be_used_and_no_more():
    ids = PacketIds()
    assert {ids.allocate() for _ in range(65535)} == set(range(1, 65536))
    with pytest.raises(PacketIdsExhausted):
        ids.allocate()
    ids.release(40000)
    assert ids.allocate() == 40000


@pytest.mark.parametrize("packet_id", [0, -1, 65536])
def test_reserve_refuses_what_is_no_packet_identifier(packet_id):
    with pytest.raises(LocalError):
        PacketIds().reserve(packet_id)


def test_reserve_refuses_an_identifier_in_use():
    ids = PacketIds()
    ids.reserve(7)
    with pytest.raises(LocalError):
        ids.reserve(7)


def test_releasing_an_unused_identifier_changes_nothing():
    ids = PacketIds()
    ids.release(9)
    assert len(ids) == 0
    assert 9 not in ids


@given(st.lists(st.one_of(st.just("allocate"), st.integers(0, 30))))
def test_no_identifier_is_ever_handed_out_twice_at_a_time(steps):
    ids, mine = PacketIds(), []
    for step in steps:
        if step == "allocate":
            packet_id = ids.allocate()
            assert 1 <= packet_id <= 65535
            assert packet_id not in mine
            mine.append(packet_id)
        elif mine:
            ids.release(mine.pop(step % len(mine)))
    assert len(ids) == len(mine)
    assert all(packet_id in ids for packet_id in mine)
