"""One MI command: its names, its recipes, its handler, and how a request's parameters become a call.

A *recipe* is an exact set of parameter names, in their positional order.  Which recipe a request means follows the
server's rules:

- no parameters: the recipe without any;
- by name: the first recipe with exactly these names;
- by position: the recipe with that many names, which must be the only one.

What does not fit raises `Invalid params` with the reason in `data`.  Everything that can be known beforehand is
worked out when the command is declared; a declaration that cannot work is a `DeclarationError` at that moment.

Source: OpenSIPS manual, "Management Interface"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

from ..errors import DeclarationError, MIError
from .jsonrpc import Params, invalid_params
from .parameters import Raw, Reader, Unread, python_name, reader_for, takes_texts

__all__ = ["NO_RESULT", "Command", "Counters", "Handler", "Later", "Raw", "Recipe", "Unread"]

Recipe: TypeAlias = tuple[str, ...]
Handler: TypeAlias = Callable[..., object]
Arguments: TypeAlias = tuple[object, ...]


class _NoResult(Enum):
    NO_RESULT = object()  # no JSON, so that it can never be written by mistake


NO_RESULT: Final = _NoResult.NO_RESULT
"""What a handler returns when it has neither a result nor an error: `Server error`.  `None` is the result null."""


@dataclass(frozen=True, slots=True)
class Later:
    """What a handler returns when only some of its calls wait, as this one does: an awaitable of the result.

    A handler that always waits is a coroutine function instead.
    """

    awaitable: Awaitable[object]

    def __await__(self) -> Generator[Any, Any, object]:
        return self.awaitable.__await__()


@dataclass(slots=True)
class Counters:
    """What became of a command's calls.

    `seconds` is the time that `timed` of them took altogether: reading a clock costs more than a small command with
    fixed parameters, so those calls are not timed.
    """

    succeeded: int = 0
    failed: dict[int, int] = field(default_factory=dict)
    """Error code → calls that ended with it."""
    cancelled: int = 0
    timed: int = 0
    seconds: float = 0.0

    @property
    def calls(self) -> int:
        """All calls that have ended."""
        return self.succeeded + sum(self.failed.values()) + self.cancelled


class _Plan(NamedTuple):
    """How the parameters of one recipe become the handler's positional arguments.

    Arguments come in the handler's order, which is also the order of complaints but for `read_first`, and end with the
    last one that the recipe has; where it has none in between stands the handler's default.
    """

    from_list: Callable[[list[object]], Arguments]
    from_dict: Callable[[dict[str, object]], Arguments]


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """An MI command of a module.

    `handler` is called with the parameters of the chosen recipe; a parameter that the recipe has not keeps the
    handler's default.  Names that are no Python names are spelled as `python_name` says.  It returns the result, or
    raises `MIError`.  A coroutine function is awaited (`waits`), and so is a `Later`.  Arguments that are lists may
    be shared between calls: handlers do not change them.

    `read_only` says that the command changes nothing; `named_only` that parameters must come by name.
    `read_first` are parameters that are complained about before the others, which follow in the handler's order.
    """

    module: str
    name: str
    aliases: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    handler: Handler
    _: KW_ONLY
    help: str = ""
    read_only: bool = False
    named_only: bool = False
    read_first: tuple[str, ...] = ()
    waits: bool = False
    prepare: Callable[..., Callable[[], object]] | None = None
    """Takes the handler's arguments and returns what does the work each time; only for commands that do not wait."""
    group: str = field(init=False)
    """The module as the Management Interface names it: without `proto_`."""
    full: str = field(init=False)
    """The canonical name, `module:command`."""
    without_fractions: bool = field(init=False, repr=False)
    """Whether the handler's return annotation leaves no room for floats, which JSON libraries write differently."""
    counters: Counters = field(init=False, repr=False)
    _takes_origin: bool = field(init=False, repr=False)
    texts_as_given: frozenset[int] = field(init=False, repr=False)
    """Numbers of positional texts that the handler takes just as they are."""
    _by_count: Mapping[int, _Plan | None] = field(init=False, repr=False)
    _by_names: Mapping[frozenset[str], _Plan] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        group = self.module.removeprefix("proto_")
        put = object.__setattr__
        put(self, "group", group)
        put(self, "full", f"{group}:{self.name}")
        put(self, "without_fractions", _has_no_float(self.handler))
        put(self, "counters", Counters())
        put(self, "waits", self.waits or inspect.iscoroutinefunction(self.handler))
        self._check_names()
        parameters = self._handler_parameters()
        plans = self._plans(parameters)
        by_count: dict[int, _Plan | None] = {}
        for recipe, plan in zip(self.recipes, plans, strict=True):
            by_count[len(recipe)] = None if len(recipe) in by_count else plan
        put(self, "_by_count", by_count)
        put(self, "texts_as_given", self._text_counts(list(parameters.values()), by_count))
        put(self, "_by_names", {frozenset(r): p for r, p in zip(self.recipes, plans, strict=True)})

    def arguments(self, params: Params) -> Arguments:
        """The handler's arguments for `params`.

        None means that no parameters were given.  An empty list or mapping means that some were and nothing came
        of it; like any number that no recipe has, that is refused.  Raises `MIError` (-32602).
        """
        if params is None:
            if 0 not in self._by_count:
                raise _wrong_number()
            return ()
        if isinstance(params, dict):
            return self._named(params)
        return self._positional(params)

    def ready(self, params: Params) -> Callable[[], object]:
        """A function that runs the command with `params`, neither counted nor guarded.  Raises `MIError` (-32602)."""
        arguments = self.arguments(params)
        if self.prepare is not None:
            return self.prepare(*arguments)
        return functools.partial(self.handler, *arguments) if arguments else self.handler

    def _named(self, params: dict[str, object]) -> Arguments:
        plan = self._by_names.get(frozenset(params)) if params else None
        if plan is None:
            if not params or len(params) not in self._by_count:
                raise _wrong_number()
            raise invalid_params("Named parameters do not match")
        return plan.from_dict(params)

    def _positional(self, params: list[object]) -> Arguments:
        if self.named_only and params:
            raise invalid_params("Command only supports named parameters")
        count = len(params)
        if not count or count not in self._by_count:
            raise _wrong_number()
        plan = self._by_count[count]
        if plan is None:
            raise invalid_params("Ambiguous call, use named parameters instead")
        return plan.from_list(params)

    def _check_names(self) -> None:
        if not self.name or ":" in self.name or not self.group:
            raise self._wrong(f"'{self.full}' is no name, expected 'module:command'")
        if not self.recipes:
            raise self._wrong("it has no recipe, so it could never be called")
        if len({frozenset(recipe) for recipe in self.recipes}) != len(self.recipes):
            raise self._wrong("two recipes have the same parameters")
        for recipe in self.recipes:
            if len(set(recipe)) != len(recipe):
                raise self._wrong(f"the recipe '{', '.join(recipe)}' names a parameter twice")

    def _plans(self, parameters: Mapping[str, inspect.Parameter]) -> list[_Plan]:
        places = {name: place for place, name in enumerate(parameters)}
        names = dict.fromkeys(name for recipe in self.recipes for name in recipe)
        readers = {}
        for name in names:
            parameter = parameters.get(python_name(name))
            if parameter is None:
                raise self._wrong(f"its handler has no parameter '{python_name(name)}'")
            readers[name] = reader_for(parameter, name, self.handler)
        return [self._plan(recipe, parameters, places, readers) for recipe in self.recipes]

    def _plan(
        self,
        recipe: Recipe,
        parameters: Mapping[str, inspect.Parameter],
        places: Mapping[str, int],
        readers: Mapping[str, Reader],
    ) -> _Plan:
        given = {python_name(name) for name in recipe}
        for name, parameter in parameters.items():
            if parameter.default is parameter.empty and name not in given:
                raise self._wrong(
                    f"the handler's parameter '{name}' has no default, and the recipe '{', '.join(recipe)}' "
                    "does not have it"
                )
        steps = sorted(
            ((places[python_name(name)], place, name) for place, name in enumerate(recipe)),
            key=lambda step: (step[2] not in self.read_first, step[0]),
        )
        defaults = tuple(parameter.default for parameter in parameters.values())
        return _Plan(
            _collector([(argument, place, readers[name]) for argument, place, name in steps], defaults),
            _collector([(argument, name, readers[name]) for argument, _, name in steps], defaults),
        )

    def _text_counts(self, wanted: list[inspect.Parameter], by_count: Mapping[int, _Plan | None]) -> frozenset[int]:
        texts = [takes_texts(parameter, self.handler) for parameter in wanted]
        names = [p.name for p in wanted]
        return frozenset(
            len(recipe)
            for recipe in self.recipes
            if recipe
            and by_count[len(recipe)] is not None
            and not self.named_only
            and [python_name(name) for name in recipe] == names[: len(recipe)]
            and all(texts[: len(recipe)])
        )

    @property
    def takes_origin(self) -> bool:
        """Whether the handler has a parameter `origin`: doors give it theirs, `mi()` leaves it None."""
        return self._takes_origin

    def _handler_parameters(self) -> dict[str, inspect.Parameter]:
        try:
            parameters = dict(inspect.signature(self.handler).parameters)
        except (TypeError, ValueError) as error:
            raise self._wrong(f"the parameters of its handler cannot be known: {error}") from error
        object.__setattr__(self, "_takes_origin", parameters.pop("origin", None) is not None)
        for parameter in parameters.values():
            if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
                raise self._wrong(
                    f"the handler's parameter '{parameter.name}' is {parameter.kind.description}, "
                    "expected one that can be given by position and by name"
                )
        return parameters

    def _wrong(self, what: str) -> DeclarationError:
        return DeclarationError(f"MI command '{self.full}': {what}")


def _collector(steps: Sequence[tuple[int, Any, Reader]], defaults: Sequence[object]) -> Callable[[Any], Arguments]:
    """What makes arguments of parameters; a step is (argument, key of the parameter, reader).

    The usual cases, one or two parameters that are the handler's first, do without a loop: `mi()` and the doors
    call this for every request.
    """
    match steps:
        case [(0, key, read)]:
            return lambda params: (read(params[key]),)
        case [(0, key, read), (1, key2, read2)]:
            return lambda params: (read(params[key]), read2(params[key2]))
    template = list(defaults[: max(argument for argument, _, _ in steps) + 1]) if steps else []

    def collect(params: Any) -> Arguments:
        arguments = template.copy()
        for argument, key, read in steps:
            arguments[argument] = read(params[key])
        return tuple(arguments)

    return collect


_NO_FLOATS = {"dict", "list", "tuple", "str", "int", "bool", "None", "Later"}


def _has_no_float(handler: Handler) -> bool:
    annotation = str(getattr(handler, "__annotations__", {}).get("return", "object"))
    return set(re.findall(r"\w+", annotation)) <= _NO_FLOATS


def _wrong_number() -> MIError:
    return invalid_params("Too few or too many parameters")
