"""Tracing of MI exchanges: which ones, in which words, cut where."""

from __future__ import annotations

import asyncio
import base64
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import ConfigurationError, MIError
from miscript.mi.command import Command
from miscript.mi.jsonrpc import Request, parse
from miscript.mi.origin import Backend, Origin, Tracing
from miscript.mi.registry import Registry
from miscript.mi.tracing import correlation_id, not_traced, parse_bwlist, trace_parameters, trace_reply
from miscript.trace import TraceEvent
from miscript.values import encode

CLIENT, SERVER = ("192.0.2.1", 4000), ("192.0.2.2", 8888)


class Collector:
    """A trace destination that keeps what it gets."""

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []

    def send(self, event: TraceEvent) -> None:
        self.events.append(event)

    def payloads(self) -> list[str]:
        """The events as Homer 5 would show them."""
        return [":".join(text for _, text in event.fields) for event in self.events]


def fetch(system: str, attr: str) -> object:
    if attr != "k":
        raise MIError(400, "Value not found")
    return "OK"


async def slow() -> object:
    return "late"


@pytest.fixture
def registry() -> Registry:
    registry = Registry(clock=lambda: 1000.5)
    registry.register(Command("cache", "fetch", ("cache_fetch",), (("system", "attr"),), fetch))
    registry.register(Command("core", "uptime", (), ((),), lambda: "now"))
    registry.register(Command("dialog", "list", ("dlg_list",), ((),), lambda: "none"))
    registry.register(Command("tcp", "list", (), ((),), lambda: "none"))
    registry.register(Command("tm", "slow", (), ((),), slow))
    return registry


def traced(registry: Registry, backend: Backend, *texts: str, commands: str | None = None) -> Collector:
    """What is traced when a door of that kind gets `texts`."""
    collector = Collector()
    listed = parse_bwlist(commands, registry) if commands is not None else None
    origin = Origin("door", backend, CLIENT, SERVER, tracing=Tracing(collector, listed))
    for text in texts:
        asyncio.run(registry.answer(parse(text.encode()), origin))
    return collector


def call(rest: str) -> str:
    return '{"jsonrpc":"2.0","method":' + rest + "}"


NOT_FOUND = '{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":1}'
UPTIME = '{"jsonrpc":"2.0","result":"now","id":1}'
INVALID = '{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}'
PARSE = '{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}'


@pytest.mark.parametrize(
    ("text", "fifo", "datagram", "http"),
    [
        (call('"uptime","id":1'), ["uptime:fifo", UPTIME], ["uptime:datagram", UPTIME], ["uptime:json", UPTIME]),
        (call('"uptime"'), ["uptime:fifo"], ["uptime:datagram"], ["uptime:json", "202 Accepted"]),
        (call('"no","id":1'), ["no:fifo", NOT_FOUND], ["no:datagram", NOT_FOUND], ["no:json", NOT_FOUND]),
        ('{"method":"uptime"}', ["uptime:fifo", INVALID], ["uptime:datagram", INVALID], ["uptime:json", INVALID]),
        ("{nonsense", [], ["unknown:datagram", PARSE], ["unknown:json", PARSE]),
        ("7", ["unknown:fifo", INVALID], ["unknown:datagram", INVALID], ["unknown:json", INVALID]),
    ],
)  # fmt: skip
def test_doors_trace_what_the_server_traces(
    registry: Registry, text: str, fifo: list[str], datagram: list[str], http: list[str]
) -> None:
    assert traced(registry, Backend.FIFO, text).payloads() == fifo
    assert traced(registry, Backend.DATAGRAM, text).payloads() == datagram
    assert traced(registry, Backend.HTTP, text).payloads() == http


@pytest.mark.parametrize(
    ("name", "params", "payloads"),
    [
        ("cache_fetch", ["local", "k"], ["cache_fetch:script:local,k", '"OK"']),
        ("cache:fetch", ["local", "x"], ["cache:fetch:script:local,x", "Value not found"]),
        ("fetch", ["local"], ["fetch:script:local", "Invalid params"]),
        ("uptime", [], ["uptime:script", "Invalid params"]),
        ("slow", None, ["slow:script", '"late"']),
        ("nosuch", None, []),
        ("list", None, []),
        ("", None, []),
    ],
)
def test_mi_traces_request_and_reply_of_commands_that_exist(
    registry: Registry, name: str, params: list[object] | None, payloads: list[str]
) -> None:
    collector = Collector()
    origin = Origin("mi_script", Backend.SCRIPT, tracing=Tracing(collector))
    asyncio.run(registry.call(Request(name, params), origin))
    assert collector.payloads() == payloads


def test_both_halves_share_the_id_and_doors_turn_the_reply_round(registry: Registry) -> None:
    request, reply = traced(registry, Backend.HTTP, call('"uptime","id":1')).events
    assert request.correlation == reply.correlation
    assert (request.source, request.destination, request.time) == (CLIENT, SERVER, 1000.5)
    assert (reply.source, reply.destination) == (SERVER, CLIENT)
    _, script_reply = traced(registry, Backend.SCRIPT, call('"uptime","id":1')).events
    assert (script_reply.source, script_reply.destination) == (CLIENT, SERVER)


def test_a_command_without_a_name_leaves_no_empty_part(registry: Registry) -> None:
    assert traced(registry, Backend.DATAGRAM, call('"","params":["a"],"id":1')).payloads()[0] == "datagram:a"


def test_every_request_of_a_batch_is_traced(registry: Registry) -> None:
    batch = "[" + call('"uptime","id":1') + "," + call('"nosuch"') + "]"
    assert traced(registry, Backend.FIFO, batch).payloads() == ["uptime:fifo", UPTIME, "nosuch:fifo"]


def test_an_exchange_that_the_registry_does_not_run_can_be_traced(registry: Registry) -> None:
    collector = Collector()
    exchange = registry.trace(Origin("mi_http", Backend.HTTP, tracing=Tracing(collector)), "unknown")
    assert exchange is not None
    exchange.reply("405 Method Not Allowed")
    assert collector.payloads() == ["unknown:json", "405 Method Not Allowed"]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (None, ""),
        ([], ""),
        (["local", "k"], "local,k"),
        ({"system": "local", "expire": 60}, "local,60"),
        ([3.7, -3.7, 2**40, -(2**40)], "3,-3,2147483647,-2147483648"),
        ([[1], "x"], ",x"),
        (["x", None, True, {}, "y"], "x,y"),
        (["a:b,c", "q\"\\é\n"], 'a:b,c,q"\\é\n'),
        (["a" * 60, "bb"], "a" * 60 + ",bb"),
        (["a" * 63, "bb"], "a" * 63 + ",bb"),
        (["a" * 64, "bb"], "a" * 64),
        (["a" * 10, "b" * 100, "c"], "a" * 10 + "," + "b" * 100),
        (["a"] * 80, ",".join(["a"] * 64)),
        (["local", "x" * 300], "local," + "x" * 121),
        (["€" * 50], "€" * 42),
        (["a" + "€" * 50], "a" + "€" * 42),
        (["aa" + "€" * 50], "aa" + "€" * 41),
        (["😀" * 50], "😀" * 31),
    ],
)  # fmt: skip
def test_parameters_are_joined_and_cut_as_recorded(params: list[object] | None, text: str) -> None:
    assert trace_parameters(params) == text


@given(st.lists(st.text() | st.integers() | st.none() | st.lists(st.text())))
def test_parameters_never_exceed_their_limit_nor_tear_a_character(params: list[object]) -> None:
    text = encode(trace_parameters(params))
    assert len(text) <= 127
    text.decode()


@given(st.text(min_size=30))
def test_a_reply_is_the_longest_beginning_that_fits(text: str) -> None:
    reply = trace_reply(text)
    assert reply == trace_reply(text.encode())
    assert text.startswith(reply)
    assert len(reply.encode()) <= 128
    assert reply == text or len((text[: len(reply) + 1]).encode()) > 128


@given(st.binary())
def test_bytes_that_are_no_text_are_cut_at_the_limit(data: bytes) -> None:
    reply = encode(trace_reply(data))
    assert data.startswith(reply)
    assert len(reply) <= 128
    assert len(reply) >= min(len(data), 125)


def test_correlation_ids_have_the_servers_form_and_never_repeat() -> None:
    ids = [correlation_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch(r"MICORR[A-Za-z0-9+/]{27}=", text) for text in ids)
    clocks = [struct.unpack("<IIQI", base64.b64decode(text[6:]))[2] for text in ids]
    assert clocks == sorted(set(clocks))


@pytest.mark.parametrize(
    ("commands", "names"),
    [
        ("w:uptime", ["uptime"]),
        (" W :core:uptime", ["uptime"]),
        ("w: uptime , cache_fetch", ["uptime", "fetch"]),
        ("w:uptime,uptime,", ["uptime"]),
        ("B:uptime", ["dlg_list", "fetch"]),
        ("b:dialog:list,fetch", ["uptime"]),
        ("w:sip_trace", []),
        ("b:sip_trace", ["uptime", "dlg_list", "fetch"]),
    ],
)
def test_a_list_of_commands_limits_what_is_traced(registry: Registry, commands: str, names: list[str]) -> None:
    texts = [call(f'"{name}","id":1') for name in ("uptime", "dlg_list", "fetch")]
    payloads = traced(registry, Backend.FIFO, *texts, commands=commands).payloads()
    assert payloads[::2] == [f"{name}:fifo" for name in names]


def test_unknown_commands_cannot_be_filtered_but_invalid_requests_can(registry: Registry) -> None:
    texts = [call('"nosuch"'), '{"method":"uptime"}', '{"method":"nosuch"}']
    payloads = traced(registry, Backend.FIFO, *texts, commands="w:fetch").payloads()
    assert payloads == ["nosuch:fifo", "nosuch:fifo", INVALID]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty mi command list"),
        ("w uptime", "missing list type"),
        (": uptime", "invalid list type ''"),
        ("x: uptime", "invalid list type 'x'"),
        ("wb:uptime", "invalid list type 'wb'"),
        ("\tw:uptime", "invalid list type '\tw'"),
        ("b:", "no command in list"),
        ("w: ", "can't find mi command ''"),
        ("w:,", "can't find mi command ''"),
        ("w:uptime,,", "can't find mi command ''"),
        ("w:uptime,,fetch", "can't find mi command ''"),
        ("b:nosuch", "can't find mi command 'nosuch'"),
        ("w:UPTIME", "can't find mi command 'UPTIME'"),
        ("w:list", "can't find mi command 'list'"),
        ("w:\tuptime", "can't find mi command '\tuptime'"),
        ("w:uptime;fetch", "can't find mi command 'uptime;fetch'"),
        ("w:core:sip_trace", "can't find mi command 'core:sip_trace'"),
    ],
)
def test_a_list_that_is_wrong_gives_the_servers_reason(registry: Registry, text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        parse_bwlist(text, registry)
    assert reason in str(wrong.value)
    assert wrong.value.parameter == "trace_bwlist"


def test_a_list_may_hold_commands_of_other_nodes(registry: Registry) -> None:
    def elsewhere(name: str) -> str:
        command, _, node = name.partition("@")
        if node == "nowhere":
            raise ValueError("no node 'nowhere'")
        return f"@{node}:{command}" if node else ""

    listed = parse_bwlist("w: uptime, ds_set_state@edge1", registry, elsewhere)
    assert listed.names == {"core:uptime", "@edge1:ds_set_state"}
    with pytest.raises(ConfigurationError, match="can't find mi command 'x@nowhere': no node 'nowhere'"):
        parse_bwlist("w: x@nowhere", registry, elsewhere)
    with pytest.raises(ConfigurationError, match="can't find mi command 'ds_set_state@edge1'"):
        parse_bwlist("w: ds_set_state@edge1", registry)


@pytest.mark.parametrize(
    ("name", "known", "cure"),
    [
        ("homer", (), "there is none; load proto_hep and give it a hep_id"),
        ("homer", ("b", "a"), "which is no hep_id of proto_hep; it has 'a', 'b'"),
        ("[a]", ("a",), "write 'a', without brackets"),
    ],
)
def test_a_destination_that_is_none_is_told_with_a_remedy(name: str, known: tuple[str, ...], cure: str) -> None:
    told = not_traced(name, known)
    assert told.startswith(f"nothing is traced: trace_destination is '{name}'") and told.endswith(cure)


@given(st.text("wb:, uptime"))
def test_any_list_is_read_or_refused(text: str) -> None:
    registry = Registry()
    registry.register(Command("core", "uptime", (), ((),), lambda: "now"))
    try:
        names = parse_bwlist(text, registry).names
    except ConfigurationError:
        return
    assert names == {"core:uptime"}
