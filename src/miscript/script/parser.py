"""Tokens to tree: `parse_file`, `parse_text`, `parse`.

All mistakes are collected in one go.  The tree is always given; when `diagnostics.failed` it lacks what was not
understood, so it is good for checking names and never for running.  No catalog is known here: any parameter,
function and variable is accepted.

The parser is one class in layers: walking (`parse_stream`), calls (`parse_calls`), values and conditions
(`parse_expressions`), simple statements (`parse_simple`), statements with blocks (`parse_statements`), global
parameters (`parse_parameters`), and here the file with its modules and routes.

Codes, each explained by `miscript check --explain CODE`:

    E100 script cannot be read            E111 not a transformation
    E101 character without meaning        E112 not an index
    E102 text not closed                  E114 variables nested too deep
    E103 not a number
    E104 variable misspelt                W602 block comment not closed
    E105 include file missing             W608 rest of a transformation's argument ignored
    E106 // or */
    E107 file includes itself
    E108 includes too many or too large
    E109 preprocessor failed
    E110 not an address

    E201 something else expected          E214 switch, case, default
    E202 ';' missing                      E215 head of a for
    E203 bracket or block not closed      E216 head or name of a route
    E204 not allowed outside of routes    E217 argument
    E205 not a statement, not a value     E218 value of a parameter, module line
    E206 else without if, elseif          E219 nested too deep, too many operators
    E207 break outside of a loop          E220 return, exit, drop
    E208 route without statements         E221 texts are not joined here
    E209 condition needs brackets         E223 closing bracket that closes nothing
    E210 left side of a comparison        E225 cannot be assigned to, index outside $(…)
    E211 second assignment                E226 right side of a comparison
    E212 sign before something else than a number
    E213 operator misspelt

Source: OpenSIPS manual, "Script Format", "Script Routes", "Script Statements".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from .diagnostics import Diagnostics
from .nodes import (
    GlobalParameter,
    Integer,
    LoadModule,
    ModuleParameter,
    Route,
    RouteKind,
    Script,
    String,
)
from .parse_parameters import ParameterParser
from .parse_stream import Recover
from .preprocess import load, load_text
from .source import Span
from .tokens import ROUTE_KINDS, STATEMENT_WORDS, Kind, Token

_KINDS: dict[str, RouteKind] = {kind: kind for kind in get_args(RouteKind)}

_NAMING = {
    "route": "optional",
    "onreply_route": "optional",
    "failure_route": "needed",
    "branch_route": "needed",
    "timer_route": "needed",
    "event_route": "needed",
    "error_route": "refused",
    "local_route": "refused",
    "startup_route": "refused",
}
"""Whether a kind of route has a name."""

MAIN_ROUTE = "0"
"""`route[0]` (and so `route[no]`) is the unnamed request route."""

Item = GlobalParameter | LoadModule | ModuleParameter | Route


def parse_file(path: Path, diagnostics: Diagnostics, preprocessor: str | None = None) -> Script:
    """The script in a file with all that it includes; `preprocessor` is a command line, see `preprocess`."""
    return parse(load(path, diagnostics, preprocessor), diagnostics)


def parse_text(text: str, name: str, diagnostics: Diagnostics, folder: Path | None = None) -> Script:
    """The script in a text, which messages call `name`; includes are looked for in `folder` as well."""
    return parse(load_text(name, text, diagnostics, folder=folder), diagnostics)


def parse(tokens: Sequence[Token], diagnostics: Diagnostics) -> Script:
    """The script that `tokens` (the last one of kind END) spell; see the module for what it lacks after mistakes."""
    return _FileParser(tokens, diagnostics).script()


class _FileParser(ParameterParser):
    def script(self) -> Script:
        start = self.current.file.span(0, 0)
        items: list[Item] = []
        while self.current.kind is not Kind.END:
            at = self.at
            self.open.clear()
            try:
                items += self.items()
            except Recover:
                self.skip_item(at)
        return Script(span=start.to(self.current.span), items=tuple(items))

    def items(self) -> list[Item]:
        """What begins here, outside of routes."""
        token, following = self.current, self.peek()
        match token.kind:
            case Kind.WORD if token.text in ROUTE_KINDS and following.text != "=":
                return [self.route()]
            case Kind.WORD if token.text == "loadmodule":
                return [self.load_module()]
            case Kind.WORD if token.text == "modparam":
                return [self.module_parameter()]
            case Kind.WORD if following.text == "=":
                return list(self.parameter())
        raise self.misplaced()

    def misplaced(self) -> Recover:
        """Reports what cannot stand outside of routes; to be raised."""
        token = self.current
        match token.text:
            case "}" | ")" | "]":
                help = "remove it, or look for a bracket closed too early before"
                return self.mistake("E223", f"'{token.text}' closes nothing", token.span, help=help)
            case ";":
                help = "remove it: ';' ends statements, which stand in routes"
                return self.mistake("E204", "found ';' outside of every route", token.span, help=help)
        if token.kind is Kind.WORD and self.peek().text != "(" and token.text not in STATEMENT_WORDS:
            self.advance()
            if self.current.file is not token.file or "\n" in token.file.text[token.end : self.current.start]:
                return self.mistake("E201", f"found no '=' behind '{token.text}'", token.span)
            return self.unexpected(f"'=' behind '{token.text}'")
        help = "statements stand in a route: startup_route { … }"
        return self.mistake("E204", f"found {token.describe()} outside of every route", token.span, help=help)

    def skip_item(self, start: int) -> None:
        """After a mistake: goes on where a parameter, module or route seems to begin."""
        if self.at == start:
            self.skip_first()
        braces = 0
        while self.current.kind is not Kind.END and not self.at_item():
            if not braces and self.begins_parameter():
                return
            braces = max(braces + {"{": 1, "}": -1}.get(self.current.text, 0), 0)
            self.advance()

    def skip_first(self) -> None:
        """Goes over the token that was wrong; over all of it when it is a statement."""
        if self.current.text in (";", "}", ")", "]"):
            self.advance()
            return
        token = self.advance()
        if token.kind is Kind.VARIABLE or token.text in STATEMENT_WORDS or self.current.text == "(":
            self.skip_statement(0)
            while self.current.text == "else":
                self.skip_statement(0)

    def begins_parameter(self) -> bool:
        token, last = self.current, self.previous
        if token.kind is not Kind.WORD or self.peek().text != "=":
            return False
        return token.file is not last.file or "\n" in token.file.text[last.end : token.start] or last.text == ";"

    # -- modules --------------------------------------------------------------------------------------------

    def load_module(self) -> LoadModule:
        """`loadmodule "name.so"`."""
        word = self.advance()
        help = 'write  loadmodule "name.so"'
        path = self.single_string("the file of the module in quotes", help).value
        name = path.rpartition("/")[2].removesuffix(".so")
        return LoadModule(span=self.since(word.span), name=name, path=path)

    def module_parameter(self) -> ModuleParameter:
        """`modparam("modules", "name", value)`."""
        word = self.advance()
        self.open_bracket("(", "behind 'modparam'")
        modules = self.single_string("the name of a module in quotes")
        self.expect(",", "behind the module of 'modparam'")
        name = self.single_string("the name of the parameter in quotes")
        self.expect(",", "and a value behind the name of the parameter")
        value = self.module_value()
        self.close_bracket(")")
        return ModuleParameter(
            span=self.since(word.span),
            modules=modules.value,
            name=name.value,
            value=value.value,
            modules_span=modules.span,
            name_span=name.span,
            value_span=value.span,
        )

    def module_value(self) -> Integer | String:
        token = self.current
        match token.kind:
            case Kind.STRING:
                return self.joined_string("a value")
            case Kind.NUMBER:
                return self.number()
            case Kind.SYMBOL if token.text in ("-", "+"):
                return self.signed_number()
        help = f'write "{token.text}" for the text' if token.kind is Kind.WORD else None
        raise self.unexpected("a number or a text", help=help, code="E218")

    # -- routes ---------------------------------------------------------------------------------------------

    def route(self) -> Route:
        """`kind[name] { statements }`."""
        word = self.advance()
        self.unclosed, self.suspect = False, None
        name, name_span, interval = self.head(word)
        head = self.since(word.span)
        body = self.block(f"before the statements of '{word.text}'")
        if not body.statements:
            help = "a route holds at least one statement, for example  exit;"
            self.diagnostics.add("E208", f"the block of '{word.text}' is empty", body.span, help=help)
        return Route(
            span=self.since(word.span),
            kind=_KINDS[word.text],
            name=name,
            body=body,
            head=head,
            name_span=name_span,
            interval=interval,
        )

    def head(self, word: Token) -> tuple[str, Span, int | None]:
        """The name of a route with its place, and the interval of a timer; parsing goes on after a mistake."""
        try:
            return self.route_head(word)
        except Recover:
            while self.current.text != "{" and not self.at_end_of_block():
                self.advance()
            self.open.clear()
            if self.current.text != "{":
                raise
            return "", word.span, None

    def route_head(self, word: Token) -> tuple[str, Span, int | None]:
        naming = _NAMING[word.text]
        if self.current.text != "[":
            self.refuse_other_bracket(word)
            if naming == "needed" and self.current.text == "{":
                example = "name, seconds" if word.text == "timer_route" else "name"
                help = f"write  {word.text}[{example}] {{ … }}"
                raise self.mistake("E216", f"'{word.text}' needs a name", word.span, help=help)
            return "", word.span, None
        if naming == "refused":
            message = f"'{word.text}' has no name"
            raise self.mistake("E216", message, self.current.span, help=f"write  {word.text} {{ … }}")
        self.open_bracket("[", "")
        name = self.route_name(f"{word.text}[…]")
        interval = self.interval() if word.text == "timer_route" else None
        if self.current.text != "]" and self.current.text != "{":
            raise self.unexpected("']' behind the name of the route", code="E216")
        self.close_bracket("]")
        return self.main_or_named(word, name), name.span, interval

    def refuse_other_bracket(self, word: Token) -> None:
        if self.current.text != "{" and self.current.kind is not Kind.END:
            help = f"write  {word.text}[name] {{ … }}" if _NAMING[word.text] != "refused" else None
            expected = "'{'" if _NAMING[word.text] == "refused" else "'[' or '{'"
            raise self.unexpected(f"{expected} behind '{word.text}'", help=help, code="E216")

    def main_or_named(self, word: Token, name: String) -> str:
        return "" if word.text == "route" and name.value == MAIN_ROUTE else name.value

    def interval(self) -> int:
        if not self.next_if(","):
            help = "write  timer_route[name, seconds] { … }"
            raise self.unexpected("',' and the seconds behind the name of the timer route", help=help, code="E216")
        if self.current.kind is not Kind.NUMBER:
            raise self.unexpected("the seconds of the timer route", code="E216")
        return self.number().value
