"""Modules permissions, domain, alias_db, auth_db and group on every kind of database."""

from __future__ import annotations

import asyncio

import pytest

from miscript.errors import MIError
from miscript.sip.digest_response import Algorithm, plain_ha1
from miscript.sql.driver import Habits, SqlDriver
from miscript.testing import MemoryNetwork, RunningScript
from sql_tables import KINDS, fill, url_of

MODULES = ("permissions", "domain", "alias_db", "auth_db", "group")
ROWS = {
    "address": [
        {"grp": 1, "ip": "10.0.0.0", "mask": 8, "port": 0, "proto": "any", "context_info": "net"},
        {"grp": 2, "ip": "2001:db8::1", "mask": 128, "port": 5060, "proto": "udp", "pattern": "a*"},
    ],
    "domain": [{"domain": "example.com", "attrs": "ours", "accept_subdomain": 1}],
    "dbaliases": [
        {"alias_username": "bob", "alias_domain": "example.com", "username": "robert", "domain": "example.com"}
    ],
    "subscriber": [
        {"username": "alice", "domain": "example.com", "ha1": plain_ha1(Algorithm.MD5, "alice", "example.com", "pw")}
    ],
    "uri": [{"username": "alice", "domain": "example.com", "uri_user": "al"}],
    "grp": [{"username": "alice", "domain": "example.com", "grp": "ld"}],
    "re_grp": [{"reg_exp": "^sip:ali", "group_id": 7}],
}
BODY = """
    check_address(1, "10.1.2.3", 5060, "udp", $avp(a)); xlog("$rc $avp(a)\\n");
    check_address(2, "2001:db8::1", 5060, "udp", , "abc"); xlog("$rc\\n");
    is_uri_host_local($avp(b)); xlog("$rc $avp(b)\\n");
    is_domain_local("sub.EXAMPLE.com"); xlog("$rc\\n");
    alias_db_find("dbaliases", $ru, $avp(c)); xlog("$rc $avp(c)\\n");
    db_does_uri_exist($fu, "subscriber"); xlog("$rc\\n");
    db_get_auth_id("uri", "sip:al@example.com", $avp(d), $avp(e)); xlog("$rc $avp(d) $avp(e)\\n");
    db_is_user_in("From", "ld"); xlog("$rc\\n");
    db_get_user_group("From", $avp(f)); xlog("$rc $avp(f)\\n");
"""
REQUEST = """INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKa
From: <sip:alice@example.com>;tag=a
To: <sip:bob@example.com>
Call-ID: a
CSeq: 1 INVITE
Content-Length: 0

"""


@pytest.fixture(params=KINDS)
def script(request, tmp_path):
    """A script that uses all of them, on tables with rows."""
    url = url_of(request.param, tmp_path, request)
    scheme = url.partition(":")[0]
    asyncio.run(fill(url, MODULES, ROWS))
    names = ("sl", "signaling", "auth", "mi_script", f"db_{scheme}", *MODULES)
    loads = "".join(f'loadmodule "{name}.so"\n' for name in names)
    urls = "".join(f'modparam("{name}", "db_url", "{url}")\n' for name in MODULES)
    text = (
        f'socket=udp:10.0.0.1:5060\n{loads}{urls}modparam("group", "re_table", "re_grp")\n'
        f'modparam("domain", "db_mode", 1)\nroute {{ {BODY} }}\n'
    )
    with RunningScript(text, network=MemoryNetwork()) as running:
        yield running, url, scheme


def test_tables_are_read_and_asked_alike(script):
    running, _, _ = script
    assert running.route(message=REQUEST).output.splitlines() == [
        "1 net",
        "1",
        "1 ours",
        "1",
        "1 sip:robert@example.com",
        "1",
        "1 alice example.com",
        "1",
        "1 7",
    ]


def test_a_bad_row_leaves_the_addresses_in_force(script):
    running, url, scheme = script
    before = running.mi("permissions:address_dump")

    async def spoil():
        database = SqlDriver(scheme, Habits()).open(url)
        await database.insert("address", {"grp": 1, "ip": "10.0.0.1", "mask": 99, "port": 0, "proto": "any"})
        await database.close()

    asyncio.run(spoil())
    with pytest.raises(MIError, match="Trusted table reload failed") as failed:
        running.mi("permissions:address_reload")
    assert "'mask' is 99, expected 0 to 32" in str(failed.value.data)
    assert running.mi("permissions:address_dump") == before
