"""The parameters of a script function, read from the Python function that does its work.

The annotation is the kind, marks in `Annotated` narrow it, a default (or None among the types) makes it optional;
`exports` names the annotations that there are.  This is done for every function of every module that is loaded, so
nothing is looked at that is not needed: `inspect.signature` and `typing.get_type_hints` take five times as long.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin

from .errors import DeclarationError
from .script.signatures import Argument, Kind, Parameter, VariableAccess
from .values import Value

_KINDS: dict[Any, Kind] = {
    str: Kind.STRING,
    int: Kind.INTEGER,
    VariableAccess: Kind.VARIABLE,
    re.Pattern[bytes]: Kind.REGEX,
}


def function_parameters(function: Callable[..., Any], skipped: int, where: str) -> tuple[Parameter, ...]:
    """The parameters behind the first `skipped` ones (`self`, the run).

    Raises DeclarationError, which begins with `where`, for one that no argument of a script can be given to.
    """
    code = function.__code__
    if code.co_kwonlyargcount or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        special = parameter_names(function)[code.co_argcount]
        raise DeclarationError(f"{where}: parameter '{special}' must be a plain one")
    names = code.co_varnames[: code.co_argcount]
    first_default = code.co_argcount - len(function.__defaults__ or ())
    found: list[Parameter] = []
    for place, name in enumerate(names[skipped:], skipped):
        if name not in function.__annotations__:
            raise DeclarationError(f"{where}: parameter '{name}' has no annotation")
        hint = _hint(function, name, where)
        # `collection: str | None, glob: str`: one that may be left out can stand before one that may not
        optional = place >= first_default or type(None) in get_args(hint)
        found.append(_parameter(name, hint, optional, where))
    return tuple(found)


def parameter_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of all parameters: positional ones, those given by name only, then `*args` and `**kwargs`."""
    code = function.__code__
    stars = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + stars]


def waits(function: Callable[..., Any]) -> bool:
    """Whether what it returns may have to be awaited."""
    return inspect.iscoroutinefunction(function) or "Awaitable" in str(function.__annotations__.get("return", ""))


def _hint(function: Callable[..., Any], name: str, where: str) -> Any:
    hint = function.__annotations__[name]
    try:
        while isinstance(hint, str):
            hint = eval(hint, function.__globals__, _names_for_hints())
    except NameError as error:
        raise DeclarationError(f"{where}: an annotation cannot be read: {error}") from error
    return hint


def _names_for_hints() -> dict[str, Any]:
    """What modules import for type checkers only."""
    return {"Argument": Argument, "VariableAccess": VariableAccess, "re": re, "Value": Value}


def _parameter(name: str, annotation: Any, optional: bool, where: str) -> Parameter:
    marks: set[str] = set()
    checks: list[Callable[[str], str | None]] = []
    alternatives = [a for a in get_args(annotation) if a is not type(None)] if _is_union(annotation) else [annotation]
    if len(alternatives) == 1:
        annotation = alternatives[0]
    while get_origin(annotation) is Annotated:
        annotation, *extra = get_args(annotation)
        marks |= {m for m in extra if isinstance(m, str)}
        checks += [m for m in extra if callable(m) and not isinstance(m, type)]
        if annotation is Argument:
            annotation = extra[0]
    if annotation not in _KINDS:
        raise DeclarationError(
            f"{where}: parameter '{name}' is annotated {annotation!r}; use str, int, Variable or Pattern"
        )
    return Parameter(
        name,
        _KINDS[annotation],
        optional,
        constant="constant" in marks,
        literal="literal" in marks,
        writable="writable" in marks,
        command="command" in marks,
        only=next((name for name in ("avp", "json") if name in marks), ""),
        names_route=next((mark for mark in marks if mark.endswith("route")), ""),
        check=checks[0] if checks else None,
    )


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (typing.Union, types.UnionType)
