"""Blocks and the statements that hold them: the part of the parser for what stands inside of routes.

A mistake in a statement costs that statement only: parsing goes on behind its ';', or with the body of an `if`
whose condition is wrong.  In the tree an `Empty` stands for what was not understood.
"""

from __future__ import annotations

from collections.abc import Callable

from .diagnostics import Note
from .nodes import (
    Block,
    Break,
    Case,
    Condition,
    Empty,
    For,
    If,
    Integer,
    Statement,
    String,
    Switch,
    Variable,
    While,
)
from .operators import ASSIGNMENTS
from .parse_simple import SimpleStatementParser
from .parse_stream import MAX_DEPTH, MAX_NESTING, Recover
from .tokens import KEYWORDS, MODULE_WORDS, STATEMENT_WORDS, Kind, Token

_ELSE_IF = ("elseif", "elsif", "elif")


class StatementParser(SimpleStatementParser):
    """Reads statements out of the tokens."""

    level = 0
    """Statements around the present place, with or without braces."""
    links = 0
    """Links of `else if` chains around the present place."""
    breakable = 0
    """Loops and switches around the present place."""
    unclosed = False
    """Whether a missing '}' has been reported; the blocks around end silently then."""
    suspect: tuple[Token, Token] | None = None
    """A '{' whose '}' is indented less, so it may be the one that is not closed."""

    # -- blocks ---------------------------------------------------------------------------------------------

    def block(self, where: str) -> Block:
        """`{ statements }`."""
        opening = self.open_bracket("{", where)
        depth = len(self.open)
        statements = self.statements(depth)
        self.end_block(opening, depth)
        return Block(span=self.since(opening.span), statements=statements)

    def statements(self, depth: int, stop: tuple[str, ...] = ()) -> tuple[Statement, ...]:
        """Statements up to the '}' of the block (or a word of `stop`), which is left."""
        statements: list[Statement] = []
        while not self.at_end_of_block() and self.current.text not in stop:
            statements.append(self.statement())
            del self.open[depth:]
        return tuple(statements)

    def end_block(self, opening: Token, depth: int) -> None:
        """The '}' of a block; at the end of the file or of the route it is missing."""
        del self.open[depth:]
        if self.current.text == "}":
            self.open.pop()
            closing = self.advance()
            if self.suspect is None and _indented_less(closing, opening):
                self.suspect = opening, closing
            return
        self.open.pop()
        if self.unclosed:
            return
        self.unclosed = True
        notes = [Note("the '{' stands here", opening.span)]
        if self.suspect is not None:
            notes.append(Note("or here: its '}' is indented less", self.suspect[0].span))
        at_end = self.current.kind is Kind.END
        before = "the file ends" if at_end else f"'{self.current.text}'"
        help = "add a '}'" if at_end else f"add a '}}' before '{self.current.text}', which cannot stand in a route"
        self.report("E203", f"'{{' is not closed before {before}", self.place(), help=help, notes=tuple(notes))

    def body(self, where: str) -> Block:
        """A block, or one statement in its place."""
        if self.current.text == "{":
            return self.block(where)
        if self.at_end_of_block():
            self.report("E201", f"found {self.current.describe()}, expected a statement {where}", self.place())
            return Block(span=self.place(), statements=())
        statement = self.statement()
        return Block(span=statement.span, statements=(statement,))

    # -- one statement --------------------------------------------------------------------------------------

    def statement(self) -> Statement:
        """A statement; an `Empty` after a mistake."""
        start, at, depth = self.current.span, self.at, len(self.open)
        self.operators = 0
        self.level += 1
        try:
            if self.level > MAX_NESTING:
                raise self.mistake("E219", f"statements are nested deeper than {MAX_NESTING}", start)
            return self.any_statement()
        except Recover:
            self.skip_statement(depth)
            if self.at == at:
                self.advance()
            return Empty(span=self.since(start))
        finally:
            self.level -= 1

    def any_statement(self) -> Statement:
        token = self.current
        match token.kind:
            case Kind.VARIABLE:
                return self.assignment_statement()
            case Kind.WORD:
                if token.text in _STATEMENTS:
                    return _STATEMENTS[token.text](self)
                return self.word_statement()
            case Kind.SYMBOL if token.text == ";":
                self.advance()
                return Empty(span=token.span)
            case Kind.SYMBOL if token.text in (")", "]"):
                self.report("E223", f"'{token.text}' closes nothing", token.span, help="remove it")
                self.advance()
                return Empty(span=token.span)
            case Kind.SYMBOL if token.text == "{":
                self.report(
                    "E205",
                    "a block alone is not a statement",
                    token.span,
                    help="a block follows if, else, while, for or the head of a route",
                )
                return self.block("")
        raise self.unexpected("a statement", code="E205")

    def word_statement(self) -> Statement:
        token, following = self.current, self.peek()
        if token.text in _ELSE_IF:
            help = "write  else if"
            self.report("E206", f"'{token.text}' is not a word of the language", token.span, help=help)
            return self.if_statement()
        if token.text not in STATEMENT_WORDS and token.text.lower() in STATEMENT_WORDS:
            help = f"keywords are written in lower case: {token.text.lower()}"
            raise self.mistake("E205", f"'{token.text}' is not a word of the language", token.span, help=help)
        if token.text in ("continue", "goto"):
            help = "turn the condition round, or leave the loop with break"
            raise self.mistake("E205", f"there is no '{token.text}'", token.span, help=help)
        if token.text in MODULE_WORDS or (token.text in KEYWORDS and following.text == "="):
            help = f"move '{token.text}' out of the route"
            raise self.mistake("E205", f"'{token.text}' is not a statement", token.span, help=help)
        if following.text == "(":
            call = self.call()
            self.end_statement()
            return call
        if following.text in ASSIGNMENTS:
            help = f"a variable begins with a '$': $var({token.text}) {following.text} …"
            raise self.mistake("E205", f"the word '{token.text}' cannot be assigned to", token.span, help=help)
        help = f"call it: {token.text}()"
        raise self.mistake("E205", f"the word '{token.text}' alone is not a statement", token.span, help=help)

    # -- if, while, for -------------------------------------------------------------------------------------

    def condition_in_parentheses(self, word: str) -> Condition:
        """`( condition )`; a wrong one is a 0, so that the body is parsed."""
        start = self.current.span
        if self.current.text != "(":
            raise self.unexpected(f"'(' behind '{word}'", help="write the condition in parentheses")
        depth = len(self.open)
        try:
            self.open_bracket("(", "")
            condition = self.condition()
            self.close_bracket(")")
        except Recover:
            if not self.skip_to_closing(depth):
                raise
            return Integer(span=self.since(start), value=0)
        return condition

    def if_statement(self) -> If:
        """`if (…) … else if (…) … else …`; the chain is read in a loop, so it may be long."""
        heads: list[tuple[Token, Condition, Block]] = []
        otherwise: Block | None = None
        too_long = False
        while True:
            word = self.advance()
            condition = self.condition_in_parentheses(word.text)
            heads.append((word, condition, self.body(f"behind the condition of '{word.text}'")))
            if self.current.text in _ELSE_IF:
                help = "write  else if"
                message = f"'{self.current.text}' is not a word of the language"
                self.report("E206", message, self.current.span, help=help)
            elif not self.next_if("else"):
                break
            elif self.current.text != "if":
                otherwise = self.body("behind 'else'")
                break
            self.links += 1
            if self.links + len(self.open) > MAX_DEPTH:
                self.links -= 1
                heads.pop()  # the chain does not grow any more, the rest of it is read all the same
                message = f"more than {MAX_DEPTH} else-branches and blocks stand within one another"
                if not too_long:
                    self.report("E219", message, self.current.span, help="use switch, or routes")
                too_long = True
        self.links -= len(heads) - 1
        return self.chain(heads, otherwise)

    def chain(self, heads: list[tuple[Token, Condition, Block]], otherwise: Block | None) -> If:
        """The nodes of an else-if chain, from its end."""
        word, condition, then = heads[-1]
        node = If(span=self.since(word.span), condition=condition, then=then, otherwise=otherwise)
        for word, condition, then in reversed(heads[:-1]):
            rest = Block(span=node.span, statements=(node,))
            node = If(span=self.since(word.span), condition=condition, then=then, otherwise=rest)
        return node

    def else_statement(self) -> Statement:
        """`else` where no `if` is open: reported, its body is parsed."""
        word = self.current
        help = "remove the ';' before it" if self.previous.text == ";" else "an else follows an if and its body"
        self.report("E206", "'else' without 'if'", word.span, help=help)
        self.advance()
        body = self.body("behind 'else'")
        return body.statements[0] if body.statements else Empty(span=word.span)

    def while_statement(self) -> While:
        word = self.advance()
        condition = self.condition_in_parentheses("while")
        body = self.breakable_body("behind the condition of 'while'")
        return While(span=self.since(word.span), condition=condition, body=body)

    def for_statement(self) -> For:
        """`for (iterator in sequence) body`."""
        word = self.advance()
        depth = len(self.open)
        nothing = Variable(span=word.span, name="")
        iterator = sequence = nothing
        try:
            self.open_bracket("(", "behind 'for'")
            iterator = self.for_variable("an iterator: $var(x), $avp(x) or $json(x)")
            if self.current.text != "in":
                help = "there is only  for ($var(x) in $(avp(y)[*])) …; count with while"
                raise self.unexpected("'in' behind the iterator of 'for'", help=help, code="E215")
            self.advance()
            sequence = self.for_variable("a variable with several values, like $(avp(x)[*])")
            self.close_bracket(")")
        except Recover:
            if not self.skip_to_closing(depth, semicolons=True):
                raise
        body = self.breakable_body("behind the head of 'for'")
        return For(span=self.since(word.span), iterator=iterator, sequence=sequence, body=body)

    def for_variable(self, what: str) -> Variable:
        if self.current.kind is Kind.VARIABLE:
            return self.variable()
        raise self.unexpected(what, code="E215")

    def breakable_body(self, where: str) -> Block:
        self.breakable += 1
        try:
            return self.body(where)
        finally:
            self.breakable -= 1

    def break_statement(self) -> Break:
        word = self.advance()
        if not self.breakable:
            help = "break leaves a while, for or switch; leave a route with return"
            self.report("E207", "'break' outside of a loop and a switch", word.span, help=help)
        self.end_statement()
        return Break(span=word.span)

    # -- switch ---------------------------------------------------------------------------------------------

    def switch_statement(self) -> Switch:
        """`switch (variable) { case constant: … default: … }`."""
        word = self.advance()
        depth = len(self.open)
        subject = Variable(span=word.span, name="")
        try:
            self.open_bracket("(", "behind 'switch'")
            if self.current.kind is not Kind.VARIABLE:
                raise self.unexpected("a variable", help="assign it to a variable before", code="E214")
            subject = self.variable()
            self.close_bracket(")")
        except Recover:
            if not self.skip_to_closing(depth):
                raise
        opening = self.open_bracket("{", "behind 'switch (…)'")
        self.breakable += 1
        try:
            cases = self.cases(len(self.open))
        finally:
            self.breakable -= 1
        if not cases or cases[0].value is None:
            self.report("E214", "a switch needs a case first", opening.span, help="use if for a single branch")
        self.end_block(opening, depth + 1)
        return Switch(span=self.since(word.span), subject=subject, cases=cases)

    def cases(self, depth: int) -> tuple[Case, ...]:
        cases: list[Case] = []
        while not self.at_end_of_block():
            if self.current.text not in ("case", "default"):
                self.report("E214", f"found {self.current.describe()}, expected 'case'", self.place())
                self.statements(depth, ("case", "default"))
                continue
            if cases and cases[-1].value is None:
                help = f"move it before the 'default' on line {cases[-1].span.line}"
                message = f"'{self.current.text}' behind 'default', which must come last"
                self.report("E214", message, self.current.span, help=help)
            cases.append(self.case(depth))
        return tuple(cases)

    def case(self, depth: int) -> Case:
        word = self.advance()
        value: Integer | String | None = Integer(span=word.span, value=0)
        try:
            value = self.case_value() if word.text == "case" else None
            self.expect(":", f"behind '{word.text}'")
        except Recover:
            while self.current.text not in (":", ";") and not self.at_end_of_block():
                self.advance()
            self.next_if(":")
        start = self.current.span
        statements = self.statements(depth, ("case", "default"))
        body = Block(span=self.since(start) if statements else start, statements=statements)
        return Case(span=self.since(word.span), value=value, body=body)

    def case_value(self) -> Integer | String:
        token = self.current
        match token.kind:
            case Kind.NUMBER:
                return self.number()
            case Kind.STRING:
                return self.single_string("a constant")
            case Kind.SYMBOL if token.text in ("-", "+"):
                return self.signed_number()
            case Kind.WORD:
                help = f'write "{token.text}" for the text'
                raise self.unexpected("a number or a text behind 'case'", help=help, code="E214")
        raise self.unexpected("a number or a text behind 'case'", code="E214")

    def stray_case(self) -> Statement:
        raise self.mistake("E214", f"'{self.current.text}' outside of a switch", self.current.span)


_STATEMENTS: dict[str, Callable[[StatementParser], Statement]] = {
    "if": StatementParser.if_statement,
    "else": StatementParser.else_statement,
    "while": StatementParser.while_statement,
    "for": StatementParser.for_statement,
    "switch": StatementParser.switch_statement,
    "case": StatementParser.stray_case,
    "default": StatementParser.stray_case,
    "break": StatementParser.break_statement,
    "return": StatementParser.return_statement,
    "exit": StatementParser.exit_statement,
    "drop": StatementParser.exit_statement,
    "assert": StatementParser.assert_statement,
    "async": StatementParser.async_statement,
    "launch": StatementParser.launch_statement,
    "route": StatementParser.route_statement,
    "xlog": StatementParser.call_statement,
    "xdbg": StatementParser.call_statement,
    "log": StatementParser.call_statement,
    "error": StatementParser.call_statement,
}


def _indented_less(closing: Token, opening: Token) -> bool:
    """Whether a '}' that begins its line stands further left than the line of its '{'."""
    if closing.file is not opening.file:
        return False
    line = closing.file.line(closing.span.line)
    indent = len(line) - len(line.lstrip())
    if closing.span.column != indent + 1:
        return False
    first = opening.file.line(opening.span.line)
    return indent < len(first) - len(first.lstrip())
