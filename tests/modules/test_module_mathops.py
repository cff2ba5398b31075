"""Calculating with fractions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import ConfigurationError
from miscript.modules.mathops import MathOps, fixed, integer
from miscript.modules.mathops.expression import MAX_DEPTH, BadExpression, evaluate
from miscript.modules.mathops.floats import leading_number, round_to_decimals, round_to_figures
from miscript.modules.mathops.rpn import MAX_STACK, evaluate_rpn
from miscript.values import INT_MIN
from module_services import module_services
from script_lines import printed


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1 + 2 * 3", "7.000000"),
        ("(1 + 2) * 3", "9.000000"),
        ("2^3^2", "64.000000"),
        ("-2^2", "4.000000"),
        ("2^-1", "0.500000"),
        ("-+-3", "3.000000"),
        ("-5 % 3", "-2.000000"),
        ("5.5 % 2", "1.500000"),
        ("1 / 0", "inf"),
        ("-1/0", "-inf"),
        ("ln(0)", "-inf"),
        ("log(100)", "2.000000"),
        ("sqrt 4", "2.000000"),
        ("sqrt4", "2.000000"),
        ("sin 0 + 1", "1.000000"),
        ("abs(abs -1)", "1.000000"),
        ("cosh(1000)", "inf"),
        ("sinh(-1000)", "-inf"),
        ("ceil(-0.5)", "-0.000000"),
        (".5", "0.500000"),
        ("5.", "5.000000"),
        ("0x10", "16.000000"),
        ("0x1p3", "8.000000"),
        ("1e400", "inf"),
        (" 1\t+\n1 ", "2.000000"),
        ("(-8)^(1/3)*0+1", None),
        ("0^-1", "inf"),
        ("10^400", "inf"),
    ],
)
def test_expressions(text: str, result: str | None) -> None:
    if result is None:
        with pytest.raises(BadExpression, match="not a number"):
            evaluate(text)
    else:
        assert fixed(evaluate(text), 6) == result


@pytest.mark.parametrize(
    "text",
    [
        *("", "1 +", "1,2", "1 2", "(1", "1)", "()", "1e", "1..2", "pi", "max", "ABS(1)", "log10(100)", "sin(1)(2)"),
        *("5 % 0", "0/0", "sqrt(-1)", "asin(2)", "3 > 2", "!1", "inf", "nan", "\udc80"),
    ],
)
def test_what_is_no_expression_or_no_number_fails(text: str) -> None:
    with pytest.raises(BadExpression):
        evaluate(text)


def test_depth_is_limited_and_length_does_not_hurt() -> None:
    assert evaluate("(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH) == 1
    assert evaluate("-" * 10_000 + "1") == 1
    assert evaluate("1" + "+1" * 10_000) == 10_001
    for text in ("(" * 5000 + "1" + ")" * 5000, "abs " * 5000 + "1"):
        with pytest.raises(BadExpression, match="levels"):
            evaluate(text)


NUMBERS = st.integers(0, 1000) | st.floats(0, 1e6).filter(lambda x: "e" not in repr(x))
SUMS = st.recursive(
    NUMBERS.map(repr),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
)


@given(SUMS)
def test_the_four_operations_agree_with_python(text: str) -> None:
    try:
        expected = float(eval(text))
    except ZeroDivisionError:
        return
    assert evaluate(text) == pytest.approx(expected, nan_ok=False)


@given(st.text() | st.text(alphabet="0123456789.e+-*/%^() abslnpowxinf", max_size=40))
def test_any_text_has_a_value_or_is_refused(text: str) -> None:
    for function in (evaluate, evaluate_rpn):
        try:
            assert isinstance(function(text), float | int)
        except BadExpression as error:
            assert str(error)
    integer(leading_number(text))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2 3 + 4 *", 20.0),
        ("2 3+", 5.0),
        ("5.5 2 mod", 1.5),
        ("2 10 pow", 1024.0),
        ("3 neg", -3.0),
        ("e ln", 1.0),
        ("100 log10", 2.0),
        ("27 cbrt", 3.0),
        ("-0.5 round", -1.0),
        ("2.5 nearbyint", 2.0),
        ("-2.5 trunc", -2.0),
        ("pi", math.pi),
        ("1 2 drop", 1.0),
        ("1 dup +", 2.0),
        ("1 2 swap -", 1.0),
        ("1 0 /", math.inf),
        ("1 3 swap swap dup drop / exp ln 1 swap /", 3.0),
    ],
)
def test_reverse_polish_notation(text: str, result: float) -> None:
    assert evaluate_rpn(text) == pytest.approx(result)


@pytest.mark.parametrize(
    "text", ["", "1 2", "x", "1 +", "drop", "1 swap", "dup", "1 - 2", "5 3 %", "+1", "1abc", "inf"]
)
def test_what_leaves_no_single_number_fails(text: str) -> None:
    with pytest.raises(BadExpression):
        evaluate_rpn(text)


def test_the_stack_is_limited() -> None:
    with pytest.raises(BadExpression, match="stack"):
        evaluate_rpn("1 " * (MAX_STACK + 1))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3.7", 3.7),
        (" 5.5x", 5.5),
        ("0x10", 16),
        ("1 + 1", 1),
        ("abc", 0),
        ("", 0),
        ("-1e3", -1000),
        ("-inf", -math.inf),
    ],
)
def test_a_number_is_what_the_text_begins_with(text: str, number: float) -> None:
    assert leading_number(text) == number


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (3.14159, 2, "3.14"),
        (2.675, 2, "2.67"),
        (0.125, 2, "0.13"),
        (-0.125, 2, "-0.13"),
        (1e20, 2, "100000000000000000000.00"),
        (math.inf, 2, "inf"),
        (5e-324, 100, "0." + "0" * 100),
    ],
)
def test_halves_are_rounded_away_from_zero(value: float, decimals: int, text: str) -> None:
    assert round_to_decimals(value, decimals) == text


@pytest.mark.parametrize(
    ("value", "figures", "result"),
    [
        (17892.987, 1, 20000),
        (17892.987, 5, 17893),
        (17892.987, 7, 17892.99),
        (-17892.987, 3, -17900),
        (123456789012, 3, 123000000000),
        (0.00012345, 3, 0.000123),
        (99.95, 3, 100),
        (0, 3, 0),
        (5, 0, 10),
        (5, -3, 0),
    ],
)
def test_significant_figures(value: float, figures: int, result: float) -> None:
    assert round_to_figures(value, figures) == result


@given(st.floats(allow_nan=False), st.integers(-5, 400))
def test_rounding_never_breaks(value: float, figures: int) -> None:
    round_to_figures(value, figures)
    round_to_decimals(value, min(abs(figures), 100))
    assert integer(value) >= INT_MIN


async def test_results_in_scripts() -> None:
    assert await printed(
        "mathops",
        r"""
        math_floor("-3.2", $var(r)); xlog("$var(r) "); math_ceil("3.2", $var(r)); xlog("$var(r) ");
        math_trunc("-3.7", $var(r)); xlog("$var(r) "); math_round("2.5", $var(r)); $var(r) += 1; xlog("$var(r)\n");
        math_round("3.14159", $var(r), 2); xlog("$rc $var(r)\n");
        math_round("1.5", $var(r), 400); xlog("$rc $var(r)\n");
        math_round_sf("12345.678", $var(r), 3); xlog("$rc $var(r)\n");
        math_round_sf("17.5", $var(r)); xlog("$rc $var(r)\n");
        math_compare("2 * 3", "7", $var(r)); xlog("$rc $var(r)\n");
        math_compare("1 +", "7", $var(r)); xlog("$rc $var(r)\n");
        math_eval("1 / 3", $var(r)); xlog("$rc $var(r)\n");
        math_floor("3000000000", $var(r)); xlog("$rc $var(r)\n");
        """,
        parameters='modparam("mathops", "decimal_digits", 3)',
    ) == [
        "-4 4 -3 4",
        "1 3.14",
        "-1 3.14",
        "1 12300.000",
        "1 18",
        "1 -1",
        "-1 -1",
        "1 0.333",
        "1 -2147483648",
    ]


@pytest.mark.parametrize("digits", [-1, 101])
def test_a_number_of_digits_without_sense_is_refused(digits: int) -> None:
    module = MathOps(module_services())
    module.set_parameter("decimal_digits", digits)
    with pytest.raises(ConfigurationError, match="decimal_digits"):
        module.init()
