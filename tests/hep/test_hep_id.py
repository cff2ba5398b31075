"""The module parameter hep_id."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hep_samples import FOLDER
from miscript.errors import ConfigurationError
from miscript.hep.hep_id import HepId, parse_hep_id, parse_hep_ids


def recorded_starts():
    """Start-ups of OpenSIPS with a `hep_id`: its values, and whether it started."""
    for entry in json.loads((FOLDER / "_errors.json").read_text()):
        values = re.findall(r'modparam\("proto_hep","hep_id","([^"]*)"\)', entry.get("hep", ""))
        crashed = entry.get("exit") == -11
        if values and "hep_id" in entry["name"] and not crashed:
            yield pytest.param(values, entry["up"], id=entry["name"])


@pytest.mark.parametrize(("values", "starts"), list(recorded_starts()))
def test_what_opensips_accepts_is_accepted_and_what_it_refuses_is_refused(values, starts):
    if starts:
        assert parse_hep_ids(values)
    else:
        with pytest.raises(ConfigurationError) as refused:
            parse_hep_ids(values)
        assert refused.value.parameter == "hep_id"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[d]192.0.2.9", HepId("d", "192.0.2.9", 9060, "tcp", 3)),
        ("[d]homer.example.com:9070", HepId("d", "homer.example.com", 9070, "tcp", 3)),
        ("[d]h;transport=UDP;version=2", HepId("d", "h", 9060, "udp", 2)),
        ("[d]h;version=1;transport=udp;", HepId("d", "h", 9060, "udp", 1)),
        ("[d]h;transport=tls", HepId("d", "h", 9060, "tls", 3)),
        ("  [ d ] h : 9061 ; transport = udp ; version = 3 ; ", HepId("d", "h", 9061, "udp", 3)),
        ("[d]h;version=3;transport=udp;version=2", HepId("d", "h", 9060, "udp", 2)),
        ("[d]::1;transport=udp", HepId("d", "::1", 9060, "udp", 3)),
        ("[d][::1]:9061", HepId("d", "::1", 9061, "tcp", 3)),
        ("[d][2001:db8::1]", HepId("d", "2001:db8::1", 9060, "tcp", 3)),
        ("[d]h:65535", HepId("d", "h", 65535, "tcp", 3)),
    ],
)
def test_a_destination_is_read(text, expected):
    assert parse_hep_id(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no '[name]' at the start"),
        ("192.0.2.9:9060", "no '[name]' at the start"),
        ("[d", "no ']' after the name"),
        ("[d]", "no host after the name"),
        ("[d]  ;transport=udp", "no host after the name"),
        ("[d]:9060", "no host after the name"),
        ("[d]uri=192.0.2.9:9060", "the host 'uri=192.0.2.9' is neither a name nor an address"),
        ("[d]two words", "the host 'two words' is neither a name nor an address"),
        ("[d]h:", "the port '' is not a number"),
        ("[d]h:abc", "the port 'abc' is not a number"),
        ("[d]h:-1", "the port '-1' is not a number"),
        ("[d]h:٣", "the port '٣' is not a number"),
        ("[d]h:" + "9" * 5000, "is not a number"),
        ("[d]h:9060,transport=udp", "the port '9060,transport=udp' is not a number"),
        ("[d][::1]:", "the port '' is not a number"),
        ("[d][::1", "'[::1' is not [IPv6 address]:port"),
        ("[d][::1]9060", "'[::1]9060' is not [IPv6 address]:port"),
        ("[d][192.0.2.9]:9060", "'192.0.2.9' is not an IPv6 address"),
        ("[d]2001:db8::1::9060", "'2001:db8::1::9060' is not an IPv6 address"),
        ("[d]h;;transport=udp", "'' is not 'parameter=value'"),
        ("[d]h;transport", "'transport' is not 'parameter=value'"),
        ("[d]h;transport=", "'transport=' is not 'parameter=value'"),
        ("[d]h;=udp", "'=udp' is not 'parameter=value'"),
        ("[d]h;TRANSPORT=udp", "unknown parameter 'TRANSPORT', expected 'transport' or 'version'"),
        ("[d]h;foo=bar", "unknown parameter 'foo', expected 'transport' or 'version'"),
        ("[d]h;transport=sctp", "the transport is 'sctp', expected 'udp', 'tcp' or 'tls'"),
        ("[d]h;version=0", "the version is '0', expected 1, 2 or 3"),
        ("[d]h;version=4", "the version is '4', expected 1, 2 or 3"),
        ("[d]h;version=x", "the version is 'x', expected 1, 2 or 3"),
    ],
)
def test_a_mistake_is_named(text, problem):
    with pytest.raises(ConfigurationError) as refused:
        parse_hep_id(text)

    assert problem in str(refused.value)
    assert refused.value.help


def test_a_name_given_twice_is_refused():
    with pytest.raises(ConfigurationError, match="a second destination named 'd'"):
        parse_hep_ids(["[d]h", "[e]h", "[d]other"])


def test_names_differ_by_case():
    assert list(parse_hep_ids(["[d]h", "[D]h"])) == ["d", "D"]


@pytest.mark.parametrize(
    ("text", "warning", "port", "transport", "name"),
    [
        ("[d]h;version=2", "HEP version 2 needs UDP, 'tcp' is replaced by 'udp'", 9060, "udp", "d"),
        ("[d]h;version=1;transport=tls", "HEP version 1 needs UDP, 'tls' is replaced by 'udp'", 9060, "udp", "d"),
        ("[d]h:0", "nothing can be sent to port 0, expected 1 to 65535", 0, "tcp", "d"),
        ("[d]h:99999", "nothing can be sent to port 99999, expected 1 to 65535", 99999, "tcp", "d"),
        ("[ ]h", "the name is empty: no trace_destination can select it", 9060, "tcp", ""),
        ("[hep dest]h", "the name ends at the first space: it is 'hep', not 'hep dest'", 9060, "tcp", "hep"),
    ],
)
def test_what_opensips_accepts_in_silence_gets_a_warning(text, warning, port, transport, name):
    assert parse_hep_id(text) == HepId(name, "h", port, transport, parse_hep_id(text).version, (warning,))


@given(st.text(max_size=60) | st.text("[]d:;=.12 transpoversionudp", max_size=60).map("[d]".__add__))
def test_any_text_gives_a_destination_or_a_configuration_error(text):
    try:
        parse_hep_id(text)
    except ConfigurationError:
        pass
