"""The registry: names, calls from every kind of door, counting, failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, cast

import pytest

from miscript.errors import DeclarationError, MIError
from miscript.mi.command import NO_RESULT, Command
from miscript.mi.jsonrpc import Failure, Request, Response, parse
from miscript.mi.origin import Backend, Origin
from miscript.mi.registry import Pending, Registry

DOOR = Origin("mi_http", Backend.HTTP)
CALL = '{"jsonrpc":"2.0","method":"'


def fetch(system: str, attr: str) -> object:
    match attr:
        case "absent":
            raise MIError(400, "Value not found")
        case "broken":
            raise ZeroDivisionError
        case "nothing":
            return NO_RESULT
        case "null":
            return None
        case "no json":
            return object()
    return {"key": attr, "value": system}


async def wait(seconds: int) -> object:
    await asyncio.sleep(0)
    if seconds < 0:
        raise MIError(500, "no such time")
    if seconds > 9:
        await asyncio.Event().wait()
    return NO_RESULT if seconds == 9 else seconds


def named(full: str, *aliases: str) -> Command:
    module, _, name = full.partition(":")
    return Command(module, name, aliases, ((),), lambda: full)


class Ticks:
    """A stop watch that moves one second whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def registry() -> Registry:
    registry = Registry(seconds=Ticks())
    registry.register(named("statistics:list", "list_statistics"))
    registry.register(Command("cache", "fetch", ("cache_fetch",), (("system", "attr"),), fetch, help="fetches"))
    registry.register(named("mem:shm_check", "shm_check_old"), extra=True)
    registry.register(named("dispatcher:list", "ds_list"))
    registry.register(named("proto_hep:trace", "old_trace"))
    registry.register(named("tls:trace", "old_trace"))
    registry.register(named("gflags:check", "is_gflag", "gflags:is_gflag"))
    registry.register(Command("test", "wait", (), (("seconds",),), wait))
    return registry


# Names


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("cache:fetch", "cache:fetch"),
        ("fetch", "cache:fetch"),
        ("cache_fetch", "cache:fetch"),
        ("dispatcher:list", "dispatcher:list"),
        ("ds_list", "dispatcher:list"),
        ("hep:trace", "hep:trace"),
        ("is_gflag", "gflags:check"),
        ("gflags:is_gflag", "gflags:check"),
    ],
)
def test_canonical_short_and_old_names_are_found(registry: Registry, name: str, full: str) -> None:
    assert registry.resolve(name).full == full


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        "x:",
        ":list",
        "dispatcher:",
        "dispatcher:ds_list",
        "proto_hep:trace",
        "Fetch",
        " fetch",
        "fetch ",
        "no",
    ],
)
def test_other_names_are_not_found(registry: Registry, name: str) -> None:
    with pytest.raises(MIError) as unknown:
        registry.resolve(name)
    assert (unknown.value.code, unknown.value.message, unknown.value.data) == (-32601, "Method not found", None)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("list", "supported names: statistics:list, dispatcher:list"),
        ("trace", "supported names: hep:trace, tls:trace"),
        ("old_trace", "supported names: hep:trace, tls:trace"),
    ],
)
def test_a_name_of_several_commands_is_ambiguous(registry: Registry, name: str, names: str) -> None:
    with pytest.raises(MIError) as ambiguous:
        registry.resolve(name)
    assert (ambiguous.value.code, ambiguous.value.message) == (-32001, "Method ambiguous")
    assert ambiguous.value.data == names


def test_a_second_command_of_the_same_name_is_refused(registry: Registry) -> None:
    with pytest.raises(DeclarationError, match="'hep:trace' is declared twice"):
        registry.register(named("hep:trace"))


def test_which_lists_the_servers_names_then_ours_and_for_clients_the_old_ones(registry: Registry) -> None:
    assert registry.which() == registry.which(old_names=True)[:8]
    assert registry.which(old_names=True) == [
        "statistics:list", "cache:fetch", "dispatcher:list", "hep:trace", "tls:trace", "gflags:check", "test:wait",
        "mem:shm_check",
        "list_statistics", "cache_fetch", "shm_check_old", "ds_list", "is_gflag", "gflags:is_gflag",
    ]  # fmt: skip


def test_which_knows_modules_and_recipes(registry: Registry) -> None:
    assert registry.which("hep:") == ["hep:trace"]
    assert registry.which("cache_fetch") == [["system", "attr"]]
    assert registry.which("ds_list") == [[]]


@pytest.mark.parametrize("name", ["nosuch", "nosuch:", "", ":", "list"])
def test_which_and_help_call_an_ambiguous_or_wrong_name_unknown(registry: Registry, name: str) -> None:
    for ask in (registry.which, registry.help):
        with pytest.raises(MIError) as unknown:
            ask(name)
        assert (unknown.value.code, unknown.value.message) == (404, "unknown MI command")


def test_help_tells_text_and_owner(registry: Registry) -> None:
    assert registry.help("fetch") == {"Help": "fetches", "Exported by": "cache"}
    assert registry.help("hep:trace") == {"Help": "not available for this command", "Exported by": "hep"}


# Calls


def answer(registry: Registry, text: str, origin: Origin = DOOR) -> str:
    return asyncio.run(registry.answer(parse(text.encode()), origin)).decode()


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        ('cache:fetch","params":["s","k"],"id":1', '"result":{"key":"k","value":"s"},"id":1'),
        ('fetch","params":{"attr":"null","system":"s"},"id":"x"', '"result":null,"id":"x"'),
        ('test:wait","params":["7"],"id":null', '"result":7,"id":null'),
        ('nosuch","id":1', '"error":{"code":-32601,"message":"Method not found"},"id":1'),
        (
            'list","id":1',
            '"error":{"code":-32001,"message":"Method ambiguous",'
            '"data":"supported names: statistics:list, dispatcher:list"},"id":1',
        ),
        (
            'fetch","params":["s"],"id":1',
            '"error":{"code":-32602,"message":"Invalid params","data":"Too few or too many parameters"},"id":1',
        ),
        ('fetch","params":["s","absent"],"id":1', '"error":{"code":400,"message":"Value not found"},"id":1'),
        (
            'fetch","params":["s","nothing"],"id":1',
            '"error":{"code":-32000,"message":"Server error","data":"Command handler returned null"},"id":1',
        ),
        ('fetch","params":["s","broken"],"id":1', '"error":{"code":-32000,"message":"Server error"},"id":1'),
        ('fetch","params":["s","no json"],"id":1', '"error":{"code":-32000,"message":"Server error"},"id":1'),
        ('test:wait","params":[-1],"id":1', '"error":{"code":500,"message":"no such time"},"id":1'),
        (
            'test:wait","params":[9],"id":1',
            '"error":{"code":-32000,"message":"Server error","data":"Command handler returned null"},"id":1',
        ),
    ],
)
def test_every_outcome_has_its_answer(registry: Registry, request_: str, reply: str) -> None:
    assert answer(registry, CALL + request_ + "}") == '{"jsonrpc":"2.0",' + reply + "}"


@pytest.mark.parametrize("request_", ['fetch","params":["s","k"]', 'nosuch"', 'fetch","params":[1]', 'list"'])
def test_notifications_get_no_answer_whatever_they_ask(registry: Registry, request_: str) -> None:
    assert answer(registry, CALL + request_ + "}") == ""


def test_a_notification_is_run(registry: Registry) -> None:
    answer(registry, CALL + 'fetch","params":["s","k"]}')
    assert registry.resolve("fetch").counters.succeeded == 1


def test_a_batch_is_answered_by_one_array_without_notifications(registry: Registry) -> None:
    one, two = CALL + 'ds_list","id":1}', CALL + 'ds_list"}'
    assert answer(registry, f"[{one},{two},3]") == (
        '[{"jsonrpc":"2.0","result":"dispatcher:list","id":1},'
        '{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}]'
    )
    assert answer(registry, f"[{two}]") == ""
    pretty = Origin("mi_http", Backend.HTTP, pretty=True)
    assert answer(registry, f"[{one}]", pretty) == (
        '[{\n\t\t"jsonrpc":\t"2.0",\n\t\t"result":\t"dispatcher:list",\n\t\t"id":\t1\n\t}]'
    )


def test_an_unexpected_exception_is_logged_once_with_its_traceback(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer(registry, CALL + 'fetch","params":["s","broken"],"id":1}')
    (record,) = caplog.records
    assert record.getMessage() == "MI command 'cache:fetch' failed"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_calls_are_counted_by_outcome_and_timed(registry: Registry) -> None:
    for attr in ("a", "b", "absent", "broken", "nothing"):
        answer(registry, CALL + f'fetch","params":["s","{attr}"],"id":1}}')
    answer(registry, CALL + 'fetch","id":1}')
    counters = registry.resolve("fetch").counters
    assert counters.succeeded == 2
    assert counters.failed == {400: 1, -32000: 2, -32602: 1}
    assert counters.calls == counters.timed == counters.seconds == 6


def test_messages_that_came_to_no_command_are_counted_by_code(registry: Registry) -> None:
    for text in ("", "[]", "7", CALL + 'nosuch"}', CALL + 'list","id":1}'):
        answer(registry, text)
    assert registry.refused == {-32700: 1, -32600: 2, -32601: 1, -32001: 1}


def test_a_command_that_waits_is_pending_until_its_result_is_given(registry: Registry) -> None:
    pending = registry.start(Request("wait", [1], id=5), DOOR)
    assert isinstance(pending, Pending)
    pending.awaitable.close()  # type: ignore[attr-defined]  # a coroutine
    counters = registry.resolve("wait").counters
    assert counters.calls == 0
    assert pending.finish("done").body() == b'{"jsonrpc":"2.0","result":"done","id":5}'
    assert counters.succeeded == 1


def test_a_deadline_can_be_given_as_the_outcome(registry: Registry) -> None:
    pending = registry.start(Request("wait", [1], id=5), DOOR)
    assert isinstance(pending, Pending)
    pending.awaitable.close()  # type: ignore[attr-defined]  # a coroutine
    response = pending.finish(MIError(-4, "timeout"))
    assert response.error is not None
    assert response.text() == "timeout"
    assert registry.resolve("wait").counters.failed == {-4: 1}


def test_a_cancelled_call_is_counted_and_stays_cancelled(registry: Registry) -> None:
    async def cancelled() -> None:
        for job in (registry.call(Request("wait", [10]), DOOR), registry.bind("wait", [10]).run()):
            task = asyncio.ensure_future(cast(Awaitable[object], job))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    assert registry.resolve("wait").counters.cancelled == 2


def test_the_guard_is_asked_before_parameters_are_read(registry: Registry) -> None:
    class NobodyReads:
        def check(self, command: Command, request: Request, origin: Origin) -> None:
            if not command.read_only:
                raise MIError(-32003, "Forbidden", f"{origin.peer} may not {command.full} with {request.params}")

    origin = Origin("mi_fifo", Backend.FIFO, peer="uid 1000", guard=NobodyReads())
    response = registry.start(Request("fetch", [None], id=1), origin)
    assert isinstance(response, Response)
    assert response.error is not None
    assert response.error.data == "uid 1000 may not cache:fetch with [None]"
    assert registry.resolve("fetch").counters.failed == {-32003: 1}


# Prepared and bound calls


def test_a_bound_command_runs_again_and_again_and_is_counted(registry: Registry) -> None:
    bound = registry.bind("cache_fetch", ["s", 5])
    assert bound.run() == bound.run() == {"key": "5", "value": "s"}
    assert registry.resolve("fetch").counters.succeeded == 2
    assert registry.begin(bound.command, {"attr": "a", "system": "s"}) == {"key": "a", "value": "s"}
    assert registry.resolve("fetch").counters.calls == 3


@pytest.mark.parametrize(("attr", "code"), [("absent", 400), ("broken", -32000), ("nothing", -32000)])
def test_a_bound_command_fails_with_mi_errors_only(registry: Registry, attr: str, code: int) -> None:
    with pytest.raises(MIError) as failed:
        registry.bind("fetch", ["s", attr]).run()
    assert failed.value.code == code
    assert registry.resolve("fetch").counters.failed == {code: 1}


@pytest.mark.parametrize(("seconds", "code"), [(3, None), (-1, 500), (9, -32000)])
def test_a_bound_command_that_waits_gives_an_awaitable(registry: Registry, seconds: int, code: int | None) -> None:
    async def run() -> object:
        return await cast(Awaitable[object], registry.bind("wait", [seconds]).run())

    if code is None:
        assert asyncio.run(run()) == seconds
    else:
        with pytest.raises(MIError) as failed:
            asyncio.run(run())
        assert failed.value.code == code
        assert registry.resolve("wait").counters.failed == {code: 1}


@pytest.mark.parametrize(
    ("name", "params", "code"), [("no", None, -32601), ("list", None, -32001), ("fetch", [], -32602)]
)
def test_what_cannot_be_bound_says_so_at_once(registry: Registry, name: str, params: Any, code: int) -> None:
    with pytest.raises(MIError) as failed:
        registry.bind(name, params)
    assert failed.value.code == code


def test_no_outcome_keeps_the_frames_of_its_call_alive(registry: Registry) -> None:
    response = registry.start(Request("fetch", ["s", "absent"]), DOOR)
    assert isinstance(response, Response)
    assert response.error is not None
    assert response.error.__traceback__ is None


def test_a_failure_is_answered_even_when_nothing_could_be_read(registry: Registry) -> None:
    response = registry.start(Failure(MIError(-32700, "Parse error")), DOOR)
    assert isinstance(response, Response)
    assert response.body() == b'{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}'
