"""Spellings: comments, texts, numbers, addresses, variables, operators, and what is reported about wrong ones."""

from __future__ import annotations

import pytest

from miscript.script.diagnostics import Diagnostics
from miscript.script.lexer import lex, read_number, unescape
from miscript.script.source import SourceFile
from miscript.script.tokens import Kind, Token
from miscript.values import decode


def tokens(text: str) -> list[Token]:
    diagnostics = Diagnostics()
    found = lex(SourceFile("test", text), diagnostics)
    assert list(diagnostics) == []
    assert found[-1].kind is Kind.END
    return found[:-1]


def mistakes(text: str) -> list[tuple[str, int, int]]:
    diagnostics = Diagnostics()
    lex(SourceFile("test", text), diagnostics)
    return [(d.code, d.span.line, d.span.column) for d in diagnostics]


@pytest.mark.parametrize(
    "text",
    ["# all of the line", "/* a */", "/* a\n * b */", "/* nested /* block */ still */", "#", "/**/ # x\n/* # */", ""],
)
def test_comments_leave_no_token(text: str) -> None:
    assert tokens(text) == []


def test_no_comment_begins_within_a_text() -> None:
    assert [t.value for t in tokens("\"# /* //\" '# /* //'")] == ["# /* //", "# /* //"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"\n\r\t\a\"\\", '\n\r\t\a"\\'),
        (r"\x41\x7e\x9", "A~\t"),
        (r"\x41B", "AB"),
        (r"\xg", r"\xg"),
        (r"\101\041", "A!"),
        (r"\0601", "01"),
        (r"\0101", "\x081"),
        (r"\1 \0 \08", r"\1 \0 \08"),
        (r"\d\w\.\q\'", r"\d\w\.\q\'"),
        ("a \\\nb", "a b"),
        ("a \\\r\nb", "a b"),
        ("a\nb", "a\nb"),
        (r"\\n", r"\n"),
        (r"\777", "\udcff"),
        (r"\xc3\xa9", "é"),
        (r"\xe9", "\udce9"),
    ],
)
def test_escapes_in_double_quotes(source: str, text: str) -> None:
    assert unescape(source) == text
    assert tokens(f'"{source}"')[0].value == text


def test_single_quotes_keep_every_character() -> None:
    assert tokens(r"'a\tb\\'")[0].value == r"a\tb\\"


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("10", 10),
        ("0", 0),
        ("0x1F", 31),
        ("017", 15),
        ("2147483647", 2147483647),
        ("2147483648", -2147483648),
        ("3735928559", -559038737),
        ("0xdeadbeef", -559038737),
        ("99999999999999999999", -1),
        ("9" * 10_000, -1),
        ("08", None),
        ("0x", None),
        ("0XFF", None),
        ("0b1", None),
        ("1a", None),
    ],
)
def test_numbers_wrap_to_32_bits(spelling: str, value: int | None) -> None:
    assert read_number(spelling) == value
    token = tokens(spelling)[0]
    assert (token.kind, token.value) == (Kind.MALFORMED if value is None else Kind.NUMBER, value)


@pytest.mark.parametrize("word", ["yes", "true", "on", "enable"])
def test_words_for_one(word: str) -> None:
    assert (tokens(word)[0].kind, tokens(word)[0].value) == (Kind.NUMBER, 1)


@pytest.mark.parametrize("word", ["no", "false", "off", "disable"])
def test_words_for_zero(word: str) -> None:
    assert (tokens(word)[0].kind, tokens(word)[0].value) == (Kind.NUMBER, 0)


@pytest.mark.parametrize("word", ["YES", "True", "yesterday", "no_", "mem-group"])
def test_other_words_are_words(word: str) -> None:
    assert [t.kind for t in tokens(word)] == [Kind.WORD]


@pytest.mark.parametrize(
    "spelling",
    ["10.0.0.1", "10.0.0.0/8", "10.0.0.0/255.0.0.0", "::1", "fe80::1", "2001:db8::/32", "1:2:3:4:5:6:7:8", "::"],
)
def test_addresses_are_one_token(spelling: str) -> None:
    assert [(t.kind, t.text) for t in tokens(spelling)] == [(Kind.NETWORK, spelling)]


@pytest.mark.parametrize("spelling", ["10.0.0.300", "10.0.0.1/33", "::1/129", "1.2.3.4/1.2.3.500", ":::"])
def test_wrong_addresses_are_reported(spelling: str) -> None:
    assert mistakes(spelling) == [("E110", 1, 1)]


@pytest.mark.parametrize(
    "spelling",
    [
        "$ru",
        "$var(x)",
        "$route.name",
        "$hdr(User-Agent)",
        "$json(a/b c[$var(i)])",
        "$time(%Y-%m-%d)",
        "$avp($var(n))",
        "$(avp(x)[0])",
        "$(var(s){s.select,0,;}{s.len})",
        "$(avp($(var(n){s.toupper}))[-1])",
        "$(<request>hdr(Via)[0])",
        "$var(a(b)c)",
        "$avp($avp($avp($avp($avp($var(x))))))",
    ],
)
def test_a_variable_is_one_token(spelling: str) -> None:
    assert [(t.kind, t.text) for t in tokens(f"{spelling}+x")] == [
        (Kind.VARIABLE, spelling),
        (Kind.SYMBOL, "+"),
        (Kind.WORD, "x"),
    ]


def test_the_longest_operator_wins() -> None:
    text = ":= += -= *= /= %= |= &= ^= == != <= >= =~ !~ << >> && || < > = ! ~ & | ^"
    assert [t.text for t in tokens(text)] == text.split()
    assert [t.text for t in tokens("$var(x)=-5<<1")] == ["$var(x)", "=", "-", "5", "<<", "1"]


def test_a_socket_falls_into_its_parts() -> None:
    assert [t.text for t in tokens("udp:beef:5060")] == ["udp", ":", "beef", ":", "5060"]


def test_columns_count_characters_and_lines_from_one() -> None:
    token = tokens("\n\t é = 1".replace("é", "e"))[2]
    assert (token.span.line, token.span.column, token.span.end_column) == (2, 7, 8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n @ b", [("E101", 2, 2)]),
        ("“a”", [("E101", 1, 1), ("E101", 1, 3)]),
        ("\ufeffroute", [("E101", 1, 1)]),
        ('x "abc\ny', [("E102", 1, 3)]),
        ("'abc", [("E102", 1, 1)]),
        ("$var(a = 1;\n", [("E104", 1, 1)]),
        ("$(var(a) = 1;\n", [("E104", 1, 1)]),
        ("$ x", [("E104", 1, 1)]),
        ("// no comment", [("E106", 1, 1)]),
        ("a */", [("E106", 1, 3)]),
        ("a /* b", [("W602", 1, 7)]),
        ("/* a /* b */", [("W602", 1, 13)]),
    ],
)
def test_what_cannot_be_read_is_reported_in_its_place(text: str, expected: list[tuple[str, int, int]]) -> None:
    assert mistakes(text) == expected


@pytest.mark.parametrize(
    ("content", "message", "help"),
    [
        (b"x \xe9 y", "the byte E9 is not UTF-8 and means nothing here", "save the file as UTF-8, and write "),
        (b"x \xe9\xe8 y", "the bytes E9 E8 are not UTF-8 and mean nothing here", "save the file as UTF-8, and write "),
        (
            "route".encode("utf-16"),
            "the file is UTF-16, expected UTF-8: it begins with the bytes FF FE 72 00",
            "save it ",
        ),
        (
            "route".encode("utf-16-be"),
            "the file is UTF-16, expected UTF-8: it begins with the bytes 00 72 00 6F",
            "save",
        ),
        (b"\x1f\x8b\x08 \xff" * 9, "the file is no text, expected UTF-8: it begins with the bytes 1F 8B 08 20", None),
        (b"\x7fELF", "the file is no text, expected UTF-8: it begins with the bytes 7F 45 4C 46", None),
        ("x € y".encode(), "the character '€' means nothing here", None),
        (b"x \x00 y", "the character 'U+0000' means nothing here", None),
    ],
)
def test_bytes_that_are_no_text_are_told_as_bytes_and_once(content: bytes, message: str, help: str | None) -> None:
    diagnostics = Diagnostics()
    lex(SourceFile("test.cfg", decode(content)), diagnostics)
    (found,) = diagnostics
    assert (found.code, found.message) == ("E101", message)
    assert found.help is None if help is None else found.help.startswith(help)


def test_an_open_comment_points_to_its_beginning_and_is_no_error() -> None:
    diagnostics = Diagnostics()
    lex(SourceFile("test", "a\n/* b\n"), diagnostics)
    (found,) = diagnostics
    assert not diagnostics.failed
    assert [n.span and n.span.line for n in found.notes] == [2]


def test_reading_goes_on_after_an_open_text() -> None:
    diagnostics = Diagnostics()
    found = lex(SourceFile("test", 'a "open\nb'), diagnostics)
    assert [t.kind for t in found] == [Kind.WORD, Kind.ERROR, Kind.WORD, Kind.END]
