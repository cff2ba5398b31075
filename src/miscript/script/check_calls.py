"""Checks what stands inside statements: calls and their arguments, variables, expressions, conditions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from . import nodes as n
from .diagnostics import Diagnostics, Note
from .posix_regex import PatternError, compile_search
from .program import ResolvedCall
from .signatures import Catalog, Function, Kind, Parameter, Routes, VariableForm
from .source import Span
from .suggest import near
from .variables import locator, parse_template

MAX_ROUTE_PARAMETERS = 8
_TRANSFORMATION = re.compile(r"\{(\w+)\.([\w.]+)[^{}]*\}")

XLOG_LEVELS = ("L_ALERT", "L_CRIT", "L_ERR", "L_WARN", "L_NOTICE", "L_INFO", "L_DBG")

OTHER_LANGUAGES = dict.fromkeys(("print", "printf", "println", "echo", "puts"), 'to print a text, write  xlog("…\\n");')
"""What people write who come from elsewhere, and what to write here."""


class CallChecker:
    """Looks up names and matches arguments; subclassed by the checker of the whole file."""

    def __init__(self, catalog: Catalog, diagnostics: Diagnostics, run: bool) -> None:
        self.catalog = catalog
        self.diagnostics = diagnostics
        self.run = run
        self.calls: dict[int, ResolvedCall] = {}
        self.templates: dict[int, n.Template] = {}
        self.routes: dict[str, n.Route] = {}
        self.block_type: Routes = Routes.REQUEST

    def add(
        self, code: str, message: str, span: Span, *, help: str | None = None, notes: tuple[Note, ...] = ()
    ) -> None:
        self.diagnostics.add(code, message, span, help=help, notes=notes)

    # -- calls ----------------------------------------------------------------------------------------------

    def call(self, node: n.Call) -> None:
        self._check_given(node)
        found = self.catalog.functions(node.name)
        function = next((f for f in found if self.block_type in f.routes), None)
        if function is None:
            self._unknown_function(node, found)
            return
        self._matched(node, function)
        if node.name == "xlog" and len(node.arguments) == 2:
            self._level(node.arguments[0])

    def _level(self, level: n.Expression | None) -> None:
        """A word that is no level of `xlog` is taken, but by one of its letters alone."""
        word = self.template(level).constant if isinstance(level, n.String) else None
        if level is not None and word is not None and word not in XLOG_LEVELS and not word.lstrip("+-").isdecimal():
            self.add("W604", f"'{word}' is no level of xlog", level.span, help=f"it is one of {', '.join(XLOG_LEVELS)}")

    def _matched(self, node: n.Call, function: Function) -> None:
        form = self._form(node, function)
        if form is None:
            return
        self.calls[id(node)] = ResolvedCall(function, form)
        if self.run and function.implementation is None:
            self.add(
                "E309",
                f"'{node.name}' of module '{function.module}' is not available yet",
                node.name_span,
                help=None
                if function.module == "core"
                else f"give --stub {function.module} to run the script with its functions doing nothing",
            )

    def _unknown_function(self, node: n.Call, found: Sequence[Function]) -> None:
        if found:
            allowed = sorted({str(route) for f in found for route in f.routes})
            self.add(
                "E502",
                f"'{node.name}' cannot be called in {_a(self.block_type)} route",
                node.name_span,
                help=f"it works in {', '.join(allowed)} routes" if allowed else None,
            )
        elif self.catalog.async_functions(node.name):
            self.add(
                "E413",
                f"'{node.name}' works only inside async() or launch()",
                node.name_span,
                help=f"write  async({node.name}(...), resume_route);",
            )
        elif owners := self.catalog.owners(node.name, "function"):
            self.add(
                "E302",
                f"'{node.name}' belongs to module '{owners[0]}', which is not loaded",
                node.name_span,
                help=f'add  loadmodule "{owners[0]}.so"  above the first route',
            )
        else:
            replacement = self.catalog.replacement(node.name, "function")
            if replacement is not None:
                self.add(
                    "E311",
                    f"function '{node.name}' was removed from OpenSIPS",
                    node.name_span,
                    help=f"use '{replacement}'" if replacement else None,
                )
                return
            help = near(node.name, self.catalog.names("function"))
            if node.name in OTHER_LANGUAGES:
                help = OTHER_LANGUAGES[node.name]
            if node.name in self.routes:
                help = f"to call the route, write  route({node.name});"
            self.add("E301", f"there is no function '{node.name}'", node.name_span, help=help)

    def _form(self, node: n.Call, function: Function) -> tuple[Parameter, ...] | None:
        """The form of `function` that the arguments match; says what is wrong with the nearest when none does."""
        if len(function.forms) > 1:
            for form in function.forms:
                trial = CallChecker(self.catalog, Diagnostics(), self.run)
                trial.routes, trial.block_type = self.routes, self.block_type
                if trial._fits(node, form):
                    return form if self._fits(node, form) else None
        return function.forms[0] if self._fits(node, function.forms[0]) else None

    def _fits(self, node: n.Call, form: tuple[Parameter, ...]) -> bool:
        given, name = node.arguments, node.name
        needed = max((i + 1 for i, p in enumerate(form) if not p.optional), default=0)
        if len(given) > len(form):
            extra = given[len(form)]
            self.add(
                "E401",
                f"'{name}' takes {_arguments(len(form), 'at most ' if needed < len(form) else '')}, "
                f"{len(given)} are given",
                extra.span if extra is not None else node.span,
                help=f"it is  {_usage(name, form)}",
            )
            return False
        if len(given) < needed:
            self.add(
                "E402",
                f"'{name}' needs {_arguments(needed, 'at least ' if needed < len(form) else '')}, {len(given)} "
                + ("is" if len(given) == 1 else "are")
                + " given",
                node.span,
                help=f"it is  {_usage(name, form)}",
            )
            return False
        results = [self._argument(node, a, p) for a, p in zip(given, form, strict=False)]
        return all(results)

    def _argument(self, node: n.Call, given: n.Expression | None, parameter: Parameter) -> bool:
        where = f"argument '{parameter.name}' of '{node.name}'"
        if given is None:
            if not parameter.optional:
                self.add("E404", f"{where} cannot be left out", node.span)
            return parameter.optional
        match parameter.kind, given:
            case Kind.VARIABLE, n.Variable():
                if parameter.only and (given.name != parameter.only or given.transformations):
                    self.add("E403", f"{where} must be an ${parameter.only}, not '{given.text}'", given.span)
                    return False
                return not parameter.writable or self.writable(given)
            case ((Kind.STRING | Kind.REGEX | Kind.INTEGER), n.Variable()):
                if parameter.constant:
                    self.add("E405", f"{where} must be written out, not held in a variable", given.span)
                return not parameter.constant
            case Kind.INTEGER, n.Integer():
                return True
            case Kind.STRING, n.String():
                return self._text_argument(given, parameter, where)
            case Kind.REGEX, n.String():
                return self.pattern(given)
        wanted = {
            Kind.STRING: "a text or a variable",
            Kind.REGEX: "a regular expression or a variable",
            Kind.INTEGER: "a number or a variable",
            Kind.VARIABLE: "a variable",
        }[parameter.kind]
        help = None
        if parameter.kind is Kind.STRING and isinstance(given, n.Integer):
            help = f'write  "{given.value}"'
        elif parameter.kind is Kind.INTEGER and isinstance(given, n.String) and given.value.isdecimal():
            help = f"write  {given.value}  without quotes"
        self.add("E403", f"{where} must be {wanted}, not {describe(given)}", given.span, help=help)
        return False

    def _text_argument(self, given: n.String, parameter: Parameter, where: str) -> bool:
        template = n.Template((given.value,)) if parameter.literal else self.template(given)
        if parameter.constant and template.constant is None:
            self.add("E405", f"{where} must be written out, without variables", given.span)
            return False
        if parameter.command and template.constant is not None:
            self._command(template.constant, given.span)
        if parameter.check is not None and template.constant is not None:
            wrong = parameter.check(template.constant)
            if wrong is not None:
                self.add("E410", f"{where}: {wrong}", given.span)
                return False
        return True

    def _command(self, text: str, span: Span) -> None:
        """Warn of an MI command that nobody has, or whose words fit none of its forms."""
        name, *words = text.split() or [""]
        recipes = self.catalog.command(name)
        if recipes is None:
            owners = self.catalog.owners(name, "command")
            help = near(name, self.catalog.names("command"))
            if owners:
                help = f"it belongs to module '{owners[0]}': add  loadmodule \"{owners[0]}.so\""
            self.add("W611", f"no loaded module has the MI command '{name}'", span, help=help)
        elif words and len(words) not in {len(recipe) for recipe in recipes}:
            forms = " or ".join(f"'{' '.join((name, *recipe))}'" for recipe in dict.fromkeys(recipes))
            self.add(
                "W611",
                f"'{name}' has no form with {_arguments(len(words), '').replace('argument', 'parameter')}",
                span,
                help=f"it is {forms}" if forms else "it takes parameters by name, from two AVPs",
            )

    def _check_given(self, node: n.Call) -> None:
        """Look at the variables and calls in the arguments, whatever the function is."""
        for given in node.arguments:
            if isinstance(given, n.Variable):
                self.variable(given)
            elif given is not None and not isinstance(given, n.String):
                self.expression(given)

    def route_call(self, node: n.RouteCall) -> None:
        if len(node.arguments) > MAX_ROUTE_PARAMETERS:
            self.add(
                "E506",
                f"a route takes at most {MAX_ROUTE_PARAMETERS} parameters, {len(node.arguments)} are given",
                node.span,
            )
        self._route_name(node.name, "E310", "there is no route")
        for given in node.arguments:
            if given is not None:
                self.plain_value(given)

    def _route_name(self, node: n.String | n.Variable, code: str, what: str) -> None:
        if isinstance(node, n.Variable):
            self.variable(node)
            return
        text = self.template(node).constant
        if text is not None and text not in self.routes:
            help = near(text, self.routes)
            if text == "0":
                help = "the number 0, and words like 'no', name the main request route, which cannot be called"
            self.add(code, f"{what} '{node.source or text}'", node.span, help=help)

    def asynchronous(self, node: n.Async | n.Launch) -> None:
        call = node.call
        self._check_given(call)
        found = self.catalog.async_functions(call.name)
        if found:
            self._matched(call, found[0])
        elif self.catalog.functions(call.name):
            word = "async" if isinstance(node, n.Async) else "launch"
            self.add("E413", f"'{call.name}' has no asynchronous form; {word}() cannot run it", call.name_span)
        else:
            self._unknown_function(call, ())
        if node.resume is not None:
            self._route_name(node.resume, "E507", "there is no resume route")
        extra = node.timeout if isinstance(node, n.Async) else node.text
        if isinstance(extra, n.Variable):
            self.variable(extra)
        elif isinstance(extra, n.String):
            self.template(extra)

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
        if isinstance(node.index, n.Variable):
            self.variable(node.index)
        for transformation in node.transformations:
            self._transformation(transformation)
        return self.writable(node) if written else True

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
            takes = _arguments(most, "") if exact else f"{signature.minimum} to {most} arguments"
            self.add("E411", f"'{full}' takes {takes}, {count} {'is' if count == 1 else 'are'} given", node.span)
        for argument in node.arguments:
            self._template_variables(argument)

    # -- expressions and conditions -------------------------------------------------------------------------

    def plain_value(self, node: n.Expression) -> None:
        """A constant, NULL or a variable; the parser takes nothing else."""
        if isinstance(node, n.Variable):
            self.variable(node)

    def assignment(self, node: n.Assignment) -> None:
        self.variable(node.target, written=not node.target.transformations)  # of those the parser complains
        self.expression(node.value)

    def expression(self, node: n.Expression) -> None:
        match node:
            case n.Variable():
                self.variable(node)
            case n.Unary():
                self.expression(node.operand)
            case n.Binary():
                self.expression(node.left)
                self.expression(node.right)
                self._precedence(node)
            case n.Comparison() | n.Not() | n.Logic():
                self.condition(node)
            case n.Call():
                self.call(node)
            case n.RouteCall():
                self.route_call(node)
            case _:
                pass

    def condition(self, node: n.Condition) -> None:
        match node:
            case n.Comparison():
                self._comparison(node)
            case n.Not():
                self.condition(node.operand)
            case n.Logic():
                self.condition(node.left)
                self.condition(node.right)
                self._mixed_logic(node)
            case n.Bracketed():
                self.expression(node.expression)
            case n.Assignment():
                self.assignment(node)
            case _:
                self.expression(node)

    def _comparison(self, node: n.Comparison) -> None:
        self.expression(node.left)
        if node.operator in ("=~", "!~") and isinstance(node.right, n.String):
            self.pattern(node.right)
            return
        self.expression(node.right)
        if isinstance(node.right, n.Integer) and _always_text(node.left):
            self.add(
                "W606",
                f"a text is compared with the number {node.right.value}; the comparison is an error each time",
                node.span,
                help="end the transformations with {s.int}, or put the number in quotes",
            )

    def pattern(self, node: n.String) -> bool:
        try:
            compile_search(node.value)
        except PatternError as error:
            self.add("E407", f"'{node.value}' is no regular expression: {error}", node.span)
            return False
        return True

    def _precedence(self, node: n.Binary) -> None:
        """`2 + 3 * 4` is 20 here."""
        left = node.left
        if node.operator in "*/%" and isinstance(left, n.Binary) and left.operator in "+-" and not _bracketed(left):
            self.add(
                "W607",
                f"'{left.operator}' and '{node.operator}' share one precedence: this is (a {left.operator} b) "
                f"{node.operator} c",
                node.span,
                help="write brackets",
            )

    def _mixed_logic(self, node: n.Logic) -> None:
        left = node.left
        if node.operator == "and" and isinstance(left, n.Logic) and left.operator == "or" and not _bracketed(left):
            self.add(
                "W607",
                "'or' and 'and' share one precedence: this is (a or b) and c",
                node.span,
                help="write brackets",
            )


def _bracketed(node: n.Node) -> bool:
    """Whether the node stands in round brackets of its own, which are not part of its span."""
    file = node.span.file
    end = file.offset(node.span.end_line, node.span.end_column)
    return file.text[end : end + 200].lstrip().startswith(")")


def _always_text(node: n.Expression) -> bool:
    text = ("s.tolower", "s.toupper", "s.select", "s.trim", "s.substr", "s.md5", "uri.user", "uri.host")
    if not isinstance(node, n.Variable) or not node.transformations:
        return False
    last = node.transformations[-1]
    return f"{last.class_name}.{last.name}" in text


def describe(node: n.Node) -> str:
    """What stands there, in words."""
    match node:
        case n.Integer():
            return f"the number {node.value}"
        case n.String():
            return f'the text "{node.value}"' if len(node.value) <= 30 else "a text"
        case n.Null():
            return "NULL"
        case n.Variable():
            return f"the variable '{node.text}'"
        case n.Call():
            return f"a call of '{node.name}'"
        case n.RouteCall():
            return "a call of a route"
    return "an expression"


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeio" else f"a {kind}"


def _arguments(count: int, bound: str) -> str:
    return "no arguments" if count == 0 else f"{bound}{count} argument{'s' if count > 1 else ''}"


def _usage(name: str, form: tuple[Parameter, ...]) -> str:
    return f"{name}({', '.join(f'[{p.name}]' if p.optional else p.name for p in form)})"
