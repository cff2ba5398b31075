"""The pages of the documentation that are made from the code: one of each module, and the list of errors.

mkdocs calls `on_config` and `on_files` when it builds (`hooks:` in mkdocs.yml).  The pages exist only in the site, so
they cannot be out of date.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import miscript.modules
from miscript.exports import CommandDeclaration, Module, ScriptFunction, VariableExport
from miscript.script.explain import EXPLANATIONS, FAMILIES
from miscript.script.signatures import ALL_ROUTES, Parameter


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated pages behind those that are written by hand."""
    modules = [{module.name: f"modules/{module.name}.md"} for module in module_classes()]
    config.nav = [*(config.nav or []), *([{"Modules": modules}] if modules else []), {"Errors": "errors.md"}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to what mkdocs found in the folder."""
    files.append(File.generated(config, "errors.md", content=errors_page()))
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


# -- modules ------------------------------------------------------------------------------------------------------


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
    parts = [f"# {module.name}", help_text(module)]
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
    return page(parts)


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
    routes = "" if signature.routes == ALL_ROUTES else f"Routes: {', '.join(sorted(signature.routes))}."
    return "\n\n".join(filter(None, [*calls, markdown(signature.help), routes]))


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


def command_part(module: type[Module], command: CommandDeclaration) -> str:
    full = f"{command.module or module.name.removeprefix('proto_')}:{command.name}"
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
