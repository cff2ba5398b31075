"""A `$json` variable bound to its place: reading, writing, walking.

The documents of a worker are one dict, name → document, in its variable space; so the name of the document is the
first step of every path.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, overload

from orjson import loads

from ...script.runtime import Run
from ...values import INT_MAX, INT_MIN, NumberWithText, Value
from .document import MAX_ELEMENTS, BadJson, Json, from_value, number_value
from .paths import Append, Path, Step
from .reading import parse
from .writing import CannotPrint, Form, write

if TYPE_CHECKING:
    from . import JsonModule

log = logging.getLogger("miscript.json")


MAX_SEEN: Final = 4096
"""Length of a text that is remembered as one that orjson may read."""


class Missing:
    """The type of `MISSING`: nothing stands there.  JSON's null is None."""


MISSING: Final = Missing()


def documents_of(run: Run) -> dict[str, Json]:
    """All documents of the worker that `run` runs in."""
    data = run.space.data
    found: dict[str, Json] | None = data.get("json")
    if found is None:
        found = data["json"] = {}
    return found


def find(root: Json, steps: Sequence[Step]) -> Json | Missing:
    """What stands at the end of `steps`."""
    value = root
    try:
        for step in steps:
            if step.__class__ is int and value.__class__ is not list:
                return MISSING
            value = value[step]  # type: ignore[index]  # what cannot be indexed raises TypeError
    except (KeyError, IndexError, TypeError):
        return MISSING
    return value


def store(root: Json, steps: Sequence[Step], document: Json) -> bool:
    """Put `document` at the end of `steps`; False when its parent is not there or has no such place."""
    last = steps[-1]
    parent = find(root, steps[:-1]) if len(steps) > 1 else root
    if parent.__class__ is dict and last.__class__ is str:
        parent[last] = document
        return True
    if not isinstance(parent, list) or isinstance(last, str):
        return False
    if isinstance(last, Append):
        if len(parent) >= MAX_ELEMENTS:
            log.error("an array has %d elements; no more are taken", MAX_ELEMENTS)
            return False
        parent.append(document)
        return True
    if not -len(parent) <= last < len(parent):
        return False
    parent[last] = document
    return True


def delete(root: Json, steps: Sequence[Step]) -> bool:
    """Take away what stands at the end of `steps`.  A key that is not there is fine, an index is not."""
    parent, last = find(root, steps[:-1]), steps[-1]
    if isinstance(parent, dict) and isinstance(last, str):
        parent.pop(last, None)
        return True
    if isinstance(parent, list) and isinstance(last, int) and -len(parent) <= last < len(parent):
        del parent[last]
        return True
    return False


class JsonAccess:
    """`$json(path)` and its relatives; `form` is how objects and arrays print."""

    __slots__ = ("_name", "_seen", "form", "module", "path", "steps", "walks")

    def __init__(self, module: JsonModule, path: Path, form: Form, walks: bool) -> None:
        self.module = module
        self.path = path
        self.steps = path.steps
        self.form = form
        self.walks = walks
        self._name = path.steps[0] if path.steps is not None and len(path.steps) == 1 else None
        self._seen = "{}"  # which orjson may read as well

    def find(self, run: Run) -> Json | Missing:
        """The part of a document that the path leads to."""
        steps = self.steps or self.path.resolve(run)
        return MISSING if steps is None else find(documents_of(run), steps)

    def get(self, run: Run) -> Value:
        # `find` and the two most frequent cases of `value` once more: reading is what scripts do most
        steps = self.steps or self.path.resolve(run)
        if steps is None or self.walks:  # `[*]` is for loops only
            return None
        try:
            value = run.space.data["json"]
            for step in steps:
                if step.__class__ is int and value.__class__ is not list:
                    return None
                value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
        if value.__class__ is str:
            return value
        if value.__class__ is int and INT_MIN <= value <= INT_MAX:
            return value
        return self.value(value)

    def value(self, part: Json | Missing) -> Value:
        """A part of a document as a value of the script."""
        match part:
            case bool():
                return "true" if part else "false"
            case int():
                return number_value(part, bool(self.module.enable_long_quoting))
            case str():
                return str(part)
            case dict() | list():
                return self._printed(part)
            case _:
                return None

    def _printed(self, part: Json) -> str | None:
        try:
            return write(part, self.form, shared=self.module.has_links)
        except CannotPrint as error:
            log.error("$json cannot be printed: %s", error)
            return None

    def set(self, run: Run, value: Value, operator: str = "=") -> bool:
        # a constant of the script is the same object each time: what orjson has read once needs no second look
        if value is self._seen and operator == ":=" and self._name is not None and "json" in run.space.data:
            run.space.data["json"][self._name] = loads(value)
            return True
        steps = self.steps or self.path.resolve(run)
        if steps is None:
            return False
        root = documents_of(run)
        if operator != ":=" or value is None:
            return delete(root, steps) if value is None else store(root, steps, from_value(value))
        if value.__class__ is int:
            log.error("':=' takes a text with JSON, found a number; '=' stores numbers")
            return False
        document = loads(value) if value is self._seen else self._parsed(value)
        if document is None:
            delete(root, steps)
            return False
        return store(root, steps, document)

    def _parsed(self, value: int | str) -> Json:
        """The document in `value`; None when there is none.  A JSON null alone cannot be assigned."""
        if isinstance(value, int):
            return from_value(value)
        try:
            document, exact = parse(value)
        except BadJson as error:
            log.error("':=' takes a text with JSON: %s", error)
            return None
        if document is None:
            log.error("a JSON null cannot be assigned")
        elif exact and len(value) <= MAX_SEEN:
            self._seen = value
        return document

    # -- for ------------------------------------------------------------------------------------------------------

    def values(self, run: Run) -> Sequence[Value]:
        """`$(json(path)[*])`: the elements of an array, looked up one by one because the loop may change it, or
        the values of an object, or its names (`.keys`).  Without `[*]`, the value itself."""
        if not self.walks:
            value = self.get(run)
            return () if value is None else (value,)
        match self.find(run):
            case list() if not self.path.suffix:
                return Elements(self, run)
            case dict() as found if self.path.suffix == "keys":
                return tuple(found)
            case dict() as found:
                return tuple([self.element(part) for part in found.values()])
            case _:
                return ()

    def element(self, part: Json) -> Value:
        """An element as `for` gives it: a JSON null is a text, and a number also has one, so that a `$json`
        iterator can take it."""
        if part is None:
            return "null"
        value = self.value(part)
        return NumberWithText(value, str(value)) if value.__class__ is int else value


class Elements(Sequence[Value]):
    """The elements of the array that a path leads to, as it is when each of them is asked for."""

    def __init__(self, access: JsonAccess, run: Run) -> None:
        self.access = access
        self.run = run

    def _array(self) -> list[Json]:
        found = self.access.find(self.run)
        return found if isinstance(found, list) else []

    def __len__(self) -> int:
        return len(self._array())

    @overload
    def __getitem__(self, index: int) -> Value: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Value]: ...
    def __getitem__(self, index: int | slice) -> Value | Sequence[Value]:
        if isinstance(index, slice):
            return [self.access.element(part) for part in self._array()[index]]
        return self.access.element(self._array()[index])

    def __iter__(self) -> Iterator[Value]:
        index = 0
        while index < len(self):
            yield self[index]
            index += 1
