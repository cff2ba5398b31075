"""Statements without blocks, each with its ';': assignment, calls, return, exit, assert, async, launch."""

from __future__ import annotations

from .nodes import (
    Assert,
    Async,
    Call,
    Drop,
    Exit,
    Expression,
    Integer,
    Launch,
    Return,
    RouteCall,
    Statement,
    String,
    Variable,
)
from .operators import ASSIGNMENTS
from .parse_expressions import ExpressionParser
from .parse_stream import Recover
from .tokens import STATEMENT_WORDS, Kind, Token


class SimpleStatementParser(ExpressionParser):
    """Reads statements that hold no others out of the tokens."""

    def end_statement(self) -> None:
        """The ';' of a statement; a missing one is reported behind the statement and parsing goes on."""
        if self.next_if(";"):
            return
        token, last = self.current, self.previous
        if token.text in (")", "]"):
            self.report("E223", f"'{token.text}' closes nothing", token.span, help="remove it")
            self.advance()
            self.next_if(";")
            return
        new_line = token.file is not last.file or "\n" in token.file.text[last.end : token.start]
        starts = token.kind in (Kind.WORD, Kind.VARIABLE, Kind.END) or token.text in ("}", "{")
        if token.kind is not Kind.ERROR and (new_line or starts):
            message = f"';' is missing behind '{_end_of(last)}'"
            self.report("E202", message, last.span.end, help="end the statement with ';'")
            return
        raise self.unexpected("';'", help="texts are joined with +" if token.text == "." else None)

    def assignment_statement(self) -> Statement:
        variable = self.variable()
        if self.current.text in ASSIGNMENTS:
            assignment = self.assignment(variable)
            self.end_statement()
            return assignment
        if self.current.text == "==":
            message = "found '==' in a statement: it compares"
            raise self.mistake("E213", message, self.current.span, help="write = to assign")
        if self.current.text in ("+", "-") and self.peek().text == self.current.text:
            help = f"write {variable.text} {self.current.text}= 1"
            message = f"'{self.current.text * 2}' is not an operator"
            raise self.mistake("E213", message, self.current.span, help=help)
        if self.current.text in (";", "}"):
            message = f"the variable '{variable.text}' alone is not a statement"
            raise self.mistake("E205", message, variable.span, help=f"assign to it: {variable.text} = …;")
        raise self.unexpected(f"'=' behind '{variable.text}'")

    def call_statement(self) -> Call:
        """xlog, xdbg, log, error."""
        call = self.call()
        self.end_statement()
        return call

    def route_statement(self) -> RouteCall:
        if self.peek().text != "(":
            help = "route(name); calls a route"
            raise self.mistake("E205", "the word 'route' alone is not a statement", self.current.span, help=help)
        call = self.route_call()
        self.end_statement()
        return call

    def exit_statement(self) -> Exit | Drop:
        """`exit`, `drop`, with or without empty parentheses."""
        word = self.advance()
        if self.current.text == "(":
            self.open_bracket("(", "")
            if self.current.text != ")":
                message = f"'{word.text}' takes no argument, found {self.current.describe()}"
                raise self.mistake("E220", message, self.place())
            self.close_bracket(")")
        span = self.since(word.span)
        self.end_statement()
        return Exit(span=span) if word.text == "exit" else Drop(span=span)

    def return_statement(self) -> Return:
        """`return`, `return code`, `return(code, values)`, `return(, values)`."""
        word = self.advance()
        code: Integer | Variable | None = None
        values: list[Expression | None] = []
        if self.current.text == "(":
            self.open_bracket("(", "")
            if self.current.text not in (")", ","):
                code = self.return_code()
            while self.next_if(","):
                values.append(self.argument(null=True))
            if self.current.text != ")" and self.current.kind is Kind.SYMBOL and self.current.text != ";":
                raise self.long_return()
            self.close_bracket(")")
        elif self.current.text not in (";", "}") and self.current.kind is not Kind.END and self.same_line():
            code = self.return_code()
            if self.current.kind is Kind.SYMBOL and self.current.text not in (";", "}"):
                raise self.long_return()
        span = self.since(word.span)
        self.end_statement()
        return Return(span=span, code=code, values=tuple(values))

    def same_line(self) -> bool:
        last, token = self.previous, self.current
        return token.file is last.file and "\n" not in token.file.text[last.end : token.start]

    def return_code(self) -> Integer | Variable:
        token = self.current
        match token.kind:
            case Kind.NUMBER:
                return self.number()
            case Kind.VARIABLE:
                return self.variable()
            case Kind.SYMBOL if token.text in ("-", "+"):
                return self.signed_number()
        help = "give other values behind the code: return(1, …)" if token.kind is Kind.STRING else None
        raise self.unexpected("a return code: a number or a variable", help=help, code="E220")

    def long_return(self) -> Recover:
        if self.current.text == ",":
            help = "more values need parentheses: return(1, …)"
        else:
            help = "compute it before: $var(x) = …;"
        message = f"found {self.current.describe()} behind the return code: it is a number or a variable"
        return self.mistake("E220", message, self.current.span, help=help)

    def assert_statement(self) -> Assert:
        """`assert(condition [, text])`."""
        word = self.advance()
        self.open_bracket("(", "behind 'assert'")
        condition = self.condition()
        text = self.single_string("a text in quotes for 'assert'") if self.next_if(",") else None
        self.close_bracket(")")
        span = self.since(word.span)
        self.end_statement()
        return Assert(span=span, condition=condition, text=text)

    def asynchronous_call(self, word: Token) -> Call:
        self.open_bracket("(", f"behind '{word.text}'")
        if self.current.kind is not Kind.WORD or self.peek().text != "(":
            raise self.unexpected(f"the call of a function for '{word.text}'", code="E217")
        if self.current.text in STATEMENT_WORDS:
            message = f"'{self.current.text}' cannot be called by '{word.text}'"
            raise self.mistake("E217", message, self.current.span)
        return self.call()

    def async_statement(self) -> Async:
        """`async(call, resume [, seconds])`."""
        word = self.advance()
        call = self.asynchronous_call(word)
        if self.current.text == ")":
            help = "the route named last goes on when the call is done; launch(…) needs none"
            raise self.unexpected("',' and the name of a resume route", help=help, code="E217")
        self.expect(",", "before the resume route of 'async'")
        resume = self.route_name("async(…)")
        timeout = self.timeout() if self.next_if(",") else None
        self.close_bracket(")")
        span = self.since(word.span)
        self.end_statement()
        return Async(span=span, call=call, resume=resume, timeout=timeout)

    def timeout(self) -> Integer:
        if self.current.kind is Kind.NUMBER:
            return self.number()
        raise self.unexpected("a number of seconds", code="E217")

    def launch_statement(self) -> Launch:
        """`launch(call [, resume [, text]])`."""
        word = self.advance()
        call = self.asynchronous_call(word)
        resume = self.route_name("launch(…)") if self.next_if(",") else None
        text = self.launch_text() if resume and self.next_if(",") else None
        self.close_bracket(")")
        span = self.since(word.span)
        self.end_statement()
        return Launch(span=span, call=call, resume=resume, text=text)

    def launch_text(self) -> String:
        token = self.current
        variable = token.kind is Kind.VARIABLE
        help = f'write "{token.text}": variables within the text are replaced' if variable else None
        return self.single_string("a text in quotes for 'launch'", help)


def _end_of(token: Token) -> str:
    """The last word of a statement, for a message."""
    return token.text if len(token.text) <= 20 and "\n" not in token.text else token.text[-1]
