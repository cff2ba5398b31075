"""The inner name of `$json(…)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.modules.json.paths import APPEND, Path, Step, parse_path
from miscript.script.nodes import Index, Template, Variable
from miscript.script.runtime import Run
from miscript.script.source import SourceFile
from miscript.values import Value
from module_services import new_run

SPAN = SourceFile("test.cfg", "").span(0, 0)


class Binder:
    """Each variable has the value that its name means in `values`."""

    def __init__(self, **values: Value) -> None:
        self.values = values

    def template(self, template: Template) -> Callable[[Run], str]:
        raise AssertionError("paths look at the pieces")

    def index(self, index: Index) -> Callable[[Run], Value]:
        raise AssertionError("paths look at the pieces")

    def template_pieces(self, template: Template) -> Sequence[str | Callable[[Run], Value]]:
        return [piece if isinstance(piece, str) else self.getter(piece.name) for piece in template.pieces]

    def getter(self, name: str) -> Callable[[Run], Value]:
        return lambda run: self.values[name]


def path(*pieces: str, **values: Value) -> Path:
    """The path of pieces, where "$name" is a variable."""
    nodes = tuple(Variable(name=p[1:], text=p, span=SPAN) if p.startswith("$") else p for p in pieces)
    return parse_path(Template(nodes), Binder(**values))


@pytest.mark.parametrize(
    ("text", "steps", "suffix"),
    [
        ("j", ("j",), ""),
        ("j/a/b", ("j", "a", "b"), ""),
        ("j[0][-1]", ("j", 0, -1), ""),
        ("j/l[ 1 ]/x", ("j", "l", 1, "x"), ""),
        ("j/l[+1]", ("j", "l", 1), ""),
        ("j/l[]", ("j", "l", APPEND), ""),
        ("j/a b", ("j", "a b"), ""),
        ("j/a]b", ("j", "a]b"), ""),
        ("j//a", ("j", "", "a"), ""),
        ("j/", ("j", ""), ""),
        ("/a", ("", "a"), ""),
        ("j.keys", ("j",), "keys"),
        ("j/l[1].values", ("j", "l", 1), "values"),
    ],
)
def test_a_path_without_variables_is_known_beforehand(text: str, steps: tuple[Step, ...], suffix: str) -> None:
    found = path(text)
    assert (found.steps, found.suffix) == (steps, suffix)
    assert found.resolve(new_run()) == steps


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("j/x.y", "must come from a variable"),
        ("j.keys/a", "must come from a variable"),
        ("j/x.Keys", "must come from a variable"),
        ("j[1", "not closed"),
        ("j[1][", "not closed"),
        ("j[0]x", "found 'x'"),
        ("j[x]", "an integer or a variable"),
        ("j[*]", "an integer or a variable"),
        ("j[0x1]", "an integer or a variable"),
        ("j/a\0b", "NUL"),
    ],
)
def test_a_path_that_makes_no_sense_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        path(text)


def test_variables_stand_for_keys_and_indexes() -> None:
    found = path("j/", "$key", "[", "$at", "]/x", "$key", key="a/b.c", at=-2)
    assert found.steps is None
    assert found.resolve(new_run()) == ("j", "a/b.c", -2, "xa/b.c")


def test_a_number_is_a_key_by_its_text() -> None:
    assert path("j/", "$key", key=5).resolve(new_run()) == ("j", "5")


@pytest.mark.parametrize("values", [{"key": None, "at": 0}, {"key": "k", "at": None}, {"key": "k", "at": "1"}])
def test_a_null_key_or_an_index_that_is_no_integer_leads_nowhere(values: dict[str, Value]) -> None:
    assert path("j/", "$key", "[", "$at", "]", **values).resolve(new_run()) is None


@pytest.mark.parametrize("pieces", [("j[-", "$i", "]"), ("j[", "$i", "1]")])
def test_an_index_is_a_variable_alone(pieces: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="an integer or a variable"):
        path(*pieces, i=1)


@given(st.lists(st.text(alphabet="ab/[].-1 \0keys", max_size=8) | st.just("$v"), max_size=6))
def test_any_path_is_read_or_refused(pieces: list[str]) -> None:
    try:
        found = path(*pieces, v=1)
    except ValueError as error:
        assert str(error)
    else:
        assert found.resolve(new_run())
