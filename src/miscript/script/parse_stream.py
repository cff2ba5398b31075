"""What every part of the parser uses: walking over tokens, expecting one, reporting, and going on after a mistake.

A mistake is reported where it is found and raises `Recover`; the nearest part that knows where to go on catches it.
Nothing is reported twice at one token, and nothing at a token that the lexer has complained about.
"""

from __future__ import annotations

from collections.abc import Sequence

from .diagnostics import Diagnostics, Note
from .nodes import String, Variable
from .source import Span
from .tokens import MODULE_WORDS, ROUTE_KINDS, Kind, Token
from .variables import parse_variable

MAX_NESTING = 100
"""Brackets that may be open, and statements that may hold one another; bounds the recursion of the parser."""

MAX_DEPTH = 200
"""Open brackets and links of `else if` chains at one place; bounds the depth of the tree of statements."""

MAX_OPERATORS = 200
"""Operators in one statement (outside its blocks); bounds the depth of the tree of an expression."""


class Recover(Exception):
    """A mistake has been reported; parsing goes on at a place that the catcher chooses."""


class TokenStream:
    """The tokens, with one that is `current` and the one before it."""

    def __init__(self, tokens: Sequence[Token], diagnostics: Diagnostics) -> None:
        self.tokens = tokens
        self.diagnostics = diagnostics
        self.at = 0
        self.current = tokens[0]
        self.previous = tokens[0]
        self.open: list[Token] = []
        self._reported_at = -1

    # -- walking --------------------------------------------------------------------------------------------

    def advance(self) -> Token:
        """The current token; the next one becomes current (the end of the file stays)."""
        self.previous = token = self.current
        if self.at + 1 < len(self.tokens):
            self.at += 1
            self.current = self.tokens[self.at]
        return token

    def peek(self, distance: int = 1) -> Token:
        """A token further on."""
        return self.tokens[min(self.at + distance, len(self.tokens) - 1)]

    def next_if(self, text: str) -> bool:
        """Goes over the current token if it is `text`."""
        if self.current.text != text:
            return False
        self.advance()
        return True

    def expect(self, text: str, where: str) -> Token:
        """Goes over `text`; `where` says behind what it was expected."""
        if self.current.text == text:
            return self.advance()
        raise self.unexpected(f"'{text}' {where}")

    def expect_kind(self, kind: Kind, what: str, help: str | None = None) -> Token:
        """Goes over a token of a kind; `what` says what was expected."""
        if self.current.kind is kind:
            return self.advance()
        raise self.unexpected(what, help=help)

    def since(self, start: Span) -> Span:
        """From `start` to the end of what was read last."""
        return start.to(self.previous.span)

    # -- brackets -------------------------------------------------------------------------------------------

    def open_bracket(self, text: str, where: str) -> Token:
        """Goes over an opening bracket and remembers it."""
        if len(self.open) >= MAX_NESTING:
            message = f"brackets and blocks are nested deeper than {MAX_NESTING}"
            raise self.mistake("E219", message, self.current.span)
        token = self.expect(text, where)
        self.open.append(token)
        return token

    def close_bracket(self, text: str) -> Token:
        """Goes over the bracket that closes the one opened last."""
        if self.current.text == text:
            self.open.pop()
            return self.advance()
        opening = self.open[-1]
        note = Note(f"the '{opening.text}' stands here", opening.span)
        message = f"'{opening.text}' is not closed: expected '{text}', found {self.current.describe()}"
        raise self.mistake("E203", message, self.place(), notes=(note,))

    def skip_to_closing(self, depth: int, *, semicolons: bool = False) -> bool:
        """After a mistake within parentheses: goes behind the ')' that leaves `depth` brackets open.

        False when a statement ends before (unless `semicolons` may stand there); True as well before a '{', where
        the ')' is taken to be missing.
        """
        level = len(self.open) - depth
        del self.open[depth:]
        while not self.at_end_of_block():
            match self.current.text:
                case "{":
                    return True
                case ";" if not semicolons:
                    return False
                case "(" | "[":
                    level += 1
                case ")" | "]":
                    level -= 1
            self.advance()
            if level <= 0 and self.previous.text == ")":
                return True
        return False

    def skip_statement(self, depth: int) -> None:
        """After a mistake in a statement: goes behind its ';', its block, or before the '}' around it."""
        del self.open[depth:]
        braces = 0
        while self.current.kind is not Kind.END and not self.at_item():
            text = self.current.text
            if not braces and text == "}":
                return
            braces += {"{": 1, "}": -1}.get(text, 0)
            self.advance()
            if not braces and text in (";", "}"):
                return

    def at_end_of_block(self) -> bool:
        return self.current.text == "}" or self.current.kind is Kind.END or self.at_item()

    def at_item(self) -> bool:
        """Whether something begins that stands outside of routes only: a module line not if it is indented."""
        token = self.current
        if token.kind is not Kind.WORD:
            return False
        if token.text in ROUTE_KINDS:
            return self.peek().text in ("[", "{")
        return token.text in MODULE_WORDS and token.span.column == 1

    # -- reporting ------------------------------------------------------------------------------------------

    def report(
        self, code: str, message: str, span: Span, *, help: str | None = None, notes: tuple[Note, ...] = ()
    ) -> None:
        """Reports a mistake after which parsing goes on as if nothing had been."""
        if self._reported_at != self.at:
            self._reported_at = self.at
            if self.current.kind is not Kind.ERROR:
                self.diagnostics.add(code, message, span, help=help, notes=notes or self._doubtful_text())

    def mistake(
        self, code: str, message: str, span: Span, *, help: str | None = None, notes: tuple[Note, ...] = ()
    ) -> Recover:
        """Reports a mistake; to be raised."""
        self.report(code, message, span, help=help, notes=notes)
        return Recover()

    def unexpected(self, expected: str, *, help: str | None = None, code: str = "E201") -> Recover:
        """Reports that the current token is not what was expected; to be raised."""
        token = self.current
        if token.kind is Kind.MALFORMED:
            return self.malformed(token)
        message = f"found {token.describe()}, expected {expected}"
        return self.mistake(code, message, self.place(), help=help)

    def malformed(self, token: Token) -> Recover:
        """Reports a number that cannot be read; to be raised."""
        help = "numbers are decimal, 0x and hexadecimal digits, or 0 and octal digits"
        return self.mistake("E103", f"'{token.text}' is not a number", token.span, help=help)

    def place(self) -> Span:
        """Where the current token stands; the end of what was read last at the end of the file."""
        return self.current.span if self.current.kind is not Kind.END else self.previous.span.end

    def _doubtful_text(self) -> tuple[Note, ...]:
        """A text over several lines just before a mistake often lacks its closing quote."""
        for token in (self.current, self.previous):
            if token.kind is Kind.STRING and "\n" in token.text:
                return (Note("this text goes over several lines: is a quote missing?", token.span),)
        return ()

    # -- leaves that several parts read ---------------------------------------------------------------------

    def string(self, token: Token) -> String:
        """The text of a STRING token."""
        assert isinstance(token.value, str)
        return String(span=token.span, value=token.value, source=token.content)

    def at_string(self) -> bool:
        return self.current.kind is Kind.STRING

    def joined_string(self, what: str) -> String:
        """One text or several adjacent ones."""
        first = self.string(self.expect_kind(Kind.STRING, what))
        texts = [first.value]
        while self.at_string():
            texts.append(self.string(self.advance()).value)
        return first if len(texts) == 1 else String(span=self.since(first.span), value="".join(texts))

    def single_string(self, what: str, help: str | None = None) -> String:
        """One text; adjacent ones are joined in a few places only."""
        string = self.string(self.expect_kind(Kind.STRING, what, help))
        self.refuse_second_string()
        return string

    def refuse_second_string(self) -> None:
        if self.current.kind is Kind.STRING and self.previous.kind is Kind.STRING:
            message = f"found {self.current.describe()} behind another text: texts are not joined here"
            help = 'write one text, or "a" + "b" in an assignment; only xlog, xdbg and modparam join texts'
            raise self.mistake("E221", message, self.current.span, help=help)

    def variable(self) -> Variable:
        """The variable that is the current token."""
        token = self.expect_kind(Kind.VARIABLE, "a variable")
        file, offset = token.file, token.start
        found = parse_variable(token.text, lambda start, end: file.span(offset + start, offset + end), self.diagnostics)
        self._refuse_tail(token)
        return found or Variable(span=token.span, name="", text=token.text)

    def _refuse_tail(self, token: Token) -> None:
        """`$avp(x)[0]` and `$var(x){s.len}` lack the parentheses around all of it."""
        text = self.current.text
        if text not in ("[", "{") or not self.current.follows(token) or token.text.startswith("$("):
            return
        if text == "{" and not (self.peek().kind is Kind.WORD and self.peek(2).text == "."):
            return
        rest = token.file.text[token.start + 1 : token.file.text.find("]" if text == "[" else "}", token.end) + 1]
        what = "an index" if text == "[" else "a transformation"
        help = f"write $({rest})" if len(rest) < 60 else "write $(name(x)[index]{class.name})"
        raise self.mistake("E225", f"{what} needs parentheses around the whole variable", self.current.span, help=help)
