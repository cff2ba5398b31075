"""Variables bound to their place: one object that reads, writes and walks.

The compiler writes `$var`, `$avp`, `$param` and `$rc` inline where it can; everything else, and every variable that
is handed to a function, goes through these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from ..values import Value, plain_text, text_of
from .avps import avp_assign, avp_at, avp_text
from .runtime import Run
from .signatures import VariableAccess

T = TypeVar("T")


class VarAccess:
    """`$var(x)`, by its number in the variable space."""

    __slots__ = ("slot",)

    def __init__(self, slot: int) -> None:
        self.slot = slot

    def get(self, run: Run) -> Value:
        slots = run.vars
        return slots[self.slot] if self.slot < len(slots) else None

    def set(self, run: Run, value: Value, operator: str = "=") -> bool:
        slots = run.vars
        if self.slot >= len(slots):
            slots.extend([None] * (self.slot + 1 - len(slots)))
        slots[self.slot] = value
        return True

    def values(self, run: Run) -> Sequence[Value]:
        value = self.get(run)
        return () if value is None else (value,)


class AvpAccess:
    """`$avp(x)` with its index; `name` is a text or, for `$avp($var(n))`, a function of the run."""

    __slots__ = ("index", "name")

    def __init__(
        self,
        name: str | Callable[[Run], str | None],
        index: int | Literal["*", "append"] | Callable[[Run], Value] | None,
    ) -> None:
        self.name = name
        self.index = index

    def name_in(self, run: Run) -> str | None:
        """The AVP's name; None when the variable that holds it is NULL."""
        return self.name if isinstance(self.name, str) else self.name(run)

    def all(self, run: Run) -> list[Value]:
        """All values, the oldest first; the list itself, not a copy."""
        return run.avps.get(self.name_in(run) or "", [])

    def get(self, run: Run) -> Value:
        values = self.all(run)
        match self.index:
            case None:
                return values[-1] if values else None
            case "append":
                return None
            case "*":
                return avp_text(values)
            case int(index):
                return avp_at(values, index)
            case dynamic:
                return avp_at(values, dynamic(run))

    def set(self, run: Run, value: Value, operator: str = "=") -> bool:
        name = self.name_in(run)
        if name is None:
            return False
        index = self.index
        if callable(index):
            found = index(run)
            if not isinstance(found, int):
                return False
            index = int(found)
        return avp_assign(run.avps, name, index, operator, value)

    def values(self, run: Run) -> Sequence[Value]:
        if self.index == "*":
            return self.all(run)[::-1]
        value = self.get(run)
        return () if value is None else (value,)


class SimpleAccess:
    """A variable made of a reader and, where it can be written, a writer."""

    __slots__ = ("_read", "_walk", "_write")

    def __init__(
        self,
        read: Callable[[Run], Value],
        write: Callable[[Run, Value, str], bool] | None = None,
        walk: Callable[[Run], Sequence[Value]] | None = None,
    ) -> None:
        self._read = read
        self._write = write
        self._walk = walk

    def get(self, run: Run) -> Value:
        return self._read(run)

    def set(self, run: Run, value: Value, operator: str = "=") -> bool:
        return self._write is not None and self._write(run, value, operator)

    def values(self, run: Run) -> Sequence[Value]:
        if self._walk is not None:
            return self._walk(run)
        value = self._read(run)
        return () if value is None else (value,)


class TransformedAccess:
    """A variable seen through its transformations; it can only be read."""

    __slots__ = ("inner", "steps")

    def __init__(self, inner: VariableAccess, steps: Callable[[Run, Value], Value]) -> None:
        self.inner = inner
        self.steps = steps

    def get(self, run: Run) -> Value:
        return self.steps(run, self.inner.get(run))

    def set(self, run: Run, value: Value, operator: str = "=") -> bool:
        return False

    def values(self, run: Run) -> Sequence[Value]:
        value = self.get(run)
        return () if value is None else (value,)


class ContextAccess:
    """`$(<request>name)`, `$(<reply>name)`: a variable of that message of the transaction, whatever the run is about.

    NULL, and not to be written, where there is no such message.
    """

    __slots__ = ("context", "inner")

    def __init__(self, inner: VariableAccess, context: str) -> None:
        self.inner = inner
        self.context = context

    def _with_message(self, run: Run, work: Callable[[], T], otherwise: T) -> T:
        message = run.script.message_of(run, self.context)
        if message is None:
            return otherwise
        own, run.message = run.message, message
        try:
            return work()
        finally:
            run.message = own

    def get(self, run: Run) -> Value:
        return self._with_message(run, lambda: self.inner.get(run), None)

    def set(self, run: Run, value: Value, operator: str = "=") -> bool:
        return self._with_message(run, lambda: self.inner.set(run, value, operator), False)

    def values(self, run: Run) -> Sequence[Value]:
        return self._with_message(run, lambda: self.inner.values(run), ())


def join(pieces: Sequence[str | Callable[[Run], Value]]) -> Callable[[Run], str]:
    """A function that fills the values into a text; NULL prints as `<null>`."""
    if len(pieces) == 1 and callable(pieces[0]):
        only = pieces[0]
        return lambda run: text_of(only(run))
    return lambda run: "".join([p if isinstance(p, str) else text_of(p(run)) for p in pieces])


def name_of(pieces: Sequence[str | Callable[[Run], Value]]) -> Callable[[Run], str | None]:
    """A function that gives a name made of variables; None as soon as one of them is NULL."""

    def name(run: Run) -> str | None:
        found = []
        for piece in pieces:
            value = piece if isinstance(piece, str) else piece(run)
            if value is None:
                return None
            found.append(plain_text(value))
        return "".join(found)

    return name
