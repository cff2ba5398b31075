"""From a file to a checked program with its modules made and their parameters set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..catalog import LoadedCatalog
from ..database import DatabaseError
from ..errors import ConfigurationError, MiscriptError, ScriptError
from ..script.checker import check
from ..script.diagnostics import Diagnostic, Diagnostics
from ..script.nodes import LoadModule, Script
from ..script.parser import parse_file, parse_text
from ..script.program import Program
from ..script.source import Span
from ..services import Services


@dataclass(frozen=True, slots=True)
class Source:
    """Where a script comes from: a file, or a `text` given directly; `preprocessor` is the command of `-p`."""

    name: str
    text: str | None = None
    preprocessor: str | None = None


def check_source(
    source: Source,
    diagnostics: Diagnostics,
    *,
    services: Services | None = None,
    stubs: Iterable[str] = (),
    run: bool = False,
) -> Program:
    """Parse and check a script; all mistakes go to `diagnostics`.

    With `services`, its modules are made (not yet initialised).  With `run`, what miscript lacks is an error.
    """
    script = _parse(source, diagnostics)
    catalog = LoadedCatalog(services, stubs)
    return check(script, catalog, diagnostics, name=source.name, run=run)


def check_again(source: Source, catalog: LoadedCatalog, diagnostics: Diagnostics) -> Program:
    """Check a script whose modules are already running, for a reload; it cannot bring new ones."""
    script = _parse(source, diagnostics)
    running = {module.name for module in catalog.loaded()}
    for item in script.items:
        if isinstance(item, LoadModule) and item.name not in running:
            diagnostics.add(
                "E309",
                f"module '{item.name}' was not loaded when the host started",
                item.span,
                help="stop the host and start it again: a reload takes only the routes",
            )
    if diagnostics.failed:
        raise ScriptError(tuple(diagnostics))
    return check(script, catalog, diagnostics, name=source.name, run=True)


def _parse(source: Source, diagnostics: Diagnostics) -> Script:
    if source.text is None:
        return parse_file(Path(source.name), diagnostics, source.preprocessor)
    return parse_text(source.text, source.name, diagnostics)


def initialise(program: Program, diagnostics: Diagnostics) -> None:
    """Set the parameters of all modules and let each check itself.

    A module that refuses is reported at the line of its `modparam`, or where it is loaded.  Raises ScriptError.
    """
    catalog = program.catalog
    assert isinstance(catalog, LoadedCatalog)
    for name, item in program.module_parameters:
        module = catalog.modules.get(name)
        if module is not None and item.name in module.parameters:
            module.set_parameter(item.name, item.value)
    missed: set[str | None] = set()
    for module in sorted(catalog, key=lambda module: not module.early):
        try:
            module.init()
        except ConfigurationError as error:
            missed.add(f'add  loadmodule "{module.name}.so"')
            if error.help in missed:  # it is loaded, and why it cannot be used has been told
                continue
            diagnostics.add("E410", *_told(program, module.name, error), help=_remedy(program, module.name, error))
    if diagnostics.failed:
        raise ScriptError(tuple(diagnostics))


def not_started(program: Program, module: str, error: MiscriptError) -> Diagnostic:
    """What to tell the author of a script of which `module` cannot be started."""
    return Diagnostic("E410", *_told(program, module, error), help=_remedy(program, module, error))


def socket_not_opened(program: Program, error: ConfigurationError) -> Diagnostic | None:
    """The same for a `socket=` line, which `error.value` tells; None when it tells none."""
    for line in reversed(program.globals):
        if line.name == "socket" and str(line.value) == error.value:
            return Diagnostic("E410", str(error), line.span, help=error.help)
    return None


def _remedy(program: Program, module: str, error: MiscriptError) -> str | None:
    """What the error itself says, else how to set the parameter that is at fault and has not been set."""
    if not isinstance(error, ConfigurationError):
        return None
    if error.help is not None or error.parameter is None:
        return error.help
    if any(name == module and item.name == error.parameter for name, item in program.module_parameters):
        return None
    return f'set it with  modparam("{module}", "{error.parameter}", …)'


def _told(program: Program, module: str, error: MiscriptError) -> tuple[str, Span]:
    """The message and its place: the line of the parameter that is at fault, else where the module is loaded."""
    parameter = error.parameter if isinstance(error, ConfigurationError) else None
    if parameter is None and (isinstance(error, DatabaseError) or isinstance(error.__cause__, DatabaseError)):
        parameter = "db_url"
    set_here = [i for n, i in program.module_parameters if n == module and i.name == parameter]
    value = error.value if isinstance(error, ConfigurationError) else None
    set_here = [i for i in set_here if i.value == value] or set_here
    message = str(error)
    if not message.startswith(f"module '{module}'"):
        message = f"module '{module}': {message}"
    return message, set_here[-1].value_span if set_here else program.load_span(module)
