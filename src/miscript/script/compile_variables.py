"""Variables and texts of a script → Python expressions.

`$var`, `$avp`, `$param` and `$rc` are written inline; every other variable is a call of the function that its module
bound.
"""

from __future__ import annotations

import ast
from itertools import count

from . import nodes as n
from .binding import Binding
from .program import Program
from .python_ast import Trees, place_of


class Pool:
    """The objects that compiled code refers to by name."""

    def __init__(self) -> None:
        self.objects: dict[str, object] = {}
        self._names: dict[int, str] = {}

    def put(self, kind: str, thing: object) -> str:
        """A name for `thing`; the same object gets the same name."""
        found = self._names.get(id(thing))
        if found is None:
            found = f"{kind}_{len(self._names) + 1}"
            self._names[id(thing)] = found
            self.objects[found] = thing
        return found


class VariableCompiler(Trees):
    """Compiles the variables of one route."""

    def __init__(self, program: Program, binding: Binding, pool: Pool) -> None:
        super().__init__()
        self.program = program
        self.binding = binding
        self.pool = pool
        self.waits = False
        self._temporaries = count(1)

    def temporary(self) -> str:
        return f"t{next(self._temporaries)}"

    # -- variables ------------------------------------------------------------------------------------------

    def variable(self, node: n.Variable) -> ast.expr:
        """The value of a variable."""
        outer, self.place = self.place, place_of(node.span)
        code = self._plain_variable(node)
        for step in node.transformations:
            code = self._transformed(step, code)
        self.place = outer
        return code

    def _plain_variable(self, node: n.Variable) -> ast.expr:
        signature = self.program.catalog.variable(node.name)
        if signature is not None and signature.module == "core":
            inline = self._inline(node)
            if inline is not None:
                return inline
        getter = self.binding.plain_access(node).get
        return self.expression("GET(run)", GET=self.pool.put("get", getter))

    def _inline(self, node: n.Variable) -> ast.expr | None:
        inner = node.inner.constant if node.inner is not None else None
        match node.name:
            case "var" if inner is not None:
                return self.expression("v[SLOT]", SLOT=self.binding.slot(inner))
            case "avp" if inner is not None:
                return self._inline_avp(inner, node.index)
            case "rc" | "retcode":
                return self.expression("run.rc")
            case "param" if inner is not None and inner.isdecimal() and node.index is None and int(inner) > 0:
                number = int(inner)
                if number == 1:
                    return self.expression("(p[0] if p else None)")
                return self.expression("(p[INDEX] if len(p) >= COUNT else None)", INDEX=number - 1, COUNT=number)
            case "cfg_line":
                return self.constant(node.span.line)
            case "cfg_file":
                return self.constant(node.span.file.name)
        return None

    def _inline_avp(self, avp: str, index: n.Index | None) -> ast.expr | None:
        if index is None:
            return self.expression(
                "(L[-1] if (L := avps.get(NAME)) else None)", L=self.temporary(), NAME=self.constant(avp)
            )
        if isinstance(index, int):
            return self.expression("avp_at(avps.get(NAME), INDEX)", NAME=self.constant(avp), INDEX=index)
        return self.expression("avp_text(avps.get(NAME))", NAME=self.constant(avp)) if index == "*" else None

    def _transformed(self, step: n.Transformation, value: ast.expr) -> ast.expr:
        prepared = None
        if (step.class_name, step.name) == ("s", "eval"):
            return self.expression("run.evaluate(VALUE)", VALUE=value)
        prepared = self.binding.prepared(step)
        if prepared is not None:
            return self.expression("TR(VALUE)", TR=self.pool.put("tr", prepared), VALUE=value)
        function = self.binding.transformation(step).function
        call = self.expression("TR(VALUE)", TR=self.pool.put("tr", function), VALUE=value)
        assert isinstance(call, ast.Call)
        kinds = self.binding.transformation(step).kinds
        for number, template in enumerate(step.arguments):
            text = template.constant
            if text is None:
                call.args.append(self.template_value(template))
            else:
                from .binding import constant_argument

                kind = kinds[number] if number < len(kinds) else "string"
                call.args.append(self.constant(constant_argument(text, kind)))
        return call

    # -- texts ----------------------------------------------------------------------------------------------

    def template(self, template: n.Template) -> ast.expr:
        """A text with its variables filled in."""
        text = template.constant
        if text is not None:
            return self.constant(text)
        values: list[ast.expr] = []
        for piece in template.pieces:
            if isinstance(piece, str):
                values.append(self.constant(piece))
            else:
                values.append(self.placed(ast.FormattedValue(self.text(self.variable(piece)), -1, None)))
        if len(values) == 1 and isinstance(values[0], ast.FormattedValue):
            return values[0].value
        return self.placed(ast.JoinedStr(values))

    def text(self, value: ast.expr) -> ast.expr:
        """What is printed for a value."""
        return self.expression("(T if (T := VALUE).__class__ is str else text_of(T))", T=self.temporary(), VALUE=value)

    def template_value(self, template: n.Template) -> ast.expr:
        """A template as a value: a variable alone keeps its kind."""
        if len(template.pieces) == 1 and isinstance(template.pieces[0], n.Variable):
            return self.variable(template.pieces[0])
        return self.template(template)

    def all_of(self, guards: tuple[ast.expr, ...]) -> ast.expr:
        return guards[0] if len(guards) == 1 else self.placed(ast.BoolOp(ast.And(), list(guards)))
