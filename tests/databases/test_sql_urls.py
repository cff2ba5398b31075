"""What a db_url says."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.database import database_at, masked
from miscript.errors import ConfigurationError
from miscript.sql.driver import SqlDriver
from miscript.sql.urls import ServerUrl, file_of, server_url, ssl_context


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://root:pw@db.example.org:3307/opensips", ("root", "pw", "db.example.org", 3307, "", "opensips")),
        ("postgres://user@host/db", ("user", None, "host", None, "", "db")),
        ("postgres://host/db", ("", None, "host", None, "", "db")),
        ("mysql://root:p:w/?x@localhost/db", ("root", "p:w/?x", "localhost", None, "", "db")),
        ("mysql://root:@localhost/db", ("root", "", "localhost", None, "", "db")),
        ("postgres://u:p@[::1]:5433/db", ("u", "p", "::1", 5433, "", "db")),
        ("mysql://u:p@unix(/run/mysqld.sock)/db", ("u", "p", "localhost", None, "/run/mysqld.sock", "db")),
    ],
)
def test_the_url_of_a_server_has_its_parts(url, expected):
    assert server_url(url) == ServerUrl(*expected)


def test_parameters_stand_behind_a_question_mark():
    found = server_url("postgres://u:p@h/db?sslmode=verify-full&sslrootcert=/etc/ca.pem").parameters
    assert found == {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem"}


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("mysql:root@localhost/db", "expected scheme://user:password@host:port/database"),
        ("mysql://root@localhost", "expected scheme://"),
        ("mysql://root@localhost/", "expected scheme://"),
        ("mysql://root@localhost:0/db", "expected scheme://"),
        ("mysql://root@localhost:99999/db", "expected scheme://"),
        ("mysql://root@localhost/db?charset=utf8", "'charset' is no parameter of a database URL; there are sslmode"),
        ("mysql://root@localhost/db?tls_domain=dom1", "tls_mgm, which is not available here"),
        ("postgres://root@localhost/db?sslmode=maybe", "sslmode is one of disable, .*, found 'maybe'"),
    ],
)
def test_a_url_that_says_nothing_is_refused(url, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        server_url(url)


def test_no_message_shows_a_password():
    for url in ("mysql://root:secret@localhost", "mysql://root:secret@localhost/db?x=1"):
        with pytest.raises(ConfigurationError) as caught:
            server_url(url)
        assert "secret" not in str(caught.value)
    assert masked("mysql://root:secret@h/db") == "mysql://root:***@h/db"
    assert masked("mysql://root@h/db") == "mysql://root@h/db"
    assert masked("mysql://root:a@b@h/db") == "mysql://root:***@h/db"
    assert masked("sqlite:///a/b.db") == "sqlite:///a/b.db"


@given(st.text())
def test_any_text_is_a_url_or_refused(text):
    for read in (server_url, file_of):
        try:
            read(text)
        except ConfigurationError:
            pass


def test_the_url_of_a_file_is_its_path():
    assert file_of("sqlite:///var/db") == "/var/db"
    assert file_of("sqlite:/var/db") == "/var/db"
    assert file_of("sqlite:////var/db") == "/var/db"
    for url in ("sqlite://var/db", "sqlite:///", "sqlite:var", "sqlite:///a?x=1", "sqlite:///a/"):
        with pytest.raises(ConfigurationError):
            file_of(url)


def test_certificates_are_checked_as_the_mode_says():
    assert ssl_context({}) is None
    assert ssl_context({"sslmode": "prefer"}) is None
    required = ssl_context({"sslmode": "require"})
    assert (required.verify_mode, required.check_hostname) == (ssl.CERT_NONE, False)
    assert ssl_context({"sslmode": "verify-ca"}).verify_mode is ssl.CERT_REQUIRED
    assert ssl_context({"sslmode": "verify-full"}).check_hostname
    with pytest.raises(ConfigurationError, match="cannot be read"):
        ssl_context({"sslmode": "verify-ca", "sslrootcert": "/nosuch"})


def test_a_scheme_without_a_module_is_refused():
    for url in ("nothing", "2 mysql://x/y", ":x"):
        with pytest.raises(ConfigurationError, match="is no database URL"):
            database_at(lambda name: None, url)
    with pytest.raises(ConfigurationError, match="no module is loaded for 'mysql:' databases; load db_mysql"):
        database_at(lambda name: None, "mysql://root@localhost/db")


def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "asyncpg", None)
    with pytest.raises(ConfigurationError, match="'asyncpg', which is not installed") as caught:
        SqlDriver("postgres").open("postgres://h/db")
    assert caught.value.help == "pip install 'miscript[postgres]'"
