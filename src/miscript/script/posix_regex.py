r"""POSIX extended regular expressions, as `=~`, `re.subst` and many modules take them, on top of Python's `re`.

The language is the one of glibc's `regcomp(REG_EXTENDED)`: POSIX bracket expressions and intervals, the GNU
escapes ``\w \W \s \S \b \B \< \> \` \'``, back-references; any other backslash pair is its second character, except
that a small letter behind a backslash matches nothing where case does not count (``\d``; see `lost_escape`).
`regcomp` in the C locale works on bytes and so do we; only ASCII letters have two cases.

What is different: `regexec` finds the longest of the leftmost matches, Python the first one that its
backtracking comes to.  *Whether* a text matches is the same; *how much* of it can differ when one branch of an
alternative is a prefix of another.  Branches that are plain text are tried longest first, which covers the
usual case.  Some patterns (``(a+)+b``) need exponential time in any backtracking matcher; `re` cannot bound
that (`miscript run` interrupts it after seconds), so patterns should come from the script, not from the network.

Source: POSIX.1-2017, "Base Definitions", chapter 9; regex(7); GNU C Library manual, "Regular Expressions".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from ..late_pattern import late_pattern
from ..values import encode

MAX_LENGTH = 16384
"""Longest pattern in bytes; far above what people write, low enough to keep the cache of patterns small."""

MAX_DEPTH = 60
"""Deepest nesting of groups, and most repetitions of repetitions; Python's own compiler is recursive."""

MAX_REPEAT = 0x7FFF
"""Largest number in an interval (`RE_DUP_MAX`)."""

_CACHED_PATTERNS = 512
_FEW = 8  # texts that a pattern may stand for to be searched without `re`

_CLASSES = {
    "alpha": ("AZ", "az"),
    "upper": ("AZ",),
    "lower": ("az",),
    "digit": ("09",),
    "xdigit": ("09", "AF", "af"),
    "alnum": ("09", "AZ", "az"),
    "space": ("\t\r", "  "),
    "blank": ("\t\t", "  "),
    "punct": ("!/", ":@", "[`", "{~"),
    "print": (" ~",),
    "graph": ("!~",),
    "cntrl": ("\x00\x1f", "\x7f\x7f"),
}
"""The character classes in the C locale: ranges, each as its first and last character."""

_ANCHORS = {"b": r"\b", "B": r"(?!\b)", "<": r"\b(?=\w)", ">": r"\b(?<=\w)", "`": r"\A", "'": r"\Z"}
_SETS = {"w": r"\w", "W": r"\W", "s": r"[\t-\r ]", "S": r"[^\t-\r ]"}
_INTERVAL = late_pattern(r"\{(?:(\d+)|(?=,))(,?)(\d*)\}", re.ASCII)


_NOTHING = r"[^\x00-\xff]"
_SMALL_LETTERS = "wsb"
_ESCAPE = late_pattern(r"\\(.)|\[\^?\]?(?:\[[:.=].*?[:.=]\]|[^]])*\]", re.DOTALL)
"""A backslash and what it stands before; or a bracket expression, where a backslash is itself."""


class PatternError(ValueError):
    """A pattern that `regcomp` refuses, or that is beyond our limits.

    `offset` is the position in bytes, counted from 0, at which the mistake was noticed.
    """

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(f"{message} (at position {offset})")
        self.message = message
        self.offset = offset


def lost_escape(pattern: str) -> str | None:
    """The first letter behind a backslash that stands for no class of characters here, such as the d of ``\\d``."""
    for match in _ESCAPE.finditer(pattern):
        letter = match[1] or ""
        if letter == "D" or (letter.isascii() and letter.islower() and letter not in _SMALL_LETTERS):
            return letter
    return None


@lru_cache(_CACHED_PATTERNS)
def compile_pattern(pattern: str, ignore_case: bool = False, *, lines: bool = False) -> re.Pattern[bytes]:
    """`pattern` as a compiled Python pattern over bytes (see `values.encode`).

    `lines` is `REG_NEWLINE`: ``^`` and ``$`` also match around newlines, which ``.`` and ``[^a]`` do not match.
    Raises `PatternError`.
    """
    found = _Translator(pattern, lines=lines, upper=ignore_case).translate()
    case = re.IGNORECASE if ignore_case else re.NOFLAG
    return re.compile(found.text.encode("latin-1"), case | (re.MULTILINE if lines else re.DOTALL))


@lru_cache(_CACHED_PATTERNS)
def compile_search(pattern: str) -> Callable[[str], bool]:
    """The test behind ``text =~ pattern``: is `pattern` found anywhere in a text, whatever the case of its letters?

    Newlines are ordinary characters; ``^`` and ``$`` stand for the two ends of the text only.
    Raises `PatternError`.
    """
    # Python does not look for a literal prefix when IGNORECASE is on.  So both sides are put in upper case (as
    # glibc does it) and compared case-sensitively; a text that is not ASCII goes the same way as bytes.
    found = _Translator(pattern, lines=False, upper=True).translate()
    in_bytes = re.compile(found.text.encode("latin-1"), re.DOTALL).search

    def search_bytes(text: str) -> bool:
        return in_bytes(encode(text).upper()) is not None

    if found.texts is not None and all(text.isascii() for text in found.texts):
        search = _search_plain(found.texts, found.at_start, found.at_end, search_bytes)
        if search is not None:
            return search
    in_text = re.compile(found.text, re.DOTALL | re.ASCII).search
    if not found.has_letters:
        return lambda text: in_text(text) is not None if text.isascii() else search_bytes(text)
    return lambda text: in_text(text.upper()) is not None if text.isascii() else search_bytes(text)


def _search_plain(
    needles: tuple[str, ...], at_start: bool, at_end: bool, search_bytes: Callable[[str], bool]
) -> Callable[[str], bool] | None:
    """The test for a pattern that stands for a few plain texts, perhaps behind ``^`` or before ``$``."""
    if at_start and at_end:
        return lambda text: text.upper() in needles if text.isascii() else search_bytes(text)
    if at_start:
        return lambda text: text.upper().startswith(needles) if text.isascii() else search_bytes(text)
    if at_end:
        return lambda text: text.upper().endswith(needles) if text.isascii() else search_bytes(text)
    if len(needles) == 1:
        (needle,) = needles
        return lambda text: needle in text.upper() if text.isascii() else search_bytes(text)
    if len(needles) == 2:
        one, other = needles

        def search_two(text: str) -> bool:
            if not text.isascii():
                return search_bytes(text)
            upper = text.upper()
            return one in upper or other in upper

        return search_two
    return None


@dataclass(frozen=True, slots=True)
class _Translation:
    """A translated pattern.

    `texts` are the texts that it stands for, between an anchor at the start (`at_start`) and one at the end
    (`at_end`), when these are few.
    `has_letters` is False when it does not matter in which case the letters of a text are.
    """

    text: str
    has_letters: bool
    texts: tuple[str, ...] | None
    at_start: bool
    at_end: bool


@dataclass(frozen=True, slots=True)
class _Item:
    """One piece of a branch in Python's syntax; `texts` are the texts that it stands for, if these are few."""

    text: str
    texts: tuple[str, ...] | None = None


_Branch: TypeAlias = list[_Item]
_Element: TypeAlias = "str | tuple[str, ...]"  # in a bracket expression: a character, or the ranges of a class


class _Translator:
    """One pass over a pattern, one character a byte.

    `upper`: the text will be in upper case, so the pattern is put in upper case too, ranges by their ends.
    """

    def __init__(self, pattern: str, *, lines: bool, upper: bool) -> None:
        self._source = encode(pattern).decode("latin-1")
        if len(self._source) > MAX_LENGTH:
            raise PatternError(f"the pattern is longer than {MAX_LENGTH} bytes", MAX_LENGTH)
        self._upper = upper
        self._lines = lines
        self._dollar = "$" if lines else r"\Z"
        self._at = 0
        self._has_letters = False
        self._depth = 0
        self._stacked = 0
        self._groups = 0
        self._closed: set[int] = set()

    def translate(self) -> _Translation:
        branches = self._alternatives()
        texts, at_start, at_end = None, False, False
        if len(branches) == 1:
            items = branches[0]
            at_start = bool(items) and items[0].text == "^"
            at_end = len(items) > at_start and items[-1].text == self._dollar
            texts = _texts(items[at_start : len(items) - at_end])
        return _Translation(_join(branches), self._has_letters, texts, at_start, at_end)

    def _peek(self, ahead: int = 0) -> str:
        return self._source[self._at + ahead : self._at + ahead + 1]

    def _fold(self, char: str) -> str:
        return char.upper() if self._upper and char.isascii() else char

    def _alternatives(self) -> list[_Branch]:
        branches = [self._branch()]
        while self._peek() == "|":
            self._at += 1
            branches.append(self._branch())
        return branches

    def _branch(self) -> _Branch:
        branch: _Branch = []
        while (char := self._peek()) and char != "|" and not (char == ")" and self._depth):
            branch.append(self._piece())
        return branch

    def _piece(self) -> _Item:
        """A character, set or group with the repetitions behind it, or an anchor (which takes none)."""
        match self._peek():
            case "*" | "+" | "?" | "{" as char:
                raise PatternError(f"there is nothing that '{char}' could repeat", self._at)
            case "^":
                self._at += 1
                return _Item("^")
            case "$":
                self._at += 1
                return _Item(self._dollar)
            case "\\" if self._peek(1) in _ANCHORS:
                self._at += 2
                return _Item(_ANCHORS[self._source[self._at - 1]])
            case _:
                return self._repeated(self._single())

    def _single(self) -> _Item:
        match self._peek():
            case "(":
                return self._group()
            case "[":
                return _Item(self._bracket())
            case ".":
                self._at += 1
                return _Item(".")
            case "\\":
                return self._escape()
            case _:
                return self._literal()

    def _literal(self) -> _Item:
        char = self._fold(self._source[self._at])
        self._at += 1
        self._has_letters |= char.isascii() and char.isalpha()
        return _Item(re.escape(char), (char,))

    def _escape(self) -> _Item:
        start = self._at
        char = self._peek(1)
        self._at += 2
        if not char:
            raise PatternError("the pattern ends in a backslash", start)
        if char in _SETS:
            return _Item(_SETS[char])
        if "1" <= char <= "9":
            if int(char) not in self._closed:
                raise PatternError(f"'\\{char}' refers to a group that does not end before it", start)
            self._has_letters = True
            return _Item(f"(?:\\{char})")
        if self._upper and char.isascii() and char.islower():  # glibc compares it as it is with a text in upper case
            return _Item(_NOTHING)
        self._at = start + 1
        return self._literal()

    def _group(self) -> _Item:
        start = self._at
        self._at += 1
        self._groups += 1
        number = self._groups
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PatternError(f"groups are nested more than {MAX_DEPTH} deep", start)
        branches = self._alternatives()
        if not self._peek():
            raise PatternError("'(' without ')'", start)
        self._at += 1
        self._depth -= 1
        self._closed.add(number)
        return _Item(f"({_join(branches)})", _any_of(_texts(branch) for branch in branches))

    # -- repetitions ----------------------------------------------------------------------------------------

    def _repeated(self, item: _Item) -> _Item:
        repeats: list[str] = []
        while char := self._peek():
            if char == "{":
                repeats.append(self._interval())
            elif char in "*+?":
                self._at += 1
                if repeats and repeats[-1] in "*+?":  # `a+?` is `(a+)?`, not a lazy match
                    repeats[-1] = char if repeats[-1] == char else "*"
                else:
                    repeats.append(char)
            else:
                break
        self._stacked += max(0, len(repeats) - 1)
        if self._stacked > MAX_DEPTH:
            raise PatternError(f"more than {MAX_DEPTH} repetitions of repetitions", self._at)
        text = item.text
        for n, repeat in enumerate(repeats):
            text = f"(?:{text}){repeat}" if n else text + repeat
        if not repeats:
            return item
        return _Item(text, _any_of((item.texts, ("",))) if repeats == ["?"] else None)

    def _interval(self) -> str:
        """`{m}`, `{m,}`, `{m,n}` or `{,n}`."""
        found = _INTERVAL.match(self._source, self._at)
        if found is None or (found[3] and not found[2]):
            closed = self._source.find("}", self._at) >= 0
            raise PatternError("no number in '{}'" if closed else "'{' without '}'", self._at)
        low, high = (0 if not n else int(n) if len(n) <= 9 else MAX_REPEAT + 1 for n in found.group(1, 3))
        if max(low, high) > MAX_REPEAT:
            raise PatternError(f"a repetition of more than {MAX_REPEAT}", self._at)
        if found[3] and high < low:
            raise PatternError("the interval ends before it starts", self._at)
        self._at = found.end()
        return f"{{{low},{high if found[3] else ''}}}" if found[2] else f"{{{low}}}"

    # -- bracket expressions: POSIX 9.3.5, and what glibc does where that leaves it open ---------------------------

    def _bracket(self) -> str:
        start = self._at
        self._at += 1
        negated = self._peek() == "^"
        self._at += negated
        ranges: list[str] = []
        while self._peek() != "]" or not ranges:
            ranges += self._range(start, first=not ranges)
        self._at += 1
        self._has_letters |= any(_holds_letters(span) for span in ranges)
        if negated and self._lines:
            ranges.append("\n\n")
        return f"[{'^' if negated else ''}{''.join(_member(span) for span in ranges)}]"

    def _range(self, start: int, first: bool) -> tuple[str, ...]:
        """The next member of a bracket expression as ranges of two characters."""
        at = self._at
        low = self._element(start, hyphen=first)
        if isinstance(low, tuple):
            return low
        if self._peek() != "-" or self._peek(1) == "]":
            return (low * 2,)
        self._at += 1
        high = self._element(start, hyphen=True)
        if isinstance(high, tuple) or high < low:
            raise PatternError("a range in '[]' ends before it starts", at)
        return (low + high,)

    def _element(self, start: int, hyphen: bool) -> _Element:
        """A character of a bracket expression or a class `[:digit:]`; `hyphen`: one may stand here."""
        char = self._peek()
        if not char:
            raise PatternError("'[' without ']'", start)
        if char == "[" and (kind := self._peek(1)) and kind in ".=:":
            return self._named(start, kind)
        if char == "-" and not hyphen and self._peek(1) != "]":
            raise PatternError("'-' between the members of '[]' is ambiguous: put it last", self._at)
        self._at += 1
        return self._fold(char)

    def _named(self, start: int, kind: str) -> _Element:
        """`[:class:]`, `[=c=]` or `[.c.]`; in the C locale the last two are the character itself."""
        at = self._at
        end = self._source.find(f"{kind}]", at + 2)
        if end < 0:
            raise PatternError("'[' without ']'", start)
        name = self._source[at + 2 : end]
        self._at = end + 2
        if kind != ":":
            if len(name) != 1:
                raise PatternError(f"'{name}' is not one character", at + 2)
            return self._fold(name)
        if self._upper and name in ("upper", "lower"):
            name = "alpha"
        if name not in _CLASSES:
            raise PatternError(f"there is no character class '{name}'", at + 2)
        return _CLASSES[name]


def _any_of(choices: Iterable[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    """All the texts of several pieces without doubles; None when one of these stands for more than a few."""
    found: dict[str, None] = {}
    for texts in choices:
        if texts is None:
            return None
        found.update(dict.fromkeys(texts))
    return tuple(found) if len(found) <= _FEW else None


def _texts(items: _Branch) -> tuple[str, ...] | None:
    """All texts that a branch stands for, or None when something in it is special."""
    prefixes: tuple[str, ...] = ("",)
    for item in items:
        if item.texts is None or len(prefixes) * len(item.texts) > _FEW:
            return None
        prefixes = tuple(before + text for before in prefixes for text in item.texts)
    return prefixes


def _join(branches: list[_Branch]) -> str:
    if len(branches) > 1 and all(item.texts and len(item.texts) == 1 for branch in branches for item in branch):
        branches = sorted(branches, key=len, reverse=True)  # leftmost-longest
    return "|".join("".join(item.text for item in branch) for branch in branches)


def _holds_letters(span: str) -> bool:
    low, high = span[0], span[1]
    return (low <= "Z" and high >= "A") or (low <= "z" and high >= "a")


def _member(span: str) -> str:
    """A range of two characters as a member of a Python set."""
    low, high = (char if char.isalnum() or not char.isascii() else f"\\{char}" for char in (span[0], span[1]))
    return low if low == high else f"{low}-{high}"
