"""Digest authentication between a script and a phone."""

from __future__ import annotations

import pytest

from miscript.errors import ScriptError
from miscript.sip import Message
from miscript.sip.digest_response import Algorithm, Challenge, plain_ha1
from miscript.testing import RunningScript
from sip_scripts import Phone, sip_script

ROUTE = """
route {
    $var(user) = "alice"; $var(password) = "secret";
    if ($hdr(X-Password) != NULL) $var(password) = $hdr(X-Password);
    if ($hdr(X-Nobody) != NULL) $var(user) = NULL;
    if ($rm == "REGISTER") {
        pv_www_authorize("");
        $var(code) = $rc;
        xlog("$var(code)\\n");
        if ($var(code) < 0) {
            if ($hdr(X-Algorithms) != NULL) www_challenge("", $hdr(X-Qop), $hdr(X-Algorithms));
            else if ($hdr(X-Qop) != NULL) www_challenge("", $hdr(X-Qop));
            else www_challenge("");
            xlog("no challenge $rc\\n");
            exit;
        }
    } else {
        pv_proxy_authorize("office");
        $var(code) = $rc;
        xlog("$var(code)\\n");
        if ($var(code) < 0) proxy_challenge("office", "auth-int");
    }
    consume_credentials();
    $var(code) = $rc;
    xlog("consumed $var(code)\\n");
    sl_send_reply(200, "OK");
}
"""
PARAMETERS = """
modparam("auth", "username_spec", "$var(user)")
modparam("auth", "password_spec", "$var(password)")
modparam("auth", "calculate_ha1", 1)
"""


def auth(parameters: str = "", route: str = ROUTE) -> RunningScript:
    return sip_script("auth", route, parameters=PARAMETERS + parameters)


def challenges(answer: Message, name: str = "WWW-Authenticate") -> list[Challenge]:
    return [Challenge.parse(value) for value in answer.headers(name)]


def credentials(
    challenge: Challenge, user: str = "alice", password: str = "secret", count: int = 1, method: str = "REGISTER"
) -> str:
    return str(challenge.answered(user, password, method, "sip:example.com", cnonce="c", count=count))


def register(phone: Phone, value: str, *headers: str) -> Message:
    return phone.ask("REGISTER", f"Authorization: {value}", *headers)


def test_a_phone_that_knows_the_password_is_let_in():
    with auth() as script:
        phone = Phone(script)
        refused = phone.ask("REGISTER", "X-Qop: auth")
        assert (refused.status, refused.reason) == (401, "Unauthorized")
        (challenge,) = challenges(refused)
        assert (challenge.realm, challenge.qops, challenge.named_algorithm) == ("example.com", ("auth",), False)
        assert register(phone, credentials(challenge)).status == 200
        assert script.take() == "-4\n1\nconsumed 1\n"


def test_codes_tell_what_is_wrong_with_credentials():
    with auth() as script:
        phone = Phone(script)
        (challenge,) = challenges(phone.ask("REGISTER"))
        register(phone, credentials(challenge, password="other"))
        register(phone, credentials(challenge, user="bob"))
        register(phone, credentials(Challenge("elsewhere", challenge.nonce)))
        register(phone, "Basic YTpi")
        register(phone, credentials(challenge), "X-Nobody: 1")
        assert script.take().splitlines() == ["-4", "-2", "-1", "-4", "-4", "-5"]


def test_a_nonce_is_good_for_its_time_and_then_stale():
    with auth('modparam("auth", "nonce_expire", 5)') as script:
        phone = Phone(script)
        (challenge,) = challenges(phone.ask("REGISTER"))
        script.advance(6)
        refused = register(phone, credentials(challenge))
        assert script.take().splitlines()[-1] == "-3"
        (again,) = challenges(refused)
        assert again.stale
        assert register(phone, credentials(again)).status == 200


def test_a_nonce_that_is_not_ours_or_for_another_algorithm_is_stale():
    with auth() as script:
        phone = Phone(script)
        (challenge,) = challenges(phone.ask("REGISTER"))
        assert challenges(register(phone, credentials(Challenge("example.com", "xxxx"))))[0].stale
        other = Challenge("example.com", challenge.nonce, Algorithm.SHA_256, True)
        assert challenges(register(phone, credentials(other)))[0].stale


def test_an_answer_is_taken_once_unless_the_same_request_comes_again():
    with auth() as script:
        phone = Phone(script)
        (challenge,) = challenges(phone.ask("REGISTER"))
        text = phone.text("REGISTER", f"Authorization: {credentials(challenge)}")
        assert [answer.status for _ in range(2) for answer in phone.send(text)] == [200, 200]
        assert register(phone, credentials(challenge)).status == 401
        (counted,) = challenges(phone.ask("REGISTER", "X-Qop: auth"))
        assert [register(phone, credentials(counted, count=count)).status for count in (1, 2, 2, 1)] == [
            200, 200, 401, 401
        ]  # fmt: skip


def test_without_the_check_of_nonces_an_answer_is_taken_again():
    with auth('modparam("auth", "disable_nonce_check", 1)') as script:
        phone = Phone(script)
        (challenge,) = challenges(phone.ask("REGISTER"))
        assert [register(phone, credentials(challenge)).status for _ in range(2)] == [200, 200]


def test_a_challenge_for_each_algorithm_the_strongest_first():
    with auth() as script:
        phone = Phone(script)
        found = challenges(phone.ask("REGISTER", "X-Qop: auth,auth-int", "X-Algorithms: md5, SHA-256,SHA-512-256"))
        assert [c.algorithm for c in found] == [Algorithm.SHA_512_256, Algorithm.SHA_256, Algorithm.MD5]
        assert {c.qops for c in found} == {("auth", "auth-int")} and all(c.named_algorithm for c in found)
        assert [register(phone, credentials(c)).status for c in found] == [200, 200, 200]


@pytest.mark.parametrize("headers", [["X-Qop: junk"], ["X-Qop: auth", "X-Algorithms: junk"]])
def test_a_challenge_that_makes_no_sense_is_not_sent(headers: list[str]):
    with auth() as script:
        phone = Phone(script)
        assert phone.send(phone.text("REGISTER", *headers)) == []
        assert script.take() == "-4\nno challenge -1\n"


def test_an_ha1_in_place_of_a_password():
    with auth('modparam("auth", "calculate_ha1", 0)') as script:
        phone = Phone(script)
        (challenge,) = challenges(phone.ask("REGISTER"))
        ha1 = plain_ha1(Algorithm.MD5, "alice", "example.com", "secret")
        assert register(phone, credentials(challenge), f"X-Password: {ha1}").status == 200


def test_a_proxy_asks_with_407_and_checks_the_body_with_auth_int():
    with auth() as script:
        phone = Phone(script)
        refused = phone.ask("MESSAGE")
        assert (refused.status, refused.reason) == (407, "Proxy Authentication Required")
        (challenge,) = challenges(refused, "Proxy-Authenticate")
        assert (challenge.realm, challenge.qops) == ("office", ("auth-int",))
        value = credentials(challenge, method="MESSAGE")
        assert phone.ask("MESSAGE", f"Proxy-Authorization: {value}").status == 200


def test_credentials_that_were_found_good_do_not_go_on():
    with auth() as script:
        phone = Phone(script)
        (challenge,) = challenges(phone.ask("REGISTER"))
        text = phone.text("REGISTER", "Authorization: Digest other", f"Authorization: {credentials(challenge)}")
        run = script.route(message=Message.parse(text.encode())).run
        assert Message.parse(run.message.to_bytes()).headers("Authorization") == ["Digest other"]


def test_a_cancel_cannot_be_challenged():
    with auth() as script:
        assert Phone(script).ask("CANCEL").status == 200
        assert script.take().splitlines()[0] == "1"


def test_the_realm_of_a_request_loses_its_prefix():
    with auth('modparam("auth", "realm_prefix", "sip.")') as script:
        assert challenges(Phone(script, domain="sip.example.com").ask("REGISTER"))[0].realm == "example.com"


RPID = """
route {
    append_rpid_hf(); xlog("$rc ");
    $avp(rpid) = "sip:+4912345@x"; is_rpid_user_e164(); xlog("$rc ");
    append_rpid_hf(); append_rpid_hf("a <", ">;b"); xlog("$rc ");
    $avp(rpid) = "sip:12@x"; is_rpid_user_e164(); xlog("$rc\\n");
}
"""


def test_remote_party_id_holds_the_uri_of_an_avp():
    with auth(route=RPID) as script:
        phone = Phone(script)
        run = script.route(message=Message.parse(phone.text("INVITE").encode())).run
        assert script.take() == "-1 1 1 -1\n"
        assert Message.parse(run.message.to_bytes()).headers("Remote-Party-ID") == [
            "sip:+4912345@x;party=calling;id-type=subscriber;screen=yes",
            "a <sip:+4912345@x>;b",
        ]


@pytest.mark.parametrize("parameter", ['"secret", "short"', '"nonce_expire", 0', '"username_spec", "alice"'])
def test_parameters_that_cannot_be_are_refused_by_name(parameter: str):
    with pytest.raises(ScriptError, match=parameter.split('"')[1]):
        auth(f'modparam("auth", {parameter})')
