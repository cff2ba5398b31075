"""Why a certificate or its key cannot be used: what the message says of each way to be wrong."""

import ssl

import pytest

from certificates import Authority, needs_openssl, openssl
from miscript.certificate_files import PairRefused, load_pair, what_is_wrong

pytestmark = needs_openssl()
CERTIFICATE = "-----BEGIN CERTIFICATE-----"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture(scope="module")
def issued(folder):
    return Authority(folder).issue("atlanta.example")


def refusal(certificate, key):
    with pytest.raises(PairRefused) as caught:
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), str(certificate), str(key))
    return caught.value.half, str(caught.value)


def test_a_pair_that_fits_is_loaded(issued):
    load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), str(issued.certificate), str(issued.key))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is empty, expected a certificate in PEM form"),
        (b" \n", "it is empty, expected a certificate in PEM form"),
        (b"junk", f"it is no PEM file, expected a certificate, which begins with '{CERTIFICATE}'"),
        (
            CERTIFICATE.encode() + b"\n\xff\n-----END CERTIFICATE-----\n",
            "its certificate cannot be read: it is damaged",
        ),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said_of_the_certificate(folder, issued, content, problem):
    path = folder / "wrong.pem"
    path.write_bytes(content)
    half, said = refusal(path, issued.key)
    assert (half, said[: len(problem)]) == ("certificate", problem)


def test_the_two_files_in_each_others_place_are_told(issued):
    half, said = refusal(issued.key, issued.certificate)
    assert half == "certificate"
    assert said.endswith("private key, expected a certificate")


def test_a_certificate_in_the_place_of_its_key_is_told(issued):
    assert refusal(issued.certificate, issued.certificate) == (
        "private key",
        "it holds a certificate, expected a private key",
    )


def test_a_certificate_in_der_is_told_with_the_command_that_converts_it(folder, issued):
    der = folder / "a.der"
    openssl("x509", "-in", issued.certificate, "-outform", "DER", "-out", der)
    half, said = refusal(der, issued.key)
    assert half == "certificate"
    assert said.startswith(f"it is DER, expected PEM, with '{CERTIFICATE}': `openssl x509 -inform DER")


def test_an_encrypted_key_is_refused_without_asking_a_terminal(folder, issued):
    encrypted = folder / "encrypted.key"
    openssl("ec", "-in", issued.key, "-aes128", "-passout", "pass:secret", "-out", encrypted)
    half, said = refusal(issued.certificate, encrypted)
    assert half == "private key"
    assert said.startswith("the key is encrypted, expected one without a password")


def test_a_key_of_another_certificate_is_told(folder, issued):
    other = Authority(folder, "other").issue("biloxi.example")
    assert refusal(issued.certificate, other.key) == ("private key", "it is not the key of the certificate")


@pytest.mark.parametrize("content", [b"-----BEGIN EC PARAMETERS-----", b"-----BEGIN CERTIFICATE REQUEST-----"])
def test_other_things_in_pem_form_are_named(content):
    name = content.decode().strip("-").removeprefix("BEGIN ").lower()
    article = "an" if name[0] in "aeiou" else "a"
    assert what_is_wrong(content, "certificate") == f"it holds {article} {name}, expected a certificate"
