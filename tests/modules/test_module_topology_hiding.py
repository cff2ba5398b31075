"""Two parties behind routers, and a script that hides them from each other."""

from __future__ import annotations

import re

import pytest

from hidden_calls import (
    ALICE,
    ALICE_CONTACT,
    BOB,
    BOB_CONTACT,
    CALLEE_ROUTES,
    CALLER_ROUTES,
    HiddenParties,
    hidden_parties,
)
from miscript.errors import ScriptError
from miscript.sip import Message
from miscript.sip.replies import make_reply

INSIDE = ("10.0.0.9", 5060)
SECRETS = ("192.168.", CALLER_ROUTES[1], CALLEE_ROUTES[0])
MODES = pytest.mark.parametrize("dialog", [False, True], ids=["in contacts", "in dialogs"])


def assert_hides(message: Message, *, call_id: bool = False) -> None:
    """Nothing of the other side is in what is sent, its Call-ID aside unless that is hidden too."""
    text = message.data.decode()
    if not call_id:
        text = re.sub(r"Call-ID:.*", "", text)
    for secret in SECRETS:
        assert secret not in text


# -- what each side sees ----------------------------------------------------------------------------------------------


@MODES
def test_the_callee_sees_one_via_and_a_contact_of_ours(dialog: bool) -> None:
    invite = hidden_parties(dialog=dialog).invite()
    assert len(invite.vias) == 1 and invite.headers("Record-Route") == []
    assert re.fullmatch(r"<sip:10\.0\.0\.1;(did|thinfo)=[^;>]+>", invite.header("Contact") or "")
    assert_hides(invite)


@MODES
@pytest.mark.parametrize("status", [180, 200])
def test_the_caller_gets_his_own_routers_back_and_a_contact_of_ours(dialog: bool, status: int) -> None:
    parties = hidden_parties(dialog=dialog)
    reply = parties.answer(parties.invite(), status)
    first, second = reply.vias
    assert (first.branch, first.received, first.rport) == ("z9hG4bKone", ALICE, "5060")
    assert second.branch == "z9hG4bKzero"
    assert ", ".join(reply.headers("Record-Route")) == ", ".join(CALLER_ROUTES)
    assert re.fullmatch(r"<sip:10\.0\.0\.1;(did|thinfo)=[^;>]+>", reply.header("Contact") or "")
    assert "192.168.8.8" not in reply.data.decode()


@MODES
def test_a_redirection_keeps_its_contact(dialog: bool) -> None:
    parties = hidden_parties(dialog=dialog)
    reply = parties.answer(parties.invite(), 302, contact="<sip:else@c.test>")
    assert reply.header("Contact") == "<sip:else@c.test>"
    assert len(reply.vias) == 2 and reply.headers("Record-Route") == []


@MODES
def test_record_route_called_before_it_is_hidden_too(dialog: bool) -> None:
    parties = hidden_parties(dialog=dialog, begin=("create_dialog(); " if dialog else "") + "record_route();")
    assert parties.invite().headers("Record-Route") == []


@MODES
def test_requests_of_the_caller_take_the_way_that_the_callee_told(dialog: bool) -> None:
    parties = hidden_parties(dialog=dialog)
    parties.answer(parties.invite())
    for method in ("ACK", "BYE"):
        request = parties.ask(method, cseq=1 if method == "ACK" else 0)
        assert request.uri == "sip:bob@192.168.8.8:5080;bp=1"
        assert request.headers("Route") == [",".join(reversed(CALLEE_ROUTES))]
        assert len(request.vias) == 1
        assert "192.168.7.7" not in re.sub("Call-ID:.*", "", request.data.decode())
        assert CALLER_ROUTES[1] not in request.data.decode()


@MODES
def test_requests_of_the_callee_take_the_way_that_the_caller_told(dialog: bool) -> None:
    parties = hidden_parties(dialog=dialog)
    parties.answer(parties.invite())
    parties.ask("ACK", cseq=1)
    request = parties.ask_back("INFO")
    assert request.uri == "sip:alice@192.168.7.7:5070;ob;x=y"
    assert request.headers("Route") == [",".join(CALLER_ROUTES)]
    assert len(request.vias) == 1 and "192.168.8.8" not in request.data.decode()
    reply = parties.answer_back(request)
    assert [via.branch for via in reply.vias] == ["z9hG4bKbob-INFO-7", "z9hG4bKinner"]
    assert (reply.header("Contact") or "").startswith("<sip:10.0.0.1;")


@MODES
def test_an_early_dialog_has_requests_too(dialog: bool) -> None:
    parties = hidden_parties(dialog=dialog)
    parties.answer(parties.invite(), 180)
    assert parties.ask("PRACK").uri == "sip:bob@192.168.8.8:5080;bp=1"


@MODES
def test_a_strict_router_is_told_the_next_hop_in_the_request_uri(dialog: bool) -> None:
    parties = hidden_parties(dialog=dialog)
    invite = parties.invite(routes=False)
    to = f"{invite.header('To')};tag=bo"
    parties.bob.send(
        [
            "SIP/2.0 200 OK",
            f"Via: {invite.first_via}",
            "Record-Route: <sip:10.0.0.33;lr>, <sip:10.0.0.3>",
            f"From: {invite.header('From')}",
            f"To: {to}",
            f"Call-ID: {invite.call_id}",
            "CSeq: 1 INVITE",
            f"Contact: {BOB_CONTACT}",
        ]
    )
    (reply,) = [message for message in parties.alice.take() if message.status == 200]
    uri = re.search("<(.*)>", reply.header("Contact") or "")
    assert uri is not None
    request = parties.ask("BYE", uri=uri[1])
    assert request.uri == "sip:10.0.0.3"
    assert request.headers("Route") == ["<sip:10.0.0.33;lr>,<sip:bob@192.168.8.8:5080;bp=1>"]


@MODES
def test_a_cancel_reaches_the_callee(dialog: bool) -> None:
    parties = hidden_parties(dialog=dialog)
    parties.answer(parties.invite(), 180)
    parties.alice.send(
        [
            "CANCEL sip:bob@b.test SIP/2.0",
            f"Via: SIP/2.0/UDP {ALICE}:5060;branch=z9hG4bKone;rport",
            "From: <sip:alice@a.test>;tag=al",
            "To: <sip:bob@b.test>",
            f"Call-ID: {parties.call_id}",
            "CSeq: 1 CANCEL",
        ]
    )
    cancel = parties.bob.only("CANCEL")
    assert len(cancel.vias) == 1 and cancel.call_id == parties.bobs_call_id


# -- flags, names, parameters that are passed on ----------------------------------------------------------------------


@MODES
def test_flag_u_passes_the_user_on(dialog: bool) -> None:
    parties = hidden_parties('"U"', dialog=dialog)
    assert parties.to_alice == "" and parties.answer(parties.invite()).header("Contact", 0) is not None
    assert parties.to_alice.startswith("sip:alice@10.0.0.1;") and parties.to_bob.startswith("sip:bob@10.0.0.1;")


@MODES
@pytest.mark.parametrize(
    ("names", "to_callee", "to_caller"),
    [("sam", "sam", "sam"), ("/cal/cee", "cee", "cal"), ("/cal", "alice", "cal"), ("//cee", "cee", "bob")],
)
def test_names_replace_the_users(dialog: bool, names: str, to_callee: str, to_caller: str) -> None:
    parties = hidden_parties(f'"U", "{names}"', dialog=dialog)
    parties.answer(parties.invite())
    assert parties.to_alice.startswith(f"sip:{to_callee}@10.0.0.1;")
    assert parties.to_bob.startswith(f"sip:{to_caller}@10.0.0.1;")
    later = parties.ask("BYE").header("Contact") or ""
    assert later.startswith(f"<sip:{to_callee}@10.0.0.1;")


def test_a_name_that_cannot_be_a_user_is_refused() -> None:
    parties = hidden_parties('"U", "a@b"')
    parties.invite()
    assert "begun: -1" in parties.script.output


def test_names_are_kept_with_the_dialog() -> None:
    parties = hidden_parties('"U", "/cal/cee"', dialog=True)
    parties.invite()
    told = parties.script.mi("dlg_list_ctx")
    values = {name: value for pair in told["Dialogs"][0]["context"]["values"] for name, value in pair.items()}
    assert values == {"_th_contact_caller_username_var_": "cal", "_th_contact_callee_username_var_": "cee"}


def test_flag_d_puts_the_id_of_the_dialog_into_the_user() -> None:
    parties = hidden_parties('"D"', dialog=True)
    parties.answer(parties.invite())
    assert re.fullmatch(r"sip:X\.did\.[0-9a-f]+\.[0-9a-f]+@10\.0\.0\.1", parties.to_alice)
    assert parties.ask("BYE").uri == "sip:bob@192.168.8.8:5080;bp=1"


def test_flags_u_and_d_put_it_behind_the_user() -> None:
    parties = hidden_parties('"UD"', dialog=True)
    parties.answer(parties.invite())
    assert parties.to_alice.startswith("sip:alice.did.") and parties.to_bob.startswith("sip:bob.did.")
    assert parties.ask_back("INFO").uri == "sip:alice@192.168.7.7:5070;ob;x=y"


@MODES
def test_chosen_parameters_of_contact_are_passed_on(dialog: bool) -> None:
    parties = hidden_parties(
        dialog=dialog,
        parameters='modparam("topology_hiding", "th_passed_contact_uri_params", "x;bp")\n'
        'modparam("topology_hiding", "th_passed_contact_params", "HP;hc")',
    )
    invite = parties.invite()
    assert (invite.header("Contact") or "").endswith(";x=y>;hp=1")
    assert (parties.answer(invite).header("Contact") or "").endswith(";bp=1>;hc=2")


def test_with_flag_a_the_caller_sees_one_contact_all_the_time() -> None:
    parties = hidden_parties('"UaA"', dialog=True)
    reply = parties.answer(parties.invite())
    parties.ask("ACK", cseq=1)
    parties.bob.send(
        [
            line.replace("sip:bob@192", "sip:robert@192")
            for line in parties._request("INFO", parties.to_alice, "bob", 9, BOB_CONTACT)
        ]
    )
    assert parties.alice.only("INFO").header("Contact") == reply.header("Contact")


# -- Call-IDs ---------------------------------------------------------------------------------------------------------


def test_flag_c_gives_the_callee_another_call_id_and_scripts_see_the_callers() -> None:
    parties = hidden_parties('"C"', dialog=True, seen="$TH_callee_callid")
    invite = parties.invite()
    assert invite.call_id is not None and invite.call_id.startswith("DLGCH_")
    assert_hides(invite, call_id=True)
    assert parties.answer(invite).call_id == parties.call_id
    assert parties.ask("ACK", cseq=1).call_id == invite.call_id
    request = parties.ask_back("INFO")
    assert request.call_id == parties.call_id
    assert parties.answer_back(request).call_id == invite.call_id
    bye = parties.ask("BYE")
    assert bye.call_id == invite.call_id and parties.answer(bye).call_id == parties.call_id
    assert parties.script.output.count(f" {parties.call_id} ") == 3
    assert parties.script.output.count(invite.call_id) == 4


def test_our_own_replies_to_the_callee_have_his_call_id() -> None:
    parties = hidden_parties('"C"', dialog=True)
    parties.answer(parties.invite())
    parties.to_alice = "sip:10.0.0.1;did=123.456"
    parties.bob.take()
    parties.bob.send(parties._request("INFO", "sip:nobody@10.0.0.99", "bob", 3, BOB_CONTACT))
    replies = [message for message in parties.bob.take() if message.status is not None]
    assert [reply.call_id for reply in replies] == [parties.bobs_call_id] * len(replies)


def test_mi_tells_the_call_id_of_the_caller_and_ends_the_call_on_both_sides() -> None:
    parties = hidden_parties('"C"', dialog=True)
    parties.answer(parties.invite())
    parties.ask("ACK", cseq=1)
    (listed,) = parties.script.mi("dlg_list")["Dialogs"]
    assert listed["callid"] == parties.call_id
    assert listed["caller_contact"] == "sip:alice@192.168.7.7:5070;ob;x=y"
    assert listed["CALLEES"][0]["callee_route_set"] == ",".join(reversed(CALLEE_ROUTES))
    parties.script.mi("dlg_end_dlg", listed["ID"])
    parties.script.settle()
    assert parties.bob.only("BYE").call_id == parties.bobs_call_id
    assert parties.alice.only("BYE").call_id == parties.call_id


def test_requests_that_the_dialog_module_sends_have_our_contact() -> None:
    parties = hidden_parties('"UC"', dialog=True)
    parties.answer(parties.invite())
    parties.ask("ACK", cseq=1)
    dialog = parties.script.mi("dlg_list")["Dialogs"][0]["ID"]
    parties.script.mi("dlg_send_sequential", callid=dialog, method="INFO", mode="callee", body="none")
    parties.script.settle()
    request = parties.bob.only("INFO")
    assert (request.header("Contact") or "").startswith("<sip:alice@10.0.0.1;did=")
    assert request.call_id == parties.bobs_call_id


def test_a_call_that_loops_is_told_by_the_from_tag() -> None:
    parties = hidden_parties(
        '"C"', dialog=True, parameters='modparam("topology_hiding", "th_callid_loop_protection", 1)'
    )
    invite = parties.invite()
    parties.answer(invite)
    looped = invite.data.replace(b"branch=", b"branch=z9hG4bKloop-").replace(b"INVITE", b"OPTIONS")
    parties.bob.peer.send(looped, "10.0.0.1", 5060)
    parties.script.settle()
    assert invite.call_id is not None and parties.bob.only("OPTIONS").call_id == invite.call_id


# -- what is not hidden, or not ours ----------------------------------------------------------------------------------


@MODES
def test_requests_that_belong_to_no_call_are_not_matched(dialog: bool) -> None:
    parties = hidden_parties(dialog=dialog)
    parties.answer(parties.invite())
    for uri in ("sip:10.0.0.1", "sip:10.0.0.1;did=1.2", "sip:10.0.0.1;thinfo=AAAA", "sip:x@elsewhere.test"):
        parties.alice.send(
            [
                line.replace(parties.call_id, "other")
                for line in parties._request("BYE", uri, "alice", 50, ALICE_CONTACT)
            ]
        )
        parties.script.settle()
    assert parties.script.output.count("no match") == 4 if not dialog else "no match" in parties.script.output
    assert [message.method for message in parties.bob.take()] == []


def test_a_contact_made_with_another_password_leads_nowhere() -> None:
    one = hidden_parties(parameters='modparam("topology_hiding", "th_contact_encode_param_password", "thinfo:one")')
    other = hidden_parties()
    one.answer(one.invite())
    other.answer(other.invite())
    other.alice.send(other._request("BYE", one.to_bob, "alice", 2, ALICE_CONTACT))
    assert "no match" in other.script.output


def test_an_older_password_is_still_read() -> None:
    old = 'modparam("topology_hiding", "th_contact_encode_param_password", "old:secret:L")\n'
    new = 'modparam("topology_hiding", "th_contact_encode_param_password", "new:other")\n'
    before = hidden_parties(parameters=old)
    before.answer(before.invite())
    after = hidden_parties(parameters=f'{old}{new}modparam("topology_hiding", "th_use_param", "new")')
    after.answer(after.invite())
    assert ";new=" in after.to_bob
    assert after.ask("BYE", uri=before.to_bob).uri == "sip:bob@192.168.8.8:5080;bp=1"


def test_base32_is_what_the_parameter_holds_when_it_is_wanted() -> None:
    parties = hidden_parties(parameters='modparam("topology_hiding", "th_contact_encode_scheme", "base32")')
    parties.answer(parties.invite())
    assert re.search(r";thinfo=[A-Z2-7]+-*$", parties.to_bob)
    assert parties.ask("BYE").uri == "sip:bob@192.168.8.8:5080;bp=1"


def test_decoded_contact_and_routes_can_be_read() -> None:
    parties = hidden_parties(
        seen="$TH_decoded_contact(user) $TH_decoded_contact(port) $TH_decoded_routes $(TH_decoded_routes[-1]) "
        "$TH_decoded_routes(host) $TH_decoded_routes(params) $(TH_decoded_routes[2])"
    )
    parties.answer(parties.invite())
    parties.ask("BYE")
    assert (
        "<sip:bob@192.168.8.8:5080;bp=1> 2 bob 5080 <sip:10.0.0.3:5060;lr;d=1> <sip:10.0.0.33;lr;d=2> "
        "10.0.0.3 lr;d=1 <null>" in parties.script.output
    )


def test_force_dialog_makes_the_dialog() -> None:
    parties = hidden_parties(
        dialog=True, begin="$var(x) = 1;", parameters='modparam("topology_hiding", "force_dialog", 1)'
    )
    parties.invite()
    assert ";did=" in parties.to_alice and len(parties.script.mi("dlg_list")["Dialogs"]) == 1


# -- trusted sockets --------------------------------------------------------------------------------------------------


def trusted() -> HiddenParties:
    return hidden_parties(
        begin='$socket_out = "udp:10.0.0.9:5060";',
        parameters='modparam("topology_hiding", "th_internal_trusted_tag", "inside")',
    )


def test_a_trusted_network_sees_everything_and_gets_a_record_route() -> None:
    parties = trusted()
    parties.alice.send(
        [
            "INVITE sip:bob@b.test SIP/2.0",
            f"Via: SIP/2.0/UDP {ALICE}:5060;branch=z9hG4bKone",
            f"Record-Route: {', '.join(CALLER_ROUTES)}",
            "From: <sip:alice@a.test>;tag=al",
            "To: <sip:bob@b.test>",
            "Call-ID: one",
            "CSeq: 1 INVITE",
            f"Contact: {ALICE_CONTACT}",
        ]
    )
    invite = parties.bob.only("INVITE")
    assert [via.host for via in invite.vias] == ["10.0.0.9", ALICE]
    assert invite.header("Contact") == ALICE_CONTACT
    recorded = invite.headers("Record-Route")
    assert re.fullmatch(r"<sip:10\.0\.0\.9;thinfo=[^;>]+;lr>", recorded[0])
    assert recorded[1:] == [", ".join(CALLER_ROUTES)]


def test_the_other_side_of_a_trusted_network_sees_nothing_of_it() -> None:
    parties = trusted()
    parties.call_id = "one"
    invite = parties.invite()
    parties.bob.peer.send(
        make_reply(invite, 200, "OK", to_tag="bo", headers=[f"Contact: <sip:bob@{BOB}>\r\n"]), *INSIDE
    )
    parties.script.settle()
    (reply,) = [message for message in parties.alice.take() if message.status == 200]
    assert len(reply.vias) == 2 and reply.headers("Record-Route") == [", ".join(CALLER_ROUTES)]
    assert (reply.header("Contact") or "").startswith("<sip:10.0.0.1;thinfo=")
    parties.to_bob = re.search("<(.*)>", reply.header("Contact") or "")[1]  # type: ignore[index]  # it just matched
    request = parties.ask("BYE")
    assert request.uri == f"sip:bob@{BOB}" and request.first_via is not None and request.first_via.host == "10.0.0.9"


def test_requests_from_a_trusted_network_come_by_our_route() -> None:
    parties = trusted()
    parties.call_id = "one"
    invite = parties.invite()
    parties.bob.reply(invite, 200, tag="bo")
    parties.alice.take()
    lines = parties._request("INFO", "sip:alice@192.168.7.7:5070;ob;x=y", "bob", 3, BOB_CONTACT)
    parties.bob.send([*lines, *(f"Route: {route}" for route in invite.headers("Record-Route"))])
    request = parties.alice.only("INFO")
    assert request.uri == "sip:alice@192.168.7.7:5070;ob;x=y"
    assert request.headers("Route") == [",".join(CALLER_ROUTES)]
    assert len(request.vias) == 1 and request.vias[0].host == "10.0.0.1"
    assert (request.header("Contact") or "").startswith("<sip:10.0.0.1;thinfo=")


# -- parameters that are wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("th_contact_encode_scheme", '"base16"', "'base16' is none of base64, base32"),
        ("th_contact_encode_param_password", '"a:b:X"', "is no NAME"),
        ("th_use_param", '"unknown"', "'unknown' is not among"),
        ("th_callid_prefix", '""', "th_callid_prefix is empty"),
    ],
)
def test_parameters_are_checked(name: str, value: str, says: str) -> None:
    with pytest.raises(ScriptError, match=says):
        hidden_parties(dialog=True, parameters=f'modparam("topology_hiding", "{name}", {value})')


def test_force_dialog_needs_the_dialog_module() -> None:
    with pytest.raises(ScriptError, match="dialog"):
        hidden_parties(parameters='modparam("topology_hiding", "force_dialog", 1)')
