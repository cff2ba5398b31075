"""The pages of the documentation that are made from the code: modules, transformations and errors.

mkdocs calls `on_config` and `on_files` when it builds (`hooks:` in mkdocs.yml).  The pages exist only in the site, so
they cannot be out of date.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import miscript.modules
from miscript.catalog import facts
from miscript.exports import CommandDeclaration, Module, ScriptFunction, VariableExport
from miscript.script.explain import EXPLANATIONS, FAMILIES
from miscript.script.signatures import ALL_ROUTES, Kind, Parameter, TransformationSignature

EXAMPLES = Path(__file__).parent / "examples"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated pages behind those that are written by hand."""
    modules = [{module.name: f"modules/{module.name}.md"} for module in module_classes()]
    config.nav = [
        *(config.nav or []),
        {"Transformations": "transformations.md"},
        {"Modules": [{"All modules": "modules/index.md"}, *modules]},
        {"Errors": "errors.md"},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to what mkdocs found in the folder."""
    pages = {
        "errors.md": errors_page(),
        "transformations.md": transformations_page(),
        "modules/index.md": modules_page(),
    }
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    for module in module_classes():
        files.append(File.generated(config, f"modules/{module.name}.md", content=module_page(module)))
    return files


# -- errors -------------------------------------------------------------------------------------------------------


def errors_page() -> str:
    """All explanations, by family."""
    parts = [
        "# Errors",
        "`miscript check FILE` finds all mistakes of a script at once. Each has a code, explained here and by "
        "`miscript check --explain CODE`. Errors keep a script from running, warnings do not.",
    ]
    for family, title in FAMILIES.items():
        codes = [code for code in EXPLANATIONS if code.startswith(family)]
        parts += [f"## {title}"] if codes else []
        for code in codes:
            explanation = EXPLANATIONS[code]
            parts += [f"### {code}: {explanation.title} {{#{code}}}", markdown(explanation.text)]
            parts += ["Wrong:", fenced(explanation.wrong), "Right:", fenced(explanation.right)]
    return page(parts)


# -- transformations ----------------------------------------------------------------------------------------------

TRANSFORMATION_CLASSES = {
    "s": "Texts",
    "uri": "SIP URIs",
    "nameaddr": "Names with an address, as in From and To",
    "via": "Via headers",
    "param": "Lists of parameters, name=value;name=value",
    "csv": "Lists of fields, separated by commas",
    "ip": "IP addresses",
    "re": "Regular expressions",
    "sdp": "SDP bodies",
}


def transformations_page() -> str:
    """All transformations of all modules, by class."""
    declared = [(module, found) for module in module_classes() for found in module.transformations]
    parts = [
        "# Transformations",
        "A transformation turns the value of a variable into another: `$(ru{uri.user}{s.toupper})`. They are applied "
        "from left to right, in any number; classes and names ignore case. NULL gives NULL, and so does whatever goes "
        "wrong. Arguments may be variables; a number must be an integer.",
    ]
    classes = list(dict.fromkeys([*TRANSFORMATION_CLASSES, *(found.class_name for _, found in declared)]))
    for name in classes:
        rows = [
            (f"`{{{spelling(found)}}}`", markdown(found.help) + ("" if module.name == "core" else f" ({module.name})"))
            for module, found in declared
            if found.class_name == name
        ]
        if rows:
            parts += [f"## {TRANSFORMATION_CLASSES.get(name, name)}", table(("transformation", "gives"), rows)]
    return page(parts)


def spelling(transformation: TransformationSignature) -> str:
    """`s.substr,integer,integer`; what may be left out stands in brackets."""
    kinds = [
        f",{kind}" if place < transformation.minimum else f"[,{kind}]"
        for place, kind in enumerate(transformation.kinds)
    ]
    return f"{transformation.class_name}.{transformation.name}{''.join(kinds)}"


# -- modules ------------------------------------------------------------------------------------------------------


def modules_page() -> str:
    """Which modules there are, and which are only known."""
    ours = module_classes()
    rows = [(f"[{module.name}]({module.name}.md)", help_text(module).partition("\n")[0]) for module in ours]
    return page(
        [
            "# Modules",
            "What runs now. Each page is made from the declarations in the code, and names what OpenSIPS' module has "
            "beyond that.",
            table(("module", "what it is for"), rows),
            "## All others",
            f"The {len(facts()['modules'])} modules of OpenSIPS 4.1 are known by name: `miscript check` checks scripts "
            "that use them and warns once per module; `miscript run` needs `--stub MODULE`.",
        ]
    )


def module_classes() -> list[type[Module]]:
    """The modules that miscript brings, by name."""
    found: dict[str, type[Module]] = {}
    for info in pkgutil.iter_modules(miscript.modules.__path__, f"{miscript.modules.__name__}."):
        for _, value in inspect.getmembers(importlib.import_module(info.name), inspect.isclass):
            if issubclass(value, Module) and value.__module__.startswith(info.name):
                found[value.name] = value
    return [found[name] for name in sorted(found)]


def module_page(module: type[Module]) -> str:
    """The reference of one module."""
    parts = [f"# {module.name}", help_text(module), *example_part(module.name)]
    if module.needs:
        parts.append(f"Needs {', '.join(f'`{name}`' for name in module.needs)}.")
    parts += parameters_part(module)
    functions = [function for function in module.script_functions if not function.asynchronous]
    waiting = [function for function in module.script_functions if function.asynchronous]
    parts += section("Functions", map(function_part, [module] * len(functions), functions))
    parts += section("Inside async() and launch()", map(function_part, [module] * len(waiting), waiting))
    parts += section("Variables", map(variable_part, module.variables))
    parts += section("MI commands", map(command_part, [module] * len(module.commands), module.commands))
    if module.statistics:
        rows = [(f"`{counter.name}`", markdown(counter.help)) for counter in module.statistics.values()]
        parts += ["## Statistics", table(("name", "meaning"), rows)]
    if module.events:
        parts += ["## Events", "\n".join(f"- `{event}`" for event in module.events)]
    return page([*parts, *missing_part(module)])


def example_part(name: str) -> list[str]:
    """A script that shows the module at work; tests hold that it checks."""
    file = EXAMPLES / f"{name}.cfg"
    return [fenced(file.read_text(encoding="utf-8").rstrip())] if file.exists() else []


def missing_part(module: type[Module]) -> list[str]:
    """What the module of OpenSIPS 4.1 has and ours has not."""
    known = facts()["core"] if module.name == "core" else facts()["modules"].get(module.name)
    if known is None:
        return ["OpenSIPS has no module of this name."]
    functions = {(function.name, function.asynchronous) for function in module.script_functions}
    commands = {command_name(module, command) for command in module.commands}
    lacking = {
        "Parameters": known.get("parameters", {}).keys() - module.parameters.keys(),
        "Functions": {
            f"{name}()"
            for name, fact in known["functions"].items()
            if callable_fact(fact) and (name, False) not in functions
        },
        "Inside async() and launch()": {
            f"{name}()" for name in known["async_functions"] if (name, True) not in functions
        },
        "Variables": {
            f"${name}" for name in known["variables"].keys() - {variable.name for variable in module.variables}
        },
        "MI commands": {fact.get("full", name) for name, fact in known["mi_commands"].items()} - commands,
    }
    lines = [
        f"- {what}: {', '.join(f'`{name}`' for name in sorted(names))}" for what, names in lacking.items() if names
    ]
    head = "OpenSIPS 4.1 has these too. A script that uses them is checked against their names, kinds and routes."
    return ["## Not available yet", head, "\n".join(lines)] if lines else []


def callable_fact(fact: dict[str, Any]) -> bool:
    """Whether scripts can call a function of the facts: some are hooks for the server itself."""
    return any(form.get("routes") for form in fact.get("overloads", [fact]))


def parameters_part(module: type[Module]) -> list[str]:
    rows = []
    for name, declared in sorted(module.parameters.items()):
        default = "may be set several times" if declared.repeatable else shown_default(declared.default)
        kinds = " or ".join(sorted(declared.kinds))
        rows.append((f"`{name}`", kinds, default, markdown(declared.help)))
    return ["## Parameters", table(("name", "kind", "default", "meaning"), rows)] if rows else []


def shown_default(value: object) -> str:
    return "none" if value is None or value == "" else f"`{value}`"


def function_part(module: type[Module], function: ScriptFunction) -> str:
    signature = function.export(module.name, None)
    calls = [f"### `{signature.name}({arguments(form)})`" for form in signature.forms]
    routes = f"Routes: {'all' if signature.routes == ALL_ROUTES else ', '.join(sorted(signature.routes))}."
    kinds = "\n".join(f"- {argument_line(parameter)}" for form in signature.forms for parameter in form)
    return "\n\n".join(filter(None, [*calls, markdown(signature.help), kinds, routes]))


KINDS = {
    Kind.STRING: "a text",
    Kind.INTEGER: "a number",
    Kind.VARIABLE: "a variable",
    Kind.REGEX: "a regular expression",
}


def argument_line(parameter: Parameter) -> str:
    """`weight`: a number, may be left out."""
    name = f"`{'$' if parameter.kind == 'variable' else ''}{parameter.name}`"
    kind = f"an `${parameter.only}`" if parameter.only else KINDS[parameter.kind]
    if parameter.names_route:
        kind = f"the name of {'an' if parameter.names_route[0] in 'aeio' else 'a'} `{parameter.names_route}`"
    remarks = [
        "that can be written" if parameter.writable else "",
        "written out, without variables" if parameter.constant or parameter.literal else "",
        "may be left out" if parameter.optional else "",
    ]
    return f"{name}: " + ", ".join(filter(None, [kind, *remarks]))


def arguments(parameters: Iterable[Parameter]) -> str:
    """`url, [seconds]`, with a `$` in front of what is a variable."""
    names = [("$" if parameter.kind == "variable" else "") + parameter.name for parameter in parameters]
    optional = [parameter.optional for parameter in parameters]
    return ", ".join(f"[{name}]" if may_lack else name for name, may_lack in zip(names, optional, strict=True))


def variable_part(variable: VariableExport) -> str:
    inner = {"none": "", "required": "(name)", "optional": "[(name)]"}[variable.inner]
    spelling = f"$({variable.name}{inner}[index])" if variable.index else f"${variable.name}{inner}"
    written = "Can be written." if variable.writable else "Read only."
    return "\n\n".join(filter(None, [f"### `{spelling}`", help_text(variable.function), written]))


def command_name(module: type[Module], command: CommandDeclaration) -> str:
    return f"{command.module or module.name.removeprefix('proto_')}:{command.name}"


def command_part(module: type[Module], command: CommandDeclaration) -> str:
    full = command_name(module, command)
    forms = "\n".join(f"- `{' '.join([full, *recipe])}`" for recipe in command.recipes)
    remarks = [
        f"Also called {', '.join(f'`{alias}`' for alias in command.aliases)}." if command.aliases else "",
        "Takes its parameters by name only." if command.named_only else "",
        "Only reads." if command.read_only else "",
    ]
    said = " ".join(filter(None, remarks))
    return "\n\n".join(filter(None, [f"### `{full}`", help_text(command.function), forms, said]))


# -- Markdown -----------------------------------------------------------------------------------------------------


def help_text(documented: object) -> str:
    """The docstring written on the object itself, not one that it inherits."""
    return markdown(inspect.cleandoc(documented.__doc__ or ""))


def section(title: str, parts: Iterable[str]) -> Iterator[str]:
    found = list(parts)
    if found:
        yield f"## {title}"
        yield from found


def page(parts: Iterable[str]) -> str:
    return "\n\n".join(filter(None, parts)) + "\n"


def markdown(text: str) -> str:
    """A docstring as Markdown: outside of code, what Markdown or HTML would take for their own is escaped."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # a lone backquote: no code at all
        return escaped(text)
    return "`".join(escaped(piece) if place % 2 == 0 else piece for place, piece in enumerate(pieces))


def escaped(text: str) -> str:
    return re.sub(r"[*_|]", r"\\\g<0>", text).replace("<", "&lt;")


def fenced(code: str) -> str:
    return f"```\n{code}\n```"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in lines)
