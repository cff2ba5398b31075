"""URLs of nodes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from miscript.client.address import FifoAddress, HttpAddress, UdpAddress, UnixAddress, parse_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8888/mi", HttpAddress("127.0.0.1", 8888, "/mi", False)),
        ("http://node", HttpAddress("node", 80, "/mi", False)),
        ("HTTPS://node/json?x=1", HttpAddress("node", 443, "/json?x=1", True)),
        ("http://[::1]:8888/mi", HttpAddress("::1", 8888, "/mi", False)),
        ("https://me:p%40ss@node/mi", HttpAddress("node", 443, "/mi", True, "Basic bWU6cEBzcw==")),
        ("fifo:/run/opensips/fifo", FifoAddress("/run/opensips/fifo")),
        ("fifo:///run/opensips/fifo", FifoAddress("/run/opensips/fifo")),
        ("fifo:/f?reply_dir=/run/replies/", FifoAddress("/f", "/run/replies/")),
        ("fifo:/f?server=kamailio", FifoAddress("/f", kamailio=True)),
        ("udp:127.0.0.1:8080", UdpAddress("127.0.0.1", 8080)),
        ("udp:[::1]:8080", UdpAddress("::1", 8080)),
        ("udp://node:8080", UdpAddress("node", 8080)),
        ("unix:/run/mi.sock", UnixAddress("/run/mi.sock")),
    ],
)
def test_an_url_names_one_door(url, address):
    assert parse_url(url) == address


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "is no address of a node"),
        ("edge1", "is no address of a node"),
        ("ftp://node/", "is no address of a node"),
        ("http:///mi", "names no host"),
        ("http://node:x/", "is no number from 0 to 65535"),
        ("http://node/a b", "names no host"),
        ("http://node/\r\nX: y", "names no host"),
        ("fifo:", "names no path"),
        ("fifo:/f?dir=/x/", "'dir' is not known"),
        ("fifo:/f?server=asterisk", "expected 'opensips' or 'kamailio'"),
        ("udp:node", "is not udp:host:port"),
        ("udp:node:0", "is not udp:host:port"),
        ("udp:node:65536", "is not udp:host:port"),
        ("unix:", "names no path"),
    ],
)
def test_a_wrong_url_is_refused_with_the_reason(url, words):
    with pytest.raises(ValueError, match=words):
        parse_url(url)


@given(st.sampled_from(["http://", "https://", "fifo:", "udp:", "unix:", ""]), st.text())
@example("http://", "[")
@example("http://", "a:\u0661")
@example("udp:", "a:" + "9" * 5000)
def test_any_text_is_an_address_or_refused_with_value_error(scheme, rest):
    try:
        address = parse_url(scheme + rest)
    except ValueError:
        return
    assert str(address)
