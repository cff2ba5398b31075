"""Every exception that miscript raises on purpose.

```
MiscriptError
 ├── ScriptError            a script that cannot be run: carries all of its diagnostics
 ├── ConfigurationError     a module refuses its parameters, a door cannot be opened
 ├── DeclarationError       a module written in Python declares something wrong (raised at import)
 ├── MIError                an MI command answers with an error (JSON-RPC code, message, data)
 └── ClientError            a call to a live server failed before an answer was there
      ├── ConnectError      the server cannot be reached; the command was not sent
      ├── AnswerTimeout     the deadline passed; the command may have been run
      └── ProtocolError     what came back is not a JSON-RPC answer
```
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .script.diagnostics import Diagnostic


class MiscriptError(Exception):
    """The root of all exceptions of this package.

    `diagnostic` tells the place in the script where a module or a socket of it cannot be started; it is then what
    `str` says.
    """

    diagnostic: Diagnostic | None = None

    def __str__(self) -> str:
        return super().__str__() if self.diagnostic is None else self.diagnostic.one_line()


class ScriptError(MiscriptError):
    """A script that cannot be run.

    `diagnostics` holds everything that was found, errors and warnings, in the order of the source.
    """

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        errors = [d for d in self.diagnostics if d.severity == "error"]
        first = errors[0].one_line() if errors else "no error"
        super().__init__(first if len(errors) <= 1 else f"{first} (and {len(errors) - 1} more)")


class ConfigurationError(MiscriptError):
    """What the script asks of a module cannot be had (a parameter's value, a socket, a file).

    `parameter` is the name of the module parameter that is at fault, where there is one: the host then shows
    the line of its `modparam`; `value` tells which one where it is set more than once.
    """

    def __init__(
        self, message: str, *, parameter: str | None = None, value: str | None = None, help: str | None = None
    ) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.value = value
        self.help = help


def reason(error: OSError) -> str:
    """Why the system refused, in its own words: asyncio puts others around them."""
    number = error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or str(error)


def remedy(error: OSError, protocol: str = "tcp", port: int = 0) -> str | None:
    """What whoever wants to listen at `port` of `protocol` (udp, tcp) can do about it, None when nothing is known."""
    match error.errno:
        case errno.EADDRINUSE if port:
            return f"another program listens there: `ss -ln{protocol[0]}p 'sport = :{port}'` tells which one"
        case errno.EADDRNOTAVAIL:
            return "no interface of this machine has this address: `ip -br address` shows them"
        case errno.EACCES if 0 < port < 1024:
            return "ports below 1024 are for root and for who has CAP_NET_BIND_SERVICE"
        case _:
            return None


class DeclarationError(MiscriptError):
    """A module class declares a function, variable or command in a way that cannot work."""


class MIError(MiscriptError):
    """An MI command answers with an error.

    `code` is the JSON-RPC code (-32602 …) or the application's own (404 …), `message` a short text, `data` an
    optional detail for machines.  Raised by handlers, turned into JSON by the doors and into text and return
    code by `mi()`.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return f"{self.code} {self.message}" + (f" ({self.data})" if self.data is not None else "")


class ClientError(MiscriptError):
    """A call to a live server failed before an answer was there."""


class ConnectError(ClientError):
    """The server cannot be reached; the command was not sent, so trying again is safe."""


class AnswerTimeout(ClientError):
    """The deadline passed without an answer; the command may have been run."""


class ProtocolError(ClientError):
    """What came back is not a JSON-RPC answer to the request."""
