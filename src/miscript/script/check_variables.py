"""Checks variables, their transformations, and the texts that they stand in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..late_pattern import late_pattern
from . import nodes as n
from .diagnostics import Diagnostics, Note
from .program import ResolvedCall
from .signatures import Catalog, Routes, VariableForm
from .source import Span
from .suggest import near
from .variables import locator, parse_template

if TYPE_CHECKING:
    from ..values import Value
    from .runtime import Run

MAX_ROUTE_PARAMETERS = 8
_TRANSFORMATION = late_pattern(r"\{(\w+)\.([\w.]+)[^{}]*\}")

XLOG_LEVELS = ("L_ALERT", "L_CRIT", "L_ERR", "L_WARN", "L_NOTICE", "L_INFO", "L_DBG")

OTHER_LANGUAGES = dict.fromkeys(("print", "printf", "println", "echo", "puts"), 'to print a text, write  xlog("…\\n");')
"""What people write who come from elsewhere, and what to write here."""


class _SpellingBinder:
    """A binder for which every variable is NULL: enough to see whether a name can be read."""

    def slot(self, name: str) -> int:
        return 0

    def template(self, template: n.Template) -> Callable[[Run], str]:
        return lambda run: ""

    def index(self, index: n.Index) -> Callable[[Run], Value]:
        return lambda run: None

    def template_pieces(self, template: n.Template) -> Sequence[str | Callable[[Run], Value]]:
        return [piece if isinstance(piece, str) else lambda run: None for piece in template.pieces]


class VariableChecker:
    """Looks up variables; what else the checker knows stands in the classes that build on this one."""

    def __init__(self, catalog: Catalog, diagnostics: Diagnostics, run: bool) -> None:
        self.catalog = catalog
        self.diagnostics = diagnostics
        self.run = run
        self.calls: dict[int, ResolvedCall] = {}
        self.templates: dict[int, n.Template] = {}
        self.routes: dict[str, n.Route] = {}
        self.all_routes: dict[tuple[str, str], n.Route] = {}
        self.block_type: Routes = Routes.REQUEST
        self._good: set[str] = set()
        """Spellings of variables that nothing is wrong with; nearly all come again and again."""

    def add(
        self, code: str, message: str, span: Span, *, help: str | None = None, notes: tuple[Note, ...] = ()
    ) -> None:
        self.diagnostics.add(code, message, span, help=help, notes=notes)

    def removed(self, name: str, what: str, span: Span, *, otherwise: str | None = None) -> bool:
        """Whether OpenSIPS once had `name`, a `what` of the catalog; says so, and what to use or do `otherwise`."""
        replacement = self.catalog.replacement(name, what)
        if replacement is None:
            return False
        kind = "global parameter" if what == "global" else what
        help = f"use '{replacement}'" if replacement else otherwise
        self.add("E311", f"{kind} '{name}' was removed from OpenSIPS", span, help=help)
        return True

    # -- variables and texts --------------------------------------------------------------------------------

    def template(self, node: n.String) -> n.Template:
        """The text as a template; its variables are checked."""
        known = self.templates.get(id(node))
        if known is not None:
            return known
        template = parse_template(node.value, locator(node), self.diagnostics)
        self.templates[id(node)] = template
        self._template_variables(template)
        return template

    def _template_variables(self, template: n.Template) -> None:
        last: n.Variable | None = None
        for piece in template.pieces:
            if isinstance(piece, n.Variable):
                self.variable(piece)
                last = piece
                continue
            outside = _TRANSFORMATION.match(piece)
            if outside is not None and last is not None and not last.text.startswith("$("):
                self._transformed_outside(last, last.text + outside[0], outside[1], outside[2])
            last = None

    def variable(self, node: n.Variable, *, written: bool = False) -> bool:
        """Check name, inner name, index and transformations; False when something is wrong."""
        if not node.name:
            return False  # the parser has said what is wrong
        if node.text not in self._good:
            reported = self.diagnostics.reported
            if not self._known(node):
                return False
            if self.diagnostics.reported == reported:
                self._good.add(node.text)
        return self.writable(node) if written else True

    def _known(self, node: n.Variable) -> bool:
        signature = self.catalog.variable(node.name)
        if signature is None:
            self._unknown_variable(node)
            return False
        form = self._variable_form(node, signature.forms)
        if form is None:
            return False
        if self.run and signature.bind is None:
            self.add(
                "E309",
                f"variable '${node.name}' of module '{signature.module}' is not available yet",
                node.span,
                help=f"give --stub {signature.module} to run the script without it"
                if signature.module != "core"
                else None,
            )
        if node.inner is not None:
            self._template_variables(node.inner)
            inside = _TRANSFORMATION.search(node.inner.constant or "")
            if inside is not None:
                self._transformed_outside(node, node.text, inside[1], inside[2])
        index = node.index.position if isinstance(node.index, n.ActiveIndex) else node.index
        if isinstance(index, n.Variable):
            self.variable(index)
        if signature.complaint is not None:
            complaint = signature.complaint(node.inner, node.index, _SpellingBinder())
            if complaint is not None:
                self.add("E303", f"'{node.text}': {complaint}", node.span)
                return False
        for transformation in node.transformations:
            self._transformation(transformation)
        return True

    def _transformed_outside(self, node: n.Variable, written: str, class_name: str, name: str) -> None:
        """`$var(a){s.len}` and `$var(a{s.len})` are no transformations."""
        if self.catalog.transformation(class_name.lower(), name.lower()) is None:
            return
        plain = _TRANSFORMATION.sub("", written)
        transformation = written[written.index("{") : written.index("}") + 1]
        self.add(
            "W610",
            f"'{transformation}' does not transform '{plain}': that needs brackets around both",
            node.span,
            help=f"write  $({plain.removeprefix('$')}{transformation})",
        )

    def _unknown_variable(self, node: n.Variable) -> None:
        owners = self.catalog.owners(node.name, "variable")
        if owners:
            self.add(
                "E312",
                f"variable '${node.name}' belongs to module '{owners[0]}', which is not loaded",
                node.span,
                help=f'add  loadmodule "{owners[0]}.so"  above the first route',
            )
            return
        replacement = self.catalog.replacement(node.name, "variable")
        help = f"use '${replacement}'" if replacement else None
        if help is None:
            help = near(node.name, self.catalog.names("variable"), mark="$")
        if help is None and node.name[0].isdigit():
            help = "write  $$  for a dollar"
        elif help is None and node.inner is None:
            help = f"a variable of your own is  $var({node.name})"
        self.add("E303", f"there is no variable '${node.name}'", node.span, help=help)

    def _variable_form(self, node: n.Variable, forms: Sequence[VariableForm]) -> VariableForm | None:
        fitting = [f for f in forms if f.inner == "optional" or (f.inner == "required") == (node.inner is not None)]
        if not fitting:
            if node.inner is None:
                self.add(
                    "E303", f"'${node.name}' needs a name in brackets", node.span, help=f"write  ${node.name}(name)"
                )
            else:
                self.add("E303", f"'${node.name}' takes no name in brackets", node.span)
            return None
        names = frozenset[str]().union(*(f.inner_names or frozenset() for f in fitting))
        inner = node.inner.constant if node.inner is not None else None
        if names and inner is not None and inner not in names and all(f.inner_names for f in fitting):
            self.add("E303", f"'${node.name}' knows no '{inner}'", node.span, help=near(inner, names))
            return None
        if node.index is not None and not any(f.index for f in fitting):
            self.add("E303", f"'${node.name}' has no index", node.span)
            return None
        return fitting[0]

    def writable(self, node: n.Variable) -> bool:
        """Whether a value can be put into the variable; says so when not."""
        if node.transformations:
            self.add("E406", f"a transformed variable cannot be written: '{node.text}'", node.span)
            return False
        signature = self.catalog.variable(node.name)
        if signature is not None and not any(form.writable for form in signature.forms):
            self.add("E406", f"'${node.name}' can only be read", node.span)
            return False
        return True

    def _transformation(self, node: n.Transformation) -> None:
        signature = self.catalog.transformation(node.class_name, node.name)
        full = f"{node.class_name}.{node.name}"
        if signature is None:
            help = near(full, self.catalog.names("transformation"))
            self.add("E304", f"there is no transformation '{full}'", node.span, help=help)
            return
        count, most = len(node.arguments), len(signature.kinds)
        if not signature.minimum <= count <= most:
            exact = signature.minimum == most
            takes = arguments_in_words(most, "") if exact else f"{signature.minimum} to {most} arguments"
            self.add("E411", f"'{full}' takes {takes}, {count} {'is' if count == 1 else 'are'} given", node.span)
            return
        for argument, kind in zip(node.arguments, signature.kinds, strict=False):
            self._template_variables(argument)
            wrong = _wrong_argument(full, kind, argument)
            if wrong is not None:
                self.add("E411", f"'{full}' {wrong}", node.span)


_INTEGER = late_pattern(r"\s*[+-]?[0-9]+\s*")
_NEVER_NEGATIVE = ("s.width", "sdp.line")


def _wrong_argument(transformation: str, kind: str, argument: n.Template) -> str | None:
    """What an argument of a transformation cannot be, in words; None when it may do."""
    text = argument.constant
    if transformation.startswith("s.fill."):
        if text is None:
            return "takes no variables as arguments"
        if kind == "string" and text in ("", "''"):
            return "needs a text to fill with"
    if text is None:
        return None
    if kind == "integer":
        if not _INTEGER.fullmatch(text):
            return f"takes a number here, found '{text}'"
        if "-" in text and transformation in _NEVER_NEGATIVE:
            return f"takes no negative number, found {text.strip()}"
    if transformation in ("s.index", "s.rindex") and kind in ("word", "string") and len(text.split()) > 1:
        return f"looks for a text without blanks, found '{text}'; put it into a variable"
    return None


def arguments_in_words(count: int, bound: str) -> str:
    return "no arguments" if count == 0 else f"{bound}{count} argument{'s' if count > 1 else ''}"
