"""JSON-RPC messages: what is a request, what is refused and how, what answers look like."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from miscript.errors import MIError
from miscript.mi.jsonrpc import MAX_BATCH, MAX_DEPTH, Batch, Failure, Request, Response, compact, parse

CALL = '{"jsonrpc":"2.0","method":"xlog_level"'


def answer_to(text: str | bytes) -> str:
    """The answer to a message that is no request, or the echo of its id."""
    message = parse(text.encode() if isinstance(text, str) else text)
    if isinstance(message, Failure):
        return Response(error=message.error, id=message.id).body().decode()
    assert isinstance(message, Request)
    return compact(message.id).decode()


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        (CALL + ',"id":1}', Request("xlog_level", None, 1)),
        ('  \r\n\t{ "id" : "" , "method" : "m" , "jsonrpc" : "2.0" } \n', Request("m", None, "")),
        (CALL + ',"params":["a",1],"id":null}', Request("xlog_level", ["a", 1], None)),
        (CALL + ',"params":{"level":3},"id":"x"}', Request("xlog_level", {"level": 3}, "x")),
        (CALL + ',"params":[],"id":1}', Request("xlog_level", None, 1)),
        (CALL + ',"params":{},"id":1}', Request("xlog_level", None, 1)),
        (CALL + ',"id":1,"extra":{"a":[1,2]}}', Request("xlog_level", None, 1)),
        (CALL + "}", Request("xlog_level", None, None, has_id=False)),
        ('{"jsonrpc":"2.0","method":"","id":0}', Request("", None, 0)),
    ],
)
def test_requests_are_read(text: str, request_: Request) -> None:
    assert parse(text.encode()) == request_


@pytest.mark.parametrize(
    "id_",
    [
        "0",
        "-5",
        "2147483648",
        "9007199254740993",
        "123456789012345678901234567890",
        "1.5",
        "1e2",
        "-1e300",
        "1.50",
        "1e400",
        '"a\\n"',
    ],
)
def test_ids_come_back_as_they_were_written(id_: str) -> None:
    assert answer_to(CALL + f',"id":{id_}}}') == id_
    batch = parse(f'[7,{CALL},"id":{id_}}},{CALL},"id":1}}]'.encode())
    assert isinstance(batch, Batch)
    assert [compact(message.id).decode() for message in batch.messages] == ["null", id_, "1"]


@pytest.mark.parametrize(
    "rest",
    ["NaN", "Infinity", '"\\ud800"', '"\x01"', "[1,]", "01", '"a\\qb"', "[" * 5000, "1 x", '"' + "\udcff" + '"'],
)
def test_a_number_beyond_doubles_makes_nothing_else_valid(rest: str) -> None:
    text = CALL + f',"huge":1e400,"id":{rest}}}'
    parsed = parse(text.encode("utf-8", "surrogateescape"))
    assert isinstance(parsed, Failure)
    assert parsed.error.code == -32700


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ('{"JSONRPC":"2.0","Method":"which","ID":1}', "null"),
        (CALL + ',"id":true}', "null"),
        (CALL + ',"id":[1]}', "null"),
        (CALL + ',"id":{}}', "null"),
        ('{"jsonrpc":"1.0","method":"m","id":1}', "1"),
        ('{"jsonrpc":2.0,"method":"m","id":"a"}', '"a"'),
        ('{"method":"m","id":1}', "1"),
        ('{"jsonrpc":"2.0","id":1}', "1"),
        ('{"jsonrpc":"2.0","method":7,"id":1}', "1"),
        ('{"jsonrpc":"2.0","method":null,"id":1.5}', "1.5"),
        ('{"jsonrpc":"2.0","method":["which"],"id":1}', "1"),
        ('{"jsonrpc":"2.0"}', "null"),
        ("{}", "null"),
        ("[]", "null"),
        ('"which"', "null"),
        ("42", "null"),
        ("null", "null"),
        (CALL + ',"params":null,"id":1}', "1"),
        (CALL + ',"params":"3","id":1}', "1"),
        (CALL + ',"params":3,"id":1}', "1"),
        (CALL + ',"params":true,"id":1}', "1"),
    ],
)
def test_what_is_no_request_is_answered_so_with_its_id_if_that_is_valid(text: str, id_: str) -> None:
    expected = '{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":' + id_ + "}"
    assert answer_to(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "not json",
        CALL,
        CALL + ',"id":1}garbage',
        CALL + ',"id":1}' + CALL + ',"id":2}',
        "{'jsonrpc':'2.0'}",
        CALL + ',"id":1,}',
        "// c\n" + CALL + ',"id":1}',
        "\ufeff" + CALL + ',"id":1}',
        *(CALL + f',"params":[{number}],"id":1}}' for number in ("+3", ".5", "0x3", "003", "1.", "NaN", "TRUE", "3,")),
        CALL + ',"id":"\\ud83d"}',
        CALL + ',"id":"\\x41"}',
        CALL + ',"id":"a\tb"}',
        CALL.encode() + b',"id":"\xff"}',
        CALL.encode() + b',"id":1}\x00',
        "[" * 60,
        "[" * 100_000,
    ],
)
def test_what_json_forbids_is_a_parse_error(text: str | bytes) -> None:
    assert answer_to(text) == '{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}'


def test_nul_is_allowed_in_texts() -> None:
    assert answer_to(CALL + ',"id":"\\u0000"}') == '"\\u0000"'


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_limited_exactly(opening: str, closing: str) -> None:
    def nested(levels: int) -> str:
        return CALL + ',"params":[' + opening * levels + "1" + closing * levels + '],"id":5}'

    assert answer_to(nested(MAX_DEPTH - 2)) == "5"
    assert "-32700" in answer_to(nested(MAX_DEPTH - 1))
    assert answer_to(CALL + ',"params":[' + "[]," * 500 + '1],"id":5}') == "5"


def test_a_batch_holds_requests_and_failures_in_order() -> None:
    batch = parse(f'[{CALL},"id":1}},5,{CALL}}}]'.encode())
    assert isinstance(batch, Batch)
    first, second, third = batch.messages
    assert first == Request("xlog_level", None, 1)
    assert isinstance(second, Failure)
    assert third == Request("xlog_level", None, None, has_id=False)


def test_a_batch_that_is_too_long_is_refused_with_both_numbers() -> None:
    failure = parse(b"[" + b",".join([b"1"] * (MAX_BATCH + 1)) + b"]")
    assert isinstance(failure, Failure)
    assert failure.error.code == -32600
    assert failure.error.data == f"a batch of {MAX_BATCH + 1} requests, at most {MAX_BATCH} are allowed"


def test_a_failure_keeps_what_tracing_shows() -> None:
    failure = parse(b'{"method":"uptime","params":["a"]}')
    assert isinstance(failure, Failure)
    assert (failure.method, failure.params) == ("uptime", ["a"])


@given(st.binary())
@example(b'{"id":1e999}')
def test_any_bytes_are_a_message_or_a_failure(data: bytes) -> None:
    assert isinstance(parse(data), Request | Batch | Failure)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "method", "a"]), inner),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["jsonrpc", "method", "params", "id"]), st.just("2.0") | json_values)
    | st.lists(json_values)
)
def test_any_json_is_a_message_or_a_failure_that_can_be_answered(document: object) -> None:
    message = parse(json.dumps(document).encode())
    for part in message.messages if isinstance(message, Batch) else [message]:
        json.loads(Response(id=part.id).body())


def test_answers_have_the_servers_order_of_keys() -> None:
    assert Response(result="OK", id=1).body() == b'{"jsonrpc":"2.0","result":"OK","id":1}'
    error = MIError(-32602, "Invalid params", "why")
    assert Response(error=error, id="a").body() == (
        b'{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params","data":"why"},"id":"a"}'
    )


def test_pretty_answers_are_as_recorded() -> None:
    root_path = [{"http_root": "mi", "module": "mi_http"}]
    assert Response(result=root_path, id=1).body(pretty_form=True).decode() == (
        '{\n\t"jsonrpc":\t"2.0",\n\t"result":\t[{\n\t\t\t"http_root":\t"mi",\n\t\t\t"module":\t"mi_http"\n\t\t}],'
        '\n\t"id":\t1\n}'
    )
    error = MIError(-32601, "Method not found")
    assert Response(error=error, id=1).body(pretty_form=True).decode() == (
        '{\n\t"jsonrpc":\t"2.0",\n\t"error":\t{\n\t\t"code":\t-32601,\n\t\t"message":\t"Method not found"\n\t},'
        '\n\t"id":\t1\n}'
    )


def test_the_text_for_mi_is_the_result_or_the_bare_message() -> None:
    assert Response(result="OK").text() == '"OK"'
    assert Response(result={"a": 1}).text(pretty_form=True) == '{\n\t"a":\t1\n}'
    assert Response(error=MIError(404, "Event not registered", "x")).text() == "Event not registered"


def test_a_result_that_is_no_json_becomes_a_server_error_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        response = Response(result=object(), id=3)
        assert response.body() == b'{"jsonrpc":"2.0","error":{"code":-32000,"message":"Server error"},"id":3}'
    assert response.error is not None
    assert len(caplog.records) == 1
    assert Response(result={1}).text() == "Server error"
