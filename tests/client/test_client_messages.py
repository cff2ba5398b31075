"""Requests and answers of the client, without a server."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.client.messages import Ids, dumps, loads, message, outcomes, request, result
from miscript.errors import MIError, ProtocolError
from miscript.values import decode

jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e300, 1e300) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ids = st.integers(1, 2**31 - 1)


@given(jsons)
def test_what_is_written_is_read(value):
    assert loads(dumps(value)) == value


@given(st.binary())
def test_texts_keep_bytes_that_are_no_utf_8(data):
    assert loads(dumps(decode(data))) == decode(data)


@given(jsons, ids)
def test_the_result_of_an_answer_is_its_result(value, id):
    assert result(dumps({"jsonrpc": "2.0", "result": value, "id": id}), id) == value


@given(st.binary() | jsons.map(dumps), ids)
def test_any_bytes_are_a_result_or_one_of_two_errors(data, id):
    for read in (lambda: result(data, id), lambda: outcomes(data, [id])):
        try:
            read()
        except (MIError, ProtocolError):
            pass


def test_raw_control_bytes_in_an_answer_are_read_as_opensips_writes_them():
    assert result(b'{"result":"a\x01\xff","id":1}', 1) == "a\x01\udcff"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"400 Parse_error", "no JSON: '400 Parse_error'"),
        (b"", "no JSON"),
        (b"[1]", "no object"),
        (b'{"id":7}', "neither a result nor an error"),
        (b'{"result":1,"id":8}', "has the id 8, expected 7"),
        (b'{"result":1}', "has the id None, expected 7"),
        (b'{"error":{"code":1,"message":"x"},"id":8}', "has the id 8, expected 7"),
    ],
)
def test_what_is_no_answer_to_the_request_is_a_protocol_error(answer, words):
    with pytest.raises(ProtocolError, match=words):
        result(answer, 7)


def test_an_error_carries_code_message_and_data_also_without_an_id():
    for id in (b"7", b"null"):
        with pytest.raises(MIError) as caught:
            result(b'{"error":{"code":-32602,"message":"Invalid params","data":"x"},"id":' + id + b"}", 7)
        assert (caught.value.code, caught.value.message, caught.value.data) == (-32602, "Invalid params", "x")


def test_a_request_has_no_params_when_there_are_none_and_no_id_when_nobody_waits():
    assert json.loads(request("uptime", {}, 5)) == {"jsonrpc": "2.0", "id": 5, "method": "uptime"}
    assert json.loads(request("x", ("a", 1), None)) == {"jsonrpc": "2.0", "method": "x", "params": ["a", 1]}


def test_a_command_that_is_no_text_is_refused_because_such_a_request_kills_opensips():
    with pytest.raises(TypeError, match="expected a text"):
        message(None, None, 1)


def test_parameters_that_are_no_json_are_refused():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for params in ([object()], deep):
        with pytest.raises(TypeError):
            request("x", params, 1)


def test_a_batch_gives_outcomes_in_the_order_of_the_calls():
    data = b'[{"result":2,"id":2},{"error":{"code":404,"message":"no"},"id":1}]'
    first, second = outcomes(data, [1, 2])
    assert (first.code, second) == (404, 2)


@pytest.mark.parametrize(
    "data",
    [
        b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}',  # OpenSIPS
        b'{\n\t"jsonrpc":\t"2.0",\n\t"result":\t{\n\t}\n}',  # Kamailio
    ],
)
def test_servers_that_take_no_batches_are_recognised(data):
    assert outcomes(data, [1]) is None


def test_a_batch_that_is_refused_or_answered_in_part_is_an_error():
    with pytest.raises(MIError, match="Forbidden"):
        outcomes(b'{"error":{"code":-32003,"message":"Forbidden"},"id":null}', [1])
    with pytest.raises(ProtocolError, match="none with the id 2"):
        outcomes(b'[{"result":1,"id":1},7,{"id":[]}]', [1, 2])


def test_ids_stay_within_what_opensips_keeps_and_do_not_repeat():
    make = Ids()
    made = [make() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(0 < id < 2**31 for id in made)
    assert Ids()() != Ids()()
