"""Module alias_db: users by other names; observed answers of OpenSIPS 4.1."""

from __future__ import annotations

import pytest

from miscript.errors import ScriptError
from miscript.testing import RunningScript
from sip_scripts import sip_script
from sqlite_tables import SqliteTables

BRANCHES = 'modparam("alias_db", "append_branches", 1)\n'


@pytest.fixture
def tables(tmp_path):
    """The table `dbaliases`."""
    found = SqliteTables(tmp_path / "test.db", ("alias_db",))
    for alias, alias_domain, user, domain in (
        ("bob", "example.com", "robert", "example.com"),
        ("al", "example.com", "alice", "example.com"),
        ("al", "third.com", "alf", "third.com"),
        ("odd", "example.com", "not a user", ""),
    ):
        found.add("dbaliases", alias_username=alias, alias_domain=alias_domain, username=user, domain=domain)
    return found


def script_of(tables: SqliteTables, body: str, parameters: str = "") -> RunningScript:
    return sip_script("db_sqlite alias_db", f"route {{ {body} }}", parameters=tables.modparams("alias_db") + parameters)


def printed(tables: SqliteTables, body: str, *, uri: str = "sip:bob@example.com", parameters: str = "") -> list[str]:
    message = (
        f"INVITE {uri} SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKa\nFrom: <sip:a@b.c>;tag=a\n"
        "To: <sip:bob@b.com>\nCall-ID: a\nCSeq: 1 INVITE\nContent-Length: 0\n\n"
    )
    with script_of(tables, body, parameters) as script:
        return script.route(message=message).output.splitlines()


@pytest.mark.parametrize(
    ("uri", "flags", "printed_line"),
    [
        ("sip:bob@example.com", "", "1 sip:robert@example.com"),
        ("sips:bob:pw@example.com:5070;x=y?h=v", "", "1 sip:robert@example.com"),
        ("sip:al@no.com", "", "-1 sip:al@no.com"),
        ("sip:al@no.com", "d", "1 sip:alice@example.com"),
        ("sip:alf@third.com", "r", "1 sip:al@third.com"),
        ("sip:robert@x.com", "rd", "1 sip:bob@example.com"),
        ("tel:bob", "", "-1 tel:bob"),
        ("sip:example.com", "", "-1 sip:example.com"),
        ("sip:odd@example.com", "", "-1 sip:odd@example.com"),
    ],
)
def test_the_request_uri_becomes_that_of_the_user(tables, uri, flags, printed_line):
    body = f'alias_db_lookup("dbaliases", "{flags}"); xlog("$rc $ru\\n");'
    assert printed(tables, body, uri=uri) == [printed_line]


def test_more_users_become_branches_when_the_script_wants_it(tables):
    tables.do("CREATE TABLE many AS SELECT * FROM dbaliases")
    tables.add("many", alias_username="al", alias_domain="example.com", username="alan", domain="other.com")
    body = 'alias_db_lookup("many"); xlog("$rc $ru $(branch(uri)[*])\\n");'
    uri = "sip:al@example.com"
    assert printed(tables, body, uri=uri) == ["1 sip:alice@example.com <null>"]
    assert printed(tables, body, uri=uri, parameters=BRANCHES) == ["1 sip:alice@example.com sip:alan@other.com"]
    find = 'alias_db_find("many", "sip:al@example.com", $avp(c)); xlog("$rc $avp(c) $(avp(c)[*])\\n");'
    both = "1 sip:alan@other.com sip:alan@other.com, sip:alice@example.com"
    assert printed(tables, find, parameters=BRANCHES) == [both]


def test_any_uri_is_looked_up_into_a_variable_and_the_request_stays(tables):
    body = """alias_db_find("dbaliases", "sip:al@example.com", $var(u)); xlog("$rc $var(u) $ru\\n");
        $var(u) = NULL; alias_db_find("dbaliases", "foo", $var(u)); xlog("$rc $var(u)\\n");
        alias_db_find("nowhere", "sip:al@example.com", $var(u)); xlog("$rc $var(u)\\n");
        $var(t) = "dbaliases"; $var(f) = "x"; alias_db_find($var(t), $ru, $var(u), $var(f)); xlog("$rc\\n");
        $var(f) = "d"; alias_db_find($var(t), $ru, $var(u), $var(f)); xlog("$rc $var(u)\\n");"""
    assert printed(tables, body) == [
        "1 sip:alice@example.com sip:bob@example.com",
        "-1 <null>",
        "-1 <null>",
        "-1",
        "1 sip:robert@example.com",
    ]


def test_a_prefix_of_domains_is_taken_off(tables):
    parameters = 'modparam("alias_db", "domain_prefix", "sip.")\n'
    body = 'alias_db_lookup("dbaliases"); xlog("$rc $ru\\n");'
    assert printed(tables, body, uri="sip:bob@sip.example.com", parameters=parameters) == ["1 sip:robert@example.com"]


def test_a_quote_in_a_uri_is_a_quote_for_the_database(tables):
    tables.add("dbaliases", alias_username="o'neil' OR 1=1", alias_domain="x.com", username="oneil", domain="x.com")
    body = 'alias_db_lookup("dbaliases"); xlog("$rc\\n");'
    assert printed(tables, body, uri="sip:o'neil@x.com") == ["-1"]


def test_unknown_flags_and_a_missing_database_are_refused(tables):
    with pytest.raises(ScriptError, match="unknown flag 'x'"):
        printed(tables, 'alias_db_lookup("dbaliases", "dx");')
    with pytest.raises(ScriptError, match="db_url must be set"), sip_script("db_sqlite alias_db", "route { exit; }"):
        pass
