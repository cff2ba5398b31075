"""Domains of tls_mgm: what their parameters and tables may say, what is said when they are wrong, what MI shows."""

import asyncio
import re
import socket
import sqlite3
import ssl
from contextlib import asynccontextmanager, closing

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from certificates import Authority, needs_openssl, openssl
from miscript import ConfigurationError, MIError, ScriptError
from miscript.cli import main
from miscript.host.embedding import call_command, running
from miscript.host.loading import Source
from miscript.modules.tls_mgm.matching import DomainTable, parse_address, split_list
from miscript.modules.tls_mgm.settings import DomainSettings, method_range, shown_method
from miscript.testing import RunningScript
from miscript.tls_service import TlsDomain

pytestmark = needs_openssl()


class Files:
    """Certificates that scripts and tables use."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = Authority(folder)
        self.ca = self.authority.ca
        self.issued = self.authority.issue("atlanta.example")
        self.other = self.authority.issue("biloxi.example", serial=2)
        self.encrypted = folder / "encrypted.key"
        openssl("ec", "-in", self.issued.key, "-aes128", "-passout", "pass:secret", "-out", self.encrypted)
        self.dh = folder / "dh.pem"
        openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", self.dh)
        self.empty = folder / "empty"
        self.empty.touch()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("tls_mgm"))


def script(*lines):
    head = 'loadmodule "mi_script.so"\nloadmodule "tls_mgm.so"\n'
    return head + "".join(f'modparam("tls_mgm", "{name}", "{value}")\n' for name, value in lines) + "route { exit; }"


def server(files, *more):
    """A server domain on three lines, the first of them line 3, and what stands behind."""
    own = files.issued
    return (("server_domain", "s"), ("certificate", f"[s]{own.certificate}"), ("private_key", f"[s]{own.key}"), *more)


def refusal(*lines):
    """Line and words of the diagnostic that a script gets."""
    with pytest.raises(ScriptError) as caught, RunningScript(script(*lines)):
        raise AssertionError("it starts")
    (found,) = caught.value.diagnostics
    return found.span.line, found.message


# -- parameters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value", "problem"),
    [
        ("verify_cert", "[t]1", "there is no domain 't' yet"),
        ("verify_cert", "1", "'1' names no domain, expected [domain]value"),
        ("verify_cert", "[s]yes", "'yes' is no number, expected 0 or 1"),
        ("server_domain", "s", "domain 's' is there twice"),
        ("tls_method", "[s]SSLv9", "'SSLv9' is no method, expected SSLv23"),
        ("tls_method", "[s]TLSv1_3-TLSv1_2", "is a range without a version"),
        ("match_ip_address", "[s]127.0.0.1", "'127.0.0.1' has no port"),
        ("match_ip_address", "[s]nope:5061", "'nope' is no IP address"),
        ("match_ip_address", "[s]127.0.0.1:0", "'0' is no port"),
        ("match_sip_domain", "[s] , ", "a list without a value"),
        ("certificate", "[s]/nowhere.pem", "certificate: '/nowhere.pem': No such file or directory"),
        ("certificate", "[s]{empty}", "certificate: '{empty}': it is empty, expected a certificate in PEM form"),
        ("private_key", "[s]/nowhere.key", "private_key: '/nowhere.key': No such file or directory"),
        ("private_key", "[s]{other.key}", "private_key: '{other.key}': it is not the key of the certificate"),
        ("private_key", "[s]{encrypted}", "private_key: '{encrypted}': the key is encrypted"),
        ("private_key", "[s]{empty}", "private_key: '{empty}': it is empty, expected a private key in PEM form"),
        ("ca_list", "[s]/nowhere.pem", "ca_list: '/nowhere.pem': No such file or directory"),
        ("ca_list", "[s]{empty}", "ca_list: '{empty}': OpenSSL can use nothing in it"),
        ("crl_dir", "[s]/nowhere", "crl_dir: '/nowhere' is no directory"),
        ("ciphers_list", "[s]NOPE", "ciphers_list: 'NOPE' names no cipher"),
        ("ec_curve", "[s]nope", "ec_curve: OpenSSL has no curve 'nope'"),
        ("dh_params", "[s]{empty}", "dh_params: '{empty}': OpenSSL can use nothing in it"),
        ("tls_library", "gnutls", "'gnutls' is no library"),
    ],
)
def test_what_is_wrong_is_said_at_the_line_of_its_parameter(files, parameter, value, problem):
    value, problem = value.format(**vars(files)), problem.format(**vars(files))
    behind = () if parameter in ("certificate", "private_key") else (("verify_cert", "[s]1"),)
    line, message = refusal(*server(files, (parameter, value), *behind))
    assert problem in message
    assert line == 6


def test_a_socket_that_no_certificate_is_set_for_is_told_of_at_the_start(caplog):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"tls:127.0.0.1:{free.getsockname()[1]}"
    lines = (f"socket={place}", 'loadmodule "proto_tls.so"', 'loadmodule "tls_mgm.so"', "route { exit; }")
    with RunningScript("\n".join(lines)):
        assert f"socket '{place}' refuses each connection: no certificate is set for it" in caplog.text


def test_of_two_lines_with_one_parameter_the_wrong_one_is_shown(files):
    lines = server(files, ("tls_method", "[s]nope"), ("server_domain", "t"), ("tls_method", "[t]TLSv1_2"))
    assert refusal(*lines)[0] == 6


def test_a_domain_without_its_certificate_is_shown_where_it_is_defined(files):
    line, message = refusal(("server_domain", "s"), ("verify_cert", "[s]0"))
    assert line == 3
    assert "certificate: it is not set, and its default '/etc/opensips/tls/cert.pem' is not there" in message


def test_a_domain_takes_everything_that_it_may_have(files):
    lines = server(
        files,
        ("ca_list", f"[s]{files.ca}"),
        ("ca_dir", f"[s]{files.folder}"),
        ("crl_dir", f"[s]{files.folder}"),
        ("crl_check_all", "[s]1"),
        ("ciphers_list", "[s]ECDHE+AESGCM"),
        ("ec_curve", "[s]prime256v1"),
        ("dh_params", f"[s]{files.dh}"),
        ("tls_method", "[s]TLSv1_2-"),
        ("match_ip_address", "[s]127.0.0.1:5061, [::1]:5061"),
        ("match_sip_domain", "[s]*.example, none"),
        ("client_domain", "c"),
    )
    with RunningScript(script(*lines)) as running_script:
        client, listed = running_script.mi("tls_list")["Domains"]
    assert (client["name"], client["type"], client["REQ_CLI_CERT"]) == ("c", "TLS_DOMAIN_CLI", False)
    assert listed == {
        "name": "s",
        "type": "TLS_DOMAIN_SRV",
        "IP ADDRESS FILTERS": ["[::1]:5061", "127.0.0.1:5061"],
        "SIP DOMAIN FILTERS": ["none", "*.example"],
        "METHOD": "TLSv1_2-TLSv1_3",
        "VERIFY_CERT": True,
        "REQ_CLI_CERT": True,
        "CRL_CHECKALL": True,
        "CERT_FILE": str(files.issued.certificate),
        "CRL_DIR": str(files.folder),
        "CA_FILE": str(files.ca),
        "CA_DIR": str(files.folder),
        "PKEY_FILE": str(files.issued.key),
        "CIPHER_LIST": "ECDHE+AESGCM",
        "DH_PARAMS_FILE": str(files.dh),
        "EC_CURVE": "prime256v1",
    }


def test_a_name_may_be_that_of_a_server_and_of_a_client_domain(files):
    lines = (("server_domain", "s"), ("client_domain", "s"), *server(files)[1:])
    with RunningScript(script(*lines)) as running_script:
        assert [found["type"] for found in running_script.mi("tls_list")["Domains"]] == [
            "TLS_DOMAIN_CLI",
            "TLS_DOMAIN_SRV",
        ]


@pytest.mark.parametrize(
    ("text", "versions", "shown"),
    [
        ("SSLv23", ("TLSv1_2", "TLSv1_3"), "SSLv23"),
        ("tlsv1_2", ("TLSv1_2", "TLSv1_2"), "TLSv1_2"),
        ("TLSv1", ("TLSv1", "TLSv1"), "TLSv1"),
        ("TLSv1-TLSv1_3", ("TLSv1", "TLSv1_3"), "TLSv1-TLSv1_3"),
        ("TLSv1_2 -", ("TLSv1_2", "TLSv1_3"), "TLSv1_2-TLSv1_3"),
        ("-TLSv1_2", ("TLSv1", "TLSv1_2"), "TLSv1-TLSv1_2"),
        ("-", ("TLSv1", "TLSv1_3"), "TLSv1-TLSv1_3"),
    ],
)
def test_a_method_is_a_version_or_a_range(text, versions, shown):
    assert tuple(version.name for version in method_range(text)) == versions
    assert shown_method(text) == shown


@given(st.text(max_size=20))
def test_any_method_is_a_range_or_refused(text):
    try:
        low, high = method_range(text)
    except ValueError:
        return
    assert low <= high


# -- matching ---------------------------------------------------------------------------------------------------------


def table(**domains):
    """Domains by name: their addresses and their SIP domains, with blanks between."""
    found = []
    for name, (addresses, names) in domains.items():
        settings = DomainSettings(name, True, addresses=tuple(addresses.split()), sip_domains=tuple(names.split()))
        found.append((settings, TlsDomain(name, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), b"")))
    return DomainTable.of(found)


def chosen(from_table, place, name):
    domain = from_table.choose(place, name)
    return None if domain is None else domain.name


HERE, THERE = ("10.0.0.1", 5061), ("10.0.0.2", 5061)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("foo.bar.com", "exact"),
        ("FOO.bar.COM", "exact"),
        ("baz.bar.com", "longer"),
        ("x.com", "pattern"),
        ("x.org", "all"),
        (None, "nobody"),
    ],
)
def test_the_most_exact_name_counts(name, expected):
    names = table(
        all=("*", "*"),
        pattern=("*", "*.com"),
        longer=("*", "*.bar.com"),
        exact=("*", "Foo.bar.com"),
        nobody=("*", "none"),
    )
    assert chosen(names, HERE, name) == expected


def test_a_domain_for_the_very_address_hides_those_for_any():
    domains = table(any=("*", "*"), here=("10.0.0.1:5061", "only.example"))
    assert chosen(domains, HERE, "only.example") == "here"
    assert chosen(domains, HERE, "other.example") is None
    assert chosen(domains, THERE, "other.example") == "any"


def test_without_a_name_only_what_wants_none_or_takes_all_matches():
    assert chosen(table(a=("*", "none")), HERE, None) == "a"
    assert chosen(table(a=("*", "*")), HERE, None) == "a"
    assert chosen(table(a=("*", "a.example *.example")), HERE, None) is None
    assert chosen(table(), HERE, None) is None


@given(st.text(max_size=30))
def test_any_address_list_and_pattern_is_taken_or_refused(text):
    for read in (parse_address, split_list):
        try:
            read(text)
        except ValueError:
            pass
    if text.split():
        chosen(table(a=("*", text)), HERE, "some.example")


# -- tables -----------------------------------------------------------------------------------------------------------


def write(path, *rows):
    """The table, as `miscript db create` makes it, with these rows; each a dict of columns."""
    done = CliRunner().invoke(main, ["db", "create", f"sqlite://{path}", "tls_mgm"])
    assert done.exit_code == 0, done.output
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM tls_mgm")
        for row in rows:
            names = ", ".join(row)
            connection.execute(
                f"INSERT INTO tls_mgm ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values())
            )


def row(files, name="t", kind=2, **more):
    own = files.issued
    return {
        "domain": name, "type": kind, "certificate": own.certificate.read_bytes(), "private_key": own.key.read_bytes(),
        "ca_list": files.ca.read_bytes(), **more,
    }  # fmt: skip


@asynccontextmanager
async def with_table(path, files):
    text = script(*server(files), ("db_url", f"sqlite://{path}"))
    source = Source("test.cfg", 'loadmodule "db_sqlite.so"\n' + text)
    async with running(source, lambda text: None, timers=False) as host:
        yield host


async def test_domains_of_a_table_stand_beside_those_of_the_script(files, tmp_path):
    path = tmp_path / "tls.db"
    await asyncio.to_thread(
        write, path, row(files, match_sip_domain="t.example", dh_params=files.dh.read_bytes(), method="TLSv1_2")
    )
    async with with_table(path, files) as host:
        domains = host.services.find("tls domains")
        assert domains.for_server(HERE, "t.example").name == "t"
        assert domains.for_server(HERE, "other.example").name == "s"
        listed = (await call_command(host.services.mi, "tls_mgm:list"))["Domains"]
        assert [found["name"] for found in listed] == ["t", "s"]
        assert listed[0]["METHOD"] == "TLSv1_2"
        assert not {"CERT_FILE", "PKEY_FILE", "CA_FILE", "DH_PARAMS_FILE"} & set(listed[0])
        assert "PRIVATE" not in str(listed)


async def test_a_reload_takes_the_table_as_a_whole_or_not_at_all(files, tmp_path):
    path = tmp_path / "tls.db"
    await asyncio.to_thread(write, path, row(files, match_sip_domain="t.example"))
    async with with_table(path, files) as host:
        domains, mi = host.services.find("tls domains"), host.services.mi
        before = domains.for_server(HERE, "t.example")
        await asyncio.to_thread(write, path, row(files, "u", match_sip_domain="u.example"))
        assert await call_command(mi, "tls_reload") == "OK"
        assert domains.for_server(HERE, "u.example").name == "u"
        assert domains.for_server(HERE, "t.example").name == "s"
        assert before.context.verify_mode is ssl.CERT_REQUIRED
        await asyncio.to_thread(
            write, path, row(files, "v", match_sip_domain="v.example"), row(files, "w", method="nope")
        )
        with pytest.raises(MIError) as caught:
            await call_command(mi, "tls_reload")
        assert "domain 'w': tls_method: 'nope' is no method" in str(caught.value)
        assert domains.for_server(HERE, "u.example").name == "u"
        assert domains.for_server(HERE, "v.example").name == "s"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"kind": 7}, "row 1: 'type' is 7, expected 1 to 2"),
        ({"private_key": b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"}, "private_key: "),
        ({"certificate": b"nothing"}, "certificate: it is no PEM file, expected a certificate"),
        ({"certificate": None, "private_key": None}, "certificate: it is not set, and its default '/etc/opensips/"),
        ({"match_ip_address": "nope"}, "'nope' has no port"),
    ],
)
async def test_a_table_that_is_wrong_ends_the_start_and_tells_no_secret(files, tmp_path, wrong, problem):
    path = tmp_path / "tls.db"
    await asyncio.to_thread(write, path, row(files, **wrong))
    with pytest.raises(ConfigurationError, match=re.escape(problem)) as caught:
        async with with_table(path, files):
            raise AssertionError("it starts")
    assert "c2VjcmV0" not in str(caught.value)


def test_without_a_database_there_is_nothing_to_read_again(files):
    with RunningScript(script(*server(files))) as running_script, pytest.raises(MIError, match="DB url not set"):
        running_script.mi("tls_mgm:reload")


# -- proto_tls --------------------------------------------------------------------------------------------------------


def test_the_switch_for_tracing_is_shown_and_set(files):
    text = script(*server(files)).replace("route {", 'loadmodule "proto_tls.so"\nroute {')
    with RunningScript(text) as running_script:
        assert running_script.mi("tls:trace") == {"TLS tracing": "off"}
        assert running_script.mi("tls_trace", trace_mode="on") == "OK"
        assert running_script.mi("tls:trace") == {"TLS tracing": "on"}
        with pytest.raises(MIError, match="Bad parameter value"):
            running_script.mi("tls:trace", trace_mode="x")


@pytest.mark.parametrize(("parameter", "value"), [("tls_port", 70000), ("tls_max_msg_chunks", 0)])
def test_proto_tls_refuses_numbers_that_cannot_be(files, parameter, value):
    more = f'loadmodule "proto_tls.so"\nmodparam("proto_tls", "{parameter}", {value})\nroute {{'
    with (
        pytest.raises(ScriptError, match=r"is no port|in 0 pieces"),
        RunningScript(script(*server(files)).replace("route {", more)),
    ):
        raise AssertionError("it starts")


def test_proto_tls_needs_tls_mgm():
    with pytest.raises(ScriptError, match="tls_mgm"), RunningScript('loadmodule "proto_tls.so"\nroute { exit; }'):
        raise AssertionError("it starts")
