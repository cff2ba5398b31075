"""Checks what stands inside statements: calls and their arguments, variables, expressions, conditions."""

from __future__ import annotations

from collections.abc import Sequence

from . import nodes as n
from .check_variables import VariableChecker, arguments_in_words
from .diagnostics import Diagnostics
from .posix_regex import PatternError, compile_search, lost_escape
from .program import ResolvedCall
from .signatures import Function, Kind, Parameter
from .source import Span
from .suggest import near

MAX_ROUTE_PARAMETERS = 8

XLOG_LEVELS = ("L_ALERT", "L_CRIT", "L_ERR", "L_WARN", "L_NOTICE", "L_INFO", "L_DBG")

OTHER_LANGUAGES = dict.fromkeys(("print", "printf", "println", "echo", "puts"), 'to print a text, write  xlog("…\\n");')
"""What people write who come from elsewhere, and what to write here."""


class CallChecker(VariableChecker):
    """Looks up functions and matches arguments; subclassed by the checker of the whole file."""

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
        elif node.name == "xlog" and isinstance(text := node.arguments[0], n.String) and not text.value:
            self.add("E410", "the text of xlog is empty", text.span)

    def _level(self, level: n.Expression | None) -> None:
        """Of a word that is no level of `xlog` only the third letter counts, and that must be one of a level."""
        if not isinstance(level, n.String):
            return
        template = self.template(level)
        if not isinstance((template.pieces or ("",))[0], str):
            return  # a variable with the number
        word = level.value
        help = f"it is one of {', '.join(XLOG_LEVELS)}"
        if word[2:3] not in {known[2] for known in XLOG_LEVELS}:
            self.add("E410", f"'{word}' is no level of xlog", level.span, help=help)
        elif word not in XLOG_LEVELS:
            self.add("W604", f"'{word}' is no level of xlog", level.span, help=help)

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
            if self.removed(node.name, "function", node.name_span):
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
                trial.routes, trial.all_routes, trial.block_type = self.routes, self.all_routes, self.block_type
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
                f"'{name}' takes {arguments_in_words(len(form), 'at most ' if needed < len(form) else '')}, "
                f"{len(given)} are given",
                extra.span if extra is not None else node.span,
                help=f"it is  {_usage(name, form)}",
            )
            return False
        if len(given) < needed:
            self.add(
                "E402",
                f"'{name}' needs {arguments_in_words(needed, 'at least ' if needed < len(form) else '')}, {len(given)} "
                + ("is" if len(given) == 1 else "are")
                + " given",
                node.span,
                help=f"it is  {_usage(name, form)}",
            )
            return False
        results = [self._argument(node, a, p) for a, p in zip(given, form, strict=False)]
        return all(results)

    def _argument(self, node: n.Call, given: n.Expression | None, parameter: Parameter) -> bool:
        name = f"'{parameter.name}'" if not parameter.name.startswith("#") else parameter.name[1:]  # one without a name
        where = f"argument {name} of '{node.name}'"
        if given is None:
            if not parameter.optional:
                self.add("E404", f"{where} cannot be left out", node.span)
            return parameter.optional
        match parameter.kind, given:
            case Kind.VARIABLE, n.Variable():
                if parameter.only and (given.name != parameter.only or given.transformations):
                    article = "an" if parameter.only[0] in "aeiou" else "a"
                    self.add("E403", f"{where} must be {article} ${parameter.only}, not '{given.text}'", given.span)
                    return False
                return not parameter.writable or self.writable(given)
            case ((Kind.STRING | Kind.REGEX | Kind.INTEGER), n.Variable()):
                if parameter.constant:
                    self.add("E405", f"{where} must be written out, not held in a variable", given.span)
                return not parameter.constant
            case Kind.INTEGER, n.Integer():
                return self._is_right(str(given.value), given, parameter, where)
            case Kind.STRING, n.Integer() if (node.name, parameter.name) == ("log", "level"):
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
        if parameter.names_route and template.constant:
            self._named_route(template.constant, parameter.names_route, given.span)
        return template.constant is None or self._is_right(template.constant, given, parameter, where)

    def _is_right(self, text: str, given: n.Expression, parameter: Parameter, where: str) -> bool:
        wrong = None if parameter.check is None else parameter.check(text)
        if wrong is not None:
            self.add("E410", f"{where}: {wrong}", given.span)
        return wrong is None

    def _command(self, text: str, span: Span) -> None:
        """Warn of an MI command that nobody has, or whose words fit none of its forms."""
        name, *words = text.split() or [""]
        if "@" in name:  # of a node, which is not asked while a script is checked
            return
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
                f"'{name}' has no form with {arguments_in_words(len(words), '').replace('argument', 'parameter')}",
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

    def _named_route(self, name: str, kind: str, span: Span) -> None:
        """A function takes the name of a route, and there must be one."""
        if (kind, name) in self.all_routes:
            return
        help = near(name, [known for other, known in self.all_routes if other == kind])
        others = [other for other, known in self.all_routes if known == name]
        if others:
            help = f"{others[0]}[{name}] is another kind of route"
        self.add("E310", f"there is no {kind} '{name}'", span, help=help)

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
                self._assigned_condition(node)
            case _:
                self.expression(node)

    def _assigned_condition(self, node: n.Assignment) -> None:
        """`=` where a comparison is usual; `:=` and the others are no slip of the pen."""
        if node.operator != "=":
            return
        comparison = f"{node.target.text} == {node.value.span.text}"
        self.add(
            "W612",
            f"this assigns to '{node.target.text}' and compares nothing; it is true whenever the assignment succeeds",
            node.span,
            help=f"write  {comparison}  to compare" if len(comparison) < 60 else "write == to compare",
        )

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
        if (lost := lost_escape(node.value)) is not None:
            meant = {"d": "[0-9]", "D": "[^0-9]"}.get(lost)
            what = "stands for the letter" if lost == "D" else "matches nothing"
            self.add("W613", f"'\\{lost}' {what} in a pattern", node.span, help=meant and f"write  {meant}")
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


def _usage(name: str, form: tuple[Parameter, ...]) -> str:
    return f"{name}({', '.join(f'[{p.name}]' if p.optional else p.name for p in form)})"
