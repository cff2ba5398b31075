"""Declarations that cannot work fail when the class is made, naming the module and what is wrong in it."""

from __future__ import annotations

import pytest

from miscript.errors import DeclarationError
from miscript.exports import (
    Constant,
    Module,
    Pattern,
    Text,
    Variable,
    Writable,
    async_function,
    mi_command,
    parameter,
    script_function,
    statistic,
    variable,
)
from miscript.script.runtime import Run
from miscript.script.signatures import ALL_ROUTES, Kind, Routes
from miscript.values import Value


def form_of(cls):
    """The parameters of the only function of a module, by name."""
    (function,) = cls.script_functions
    (form,) = function.export(cls.name, None).forms
    return {parameter.name: parameter for parameter in form}


# -- what cannot work -----------------------------------------------------------------------------------------------


def test_a_parameter_without_an_annotation_is_refused():
    with pytest.raises(DeclarationError, match="gate: enter: parameter 'caller' has no annotation"):

        class Gate(Module):
            name = "gate"

            @script_function()
            def enter(self, run: Run, caller) -> int:
                return 1


def test_a_parameter_of_a_kind_that_scripts_do_not_have_is_refused():
    with pytest.raises(DeclarationError, match=r"gate: enter: parameter 'weight' is annotated .*float.*; use str, int"):

        class Gate(Module):
            name = "gate"

            @script_function()
            def enter(self, run: Run, weight: float) -> int:
                return 1


def test_a_choice_of_two_kinds_is_refused():
    with pytest.raises(DeclarationError, match="gate: enter: parameter 'caller'"):

        class Gate(Module):
            name = "gate"

            @script_function()
            def enter(self, run: Run, caller: str | int) -> int:
                return 1


@pytest.mark.parametrize("star", ["*callers: str", "**callers: str", "*, caller: str"])
def test_a_parameter_that_is_no_plain_one_is_refused(star):
    source = f"def enter(self, run, {star}) -> int: return 1"
    names: dict[str, object] = {}
    exec(source, names)
    with pytest.raises(DeclarationError, match=r"gate: enter: parameter '.*' must be a plain one"):
        type("Gate", (Module,), {"name": "gate", "enter": script_function()(names["enter"])})


def test_an_annotation_that_cannot_be_read_is_refused():
    with pytest.raises(DeclarationError, match=r"gate: enter: an annotation cannot be read: .*Nowhere"):

        class Gate(Module):
            name = "gate"

            @script_function()
            def enter(self, run: Run, caller: Nowhere) -> int:  # noqa: F821  # that is the test
                return 1


def test_a_kind_of_route_that_does_not_exist_is_refused():
    with pytest.raises(
        DeclarationError, match="test_exports: enter: no kind of route is called requests; there are re"
    ):

        class Gate(Module):
            name = "gate"

            @script_function(routes="requests")
            def enter(self, run: Run) -> int:
                return 1


def test_a_recipe_that_names_what_the_handler_does_not_take_is_refused():
    with pytest.raises(DeclarationError, match="test_exports: mi_list: MI command 'list' needs the parameters calller"):

        class Gate(Module):
            name = "gate"

            @mi_command("list", "", "calller")
            def mi_list(self, caller: str | None = None) -> object:
                return []


# -- what does ------------------------------------------------------------------------------------------------------


def test_annotations_are_the_kinds_of_parameters():
    class Gate(Module):
        name = "gate"

        @script_function()
        def enter(
            self,
            run: Run,
            caller: str,
            weight: int,
            seen: Variable,
            result: Writable,
            pattern: Pattern,
            table: Constant[str],
            fmt: Text[str],
            more: str | None = None,
            limit: int = 3,
        ) -> int:
            return 1

    form = form_of(Gate)
    assert {name: p.kind for name, p in form.items()} == {
        "caller": Kind.STRING,
        "weight": Kind.INTEGER,
        "seen": Kind.VARIABLE,
        "result": Kind.VARIABLE,
        "pattern": Kind.REGEX,
        "table": Kind.STRING,
        "fmt": Kind.STRING,
        "more": Kind.STRING,
        "limit": Kind.INTEGER,
    }
    assert [name for name, p in form.items() if p.optional] == ["more", "limit"]
    assert [name for name, p in form.items() if p.constant] == ["table"]
    assert [name for name, p in form.items() if p.literal] == ["fmt"]
    assert [name for name, p in form.items() if p.writable] == ["result"]


def test_a_parameter_that_may_be_none_may_be_left_out_in_the_middle():
    class Gate(Module):
        name = "gate"

        @script_function()
        def enter(self, run: Run, group: str | None, caller: str) -> int:
            return 1

    assert [p.optional for p in form_of(Gate).values()] == [True, False]


def test_routes_are_all_or_those_that_are_named():
    class Gate(Module):
        name = "gate"

        @script_function(routes="request failure")
        def enter(self, run: Run) -> int:
            return 1

        @script_function()
        def leave(self, run: Run) -> int:
            return 1

    routes = {function.name: function.routes for function in Gate.script_functions}
    assert routes == {"enter": {Routes.REQUEST, Routes.FAILURE}, "leave": ALL_ROUTES}


def test_a_module_is_called_like_its_file_unless_it_says_so():
    class Gate(Module):
        pass

    class Named(Module):
        name = "other"

    assert Gate.name == __name__.rpartition(".")[2]
    assert Named.name == "other"


def test_all_declarations_of_a_class_are_found_also_those_it_inherits():
    class Base(Module):
        name = "base"
        limit = parameter(10, "How many.")
        refused = statistic("refused", "Callers that were refused.")

    class Gate(Base):
        name = "gate"

        @async_function()
        async def wait(self, run: Run, caller: str) -> int:
            return 1

        @variable("gate_calls")
        def calls(self, run: Run, caller: str) -> Value:
            return 0

        @mi_command("list", "", "caller", aliases=["gate_list"])
        def mi_list(self, caller: str | None = None) -> object:
            return []

    assert list(Gate.parameters) == ["limit"]
    assert list(Gate.statistics) == ["refused"]
    assert [(f.name, f.asynchronous) for f in Gate.script_functions] == [("wait", True)]
    assert [v.name for v in Gate.variables] == ["gate_calls"]
    assert [(c.name, c.recipes, c.aliases) for c in Gate.commands] == [("list", ((), ("caller",)), ("gate_list",))]


def test_the_help_of_a_function_is_its_docstring():
    class Gate(Module):
        name = "gate"

        @script_function()
        def enter(self, run: Run) -> int:
            """Let a caller in.

            Says no when there are too many.
            """
            return 1

    (function,) = Gate.script_functions
    assert function.export("gate", None).help == "Let a caller in.\n\nSays no when there are too many."
