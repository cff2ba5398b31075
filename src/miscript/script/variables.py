"""The spellings of a variable, and texts with variables in them.

* `parse_variable(text, locate, diagnostics)`: a whole text that is one variable, as the lexer found it.
* `parse_template(text, locate, diagnostics)`: a text with variables in it, as `xlog` and string arguments have it.
* `locator(string)`: the `locate` that belongs to a text of the script; `SourceFile(...).span` is one as well.

Both report what is wrong (E104, E111, E112, E114, W608) and never raise.  Whether a name exists is not known here.

    $name   $name(inner)   $(name(inner)[index]{class.name,argument,...}{...})   $(<request>ru)

An inner name is itself a template: `$json(a/$var(k))`.  How the arguments of a transformation are read depends on
the transformation; `_STYLES` has those that are special.

Source: OpenSIPS manual, "Core Variables" and "Script Transformations"; observed rules in docs/language.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from ..values import wrap
from .diagnostics import Diagnostics
from .lexer import escape_lengths
from .nodes import ActiveIndex, Index, String, Template, Transformation, Variable
from .source import SourceFile, Span
from .tokens import shorten

Locate: TypeAlias = Callable[[int, int], Span]
"""From two offsets in a text to the place they have in the source."""

MAX_VARIABLE_NESTING = 32

_NAME = re.compile(r"[A-Za-z0-9_.]+")
_SIMPLE = re.compile(r"\$([A-Za-z0-9_.]++)(?:\(([^()$\x00]++)\))?+(?!\()")
_CONTEXT = re.compile(r"<([^<>()$]*)>")
_INNER_MARK = re.compile(r"[()$]")
_INDEX = re.compile(r"\[([^\[\]$]*)\]")
_NUMBER = re.compile(r"-?[0-9]{1,11}", re.ASCII)
_BRANCHES = re.compile(r"/(active|all)\]", re.IGNORECASE)
BRANCH_NAMES = "tm.branch."
"""What the names of variables of branches begin with, whose index may say which branches it counts."""
_TRANSFORMATION = re.compile(r"\{([A-Za-z0-9_]+)\.([A-Za-z0-9_.\-]+)[ \t]*(?=[,}])")
_FLAGS = re.compile(r"[A-Za-z]*[ \t]*(?=\})")
_BLANKS = re.compile(r"[ \t\r\n]*")
_CONTEXTS = ("request", "reply")

_STYLES: dict[tuple[str, str], tuple[str, ...]] = {
    ("s", "fill.left"): ("quoted", "plain"),
    ("s", "fill.right"): ("quoted", "plain"),
    ("s", "select"): ("plain", "character"),
    ("re", "subst"): ("substitution",),
}
"""How arguments are written where the plain way (up to ',' or '}', blanks around it dropped) does not do:

* quoted: may stand in single quotes, which keep blanks: `{s.fill.left,' ',5}`
* character: the one character behind the comma, whatever it is: `{s.select,0,,}`
* substitution: `/regex/text/flags` with any delimiter, holding commas, braces and variables
"""


def parse_variable(text: str, locate: Locate, diagnostics: Diagnostics) -> Variable | None:
    """The variable that `text` spells, None after a mistake."""
    if simple := _SIMPLE.fullmatch(text):
        return _simple(simple, locate(0, len(text)))
    reader = _Reader(text, locate, diagnostics)
    try:
        variable = reader.variable(0)
        if reader.at < len(text):
            raise reader.wrong("E104", f"'{shorten(text[reader.at :])}' behind the variable", reader.at, len(text))
    except _MistakeError as mistake:
        mistake.report(diagnostics)
        return None
    return variable


def _simple(found: re.Match[str], span: Span) -> Variable:
    """`$name` or `$name(inner)` with a plain inner name, as `_SIMPLE` has found it."""
    name, inner = found.groups()
    return Variable(name, None if inner is None else Template((inner,)), text=found[0], span=span)


def parse_template(text: str, locate: Locate | None, diagnostics: Diagnostics) -> Template:
    """The pieces of a text with variables in it; `$$` is a dollar.

    A variable that is misspelt is reported and left out.  Without `locate`, for a text that came up at run time,
    places are those in the text itself.
    """
    if "$" not in text:
        return Template((text,) if text else ())
    pieces: list[str | Variable] = []
    reader = _Reader(text, locate or SourceFile("text", text).span, diagnostics)
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        pieces.append(text[at:dollar])
        if text.startswith("$$", dollar):
            pieces.append("$")
            at = dollar + 2
            continue
        try:
            pieces.append(reader.variable(dollar))
            at = reader.at
        except _MistakeError as mistake:
            mistake.report(diagnostics)
            at = max(mistake.end, dollar + 1)
    pieces.append(text[at:])
    return Template(_joined(pieces))


def _joined(pieces: list[str | Variable]) -> tuple[str | Variable, ...]:
    """Without empty pieces, and neighbouring texts as one."""
    result: list[str | Variable] = []
    for piece in pieces:
        if isinstance(piece, str) and result and isinstance(last := result[-1], str):
            result[-1] = last + piece
        elif piece != "":
            result.append(piece)
    return tuple(result)


def locator(string: String) -> Locate:
    """The places of a text's characters in the script; the whole text where they cannot be told."""
    span, source = string.span, string.source
    opening = span.file.line(span.line)[span.column - 1 : span.column]
    if source is None or opening not in ("'", '"'):
        return lambda start, end: span
    first = span.file.offset(span.line, span.column) + 1
    if not span.file.text.startswith(source, first):  # a line that a preprocessor has changed
        return lambda start, end: span
    escapes = escape_lengths(source) if opening == '"' else []
    if not escapes:
        return lambda start, end: span.file.span(first + start, first + end)
    offsets = _source_offsets(source, escapes)
    if len(offsets) != len(string.value) + 1:  # bytes that became one character
        return lambda start, end: span
    return lambda start, end: span.file.span(first + offsets[start], first + offsets[end])


def _source_offsets(source: str, escapes: list[tuple[int, int]]) -> list[int]:
    """For each character of the text (and its end) the offset in the source."""
    offsets: list[int] = []
    at = 0
    for start, length in escapes:
        offsets += range(at, start)
        if not source[start + 1 : start + length].strip("\r").startswith("\n"):  # a joined line leaves nothing
            offsets.append(start)
        at = start + length
    offsets += range(at, len(source) + 1)
    return offsets


class _MistakeError(Exception):
    """A spelling that cannot be read; `end` is the offset where reading may go on."""

    def __init__(self, code: str, message: str, span: Span, end: int, help: str | None) -> None:
        super().__init__(message)
        self.code, self.message, self.span, self.end, self.help = code, message, span, end, help

    def report(self, diagnostics: Diagnostics) -> None:
        diagnostics.add(self.code, self.message, self.span, help=self.help)


class _Reader:
    """Reads variables out of a text; `at` is the offset behind what was read last."""

    def __init__(self, text: str, locate: Locate, diagnostics: Diagnostics) -> None:
        self.text = text
        self.locate = locate
        self.diagnostics = diagnostics
        self.at = 0
        self.depth = 0
        self.tried: dict[int, tuple[Variable, int] | None] = {}

    def wrong(self, code: str, message: str, start: int, end: int, help: str | None = None) -> _MistakeError:
        return _MistakeError(code, message, self.locate(start, end), end, help)

    def unclosed(self, code: str, what: str, start: int, end: int, closing: str) -> _MistakeError:
        """What is not closed swallows the rest of the text."""
        span = self.locate(start, end)
        return _MistakeError(code, f"the {what} is not closed", span, len(self.text), f"add the closing {closing}")

    # -- a variable -----------------------------------------------------------------------------------------

    def variable(self, start: int) -> Variable:
        """The variable whose '$' is at `start`."""
        simple = _SIMPLE.match(self.text, start)
        if simple is not None:
            self.at = simple.end()
            return _simple(simple, self.locate(start, self.at))
        if self.depth >= MAX_VARIABLE_NESTING:
            message = f"variables are nested deeper than {MAX_VARIABLE_NESTING}"
            raise _MistakeError("E114", message, self.locate(start, start + 1), len(self.text), None)
        self.depth += 1
        try:
            return self._long(start) if self.text.startswith("(", start + 1) else self._short(start)
        finally:
            self.depth -= 1

    def _short(self, start: int) -> Variable:
        """`$name(inner)` where the inner name is not a plain one."""
        self.at = start + 1
        name = self._name(start)
        inner = self._inner(start) if self.text.startswith("(", self.at) else None
        text = self.text[start : self.at]
        return Variable(span=self.locate(start, self.at), name=name, inner=inner, text=text)

    def _long(self, start: int) -> Variable:
        """`$(<context>name(inner)[index]{transformations})`."""
        self.at = start + 2
        context = self._context()
        name = self._name(start)
        inner = self._inner(start) if self.text.startswith("(", self.at) else None
        index = self._index(name) if self.text.startswith("[", self.at) else None
        transformations = []
        if self.text.startswith("{", self.at):
            while self.text.startswith("{", self.at):
                transformations.append(self._transformation())
                self._skip_blanks()
        if not self.text.startswith(")", self.at):
            raise self._no_end(start)
        self.at += 1
        return Variable(
            span=self.locate(start, self.at),
            name=name,
            inner=inner,
            index=index,
            transformations=tuple(transformations),
            context=context,
            text=self.text[start : self.at],
        )

    def _no_end(self, start: int) -> _MistakeError:
        rest = self.text[self.at : self.at + 1]
        if not rest:
            return self.unclosed("E104", "'$(' of a variable", start, start + 2, ")")
        help = "no blank may stand within the name of a variable" if rest.isspace() else None
        if rest == "[":
            help = "the index comes before the transformations: $(avp(x)[0]{s.len})"
        message = f"found '{rest}' in a variable, expected '[', '{{' or ')'"
        return self.wrong("E104", message, self.at, self.at + 1, help)

    def _context(self) -> str | None:
        found = _CONTEXT.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        if found[1] not in _CONTEXTS:
            message = f"'{found[1]}' is not a context, expected 'request' or 'reply'"
            raise self.wrong("E104", message, found.start(1), found.end(1))
        return found[1]

    def _name(self, start: int) -> str:
        found = _NAME.match(self.text, self.at)
        if found is None:
            help = "write $$ for a dollar; a variable is a '$' and a name, without blanks: $var(x)"
            raise self.wrong("E104", "'$' without the name of a variable", start, max(self.at, start + 1), help)
        self.at = found.end()
        return found[0]

    def _inner(self, start: int) -> Template:
        """What stands in the parentheses; other parentheses in it are counted."""
        self.at += 1
        begin, depth = self.at, 1
        pieces: list[str | Variable] = []
        at = opening = begin
        while depth:
            mark = _INNER_MARK.search(self.text, at)
            if mark is None:
                what = f"'(' of the variable '{shorten(self.text[start : opening - 1])}'"
                raise self.unclosed("E104", what, start, opening, ")")
            at = mark.start()
            if mark[0] == "$" and (variable := self._try_variable(at)):
                pieces += (self.text[begin:at], variable)
                begin = at = self.at
                continue
            depth += {"(": 1, ")": -1, "$": 0}[mark[0]]
            at += 1
        pieces.append(self.text[begin : at - 1])
        self.at = at
        inner = _joined(pieces)
        if not inner:
            message = f"the variable '{self.text[start:at]}' has an empty name in its parentheses"
            raise self.wrong("E104", message, start, at)
        return Template(inner)

    def _try_variable(self, start: int) -> Variable | None:
        """The variable at `start`; None when the '$' is just a character of a name or regular expression."""
        if start not in self.tried:  # each place once: what is nested would be tried again and again
            at = self.at
            try:
                self.tried[start] = self.variable(start), self.at
            except _MistakeError as mistake:
                self.tried[start] = None
                self.at = at
                if mistake.code == "E114":
                    raise
        result = self.tried[start]
        if result is None:
            return None
        variable, self.at = result
        return variable

    def _index(self, name: str) -> Index | None:
        start = self.at
        if self.text.startswith("$", start + 1):
            variable = self.variable(start + 1)
            suffix = _BRANCHES.match(self.text, self.at) if name.startswith(BRANCH_NAMES) else None
            if suffix is not None:
                self.at = suffix.end() - 1
            if self.text.startswith("]", self.at):
                self.at += 1
                return ActiveIndex(variable) if suffix is not None and suffix[1].lower() == "active" else variable
            raise self.unclosed("E112", "'[' of an index", start, start + 1, "]")
        found = _INDEX.match(self.text, start)
        if found is None:
            raise self.unclosed("E112", "'[' of an index", start, start + 1, "]")
        self.at = found.end()
        position, slash, branches = found[1].partition("/")
        if slash and name.startswith(BRANCH_NAMES) and _NUMBER.fullmatch(position):
            match branches.lower():
                case "active":
                    return ActiveIndex(wrap(int(position)))
                case "all":
                    return wrap(int(position))
        match found[1]:
            case "*":
                return "*"
            case word if word.lower() == "append":
                return "append"
            case "insert" | "insertAfter" if name.startswith("sdp."):
                return None  # where to write, for module sdpops only, which we do not have: `text` keeps it
            case digits if _NUMBER.fullmatch(digits):
                return wrap(int(digits))
        help = "an index is a number, a variable, '*' or 'append', without blanks"
        raise self.wrong("E112", f"'{shorten(found[1])}' is not an index", start, self.at, help)

    def _skip_blanks(self) -> None:
        blanks = _BLANKS.match(self.text, self.at)
        self.at = blanks.end() if blanks else self.at

    # -- a transformation -----------------------------------------------------------------------------------

    def _transformation(self) -> Transformation:
        start = self.at
        head = _TRANSFORMATION.match(self.text, start)
        if head is None:
            end = self.text.find("}", start) + 1 or start + 1
            message = f"'{shorten(self.text[start:end])}' is not a transformation"
            help = "a transformation is written {class.name} or {class.name,argument}, without blanks before it"
            raise self.wrong("E111", message, start, end, help)
        class_name, name = head[1].lower(), head[2].lower()
        self.at = head.end()
        styles = _STYLES.get((class_name, name), ())
        arguments: list[Template] = []
        while self.text.startswith(",", self.at):
            self.at += 1
            style = styles[len(arguments)] if len(arguments) < len(styles) else "plain"
            arguments.append(self._argument(style, start))
        if not self.text.startswith("}", self.at):
            raise self._unclosed(start)
        self.at += 1
        span = self.locate(start, self.at)
        return Transformation(span=span, class_name=class_name, name=name, arguments=tuple(arguments))

    def _unclosed(self, start: int) -> _MistakeError:
        return self.unclosed("E111", "'{' of a transformation", start, start + 1, "}")

    def _argument(self, style: str, start: int) -> Template:
        if style == "character":
            return self._character(start)
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        if style == "substitution" and (template := self._substitution()):
            return template
        if style == "quoted" and self.text.startswith("'", self.at):
            closing = self.text.find("'", self.at + 1)
            if closing > 0:
                text = self.text[self.at + 1 : closing]
                self.at = closing + 1
                self._ignore_rest(start)
                return Template((text,) if text else ())
        return self._plain(start)

    def _plain(self, start: int) -> Template:
        """Up to ',' or '}'; a '{' within is closed first."""
        if self.text.startswith("$", self.at) and (variable := self._try_variable(self.at)):
            self._ignore_rest(start)
            return Template((variable,))
        text = self._up_to_end(start).rstrip()
        return Template((text,) if text else ())

    def _up_to_end(self, start: int) -> str:
        begin, depth = self.at, 0
        while self.at < len(self.text):
            character = self.text[self.at]
            if not depth and character in ",}":
                return self.text[begin : self.at]
            depth += {"{": 1, "}": -1}.get(character, 0)
            self.at += 1
        raise self._unclosed(start)

    def _ignore_rest(self, start: int) -> None:
        begin = self.at
        rest = self._up_to_end(start).strip()
        if rest:
            message = f"'{shorten(rest)}' is ignored: the argument ends before it"
            self.diagnostics.add("W608", message, self.locate(begin, self.at))

    def _character(self, start: int) -> Template:
        text = self.text[self.at : self.at + 1]
        if not text or (text == "}" and not self.text.startswith("}", self.at + 1)):
            return Template(())
        self.at += 1
        if self.at < len(self.text) and self.text[self.at] != "}":
            self._ignore_rest(start)
        return Template((text,))

    def _substitution(self) -> Template | None:
        """`/regex/text/flags`; None when it does not have that form (a variable, or too few delimiters)."""
        delimiter = self.text[self.at : self.at + 1]
        if not delimiter or delimiter.isalnum() or delimiter in "$,}{\\":
            return None
        begin = piece = self.at
        pieces: list[str | Variable] = []
        at, delimiters = begin, 0
        while delimiters < 3:
            character = self.text[at : at + 1]
            if not character:
                self.at = begin
                return None
            if character == "\\":
                at += 2
                continue
            if character == "$" and (variable := self._try_variable(at)):
                pieces += (self.text[piece:at], variable)
                piece = at = self.at
                continue
            delimiters += character == delimiter
            at += 1
        flags = _FLAGS.match(self.text, at)
        if flags is None:
            self.at = begin
            return None
        self.at = flags.end()
        pieces.append(self.text[piece : self.at].rstrip())
        return Template(_joined(pieces))
