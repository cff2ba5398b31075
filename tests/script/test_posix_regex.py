"""POSIX patterns mean here what they mean to glibc, which is asked itself where there is one."""

import ctypes
import platform
import re
import timeit

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from miscript.script.posix_regex import MAX_LENGTH, PatternError, compile_pattern, compile_search, lost_escape

# -- what the recordings of the reference server show ------------------------------------------------------------

RECORDED = [
    ("sip:Alice@Example.com", "alice", True),
    ("sip:Alice@Example.com", "^sip:", True),
    ("sip:Alice@Example.com", "com$", True),
    ("sip:Alice@Example.com", r"a[kl]ice@(example|test)\.com", True),
    ("sip:Alice@Example.com", "bob", False),
    ("sip:Alice@Example.com", "SIP", True),
    ("sip:Alice@Example.com", "", True),
    ("sip:Alice@Example.com", "l{2}", False),
    ("sip:Alice@Example.com", "[[:digit:]]", False),
    ("sip:Alice@Example.com", "^.{5,30}$", True),
    ("tel:+123", r"^tel:\+[0-9]+$", True),
    ("tel:+123", "/tel/i", False),
    ("a/tel/ib", "/tel/i", True),
    ("tel:+123", r"(tel|sip):\+?[0-9]{3}$", True),
    ("host-42.example", "^HOST-[0-9]+", True),
    ("", "^$", True),
    ("", "x*", True),
    ("line1\nline2", "^line2$", False),
    ("line1\nline2", "1.line", True),
    ("line1\n", "1$", False),
]


@pytest.mark.parametrize(("text", "pattern", "found"), RECORDED)
def test_a_search_finds_what_the_reference_server_finds(text: str, pattern: str, found: bool) -> None:
    assert compile_search(pattern)(text) is found


@pytest.mark.parametrize(
    ("pattern", "offset"),
    [
        ("[", 0),
        ("a[b", 1),
        ("[[:digit]]", 0),
        ("[[:foo:]]", 3),
        ("[[.space.]]", 3),
        ("[z-a]", 1),
        ("[a-c-e]", 4),
        ("(", 0),
        ("x(a", 1),
        ("*a", 0),
        ("a|*b", 2),
        ("^*", 1),
        (r"\b*", 2),
        ("a{", 1),
        ("a{}", 1),
        ("a{1a}", 1),
        ("a{2,1}", 1),
        ("a{40000}", 1),
        ("a" + "{99999999999999999999}", 1),
        ("a\\", 1),
        (r"(a)\2", 3),
        (r"(a\1)", 2),
        ("(" * 61 + ")" * 61, 60),
        ("a" + "{1}" * 70, 211),
    ],
)
def test_a_broken_pattern_names_the_place(pattern: str, offset: int) -> None:
    with pytest.raises(PatternError) as caught:
        compile_search(pattern)
    assert caught.value.offset == offset
    with pytest.raises(PatternError):
        compile_pattern(pattern)


def test_a_pattern_longer_than_the_limit_is_refused() -> None:
    compile_search("a" * MAX_LENGTH)
    with pytest.raises(PatternError):
        compile_search("a" * (MAX_LENGTH + 1))


@pytest.mark.parametrize(
    ("text", "pattern", "found"),
    [
        ("stra\u00dfe", "SS", False),  # only ASCII letters have two cases
        ("\u00c4", "\u00e4", False),
        ("\u00e4", "^..$", True),  # two bytes
        ("\u00e4X", "\u00e4?x", True),
        ("caf\u00e9", "^CAF\u00e9$", True),
        ("\udcff", "^.$", True),
        ("\u0131", "I", False),
        ("\u212a", "k", False),
    ],
)
def test_text_beyond_ascii_is_searched_as_bytes(text: str, pattern: str, found: bool) -> None:
    assert compile_search(pattern)(text) is found


def test_lines_are_seen_only_when_asked_for() -> None:
    assert compile_pattern("^b", lines=True).sub(b"x", b"a\nb\nc") == b"a\nx\nc"
    assert compile_pattern("^b").sub(b"x", b"a\nb\nc") == b"a\nb\nc"
    assert compile_pattern("a.b", lines=True).search(b"a\nb") is None
    assert compile_pattern("a[^x]b", lines=True).search(b"a\nb") is None
    assert compile_pattern("a[^x]b").search(b"a\nb") is not None


def test_plain_alternatives_match_the_longest() -> None:
    found = compile_pattern("(tel|telephone):").match(b"telephone:")
    assert found is not None and found[0] == b"telephone:"
    found = compile_pattern("sip|sips").match(b"sips:a")
    assert found is not None and found[0] == b"sips"


# -- agreement with glibc ----------------------------------------------------------------------------------------

REG_EXTENDED, REG_ICASE, REG_NEWLINE = 1, 2, 4


class Glibc:
    """`regcomp` and `regexec` in the C locale."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        self._libc.newlocale.restype = self._libc.uselocale.restype = ctypes.c_void_p
        self._libc.newlocale.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
        self._libc.uselocale.argtypes = [ctypes.c_void_p]
        self._locale = self._libc.newlocale(0x1FBF, b"C", None)

    def search(self, pattern: bytes, text: bytes, flags: int) -> bool | None:
        """Whether `pattern` is found; None when it is refused."""
        before = self._libc.uselocale(self._locale)
        compiled = ctypes.create_string_buffer(256)
        try:
            if self._libc.regcomp(compiled, pattern, REG_EXTENDED | flags):
                return None
            found = self._libc.regexec(compiled, text, 0, None, 0) == 0
            self._libc.regfree(compiled)
            return found
        finally:
            self._libc.uselocale(before)


glibc = Glibc() if platform.libc_ver()[0] == "glibc" else None
needs_glibc = pytest.mark.skipif(glibc is None, reason="glibc is not the C library of this machine")

CHARACTERS = [*"abAZz019_ -:.^$|?*+(){}[],\\\n", "\u00e9"]
BRACKETS = ["[[:alpha:]]", "[^a]", "[a-z]", "[0-9-]", "[]a]", "[^]b]", "[Z-a]", "[`-~]", "[A-_]", "[\\]", "[a\\.]"]
MORE_BRACKETS = ["[[:upper:]x]", "[[:digit:]", "[[=a=]]", "[[.-.]-a]", "[--9]", "[---]", "[\u00e9]"]
REPEATS = ["{2}", "{1,2}", "{,2}", "{,}"]
ESCAPES = [r"\w", r"\W", r"\s", r"\S", r"\b", r"\B", r"\<", r"\>", r"\.", r"\n", "(a|b)", "()"]
pieces = st.sampled_from(CHARACTERS + BRACKETS + MORE_BRACKETS + REPEATS + ESCAPES)
patterns = (
    st.lists(pieces, max_size=7)
    .map("".join)
    .filter(lambda text: "---" not in text.replace("[---]", ""))  # glibc 2.37 sees these anew
)
INNER_ANCHOR = re.compile(r"\$.|.\^", re.DOTALL)
"""glibc 2.37 lets an anchor that is neither first nor last stand at a newline of the text."""
texts = st.text(st.sampled_from([*"abAZz019_ -:.\n()[]{}*\\", "\u00e9"]), max_size=8)


@needs_glibc
@settings(max_examples=1500)
@given(patterns, texts)
def test_a_search_agrees_with_glibc(pattern: str, text: str) -> None:
    assert glibc is not None
    assume("\n" not in text or not INNER_ANCHOR.search(pattern))
    expected = glibc.search(pattern.encode(), text.encode(), REG_ICASE)
    try:
        found: bool | None = compile_search(pattern)(text)
    except PatternError:
        found = None
    assert found is expected


@needs_glibc
@settings(max_examples=1500)
@given(patterns, texts, st.booleans())
def test_a_compiled_pattern_agrees_with_glibc(pattern: str, text: str, lines: bool) -> None:
    assert glibc is not None
    # glibc lets anchors stand at newlines without REG_NEWLINE
    assume(lines or "\n" not in text or not set("$^") & set(pattern))
    expected = glibc.search(pattern.encode(), text.encode(), REG_NEWLINE if lines else 0)
    try:
        found: bool | None = compile_pattern(pattern, lines=lines).search(text.encode()) is not None
    except PatternError:
        found = None
    assert found is expected


@given(st.text(max_size=30), st.text(max_size=10))
def test_any_pattern_is_compiled_or_refused(pattern: str, text: str) -> None:
    try:
        search = compile_search(pattern)
    except PatternError as error:
        assert 0 <= error.offset <= len(pattern.encode("utf-8", "surrogateescape"))
    else:
        assert search(text) in (True, False)


def test_a_search_has_no_detours() -> None:
    """A guard against losing the fast path (about 0.2 µs), with much room for slow machines."""
    search = compile_search("transport=(udp|tcp)")
    text = "sip:alice@example.com;transport=udp"
    assert search(text)
    assert min(timeit.repeat(lambda: search(text), number=10_000, repeat=3)) < 0.05


@pytest.mark.parametrize("letter", "acdefghijklmnopqrtuvxyz")
def test_a_small_letter_behind_a_backslash_matches_nothing_where_case_does_not_count(letter: str) -> None:
    text = f"{letter}{letter.upper()}5 \t"
    assert not compile_search(f"\\{letter}")(text)
    assert compile_search(f"^(\\{letter})*{letter}")(text)
    assert compile_pattern(f"\\{letter}").search(text.encode())
    assert compile_search(f"\\{letter.upper()}")(text) or letter == "w"
    assert lost_escape(f"x\\{letter}") == letter
