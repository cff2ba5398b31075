"""The table of transformations, and the decorators that fill it.

A transformation takes a value and gives one.  NULL gives NULL; what goes wrong gives NULL.  Its arguments come
evaluated; a text where a number is needed gives NULL (digits that are written out in the script come as numbers).

Source: OpenSIPS manual, "Script Transformations".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ....script.signatures import TransformationSignature
from ....values import Value, plain_text

MAX_LENGTH = 1 << 20
"""Longest text in bytes that a transformation pads to or reads as a list; more gives NULL."""

TRANSFORMATIONS: dict[tuple[str, str], TransformationSignature] = {}
"""The transformations of the core by class and name, all but `{s.eval}`, which needs the run."""

F = TypeVar("F", bound=Callable[..., Value])


def text_transformation(
    class_name: str, *names: str, kinds: tuple[str, ...] = (), minimum: int | None = None, keeps: bool = False
) -> Callable[[F], F]:
    """Register a function that takes the text of a value, and arguments of these kinds.

    An "integer" argument is an `int`, all others are `str`; a "word" that is written out ends at a blank.  `minimum`
    arguments must be given (default: all).  With `keeps`, a number whose text stays the same stays a number.
    """

    def register(function: F) -> F:
        whole = _of_text(function) if not kinds else _of_text_with(function, kinds)
        prepare = None if not kinds else _prepare(function, kinds, keeps)
        if keeps:
            whole = _keeping(whole)
        for name in names:
            _register(class_name, name, kinds, minimum, function, whole, prepare)
        return function

    return register


def value_transformation(class_name: str, name: str) -> Callable[[F], F]:
    """Register a function without arguments that takes the value itself, which may be a number or NULL."""

    def register(function: F) -> F:
        _register(class_name, name, (), None, function, function, None)
        return function

    return register


def _register(
    class_name: str,
    name: str,
    kinds: tuple[str, ...],
    minimum: int | None,
    function: Callable[..., Value],
    whole: Callable[..., Value],
    prepare: Callable[..., Callable[[Value], Value]] | None,
) -> None:
    least = len(kinds) if minimum is None else minimum
    help_text = " ".join((function.__doc__ or "").split())
    TRANSFORMATIONS[class_name, name] = TransformationSignature(
        class_name, name, kinds, least, help_text, whole, prepare
    )


def _keeping(transform: Callable[..., Value]) -> Callable[..., Value]:
    def keeping(value: Value, *arguments: Value) -> Value:
        result = transform(value, *arguments)
        return value if isinstance(value, int) and result == plain_text(value) else result

    return keeping


def _of_text(function: Callable[[str], Value]) -> Callable[[Value], Value]:
    def transform(value: Value) -> Value:
        if isinstance(value, str):
            return function(value)
        return None if value is None else function(plain_text(value))

    return transform


def _of_text_with(function: Callable[..., Value], kinds: tuple[str, ...]) -> Callable[..., Value]:
    def transform(value: Value, *arguments: Value) -> Value:
        if value is None:
            return None
        converted = _converted(kinds, arguments)
        return None if converted is None else function(plain_text(value), *converted)

    return transform


def _prepare(
    function: Callable[..., Value], kinds: tuple[str, ...], keeps: bool
) -> Callable[..., Callable[[Value], Value]]:
    def prepare(*arguments: Value) -> Callable[[Value], Value]:
        converted = _converted(kinds, arguments)
        if converted is None:
            return lambda value: None
        given = converted

        def transform(value: Value) -> Value:
            if isinstance(value, str):
                return function(value, *given)
            return None if value is None else function(plain_text(value), *given)

        return _keeping(transform) if keeps else transform

    return prepare


def _converted(kinds: tuple[str, ...], arguments: Sequence[Value]) -> list[int | str] | None:
    """The arguments as numbers and texts, or None when one is not what it must be."""
    found: list[int | str] = []
    for kind, argument in zip(kinds, arguments, strict=False):
        if argument is None or (kind == "integer" and not isinstance(argument, int)):
            return None
        found.append(int(argument) if kind == "integer" else plain_text(argument))
    return found
