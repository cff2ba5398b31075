"""Expressions, conditions and assignments: the part of the parser that reads values.

    expression := arithmetic (("&" "|" "^" "<<" ">>") arithmetic)*
    arithmetic := operand (("+" "-" "*" "/" "%") operand)*
    operand    := "~"* (constant | VARIABLE [comparison] | call | route call | "(" expression ")")
    condition  := item (("and" "&&" "or" "||") item)*
    item       := ("!" "not")* (number | VARIABLE [comparison | assignment] | call | route call
                                | "(" condition ")" | "[" expression "]")
    comparison := operator (constant | VARIABLE | NULL | NETWORK)

So a comparison binds to the variable on its left, and arithmetic never stands bare in a condition.
"""

from __future__ import annotations

from collections.abc import Callable

from .nodes import (
    Assignment,
    Binary,
    Bracketed,
    Call,
    Comparison,
    Condition,
    Expression,
    Integer,
    Logic,
    Network,
    Not,
    Null,
    RouteCall,
    String,
    Unary,
    Variable,
)
from .operators import ARITHMETIC, ASSIGNMENTS, BITWISE, COMPARISONS, LOGIC, MISSPELT
from .parse_calls import CallParser
from .parse_stream import MAX_OPERATORS, Recover
from .source import Span
from .tokens import STATEMENT_WORDS, Kind, Token

_CALLABLE_WORDS = frozenset(("xlog", "xdbg", "log", "error"))
"""Words of the language that are called like functions."""

_OLD_WORDS = {
    "method": "$rm",
    "uri": "$ru",
    "from_uri": "$fu",
    "to_uri": "$tu",
    "src_ip": "$si",
    "src_port": "$sp",
    "dst_ip": "$socket_in(ip)",
    "dst_port": "$socket_in(port)",
    "proto": "$socket_in(proto)",
    "retcode": "$rc",
    "status": "$rs",
    "myself": "is_myself()",
}
"""Words that older versions had as operands, and what is written now."""


class ExpressionParser(CallParser):
    """Reads values out of the tokens."""

    operators = 0
    """Operators of the present statement so far."""

    def count_operator(self) -> None:
        self.operators += 1
        if self.operators > MAX_OPERATORS:
            message = f"a statement has more than {MAX_OPERATORS} operators"
            raise self.mistake("E219", message, self.current.span, help="split it up with a variable")

    # -- expressions ----------------------------------------------------------------------------------------

    def expression(self) -> Expression:
        """A value with all its operators."""
        left = self.arithmetic()
        while self.current.text in BITWISE:
            left = self.binary(left, self.arithmetic)
        return left

    def arithmetic(self) -> Expression:
        left = self.operand()
        while self.current.text in ARITHMETIC:
            left = self.binary(left, self.operand)
        return left

    def binary(self, left: Expression, right: Callable[[], Expression]) -> Expression:
        self.count_operator()
        operator = self.advance().text
        operand = right()
        return Binary(span=self.since(left.span), operator=operator, left=left, right=operand)

    def operand(self) -> Expression:
        """One value of an expression, with the `~` before it."""
        inversions: list[Token] = []
        while self.current.text == "~":
            self.count_operator()
            inversions.append(self.advance())
        operand = self.bare_operand()
        for token in reversed(inversions):
            operand = Unary(span=self.since(token.span), operator="~", operand=operand)
        return operand

    def bare_operand(self) -> Expression:
        token = self.current
        match token.kind:
            case Kind.VARIABLE:
                variable = self.variable()
                return self.comparison(variable) if self.current.text in COMPARISONS else variable
            case Kind.NUMBER:
                return self.number()
            case Kind.STRING:
                return self.single_string("a value")
            case Kind.WORD:
                return self.word_operand()
            case Kind.SYMBOL if token.text == "(":
                self.open_bracket("(", "")
                inner = self.expression()
                self.refuse_comparison(inner)
                self.close_bracket(")")
                return inner
            case Kind.SYMBOL if token.text in ("-", "+"):
                return self.signed_number()
        raise self.no_operand()

    def no_operand(self) -> Recover:
        token = self.current
        if token.kind is Kind.NETWORK:
            help = f'write "{token.text}" for the text'
            return self.unexpected("a value: an address stands only on the right of == or !=", help=help)
        if token.text in ("!", "["):
            return self.unexpected("a value", help=f"'{token.text}' belongs to conditions, not to expressions")
        if token.text == "=" and self.previous.text in ("=", "!", "<", ">"):
            return self.misspelt_pair()
        return self.unexpected("a value")

    def misspelt_pair(self) -> Recover:
        """`= =` and the like."""
        pair = self.previous.text + "="
        meant = "==" if pair == "==" else pair
        message = f"'{self.previous.text} =' is not an operator"
        help = f"write {meant} to compare"
        return self.mistake("E213", message, self.previous.span.to(self.current.span), help=help)

    def word_operand(self) -> Expression:
        """A word where a value is expected: a call, NULL, or a mistake."""
        token = self.current
        if token.text == "route" and self.peek().text == "(":
            return self.route_call()
        if token.text in LOGIC or token.text == "in":
            raise self.unexpected("a value")
        if token.text in ("NULL", "null"):
            help = "NULL stands alone: assign it, or compare with == NULL"
            raise self.unexpected("a value", help=help)
        if token.text in STATEMENT_WORDS and token.text not in _CALLABLE_WORDS:
            raise self.unexpected("a value", help=f"'{token.text}' is a statement and has no value")
        if self.peek().text == "(":
            return self.call()
        raise self.bare_word(token)

    def bare_word(self, token: Token) -> Recover:
        """Reports a word that is no value; to be raised."""
        if token.text in _OLD_WORDS:
            help = f"write {_OLD_WORDS[token.text]}"
        else:
            help = f'write "{token.text}" for the text, ${token.text} for a variable, {token.text}() for a call'
        message = f"the word '{token.text}' is not a value"
        return self.mistake("E205", message, token.span, help=help)

    # -- comparisons ----------------------------------------------------------------------------------------

    def comparison(self, left: Variable) -> Comparison:
        """`left` and the comparison behind it."""
        self.count_operator()
        operator = self.advance().text
        right = self.compared_value(operator)
        return Comparison(span=self.since(left.span), operator=operator, left=left, right=right)

    def compared_value(self, operator: str) -> Expression:
        """The right side of a comparison: a constant or a variable."""
        token = self.current
        regex, equality = operator in ("=~", "!~"), operator in ("==", "!=")
        match token.kind:
            case Kind.VARIABLE:
                return self.variable()
            case Kind.STRING:
                return self.single_string("a value")
            case Kind.NUMBER if not regex:
                return self.number()
            case Kind.NETWORK if equality:
                self.advance()
                if self.current.text == "/":
                    help = f"write {token.text}/… without blanks around the '/'"
                    raise self.unexpected("the end of the comparison", help=help)
                return Network(span=token.span, text=token.text)
            case Kind.SYMBOL if token.text in ("-", "+") and not regex:
                return self.signed_number()
            case Kind.SYMBOL if token.text == "[" and equality and self.peek().kind is Kind.NETWORK:
                return self.bracketed_network()
            case Kind.WORD if token.text in ("NULL", "null") and equality:
                self.advance()
                return Null(span=token.span)
        raise self.no_compared_value(operator)

    def bracketed_network(self) -> Network:
        """`[2001:db8::1]`."""
        opening = self.open_bracket("[", "")
        token = self.advance()
        self.close_bracket("]")
        return Network(span=self.since(opening.span), text=token.text)

    def no_compared_value(self, operator: str) -> Recover:
        token, help = self.current, None
        expected = "a variable or a constant"
        if token.text == "=" or token.text in MISSPELT:
            message = f"'{operator} {token.text}' is not an operator"
            span = self.previous.span.to(token.span)
            return self.mistake("E213", message, span, help=f"write {operator} once")
        if operator in ("=~", "!~"):
            expected = "a regular expression in quotes or a variable"
        elif token.text in ("NULL", "null") or token.kind is Kind.NETWORK:
            help = f"'{token.text}' can be compared with == and != only"
        elif token.kind is Kind.WORD and self.peek().text == "(":
            help = f"call it before: $var(x) = {token.text}(…);"
        elif token.kind is Kind.WORD:
            help = f'write "{token.text}" for the text'
        elif token.text == "(":
            help = "compute it before: $var(x) = …;"
        return self.unexpected(f"{expected} behind '{operator}'", help=help, code="E226")

    def refuse_comparison(self, left: Condition) -> None:
        """After a value that cannot be compared: its comparison is a mistake."""
        token = self.current
        if token.text in MISSPELT:
            help = f"write {MISSPELT[token.text]} to compare"
            raise self.mistake("E213", f"'{token.text}' is not an operator", token.span, help=help)
        if token.text not in COMPARISONS:
            return
        what, remedy = _why_not_on_the_left(left, token.text, self.peek())
        message = f"the left side of '{token.text}' must be a variable, found {what}"
        raise self.mistake("E210", message, left.span, help=remedy)

    # -- conditions -----------------------------------------------------------------------------------------

    def condition(self) -> Condition:
        """Items joined by `and` and `or`, from left to right."""
        left = self.item()
        while operator := LOGIC.get(self.current.text):
            self.count_operator()
            self.advance()
            right = self.item()
            left = Logic(span=self.since(left.span), operator=operator, left=left, right=right)
        return left

    def item(self) -> Condition:
        negations: list[Token] = []
        while self.current.text in ("!", "not"):
            self.count_operator()
            negations.append(self.advance())
        start = self.at
        item = self.bare_item()
        self.refuse_comparison(item)
        self.refuse_arithmetic(start)
        for token in reversed(negations):
            item = Not(span=self.since(token.span), operand=item)
        return item

    def bare_item(self) -> Condition:
        token = self.current
        match token.kind:
            case Kind.VARIABLE:
                variable = self.variable()
                if self.current.text in COMPARISONS:
                    return self.comparison(variable)
                return self.assignment(variable) if self.current.text in ASSIGNMENTS else variable
            case Kind.NUMBER:
                return self.number()
            case Kind.WORD if token.text not in ("NULL", "null"):
                return self.word_operand()
            case Kind.SYMBOL if token.text == "(":
                self.open_bracket("(", "")
                inner = self.condition()
                self.close_bracket(")")
                return inner
            case Kind.SYMBOL if token.text == "[":
                opening = self.open_bracket("[", "")
                inner = self.expression()
                self.refuse_comparison(inner)
                self.close_bracket("]")
                return Bracketed(span=self.since(opening.span), expression=inner)
            case Kind.SYMBOL if token.text in ("-", "+"):
                return self.signed_number()
            case Kind.STRING | Kind.NETWORK | Kind.WORD:
                raise self.constant_condition(token)
        raise self.no_item()

    def no_item(self) -> Recover:
        if self.current.text == "~":
            return self.unexpected("a condition", help="put arithmetic in brackets: [~ …]", code="E209")
        if self.current.text == "=" and self.previous.text in ("!", "not"):
            return self.misspelt_pair()
        return self.unexpected("a condition")

    def constant_condition(self, token: Token) -> Recover:
        """A text, an address or NULL where a condition is expected."""
        self.advance()
        value = Null(span=token.span) if token.kind is Kind.WORD else Network(span=token.span, text=token.text)
        self.refuse_comparison(self.string(token) if token.kind is Kind.STRING else value)
        help = f"write [{token.text}] to test a text" if token.kind is Kind.STRING else None
        return self.mistake("E209", f"{token.describe()} alone is not a condition", token.span, help=help)

    def refuse_arithmetic(self, start: int) -> None:
        """After an item of a condition: arithmetic needs brackets."""
        token = self.current
        if token.text not in ARITHMETIC and token.text not in BITWISE:
            return
        first = self.tokens[start]
        before = first.file.text[first.start : self.previous.end]
        help = f"put it in brackets: [{before} {token.text} …]; to compare it, assign it to a variable before"
        if token.text in ("&", "|"):
            help += f"; the logical operator is {token.text * 2}"
        message = f"found '{token.text}' in a condition: arithmetic needs brackets"
        raise self.mistake("E209", message, token.span, help=help)

    # -- assignments ----------------------------------------------------------------------------------------

    def assignment(self, target: Variable) -> Assignment:
        """`target` and the assignment behind it."""
        if target.transformations:
            help = "assign to the variable itself, without {…}"
            message = f"'{target.text}' cannot be assigned to: it has a transformation"
            self.report("E225", message, target.span, help=help)
        operator = self.advance()
        value = self.assigned_value(operator.text)
        self.refuse_after_value(value)
        return Assignment(span=self.since(target.span), operator=operator.text, target=target, value=value)

    def assigned_value(self, operator: str) -> Expression:
        token = self.current
        if token.text in ("NULL", "null") and token.kind is Kind.WORD:
            if operator not in ("=", ":="):
                help = "NULL is assigned with = or :="
                raise self.unexpected(f"a value behind '{operator}'", help=help)
            self.advance()
            return Null(span=token.span)
        return self.expression()

    def refuse_after_value(self, value: Expression) -> None:
        """What people write behind an assigned value."""
        token = self.current
        if token.text == "=" and self.previous.text in ("=", "<", ">", "!"):
            raise self.misspelt_pair()
        if token.text in ASSIGNMENTS:
            help = "assign one variable at a time; write == to compare"
            raise self.mistake("E211", f"found a second '{token.text}' in an assignment", token.span, help=help)
        self.refuse_second_string()
        self.refuse_comparison(value)


_Reason = tuple[str, str | None]


def _why_not_on_the_left(left: Condition, operator: str, right: Token) -> _Reason:
    """What stands on the left of a comparison, and what to write instead."""
    swapped: dict[str, str] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
    match left:
        case Integer() | String() | Network() | Null():
            what = {Integer: "a number", String: "a text", Network: "an address", Null: "NULL"}[type(left)]
            if right.kind is Kind.VARIABLE and operator not in ("=~", "!~"):
                return what, f"swap the sides: {right.text} {swapped.get(operator, operator)} {_spelling(left)}"
            return what, "write a variable on the left"
        case Call() | RouteCall():
            return "a call", f"call it before, then compare the return code: if ($rc {operator} …)"
        case Comparison():
            return "another comparison", "join comparisons with 'and'"
        case _:
            return "an expression", "assign it to a variable before: $var(x) = …;"


def _spelling(node: Integer | String | Network | Null) -> str:
    span: Span = node.span
    return span.file.line(span.line)[span.column - 1 : span.end_column - 1] if span.line == span.end_line else "…"
