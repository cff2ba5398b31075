"""JSON-RPC from the client's side: requests to bytes, answers to results or errors."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import orjson

from ..errors import MIError, ProtocolError
from ..values import decode, encode

Params: TypeAlias = Mapping[str, object] | Sequence[object] | None

MAX_ID: Final = 0x7FFFFFFF
"""OpenSIPS cuts ids to 32 bits with a sign."""

SHOWN: Final = 200


class Ids:
    """Ids of requests: nobody else guesses the first one, and they do not repeat for a long time."""

    def __init__(self) -> None:
        self._numbers = itertools.count(secrets.randbelow(MAX_ID // 2) + 1)

    def __call__(self) -> int:
        return next(self._numbers) % MAX_ID + 1


def request(command: str, params: Params, id: int | None) -> bytes:
    """The message of a request; without an `id` it is a notification.

    Raises `TypeError` for parameters that are no JSON.
    """
    return dumps(message(command, params, id))


def message(command: str, params: Params, id: int | None) -> dict[str, object]:
    """The same before it is written."""
    if not isinstance(command, str):  # a request without a method kills OpenSIPS
        raise TypeError(f"the command is {command!r}, expected a text")
    made: dict[str, object] = {"jsonrpc": "2.0", "method": command}
    if params:
        made["params"] = dict(params) if isinstance(params, Mapping) else list(params)
    if id is not None:
        made["id"] = id  # at the end, where a host of ours sees at once that the rest has come before
    return made


def dumps(value: object) -> bytes:
    """`value` as JSON.  Texts may hold bytes that are not UTF-8, the way `values.decode` gives them."""
    try:
        return orjson.dumps(value)
    except TypeError:
        pass
    try:
        return encode(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    except RecursionError:
        raise TypeError("the parameters are nested too deeply") from None


def loads(data: bytes) -> Any:
    """JSON as a server writes it, which may hold bytes that are not UTF-8.  Raises `ProtocolError`."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(decode(data), strict=False)
    except (ValueError, RecursionError):
        raise ProtocolError(f"the answer is no JSON: {shown(data)}") from None


def shown(data: bytes) -> str:
    """The beginning of what came, for a message."""
    text = data[:SHOWN].decode("utf-8", "backslashreplace")
    return repr(text) + (f"… ({len(data)} bytes)" if len(data) > SHOWN else "")


def result(data: bytes, id: int) -> Any:
    """The result in the answer to request `id`.

    Raises `MIError` when the answer is an error, `ProtocolError` when it is no answer to this request.
    """
    return outcome(loads(data), id)


def outcome(answer: object, id: int) -> Any:
    """The result in an answer that was read."""
    if not isinstance(answer, dict):
        raise ProtocolError(f"the answer is no object: {shown(dumps(answer))}")
    error = answer.get("error")
    if error is None and "result" not in answer:
        raise ProtocolError(f"the answer has neither a result nor an error: {shown(dumps(answer))}")
    found = answer.get("id")
    if found != id and not (error is not None and found is None):  # an unreadable request is answered without an id
        raise ProtocolError(f"the answer has the id {found!r}, expected {id}")
    if error is not None:
        raise mi_error(error)
    return answer["result"]


def mi_error(error: object) -> MIError:
    """The exception for the `error` of an answer."""
    if not isinstance(error, dict):
        return MIError(0, str(error))
    code, text = error.get("code"), error.get("message")
    return MIError(code if isinstance(code, int) else 0, text if isinstance(text, str) else "", error.get("data"))


def outcomes(data: bytes, ids: Sequence[int]) -> list[Any] | None:
    """The outcomes of a batch in the order of `ids`: results, and `MIError` objects where calls failed.

    None when the server takes no batches; then it ran nothing.  Raises `ProtocolError`, and `MIError` when the batch
    as a whole is refused.
    """
    answers = loads(data)
    if isinstance(answers, dict):
        error = answers.get("error")
        if (isinstance(error, dict) and error.get("code") == -32600) or (error is None and "id" not in answers):
            return None  # OpenSIPS; Kamailio
        if error is not None:
            raise mi_error(error)
    if not isinstance(answers, list):
        raise ProtocolError(f"the answer to a batch is no array: {shown(data)}")
    objects = [answer for answer in answers if isinstance(answer, dict)]
    by_id = {id: answer for answer in objects if isinstance(id := answer.get("id"), int)}
    return [_one_of_batch(by_id, id) for id in ids]


def _one_of_batch(answers: Mapping[int, object], id: int) -> Any:
    if id not in answers:
        raise ProtocolError(f"the batch's answer has none with the id {id}")
    try:
        return outcome(answers[id], id)
    except MIError as error:
        return error
