"""Transactions with a clock that the test moves: RFC 3261 section 17 and RFC 6026, row by row and end to end."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import Message
from miscript.sip.transactions import (
    Do,
    Event,
    State,
    Timers,
    Transaction,
    cancelled_key,
    client,
    client_key,
    event_of_status,
    server,
    server_key,
)
from miscript.sip.transactions.table import CLIENT, INVITE_CLIENT, INVITE_SERVER, SERVER

RFC = Timers()


def run_out(transaction: Transaction, now: float, until: float) -> list[tuple[float, Do]]:
    """Let time pass; what was to be done, and when."""
    done = []
    while transaction.next_deadline <= until:
        now = transaction.next_deadline
        done += [(now, do) for do in transaction.due(now)]
    return done


# -- INVITE client ------------------------------------------------------------------------------------------------


def test_an_unanswered_invite_is_sent_again_at_doubling_times_and_times_out_after_64_t1():
    transaction = client("INVITE", 0.0, RFC, reliable=False)
    done = run_out(transaction, 0.0, 100.0)
    resent = [at for at, do in done if do is Do.RESEND]
    assert resent[:4] == [0.5, 1.5, 3.5, 7.5]
    assert done[-1] == (32.0, Do.TIMED_OUT)
    assert transaction.is_over


def test_nothing_is_sent_again_over_a_reliable_transport():
    transaction = client("INVITE", 0.0, RFC, reliable=True)
    assert run_out(transaction, 0.0, 100.0) == [(32.0, Do.TIMED_OUT)]


def test_a_provisional_reply_stops_the_sending_and_starts_the_ringing_time():
    transaction = client("INVITE", 0.0, RFC, reliable=False)
    assert transaction.handle(Event.PROVISIONAL, 0.2) == (Do.PASS,)
    assert run_out(transaction, 0.2, 180.0) == []
    transaction.handle(Event.PROVISIONAL, 100.0)
    assert transaction.next_deadline == 280.0
    assert transaction.due(280.0) == (Do.TIMED_OUT,)
    assert transaction.handle(Event.FAILURE, 280.1) == (Do.ACK,), "the 487 to the CANCEL must be acknowledged"
    assert run_out(transaction, 280.1, 400.0) == []
    assert transaction.is_over


def test_the_ringing_time_is_not_restarted_when_that_is_not_wanted():
    transaction = client("INVITE", 0.0, Timers(ringing=10.0, restart_ringing=False), reliable=False)
    transaction.handle(Event.PROVISIONAL, 1.0)
    transaction.handle(Event.PROVISIONAL, 8.0)
    assert transaction.next_deadline == 11.0


def test_each_2xx_is_handed_up_and_never_acknowledged_by_the_transaction():
    transaction = client("INVITE", 0.0, RFC, reliable=False)
    assert transaction.handle(Event.SUCCESS, 1.0) == (Do.PASS,)
    assert transaction.handle(Event.SUCCESS, 1.5) == (Do.PASS,)
    assert transaction.handle(Event.PROVISIONAL, 1.6) == ()
    assert transaction.handle(Event.FAILURE, 1.7) == ()
    run_out(transaction, 1.7, 33.0)
    assert transaction.is_over


def test_a_negative_reply_is_handed_up_once_and_acknowledged_each_time():
    transaction = client("INVITE", 0.0, RFC, reliable=False)
    assert transaction.handle(Event.FAILURE, 1.0) == (Do.ACK, Do.PASS)
    assert transaction.handle(Event.FAILURE, 1.5) == (Do.ACK,)
    assert transaction.next_deadline == 33.0
    assert transaction.due(33.0) == ()
    assert transaction.is_over


def test_over_tcp_a_client_is_over_with_the_final_reply():
    transaction = client("INVITE", 0.0, RFC, reliable=True)
    assert transaction.handle(Event.FAILURE, 1.0) == (Do.ACK, Do.PASS)
    assert transaction.is_over


# -- other clients ------------------------------------------------------------------------------------------------


def test_another_request_is_sent_again_at_most_every_t2():
    transaction = client("OPTIONS", 0.0, RFC, reliable=False)
    done = run_out(transaction, 0.0, 100.0)
    assert [at for at, do in done if do is Do.RESEND] == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert done[-1] == (32.0, Do.TIMED_OUT)


def test_a_provisional_reply_slows_the_sending_of_another_request_down():
    transaction = client("OPTIONS", 0.0, RFC, reliable=False)
    assert transaction.handle(Event.PROVISIONAL, 0.1) == (Do.PASS,)
    assert transaction.next_deadline == 4.1
    assert transaction.handle(Event.SUCCESS, 5.0) == (Do.PASS,)
    assert transaction.handle(Event.SUCCESS, 5.5) == (), "a late reply is absorbed"
    assert transaction.next_deadline == 10.0
    transaction.due(10.0)
    assert transaction.is_over


# -- INVITE server ------------------------------------------------------------------------------------------------


def test_a_negative_reply_is_repeated_until_the_ack_comes():
    transaction = server("INVITE", RFC, reliable=False)
    assert transaction.handle(Event.REQUEST, 0.0) == (Do.RESEND,)
    assert transaction.handle(Event.PROVISIONAL, 0.1) == (Do.SEND,)
    assert transaction.handle(Event.FAILURE, 1.0) == (Do.SEND,)
    assert run_out(transaction, 1.0, 3.0) == [(1.5, Do.RESEND), (2.5, Do.RESEND)]
    assert transaction.handle(Event.REQUEST, 3.1) == (Do.RESEND,)
    assert transaction.handle(Event.ACK, 3.2) == ()
    assert transaction.state is State.CONFIRMED
    assert run_out(transaction, 3.2, 100.0) == []
    assert transaction.is_over


def test_an_ack_that_never_comes_is_told():
    transaction = server("INVITE", RFC, reliable=False)
    transaction.handle(Event.FAILURE, 0.0)
    assert run_out(transaction, 0.0, 100.0)[-1] == (32.0, Do.TIMED_OUT)
    assert transaction.is_over


def test_several_2xx_of_one_invite_are_sent():
    transaction = server("INVITE", RFC, reliable=False)
    assert transaction.handle(Event.SUCCESS, 0.0) == (Do.SEND,)
    assert transaction.handle(Event.SUCCESS, 0.5) == (Do.SEND,)
    assert transaction.handle(Event.FAILURE, 0.6) == ()
    assert run_out(transaction, 0.6, 100.0) == []
    assert transaction.is_over


# -- other servers ------------------------------------------------------------------------------------------------


def test_a_request_that_comes_again_gets_the_last_reply_again():
    transaction = server("BYE", RFC, reliable=False)
    assert transaction.handle(Event.REQUEST, 0.1) == ()
    assert transaction.handle(Event.PROVISIONAL, 0.2) == (Do.SEND,)
    assert transaction.handle(Event.REQUEST, 0.3) == (Do.RESEND,)
    assert transaction.handle(Event.SUCCESS, 0.4) == (Do.SEND,)
    assert transaction.handle(Event.FAILURE, 0.5) == ()
    assert transaction.handle(Event.REQUEST, 0.6) == (Do.RESEND,)
    run_out(transaction, 0.6, 33.0)
    assert transaction.is_over


# -- all together -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [INVITE_CLIENT, CLIENT, INVITE_SERVER, SERVER])
def test_every_state_of_a_table_can_be_reached_and_left(table):
    reached = {step.to for step in table.values()} - {State.TERMINATED}
    starts = {State.CALLING, State.TRYING, State.PROCEEDING}
    assert {state for state, _ in table} <= reached | starts
    assert reached <= {state for state, _ in table}
    assert State.TERMINATED in {step.to for step in table.values()}


@given(
    method=st.sampled_from(["INVITE", "OPTIONS"]),
    is_client=st.booleans(),
    reliable=st.booleans(),
    events=st.lists(st.tuples(st.sampled_from(sorted(Event, key=lambda e: e.name)), st.floats(0, 50)), max_size=30),
)
def test_any_order_of_events_ends_within_the_sum_of_all_timers(method, is_client, reliable, events):
    now = 0.0
    made = client(method, now, RFC, reliable=reliable) if is_client else server(method, RFC, reliable=reliable)
    for event, later in events:
        now += later
        made.handle(event, now)
        while made.next_deadline <= now:
            made.due(now)
    run_out(made, now, now + 500.0)
    waiting_for_its_user = not is_client and made.state in (State.TRYING, State.PROCEEDING)
    assert made.is_over or waiting_for_its_user
    if made.is_over:
        assert made.next_deadline == float("inf")
        assert made.handle(Event.SUCCESS, now) == ()


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@pytest.mark.parametrize("seed", range(20))
def test_client_and_server_agree_over_a_wire_that_loses_every_third_packet(method, seed):
    chance = random.Random(seed)
    caller = client(method, 0.0, RFC, reliable=False)
    callee, last = None, None
    wire = [(0.01, "request")]
    final, acked = None, 0
    now = 0.0

    def send(what):
        if chance.random() > 0.33:
            wire.append((now + 0.01, what))

    def act(transaction, dos):
        nonlocal final, acked
        for do in dos:
            match do:
                case Do.RESEND:
                    send("request" if transaction is caller else last)
                case Do.SEND:
                    send(last)
                case Do.ACK:
                    acked += 1
                    send("ack")
                case Do.PASS:
                    final = "486"

    while now < 200.0:
        deadlines = [t.next_deadline for t in (caller, callee) if t is not None]
        now = min([at for at, _ in wire] + deadlines)
        if now == float("inf"):
            break
        for transaction in (caller, callee):
            if transaction is not None and transaction.next_deadline <= now:
                act(transaction, transaction.due(now))
        for packet in [p for p in wire if p[0] <= now]:
            wire.remove(packet)
            match packet[1]:
                case "request" if callee is None:
                    callee, last = server(method, RFC, reliable=False), "486"
                    act(callee, callee.handle(Event.FAILURE, now))
                case "request":
                    act(callee, callee.handle(Event.REQUEST, now))
                case "486":
                    act(caller, caller.handle(Event.FAILURE, now))
                case "ack":
                    callee.handle(Event.ACK, now)
    assert caller.is_over
    assert callee is None or callee.is_over
    assert final == "486", "eleven sendings do not all get lost"
    assert (acked > 0) == (method == "INVITE")


def test_statuses_are_events():
    assert [event_of_status(s) for s in (100, 199, 200, 299, 300, 699)] == [
        Event.PROVISIONAL, Event.PROVISIONAL, Event.SUCCESS, Event.SUCCESS, Event.FAILURE, Event.FAILURE,
    ]  # fmt: skip


# -- matching -----------------------------------------------------------------------------------------------------

REQUEST = (
    "{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP {host};branch={branch}\r\n"
    "From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>{to}\r\nCall-ID: a@b\r\n"
    "CSeq: {cseq} {method}\r\n\r\n"
)


def request(method="INVITE", host="10.0.0.1:5062", branch="z9hG4bKabc", to="", cseq=1):
    text = REQUEST.format(method=method, host=host, branch=branch, to=to, cseq=cseq)
    return Message.parse(text.encode())


def test_a_request_is_found_by_branch_sent_by_and_method():
    assert server_key(request()) == server_key(request(branch="Z9HG4BKABC".replace("Z9HG4BK", "z9hG4bK")))
    assert server_key(request()) != server_key(request(host="10.0.0.2:5062"))
    assert server_key(request()) != server_key(request(method="OPTIONS"))


@pytest.mark.parametrize("branch", ["z9hG4bKabc", "1"])
def test_ack_and_cancel_find_their_invite_with_a_branch_of_any_age(branch):
    invite = request(branch=branch)
    assert server_key(request(method="ACK", branch=branch, to=";tag=2")) == server_key(invite)
    assert cancelled_key(request(method="CANCEL", branch=branch)) == server_key(invite)
    assert server_key(request(method="CANCEL", branch=branch)) != server_key(invite)


def test_an_old_request_is_told_from_the_next_one_by_its_number():
    assert server_key(request(branch="1")) != server_key(request(branch="1", cseq=2))


def test_a_reply_is_found_by_the_branch_that_we_made():
    text = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKours\r\nCSeq: 7 CANCEL\r\n\r\n"
    assert client_key(Message.parse(text.encode())) == ("z9hG4bKours", "CANCEL")
    assert client_key(Message.parse(b"SIP/2.0 200 OK\r\nCSeq: 7 CANCEL\r\n\r\n")) is None
