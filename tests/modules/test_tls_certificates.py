"""What is read of certificates, against what `openssl` put into them; and any bytes at all."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates import Authority, needs_openssl, openssl
from miscript.modules.tls_mgm import certificate as x509
from miscript.modules.tls_mgm.certificate import CertificateError, parse_certificate, shown_time

pytestmark = needs_openssl()

SUBJECT = "/C=DE/ST=Bavaria/L=Munich/O=Atlanta Ltd/OU=Voice/CN=atlanta.example/serialNumber=77/emailAddress=a@b"
NAMES = "DNS:atlanta.example,DNS:sip.atlanta.example,URI:sip:atlanta.example,IP:127.0.0.1,IP:2001:db8::1,email:a@b"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder):
    return Authority(folder)


@pytest.fixture(scope="module")
def issued(authority):
    return authority.issue("atlanta", subject=SUBJECT, names=NAMES, serial=2**100 + 1)


def read(path):
    return parse_certificate(ssl.PEM_cert_to_DER_cert(path.read_text()))


def test_everything_a_script_may_ask_for_is_read(issued):
    found = read(issued.certificate)
    assert str(found.subject) == SUBJECT
    assert str(found.issuer) == "/C=AT/O=Test/CN=ca"
    assert (found.version, found.serial) == (2, 2**100 + 1)
    assert found.subject.get("OU") == "Voice"
    assert found.subject.get("DC") is None
    assert found.first_name(x509.HOST_NAME) == "atlanta.example"
    assert found.first_name(x509.URI) == "sip:atlanta.example"
    assert found.first_name(x509.EMAIL) == "a@b"
    assert [name for tag, name in found.names if tag == x509.IP_ADDRESS] == ["127.0.0.1", "2001:db8:0:0:0:0:0:1"]


def test_times_are_shown_as_openssl_shows_them(issued):
    found = read(issued.certificate)
    dates = openssl("x509", "-noout", "-dates", "-in", issued.certificate)
    assert dates == f"notBefore={shown_time(found.not_before)}\nnotAfter={shown_time(found.not_after)}\n"
    assert not found.is_expired(found.not_after.timestamp())
    assert found.is_expired(found.not_after.timestamp() + 1)


def test_an_authority_signs_itself_and_those_it_signs_do_not(authority, issued):
    assert read(authority.ca).is_self_signed
    assert not read(issued.certificate).is_self_signed


def test_names_that_are_no_ascii_are_whole_in_fields_and_escaped_on_one_line(folder):
    path = folder / "umlaut.pem"
    openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-utf8",
        "-keyout", folder / "umlaut.key", "-out", path, "-subj", "/O=Söhne/CN=x",
    )  # fmt: skip
    found = read(path)
    assert found.subject.get("O") == "Söhne"
    assert str(found.subject) == r"/O=S\xC3\xB6hne/CN=x"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_certificate_or_the_error(data):
    with pytest.raises(CertificateError):
        parse_certificate(data)


def test_a_certificate_that_is_cut_off_is_refused_wherever_that_is(issued):
    der = ssl.PEM_cert_to_DER_cert(issued.certificate.read_text())
    for length in range(len(der)):
        with pytest.raises(CertificateError):
            parse_certificate(der[:length])


@given(st.data())
def test_a_wrong_byte_gives_another_certificate_or_the_error(issued, data):
    der = bytearray(ssl.PEM_cert_to_DER_cert(issued.certificate.read_text()))
    der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = parse_certificate(bytes(der))
        assert str(found.subject) is not None
        shown_time(found.not_after)
    except CertificateError:
        pass
