"""Digest credentials and challenges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import SipSyntaxError
from miscript.sip.digest import MAX_FIELDS, parse_digest


def test_fields_are_found_by_lower_case_names_without_their_quotes() -> None:
    text = 'digest Realm="a, \\"b\\"" ,NONCE = n1,uri="",algorithm=MD5\r\n , qop="auth,auth-int"'
    assert parse_digest(text) == {
        "realm": 'a, "b"',
        "nonce": "n1",
        "uri": "",
        "algorithm": "MD5",
        "qop": "auth,auth-int",
    }


def test_the_first_field_of_a_name_counts() -> None:
    assert parse_digest("Digest realm=a, REALM=b") == {"realm": "a"}


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "Digest",
        "Digest ",
        "Basic YTpi",
        "Digest realm",
        "Digest realm=",
        'Digest a="b',
        "Digest a=b c=d",
        "Digest a=b,",
    ],
)
def test_what_is_no_digest_is_refused(wrong: str) -> None:
    with pytest.raises(SipSyntaxError):
        parse_digest(wrong)


def test_there_is_a_limit_of_fields() -> None:
    assert len(parse_digest("Digest " + ",".join(f"a{n}=b" for n in range(MAX_FIELDS)))) == MAX_FIELDS
    with pytest.raises(SipSyntaxError):
        parse_digest("Digest " + ",".join(f"a{n}=b" for n in range(MAX_FIELDS + 1)))


@given(st.text(max_size=80))
def test_any_text_gives_fields_or_the_error(text: str) -> None:
    for candidate in (text, f"Digest {text}", f'Digest realm="{text}"'):
        try:
            parse_digest(candidate)
        except SipSyntaxError:
            pass


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True), st.text(max_size=20), min_size=1))
def test_quoted_values_come_back(fields: dict[str, str]) -> None:
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in fields.items()}
    assert parse_digest("Digest " + ", ".join(f'{name}="{value}"' for name, value in quoted.items())) == fields
