"""Module group: membership by rows and by expressions; observed return codes of OpenSIPS 4.1."""

from __future__ import annotations

import pytest

from miscript.errors import ConfigurationError, ScriptError
from miscript.modules.group import MAX_EXPRESSIONS
from sip_scripts import sip_script
from sqlite_tables import SqliteTables

EXPRESSIONS = 'modparam("group", "re_table", "re_grp")\n'


@pytest.fixture
def tables(tmp_path):
    """The tables `grp` and `re_grp`."""
    found = SqliteTables(tmp_path / "test.db", ("group",))
    found.add("grp", username="alice", domain="example.com", grp="ld")
    for pattern, group in (("^sip:alice", 1), ("^sip:.*@example", 2), ("^sip:bob", 3)):
        found.add("re_grp", reg_exp=pattern, group_id=group)
    return found


def codes(tables: SqliteTables, *calls: str, parameters: str = EXPRESSIONS, modules: str = "") -> list[str]:
    """Return code and all values of `$avp(c)` behind each call."""
    lines = "".join(f'$avp(c) := NULL; {call}; $var(rc) = $rc; xlog("$var(rc) $(avp(c)[*])\\n");\n' for call in calls)
    message = (
        "INVITE sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKa\n"
        "From: <sip:alice@example.com>;tag=a\nTo: <sip:bob@example.com>\nCall-ID: a\nCSeq: 1 INVITE\n"
        "Content-Length: 0\n\n"
    )
    url = tables.modparams("group")
    with sip_script(f"{modules} db_sqlite group", f"route {{ {lines} }}", parameters=url + parameters) as script:
        return script.route(message=message).output.splitlines()


def test_a_user_of_the_table_is_in_the_group(tables):
    assert codes(
        tables,
        'db_is_user_in("From", "ld")',
        'db_is_user_in("from", "other")',
        'db_is_user_in("To", "ld")',
        'db_is_user_in("Request-URI", "ld")',
        'db_is_user_in("sip:alice@example.com:5070", "ld")',
        'db_is_user_in("sip:alice@other.com", "ld")',
        'db_is_user_in("Credentials", "ld")',
        'db_is_user_in("foo", "ld")',
        'db_is_user_in("sip:example.com", "ld")',
        '$var(who) = "From"; db_is_user_in($var(who), "ld")',
    ) == [f"{code} <null>" for code in (1, -6, -6, -6, 1, -6, -1, -1, -1, 1)]


def test_without_domains_the_name_alone_counts(tables):
    parameters = 'modparam("group", "use_domain", 0)\n'
    assert codes(tables, 'db_is_user_in("sip:alice@other.com", "ld")', parameters=parameters) == ["1 <null>"]


def test_a_table_that_is_gone_fails_the_call(tables):
    calls = ('db_is_user_in("From", "ld")',)
    parameters = 'modparam("group", "group_column", "nowhere")\n'
    assert codes(tables, *calls, parameters=parameters) == ["-5 <null>"]


def test_all_groups_whose_expressions_match_are_told_or_the_last_one(tables):
    calls = (
        'db_get_user_group("From", $avp(c))',
        'db_get_user_group("sip:BOB:pw@example.com:5070;x=y", $avp(c))',
        'db_get_user_group("sip:zoe@other.com", $avp(c))',
    )
    assert codes(tables, *calls) == ["1 1, 2", "1 2, 3", "-1 <null>"]
    first = EXPRESSIONS + 'modparam("group", "multiple_gid", 0)\n'
    assert codes(tables, *calls, parameters=first) == ["1 2", "1 3", "-1 <null>"]
    assert codes(tables, *calls, parameters="") == ["-1 <null>"] * 3


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("UPDATE version SET table_version = 2", "has version 2, expected 3"),
        ("UPDATE version SET table_version = 1 WHERE table_name = 're_grp'", "has version 1, expected 2"),
        ("UPDATE re_grp SET reg_exp = '[' WHERE id = 2", "row 2: bad regular expression '\\['"),
        ("UPDATE re_grp SET group_id = 'x' WHERE id = 3", "row 3: 'group_id' is 'x'"),
        (
            "INSERT INTO re_grp (reg_exp) WITH RECURSIVE n(i) AS "
            f"(SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {MAX_EXPRESSIONS}) SELECT 'x' FROM n",
            "more than",
        ),
    ],
)
def test_nothing_starts_with_a_bad_table(tables, change, complaint):
    tables.do(change)
    with pytest.raises(ConfigurationError, match=complaint):
        codes(tables, 'db_is_user_in("From", "ld")')


def test_what_is_not_here_is_refused(tables):
    with pytest.raises(ScriptError, match="AAA servers are not available"):
        codes(tables, "exit", parameters='modparam("group", "aaa_url", "radius:x")\n')
    with pytest.raises(ScriptError, match="output_avp"):
        codes(tables, 'db_get_user_group("From", $var(c))')
    with pytest.raises(ScriptError, match="db_url must be set"), sip_script("db_sqlite group", "route { exit; }"):
        pass
