"""`$shv(name)`: variables that all routes share.

One that was never written reads as the integer 0, and so does one that NULL was assigned to.  A name exists from the
moment the script mentions it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ...name_hash import name_hash
from ...script.operations import stored
from ...script.runtime import Run
from ...script.signatures import VariableAccess
from ...values import Value


class SharedVariable:
    """One variable; bound into the script, it is found without looking for its name."""

    __slots__ = ("name", "value")

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: int | str = 0

    def get(self, run: Run) -> Value:
        return self.value

    def set(self, run: Run, value: Value, operator: str = "=") -> bool:
        self.value = stored(value) or (0 if not isinstance(value, str) else "")
        return True

    def values(self, run: Run) -> Sequence[Value]:
        return (self.value,)


class NamedAtRunTime:
    """`$shv($var(name))`: which variable it is, the run decides."""

    __slots__ = ("find", "name")

    def __init__(self, find: Callable[[str], SharedVariable], name: Callable[[Run], str]) -> None:
        self.find = find
        self.name = name

    def get(self, run: Run) -> Value:
        return self.find(self.name(run)).value

    def set(self, run: Run, value: Value, operator: str = "=") -> bool:
        return self.find(self.name(run)).set(run, value)

    def values(self, run: Run) -> Sequence[Value]:
        return (self.get(run),)


class SharedVariables:
    """All of them, by name.  `buckets` decides the order in which they are listed, as in the server."""

    def __init__(self) -> None:
        self.buckets = 64
        self._variables: dict[str, SharedVariable] = {}

    def variable(self, name: str) -> SharedVariable:
        """The variable `name`, which exists from now on."""
        found = self._variables.get(name)
        if found is None:
            found = self._variables[name] = SharedVariable(name)
        return found

    def find(self, name: str) -> SharedVariable | None:
        """The variable `name`, or None when nobody has mentioned it."""
        return self._variables.get(name)

    def access(self, name: str | Callable[[Run], str]) -> VariableAccess:
        return self.variable(name) if isinstance(name, str) else NamedAtRunTime(self.variable, name)

    def __iter__(self) -> Iterator[SharedVariable]:
        """All variables in the server's order: by the bucket of their name, the older first in each."""
        return iter(sorted(self._variables.values(), key=lambda variable: name_hash(variable.name) % self.buckets))
