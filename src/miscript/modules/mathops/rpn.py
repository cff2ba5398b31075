"""Reverse Polish notation: `evaluate_rpn("1 2 + 3 *")`.

Numbers are pushed onto a stack, every other word works on it; at the end one number must be left.

Source: OpenSIPS manual, module mathops, `math_rpn`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from .expression import FUNCTIONS, MAX_LENGTH, BadExpression
from .floats import NUMBER, divide, number_of, power, remainder, round_away, whole

MAX_STACK: Final = 1000
"""Numbers on the stack."""

_UNARY: Final[Mapping[str, Callable[[float], float]]] = {
    "neg": lambda value: -value,
    "exp": FUNCTIONS["exp"],
    "ln": FUNCTIONS["ln"],
    "log10": FUNCTIONS["log"],
    "abs": abs,
    "sqrt": FUNCTIONS["sqrt"],
    "cbrt": math.cbrt,
    "floor": FUNCTIONS["floor"],
    "ceil": FUNCTIONS["ceil"],
    "round": round_away,
    "nearbyint": whole(round),
    "trunc": whole(math.trunc),
}
_BINARY: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": divide,
    "mod": remainder,
    "pow": power,
}
_CONSTANTS: Final[Mapping[str, float]] = {"e": math.e, "pi": math.pi}
_STACK: Final[Mapping[str, tuple[int, Callable[[list[float]], list[float]]]]] = {
    "drop": (1, lambda taken: []),
    "dup": (1, lambda taken: [taken[0], taken[0]]),
    "swap": (2, lambda taken: [taken[1], taken[0]]),
}

_word = re.compile(rf"[ \t\n\r]*(?:(-?(?:{NUMBER}))|([^ \t\n\r]++)|\Z)").match


def evaluate_rpn(text: str) -> float:
    """The value of `text`; it may be infinite or NaN.  Raises BadExpression."""
    if len(text) > MAX_LENGTH:
        raise BadExpression(f"more than {MAX_LENGTH} characters")
    stack: list[float] = []
    position = 0
    while (matched := _word(text, position)) is not None and matched.lastindex:
        number, word = matched.groups()
        if number is not None:
            stack.append(number_of(number))
        else:
            _apply(word, stack)
        if len(stack) > MAX_STACK:
            raise BadExpression(f"more than {MAX_STACK} numbers on the stack")
        position = matched.end()
    if len(stack) != 1:
        raise BadExpression(f"expected one number at the end, found {len(stack)}")
    return stack[0]


def _apply(word: str, stack: list[float]) -> None:
    if word in _CONSTANTS:
        stack.append(_CONSTANTS[word])
    elif word in _UNARY:
        stack += [_UNARY[word](*_take(1, word, stack))]
    elif word in _BINARY:
        stack += [_BINARY[word](*_take(2, word, stack))]
    elif word in _STACK:
        count, rearrange = _STACK[word]
        stack += rearrange(_take(count, word, stack))
    else:
        raise BadExpression(f"unknown operation '{word}'")


def _take(count: int, word: str, stack: list[float]) -> list[float]:
    if len(stack) < count:
        raise BadExpression(f"'{word}' needs {count} numbers on the stack, found {len(stack)}")
    taken = stack[-count:]
    del stack[-count:]
    return taken
