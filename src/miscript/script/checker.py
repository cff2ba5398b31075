"""Tree + catalog → `Program`, or all mistakes at once.

The file is read from top to bottom, as the server does it: a `loadmodule` makes the names of its module known to
what stands below.  Route names are collected first, so a call may stand above its route.  Each name is looked up
here and nowhere else; the compiler finds the result in `Program.calls` and `Program.templates`.
"""

from __future__ import annotations

import re

from . import nodes as n
from .check_calls import CallChecker
from .diagnostics import Diagnostics, Note
from .program import Program
from .signatures import Catalog, ModuleSignature, ParameterSignature, Routes
from .suggest import near

ROUTE_TYPES: dict[str, Routes] = {
    "route": Routes.REQUEST,
    "failure_route": Routes.FAILURE,
    "onreply_route": Routes.REPLY,
    "branch_route": Routes.BRANCH,
    "error_route": Routes.ERROR,
    "local_route": Routes.LOCAL,
    "startup_route": Routes.STARTUP,
    "timer_route": Routes.TIMER,
    "event_route": Routes.EVENT,
}
MISNAMED_MODULES = {"mi_stream": ("mi_script", frozenset({"trace_destination", "trace_bwlist"}))}
"""Modules that the examples of a manual call by another name, and the parameters that they set by it."""
LISTS = {"avp", "json"}
"""Variables of which `[*]` is a list that `for` can walk through, whatever is loaded."""
MAIN_ROUTE_NAMES = {"no", "off", "false", "disable"}
"""The server reads these as the number 0, which is the main request route."""


def check(script: n.Script, catalog: Catalog, diagnostics: Diagnostics, *, name: str, run: bool = False) -> Program:
    """Check `script` and resolve its names; mistakes go to `diagnostics`.

    With `run`, what miscript does not have is an error; without, it is checked against the facts of OpenSIPS.
    """
    return Checker(script, catalog, diagnostics, name, run).check()


class Checker(CallChecker):
    """Walks the file; `CallChecker` looks at what stands inside statements."""

    def __init__(self, script: n.Script, catalog: Catalog, diagnostics: Diagnostics, name: str, run: bool) -> None:
        super().__init__(catalog, diagnostics, run)
        self.script = script
        self.program = Program(name, script, catalog, self.calls, self.templates)
        self._load_spans: dict[str, n.LoadModule] = {}

    def check(self) -> Program:
        self._collect_routes()
        for item in self.script.items:
            match item:
                case n.LoadModule():
                    self._load(item)
                case n.GlobalParameter():
                    self._global(item)
                case n.ModuleParameter():
                    self._module_parameter(item)
                case n.Route():
                    self._route(item)
        self._needs()
        return self.program

    # -- modules and parameters -----------------------------------------------------------------------------

    def _load(self, item: n.LoadModule) -> None:
        module = self.catalog.load(item.name)
        if module is None:
            if self.removed(item.name, "module", item.span, otherwise="delete the line"):
                return
            self.add(
                "E305",
                f"there is no module '{item.name}' in miscript nor in OpenSIPS 4.1",
                item.span,
                help=near(item.name, self.catalog.names("module")),
            )
            return
        first = self._load_spans.setdefault(module.name, item)
        if first is not item and not module.built_in:
            self.add(
                "E313",
                f"module '{module.name}' is loaded a second time",
                item.span,
                help="delete the line",
            )
        if all(known.name != module.name for known in self.program.modules):
            self.program.modules.append(module)
        if not module.available:
            self.add(
                "E309" if self.run else "W601",
                f"miscript has no module '{module.name}'"
                + ("" if self.run else "; its names are checked against OpenSIPS 4.1, but the script cannot run"),
                item.span,
                help=f"give --stub {module.name} to run the script with its functions doing nothing"
                if self.run
                else None,
            )

    def _needs(self) -> None:
        loaded = {module.name for module in self.program.modules}
        for module in self.program.modules:
            for needed in module.needs:
                if needed not in loaded:
                    self.add(
                        "E302",
                        f"module '{module.name}' needs module '{needed}', which is not loaded",
                        self._load_spans[module.name].span,
                        help=f'add  loadmodule "{needed}.so"',
                    )

    def _global(self, item: n.GlobalParameter) -> None:
        known = self.catalog.global_parameter(item.name)
        if known is None:
            if self.removed(item.name, "global", item.span, otherwise="delete the line"):
                return
            self.add(
                "E306",
                f"there is no global parameter '{item.name}'",
                item.span,
                help=near(item.name, self.catalog.names("global")),
            )
            return
        if known.kinds and self._kind(item.value) not in known.kinds:
            self.add(
                "E409",
                f"'{item.name}' takes {_wanted(known)}, not the {self._kind(item.value)} {item.value!r}",
                item.value_span,
            )
        elif known.kinds and (wrong := _misspelt(item, known.spellings)) is not None:
            self.add("E409", f"'{item.name}' takes {wrong}", item.value_span)
        self.program.parameters[item.name] = item.value

    @staticmethod
    def _kind(value: int | str) -> str:
        return "integer" if isinstance(value, int) else "string"

    def _module_parameter(self, item: n.ModuleParameter) -> None:
        modules = self._matching_modules(item)
        for module in modules or ():
            known = module.parameters.get(item.name)
            if known is None:
                self.add(
                    "E307",
                    f"module '{module.name}' has no parameter '{item.name}'",
                    item.name_span,
                    help=near(item.name, module.parameters),
                )
            elif self._kind(item.value) not in known.kinds:
                self.add(
                    "E408",
                    f"parameter '{item.name}' of '{module.name}' takes {_wanted(known)}, "
                    f"not {_a(self._kind(item.value))}",
                    item.value_span,
                )
            else:
                self.program.module_parameters.append((module.name, item))

    def _matching_modules(self, item: n.ModuleParameter) -> list[ModuleSignature] | None:
        try:
            pattern = re.compile(rf"(?:{item.modules})\Z", re.IGNORECASE)
        except (re.error, RecursionError) as error:
            self.add("E407", f"'{item.modules}' is no regular expression: {error}", item.modules_span)
            return None
        found = [module for module in self.catalog.loaded() if pattern.match(module.name)]
        if found:
            return found
        meant = self._misnamed(item)
        if meant is not None:
            return [meant]
        if re.fullmatch(r"\w+", item.modules) and item.modules in set(self.catalog.names("module")):
            self.add(
                "E308",
                f"module '{item.modules}' is not loaded (or only further down)",
                item.modules_span,
                help=f'add  loadmodule "{item.modules}.so"  before this line',
            )
        else:
            loaded = [module.name for module in self.catalog.loaded()]
            self.add(
                "E308",
                f"no loaded module is called '{item.modules}'",
                item.modules_span,
                help=near(item.modules, loaded),
            )
        return None

    def _misnamed(self, item: n.ModuleParameter) -> ModuleSignature | None:
        """The loaded module that the manual of `mi_script` calls by another name in its examples."""
        name, parameters = MISNAMED_MODULES.get(item.modules, ("", frozenset()))
        if item.name not in parameters:
            return None
        meant = next((module for module in self.catalog.loaded() if module.name == name), None)
        if meant is not None:
            self.add(
                "W609",
                f"there is no module '{item.modules}'; '{item.name}' is set for '{name}'",
                item.modules_span,
                help=f"write  '{name}'",
            )
        return meant

    # -- routes ---------------------------------------------------------------------------------------------

    def _collect_routes(self) -> None:
        first: dict[tuple[str, str], n.Route] = {}
        for route in self.script.items:
            if not isinstance(route, n.Route):
                continue
            before = first.setdefault((route.kind, route.name), route)
            if before is route:
                continue
            notes = (Note("it stands first here", before.head),)
            if not route.name and route.name_span.text in MAIN_ROUTE_NAMES:
                self.add(
                    "E503",
                    f"'{route.name_span.text}' is the number 0, which names the main request route",
                    route.name_span,
                    help=f'choose another name, or write  route["{route.name_span.text}"]',
                    notes=notes,
                )
            else:
                name = f"[{route.name}]" if route.name else ""
                self.add("E501", f"{route.kind}{name} is there twice", route.head, notes=notes)
        self.routes = {name: r for (kind, name), r in first.items() if kind == "route"}
        self.all_routes = first

    def _route(self, route: n.Route) -> None:
        if route.kind == "timer_route" and route.interval is not None and route.interval <= 0:
            self.add("E410", f"a timer cannot run every {route.interval} seconds", route.name_span)
        self.block_type = ROUTE_TYPES[route.kind]
        self._block(route.body)

    def _block(self, block: n.Block) -> None:
        ended: n.Statement | None = None
        for statement in block.statements:
            if ended is not None and not isinstance(statement, n.Empty):
                self.add(
                    "W603", "this is never reached", statement.span, notes=(Note("the route ends here", ended.span),)
                )
                ended = None
            self._statement(statement)
            if isinstance(statement, n.Exit | n.Drop | n.Return | n.Async):
                ended = statement

    def _statement(self, node: n.Statement) -> None:
        match node:
            case n.Block():
                self._block(node)
            case n.Assignment():
                self.assignment(node)
            case n.Call():
                self.call(node)
            case n.RouteCall():
                self.route_call(node)
            case n.If():
                self.condition(node.condition)
                self._block(node.then)
                if node.otherwise:
                    self._block(node.otherwise)
            case n.While():
                self.condition(node.condition)
                self._block(node.body)
            case n.For():
                self._for(node)
            case n.Switch():
                self._switch(node)
            case n.Return():
                self._return(node)
            case n.Assert():
                self.condition(node.condition)
            case n.Async() | n.Launch():
                self.asynchronous(node)
            case _:
                pass

    def _for(self, node: n.For) -> None:
        if not node.iterator.name or not node.sequence.name:  # the parser has said what is wrong
            self._block(node.body)
            return
        if node.iterator.name not in ("var", "avp", "json"):
            self.add(
                "E412",
                f"the iterator of for must be $var, $avp or $json, not '{node.iterator.text}'",
                node.iterator.span,
            )
        else:
            self.variable(node.iterator, written=True)
        self.variable(node.sequence)
        if node.sequence.index != "*":
            self.add(
                "E412",
                f"for walks through a list, and '{node.sequence.text}' is one value",
                node.sequence.span,
                help=f"write  $({_bare(node.sequence.text)}[*])" if node.sequence.name in LISTS else None,
            )
        self._block(node.body)

    def _switch(self, node: n.Switch) -> None:
        self.variable(node.subject)
        seen: dict[object, n.Case] = {}
        for case in node.cases:
            if case.value is not None:
                value = case.value.value
                key = value.lower() if isinstance(value, str) else value
                if key in seen:
                    self.add(
                        "W603",
                        "this case is never chosen",
                        case.value.span,
                        notes=(Note("the same value stands first here", seen[key].span),),
                    )
                seen.setdefault(key, case)
            self._block(case.body)

    def _return(self, node: n.Return) -> None:
        if isinstance(node.code, n.Variable):
            self.variable(node.code)
        for value in node.values:
            if value is not None:
                self.plain_value(value)


def _bare(variable: str) -> str:
    """`var(x)` of both spellings, `$var(x)` and `$(var(x))`."""
    return variable[2:-1] if variable.startswith("$(") else variable[1:]


def _misspelt(item: n.GlobalParameter, spellings: frozenset[str]) -> str | None:
    """What a value of the right kind must look like, in words; None when it does."""
    match item.value:
        case int(number):
            return None if number >= 0 or "signed integer" in spellings else f"no negative number, found {number}"
        case str(text) if item.quoted:
            return None if "string" in spellings else f"a word without quotes, found the string '{text}'"
        case text:
            return None if "identifier" in spellings else f"a string in quotes, found the word '{text}'"


def _wanted(known: ParameterSignature) -> str:
    return " or ".join(sorted(_a(kind) for kind in known.kinds))


def _a(kind: str) -> str:
    return "an integer" if kind == "integer" else f"a {kind}"
