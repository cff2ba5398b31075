"""Digest responses, challenges and nonces."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip.digest_response import Algorithm, Challenge, Credentials, plain_ha1, strongest
from miscript.sip.nonces import NonceMaker, Standing, UsedNonces
from miscript.sip.syntax import SipSyntaxError

RFC_2617 = (
    'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", '
    'response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)
RFC_7616 = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm={algorithm}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{response}"'
)


@pytest.mark.parametrize(
    ("header", "password"),
    [
        (RFC_2617, "Circle Of Life"),
        (RFC_7616.format(algorithm="MD5", response="8ca523f5e9506fed4657c9700eebdbec"), "Circle of Life"),
        (
            RFC_7616.format(
                algorithm="SHA-256", response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
            ),
            "Circle of Life",
        ),
    ],
)
def test_the_examples_of_the_rfcs_prove_their_passwords(header: str, password: str):
    credentials = Credentials.parse(header)
    ha1 = plain_ha1(credentials.algorithm, "Mufasa", credentials.realm, password)
    assert credentials.proves(ha1, "GET") and credentials.proves(ha1.upper(), "GET")
    assert not credentials.proves(ha1, "POST")
    assert not credentials.proves(plain_ha1(credentials.algorithm, "Mufasa", credentials.realm, "other"), "GET")


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("qops", [(), ("auth",), ("auth-int",), ("auth-int", "auth")])
def test_an_answer_proves_the_password_to_who_asked(algorithm: Algorithm, qops: tuple[str, ...]):
    challenge = Challenge('a "realm"', "nonce\\1", algorithm, True, qops, True, "opaque")
    assert Challenge.parse(str(challenge)) == challenge
    answer = challenge.answered("alice", "secret", "INVITE", "sip:b@x", cnonce="c", count=2, body=b"body")
    assert Credentials.parse(str(answer)) == answer
    assert answer.qop == ("auth" if "auth" in qops else "auth-int" if qops else "")
    ha1 = plain_ha1(algorithm, "alice", 'a "realm"', "secret")
    assert answer.proves(ha1, "INVITE", b"body")
    assert answer.proves(ha1, "INVITE", b"other") is (answer.qop != "auth-int")
    assert challenge.answered("alice", f"0x{ha1}", "INVITE", "sip:b@x", cnonce="c", count=2, body=b"body") == answer


def test_a_plain_challenge_names_no_algorithm():
    assert str(Challenge("x", "n")) == 'Digest realm="x", nonce="n"'
    answer = Challenge("x", "n").answered("a", "p", "REGISTER", "sip:x", cnonce="c")
    assert str(answer).startswith('Digest username="a", realm="x", nonce="n", uri="sip:x", response="')
    assert "algorithm" not in str(answer) and "cnonce" not in str(answer)


@pytest.mark.parametrize(
    "header",
    [
        "Basic YTpi",
        'Digest username="a"',
        'Digest username="a", realm="r", nonce="n", uri="u", response="x", qop=auth',
        'Digest username="a", realm="r", nonce="n", uri="u", response="x", qop=other, nc=1, cnonce="c"',
        'Digest username="a", realm="r", nonce="n", uri="u", response="x", algorithm=SHA-1',
        'Digest username="a", realm="r", nonce="n", uri="u", response="x", algorithm=MD5-sess',
    ],
)
def test_credentials_that_lack_something_are_refused(header: str):
    with pytest.raises(SipSyntaxError):
        Credentials.parse(header)


def test_the_strongest_challenge_that_can_be_answered_is_taken():
    md5, sha, unknown, odd = (
        Challenge("r", "1", Algorithm.MD5),
        Challenge("r", "2", Algorithm.SHA_256),
        Challenge.parse('Digest realm="r", nonce="3", algorithm=SHA-1'),
        Challenge("r", "4", Algorithm.SHA_512_256, qops=("other",)),
    )
    assert strongest([md5, sha, unknown, odd]) is sha
    assert strongest([md5, sha], [Algorithm.MD5]) is md5
    assert strongest([unknown, odd]) is None
    with pytest.raises(ValueError):
        unknown.answered("a", "p", "INVITE", "sip:x", cnonce="c")


@given(st.text(), st.text(), st.text())
def test_any_names_survive_the_header_field(user: str, realm: str, cnonce: str) -> None:
    challenge = Challenge(realm, "n", Algorithm.MD5, qops=("auth",))
    answer = challenge.answered(user, "p", "INVITE", "sip:x", cnonce=cnonce)
    assert Credentials.parse(str(answer)) == answer


@given(st.text())
def test_any_text_is_credentials_or_a_syntax_error(text: str) -> None:
    for read in (Credentials.parse, Challenge.parse):
        try:
            read(f"Digest {text}")
        except SipSyntaxError:
            pass


@pytest.mark.parametrize(("nc", "count"), [("00000001", 1), ("ff", 255), ("", 0), ("x", 0), ("123456789", 0)])
def test_the_count_is_hexadecimal(nc: str, count: int):
    assert Credentials("a", "r", "n", "u", "x", nc=nc).count == count


# -- nonces -------------------------------------------------------------------------------------------------------

NOW = 1_700_000_000.25


def test_a_nonce_is_good_for_its_time_and_known_by_its_secret():
    maker = NonceMaker(b"s" * 32, 30)
    text = maker.make(NOW, Algorithm.SHA_256)
    nonce = maker.read(text)
    assert nonce is not None and (nonce.made, nonce.number, nonce.algorithm) == (NOW, 1, Algorithm.SHA_256)
    assert [maker.standing(nonce, NOW + seconds) for seconds in (0, 30, 30.5, -2)] == [
        Standing.GOOD, Standing.GOOD, Standing.STALE, Standing.STALE
    ]  # fmt: skip
    assert NonceMaker(b"t" * 32, 30).read(text) is None
    assert maker.standing(None, NOW) is Standing.FOREIGN
    assert maker.make(NOW, Algorithm.SHA_256) != text


@given(st.text() | st.binary(min_size=29, max_size=29).map(lambda data: base64.b64encode(data).decode()))
def test_any_other_text_is_no_nonce_of_ours(text: str) -> None:
    assert NonceMaker(b"s" * 32, 30).read(text) is None


def test_a_changed_nonce_is_no_nonce_of_ours():
    maker = NonceMaker(b"s" * 32, 30)
    text = maker.make(NOW, Algorithm.MD5)
    for place in range(len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert maker.read(changed) is None


def test_a_nonce_is_answered_once_or_with_a_higher_count_or_by_the_same_request():
    maker, used = NonceMaker(b"s" * 32, 30), UsedNonces()
    nonce = maker.read(maker.make(NOW, Algorithm.MD5))
    assert nonce is not None
    takes = [(0, "r1"), (0, "r1"), (0, "r2"), (2, "r2"), (2, "r3"), (1, "r4"), (2, "r2"), (3, "r5")]
    assert [used.take(nonce, count, request, NOW, NOW + 30) for count, request in takes] == [
        True, True, False, True, False, False, True, True
    ]  # fmt: skip


def test_what_is_remembered_is_bounded_and_forgotten_in_time():
    maker, used = NonceMaker(b"s" * 32, 30), UsedNonces(most=2)
    nonces = [nonce for _ in range(4) if (nonce := maker.read(maker.make(NOW, Algorithm.MD5)))]
    assert [used.take(nonce, 0, "r", NOW, NOW + 30) for nonce in nonces[:3]] == [True, True, False]
    assert used.take(nonces[3], 0, "r", NOW + 31, NOW + 61) and len(used) == 1
