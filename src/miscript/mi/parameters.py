"""How a command reads one parameter of a request.

The annotation of a handler's parameter says what it wants: `str`, `int`, `list[str]` (each also with `| None`).
A reader takes the JSON value and gives back what the handler is called with, or raises `Invalid params` naming the
parameter.  A parameter annotated `Raw` (or `object`, or not at all) is handed over unread and may be anything.
`Unread[str]` (or of the others) leaves the reading to the handler, for commands that look at other things first;
`Annotated[str, Refused(…)]` has a reader that refuses more, before the next parameter is read.

Source: observed answers of OpenSIPS 4.1; numbers beyond 32 bits are refused instead of wrapped.
"""

from __future__ import annotations

import functools
import inspect
import keyword
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeAlias, TypeVar, cast

from ..errors import DeclarationError, MIError
from ..values import INT_MAX, INT_MIN
from .jsonrpc import invalid_params

Raw: TypeAlias = object
"""Annotation of a handler's parameter that takes any JSON value as it is."""

Reader: TypeAlias = Callable[[object], object]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unread(Generic[T]):
    """A parameter that its handler reads when it comes to it: what is wrong before that is told first."""

    value: object
    reader: Reader

    def read(self) -> T:
        """What the annotation asks for.  Raises `Invalid params` naming the parameter."""
        return cast(T, self.reader(self.value))


_INTEGER = re.compile(r"([+-]?)0*([0-9]{1,10})")


@dataclass(frozen=True, slots=True)
class Refused:
    """A value that is read, and then refused: `when` it is so, with `data` in `Invalid params`.

    `mi()` hands texts over unread, so a handler has to look once more.
    """

    when: Callable[[Any], bool]
    data: str

    def reader(self, read: Reader) -> Reader:
        """`read`, and then this."""

        def read_and_check(value: object) -> object:
            found = read(value)
            if self.when(found):
                raise invalid_params(self.data)
            return found

        return read_and_check


def python_name(parameter: str) -> str:
    """The name that a handler's parameter must have: `integrity-key` → `integrity_key`, `from` → `from_`."""
    name = parameter.replace("-", "_")
    return name + "_" if keyword.iskeyword(name) else name


def text_reader(name: str) -> Reader:
    """Text is wanted: a text, or a number, cut to an integer and written in decimal."""

    def read(value: object) -> object:
        if value.__class__ is str:
            return value
        text = _text(value)
        if text is None:
            raise _bad_type(name)
        return text

    return read


def integer_reader(name: str) -> Reader:
    """An integer is wanted: a number, cut, or a text of digits with or without a sign."""

    def read(value: object) -> object:
        if value.__class__ is int and INT_MIN <= value <= INT_MAX:
            return value
        number = _integer_in(value) if isinstance(value, str) else _integer(value)
        if number is None:
            raise _bad_type(name)
        return number

    return read


def array_reader(name: str) -> Reader:
    """An array is wanted: not empty, its items read as texts."""

    def read(value: object) -> object:
        if not isinstance(value, list):
            raise _bad_type(name)
        if not value:
            raise invalid_params(f"Empty array in parameter '{name}'")
        items = [item if item.__class__ is str else _text(item) for item in value]
        if None in items:
            raise invalid_params(f"Bad type for array item in parameter '{name}'")
        return items

    return read


def unread(value: object) -> object:
    """Anything will do; its type is nobody's business but the handler's."""
    return value


def text_or_none(value: object) -> str | None:
    """What a text reader gives, or None for what it refuses: some commands take that for a parameter left out."""
    return value if isinstance(value, str) else _text(value)


def integer_or_none(value: object) -> int | None:
    """What an integer reader gives, or None for what it refuses."""
    return _integer_in(value) if isinstance(value, str) else _integer(value)


def reader_for(parameter: inspect.Parameter, name: str, owner: Callable[..., object]) -> Reader:
    """The reader that `parameter`'s annotation asks for; `name` is what requests call it.

    Raises `DeclarationError` for an annotation that cannot be read from JSON.
    """
    kind = _kind_of(parameter, owner)
    if typing.get_origin(kind) is Unread:
        return functools.partial(Unread, reader=_reader_of(typing.get_args(kind)[0], name))
    return _reader_of(kind, name)


def takes_texts(parameter: inspect.Parameter, owner: Callable[..., object]) -> bool:
    """Whether a text is handed to `parameter` as it is: its reader would not change it.  Raises like `reader_for`."""
    return _unmarked(_kind_of(parameter, owner)) is str


def _kind_of(parameter: inspect.Parameter, owner: Callable[..., object]) -> object:
    """What is annotated, without `| None`; `object` for anything.  Raises `DeclarationError`."""
    annotation = _evaluated(parameter, owner)
    kinds = [kind for kind in _alternatives(annotation) if kind is not types.NoneType]
    if parameter.empty in kinds or object in kinds or typing.Any in kinds:
        return object
    if len(kinds) == 1:
        [kind] = kinds
        wanted = typing.get_args(kind)[0] if typing.get_origin(kind) is Unread else kind
        if _unmarked(wanted) in (str, int, list, list[str]):
            return kind
    raise DeclarationError(
        f"MI handler '{_name_of(owner)}': parameter '{parameter.name}' is annotated '{parameter.annotation}', "
        "expected 'str', 'int', 'list[str]', one of them in 'Unread[…]', or 'Raw'"
    )


def _unmarked(kind: object) -> object:
    return typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind


def _reader_of(kind: object, name: str) -> Reader:
    if typing.get_origin(kind) is Annotated:
        kind, *marks = typing.get_args(kind)
        read = _reader_of(kind, name)
        for mark in marks:
            if isinstance(mark, Refused):
                read = mark.reader(read)
        return read
    if kind is str:
        return text_reader(name)
    if kind is int:
        return integer_reader(name)
    if kind is list or kind == list[str]:
        return array_reader(name)
    return unread


def _evaluated(parameter: inspect.Parameter, owner: Callable[..., object]) -> object:
    """The annotation as an object.  Only this one is evaluated: others may name what only type checkers import."""
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    function = owner.func if isinstance(owner, functools.partial) else owner
    function = inspect.unwrap(getattr(function, "__func__", function))
    try:
        return eval(parameter.annotation, getattr(function, "__globals__", {}))  # our own source, as typing does
    except Exception as error:
        raise DeclarationError(
            f"MI handler '{_name_of(owner)}': the annotation '{parameter.annotation}' of parameter "
            f"'{parameter.name}' cannot be evaluated: {error}"
        ) from error


def _name_of(owner: Callable[..., object]) -> str:
    return getattr(owner, "__qualname__", repr(owner))


def _alternatives(annotation: object) -> tuple[object, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _bad_type(name: str) -> MIError:
    return invalid_params(f"Bad type for parameter '{name}'")


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    number = _integer(value)
    return None if number is None else str(number)


def _integer(value: object) -> int | None:
    """A JSON number within 32 bits, its fraction cut."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError):  # not a number, infinite
        return None
    return number if INT_MIN <= number <= INT_MAX else None


def _integer_in(text: str) -> int | None:
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    number = int(match[1] + match[2])
    return number if INT_MIN <= number <= INT_MAX else None
