"""How a module is declared.

Python's own signature is the table: the annotation of a parameter is its kind, its default makes it optional, the
docstring is its help.  Decorators only write facts on functions; a wrong declaration fails when the class is made,
naming module and function.

```python
class CallGate(Module):
    \"\"\"Limit how many calls one caller has at a time.\"\"\"

    max_calls = parameter(10, "Calls one caller may have at a time.")

    @script_function(routes="request failure")
    def gate_enter(self, run: Run, caller: str, weight: int = 1) -> int: ...

    @async_function()
    async def gate_wait(self, run: Run, caller: str) -> int: ...

    @variable("gate_calls")
    def gate_calls(self, run: Run, caller: str) -> Value: ...

    @mi_command("list", "", "caller", aliases=["gate_list"], read_only=True)
    def mi_list(self, caller: str | None = None) -> object: ...
```

A script function returns its return code (an `int`); a plain `def` is called plainly, an `async def`, or a function
annotated `int | Awaitable[int]`, is awaited.  Kinds: `str`, `int`, `Variable` (read or written by the function
itself), `Writable` (the same, and the checker refuses what cannot be written), `Pattern` (a regular expression);
`Constant[str]` and `Constant[int]` take no variable, `Text[str]` takes a text in which `$` means nothing.
`Annotated[str, "failure_route"]` (or another kind of route) is the name of such a route, which has to be there;
`Annotated[kind, mistake]` lets the checker ask `mistake(text)` what is wrong with a text or number that is written out.

A function that does its work when the script is compiled is declared with `bound_function`: it gets every argument
once, as an `Argument` (annotated `BoundText`, `BoundNumber`, `BoundVariable` …), and returns what is called as
`bound(run)` each time.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias, TypeVar

from .errors import DeclarationError
from .function_parameters import function_parameters, parameter_names, waits
from .script.signatures import (
    ALL_ROUTES,
    Argument,
    Function,
    Implementation,
    Parameter,
    ParameterSignature,
    Routes,
    TransformationSignature,
    VariableAccess,
    VariableForm,
    VariableSignature,
)
from .values import Value

if TYPE_CHECKING:
    from .script.runtime import Run
    from .services import Counter, Services

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

Variable: TypeAlias = VariableAccess
BoundText = Annotated[Argument, str]
BoundCommand = Annotated[Argument, str, "command"]
BoundNumber = Annotated[Argument, int]
BoundVariable = Annotated[Argument, VariableAccess]
BoundAvp = Annotated[Argument, VariableAccess, "avp"]
BoundConstant = Annotated[Argument, str, "constant"]
BoundLiteral = Annotated[Argument, str, "literal"]
Writable = Annotated[VariableAccess, "writable"]
WritableAvp = Annotated[VariableAccess, "writable", "avp"]
Constant = Annotated[T, "constant"]
Text = Annotated[T, "literal"]
Pattern: TypeAlias = re.Pattern[bytes]


# -- parameters and statistics -----------------------------------------------------------


class ModuleParameter:
    """A module parameter: what `modparam` may set.  On an instance the attribute is the value itself."""

    def __init__(
        self, default: Any, help: str, kinds: frozenset[str], repeatable: bool, name: str | None = None
    ) -> None:
        self.default = default
        self.help = help
        self.kinds = kinds
        self.repeatable = repeatable
        self.name = name or ""

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute
        self.name = self.name or attribute

    def signature(self) -> ParameterSignature:
        default = None if self.repeatable else self.default
        return ParameterSignature(self.name, self.kinds, self.help, default, self.repeatable)


def parameter(
    default: T, help: str, *, kinds: str | None = None, repeatable: bool = False, name: str | None = None
) -> T:
    """Declare a module parameter.

    `kinds` is "string", "integer" or "string integer"; without it the kind of `default` decides.  A repeatable one
    collects its values in a list, in the order of the script.  `name` is for names that Python has no use for.
    """
    found = frozenset((kinds or ("integer" if isinstance(default, int) else "string")).split())
    return ModuleParameter(default, help, found, repeatable, name)  # type: ignore[return-value]  # see __init__


@dataclass(frozen=True, slots=True)
class StatisticDeclaration:
    """A counter of a module; group and module have one name."""

    name: str
    help: str
    resettable: bool = True


def statistic(name: str, help: str, *, resettable: bool = True) -> Counter:
    """Declare a statistic; on an instance the attribute is the counter itself."""
    return StatisticDeclaration(name, help, resettable)  # type: ignore[return-value]  # see Module.__init__


# -- functions -----------------------------------------------------------


class ScriptFunction:
    """What `script_function` and `async_function` leave on a class: the function and the facts about it."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        routes: frozenset[str],
        *,
        asynchronous: bool = False,
        binds: bool = False,
    ) -> None:
        self.function = function
        self.name = name or function.__name__
        self.routes = routes
        self.asynchronous = asynchronous
        self.binds = binds
        self.__doc__ = function.__doc__
        self._form: tuple[Parameter, ...] | None = None

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else self.function.__get__(instance, owner)

    def export(self, module: str, instance: Any) -> Function:
        """The function as checker and compiler see it."""
        implementation = Implementation(waits=waits(self.function))
        if instance is not None:
            method = self.function.__get__(instance)
            implementation = Implementation(
                call=None if self.binds else method,
                bind=method if self.binds else None,
                waits=waits(self.function),
            )
        if self._form is None:  # reading a signature takes long, and each host asks for it
            self._form = function_parameters(self.function, 1 if self.binds else 2, f"{module}: {self.name}")
        return Function(
            self.name,
            module,
            (self._form,),
            self.routes,
            inspect.cleandoc(self.function.__doc__ or ""),
            self.asynchronous,
            implementation,
        )


def script_function(
    *, routes: str | None = None, name: str | None = None
) -> Callable[[Callable[..., Any]], ScriptFunction]:
    """Declare a function that scripts may call.

    `routes` names the kinds of route it may be called from (request failure reply branch error local startup timer
    event), separated by blanks; all when it is left out.
    """
    return lambda function: ScriptFunction(function, name, _allowed(routes, function))


def bound_function(
    *, routes: str | None = None, name: str | None = None, asynchronous: bool = False
) -> Callable[[Callable[..., Any]], ScriptFunction]:
    """Declare a function that is bound to its arguments when the script is compiled.

    `asynchronous`: it is for `async()` and `launch()`, and what it returns gives an awaitable or a `Pending`.
    """
    return lambda function: ScriptFunction(
        function, name, _allowed(routes, function), asynchronous=asynchronous, binds=True
    )


def _allowed(routes: str | None, function: Callable[..., Any]) -> frozenset[str]:
    if routes is None:
        return ALL_ROUTES
    unknown = set(routes.split()) - ALL_ROUTES
    if unknown:
        names = ", ".join(sorted(unknown))
        raise DeclarationError(f"{_place(function)}: no kind of route is called {names}; there are {' '.join(Routes)}")
    return frozenset(Routes(r) for r in routes.split())


def _place(function: Callable[..., Any]) -> str:
    """Module and function, for what goes wrong before the class is made."""
    return f"{function.__module__.rpartition('.')[2]}: {function.__name__}"


def async_function(*, name: str | None = None) -> Callable[[Callable[..., Any]], ScriptFunction]:
    """Declare a function for `async()` and `launch()`.

    It is called when the statement runs and returns an awaitable of the return code, or a `runtime.Pending`.
    """
    return lambda function: ScriptFunction(function, name, ALL_ROUTES, asynchronous=True)


# -- variables -----------------------------------------------------------


class VariableExport:
    """What `variable` leaves on a class: the reader, and after `.setter` the writer."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        inner: str,
        index: bool,
        binds: bool,
        reads_texts: tuple[str, ...],
    ) -> None:
        self.function = function
        self.name = name
        self.inner = inner
        self.index = index
        self.binds = binds
        self.reads_texts = reads_texts
        self.writer: Callable[..., Any] | None = None
        self.writable = binds

    def setter(self, function: Callable[..., Any]) -> VariableExport:
        """Decorator: `function(self, run, [inner,] value) -> bool` writes the variable."""
        self.writer = function
        self.writable = True
        return self

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else self.function.__get__(instance, owner)

    def export(self, module: str, instance: Any, owner: type | None = None) -> VariableSignature:
        """The signature; without an instance it can only check spellings, with the class that `owner` is."""
        from .script.access import SimpleAccess, join

        form = VariableForm(self.inner, self.index, self.writable)
        help = inspect.cleandoc(self.function.__doc__ or "")
        if instance is None:
            complaint = self._complaint(owner) if self.binds and owner is not None else None
            return VariableSignature(self.name, module, (form,), help, _without_host, complaint, self.reads_texts)
        read = self.function.__get__(instance)
        write = self.writer.__get__(instance) if self.writer else None

        def bind(inner: Any, index: Any, binder: Any) -> VariableAccess:
            if self.binds:
                return read(inner, index, binder)  # type: ignore[no-any-return]  # a method of a module
            getters: list[Callable[[Run], Any]] = []
            constants: list[Any] = []
            if self.inner != "none":
                text = inner.constant if inner is not None else None
                constants.append(text)
                getters.append(
                    _always(text) if inner is None or text is not None else join(binder.template_pieces(inner))
                )
            if self.index:
                constants.append(index)
                getters.append(_always(None) if index is None else binder.index(index))
            if not getters:
                return SimpleAccess(read, None if write is None else lambda run, v, op: bool(write(run, v)))
            return SimpleAccess(
                lambda run: read(run, *[g(run) for g in getters]),
                None if write is None else lambda run, v, op: bool(write(run, *[g(run) for g in getters], v)),
            )

        return VariableSignature(self.name, module, (form,), help, bind, reads_texts=self.reads_texts)

    def _complaint(self, owner: type) -> Callable[[Any, Any, Any], str | None]:
        def complaint(inner: Any, index: Any, binder: Any) -> str | None:
            try:
                self.function(object.__new__(owner), inner, index, binder)
            except ValueError as error:
                return str(error)
            except Exception:  # it needs the running module: what is wrong is said when the script is compiled
                return None
            return None

        return complaint


def _without_host(inner: Any, index: Any, binder: Any) -> VariableAccess:
    """Stands for a variable that miscript has, in a catalog that only checks."""
    raise ValueError("a catalog without a host cannot bind variables")


def _always(value: Value) -> Callable[[Run], Value]:
    return lambda run: value


def variable(
    name: str,
    *,
    inner: str | None = None,
    index: bool = False,
    binds: bool = False,
    reads_texts: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], VariableExport]:
    """Declare a variable.

    The reader is `(self, run)`, with an inner name `(self, run, inner)`, with an index one more argument behind.
    `inner` is "none", "optional" or "required"; without it, a third parameter decides.  With `binds`, the function
    is `(self, inner: Template | None, index, binder) -> VariableAccess` and is called when the script is compiled.
    `reads_texts` are operators with which the writer gets the number of a variable as a `NumberWithText`.
    """

    def declare(function: Callable[..., Any]) -> VariableExport:
        count = len(parameter_names(function)) - 2 - (1 if index else 0)
        kind = inner or ("none" if binds or count <= 0 else "required")
        return VariableExport(function, name, kind, index, binds, reads_texts)

    return declare


# -- MI commands -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommandDeclaration:
    """An MI command as its module declares it; recipes are exact sets of parameter names."""

    function: Callable[..., Any]
    name: str
    recipes: tuple[tuple[str, ...], ...]
    aliases: tuple[str, ...]
    module: str | None
    read_only: bool
    named_only: bool
    extra: bool
    prepare: str | None
    read_first: tuple[str, ...]

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else self.function.__get__(instance, owner)


def mi_command(
    name: str,
    *recipes: str,
    aliases: Iterable[str] = (),
    module: str | None = None,
    read_only: bool = False,
    named_only: bool = False,
    read_first: str = "",
    extra: bool = False,
    prepare: str | None = None,
) -> Callable[[Callable[..., Any]], CommandDeclaration]:
    """Declare an MI command.

    Each recipe is a text of parameter names separated by blanks, "" for none at all.  `aliases` are old names.
    `module` is for the core's groups ("cache", "evi" …).  `read_only` commands may be called by viewers.
    `read_first` names parameters whose types are looked at before those of the others.
    `extra`: the server has no such command, so `which` lists it behind the server's own.  `prepare` names a method
    that takes the handler's arguments and returns what does the work each time: `mi()` calls it once when command
    and parameters are written out in the script.
    """
    exact = tuple(tuple(recipe.split()) for recipe in recipes or ("",))

    def declare(function: Callable[..., Any]) -> CommandDeclaration:
        taken = set(parameter_names(function)) - {"self"}
        return_names = {p for recipe in exact for p in recipe}
        if "kwargs" not in taken and not return_names <= taken:
            missing = ", ".join(sorted(return_names - taken))
            raise DeclarationError(f"{_place(function)}: MI command '{name}' needs the parameters {missing}")
        return CommandDeclaration(
            function, name, exact, tuple(aliases), module, read_only, named_only, extra, prepare, (*read_first.split(),)
        )

    return declare


# -- modules -----------------------------------------------------------


class Module:
    """A module of miscript: subclass it, in a file named like the OpenSIPS module.

    Life: made with the services of the host → parameters set → `init()` → `await prepare()` → the startup route →
    `await start()` → `await stop()`.  `init` checks parameters and raises ConfigurationError, and so does `prepare`,
    which loads what the startup route may ask for; sockets and tasks belong to `start`.
    """

    name: ClassVar[str] = ""
    needs: ClassVar[Sequence[str]] = ()
    """Modules that must be loaded too."""
    early: ClassVar[bool] = False
    """Initialised before all others, wherever it is loaded: it offers what they look for in their own `init`."""
    events: ClassVar[Sequence[str]] = ()
    """Events that this module raises."""

    script_functions: ClassVar[tuple[ScriptFunction, ...]] = ()
    variables: ClassVar[tuple[VariableExport, ...]] = ()
    commands: ClassVar[tuple[CommandDeclaration, ...]] = ()
    parameters: ClassVar[dict[str, ModuleParameter]] = {}
    statistics: ClassVar[dict[str, StatisticDeclaration]] = {}
    transformations: ClassVar[Sequence[TransformationSignature]] = ()
    """Transformations that this module brings."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in vars(cls):
            cls.name = cls.__module__.rpartition(".")[2]
        found = [value for base in reversed(cls.__mro__) for value in vars(base).values()]
        cls.script_functions = tuple(v for v in found if isinstance(v, ScriptFunction))
        cls.variables = tuple(v for v in found if isinstance(v, VariableExport))
        cls.commands = tuple(v for v in found if isinstance(v, CommandDeclaration))
        cls.parameters = {v.name: v for v in found if isinstance(v, ModuleParameter)}
        cls.statistics = {
            attribute: v
            for base in reversed(cls.__mro__)
            for attribute, v in vars(base).items()
            if isinstance(v, StatisticDeclaration)
        }
        for function in cls.script_functions:
            function.export(cls.name, None)  # a wrong declaration fails now, with its name

    def __init__(self, services: Services) -> None:
        self.services = services
        for declared in self.parameters.values():
            default = list(declared.default or ()) if declared.repeatable else declared.default
            setattr(self, declared.attribute, default)
        for attribute, counter in self.statistics.items():
            setattr(self, attribute, services.statistics.register(self.name, counter.name, counter.resettable))

    def set_parameter(self, name: str, value: int | str) -> None:
        """Apply one `modparam`; the checker has seen to it that name and kind are right."""
        declared = self.parameters[name]
        if declared.repeatable:
            getattr(self, declared.attribute).append(value)
        else:
            setattr(self, declared.attribute, value)

    def init(self) -> None:
        """All parameters are set: check them and prepare."""

    async def prepare(self) -> None:
        """No message has come yet: read tables and the like.  Raises ConfigurationError when the host cannot run."""

    async def start(self) -> None:
        """The host runs: open sockets, start tasks."""

    def reread(self) -> None:
        """SIGHUP: read files other than the script again.  What cannot be read stays as it was, and is logged."""

    async def stop(self) -> None:
        """The host stops: close what `start` opened."""
