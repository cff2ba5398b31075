"""Where the answer of a `mi()` call goes: the return variable, and the return code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...mi.jsonrpc import SERVER_ERROR
from ...mi.writer import dumps_text
from ...script.access import VarAccess
from ...script.runtime import Run
from ...script.signatures import VariableAccess
from ...values import Value

log = logging.getLogger("miscript.mi_script")

NOT_WRITTEN: Final = -3


@dataclass(frozen=True, slots=True)
class Store:
    """Puts what a command said into the return variable and gives the return code.

    Called with a code and a text it stores the text; `put` stores a result as JSON.
    """

    write: Callable[[Run, Value], bool] | None
    put: Callable[[Run, object], int]
    slot: int | None = None
    """The number of a plain `$var` that takes results without line breaks."""

    def __call__(self, run: Run, code: int, text: str) -> int:
        if self.write is not None and not self.write(run, text):
            return NOT_WRITTEN
        return code


def not_json(run: Run, access: VariableAccess) -> int:
    """A command answered with something that cannot be written as JSON: its fault, said in the log."""
    log.exception("an MI command answered with something that is no JSON")
    return SERVER_ERROR if access.set(run, "Server error") else NOT_WRITTEN


def store_in(access: VariableAccess | None, pretty: bool) -> Store:
    """What stores answers in a variable, or nowhere; `pretty` writes results with line breaks."""
    slot = access.slot if isinstance(access, VarAccess) and not pretty else None
    return Store(None if access is None else access.set, _put(access, pretty), slot)


def _put(access: VariableAccess | None, pretty: bool) -> Callable[[Run, object], int]:
    """A function that writes a result and gives the return code."""
    if access is None:
        return lambda run, result: 1
    if isinstance(access, VarAccess):
        slot = access.slot

        def put_var(run: Run, result: object) -> int:
            try:
                run.vars[slot] = dumps_text(result, pretty)
            except (TypeError, ValueError):
                return not_json(run, access)
            return 1

        return put_var

    def put(run: Run, result: object) -> int:
        try:
            text = dumps_text(result, pretty)
        except (TypeError, ValueError):
            return not_json(run, access)
        return 1 if access.set(run, text) else NOT_WRITTEN

    return put
