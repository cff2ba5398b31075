"""A request that comes again is answered as it was the first time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import MIError
from miscript.mi.command import NO_RESULT, Command, Later
from miscript.mi.jsonrpc import Request, parse
from miscript.mi.origin import Backend, Origin
from miscript.mi.registry import Pending, Registry
from miscript.mi.repeat import repeat_of, split

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
    assert [repeat.answer(b""), repeat.answer(b"")] == [ordinary] * 2
    assert counters.calls == counters.timed == 3
    assert counters.succeeded in (0, 3)


def test_parameters_are_read_once(registry):
    assert (
        repeat_of(Request("add", ["x", "y"]), registry).answer(b"") == b'{"jsonrpc":"2.0","result":["x","y"],"id":null}'
    )


def test_a_command_that_prepares_itself_does(registry):
    assert b"prepared z" in repeat_of(Request("prepared", ["z"], 1), registry).answer(b"")


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
    pending = repeat_of(Request("later", None, 1), registry).answer(b"")
    assert isinstance(pending, Pending)
    pending.awaitable.awaitable.close()


PLAIN_IDS = st.integers(0, 10**15 - 1).map(str) | st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters='"\\'), max_size=64
).map(lambda text: f'"{text}"')


@given(PLAIN_IDS, st.sampled_from(["text", "refuse", "no_json", "fail"]), st.sampled_from(["", " "]))
def test_the_answer_to_a_request_with_another_id_has_that_id(id, method, space):
    registry = Registry()
    registry.register(Command("test", method, (), ((),), HANDLERS[method]))
    data = f'{{"jsonrpc":"2.0","method":"{method}",{space}"id":{space}{id}}}'.encode()
    end = split(data)[1]
    assert end
    repeat = repeat_of(Request(method, None, 7), registry)
    assert repeat.request(end) == parse(data)
    assert repeat.answer(end) == registry.start(parse(data), ORIGIN).body()


@pytest.mark.parametrize(
    "end",
    [
        ',"id":01}',
        ',"id":-1}',
        ',"id":1.5}',
        ',"id":1e3}',
        ',"id":null}',
        ',"id":[1]}',
        ',"id":1234567890123456}',
        ',"id":"a\\"b"}',
        ',"id":"é"}',
        ',"id":1}}',
        ',"id":1}]',
        ',"id":1} ',
        ',"id":1,"a":1}',
        ',"\\"id":1}',
    ],
)
def test_an_end_without_a_plain_id_of_the_request_is_not_cut_off(end):
    data = f'{{"jsonrpc":"2.0","method":"text"{end}'.encode()
    assert split(data) == (data, b"")


PIECES = ['"]', '"', ",", '\\"', "\\\\", "{", "}", "[", '"a"', ":", ',"id":3', "]", "1"]


@given(
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from([',"id":', ', "id": ']),
)
def test_what_is_cut_off_is_the_id_of_the_request(middle, one, other, key):
    """Whatever stands before: the same front with another id is the same request with another id."""
    first, second = (
        f'{{"jsonrpc":"2.0","method":"text","params":["x{middle}{key}{id}}}'.encode() for id in (one, other)
    )
    if isinstance(parse(first), Request) and split(first)[1]:
        assert split(first)[0] == split(second)[0]
        assert parse(first)._replace(id=other) == parse(second)
