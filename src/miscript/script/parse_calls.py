"""Numbers, calls of functions and of routes: the part of the parser for what takes constants and variables only.

    call       := name "(" [argument] ("," [argument])* ")"
    route call := "route" "(" (name | VARIABLE) ("," argument)* ")"
    argument   := text | number | VARIABLE        (and NULL for a route)

xlog, xdbg, log and error are called the same way and have arguments of their own.
"""

from __future__ import annotations

from ..values import wrap
from .nodes import Call, Expression, Integer, Null, RouteCall, String
from .operators import ARITHMETIC, BITWISE, COMPARISONS
from .parse_stream import Recover, TokenStream
from .tokens import KEYWORDS, Kind, Token


class CallParser(TokenStream):
    """Reads numbers and calls out of the tokens."""

    def number(self) -> Integer:
        token = self.advance()
        assert isinstance(token.value, int)
        if self.current.text == "." and self.current.follows(token):
            digits = self.peek().text if self.peek().kind in (Kind.NUMBER, Kind.MALFORMED) else ""
            message = f"'{token.text}.{digits}' is not a number"
            span = token.span.to(self.peek().span if digits else self.current.span)
            raise self.mistake("E103", message, span, help="numbers are whole; write a text in quotes")
        return Integer(span=token.span, value=token.value)

    def signed_number(self) -> Integer:
        """A number with a sign before it; variables have none."""
        sign = self.advance()
        if self.current.kind is Kind.NUMBER:
            number = self.number()
            value = wrap(-number.value) if sign.text == "-" else number.value
            return Integer(span=self.since(sign.span), value=value)
        if sign.text == "-" and self.current.kind is Kind.VARIABLE:
            message = "a minus before a variable is not arithmetic"
            raise self.mistake("E212", message, sign.span, help=f"write 0 - {self.current.text}")
        message = f"found {self.current.describe()} behind the sign '{sign.text}', expected a number"
        raise self.mistake("E212", message, sign.span, help="write 0 - (…)" if sign.text == "-" else None)

    # -- calls ----------------------------------------------------------------------------------------------

    def call(self) -> Call:
        """`name(arguments)`."""
        name = self.advance()
        match name.text:
            case "xlog" | "xdbg":
                arguments = self.log_arguments(name)
            case "log":
                arguments = self.old_log_arguments()
            case "error":
                arguments = self.fixed_arguments("error", 2)
            case _:
                arguments = self.arguments(name.text)
        span = self.since(name.span)
        return Call(span=span, name=name.text, arguments=arguments, name_span=name.span)

    def arguments(self, name: str) -> tuple[Expression | None, ...]:
        """Arguments of a function; one that is left out is None."""
        self.open_bracket("(", f"behind '{name}'")
        arguments: list[Expression | None] = []
        while self.current.text != ")" or arguments:
            omitted = self.current.text in (",", ")")
            arguments.append(None if omitted else self.argument())
            if not self.next_if(","):
                break
        self.close_bracket(")")
        return tuple(arguments)

    def argument(self, *, null: bool = False) -> Expression:
        """A constant or a variable, for a function or (with `null`) a route."""
        token = self.current
        value: Expression
        match token.kind:
            case Kind.STRING:
                value = self.single_string("an argument")
            case Kind.VARIABLE:
                value = self.variable()
            case Kind.NUMBER:
                value = self.number()
            case Kind.SYMBOL if token.text in ("-", "+"):
                value = self.signed_number()
            case Kind.WORD if null and token.text in ("NULL", "null"):
                self.advance()
                value = Null(span=token.span)
            case _:
                raise self.no_argument()
        if self.current.text not in (",", ")") and self.current.kind is Kind.SYMBOL:
            raise self.long_argument()
        return value

    def no_argument(self) -> Recover:
        token, help = self.current, None
        if token.kind is Kind.WORD and self.peek().text == "(":
            help = f"call it before: $var(x) = {token.text}(…);"
        elif token.text in ("NULL", "null"):
            help = "leave the argument out"
        elif token.kind in (Kind.WORD, Kind.NETWORK):
            help = f'write "{token.text}" for the text'
        elif token.text in ("(", "~", "!", "["):
            help = "compute it before: $var(x) = …;"
        return self.unexpected("an argument: a constant or a variable", help=help, code="E217")

    def long_argument(self) -> Recover:
        token = self.current
        if token.text in ARITHMETIC | BITWISE | COMPARISONS:
            help = "compute it before: $var(x) = …;"
            message = f"found '{token.text}' in an argument: it is a constant or a variable"
            return self.mistake("E217", message, token.span, help=help)
        return self.unexpected("',' or ')' behind an argument", code="E217")

    def log_arguments(self, name: Token) -> tuple[Expression | None, ...]:
        """`xlog([level,] text)`, `xdbg(text)`; the text may be several adjacent ones."""
        self.open_bracket("(", f"behind '{name.text}'")
        self.refuse_no_text(name.text)
        first = self.joined_string("a text")
        arguments: list[Expression | None] = [first]
        if self.current.text == "," and name.text == "xlog":
            if first.source is None:
                message = "the level of xlog must be one text"
                raise self.mistake("E221", message, first.span, help='write it whole: xlog("L_INFO", "…")')
            self.advance()
            self.refuse_no_text(name.text)
            arguments.append(self.joined_string("a text"))
        if self.current.text not in (")", ";") and self.current.kind is not Kind.END:
            raise self.long_text(name.text)
        self.close_bracket(")")
        return tuple(arguments)

    def long_text(self, name: str) -> Recover:
        token = self.current
        help = None
        if token.kind is Kind.VARIABLE:
            help = "write variables within the text"
        elif token.text == "+":
            help = "texts side by side are joined without an operator; variables are replaced within them"
        return self.unexpected(f"')' behind the text of '{name}'", help=help, code="E217")

    def refuse_no_text(self, name: str) -> None:
        token, help = self.current, None
        if token.kind is Kind.STRING:
            return
        if token.kind is Kind.VARIABLE:
            help = f'write {name}("{token.text}"): variables within the text are replaced'
        elif token.kind is Kind.WORD:
            help = f'write it in quotes: {name}("{token.text}", "…")'
        raise self.unexpected(f"a text in quotes for '{name}'", help=help, code="E217")

    def old_log_arguments(self) -> tuple[Expression | None, ...]:
        """`log([level,] text)` with a number as level."""
        self.open_bracket("(", "behind 'log'")
        arguments: list[Expression | None] = []
        if self.current.kind is Kind.NUMBER or self.current.text in ("-", "+"):
            sign = self.current.kind is not Kind.NUMBER
            arguments.append(self.signed_number() if sign else self.number())
            self.expect(",", "behind the level of 'log'")
        self.refuse_no_text("log")
        arguments.append(self.single_string("a text"))
        self.close_bracket(")")
        return tuple(arguments)

    def fixed_arguments(self, name: str, count: int) -> tuple[Expression | None, ...]:
        """Exactly `count` texts."""
        self.open_bracket("(", f"behind '{name}'")
        arguments: list[Expression | None] = []
        for number in range(count):
            if number:
                self.expect(",", f"between the {count} texts of '{name}'")
            self.refuse_no_text(name)
            arguments.append(self.single_string("a text"))
        self.close_bracket(")")
        return tuple(arguments)

    # -- routes ---------------------------------------------------------------------------------------------

    def route_call(self) -> RouteCall:
        """`route(name, arguments)`."""
        word = self.advance()
        self.open_bracket("(", "behind 'route'")
        name = self.variable() if self.current.kind is Kind.VARIABLE else self.route_name("route(…)")
        arguments: list[Expression | None] = []
        while self.next_if(","):
            arguments.append(self.argument(null=True))
        if self.current.text != ")" and self.current.kind is Kind.SYMBOL and self.current.text != ";":
            raise self.long_argument()
        self.close_bracket(")")
        return RouteCall(span=self.since(word.span), name=name, arguments=tuple(arguments))

    def route_name(self, where: str) -> String:
        """The name of a route: a word that is no keyword, a number, or a text."""
        token = self.current
        match token.kind:
            case Kind.STRING:
                return self.single_string("the name of a route")
            case Kind.NUMBER:
                self.advance()
                return String(span=token.span, value=str(token.value), source=token.text)
            case Kind.WORD if token.text not in KEYWORDS:
                self.advance()
                self.refuse_odd_name(token, where)
                return String(span=token.span, value=token.text, source=token.text)
            case Kind.WORD:
                help = f'write it in quotes: "{token.text}"'
                message = f"'{token.text}' is a keyword and cannot name a route in {where}"
                raise self.mistake("E216", message, token.span, help=help)
        raise self.unexpected(f"the name of a route in {where}", code="E216")

    def refuse_odd_name(self, token: Token, where: str) -> None:
        """`route[a.b]`: only quotes allow other characters than letters, digits and '_'."""
        if self.current.text not in (".", "-", ":", "/") or not self.current.follows(token):
            return
        message = f"found '{self.current.text}' in the name of a route in {where}"
        help = "put a name that has more than letters, digits and '_' in quotes"
        raise self.mistake("E216", message, self.current.span, help=help)
