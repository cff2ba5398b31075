"""Module mathops: calculating with fractions.

`math_eval` and `math_rpn` write their result as a text with `decimal_digits` digits behind the point, for example
"2.500000"; `math_floor`, `math_ceil`, `math_trunc` and `math_round` write an integer.  All return 1, or -1 when an
expression cannot be evaluated or the variable cannot take the result.

Source: OpenSIPS manual, module mathops; observed results of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Final

from ...errors import ConfigurationError
from ...exports import Module, Writable, parameter, script_function
from ...script.runtime import Run
from ...values import INT_MAX, INT_MIN, Value
from .expression import BadExpression, evaluate
from .floats import leading_number, round_away, round_to_decimals, round_to_figures, whole
from .rpn import evaluate_rpn

__all__ = ["MathOps"]

log = logging.getLogger("miscript.mathops")

MAX_DIGITS: Final = 100
"""Digits behind the point that a result may have; a double has about 17 that mean something."""


def fixed(value: float, digits: int) -> str:
    """`value` with `digits` digits behind the point; `inf`, `-inf` and `nan` as they are."""
    return f"{value:.{digits}f}"


def integer(value: float) -> int:
    """`value`, which is whole, as an integer of the script.

    What has no place in 32 bits becomes the smallest integer, as it does in the server, with a line in the log.
    """
    if INT_MIN <= value <= INT_MAX:
        return int(value)
    log.error("%s does not fit into an integer", value)
    return INT_MIN


class MathOps(Module):
    """Calculate with fractions."""

    name = "mathops"

    decimal_digits = parameter(6, "Digits behind the point of results that are not integers, up to 100.")

    def init(self) -> None:
        if not 0 <= self.decimal_digits <= MAX_DIGITS:
            raise ConfigurationError(
                f"decimal_digits must be 0 to {MAX_DIGITS}, found {self.decimal_digits}", parameter="decimal_digits"
            )

    def _calculate(self, run: Run, calculate: Callable[[], Value], result_var: Writable) -> int:
        try:
            result = calculate()
        except BadExpression as error:
            log.error("%s: %s", run.route, error)
            return -1
        return 1 if result_var.set(run, result) else -1

    @script_function()
    def math_eval(self, run: Run, expression: str, result_var: Writable) -> int:
        """Evaluate `expression`, for example `"2 * ($var(a) + 1)"`: `+ - * / % ^`, brackets, and the functions abs
        acos asin atan ceil cos cosh exp floor ln log (base 10) sin sinh sqrt tan tanh."""
        return self._calculate(run, lambda: fixed(evaluate(expression), self.decimal_digits), result_var)

    @script_function()
    def math_rpn(self, run: Run, expression: str, result_var: Writable) -> int:
        """Evaluate an expression in reverse Polish notation, for example `"1 2 + 3 *"`: `+ - * / mod pow`, neg exp ln
        log10 abs sqrt cbrt floor ceil round nearbyint trunc, the constants e and pi, and drop dup swap."""
        return self._calculate(run, lambda: fixed(evaluate_rpn(expression), self.decimal_digits), result_var)

    @script_function()
    def math_compare(self, run: Run, exp1: str, exp2: str, result_var: Writable) -> int:
        """Compare two expressions: 1 when the first is greater, -1 when the second is, 0 when they are equal."""

        def compare() -> int:
            first, second = evaluate(exp1), evaluate(exp2)
            return (first > second) - (first < second)

        return self._calculate(run, compare, result_var)

    @script_function()
    def math_floor(self, run: Run, number: str, result_var: Writable) -> int:
        """Round down, towards minus infinity: -2.9 becomes -3."""
        return self._rounded(run, math.floor, number, result_var)

    @script_function()
    def math_ceil(self, run: Run, number: str, result_var: Writable) -> int:
        """Round up, towards infinity: 3.2 becomes 4."""
        return self._rounded(run, math.ceil, number, result_var)

    @script_function()
    def math_trunc(self, run: Run, number: str, result_var: Writable) -> int:
        """Cut the fraction off: -2.9 becomes -2."""
        return self._rounded(run, math.trunc, number, result_var)

    def _rounded(self, run: Run, function: Callable[[float], int], number: str, result_var: Writable) -> int:
        return 1 if result_var.set(run, integer(whole(function)(leading_number(number)))) else -1

    @script_function()
    def math_round(self, run: Run, number: str, result_var: Writable, decimals: int = 0) -> int:
        """Round to the nearest integer, halves away from zero; with `decimals` (up to 100), to that many digits
        behind the point, written as a text.  With a negative number of decimals it is not rounded."""
        if decimals > MAX_DIGITS:
            log.error("math_round: decimals must be 0 to %d, found %d", MAX_DIGITS, decimals)
            return -1
        value = leading_number(number)
        if decimals < 0:
            return 1 if result_var.set(run, fixed(value, 6)) else -1
        if not decimals:
            return 1 if result_var.set(run, integer(round_away(value))) else -1
        return 1 if result_var.set(run, round_to_decimals(value, decimals)) else -1

    @script_function()
    def math_round_sf(self, run: Run, number: str, result_var: Writable, figures: int | None = None) -> int:
        """Round to `figures` significant figures, written as a text: 17892.987 with 3 becomes "17900.000000".  Without
        `figures`, the same as `math_round`."""
        value = leading_number(number)
        if figures is None:
            return 1 if result_var.set(run, integer(round_away(value))) else -1
        return 1 if result_var.set(run, fixed(round_to_figures(value, figures), self.decimal_digits)) else -1
