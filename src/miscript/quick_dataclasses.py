"""`@dataclass(slots=True)` of the standard library, made in a fifth of the time.

The standard decorator compiles up to eight functions for each class, one by one, and asks `inspect` for its signature.
With 150 classes that was a third of the processor time in which `miscript run` starts.  This one compiles, at once, only
what has to be quick when it runs: `__init__`, `__eq__` and `__hash__`.  All else is a closure over the names of the
fields.  A frozen object is also made in little more than half the time, as it is filled through its slots.

To type checkers it *is* the standard decorator.  What it makes behaves alike: `==`, `hash`, `repr`, `match`, `copy`,
`pickle`, and `dataclasses.fields`, `replace`, `asdict` and `is_dataclass`.  It takes `frozen`, `eq` and `kw_only`, of
`field` everything but `hash`, `kw_only` and `metadata`, and always makes slots.  For the rest (`order`, `InitVar`, no
slots) there is the standard one; classes of the two kinds cannot be built on each other.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, MISSING, Field, FrozenInstanceError, field
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass

__all__ = ["KW_ONLY", "dataclass", "field"]


class _Field(NamedTuple):
    """One field; `declared` is what stands behind the `=`, MISSING when nothing does."""

    name: str
    annotation: object
    declared: Any
    kw_only: bool

    @property
    def default(self) -> Any:
        return self.declared.default if isinstance(self.declared, Field) else self.declared

    @property
    def factory(self) -> Any:
        return self.declared.default_factory if isinstance(self.declared, Field) else MISSING

    def takes_part(self, what: Literal["init", "repr", "compare"]) -> bool:
        return not isinstance(self.declared, Field) or bool(getattr(self.declared, what))


if not TYPE_CHECKING:

    def dataclass(
        *, slots: Literal[True], frozen: bool = False, eq: bool = True, kw_only: bool = False
    ) -> Callable[[type], type]:
        """Decorator; see the standard one."""
        return lambda cls: _made(cls, frozen, eq, kw_only)


def _made(cls: type, frozen: bool, eq: bool, kw_only: bool) -> type:
    own = _own_fields(cls, kw_only)
    inherited = _inherited_fields(cls)
    fields = tuple({f.name: f for f in (*inherited, *own)}.values())
    cls = _with_slots(cls, {f.name for f in own}, [f.name for f in own if f.name not in {i.name for i in inherited}])
    methods: dict[str, object] = {
        **_written_out(cls, fields, frozen, eq),
        "__repr__": _repr([f.name for f in fields if f.takes_part("repr")]),
        "__match_args__": tuple(f.name for f in fields if f.takes_part("init") and not f.kw_only),
    }
    if frozen:
        methods |= {
            "__setattr__": _refuse_to_set,
            "__delattr__": _refuse_to_delete,
            **_pickling([f.name for f in fields]),
        }
    for name, method in methods.items():
        if vars(cls).get(name) is None:  # `__hash__` is None where a class has an `__eq__` of its own
            setattr(cls, name, method)
    setattr(cls, "__quick_fields__", fields)  # noqa: B010  # not an attribute that type checkers should know
    setattr(cls, "__dataclass_fields__", _StandardFields(fields))  # noqa: B010
    return cls


# -- fields ---------------------------------------------------------------------------------------------


def _own_fields(cls: type, kw_only: bool) -> list[_Field]:
    found = []
    for name, annotation in cls.__annotations__.items():
        if annotation in (KW_ONLY, "KW_ONLY"):
            kw_only = True
        elif not str(annotation).startswith(("ClassVar", "typing.ClassVar")):
            found.append(_Field(name, annotation, vars(cls).get(name, MISSING), kw_only))
    return found


def _inherited_fields(cls: type) -> list[_Field]:
    found: dict[str, _Field] = {}
    for base in reversed(cls.__mro__[1:]):
        found |= {f.name: f for f in vars(base).get("__quick_fields__", ())}
        if "__dataclass_fields__" in vars(base) and "__quick_fields__" not in vars(base):
            raise TypeError(f"'{cls.__name__}' is built on '{base.__name__}', which is a standard dataclass")
    return list(found.values())


class _StandardFields:
    """`__dataclass_fields__`, made when `dataclasses` asks for it."""

    def __init__(self, fields: tuple[_Field, ...]) -> None:
        self._fields = fields
        self._made: dict[str, Field[Any]] | None = None

    def __get__(self, instance: object, owner: type) -> dict[str, Field[Any]]:
        if self._made is None:
            from dataclasses import fields, make_dataclass

            twin = make_dataclass(
                owner.__name__,
                [(f.name, f.annotation, f.declared if isinstance(f.declared, Field) else field(default=f.declared))
                 for f in self._fields],
                kw_only=True,
            )  # fmt: skip
            self._made = {f.name: f for f in fields(twin)}
        return self._made


def _with_slots(cls: type, defaults: set[str], slots: list[str]) -> type:
    """The class once more, with slots instead of defaults."""
    inside = {k: v for k, v in vars(cls).items() if k not in {"__dict__", "__weakref__", *defaults}}
    made = type(cls)(cls.__name__, cls.__bases__, {**inside, "__slots__": tuple(slots)})
    made.__qualname__ = cls.__qualname__
    return made


# -- methods --------------------------------------------------------------------------------------------


def _written_out(cls: type, fields: tuple[_Field, ...], frozen: bool, eq: bool) -> dict[str, object]:
    """The methods that have to be quick when they run, compiled together."""
    known: dict[str, Any] = {"MISSING": MISSING}
    text = [_init(cls, fields, frozen, known)]
    compared = [f.name for f in fields if f.takes_part("compare")]
    if eq:
        text += [_eq(compared), _hash(compared)] if frozen else [_eq(compared)]
    exec("\n".join(text), known)
    methods = {name: value for name, value in known.items() if name in ("__init__", "__eq__", "__hash__")}
    for name, method in methods.items():
        method.__qualname__ = f"{cls.__qualname__}.{name}"
        method.__module__ = cls.__module__
    methods["__init__"].__annotations__ = {f.name: f.annotation for f in fields if f.takes_part("init")}
    return methods if frozen or not eq else methods | {"__hash__": None}


def _init(cls: type, fields: tuple[_Field, ...], frozen: bool, known: dict[str, Any]) -> str:
    """`known` gets what the text names.  A frozen object is filled through its slots."""
    positional, keywords, body = ["self"], ["*"], []
    for f in fields:
        default, value = _default(f, known), f.name
        if not f.takes_part("init"):
            if not default:
                continue  # `__post_init__` gives it one
            value = f"make_{f.name}()" if f.factory is not MISSING else default
        else:
            (keywords if f.kw_only else positional).append(f"{f.name}={default}" if default else f.name)
            if f.factory is not MISSING:
                value = f"make_{f.name}() if {f.name} is MISSING else {f.name}"
        if frozen:
            known[f"set_{f.name}"] = getattr(cls, f.name).__set__
            body.append(f"set_{f.name}(self, {value})")
        else:
            body.append(f"self.{f.name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join([*positional, *(keywords if len(keywords) > 1 else [])])
    return f"def __init__({parameters}): {'; '.join(body) or 'pass'}"


def _default(f: _Field, known: dict[str, Any]) -> str:
    """What stands behind the `=` of a parameter; empty without."""
    if f.factory is not MISSING:
        known[f"make_{f.name}"] = f.factory
        return "MISSING"
    if f.default is MISSING:
        return ""
    known[f"default_{f.name}"] = f.default
    return f"default_{f.name}"


def _eq(names: list[str]) -> str:
    mine, others = (f"({''.join(f'{one}.{name}, ' for name in names)})" for one in ("self", "other"))
    return f"""def __eq__(self, other):
    return {mine} == {others} if other.__class__ is self.__class__ else NotImplemented"""


def _hash(names: list[str]) -> str:
    return f"def __hash__(self): return hash(({''.join(f'self.{name}, ' for name in names)}))"


def _repr(names: list[str]) -> object:
    @recursive_repr()
    def told(self: object) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return told


def _refuse_to_set(self: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _pickling(names: list[str]) -> dict[str, object]:
    """`pickle` and `copy` would otherwise set attributes, which is refused."""

    def state(self: object) -> list[object]:
        return [getattr(self, name) for name in names]

    def set_state(self: object, state: list[object]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return {"__getstate__": state, "__setstate__": set_state}
