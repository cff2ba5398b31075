"""`quick_dataclasses.dataclass` beside the standard one: the same classes, made by both, behave alike."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from miscript import quick_dataclasses
from miscript.quick_dataclasses import KW_ONLY, field

Decorator = Callable[..., Callable[[type], type]]


def classes(dataclass: Decorator) -> SimpleNamespace:
    """The same classes with each decorator."""

    @dataclass(frozen=True, slots=True)
    class Point:
        x: int
        y: int = 0
        KIND: ClassVar[str] = "point"

        def __abs__(self) -> int:
            return abs(self.x) + abs(self.y)

    @dataclass(frozen=True, slots=True)
    class Named(Point):
        name: str = ""
        y: int = 7

    @dataclass(slots=True)
    class Basket:
        things: list[str] = field(default_factory=list)
        secret: str = field(default="", repr=False)
        weight: int = field(default=0, compare=False)
        total: int = field(init=False)

        def __post_init__(self) -> None:
            self.total = len(self.things)

    @dataclass(slots=True, eq=False)
    class Identity:
        number: int

    @dataclass(slots=True, eq=False, kw_only=True)
    class Node:
        span: int

    @dataclass(slots=True, eq=False)
    class Leaf(Node):
        text: str

    @dataclass(frozen=True, slots=True)
    class Options:
        name: str
        _: KW_ONLY
        hidden: bool = False
        numbers: tuple[int, ...] = field(default_factory=tuple)

    @dataclass(frozen=True, slots=True)
    class Nothing:
        pass

    @dataclass(frozen=True, slots=True)
    class Own:
        a: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 5

        def __repr__(self) -> str:
            return "mine"

    return SimpleNamespace(**{name: value for name, value in locals().items() if isinstance(value, type)})


STANDARD, QUICK = classes(dataclasses.dataclass), classes(quick_dataclasses.dataclass)  # type: ignore[arg-type]  # overloads

MAKING: dict[str, Callable[[Any], object]] = {
    "positional": lambda c: c.Point(1, 2),
    "defaults": lambda c: c.Point(1),
    "inherited": lambda c: c.Named(1),
    "inherited, by name": lambda c: c.Named(x=1, name="n"),
    "factories": lambda c: c.Basket(),
    "given instead of a factory": lambda c: c.Basket(["a"], "s", 3),
    "by identity": lambda c: c.Identity(3),
    "keywords of the base": lambda c: c.Leaf("t", span=4),
    "keywords": lambda c: c.Options("o", hidden=True),
    "empty": lambda c: c.Nothing(),
    "methods of its own": lambda c: c.Own(1),
}


@pytest.mark.parametrize("make", MAKING.values(), ids=MAKING)
def test_what_is_made_looks_the_same(make: Callable[[Any], Any]) -> None:
    standard, quick = make(STANDARD), make(QUICK)
    assert repr(quick).partition("(")[2] == repr(standard).partition("(")[2]
    assert type(quick).__match_args__ == type(standard).__match_args__
    assert type(quick).__slots__ == type(standard).__slots__
    assert dataclasses.is_dataclass(quick)
    assert [f.name for f in dataclasses.fields(quick)] == [f.name for f in dataclasses.fields(standard)]
    assert dataclasses.asdict(quick) == dataclasses.asdict(standard)
    assert not hasattr(quick, "__dict__")


@pytest.mark.parametrize("make", MAKING.values(), ids=MAKING)
def test_equality_and_hash_are_the_same(make: Callable[[Any], Any]) -> None:
    for c in (STANDARD, QUICK):
        one, same = make(c), make(c)
        assert (one == same) == (make(STANDARD) == make(STANDARD))
        assert one != "something else" or type(one).__name__ == "Own"
        assert (type(one).__hash__ is None) == (type(make(STANDARD)).__hash__ is None)
    if type(make(QUICK)).__hash__ not in (None, object.__hash__):
        assert hash(make(QUICK)) == hash(make(STANDARD))


def test_fields_that_are_not_compared_do_not_count() -> None:
    assert QUICK.Basket(weight=1) == QUICK.Basket(weight=2)
    assert QUICK.Basket(secret="a") != QUICK.Basket(secret="b")
    assert QUICK.Point(1, 7) != QUICK.Named(1, 7)


@pytest.mark.parametrize("c", [STANDARD, QUICK], ids=["standard", "quick"])
def test_a_frozen_one_refuses_changes(c: Any) -> None:
    point = c.Named(1)
    for change in (lambda: setattr(point, "x", 2), lambda: delattr(point, "x"), lambda: setattr(point, "new", 2)):
        with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
            change()
    assert (point.x, point.y, abs(point), point.KIND) == (1, 7, 8, "point")


@pytest.mark.parametrize("c", [STANDARD, QUICK], ids=["standard", "quick"])
def test_wrong_arguments_are_refused(c: Any) -> None:
    for wrong in (c.Point, lambda: c.Point(1, 2, 3), lambda: c.Options("a", True), lambda: c.Leaf("t", 1)):
        with pytest.raises(TypeError):
            wrong()


def test_factories_are_called_for_each() -> None:
    one, other = QUICK.Basket(), QUICK.Basket()
    one.things.append("a")
    assert other.things == []


def test_replace_takes_the_rest_over() -> None:
    assert dataclasses.replace(QUICK.Named(1, 2, "n"), x=5) == QUICK.Named(5, 2, "n")
    assert dataclasses.replace(QUICK.Options("a", hidden=True), name="b") == QUICK.Options("b", hidden=True)


def test_match_takes_it_apart() -> None:
    match QUICK.Named(1, 2, "n"):
        case QUICK.Named(x, y, name):
            assert (x, y, name) == (1, 2, "n")
        case _:
            pytest.fail("it does not match")


@quick_dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """At the top of a file, where pickle finds it."""

    name: str
    values: tuple[int, ...] = ()


def test_copies_and_pickles_are_equal() -> None:
    kept = Kept("a", (1, 2))
    assert copy.copy(kept) == kept
    assert copy.deepcopy(kept) == kept
    assert pickle.loads(pickle.dumps(kept)) == kept


def test_one_in_itself_can_be_printed() -> None:
    basket = QUICK.Basket()
    basket.things.append(basket)
    assert "things=[...]" in repr(basket)


def test_a_standard_base_is_refused() -> None:
    @dataclasses.dataclass
    class Base:
        a: int

    with pytest.raises(TypeError, match="'Derived' is built on 'Base', which is a standard dataclass"):

        @quick_dataclasses.dataclass(slots=True)
        class Derived(Base):
            b: int
