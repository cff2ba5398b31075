"""What is loaded, by name: the modules of miscript, and what OpenSIPS 4.1 is known to have beside them.

`LoadedCatalog` answers the checker's questions.  Made with the services of a host it also makes the modules, so
that the compiler finds an implementation behind every name; without, it is enough to check a script.

The names, parameters and routes of all modules of OpenSIPS 4.1 are package data (`facts/opensips-4.1.json`): what
a module of miscript does not have yet is still checked against them.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from .exports import Module
from .script.access import SimpleAccess
from .script.signatures import (
    Function,
    Implementation,
    Kind,
    ModuleSignature,
    Parameter,
    ParameterSignature,
    Recipe,
    TransformationSignature,
    VariableForm,
    VariableSignature,
)
from .services import Services

_FACTS = Path(__file__).with_name("facts") / "opensips-4.1.json"


@cache
def facts() -> dict[str, Any]:
    """What OpenSIPS 4.1 exports, read once when it is first asked for."""
    return orjson.loads(_FACTS.read_bytes())  # type: ignore[no-any-return]  # the file's top is an object


@cache
def module_class(name: str) -> type[Module] | None:
    """The class of module `name`: one of miscript's own, or one that another package offers as an entry point of
    the group `miscript.modules`."""
    if not name.isidentifier():
        return None
    full = f"miscript.modules.{name}"
    if importlib.util.find_spec(full) is not None:
        return _class_in(importlib.import_module(full), name)
    from importlib.metadata import entry_points  # 25 ms, and most scripts get along with our own

    for entry in entry_points(group="miscript.modules", name=name):
        loaded = entry.load()
        if isinstance(loaded, type) and issubclass(loaded, Module):
            return loaded
    return None


def _class_in(module: Any, name: str) -> type[Module] | None:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Module) and value is not Module and value.name == name:
            return value
    return None


class LoadedCatalog:
    """The core and the modules loaded so far.

    `stubs` are modules whose functions do nothing and succeed; `modules` are the instances, by name.
    """

    def __init__(self, services: Services | None = None, stubs: Iterable[str] = ()) -> None:
        self.services = services
        self.stubs = frozenset(stubs)
        self.modules: dict[str, Module] = {}
        self._loaded: dict[str, ModuleSignature] = {}
        self._functions: dict[str, list[Function]] = {}
        self._async: dict[str, list[Function]] = {}
        self._variables: dict[str, VariableSignature] = {}
        self._transformations: dict[tuple[str, str], TransformationSignature] = {}
        self._events: list[str] = []
        self._add("core", facts()["core"])

    # -- loading --------------------------------------------------------------------------------------------

    def load(self, module: str) -> ModuleSignature | None:
        if module in self._loaded:
            return self._loaded[module]
        known = facts()["modules"].get(module)
        if known is None and module_class(module) is None:
            return None
        return self._add(module, known or {})

    def loaded(self) -> Sequence[ModuleSignature]:
        return [signature for name, signature in self._loaded.items() if name != "core"]

    def _add(self, name: str, known: dict[str, Any]) -> ModuleSignature:
        cls = module_class(name)
        instance = cls(self.services) if cls is not None and self.services is not None else None
        if instance is not None:
            self.modules[name] = instance
        stub = name in self.stubs
        own_functions = [f.export(name, instance) for f in cls.script_functions] if cls else []
        self._add_functions(name, own_functions, known, stub)
        self._add_variables(name, cls, instance, known, stub)
        if cls is not None:
            self._add_transformations(cls)
        self._events.extend(dict.fromkeys([*(cls.events if cls else ()), *known.get("events", ())]))
        parameters = {n: _parameter_signature(n, k) for n, k in known.get("parameters", {}).items()}
        if cls is not None:
            parameters.update({n: declared.signature() for n, declared in cls.parameters.items()})
        signature = ModuleSignature(
            name,
            cls is not None or stub or name in facts()["core"]["builtin_modules"],
            parameters,
            tuple(cls.needs) if cls else (),
            built_in=name in facts()["core"]["builtin_modules"],
        )
        self._loaded[name] = signature
        return signature

    def _add_functions(self, module: str, own: list[Function], known: dict[str, Any], stub: bool) -> None:
        have = {(f.name, f.asynchronous) for f in own}
        for key, asynchronous in (("functions", False), ("async_functions", True)):
            for name, fact in known.get(key, {}).items():
                if (name, asynchronous) not in have:
                    function = _function_from(module, name, fact, asynchronous, stub)
                    if function.routes or asynchronous:
                        own.append(function)
        for function in own:
            table = self._async if function.asynchronous else self._functions
            found = table.setdefault(function.name, [])
            found.insert(1 if found and found[0].module == "core" else 0, function)

    def _add_variables(
        self, module: str, cls: type[Module] | None, instance: Module | None, known: dict[str, Any], stub: bool
    ) -> None:
        for name, forms in known.get("variables", {}).items():
            signature = VariableSignature(
                name,
                module,
                tuple(_variable_form(f, module) for f in forms),
                bind=_null_variable if stub else None,
            )
            self._variables.setdefault(name, signature)
        for export in cls.variables if cls else ():
            self._variables[export.name] = _with_known_forms(
                export.export(module, instance, cls), known.get("variables", {}).get(export.name), module
            )

    def _add_transformations(self, cls: type[Module]) -> None:
        for transformation in cls.transformations:
            self._transformations[transformation.class_name, transformation.name] = transformation

    # -- questions ------------------------------------------------------------------------------------------

    def functions(self, name: str) -> Sequence[Function]:
        return self._functions.get(name, ())

    def async_functions(self, name: str) -> Sequence[Function]:
        return self._async.get(name, ())

    def variable(self, name: str) -> VariableSignature | None:
        return self._variables.get(name)

    def transformation(self, class_name: str, name: str) -> TransformationSignature | None:
        found = self._transformations.get((class_name, name))
        if found is None:
            fact = facts()["core"]["transformations"].get(class_name, {}).get(name)
            if fact is not None:
                least, most = fact["args"]
                kinds = tuple(fact.get("kinds", ())) or ("string",) * most
                found = TransformationSignature(class_name, name, kinds, least)
        return found

    def global_parameter(self, name: str) -> ParameterSignature | None:
        fact = facts()["core"]["global_parameters"].get(name)
        if fact is None:
            return None
        kinds = fact.get("kinds", ())
        return ParameterSignature(name, _global_kinds(kinds), spellings=frozenset(kinds))

    def command(self, name: str) -> Sequence[Recipe] | None:
        return self._commands().get(name)

    def _commands(self) -> dict[str, Sequence[Recipe]]:
        """The MI commands of what is loaded, by each of their names."""
        found: dict[str, Sequence[Recipe]] = {}
        for module in self._loaded:
            known = facts()["core"] if module == "core" else facts()["modules"].get(module, {})
            for name, fact in known.get("mi_commands", {}).items():
                full = fact.get("full", name)
                recipes = [] if fact.get("named_only") else [tuple(recipe) for recipe in fact["recipes"]]
                for each in (full, full.partition(":")[2], *fact["aliases"]):
                    found[each] = [*found.get(each, ()), *recipes]
            cls = module_class(module)
            for command in cls.commands if cls else ():
                full = f"{(command.module or module).removeprefix('proto_')}:{command.name}"
                for each in (full, command.name, *command.aliases):
                    found[each] = [*found.get(each, ()), *(() if command.named_only else command.recipes)]
        return found

    def events(self) -> Iterable[str]:
        return self._events

    def owners(self, name: str, what: str) -> Sequence[str]:
        if what == "command":
            return sorted(m for m, known in facts()["modules"].items() if _has_command(known, name))
        keys = {"function": ("functions", "async_functions"), "variable": ("variables",)}.get(what, (f"{what}s",))
        found = [m for m, known in facts()["modules"].items() if any(name in known.get(k, {}) for k in keys)]
        return sorted(found, key=lambda m: (module_class(m) is None, m))

    def replacement(self, name: str, what: str) -> str | None:
        removed = facts()["removed"]
        if what == "global" and name in facts()["core"]["removed"]:
            return facts()["core"]["removed"][name] or ""
        fact = removed.get(f"{what}s", {}).get(name)
        if what == "function":
            owners = list((fact or {}).values()) or [removed["keywords"].get(name)]
            fact = owners[0]
        return None if fact is None or "now_in" in fact else (fact.get("replacement") or "")

    def names(self, what: str) -> Iterable[str]:
        match what:
            case "module":
                return list(facts()["modules"])
            case "global":
                return list(facts()["core"]["global_parameters"])
            case "function":
                return self._functions.keys()
            case "variable":
                return self._variables.keys()
            case "command":
                return list(self._commands())
            case "transformation":
                return [f"{c}.{n}" for c, names in facts()["core"]["transformations"].items() for n in names]
        return ()

    def __iter__(self) -> Iterator[Module]:
        """The modules in the order they were loaded, the core first."""
        return iter(self.modules.values())


def _has_command(known: dict[str, Any], name: str) -> bool:
    return any(
        name in (short, fact.get("full"), *fact["aliases"]) for short, fact in known.get("mi_commands", {}).items()
    )


# -- facts as signatures --------------------------------------------------------------------------------


def _function_from(module: str, name: str, fact: dict[str, Any], asynchronous: bool, stub: bool) -> Function:
    forms = fact.get("overloads") or [fact]
    implementation = None
    if stub:
        implementation = Implementation(call=_stub_async if asynchronous else _stub)
    return Function(
        name,
        module,
        tuple(tuple(_parameter_from(i, p) for i, p in enumerate(form["params"])) for form in forms),
        frozenset(route for form in forms for route in form.get("routes", ())),
        asynchronous=asynchronous,
        implementation=implementation,
    )


def _stub(run: object, *arguments: object) -> int:
    return 1


async def _stub_async(run: object, *arguments: object) -> int:
    return 1


def _null_variable(inner: object, index: object, binder: object) -> SimpleAccess:
    return SimpleAccess(lambda run: None, lambda run, value, operator: True)


def _parameter_from(number: int, fact: dict[str, Any]) -> Parameter:
    return Parameter(
        f"#{number + 1}",
        Kind(fact["kind"]),
        fact.get("optional", False),
        fact.get("static", False),
        fact.get("no_expand", False),
    )


def _variable_form(fact: dict[str, Any], module: str) -> VariableForm:
    inner = ("required" if module == "core" else "optional") if fact["name"] else "none"
    names = fact.get("inner_names")
    return VariableForm(inner, fact["index"], fact["writable"], frozenset(names) if names else None)


def _with_known_forms(own: VariableSignature, facts: list[dict[str, Any]] | None, module: str) -> VariableSignature:
    """A variable of ours in the spellings that the server has for it."""
    if not facts:
        return own
    forms = tuple(_variable_form(f, module) for f in facts)
    return replace(own, forms=forms)


def _parameter_signature(name: str, fact: str | dict[str, Any]) -> ParameterSignature:
    text = fact if isinstance(fact, str) else fact["type"]
    kinds = frozenset(kind for kind in ("string", "integer") if kind in text)
    return ParameterSignature(name, kinds, repeatable="function" in text)


_GLOBAL_KINDS = {
    "signed integer": "integer",
    "integer": "integer",
    "boolean": "integer",
    "string": "string",
    "identifier": "string",
}


def _global_kinds(kinds: Iterable[str]) -> frozenset[str]:
    """Kinds of a global parameter; empty (anything) for those with a grammar of their own, like `socket`."""
    found = [_GLOBAL_KINDS.get(kind) for kind in kinds]
    return frozenset(k for k in found if k) if all(found) else frozenset()
