import importlib.util
import re
from pathlib import Path

import pytest

from miscript.exports import (
    Module,
    Variable,
    async_function,
    mi_command,
    parameter,
    script_function,
    statistic,
    variable,
)
from miscript.host.embedding import check
from miscript.host.loading import Source
from miscript.script.explain import EXPLANATIONS

pytest.importorskip("mkdocs", reason="the documentation is built with mkdocs (extra 'dev')")

SOURCE = Path(__file__).parents[2] / "docs" / "generate.py"
EXAMPLES = sorted(SOURCE.parent.glob("examples/*.cfg"))


@pytest.fixture(scope="module")
def generate():
    specification = importlib.util.spec_from_file_location("docs_generate", SOURCE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class CallGate(Module):
    """Limit how many calls one caller has *at a time*."""

    name = "call_gate"
    needs = ("dialog",)
    events = ("E_GATE_FULL",)
    max_calls = parameter(10, "Calls one caller may have, 0 | more.")
    group = parameter(None, "A group of callers.", kinds="string integer", repeatable=True)
    refused = statistic("refused_calls", "Calls turned away.")

    @script_function(routes="request failure")
    def gate_enter(self, run, caller: str, count: Variable | None = None) -> int:
        """Count a call of `caller_id`; writes <count>."""

    @async_function()
    async def gate_wait(self, run, caller: str) -> int:
        """Wait until there is room."""

    @variable("gate_calls")
    def gate_calls(self, run, caller):
        """Calls of that caller."""

    @mi_command("list", "", "caller", aliases=["gate_list"], read_only=True)
    def mi_list(self, caller=None):
        """List callers."""


def test_a_module_page_shows_all_that_the_module_declares(generate):
    assert (
        generate.module_page(CallGate)
        == """\
# call_gate

Limit how many calls one caller has \\*at a time\\*.

Needs `dialog`.

## Parameters

| name | kind | default | meaning |
| --- | --- | --- | --- |
| `group` | integer or string | may be set several times | A group of callers. |
| `max_calls` | integer | `10` | Calls one caller may have, 0 \\| more. |

## Functions

### `gate_enter(caller, [$count])`

Count a call of `caller_id`; writes &lt;count>.

- `caller`: a text
- `$count`: a variable, may be left out

Routes: failure, request.

## Inside async() and launch()

### `gate_wait(caller)`

Wait until there is room.

- `caller`: a text

Routes: all.

## Variables

### `$gate_calls(name)`

Calls of that caller.

Read only.

## MI commands

### `call_gate:list`

List callers.

- `call_gate:list`
- `call_gate:list caller`

Also called `gate_list`. Only reads.

## Statistics

| name | meaning |
| --- | --- |
| `refused_calls` | Calls turned away. |

## Events

- `E_GATE_FULL`

OpenSIPS has no module of this name.
"""
    )


def test_a_page_names_what_the_module_of_opensips_has_beside(generate):
    class Some(Module):
        """A part of cfgutils."""

        name = "cfgutils"

        @script_function()
        def rand_event(self, run) -> int:
            """By chance."""

    said = generate.module_page(Some).partition("## Not available yet")[2]
    assert "`rand_set_prob()`" in said
    assert "`rand_event()`" not in said
    assert "`cfgutils:shv_get`" in said


def test_every_transformation_is_listed_once_with_its_arguments(generate):
    page = generate.transformations_page()
    assert page.count("`{s.substr,integer,integer}`") == 1
    assert "`{s.index,word[,integer]}`" in page
    listed = re.findall(r"^\| `\{([a-z]+\.[a-z0-9._-]+)", page, re.MULTILINE)
    known = {f"{t.class_name}.{t.name}" for module in generate.module_classes() for t in module.transformations}
    assert sorted(listed) == sorted(known)


def test_the_page_of_modules_names_those_that_run_and_counts_the_others(generate):
    ours, _, others = generate.modules_page().partition("## All others")
    for name in ("mi_script", "rest_client"):
        assert f"[{name}]({name}.md)" in ours
    assert "modules of OpenSIPS 4.1" in others and "[rtpengine]" not in ours


def test_the_page_of_errors_has_every_code_with_an_anchor_and_in_order(generate):
    headings = re.findall(r"^### (\w+): .* \{#(\w+)\}$", generate.errors_page(), re.MULTILINE)
    assert headings == [(code, code) for code in EXPLANATIONS]


def test_every_module_of_the_package_has_a_page(generate):
    for module in generate.module_classes():
        assert generate.module_page(module).startswith(f"# {module.name}\n")


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_example_on_the_page_of_a_module_loads_it_and_has_no_mistake(generate, file):
    text = file.read_text()
    assert [d.one_line() for d in check(Source(file.name, text), run=True)] == []
    assert f'loadmodule "{file.stem}.so"' in text
    (module,) = [module for module in generate.module_classes() if module.name == file.stem]
    assert text.rstrip() in generate.module_page(module)


def test_every_module_has_an_example(generate):
    without = {module.name for module in generate.module_classes()} - {file.stem for file in EXAMPLES}
    assert without == {"core", "tls_openssl", "tls_wolfssl"}


def test_an_argument_that_names_a_route_says_its_kind(generate):
    (tm,) = [module for module in generate.module_classes() if module.name == "tm"]
    assert "- `route`: the name of a `failure_route`" in generate.module_page(tm)
    assert "- `route`: the name of an `onreply_route`" in generate.module_page(tm)


def test_a_lone_backquote_does_not_hide_what_must_be_escaped(generate):
    assert generate.markdown("a ` b_c") == "a ` b\\_c"
    assert generate.markdown("`a_b` c_d") == "`a_b` c\\_d"
