"""miscript: the OpenSIPS routing script and its Management Interface, as a Python program.

The names that other programs use.  Each is loaded when it is first asked for, so that `import miscript` and the
command line stay quick.  What has a name here stays; the rooms behind it may be moved.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import ConfigurationError as ConfigurationError
    from .errors import DeclarationError as DeclarationError
    from .errors import MIError as MIError
    from .errors import MiscriptError as MiscriptError
    from .errors import ScriptError as ScriptError
    from .host.embedding import call_command as call_command
    from .host.embedding import check as check
    from .host.embedding import run_once as run_once
    from .host.embedding import running as running
    from .host.host import Host as Host
    from .host.loading import Source as Source
    from .host.runs import Budget as Budget
    from .mi.command import Command as Command
    from .mi.registry import Registry as Registry
    from .script.diagnostics import Diagnostic as Diagnostic
    from .script.render import render as render

_HOMES = {
    "Budget": "host.runs",
    "Command": "mi.command",
    "ConfigurationError": "errors",
    "DeclarationError": "errors",
    "Diagnostic": "script.diagnostics",
    "Host": "host.host",
    "MIError": "errors",
    "MiscriptError": "errors",
    "Registry": "mi.registry",
    "ScriptError": "errors",
    "Source": "host.loading",
    "call_command": "host.embedding",
    "check": "host.embedding",
    "render": "script.render",
    "run_once": "host.embedding",
    "running": "host.embedding",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  # the table is the list


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
