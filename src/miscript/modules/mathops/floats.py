"""Floating point as C has it: what Python raises as an exception is an infinity or NaN here.

Source: ISO C (IEEE 754, annex F) for the functions; `strtod` for the spelling of numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

NAN: Final = math.nan

NUMBER: Final = r"0[xX](?:[0-9a-fA-F]++\.?+[0-9a-fA-F]*+|\.[0-9a-fA-F]++)(?:[pP][+-]?[0-9]++)?+" + (
    r"|(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+"
)
"""A number without sign, as `strtod` reads it."""

_leading = re.compile(rf"[ \t\n\r\f\v]*([+-]?(?:{NUMBER}|inf(?:inity)?|nan))", re.IGNORECASE | re.ASCII).match


def number_of(spelling: str) -> float:
    """The number that `spelling`, which matches NUMBER (a sign may stand before it), means."""
    if spelling.lstrip("+-")[:2] not in ("0x", "0X"):
        return float(spelling)
    try:
        return float.fromhex(spelling)
    except OverflowError:
        return -math.inf if spelling.startswith("-") else math.inf


def leading_number(text: str) -> float:
    """The number that `text` begins with; 0 when it begins with none."""
    matched = _leading(text)
    return number_of(matched.group(1)) if matched is not None else 0.0


def divide(left: float, right: float) -> float:
    if right:
        return left / right
    if not left or math.isnan(left) or math.isnan(right):
        return NAN
    return math.copysign(math.inf, left) * math.copysign(1, right)


def remainder(left: float, right: float) -> float:
    """`fmod`: the sign is that of `left`."""
    try:
        return math.fmod(left, right)
    except ValueError:
        return NAN


def power(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except OverflowError:
        return -math.inf if left < 0 and right % 2 == 1 else math.inf
    except ValueError:
        return math.inf if left == 0 else NAN


def logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    """A logarithm: minus infinity at 0, NaN below."""

    def log(value: float) -> float:
        if value == 0:
            return -math.inf
        return NAN if value < 0 else function(value)

    return log


def total(function: Callable[[float], float]) -> Callable[[float], float]:
    """`function` made total: infinity where it overflows, NaN where it is not defined."""

    def of(value: float) -> float:
        try:
            return function(value)
        except OverflowError:
            return function(math.copysign(700, value)) * math.inf
        except ValueError:
            return NAN

    return of


def whole(function: Callable[[float], int]) -> Callable[[float], float]:
    """`function`, which rounds, for infinities and NaN too; the result keeps the sign, also that of zero."""
    return lambda value: math.copysign(function(value), value) if math.isfinite(value) else value


def round_away(value: float) -> float:
    """The nearest integer, halves away from zero (C's `round`)."""
    if not math.isfinite(value):
        return value
    below = math.floor(abs(value))
    return math.copysign(below + 1 if abs(value) - below >= 0.5 else below, value)


_EXACT: Final = Context(prec=1000, rounding=ROUND_HALF_UP)


def round_to_decimals(value: float, decimals: int) -> str:
    """`value` with that many digits behind the point, halves away from zero."""
    if not math.isfinite(value):
        return f"{value:f}"
    return f"{Decimal(value).quantize(Decimal(1).scaleb(-decimals), context=_EXACT):f}"


def round_to_figures(value: float, figures: int) -> float:
    """`value` with that many significant figures; one that has no more stays as it is."""
    if not value or not math.isfinite(value) or figures > 17:
        return value
    shift = min(figures - math.ceil(math.log10(abs(value))), 300)
    if shift < 0:  # dividing by a whole power of ten is exact, multiplying by a fraction is not
        return round_away(value / 10.0**-shift) * 10.0**-shift
    scaled = value * 10.0**shift
    return round_away(scaled) / 10.0**shift if math.isfinite(scaled) else value
