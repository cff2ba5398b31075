"""Variables, templates and transformations as Python functions, bound once when the script is compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..values import Value
from .access import ContextAccess, TransformedAccess, join
from .nodes import ActiveIndex, Index, Template, Transformation, Variable
from .runtime import Run, Symbols
from .signatures import Catalog, TransformationSignature, VariableAccess
from .source import Span

Getter: TypeAlias = Callable[[Run], Value]


class CannotBind(Exception):
    """A variable makes no sense to its module, or comes from `{s.eval}` and nobody has checked it.

    `span` is where it stands.
    """

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message)
        self.span = span


class Binding:
    """Binds what stands in the tree to the variables of a host."""

    def __init__(self, catalog: Catalog, symbols: Symbols) -> None:
        self.catalog = catalog
        self.symbols = symbols

    def slot(self, name: str) -> int:
        """The number of `$var(name)`."""
        return self.symbols.slot(name)

    # -- variables ------------------------------------------------------------------------------------------

    def access(self, node: Variable) -> VariableAccess:
        """The variable of `node` with its transformations."""
        plain = self.plain_access(node)
        if not node.transformations:
            return plain
        steps = self.steps(node.transformations)
        return TransformedAccess(plain, steps)

    def plain_access(self, node: Variable) -> VariableAccess:
        """The variable of `node` without its transformations."""
        signature = self.catalog.variable(node.name)
        if signature is None or signature.bind is None:
            raise CannotBind(f"there is no variable '${node.name}'", node.span)
        try:
            plain = signature.bind(node.inner, node.index, self)
        except ValueError as error:
            raise CannotBind(f"'{node.text}': {error}", node.span) from error
        return plain if node.context is None else ContextAccess(plain, node.context)

    def getter(self, node: Variable) -> Getter:
        return self.access(node).get

    def template(self, template: Template) -> Callable[[Run], str]:
        text = template.constant
        if text is not None:
            return lambda run: text
        return join(self.template_pieces(template))

    def template_pieces(self, template: Template) -> Sequence[str | Getter]:
        return [p if isinstance(p, str) else self.getter(p) for p in template.pieces]

    def value(self, template: Template) -> Getter:
        """A template as a value: a variable alone keeps its kind, everything else is a text."""
        if len(template.pieces) == 1 and isinstance(template.pieces[0], Variable):
            return self.getter(template.pieces[0])
        return self.template(template)

    def index(self, index: Index) -> Getter:
        if isinstance(index, ActiveIndex):
            index = index.position
        if isinstance(index, Variable):
            return self.getter(index)
        return lambda run: index

    # -- transformations ------------------------------------------------------------------------------------

    def transformation(self, node: Transformation) -> TransformationSignature:
        signature = self.catalog.transformation(node.class_name, node.name)
        if signature is None or (signature.function is None and (node.class_name, node.name) != ("s", "eval")):
            raise CannotBind(f"there is no transformation '{node.class_name}.{node.name}'", node.span)
        return signature

    def constant_arguments(self, node: Transformation) -> list[Value] | None:
        """The arguments when none of them holds a variable, else None."""
        kinds = self.transformation(node).kinds
        found: list[Value] = []
        for number, template in enumerate(node.arguments):
            text = template.constant
            if text is None:
                return None
            found.append(constant_argument(text, kinds[number] if number < len(kinds) else "string"))
        return found

    def prepared(self, node: Transformation) -> Callable[[Value], Value] | None:
        """The transformation with its constant arguments built in, or None when one is a variable."""
        arguments = self.constant_arguments(node)
        signature = self.transformation(node)
        if arguments is None or signature.function is None:
            return None
        if signature.prepare is not None:
            return signature.prepare(*arguments)
        if not arguments:
            return signature.function
        function = signature.function
        return lambda value: function(value, *arguments)

    def steps(self, nodes: Sequence[Transformation]) -> Callable[[Run, Value], Value]:
        """All transformations of a variable as one function."""
        steps = [self.step(node) for node in nodes]
        if len(steps) == 1:
            return steps[0]

        def apply(run: Run, value: Value) -> Value:
            for step in steps:
                value = step(run, value)
            return value

        return apply

    def step(self, node: Transformation) -> Callable[[Run, Value], Value]:
        if (node.class_name, node.name) == ("s", "eval"):
            return lambda run, value: run.evaluate(value)
        prepared = self.prepared(node)
        if prepared is not None:
            return lambda run, value: prepared(value)
        function = self.transformation(node).function
        assert function is not None
        arguments = self.arguments(node)
        return lambda run, value: function(value, *[a(run) for a in arguments])

    def arguments(self, node: Transformation) -> list[Getter]:
        """The arguments of a transformation, one or more of which hold variables."""
        kinds = self.transformation(node).kinds
        found: list[Getter] = []
        for number, template in enumerate(node.arguments):
            text = template.constant
            if text is None:
                found.append(self.value(template))
            else:
                value = constant_argument(text, kinds[number] if number < len(kinds) else "string")
                found.append(lambda run, value=value: value)  # type: ignore[misc]  # the default binds it now
        return found


def constant_argument(text: str, kind: str) -> Value:
    """The value of an argument that is written out: digits are a number where one is wanted."""
    if kind == "integer":
        stripped = text.strip()
        if stripped.lstrip("+-").isdecimal() and len(stripped) <= 11:
            return int(stripped)
    if kind == "word":
        return next(iter(text.split()), "")
    return text
