"""`$acc_extra` and `$acc_leg`: the values that scripts add to records.

Source: OpenSIPS manual, module acc, "Exported Pseudo-Variables".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ...script.runtime import Run
from ...values import Value
from .accounts import Fields
from .watching import Watching

log = logging.getLogger("miscript.acc")

Tag = Callable[[Run], str]


class ExtraAccess:
    """`$acc_extra(tag)`.  Before `do_accounting()` it lives as long as the run."""

    __slots__ = ("_fields", "_tag", "_watching")

    def __init__(self, watching: Watching, tag: Tag, fields: Fields) -> None:
        self._watching = watching
        self._tag = tag
        self._fields = fields

    def get(self, run: Run) -> Value:
        account = self._watching.account(run)
        return None if account is None else account.extra.get(self._tag(run))

    def set(self, run: Run, value: Value, operator: str = "=") -> bool:
        tag = self._tag(run)
        if tag not in self._fields.tags:
            log.error("there is no tag '%s' in extra_fields", tag)
            return False
        self._watching.begin(run).extra[tag] = value
        return True

    def values(self, run: Run) -> Sequence[Value]:
        value = self.get(run)
        return () if value is None else (value,)


class LegAccess:
    """`$(acc_leg(tag)[index])`; the last leg without an index.  It needs `do_accounting()`."""

    __slots__ = ("_fields", "_index", "_tag", "_watching")

    def __init__(self, watching: Watching, tag: Tag, fields: Fields, index: Callable[[Run], Value] | None) -> None:
        self._watching = watching
        self._tag = tag
        self._fields = fields
        self._index = index

    def _leg(self, run: Run) -> dict[str, Value] | None:
        account = self._watching.account(run)
        if account is None:
            log.error("$acc_leg needs do_accounting() before")
            return None
        place = -1 if self._index is None else self._index(run)
        if not isinstance(place, int) or not -len(account.legs) <= place < len(account.legs):
            log.error("$acc_leg has no leg %s", place)
            return None
        return account.legs[place]

    def get(self, run: Run) -> Value:
        leg = self._leg(run)
        return None if leg is None else leg.get(self._tag(run))

    def set(self, run: Run, value: Value, operator: str = "=") -> bool:
        leg, tag = self._leg(run), self._tag(run)
        if leg is None or tag not in self._fields.tags:
            return False
        leg[tag] = value
        return True

    def values(self, run: Run) -> Sequence[Value]:
        value = self.get(run)
        return () if value is None else (value,)
