"""The server name in the first bytes of a TLS client, for real clients and for any bytes."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.host.client_hello import NoClientHelloError, hello_in, server_name_in


def first_bytes(name, highest=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.maximum_version = highest
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def in_small_records(data, size):
    """The same ClientHello, in records of `size` bytes."""
    body = data[5:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(data[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)


HELLO = first_bytes("SIP.Atlanta.example")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_name_of_a_real_client_is_read_in_lower_case(version):
    assert server_name_in(hello_in(first_bytes("SIP.Atlanta.example", version))) == "sip.atlanta.example"


def test_a_client_may_name_no_server():
    assert server_name_in(hello_in(first_bytes(None))) is None
    assert server_name_in(hello_in(first_bytes("127.0.0.1"))) is None


@given(st.integers(0, len(HELLO) - 1))
def test_a_hello_that_is_not_complete_has_to_be_waited_for(length):
    assert hello_in(HELLO[:length]) is None


@given(st.integers(1, 600))
def test_a_hello_may_come_in_records_of_any_size(size):
    assert hello_in(in_small_records(HELLO, size)) == hello_in(HELLO)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"OPTIONS sip:a@b SIP/2.0\r\n", "no TLS"),
        (b"\x80\x2e\x01\x03\x01\x00", "no TLS"),
        (b"\x16\x03\x01\x00\x00", "a record of 0 bytes"),
        (b"\x16\x03\x01\xff\xff", "a record of 65535 bytes"),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "does not begin with a ClientHello"),
        (b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", "at most"),
    ],
)
def test_what_is_no_hello_is_told_at_once(data, problem):
    with pytest.raises(NoClientHelloError, match=problem):
        hello_in(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_hello_a_part_of_one_or_refused(data):
    try:
        hello = hello_in(data)
        if hello is not None:
            server_name_in(hello)
    except NoClientHelloError:
        pass


@given(st.integers(9, len(HELLO) - 1), st.integers(0, 255))
def test_a_hello_with_a_wrong_byte_gives_a_name_none_or_the_error(at, byte):
    try:
        name = server_name_in((HELLO[:at] + bytes([byte]) + HELLO[at + 1 :])[9:])
        assert name is None or isinstance(name, str)
    except NoClientHelloError:
        pass
