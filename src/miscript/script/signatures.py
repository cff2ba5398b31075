"""What functions, variables, transformations and parameters look like from outside, and who knows them.

The checker reads these; the compiler also uses the `implementation` beside them, which a catalog made from facts
alone (a module that exists in OpenSIPS but not here) leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ..values import Value

if TYPE_CHECKING:
    from .nodes import Index, Template
    from .runtime import Run


Recipe: TypeAlias = tuple[str, ...]


class Kind(StrEnum):
    """What an argument may be."""

    STRING = "string"  # a text or a variable; variables inside the text are filled in
    INTEGER = "integer"  # a number or a variable
    VARIABLE = "variable"  # a variable, which the function reads or writes itself
    REGEX = "regex"  # a text (compiled once) or a variable


class Routes(StrEnum):
    """The kinds of route a function may be called from."""

    REQUEST = "request"
    FAILURE = "failure"
    REPLY = "reply"
    BRANCH = "branch"
    ERROR = "error"
    LOCAL = "local"
    STARTUP = "startup"
    TIMER = "timer"
    EVENT = "event"


ALL_ROUTES = frozenset(Routes)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a script function.  `constant`: no variable may stand there."""

    name: str
    kind: Kind
    optional: bool = False
    constant: bool = False
    literal: bool = False  # a `$` inside the text is an ordinary character
    writable: bool = False  # the variable is written, so it must be one that can be
    command: bool = False  # the text is an MI command with its parameters
    only: str = ""  # the one variable that may stand there, for example "avp"
    names_route: str = ""  # the kind of route that a text names, for example "failure_route"
    check: Callable[[str], str | None] | None = None  # what is wrong with a constant, or None


class VariableAccess(Protocol):
    """A variable of the script, bound to its place."""

    def get(self, run: Run) -> Value:
        """The value now."""

    def set(self, run: Run, value: Value, operator: str = "=") -> bool:
        """Write `value`; False when this variable cannot take it.  `operator` is `=` or `:=`."""

    def values(self, run: Run) -> Sequence[Value]:
        """All values, the first one first: what `for` walks through."""


@dataclass(frozen=True, slots=True)
class VariableInText:
    """A variable that stands in a text; `text` is its spelling."""

    access: VariableAccess
    text: str


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument at a call, as a function with a `bind` step sees it.

    `constant` holds the value when it is known when the script is compiled (`is_constant`).  `variable` is set for
    arguments of kind VARIABLE.  `get` gives the value in a run, in every case.
    """

    get: Callable[[Run], Value]
    is_constant: bool = False
    constant: Value = None
    variable: VariableAccess | None = None
    alone: Callable[[Run], Value] | None = None  # of a text that is one variable: its value, which may be a number
    pieces: tuple[str | VariableInText, ...] = ()  # of a text with variables: what it is made of


@dataclass(frozen=True, slots=True)
class Implementation:
    """How compiled code calls a function.

    `call(run, *arguments)` returns the return code, or an awaitable of it when `waits`.  With `bind`, the function
    sees its arguments once, when the script is compiled, and returns what is called as `bound(run)` each time.
    """

    call: Callable[..., Any] | None = None
    bind: Callable[..., Callable[[Run], Any]] | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A script function.  `forms`: each a list of parameters that a call may match."""

    name: str
    module: str
    forms: tuple[tuple[Parameter, ...], ...]
    routes: frozenset[str] = ALL_ROUTES
    help: str = ""
    asynchronous: bool = False  # may stand inside async() and launch() only
    implementation: Implementation | None = None


@dataclass(frozen=True, slots=True)
class VariableForm:
    """One way to spell a variable.  `inner`: "none", "required" or "optional"."""

    inner: str = "none"
    index: bool = False
    writable: bool = False
    inner_names: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class VariableSignature:
    """A variable.  `bind(inner, index)` gives its access; it may raise ValueError for what it cannot read."""

    name: str
    module: str
    forms: tuple[VariableForm, ...]
    help: str = ""
    bind: Callable[[Template | None, Index | None, Binder], VariableAccess] | None = None
    complaint: Callable[[Template | None, Index | None, Binder], str | None] | None = None
    """Where nothing can be bound: what `bind` would say of a name or an index that it cannot read."""
    reads_texts: tuple[str, ...] = ()
    """Operators that assign a text: of a variable that holds a number, they take the text that the number has."""


class Binder(Protocol):
    """What `VariableSignature.bind` may ask of the compiler."""

    def template(self, template: Template) -> Callable[[Run], str]:
        """A function that fills in the variables of `template`."""

    def index(self, index: Index) -> Callable[[Run], Value]:
        """A function that gives the value of an index."""

    def template_pieces(self, template: Template) -> Sequence[str | Callable[[Run], Value]]:
        """The pieces of `template`, each variable as a function that gives its value."""


@dataclass(frozen=True, slots=True)
class TransformationSignature:
    """`minimum` to `len(kinds)` arguments, each "string", "word" (it ends at a blank), "integer", "char" or "regex"."""

    class_name: str
    name: str
    kinds: tuple[str, ...] = ()
    minimum: int = 0
    help: str = ""
    function: Callable[..., Value] | None = None
    prepare: Callable[..., Callable[[Value], Value]] | None = None


@dataclass(frozen=True, slots=True)
class ParameterSignature:
    """A module parameter or a global one; `kinds` holds "string", "integer".

    `spellings` says more of a global one: "integer" is not negative, "signed integer" may be, "string" has quotes,
    "identifier" has none.
    """

    name: str
    kinds: frozenset[str]
    help: str = ""
    default: Value = None
    repeatable: bool = False
    spellings: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ModuleSignature:
    """A module as the checker sees it.

    `available`: miscript has it, so a script that uses it can run.  `built_in` ones are always there in OpenSIPS.
    """

    name: str
    available: bool
    parameters: dict[str, ParameterSignature] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    built_in: bool = False


class Catalog(Protocol):
    """Everything a script may name.  A catalog starts with the core; `load` adds modules in the script's order."""

    def load(self, module: str) -> ModuleSignature | None:
        """Load `module`; None when neither miscript nor OpenSIPS 4.1 has one of that name."""

    def loaded(self) -> Sequence[ModuleSignature]:
        """The modules loaded so far, in their order (without the core)."""

    def functions(self, name: str) -> Sequence[Function]:
        """Script functions of that name: the core's first, then those of the module loaded last."""

    def async_functions(self, name: str) -> Sequence[Function]:
        """What may stand inside `async()` and `launch()` under that name."""

    def variable(self, name: str) -> VariableSignature | None: ...

    def transformation(self, class_name: str, name: str) -> TransformationSignature | None: ...

    def global_parameter(self, name: str) -> ParameterSignature | None: ...

    def command(self, name: str) -> Sequence[Recipe] | None:
        """The recipes of the MI command that scripts can call `name`, or None; named-only commands have none."""

    def events(self) -> Iterable[str]:
        """Names of the events that loaded modules publish."""

    def owners(self, name: str, what: str) -> Sequence[str]:
        """Modules, loaded or not, that have the "function", "variable", "parameter" … `name`."""

    def replacement(self, name: str, what: str) -> str | None:
        """What to use in place of a name that older versions had ("" when nothing replaces it), else None."""

    def names(self, what: str) -> Iterable[str]:
        """All known names of the kind `what`, for suggestions: also "module", "global", "transformation", "command"."""
