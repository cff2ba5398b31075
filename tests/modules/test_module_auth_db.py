"""Module auth_db: digest authentication by a table; observed return codes of OpenSIPS 4.1."""

from __future__ import annotations

import asyncio

import pytest

from miscript.errors import ConfigurationError, ScriptError
from miscript.sip import Message
from miscript.sip.digest_response import Algorithm, Challenge, plain_ha1
from miscript.testing import RunningScript
from miscript.values import encode
from sip_scripts import HOST, Phone, sip_script
from sqlite_tables import SqliteTables

CLEAR = 'modparam("auth_db", "calculate_ha1", 1)\nmodparam("auth_db", "password_column", "password")\n'
ROUTE = """route {
    if ($rm == "REGISTER") www_authorize("", "subscriber"); else proxy_authorize("", "subscriber");
    $var(code) = $rc;
    db_is_to_authorized("uri"); $var(to) = $rc;
    db_is_from_authorized("uri"); $var(from) = $rc;
    xlog("$var(code) $var(to) $var(from) $avp(r) $avp(num)\\n");
    if ($var(code) < 0 && $rm == "REGISTER") { www_challenge("", "auth", $hdr(X-Algorithms)); exit; }
    if ($var(code) < 0) { proxy_challenge("", "auth", "MD5"); exit; }
    consume_credentials();
    sl_send_reply(200, "OK");
}"""


@pytest.fixture
def tables(tmp_path):
    """Subscribers alice (with hashes) and dora (of another domain), and who may use which credentials."""
    found = SqliteTables(tmp_path / "test.db", ("auth_db",))
    found.do("ALTER TABLE subscriber ADD COLUMN rpid VARCHAR(64)")
    found.do("ALTER TABLE subscriber ADD COLUMN num INTEGER")
    for user, domain, rpid in (("alice", "example.com", "+123"), ("dora", "other.org", None)):
        found.add(
            "subscriber",
            username=user,
            domain=domain,
            password="secret",
            ha1=plain_ha1(Algorithm.MD5, user, domain, "secret"),
            ha1_sha256=plain_ha1(Algorithm.SHA_256, user, domain, "secret"),
            rpid=rpid,
            num=7,
        )
    return found.add("uri", username="alice", domain="example.com", uri_user="al")


def script_of(tables: SqliteTables, parameters: str = "", route: str = ROUTE) -> RunningScript:
    return sip_script("auth db_sqlite auth_db", route, parameters=tables.modparams("auth_db") + parameters)


def ask(phone: Phone, method: str = "REGISTER", *headers: str) -> Message:
    """The reply to a request; the database answers when it likes."""

    async def asking() -> Message:
        phone.peer.send(encode(phone.text(method, *headers)), *HOST)
        while not phone.peer.received:  # noqa: ASYNC110  # a peer has no event to wait for
            await asyncio.sleep(0.001)
        (found,) = phone.peer.take()
        return found

    return phone.script.wait(asking())


def answered(
    phone: Phone,
    user: str = "alice",
    password: str = "secret",
    *,
    algorithms: str = "MD5",
    method: str = "REGISTER",
) -> int | None:
    """The status of a request that answers a challenge."""
    refused = ask(phone, method, f"X-Algorithms: {algorithms}")
    kind = "WWW-Authenticate" if method == "REGISTER" else "Proxy-Authenticate"
    challenge = Challenge.parse(refused.headers(kind)[0])
    value = challenge.answered(user, password, method, "sip:example.com", cnonce="c", count=1)
    header = "Authorization" if method == "REGISTER" else "Proxy-Authorization"
    return ask(phone, method, f"{header}: {value}", f"X-Algorithms: {algorithms}").status


def codes(script: RunningScript) -> list[str]:
    """What the route has printed for requests with credentials."""
    return [line for line in script.take().splitlines() if not line.startswith("-4")]


@pytest.mark.parametrize("parameters", ["", CLEAR], ids=["hashes", "passwords"])
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_a_phone_that_knows_the_password_of_the_table_is_let_in(tables, parameters, method):
    with script_of(tables, parameters) as script:
        assert answered(Phone(script), method=method) == 200
        assert codes(script) == ["1 -9 -9 <null> <null>"]


@pytest.mark.parametrize("parameters", ["", CLEAR], ids=["hashes", "passwords"])
def test_codes_tell_what_is_wrong_with_credentials(tables, parameters):
    with script_of(tables, parameters) as script:
        phone = Phone(script)
        assert answered(phone, password="wrong") == 401
        assert answered(phone, "nobody") == 401
        assert answered(phone, "dora") == 401
        assert codes(script) == ["-2 -2 -2 <null> <null>", "-1 -2 -2 <null> <null>", "-1 -2 -2 <null> <null>"]


def test_without_domains_a_user_is_found_by_name_alone(tables):
    with script_of(tables, CLEAR + 'modparam("auth_db", "use_domain", 0)\n') as script:
        assert answered(Phone(script), "dora") == 200


def test_the_domain_of_a_user_counts_before_the_realm(tables):
    with script_of(tables, CLEAR) as script:
        assert answered(Phone(script), "dora@other.org") == 200
        assert answered(Phone(script, address="udp:10.0.0.8:5070"), "alice@other.org") == 401


def test_each_algorithm_has_its_column(tables):
    with script_of(tables) as script:
        phone = Phone(script)
        assert answered(phone, algorithms="SHA-256") == 200
        assert answered(phone, algorithms="SHA-512-256") == 401
        assert codes(script) == ["1 -9 -9 <null> <null>", "-5 -2 -2 <null> <null>"]


def test_nobody_is_let_in_without_a_password(tables):
    tables.do("UPDATE subscriber SET password = '', ha1 = ''")
    for parameters in ("", CLEAR):
        with script_of(tables, parameters) as script:
            assert answered(Phone(script), password="") == 401
            assert codes(script)[0].startswith("-5 ")


def test_columns_are_put_into_avps_when_credentials_are_good(tables):
    parameters = 'modparam("auth_db", "load_credentials", "$avp(r)=rpid; num")\n'
    with script_of(tables, parameters) as script:
        phone = Phone(script)
        answered(phone, password="wrong")
        answered(phone)
        assert [line.split()[3:] for line in codes(script)] == [["<null>", "<null>"], ["+123", "7"]]


def test_credentials_are_for_the_users_that_the_table_of_uris_allows(tables):
    with script_of(tables) as script:
        phone = Phone(script, user="al")
        assert answered(phone) == 200
        assert codes(script) == ["1 1 1 <null> <null>"]


def test_an_ack_cannot_be_challenged_and_asks_no_table(tables):
    route = 'route { proxy_authorize("", "subscriber"); xlog("$rc\\n"); exit; }'
    with script_of(tables, route=route) as script:
        tables.do("DROP TABLE subscriber")
        phone = Phone(script)
        phone.send(phone.text("ACK", 'Proxy-Authorization: Digest username="a", realm="example.com"'))
        assert script.output == "1\n"


def test_a_quote_in_a_user_is_a_quote_for_the_database(tables):
    with script_of(tables, CLEAR) as script:
        assert answered(Phone(script), "alice' OR '1'='1") == 401
        assert codes(script)[0].startswith("-1 ")


def printed(tables: SqliteTables, *calls: str, parameters: str = "") -> list[str]:
    lines = "".join(f'$avp(c) := NULL; {call}; xlog("$rc $avp(c) $avp(d)\\n");\n' for call in calls)
    message = "OPTIONS sip:a@b SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKa\nFrom: <sip:alice@x>;tag=a\n"
    message += "To: <sip:b@x>\nCall-ID: a\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n"
    with script_of(tables, parameters, f"route {{ {lines} }}") as script:
        return script.route(message=message).output.splitlines()


def test_uris_are_looked_up(tables):
    assert printed(
        tables,
        'db_does_uri_exist("sip:alice@example.com:5070;x=y", "subscriber")',
        'db_does_uri_exist("sip:alice@other.com", "subscriber")',
        'db_does_uri_exist("sip:example.com", "subscriber")',
        'db_does_uri_exist("foo", "subscriber")',
        'db_get_auth_id("uri", "sip:al@example.com", $avp(c), $avp(d))',
        'db_get_auth_id("uri", "sip:x@example.com", $avp(c), $avp(d))',
        'db_get_auth_id("uri", "foo", $avp(c), $avp(d))',
    ) == [
        "1 <null> <null>",
        "-5 <null> <null>",
        "-5 <null> <null>",
        "-1 <null> <null>",
        "1 alice example.com",
        "-4 <null> example.com",
        "-1 <null> example.com",
    ]


def test_a_table_that_cannot_be_asked_fails_the_call(tables):
    assert printed(
        tables,
        '$var(t) = "nowhere"; db_does_uri_exist("sip:alice@example.com", $var(t))',
        'db_get_auth_id($var(t), "sip:al@example.com", $avp(c), $avp(d))',
    ) == ["-4 <null> <null>", "-8 <null> <null>"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("UPDATE version SET table_version = 7 WHERE table_name = 'subscriber'", "has version 7, expected 8"),
        ("UPDATE version SET table_version = 1 WHERE table_name = 'uri'", "has version 1, expected 2"),
        ("DELETE FROM version", "says nothing of"),
    ],
)
def test_versions_of_tables_are_checked_before_the_host_runs(tables, change, complaint):
    tables.do(change)
    with pytest.raises(ConfigurationError, match=complaint), script_of(tables):
        pass
    with script_of(tables, 'modparam("auth_db", "skip_version_check", 1)\n') as script:
        assert answered(Phone(script)) == 200


def test_a_table_in_a_variable_is_checked_when_it_is_used(tables):
    tables.do("UPDATE version SET table_version = 7 WHERE table_name = 'subscriber'")
    call = '$var(t) = "subscriber"; db_does_uri_exist("sip:alice@example.com", $var(t))'
    assert printed(tables, call) == ["-4 <null> <null>"]


def test_parameters_are_checked(tables):
    with pytest.raises(ScriptError, match="load_credentials: expected"):
        printed(tables, "exit", parameters='modparam("auth_db", "load_credentials", "$var(x)=rpid")\n')
    with pytest.raises(ScriptError, match="db_url must be set"), sip_script("auth db_sqlite auth_db", ROUTE):
        pass
