"""Arithmetic written the usual way: `evaluate("2 * (1 + sqrt(2))")`.

    expression = term *( ("+" / "-") term )
    term       = factor *( ("*" / "/" / "%") factor )
    factor     = signed *( "^" signed )                  from left to right, and looser than a sign: -2^2 is 4
    signed     = *( "+" / "-" ) base
    base       = number / function signed / "(" expression ")"

Functions are in `FUNCTIONS`; `log` has base 10.  Blanks may stand anywhere.  A result that is NaN is an error.

Source: OpenSIPS manual, module mathops, `math_eval`; the grammar in the README of TinyExpr.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from .floats import NUMBER, divide, logarithm, number_of, power, remainder, total, whole

MAX_LENGTH: Final = 65536
"""Characters of an expression."""

MAX_DEPTH: Final = 64
"""Brackets and functions inside each other."""

FUNCTIONS: Final[Mapping[str, Callable[[float], float]]] = {
    "abs": abs,
    "acos": total(math.acos),
    "asin": total(math.asin),
    "atan": math.atan,
    "ceil": whole(math.ceil),
    "cos": total(math.cos),
    "cosh": total(math.cosh),
    "exp": total(math.exp),
    "floor": whole(math.floor),
    "ln": logarithm(math.log),
    "log": logarithm(math.log10),
    "sin": total(math.sin),
    "sinh": total(math.sinh),
    "sqrt": total(math.sqrt),
    "tan": total(math.tan),
    "tanh": math.tanh,
}

_token = re.compile(rf"[ \t\n\r]*(?:(?P<number>{NUMBER})|(?P<name>[a-z]++)|(?P<sign>[-+*/%^()])|(?P<end>\Z))").match


class BadExpression(ValueError):
    """A text that cannot be evaluated."""


@lru_cache(maxsize=256)
def evaluate(text: str) -> float:
    """The value of the expression; it may be infinite.  Raises BadExpression."""
    if len(text) > MAX_LENGTH:
        raise BadExpression(f"more than {MAX_LENGTH} characters")
    reader = _Reader(text)
    result = reader.expression(0)
    if reader.kind != "end":
        raise reader.refuse("an operator or the end")
    if math.isnan(result):
        raise BadExpression("the result is not a number")
    return result


class _Reader:
    """The current token is `kind` ("number", "name", "sign", "end") and `token`, which ends at `position`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.kind = self.token = ""
        self.advance()

    def advance(self) -> None:
        matched = _token(self.text, self.position)
        if matched is None:
            raise BadExpression(f"unknown character at {self.position}")
        self.kind = matched.lastgroup or ""
        self.token = matched.group(self.kind)
        self.position = matched.end()

    def refuse(self, expected: str) -> BadExpression:
        return BadExpression(f"expected {expected}, found " + (f"'{self.token}'" if self.token else "the end"))

    def take(self, signs: str) -> str:
        """The current token when it is one of `signs`, which is stepped over; else ""."""
        found = self.token if self.kind == "sign" and self.token in signs else ""
        if found:
            self.advance()
        return found

    def expression(self, depth: int) -> float:
        result = self.term(depth)
        while operator := self.take("+-"):
            right = self.term(depth)
            result = result + right if operator == "+" else result - right
        return result

    def term(self, depth: int) -> float:
        result = self.factor(depth)
        while operator := self.take("*/%"):
            right = self.factor(depth)
            match operator:
                case "*":
                    result *= right
                case "/":
                    result = divide(result, right)
                case _:
                    result = remainder(result, right)
        return result

    def factor(self, depth: int) -> float:
        result = self.signed(depth)
        while self.take("^"):
            result = power(result, self.signed(depth))
        return result

    def signed(self, depth: int) -> float:
        negative = False
        while sign := self.take("+-"):
            negative ^= sign == "-"
        result = self.base(depth)
        return -result if negative else result

    def base(self, depth: int) -> float:
        if depth > MAX_DEPTH:
            raise BadExpression(f"more than {MAX_DEPTH} levels")
        kind, token = self.kind, self.token
        if kind == "number":
            self.advance()
            return number_of(token)
        if kind == "name" and token in FUNCTIONS:
            self.advance()
            return FUNCTIONS[token](self.signed(depth + 1))
        if self.take("("):
            result = self.expression(depth + 1)
            if not self.take(")"):
                raise self.refuse("')'")
            return result
        raise self.refuse("a number, a function or '('")
