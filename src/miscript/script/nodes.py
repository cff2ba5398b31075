"""The tree of a script: dataclasses, each with the stretch of source it came from; nobody changes them later.

The parser accepts a little more than the language; the checker refuses the rest with a better message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .source import Span


@dataclass(slots=True, eq=False, kw_only=True)
class Node:
    span: Span


# -- operands -------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Integer(Node):
    """`5`, `-0x1F`, `yes`: already wrapped to 32 bits."""

    value: int


@dataclass(slots=True, eq=False)
class String(Node):
    """A quoted text.  `value` has its escapes resolved; adjacent literals are already joined.

    `source` is the text between the quotes as it was written, or None when several literals were joined.
    """

    value: str
    source: str | None = None


@dataclass(slots=True, eq=False)
class Null(Node):
    """The word NULL."""


@dataclass(slots=True, eq=False)
class Network(Node):
    """An address or network as the right side of == or !=: `10.0.0.0/8`, `2001:db8::/32`."""

    text: str


@dataclass(slots=True, eq=False)
class Template:
    """A text with variables in it: literal pieces and `Variable` nodes in their order; no empty pieces."""

    pieces: tuple[str | Variable, ...]

    @property
    def constant(self) -> str | None:
        """The text when there is no variable in it, else None."""
        if len(self.pieces) == 1:  # nearly always
            only = self.pieces[0]
            return only if isinstance(only, str) else None
        if any(isinstance(p, Variable) for p in self.pieces):
            return None
        return "".join(p for p in self.pieces if isinstance(p, str))


@dataclass(slots=True, eq=False)
class Transformation(Node):
    """`{s.substr,0,$var(n)}`: lower-cased `class_name` and `name`, and the arguments as written.

    An argument is text or a variable; text that is blank-padded is already stripped where the language says so.
    """

    class_name: str
    name: str
    arguments: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class ActiveIndex:
    """`[position/active]`: counted from the branches that the last `t_relay()` has made, for `$tm.branch.…` only."""

    position: int | Variable


Index: TypeAlias = "int | Literal['*', 'append'] | Variable | ActiveIndex"


@dataclass(slots=True, eq=False)
class Variable(Node):
    """`$name(inner)[index]{transformations}`.

    `inner` is None without parentheses.  `index` is a number, a variable, `"*"`, `"append"` or an
    `ActiveIndex`.  `context` is
    "request", "reply" or None.  `text` is the whole spelling, for messages.
    """

    name: str
    inner: Template | None = None
    index: Index | None = None
    transformations: tuple[Transformation, ...] = ()
    context: str | None = None
    text: str = ""


# -- expressions and conditions -------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Unary(Node):
    """`~ operand`."""

    operator: Literal["~"]
    operand: Expression


@dataclass(slots=True, eq=False)
class Binary(Node):
    """Arithmetic, bitwise or text operation: `+ - * / % & | ^ << >>`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(slots=True, eq=False)
class Comparison(Node):
    """`left operator right` with `== != < <= > >= =~ !~`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(slots=True, eq=False)
class Not(Node):
    operand: Condition


@dataclass(slots=True, eq=False)
class Logic(Node):
    """`and` and `or` have one precedence: the tree leans to the left."""

    operator: Literal["and", "or"]
    left: Condition
    right: Condition


@dataclass(slots=True, eq=False)
class Bracketed(Node):
    """`[ expression ]` as a condition: true when it is not 0 and not an empty text."""

    expression: Expression


@dataclass(slots=True, eq=False)
class Call(Node):
    """`name(arguments)`; an argument that was left out (`f(1, , 2)`) is None."""

    name: str
    arguments: tuple[Expression | None, ...]
    name_span: Span


@dataclass(slots=True, eq=False)
class RouteCall(Node):
    """`route(name, arguments)`; the name is a text (with variables or not) or a variable."""

    name: String | Variable
    arguments: tuple[Expression | None, ...]


@dataclass(slots=True, eq=False)
class Assignment(Node):
    """`target operator value` with `= := += -= *= /= %= |= &= ^=`."""

    operator: str
    target: Variable
    value: Expression | Comparison


Expression: TypeAlias = (
    "Integer | String | Null | Network | Variable | Unary | Binary | Comparison | Call | RouteCall | Not | Logic"
)
Condition: TypeAlias = "Expression | Bracketed | Assignment"


# -- statements -----------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Block(Node):
    statements: tuple[Statement, ...]


@dataclass(slots=True, eq=False)
class Empty(Node):
    """A lone `;`."""


@dataclass(slots=True, eq=False)
class If(Node):
    """`otherwise` is the else branch, an `If` for `else if`, or None."""

    condition: Condition
    then: Block
    otherwise: Block | None


@dataclass(slots=True, eq=False)
class While(Node):
    condition: Condition
    body: Block


@dataclass(slots=True, eq=False)
class For(Node):
    """`for (iterator in sequence) body`; the sequence is a variable with index `*`."""

    iterator: Variable
    sequence: Variable
    body: Block


@dataclass(slots=True, eq=False)
class Case(Node):
    """`value` is None for `default`."""

    value: Integer | String | None
    body: Block


@dataclass(slots=True, eq=False)
class Switch(Node):
    subject: Variable
    cases: tuple[Case, ...]


@dataclass(slots=True, eq=False)
class Break(Node):
    """Leaves the innermost while, for or switch."""


@dataclass(slots=True, eq=False)
class Return(Node):
    """`return(code, values)`: `code` is None when it was left out (1)."""

    code: Integer | Variable | None
    values: tuple[Expression | None, ...] = ()


@dataclass(slots=True, eq=False)
class Exit(Node):
    pass


@dataclass(slots=True, eq=False)
class Drop(Node):
    pass


@dataclass(slots=True, eq=False)
class Assert(Node):
    condition: Condition
    text: String | None


@dataclass(slots=True, eq=False)
class Async(Node):
    """`async(call, resume, timeout)`; the timeout is in seconds."""

    call: Call
    resume: String | Variable
    timeout: Integer | Variable | None


@dataclass(slots=True, eq=False)
class Launch(Node):
    """`launch(call, resume, text)`; `resume` and `text` may be left out."""

    call: Call
    resume: String | Variable | None
    text: String | Variable | None


Statement: TypeAlias = (
    "Block | Empty | If | While | For | Switch | Break | Return | Exit | Drop | Assert | Async | Launch"
    " | Call | RouteCall | Assignment"
)


# -- the file -------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class GlobalParameter(Node):
    """`name = value`; what stands behind the value on a `socket=` line is in `options` as (name, value).

    `quoted` tells a text in quotes from a bare word (`syslog_facility=LOG_LOCAL0` takes only the word).
    The rules of a `dst_blacklist` and the steps of an `auto_scaling_profile` are options as well; an `alias=`
    line with several names becomes several parameters.
    """

    name: str
    value: int | str
    value_span: Span
    options: tuple[tuple[str, str | int | None], ...] = ()
    quoted: bool = False


@dataclass(slots=True, eq=False)
class LoadModule(Node):
    """`loadmodule "path"`; `name` is the last part without `.so`."""

    name: str
    path: str


@dataclass(slots=True, eq=False)
class ModuleParameter(Node):
    """`modparam("modules", "name", value)`; `modules` is a regular expression over loaded modules."""

    modules: str
    name: str
    value: int | str
    modules_span: Span
    name_span: Span
    value_span: Span


RouteKind = Literal[
    "route",
    "failure_route",
    "onreply_route",
    "branch_route",
    "error_route",
    "local_route",
    "startup_route",
    "timer_route",
    "event_route",
]


@dataclass(slots=True, eq=False)
class Route(Node):
    """A route block.  `name` is empty for the unnamed one; `interval` (seconds) belongs to timer routes.

    `head` is the stretch from the keyword to the closing bracket of the name.
    """

    kind: RouteKind
    name: str
    body: Block
    head: Span
    name_span: Span
    interval: int | None = None


@dataclass(slots=True, eq=False)
class Script(Node):
    """A whole script, includes resolved; everything in the order of the source."""

    items: tuple[GlobalParameter | LoadModule | ModuleParameter | Route, ...]
