"""Phones (sipp) that register with passwords of a table, from addresses of a table, everything with real sockets."""

from __future__ import annotations

import sqlite3

import pytest

from miscript.sip.digest_response import Algorithm, plain_ha1
from sipp_calls import call, expect, free_port, needs_sipp, proxy, scenario

pytestmark = [pytest.mark.e2e, needs_sipp()]

REALM = "example.com"
SCRIPT = """
log_level=-1
xlog_level=3
socket=udp:127.0.0.1:{port}
loadmodule "sl.so"
loadmodule "signaling.so"
loadmodule "tm.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "db_sqlite.so"
loadmodule "auth_db.so"
loadmodule "permissions.so"
loadmodule "domain.so"
db_default_url="{url}"
modparam("permissions", "db_url", "{url}")
modparam("domain", "db_mode", 1)

route {{
    if (!check_source_address(1)) {{ sl_send_reply(403, "Forbidden"); exit; }}
    if (!is_domain_local($td)) {{ sl_send_reply(404, "Not Ours"); exit; }}
    if (!www_authorize("", "subscriber")) {{ www_challenge("", "auth", "MD5"); exit; }}
    consume_credentials();
    save("location");
    xlog("registered $tU\\n");
    exit;
}}
"""


def register(extra: str = "") -> str:
    """A REGISTER of the user in the field 0; `extra` are header fields."""
    return (
        '<send retrans="500"><![CDATA[\n\nREGISTER sip:example.com SIP/2.0\n'
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
        "From: <sip:alice@example.com>;tag=a[call_number]\nTo: <sip:alice@example.com>\nCall-ID: [call_id]\n"
        "CSeq: [cseq] REGISTER\nContact: <sip:alice@[local_ip]:[local_port]>\nMax-Forwards: 70\nExpires: 60\n"
        f"{extra}Content-Length: 0\n\n\n]]></send>"
    )


def phone(password: str, *, status: int = 200) -> str:
    """A phone that is challenged and answers."""
    answer = f"[authentication username=alice password={password}]\n"
    return scenario(register(), '<recv response="401" auth="true"/>', register(answer), expect(status))


@pytest.fixture
def url(tmp_path):
    """A database with alice, whom the host lets in from loopback addresses."""
    path = tmp_path / "test.db"
    with sqlite3.connect(path) as database:
        database.executescript(
            f"""
            CREATE TABLE version (table_name TEXT, table_version INTEGER);
            INSERT INTO version VALUES ('subscriber', 8), ('address', 5), ('domain', 4);
            CREATE TABLE subscriber (username TEXT, domain TEXT, ha1 TEXT);
            INSERT INTO subscriber VALUES
                ('alice', '{REALM}', '{plain_ha1(Algorithm.MD5, "alice", REALM, "secret")}');
            CREATE TABLE address (grp, ip, mask, port, proto, pattern, context_info);
            INSERT INTO address VALUES (1, '127.0.0.0', 8, 0, 'udp', NULL, NULL);
            CREATE TABLE domain (domain TEXT, attrs TEXT, accept_subdomain INTEGER);
            INSERT INTO domain VALUES ('{REALM}', NULL, 0);
            """
        )
    database.close()
    return f"sqlite://{path}"


def test_phones_register_with_passwords_of_a_table(tmp_path, url):
    port, own = free_port(), free_port()
    with proxy(SCRIPT.format(port=port, url=url), tmp_path, port) as running:
        assert call(tmp_path, phone("secret"), port, "-p", str(own), "-r", "20", "-s", "alice", calls=10) == ""
        assert call(tmp_path, phone("wrong", status=401), port, "-p", str(own), name="stranger") == ""
    assert running.output.splitlines() == ["registered alice"] * 10
    assert "Traceback" not in running.log


def test_phones_from_elsewhere_are_not_asked_for_a_password(tmp_path, url):
    port, own = free_port(), free_port()
    with sqlite3.connect(url.removeprefix("sqlite://")) as database:
        database.execute("UPDATE address SET ip = '10.0.0.0'")
    database.close()
    with proxy(SCRIPT.format(port=port, url=url), tmp_path, port) as running:
        refused = scenario(register(), expect(403))
        assert call(tmp_path, refused, port, "-p", str(own)) == ""
    assert running.output == ""
