"""A request that comes again is answered as it was the first time."""

import pytest

from miscript.errors import MIError
from miscript.mi.command import NO_RESULT, Command, Later
from miscript.mi.jsonrpc import Request
from miscript.mi.origin import Backend, Origin
from miscript.mi.registry import Pending, Registry
from miscript.mi.repeat import repeat_of

ORIGIN = Origin("test", Backend.HTTP)


def refuse():
    raise MIError(404, "no", "such thing")


def fail():
    raise ZeroDivisionError


async def wait():
    return 1


HANDLERS = {
    "text": lambda: "é\n",
    "float": lambda: {"a": 2.5, "b": -1e-9},
    "null": lambda: None,
    "refuse": refuse,
    "fail": fail,
    "nothing": lambda: NO_RESULT,
    "no_json": lambda: {1, 2},
    "deep": lambda: {"x": object()},
    "wait": wait,
    "origin": lambda origin=None: origin.door,
}


@pytest.fixture
def registry():
    made = Registry()
    for name, handler in HANDLERS.items():
        made.register(Command("test", name, (), ((),), handler))
    made.register(Command("test", "add", (), (("a", "b"),), lambda a, b: [a, b]))
    made.register(Command("test", "prepared", (), (("a",),), lambda a: a, prepare=lambda a: lambda: f"prepared {a}"))
    return made


@pytest.mark.parametrize("name", [name for name in HANDLERS if name not in ("wait", "origin")])
@pytest.mark.parametrize("id", [1, 'a"b', None, 2**70])
def test_the_answer_is_the_one_of_the_registry(name, id, registry):
    request = Request(name, None, id)
    counters = registry.resolve(name).counters
    ordinary = registry.start(request, ORIGIN).body()
    repeat = repeat_of(request, registry)
    assert [repeat.answer(), repeat.answer()] == [ordinary] * 2
    assert counters.calls == counters.timed == 3
    assert counters.succeeded in (0, 3)


def test_parameters_are_read_once(registry):
    assert repeat_of(Request("add", ["x", "y"]), registry).answer() == b'{"jsonrpc":"2.0","result":["x","y"],"id":null}'


def test_a_command_that_prepares_itself_does(registry):
    assert b"prepared z" in repeat_of(Request("prepared", ["z"], 1), registry).answer()


@pytest.mark.parametrize(
    "request_",
    [
        Request("nosuch", None, 1),
        Request("wait", None, 1),
        Request("origin", None, 1),
        Request("text", [1], 1),
        Request("text", None, None, False),
    ],
)
def test_what_is_not_plain_goes_the_ordinary_way(request_, registry):
    assert repeat_of(request_, registry) is None


def test_a_call_that_waits_after_all_is_handed_over(registry):
    registry.register(Command("test", "later", (), ((),), lambda: Later(wait())))
    pending = repeat_of(Request("later", None, 1), registry).answer()
    assert isinstance(pending, Pending)
    pending.awaitable.awaitable.close()
