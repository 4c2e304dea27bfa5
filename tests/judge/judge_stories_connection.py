"""Stories about a connection's form, beginning and end."""

from __future__ import annotations

from judge_story import ALL, BROKER, CLIENT, V5, V31, V311, Story, breaks, keeps, q0, q1, to

from interop.tap.lane import NOT_BINARY
from interop.tap.trace import Fate, TraceEntry
from reference_broker.wire.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
)
from reference_broker.wire.properties import Properties

# --- form -------------------------------------------------------------------------------------------------------------


@breaks("well-formed", CLIENT, V311, V5, cites=("MQTT-3.3.1-4",))
def a_client_publishes_with_qos_3(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    return one.client(b"\x36\x05\x00\x01t\x00\x01")


@breaks("well-formed", BROKER, V311, cites=("MQTT-2.2.2-2",))
def a_server_sets_reserved_flags_of_puback(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q1())
    return one.broker(b"\x41\x02\x00\x01")


@breaks("well-formed", CLIENT, V311, cites=("MQTT-2.3.1-1",))
def a_client_publishes_with_packet_id_zero(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    return one.client(b"\x32\x05\x00\x01t\x00\x00")


@breaks("well-formed", BROKER, V5, cites=("MQTT-3.2.2-6",))
def a_server_refuses_with_session_present(story: Story) -> TraceEntry:
    one = story.actor()
    one.open()
    one.client(Connect(story.version, "one"))
    return one.broker(b"\x20\x03\x01\x87\x00")


@breaks("well-formed", CLIENT, V31, cites=())
def a_client_of_3_1_publishes_with_packet_id_zero(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    return one.client(b"\x32\x05\x00\x01t\x00\x00")


@breaks("well-formed", BROKER, V31, cites=())
def a_server_of_3_1_publishes_with_packet_id_zero(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    return one.broker(b"\x32\x05\x00\x01t\x00\x00")


@keeps("well-formed")
def what_the_harness_injects_is_nobodys_fault(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.inject(BROKER, b"\x36\x05\x00\x01t\x00\x01")
    one.close(BROKER)


@keeps("well-formed")
def a_client_that_dies_in_the_middle_of_a_packet_broke_no_rule(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.client(b"\x32\x05\x00", note="incomplete packet")
    one.close(CLIENT, note="RST")


@keeps("well-formed", V31)
def an_empty_suback_answers_an_empty_subscribe(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.inject(BROKER, b"\x82\x02\x00\x01")
    one.broker(b"\x90\x02\x00\x01")


@breaks("binary-frames", CLIENT, V311, V5)
def a_client_sends_text(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    return one.client(b"\xc0\x00", note=NOT_BINARY)


@breaks("binary-frames", BROKER, V311, V5)
def a_server_sends_text(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    return one.broker(b"\xd0\x00", note=NOT_BINARY)


@keeps("binary-frames", V311, V5)
def text_that_nobody_sent(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.inject(CLIENT, b"\x81\x02\xd0\x00")
    one.close(CLIENT)


@breaks("direction", BROKER, V31, V311, cites=())
def a_server_disconnects_in_3(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    entry = one.broker(Disconnect())
    one.close(BROKER)
    return entry


@breaks("direction", CLIENT, V5, cites=("MQTT-3.3.4-6",))
def a_client_publishes_with_a_subscription_identifier(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    return one.client(q0(properties=Properties(subscription_identifier=(1,))))


@breaks("direction", CLIENT, V31, V311, V5, cites=())
def a_client_answers_pings(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    return one.client(PingResp())


@breaks("direction", BROKER, V5, cites=("MQTT-3.14.2-2",))
def a_server_disconnects_with_a_session_expiry(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    entry = one.broker(Disconnect(0x8B, Properties(session_expiry_interval=9)))
    one.close(BROKER)
    return entry


@keeps("direction")
def everyone_sends_what_is_theirs(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.client(PingReq())
    one.broker(PingResp())
    one.leave()


@breaks("version", CLIENT, V5, cites=())
def a_client_speaks_an_older_version(story: Story) -> TraceEntry:
    one = story.actor()
    one.open()
    entry = one.client(Connect(V311, "one"))
    one.broker(ConnAck())
    return entry


@breaks("version", CLIENT, V31, V311, cites=())
def a_client_speaks_a_newer_version(story: Story) -> TraceEntry:
    one = story.actor()
    one.open()
    entry = one.client(Connect(V5, "one"))
    one.broker(ConnAck(reason=1))
    one.close(BROKER)
    return entry


@keeps("version")
def a_client_speaks_the_version_asked_for(story: Story) -> None:
    story.actor().connect()


# --- beginning --------------------------------------------------------------------------------------------------------


@breaks("connect-first", CLIENT)
def a_client_begins_with_a_ping(story: Story) -> TraceEntry:
    one = story.actor()
    one.open()
    entry = one.client(PingReq())
    one.close(BROKER)
    return entry


@keeps("connect-first")
def a_packet_injected_before_connect_is_not_the_clients(story: Story) -> None:
    one = story.actor()
    one.open()
    one.inject(BROKER, PingReq())
    one.client(Connect(story.version, "one"))
    one.close(BROKER)


@breaks("one-connect", CLIENT)
def a_client_connects_twice(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    entry = one.client(Connect(story.version, "one"))
    one.close(BROKER)
    return entry


@breaks("one-connect", BROKER)
def a_server_lives_with_a_second_connect(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    entry = one.inject(BROKER, Connect(story.version, "one"))
    story.wait(5)
    one.client(q0())
    return entry


@keeps("one-connect")
def a_second_connect_is_injected_and_ends_the_connection(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.inject(BROKER, Connect(story.version, "one"))
    one.close(BROKER)


@breaks("connack-first", BROKER)
def a_server_publishes_before_connack(story: Story) -> TraceEntry:
    one = story.actor()
    one.open()
    one.client(Connect(story.version, "one"))
    entry = one.broker(PingResp())
    one.broker(ConnAck())
    return entry


@breaks("connack-first", BROKER, V5, cites=("MQTT-3.2.0-1", "MQTT-3.14.0-1"))
def a_server_disconnects_before_connack(story: Story) -> TraceEntry:
    one = story.actor()
    one.open()
    one.client(Connect(story.version, "one"))
    entry = one.broker(Disconnect(0x87))
    one.close(BROKER)
    return entry


@keeps("connack-first", V311, V5)
def what_a_client_sends_before_connack_is_answered_behind_it(story: Story) -> None:
    one = story.actor()
    one.open()
    one.client(Connect(story.version, "one"))
    one.client(PingReq())
    one.broker(ConnAck())
    one.broker(PingResp())


@keeps("connack-first", V5)
def auth_may_come_before_connack(story: Story) -> None:
    one = story.actor()
    method = Properties(authentication_method="M")
    one.open()
    one.client(Connect(story.version, "one", properties=method))
    one.broker(Auth(0x18, method))
    one.client(Auth(0x18, method))
    one.broker(ConnAck(properties=method))


@breaks("one-connack", BROKER)
def a_server_accepts_twice(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    return one.broker(ConnAck())


@keeps("one-connack", *ALL)
def each_connection_has_its_connack(story: Story) -> None:
    one = story.actor()
    for _ in range(2):
        one.connect()
        one.leave()


@breaks("refusal-is-the-end", BROKER)
def a_server_goes_on_after_refusing(story: Story) -> TraceEntry:
    one = story.actor()
    one.open()
    one.client(Connect(story.version, "one"))
    one.broker(ConnAck(reason=0x87 if story.version is V5 else 5))
    return one.broker(PingResp())


@breaks("refusal-is-the-end", BROKER)
def a_server_refuses_and_stays(story: Story) -> TraceEntry:
    one, two = story.actor(), story.actor("two")
    one.open()
    one.client(Connect(story.version, "one"))
    entry = one.broker(ConnAck(reason=0x87 if story.version is V5 else 5))
    story.wait(4)
    two.connect()
    return entry


@keeps("refusal-is-the-end")
def a_server_refuses_and_closes(story: Story) -> None:
    one = story.actor()
    one.open()
    one.client(Connect(story.version, "one"))
    one.broker(ConnAck(reason=0x87 if story.version is V5 else 5))
    one.close(BROKER)
    story.wait(4)
    one.connect()


@breaks("clean-start-has-no-session", BROKER)
def a_server_resumes_a_clean_start(story: Story) -> TraceEntry:
    return story.actor().connect(present=True)


@keeps("clean-start-has-no-session")
def a_server_resumes_a_kept_session(story: Story) -> None:
    story.actor().connect_kept(present=True)


@breaks("assigned-client-id", BROKER)
def a_server_keeps_the_identifier_it_made_to_itself(story: Story) -> TraceEntry:
    return story.actor(client_id="").connect()


@keeps("assigned-client-id")
def a_server_tells_the_identifier_it_made(story: Story) -> None:
    story.actor(client_id="").connect(answer=Properties(assigned_client_identifier="made-up"))


@breaks("empty-client-id-is-clean", CLIENT)
def a_client_without_a_name_wants_its_session_kept(story: Story) -> TraceEntry:
    one = story.actor(client_id="")
    one.open()
    entry = one.client(Connect(story.version, "", clean_start=False))
    one.broker(ConnAck(reason=2))
    one.close(BROKER)
    return entry


@keeps("empty-client-id-is-clean")
def a_client_without_a_name_starts_clean(story: Story) -> None:
    story.actor(client_id="").connect()


@breaks("empty-client-id-refused", BROKER, V31)
def a_server_takes_a_client_without_a_name(story: Story) -> TraceEntry:
    return story.actor(client_id="").connect()


@breaks("empty-client-id-refused", BROKER, V311, also=("empty-client-id-is-clean",))
def a_server_keeps_the_session_of_nobody(story: Story) -> TraceEntry:
    return story.actor(client_id="").connect(clean=False)


@keeps("empty-client-id-refused")
def a_server_refuses_a_name_it_cannot_take(story: Story) -> None:
    one = story.actor(client_id="")
    one.open()
    one.inject(BROKER, Connect(story.version, "", clean_start=False))
    one.broker(ConnAck(reason=2))
    one.close(BROKER)


# --- authentication ---------------------------------------------------------------------------------------------------

_M, _N = Properties(authentication_method="M"), Properties(authentication_method="N")


@breaks("no-auth-without-method", CLIENT)
def a_client_authenticates_out_of_the_blue(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    entry = one.client(Auth(0x19, _M))
    one.close(BROKER)
    return entry


@breaks("no-auth-without-method", BROKER)
def a_server_accepts_with_a_method_nobody_named(story: Story) -> TraceEntry:
    return story.actor().connect(answer=_M)


@breaks("same-authentication-method", CLIENT)
def a_client_changes_the_method(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(asks=_M, answer=_M)
    entry = one.client(Auth(0x19, _N))
    one.close(BROKER)
    return entry


@breaks("same-authentication-method", BROKER)
def a_server_accepts_without_the_method(story: Story) -> TraceEntry:
    return story.actor().connect(asks=_M)


@breaks("only-auth-before-connack", CLIENT)
def a_client_publishes_while_it_authenticates(story: Story) -> TraceEntry:
    one = story.actor()
    one.open()
    one.client(Connect(story.version, "one", properties=_M))
    entry = one.client(q0())
    one.broker(ConnAck(properties=_M))
    return entry


@breaks("auth-continues-with-0x18", BROKER)
def a_server_ends_an_exchange_with_auth_before_connack(story: Story) -> TraceEntry:
    one = story.actor()
    one.open()
    one.client(Connect(story.version, "one", properties=_M))
    entry = one.broker(Auth(0, _M))
    one.broker(ConnAck(properties=_M))
    return entry


@breaks("auth-continues-with-0x18", CLIENT)
def a_client_begins_anew_before_connack(story: Story) -> TraceEntry:
    one = story.actor()
    one.open()
    one.client(Connect(story.version, "one", properties=_M))
    entry = one.client(Auth(0x19, _M))
    one.broker(ConnAck(properties=_M))
    return entry


@keeps("no-auth-without-method")
@keeps("same-authentication-method")
@keeps("only-auth-before-connack")
@keeps("auth-continues-with-0x18")
def client_and_server_authenticate_and_do_it_again(story: Story) -> None:
    one = story.actor()
    one.open()
    one.client(Connect(story.version, "one", properties=_M))
    one.broker(Auth(0x18, _M))
    one.client(Auth(0x18, _M))
    one.broker(ConnAck(properties=_M))
    one.client(q0())
    one.client(Auth(0x19, _M))
    one.broker(Auth(0, _M))


# --- end --------------------------------------------------------------------------------------------------------------


@breaks("nothing-after-disconnect", CLIENT)
def a_client_publishes_after_its_goodbye(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(Disconnect())
    entry = one.client(q0())
    one.close()
    return entry


@breaks("nothing-after-disconnect", BROKER)
def a_server_publishes_after_its_goodbye(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(Disconnect(0x8B))
    entry = one.broker(q0())
    one.close(BROKER)
    return entry


@keeps("nothing-after-disconnect")
def what_crosses_a_goodbye_is_no_fault(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.client(Disconnect())
    one.broker(q0())
    one.inject(BROKER, q0("other"))
    one.close()


@breaks("disconnect-closes", CLIENT)
def a_client_says_goodbye_and_stays(story: Story) -> TraceEntry:
    one, two = story.actor(), story.actor("two")
    one.connect()
    entry = one.client(Disconnect(), Fate.HELD)
    story.wait(4)
    two.connect()
    return entry


@breaks("disconnect-closes", BROKER)
def a_server_says_goodbye_and_stays(story: Story) -> TraceEntry:
    one, two = story.actor(), story.actor("two")
    one.connect()
    entry = one.broker(Disconnect(0x8B), Fate.LOST)
    story.wait(4)
    two.connect()
    return entry


@keeps("disconnect-closes")
def either_side_may_close_after_a_goodbye(story: Story) -> None:
    one = story.actor()
    for by in (CLIENT, BROKER):
        one.connect()
        one.client(Disconnect())
        one.close(by)
    story.wait(9)
    one.connect()


@breaks("no-session-expiry-out-of-nothing", CLIENT)
def a_client_leaves_a_session_it_did_not_ask_for(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    entry = one.client(Disconnect(0, Properties(session_expiry_interval=60)))
    one.close()
    return entry


@breaks("no-session-expiry-out-of-nothing", CLIENT)
def a_client_does_not_find_the_session_it_did_not_ask_for(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(clean=False)
    entry = one.client(Disconnect(0, Properties(session_expiry_interval=60)))
    one.broker(Disconnect(0x82))
    one.close(BROKER)
    one.connect(clean=False, present=False)
    return entry


@keeps("no-session-expiry-out-of-nothing")
def a_client_changes_the_expiry_of_its_session(story: Story) -> None:
    one = story.actor()
    one.connect(asks=Properties(session_expiry_interval=10))
    one.client(Disconnect(0, Properties(session_expiry_interval=60)))
    one.close()
