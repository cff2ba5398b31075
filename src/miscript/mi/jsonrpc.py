"""JSON-RPC 2.0 as the Management Interface speaks it: bytes ⇄ requests and responses.

`parse` turns what a client sent into a `Request`, a `Batch` of them or a `Failure` (which is answered too); it
never raises.  `Response` turns an outcome into bytes for a door or text for `mi()`.

JSON is RFC 8259, at most `MAX_DEPTH` levels deep; anything else is `Parse error`.  Top-level keys are case
sensitive, unknown ones are ignored, and of equal keys one counts.  An id is null, a text or a number and comes back
unchanged; a message without one is a notification.

Sources: JSON-RPC 2.0 Specification (jsonrpc.org); OpenSIPS manual, "Management Interface".
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from ..errors import MIError
from ..late_pattern import late_pattern
from .writer import MAX_DEPTH, NumberAsWritten, compact, dumps_text, pretty

__all__ = [
    "MAX_BATCH",
    "MAX_DEPTH",
    "Batch",
    "Failure",
    "Id",
    "Params",
    "Request",
    "Response",
    "compact",
    "dumps_text",
    "invalid_params",
    "parse",
    "pretty",
    "server_error",
]

log = logging.getLogger(__name__)

Id: TypeAlias = str | int | float | None
Params: TypeAlias = list[object] | dict[str, object] | None
"""Positional parameters, named ones, or none at all."""

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
METHOD_AMBIGUOUS: Final = -32001
INVALID_PARAMS: Final = -32602
SERVER_ERROR: Final = -32000
FORBIDDEN: Final = -32003
"""What a policy refuses (ours); its message is `Forbidden`."""

_HUGE: Final = late_pattern(rb"[0-9][eE]\+?[0-9]{3}")
_PARAMS: Final = frozenset({list, dict})
_IDS: Final = frozenset({str, int, float, NumberAsWritten, type(None)})

MAX_BATCH: Final = 1000
"""Requests that one batch may hold: a small message must not make a very large answer."""


def invalid_params(data: str) -> MIError:
    """The parameters do not fit the command; `data` says why."""
    return MIError(INVALID_PARAMS, "Invalid params", data)


def server_error(data: str | None = None) -> MIError:
    """The command failed without saying why."""
    return MIError(SERVER_ERROR, "Server error", data)


class Request(NamedTuple):
    """One command to run.  Without an id (`has_id` false) it is a notification: run, never answered.

    `params` is None when there are none.  `mi()` may give an empty list: parameters were meant and none came,
    which fits no recipe.
    """

    method: str
    params: Params = None
    id: Id = None
    has_id: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that is no request: answered with `error`, and with the id if that could be read.

    `method` and `params` are what could be made out nevertheless; tracing shows them.
    """

    error: MIError
    id: Id = None
    method: str | None = None
    params: Params = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Several messages in one array, answered by one array."""

    messages: tuple[Request | Failure, ...]


@dataclass(slots=True)
class Response:
    """The answer to one message: `result`, or `error` if that is not None.

    `wanted` is false for a notification: nothing is sent then.  A result that cannot be written as JSON is a fault
    of its command: it is logged and becomes `Server error` when the text is asked for.
    """

    result: object = None
    error: MIError | None = None
    id: Id = None
    wanted: bool = True
    _written: tuple[bool, bytes] | None = field(default=None, repr=False, compare=False)

    def message(self) -> dict[str, object]:
        """The JSON-RPC object, keys in the server's order."""
        if self.error is None:
            return {"jsonrpc": "2.0", "result": self.result, "id": self.id}
        error: dict[str, object] = {"code": self.error.code, "message": self.error.message}
        if self.error.data is not None:
            error["data"] = self.error.data
        return {"jsonrpc": "2.0", "error": error, "id": self.id}

    def body(self, pretty_form: bool = False) -> bytes:
        """The JSON-RPC object as a door sends it."""
        if self._written is not None and self._written[0] == pretty_form:
            return self._written[1]
        write = pretty if pretty_form else compact
        try:
            body = write(self.message())
        except (TypeError, ValueError):
            self._fail()
            body = write(self.message())
        self._written = (pretty_form, body)
        return body

    def text(self, pretty_form: bool = False) -> str:
        """What `mi()` puts into its return variable: the result as JSON, or the bare message of the error.

        Look at `error` afterwards, not before: a result that is no JSON is found out here.
        """
        if self.error is None:
            try:
                return dumps_text(self.result, pretty_form)
            except (TypeError, ValueError):
                self._fail()
        return self.error.message if self.error else ""

    def _fail(self) -> None:
        log.exception("an MI command answered with something that is no JSON")
        self.result, self.error = None, server_error()


def parse(data: bytes) -> Request | Batch | Failure:
    """The message in `data`: exactly one JSON value, blanks around it allowed."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            document = _with_huge_numbers(data)
        except (ValueError, RecursionError):
            return _parse_error()
    if _is_too_deep(document, data):
        return _parse_error()
    if document.__class__ is dict:
        if document.get("id").__class__ is float:
            document["id"] = _as_written(data)["id"]
        return _message(document)
    if document.__class__ is list and document:
        return _batch(document, data)
    return _invalid_request()


def _batch(items: list[object], data: bytes) -> Batch | Failure:
    if len(items) > MAX_BATCH:
        return _invalid_request(data=f"a batch of {len(items)} requests, at most {MAX_BATCH} are allowed")
    requests = [(place, item) for place, item in enumerate(items) if isinstance(item, dict)]
    inexact = [(place, item) for place, item in requests if isinstance(item.get("id"), float)]
    if inexact:
        exact = _as_written(data)
        for place, item in inexact:
            item["id"] = exact[place]["id"]
    return Batch(tuple(_message(item) if isinstance(item, dict) else _invalid_request() for item in items))


def _message(document: dict[str, Any]) -> Request | Failure:
    """The request in a JSON object, if it is one."""
    method, params, id_ = document.get("method"), document.get("params"), document.get("id")
    params_fit = params.__class__ in _PARAMS or (params is None and "params" not in document)
    id_fits = id_.__class__ in _IDS
    if id_fits and params_fit and method.__class__ is str and document.get("jsonrpc") == "2.0":
        return Request(method, params or None, id_, id_ is not None or "id" in document)
    return Failure(
        MIError(INVALID_REQUEST, "Invalid Request"),
        id_ if id_fits else None,
        method if method.__class__ is str else None,
        params if params_fit else None,
    )


def _parse_error() -> Failure:
    return Failure(MIError(PARSE_ERROR, "Parse error"))


def _invalid_request(data: str | None = None) -> Failure:
    return Failure(MIError(INVALID_REQUEST, "Invalid Request", data))


def _is_too_deep(document: object, data: bytes) -> bool:
    """Whether `document` has more than `MAX_DEPTH` levels; no more than the brackets in its text, to begin with."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    level = _containers([document])
    for _ in range(MAX_DEPTH):
        level = _containers(child for value in level for child in value)
        if not level:
            return False
    return True


def _containers(values: Iterable[object]) -> list[Iterable[object]]:
    """Those of `values` that hold values themselves, each as its values."""
    return [value.values() if isinstance(value, dict) else value for value in values if isinstance(value, dict | list)]


def _with_huge_numbers(data: bytes) -> Any:
    """The document, if `1e400` and the like are all that orjson did not take; JSON allows them.  Raises ValueError."""
    if _HUGE.search(data) is None or b"\\ud" in data.lower():  # half a character may stand behind `\ud`
        raise ValueError("no JSON")
    return json.loads(data.decode("utf-8"), parse_constant=_no_number)


def _no_number(name: str) -> float:
    raise ValueError(f"'{name}' is no JSON")


def _as_written(data: bytes) -> Any:
    """The document once more, its numbers as they were written (orjson rounds fractions and large integers)."""
    return json.loads(data, parse_float=NumberAsWritten, parse_int=NumberAsWritten)
