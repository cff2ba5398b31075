"""The audit of MI calls: one JSON object per line.

```json
{"time":"2026-08-20T10:00:00.123Z","door":"mi_http","peer":"10.0.0.7:40112","identity":"alice",
 "command":"dispatcher:reload","parameters":{"partition":"default"},"outcome":"ok","milliseconds":1.2}
```

`outcome` is `ok`, or the code of the error, then with `message`; `command` is the canonical name, or what the
caller wrote if there is none.  Parameters given by position get the names of the recipe.  Values of masked
parameters are `***`, wherever they stand; of a command that is unknown only the number of values is told, for
nobody knows which of them are secrets.  A line has at most `MAX_LINE` bytes: longer parameters are left out.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

from .command import Command
from .jsonrpc import Failure, Params, Request, Response
from .origin import Origin
from .writer import MAX_DEPTH

MAX_LINE: Final = 4096
HIDDEN: Final = "***"

ALWAYS_MASKED: Final = frozenset({"password", "passwd", "secret", "ha1", "token"})
"""Parameters that no audit shows, whatever a policy says."""


def audit_line(
    message: Request | Failure,
    command: Command | None,
    origin: Origin,
    response: Response,
    *,
    time: float,
    seconds: float,
    masked: Collection[str],
) -> bytes:
    """The line about one call, with its newline; `time` is seconds since the epoch, `seconds` how long it took."""
    line: dict[str, object] = {
        "time": datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "door": origin.door,
        "peer": origin.peer,
        "identity": str(origin.identity),
        "command": _cut(command.full if command is not None else message.method or ""),
        "parameters": shown(message.params, command, masked),
        "outcome": "ok" if response.error is None else response.error.code,
    }
    if response.error is not None:
        line["message"] = _cut(response.error.message)
    line["milliseconds"] = round(seconds * 1000, 3)
    written = _written(line)
    if len(written) > MAX_LINE:
        line["parameters"] = f"left out: the line would have {len(written)} bytes"
        written = _written(line)
    return written


def shown(params: Params, command: Command | None, masked: Collection[str]) -> object:
    """`params` as the audit shows them."""
    if not params:
        return {}
    if isinstance(params, dict):
        return _masked(params, masked, 0)
    recipe = _recipe(command, len(params))
    if recipe is None:
        return f"{len(params)} values"
    return _masked(dict(zip(recipe, params, strict=True)), masked, 0)


def _recipe(command: Command | None, count: int) -> tuple[str, ...] | None:
    found = [recipe for recipe in command.recipes if len(recipe) == count] if command is not None else []
    return found[0] if len(found) == 1 else None


def _masked(value: object, masked: Collection[str], depth: int) -> object:
    if depth > MAX_DEPTH:
        return HIDDEN
    if isinstance(value, dict):
        return {k: HIDDEN if k.lower() in masked else _masked(v, masked, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_masked(item, masked, depth + 1) for item in value]
    return value


def _cut(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"


def _written(line: dict[str, object]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"
