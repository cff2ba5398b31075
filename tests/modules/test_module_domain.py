"""Module domain: which domains are ours, cached or asked for; observed answers of OpenSIPS 4.1."""

from __future__ import annotations

import pytest

from miscript.errors import ConfigurationError, MIError, ScriptError
from miscript.modules.domain import MAX_LABELS, Domain, Domains, names_above
from miscript.testing import RunningScript
from sip_scripts import Phone, sip_script
from sqlite_tables import SqliteTables

CACHED = 'modparam("domain", "db_mode", 1)\n'


@pytest.fixture
def tables(tmp_path):
    """The table `domain`."""
    found = SqliteTables(tmp_path / "test.db", ("domain",))
    found.add("domain", domain="example.com", attrs="attr1").add("domain", domain="127.0.0.9")
    found.add("domain", domain="sub.net", attrs="subattr", accept_subdomain=1)
    return found.add("domain", domain="deep.sub.net", attrs="deepattr")


def script_of(tables: SqliteTables, body: str = "exit;", parameters: str = CACHED) -> RunningScript:
    return sip_script(
        "db_sqlite domain mi_script", f"route {{ {body} }}", parameters=tables.modparams("domain") + parameters
    )


def asked(script: RunningScript, message: str) -> list[str]:
    return script.route(message=message).output.splitlines()


def request(uri: str = "sip:bob@example.com", who: str = "sip:alice@example.com") -> str:
    return (
        f"INVITE {uri} SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKa\nFrom: <{who}>;tag=a\n"
        "To: <sip:bob@b.com>\nCall-ID: a\nCSeq: 1 INVITE\nContent-Length: 0\n\n"
    )


@pytest.mark.parametrize("parameters", [CACHED, ""], ids=["cached", "asked"])
def test_domains_of_the_table_are_ours_and_those_below_where_it_says_so(tables, parameters):
    names = "example.com EXAMPLE.com 127.0.0.9 x.sub.net sub.net y.deep.sub.net deep.sub.net xsub.net other.org"
    lines = "".join(
        f'$avp(c) := NULL; is_domain_local("{name}", $avp(c)); xlog("$rc $avp(c)\\n");' for name in names.split()
    )
    with script_of(tables, lines, parameters) as script:
        assert asked(script, request()) == [
            "1 attr1",
            "1 attr1",
            "1 <null>",
            "1 subattr",
            "1 subattr",
            "1 subattr",
            "1 deepattr",
            "-1 <null>",
            "-1 <null>",
        ]


@pytest.mark.parametrize("parameters", [CACHED, ""], ids=["cached", "asked"])
def test_from_and_request_uri_are_looked_at(tables, parameters):
    body = """is_from_local($avp(a)); xlog("$rc $avp(a)\\n"); is_uri_host_local($avp(b)); xlog("$rc $avp(b)\\n");
        is_domain_local($rd); xlog("$rc\\n");"""
    with script_of(tables, body, parameters) as script:
        assert asked(script, request("sip:bob@x.sub.net:5070")) == ["1 attr1", "1 subattr", "1"]
        assert asked(script, request("sip:bob@no.org", "sip:alice@no.org")) == ["-1 <null>", "-1 <null>", "-1"]
        assert asked(script, request("tel:+33", "tel:+33"))[:2] == ["-1 <null>", "-1 <null>"]


@pytest.mark.parametrize("parameters", [CACHED, ""], ids=["cached", "asked"])
def test_myself_knows_these_domains(tables, parameters):
    body = 'if (is_myself("$rd", $rp)) xlog("we\\n"); else xlog("others\\n");'
    with script_of(tables, body, parameters) as script:
        assert asked(script, request("sip:bob@example.com:5070")) == ["we"]
        assert asked(script, request("sip:bob@a.sub.net")) == ["we"]
        assert asked(script, request("sip:bob@other.org")) == ["others"]


def test_a_variable_that_cannot_be_written_does_not_change_the_answer(tables):
    with script_of(tables, 'is_domain_local("example.com", $ru); xlog("$rc\\n");') as script:
        assert asked(script, request("sip:bob@b.com")) == ["1"]


def test_the_cache_is_listed_and_read_again(tables):
    with script_of(tables, 'is_domain_local("new.org"); xlog("$rc\\n");') as script:
        assert script.mi("domain:dump") == {
            "Domains": [
                {"name": "example.com", "attributes": "attr1"},
                {"name": "127.0.0.9"},
                {"name": "sub.net", "attributes": "subattr"},
                {"name": "deep.sub.net", "attributes": "deepattr"},
            ]
        }
        tables.add("domain", domain="new.org")
        assert asked(script, request()) == ["-1"]
        assert script.mi("domain:reload") == "OK"
        assert asked(script, request()) == ["1"]


def test_without_a_cache_the_table_is_asked_each_time_and_there_is_nothing_to_list(tables):
    with script_of(tables, 'is_domain_local("new.org"); xlog("$rc\\n");', "") as script:
        assert asked(script, request()) == ["-1"]
        tables.add("domain", domain="new.org")
        assert asked(script, request()) == ["1"]
        tables.do("DROP TABLE domain")
        assert asked(script, request()) == ["-1"]
        for command in ("domain:dump", "domain:reload"):
            with pytest.raises(MIError, match="DB is disabled"):
                script.mi(command)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("UPDATE version SET table_version = 3", "has version 3, expected 4"),
        ("UPDATE domain SET domain = '' WHERE id = 2", "row 2: 'domain' is empty"),
        ("UPDATE domain SET accept_subdomain = -1 WHERE id = 1", "row 1: 'accept_subdomain' is -1"),
        ("DELETE FROM version", "says nothing of 'domain'"),
    ],
)
def test_a_bad_table_is_refused_and_the_old_one_stays_in_force(tables, change, complaint):
    with script_of(tables) as script:
        before = script.mi("domain:dump")
        tables.add("domain", domain="new.org").do(change)
        with pytest.raises(MIError, match="reload failed") as failed:
            script.mi("domain:reload")
        assert complaint in str(failed.value.data)
        assert script.mi("domain:dump") == before
    with pytest.raises(ConfigurationError, match=complaint), script_of(tables):
        pass


@pytest.mark.parametrize(
    ("parameters", "complaint"), [('modparam("domain", "db_mode", 2)\n', "db_mode is 2"), ("", "db_url must be set")]
)
def test_parameters_are_checked(tables, parameters, complaint):
    with (
        pytest.raises(ScriptError, match=complaint),
        sip_script(
            "db_sqlite domain",
            "route { exit; }",
            parameters=(tables.modparams("domain") if parameters else "") + parameters,
        ),
    ):
        pass


def test_the_domain_of_a_phone_is_found_in_a_real_request(tables):
    with script_of(tables, 'if (is_from_local()) send_reply(200, "OK"); else send_reply(403, "No");') as script:
        phone = Phone(script)
        assert phone.ask("OPTIONS").status == 200
        phone.domain = "other.org"
        assert phone.ask("OPTIONS").status == 403


def test_only_so_many_labels_are_looked_at():
    domains = Domains({"a": Domain("a", None, True)})
    assert domains.find("x." * 2000 + "a") is not None
    assert len(list(names_above("x." * 2000 + "a"))) == MAX_LABELS
