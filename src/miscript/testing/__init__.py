"""For tests of scripts and of modules: time that a test moves, and a script that runs inside a test.

- `ManualClock`: a clock for a host; time passes when the test says so.
- `MemoryNetwork`: SIP between a host and peers that a test plays, without sockets.
- `run_script`: run a script to its end and see what it printed.
- `RunningScript`: a script that stays up, so that a test can call its routes, raise events, call MI commands.
- the pytest fixture `miscript` gives one (`miscript.testing.pytest_plugin`).

docs/testing.md shows them at work.  The names are loaded when they are first asked for: pytest imports this package
at each start, in projects that have nothing to do with scripts as well.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .clock import ManualClock as ManualClock
    from .network import MemoryNetwork as MemoryNetwork
    from .network import MemoryPeer as MemoryPeer
    from .scripts import Ran as Ran
    from .scripts import RouteCall as RouteCall
    from .scripts import RunningScript as RunningScript
    from .scripts import run_script as run_script

_HOMES = {
    "ManualClock": "clock",
    "MemoryNetwork": "network",
    "MemoryPeer": "network",
    "Ran": "scripts",
    "RouteCall": "scripts",
    "RunningScript": "scripts",
    "run_script": "scripts",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  # the table is the list


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
