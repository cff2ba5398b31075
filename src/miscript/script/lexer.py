"""Text to tokens: `lex(file, diagnostics)`.

Never fails: what cannot be read is reported (E101-E104, E110, W602) and becomes an ERROR token, at which the
parser recovers without a further message.  Includes are not looked at here (see `preprocess`).

Source: OpenSIPS manual, "Script Format"; observed spellings in docs/language.md, "Lexical".
"""

from __future__ import annotations

import ipaddress
import re

from ..values import decode, encode, wrap
from .diagnostics import Diagnostics, Note
from .source import SourceFile
from .tokens import NUMBER_WORDS, Kind, Token, shorten

_GROUPS = {
    "comment": r"/\*",
    "wrong": r"//[^\n]*|\*/",
    "double": r'"(?:[^"\\]++|\\.)*+"',
    "single": r"'[^']*+'",
    "variable": r"\$(?:[A-Za-z0-9_.]++(?:\((?:[^()]++|\((?:[^()]++|\([^()]*+\))*+\))*+\))?"
    r"|\((?:[^()]++|\((?:[^()]++|\((?:[^()]++|\([^()]*+\))*+\))*+\))*+\))",
    "network": r"\d+\.\d+\.\d+\.\d+(?:/[0-9.]+)?"
    r"|(?:[0-9A-Fa-f]{1,4}:(?:[0-9A-Fa-f]{1,4}:|:)|::)[0-9A-Fa-f:.]*(?:/[0-9]+)?",
    "word": r"mem-group\b|[A-Za-z_]\w*+",
    "number": r"\d\w*+",
    "symbol": r"===|!==|!=~|:=|\+=|-=|\*=|/=|%=|\|=|&=|\^=|==|!=|<=|>=|=~|!~|=>|=<|<>|=!|~=|<<|>>|&&|\|\|"
    r"|[=;{}()\[\],:!~+\-*/%&|^<>.]",
    "strange": r"[^\x00-\x7f]+|.",
}
_TOKEN = re.compile(
    r"(?:[ \t\r\n\f\v]++|\#[^\n]*+)*+(?:" + "|".join(f"(?P<{k}>{v})" for k, v in _GROUPS.items()) + r"|\Z)",
    re.DOTALL | re.ASCII,
)
_COMMENT_MARK = re.compile(r"/\*|\*/")
_ESCAPE = re.compile(r'\\(?:([nrta"\\])|x([0-9A-Fa-f]{1,2})|([0-7]{2,3})|(\r?\n))')
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", '"': '"', "\\": "\\"}
_NUMBER = re.compile(r"0x(?P<hex>[0-9a-fA-F]+)|0(?P<octal>[0-7]*)|(?P<decimal>[1-9][0-9]*)")
MAX_VARIABLE_LENGTH = 8192
"""How far the end of a variable is looked for, in characters."""

MAX_VARIABLE_PARENTHESES = 64
"""How many parentheses may be open within a variable."""

_LARGEST = 2**63 - 1
"""Larger literals stop here before they wrap, as strtol() does it."""

_HELP_FOR_STRANGE = {
    "“": 'write straight quotes: "',
    "”": 'write straight quotes: "',
    "„": 'write straight quotes: "',
    "‘": "write straight quotes: '",
    "’": "write straight quotes: '",
    "\ufeff": "save the file without a byte order mark",
    "\xa0": "this is a no-break space: write an ordinary one",
    "\\": "a backslash means something only within quotes",
    "?": "there is no '? :' here: use if and else",
    "`": 'write straight quotes: "',
}


def lex(file: SourceFile, diagnostics: Diagnostics) -> list[Token]:
    """The tokens of `file`, the last one of kind END at the end of the last other token."""
    return _Lexer(file, diagnostics).run()


class _Lexer:
    def __init__(self, file: SourceFile, diagnostics: Diagnostics) -> None:
        self.file = file
        self.text = file.text
        self.diagnostics = diagnostics
        self.tokens: list[Token] = []

    def run(self) -> list[Token]:
        text, file, match = self.text, self.file, _TOKEN.match
        add, word, symbol = self.tokens.append, Kind.WORD, Kind.SYMBOL
        at = 0
        while found := match(text, at):
            group = found.lastgroup
            if group is None:
                break
            at, start = found.end(), found.start(group)
            spelling = text[start:at]
            match group:
                case "symbol":
                    add(Token(symbol, spelling, file, start, at))
                case "word" if spelling in NUMBER_WORDS:
                    add(Token(Kind.NUMBER, spelling, file, start, at, NUMBER_WORDS[spelling]))
                case "word":
                    add(Token(word, spelling, file, start, at))
                case "double":
                    add(Token(Kind.STRING, spelling, file, start, at, unescape(spelling[1:-1])))
                case "single":
                    add(Token(Kind.STRING, spelling, file, start, at, spelling[1:-1]))
                case "variable":
                    at = self._variable(start, at)
                case "number":
                    value = read_number(spelling)
                    kind = Kind.MALFORMED if value is None else Kind.NUMBER
                    add(Token(kind, spelling, file, start, at, value))
                case "network":
                    self._network(spelling, start, at)
                case "comment":
                    at = self._block_comment(start)
                case _:
                    at = self._strange(start, at)
        end = self.tokens[-1].end if self.tokens else 0
        add(Token(Kind.END, "", file, end, end))
        return self.tokens

    def _variable(self, start: int, end: int) -> int:
        """A variable: nearly always the expression has found its end, else the parentheses are counted here."""
        if self.text[end : end + 1] == "(" and self.text[end - 1] != ")":
            closing = closing_parenthesis(self.text, end)
            if closing is None:
                return self._error("E104", "the '(' of a variable is not closed", start, end + 1)
            end = closing
        self.tokens.append(Token(Kind.VARIABLE, self.text[start:end], self.file, start, end))
        return end

    def _block_comment(self, start: int) -> int:
        depth, at = 1, start + 2
        while depth:
            mark = _COMMENT_MARK.search(self.text, at)
            if mark is None:
                end = len(self.text.rstrip())
                opening = Note("the comment begins here", self.file.span(start, start + 2))
                self.diagnostics.add(
                    "W602",
                    "the block comment is not closed: all up to the end of the file is ignored",
                    self.file.span(end, end),
                    help="close it with */ (comments nest: each /* needs its own)",
                    notes=(opening,),
                )
                return len(self.text)
            depth += 1 if mark[0] == "/*" else -1
            at = mark.end()
        return at

    def _network(self, spelling: str, start: int, end: int) -> None:
        reason = why_no_network(spelling)
        if reason is not None:
            self._error("E110", f"'{shorten(spelling)}' is not an address: {reason}", start, end)
        else:
            self.tokens.append(Token(Kind.NETWORK, spelling, self.file, start, end))

    def _strange(self, start: int, end: int) -> int:
        spelling = self.text[start:end]
        match spelling[0], spelling[:2]:
            case _, "//":
                self._report("E106", "'//' does not begin a comment", start, start + 2, "comments begin with #")
                return end
            case _, "*/":
                self._report("E106", "'*/' without a '/*' before it", start, end, None)
                return end
            case '"' | "'" as quote, _:
                return self._open_string(quote, start)
            case "$", _ if self.text[end : end + 1] == "(":
                return self._unclosed_variable(start)
            case "$", _:
                help = "a variable is a '$' and a name: $var(x), $ru, $(avp(x)[0])"
                return self._error("E104", "'$' without the name of a variable", start, end, help)
            case first, _ if start < 2 and not first.isprintable() and first not in _HELP_FOR_STRANGE:
                return self._no_text()
            case first, _:
                found, remedy = what_is_strange(spelling)
                return self._error("E101", f"{found} nothing here", start, end, remedy)

    def _no_text(self) -> int:
        """A file that does not begin as a text does: one message, and no word of it is read."""
        beginning = encode(self.text[:8])[:8]
        is_utf_16 = beginning[:2] in (b"\xff\xfe", b"\xfe\xff") or (beginning[:1] == b"\0") != (beginning[1:2] == b"\0")
        message = "the file is UTF-16, expected UTF-8" if is_utf_16 else "the file is no text, expected UTF-8"
        message += f": it begins with the bytes {beginning[:4].hex(' ').upper()}"
        help = "save it as UTF-8, without a byte order mark" if is_utf_16 else None
        self.tokens.clear()
        self._error("E101", message, 0, 1, help)
        return len(self.text)

    def _unclosed_variable(self, start: int) -> int:
        closing = closing_parenthesis(self.text, start + 1)
        if closing is None:
            return self._error("E104", "the '(' of a variable is not closed", start, start + 2)
        self.tokens.append(Token(Kind.VARIABLE, self.text[start:closing], self.file, start, closing))
        return closing

    def _open_string(self, quote: str, start: int) -> int:
        """A quote without its partner: the rest of its line is taken for the text."""
        end = self.text.find("\n", start)
        end = len(self.text) if end < 0 else end
        notes = tuple(
            Note("this text goes over several lines: is its closing quote the missing one?", token.span)
            for token in self.tokens[::-1]
            if token.kind is Kind.STRING and "\n" in token.text
        )[:1]
        help = f"add the closing {quote}"
        return self._error("E102", f"the text that begins with {quote} is not closed", start, end, help, notes)

    def _error(
        self, code: str, message: str, start: int, end: int, help: str | None = None, notes: tuple[Note, ...] = ()
    ) -> int:
        """Reports and leaves an ERROR token."""
        self._report(code, message, start, end, help, notes)
        self.tokens.append(Token(Kind.ERROR, self.text[start:end], self.file, start, end))
        return end

    def _report(
        self, code: str, message: str, start: int, end: int, help: str | None, notes: tuple[Note, ...] = ()
    ) -> None:
        self.diagnostics.add(code, message, self.file.span(start, end), help=help, notes=notes)


def what_is_strange(spelling: str) -> tuple[str, str | None]:
    """How to tell of characters that have no meaning, up to the verb, and what to do about them."""
    first = spelling[0]
    broken = [character for character in spelling if "\udc80" <= character <= "\udcff"]
    if broken:
        found = encode("".join(broken[:8])).hex(" ").upper()
        found = (
            f"the byte {found} is not UTF-8 and means"
            if len(broken) == 1
            else f"the bytes {found} are not UTF-8 and mean"
        )
        return found, "save the file as UTF-8, and write such characters within quotes or comments"
    shown = spelling if spelling.isprintable() else f"U+{ord(first):04X}"
    return f"the character '{shown}' means", _HELP_FOR_STRANGE.get(first)


def unescape(source: str) -> str:
    """The text that `source`, written between double quotes, stands for."""
    if "\\" not in source:
        return source
    text = _ESCAPE.sub(_unescape_one, source)
    # \xc3\xa9 are two bytes of one character: read them together.
    return text if text.isascii() else decode(encode(text))


def _unescape_one(found: re.Match[str]) -> str:
    letter, hexadecimal, octal, newline = found.groups()
    if letter:
        return _ESCAPED[letter]
    if newline:
        return ""
    byte = int(hexadecimal, 16) if hexadecimal else int(octal, 8) & 0xFF
    return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)


def escape_lengths(source: str) -> list[tuple[int, int]]:
    """Where the escapes of `source` stand and how long they are: (offset, characters).

    Each of them is one character of the text, a joined line none; so offsets can be mapped back.
    """
    return [(m.start(), m.end() - m.start()) for m in _ESCAPE.finditer(source)]


def read_number(spelling: str) -> int | None:
    """The value of a number (`10`, `0x1F`, `017`) wrapped to 32 bits, None when it is not one."""
    found = _NUMBER.fullmatch(spelling)
    if found is None:
        return None
    if found["decimal"]:
        digits = found["decimal"]
        return wrap(_LARGEST if len(digits) > 19 else min(int(digits), _LARGEST))
    number = int(found["hex"], 16) if found["hex"] else int(found["octal"] or "0", 8)
    return wrap(min(number, _LARGEST))


def why_no_network(spelling: str) -> str | None:
    """What is wrong with an address or network, None when it is right."""
    address, _, mask = spelling.partition("/")
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return "each part of an IPv4 address is 0 to 255" if "." in address else "this is no IPv6 address"
    if not mask:
        return None
    if "." in mask:
        try:
            ipaddress.IPv4Address(mask)
        except ValueError:
            return f"the mask '{mask}' is no address"
        return None
    if len(mask) > 3 or int(mask) > (32 if version == 4 else 128):
        return f"the mask '/{mask}' is longer than the address"
    return None


def closing_parenthesis(text: str, opening: int) -> int | None:
    """The offset behind the ')' that belongs to the '(' at `opening`, None when there is none within reach."""
    depth = 0
    for mark in _PARENTHESIS.finditer(text, opening, opening + MAX_VARIABLE_LENGTH):
        depth += 1 if mark[0] == "(" else -1
        if not depth:
            return mark.end()
        if depth > MAX_VARIABLE_PARENTHESES:
            return None
    return None


_PARENTHESIS = re.compile(r"[()]")
