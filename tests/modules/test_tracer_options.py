"""The small languages of tracer: any text is read or refused with the documented exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import ConfigurationError
from miscript.modules.tracer.options import (
    Filter,
    Kind,
    LocalAddress,
    Scope,
    Sides,
    TraceId,
    TraceUri,
    parse_facility,
    parse_filters,
    parse_local_address,
    parse_scope,
    parse_sides,
    parse_trace_id,
    parse_types,
    severity,
)
from miscript.sip import Message


@pytest.mark.parametrize(
    ("text", "name", "kind", "place", "table"),
    [
        ("[tid]uri=hep:hid", "tid", Kind.HEP, "hid", "sip_trace"),
        ("  [ tid ] uri = hep:hid ; ", "tid", Kind.HEP, "hid", "sip_trace"),
        ("[tid]uri=sip:10.0.0.1:5060", "tid", Kind.SIP, "sip:10.0.0.1:5060", "sip_trace"),
        ("[tid]uri=SIP:10.0.0.1", "tid", Kind.SIP, "SIP:10.0.0.1", "sip_trace"),
        ("[tid]uri=file:/a/b", "tid", Kind.FILE, "/a/b", "sip_trace"),
        ("[tid]uri=syslog", "tid", Kind.SYSLOG, "", "sip_trace"),
        ("[tid]uri=syslog:local0:-1", "tid", Kind.SYSLOG, "local0:-1", "sip_trace"),
        ("[tid]uri=mysql://u:p@h/db;table=traces;", "tid", Kind.DATABASE, "mysql://u:p@h/db", "traces"),
        ("[tid]\n  uri=mysql://u:p=q@h/db;\n  table=t;", "tid", Kind.DATABASE, "mysql://u:p=q@h/db", "t"),
    ],
)
def test_a_trace_id_names_a_destination(text, name, kind, place, table):
    assert parse_trace_id(text) == TraceId(name, TraceUri(kind, place), table)


@given(st.text() | st.text(alphabet="[]tidur=;:hepsip /table\n"))
def test_any_trace_id_is_read_or_refused(text):
    try:
        found = parse_trace_id(text)
    except ConfigurationError as error:
        assert str(error)
    else:
        assert found.name
        assert found.table


@pytest.mark.parametrize(
    ("text", "scope"),
    [("m", Scope.MESSAGE), ("T", Scope.TRANSACTION), ("m t d", Scope.DIALOG), ("dm", Scope.DIALOG), ("", None)],
)
def test_the_widest_scope_counts(text, scope):
    assert parse_scope(text) is scope


@given(st.text())
def test_any_scope_is_read_or_refused(text):
    try:
        parse_scope(text)
    except ValueError as error:
        assert "expected m, t, d or b" in str(error)


@given(st.text())
def test_any_types_and_sides_are_read_and_the_rest_is_given_back(text):
    types, strange = parse_types(text)
    assert len(types) + len(strange) <= text.count("|") + 1
    sides, rest = parse_sides(text)
    assert sides
    assert len(rest) == sum(letter not in "Cc" for letter in text)


def test_types_and_sides():
    assert parse_types("sip| xlog|mi") == ({"sip", "xlog"}, ("mi",))
    assert parse_sides("")[0] is parse_sides("Cc")[0] is Sides.BOTH
    assert parse_sides("cx") == (Sides.CALLEE, ("x",))


@pytest.mark.parametrize(
    ("text", "transport", "host", "port"),
    [
        ("10.1.1.1:5064", "udp", "10.1.1.1", 5064),
        ("tcp:10.1.1.1", "tcp", "10.1.1.1", 5060),
        ("TCP:10.1.1.1:5064", "tcp", "10.1.1.1", 5064),
        ("10.1.1.1", "udp", "10.1.1.1", 5060),
        ("2001:db8::1", "udp", "2001:db8::1", 5060),
        ("tls:[2001:db8::1]:5061", "tls", "2001:db8::1", 5061),
    ],
)
def test_our_address(text, transport, host, port):
    assert parse_local_address(text) == LocalAddress(transport, (host, port))


@given(st.text() | st.text(alphabet="udptcls:.[]0129"))
def test_any_address_of_ours_is_read_or_refused(text):
    try:
        parse_local_address(text)
    except ConfigurationError as error:
        assert error.parameter == "trace_local_ip"


@given(st.lists(st.text() | st.from_regex(r"\A(ip|caller|callee)=.*\Z")))
def test_any_filters_are_read_or_refused(texts):
    try:
        assert len(parse_filters(texts)) == len(texts)
    except ValueError as error:
        assert str(error).startswith("the filter '")


@pytest.mark.parametrize(
    ("condition", "value", "matches"),
    [
        ("caller", "alice", True),
        ("caller", "alice@a.test", True),
        ("caller", "alice@b.test", False),
        ("caller", "ali", False),
        ("callee", "bob", True),
        ("callee", "bob@b.test", True),
        ("ip", "10.0.0.1", False),
    ],
)
def test_a_filter_asks_for_a_user_and_perhaps_its_host(condition, value, matches):
    request = Message.parse(b"INVITE sip:bob@b.test SIP/2.0\r\nFrom: <sip:alice@a.test>;tag=1\r\n\r\n")
    assert Filter(condition, value).matches(request) is matches


@pytest.mark.parametrize("start", [b"INVITE tel:1 SIP/2.0\r\n", b"INVITE sip: SIP/2.0\r\nFrom: <<\r\n"])
def test_a_request_that_cannot_be_read_meets_no_filter(start):
    request = Message.parse(start + b"\r\n")
    assert not Filter("caller", "a").matches(request)
    assert not Filter("callee", "a").matches(request)


def test_syslog_has_its_own_numbers():
    assert (parse_facility("LOG_LOCAL7"), parse_facility("daemon")) == (23, 3)
    assert [severity(level) for level in (-9, -3, -1, 0, 1, 2, 3, 4, 9)] == [1, 1, 3, 3, 4, 5, 6, 7, 7]
    with pytest.raises(ValueError, match="'nobody' is no syslog facility"):
        parse_facility("nobody")
