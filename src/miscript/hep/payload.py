"""The payload of a traced MI command, in the two forms OpenSIPS writes.

A request has the fields command, backend and parameters (left out when there are none), a reply has one, reply.
The Homer 5 form (`homer5_on`, the default) is their values with a delimiter between them, `log_level:script:3`,
nothing escaped.  The other form is a JSON object of texts, indented with tabs.  Texts hold any bytes, the way
`values.decode` gives them, and are written out unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final, TypeAlias

from ..values import decode, encode

Fields: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values of a payload, in their order, as in `trace.TraceEvent`."""

DEFAULT_DELIMITER: Final = ":"

BACKENDS: Final = ("script", "fifo", "datagram", "json")
"""How the front ends call themselves; mi_http says `json`."""

_SHAPES: Final = (("command", "backend"), ("command", "backend", "parameters"), ("reply",), ("payload",))

_ESCAPES: Final = {code: f"\\u{code:04x}" for code in range(0x20)} | {
    ord('"'): '\\"',
    ord("\\"): "\\\\",
    ord("\b"): "\\b",
    ord("\f"): "\\f",
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
}


def write_payload(
    fields: Sequence[tuple[str, str]], *, homer5: bool = True, delimiter: str = DEFAULT_DELIMITER
) -> bytes:
    """The payload of `fields` in one of the two forms; whoever traces has cut their values already."""
    return homer5_payload(fields, delimiter) if homer5 else json_payload(fields)


def homer5_payload(fields: Sequence[tuple[str, str]], delimiter: str = DEFAULT_DELIMITER) -> bytes:
    """The values joined by `delimiter`, which may be any text, even an empty one."""
    return encode(delimiter.join(value for _, value in fields))


def json_payload(fields: Sequence[tuple[str, str]]) -> bytes:
    """The fields as a JSON object.  What is not ASCII is not escaped: bytes that are no UTF-8 stay what they are."""
    members = ",\n\t".join(f'"{_escape(name)}":\t"{_escape(value)}"' for name, value in fields)
    return encode("{\n\t" + members + "\n}")


def read_json_payload(payload: bytes) -> Fields | None:
    """The fields of a JSON payload: a request's, a reply's, or `payload` alone (SIP).  None for anything else.

    Other objects are no such payload: in the Homer 5 form a reply may itself be JSON.
    """
    if not payload.startswith(b"{"):
        return None
    try:
        pairs = json.loads(decode(payload), object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    # An object is a tuple of pairs here, an array a list.
    if tuple(name for name, _ in pairs) not in _SHAPES or not all(isinstance(value, str) for _, value in pairs):
        return None
    return tuple(pairs)


def read_homer5_request(payload: bytes, delimiter: str = DEFAULT_DELIMITER) -> Fields | None:
    """Command, backend and parameters of a Homer 5 payload; None if none of `BACKENDS` is in its place.

    A command may hold the delimiter itself (`dialog:list:script:1`), so the first name of a backend that has
    delimiters, or the end, on both sides parts the command from the parameters.
    """
    mark = re.escape(delimiter)
    found = re.match(rf"(.+?){mark}({'|'.join(BACKENDS)})(?:{mark}(.*))?\Z", decode(payload), re.DOTALL)
    if found is None:
        return None
    parts = zip(("command", "backend", "parameters"), found.groups(), strict=True)
    return tuple((name, value) for name, value in parts if value is not None)


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)
