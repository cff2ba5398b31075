"""Texts become documents: `parse(text)`.

Three readers, the fastest first; each text is read by the first one that can do it without losing anything:

1. orjson, for texts without fractions, exponents and numbers beyond 64 bits (it makes floats of them);
2. the reader of Python's library, which keeps the source text of numbers and takes raw control characters;
3. our own, which takes what the server takes beyond RFC 8259 (lenient.py).

All of them keep the last of two members with one name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from json import JSONDecoder
from typing import Any, Final

from orjson import JSONDecodeError, loads

from .document import MAX_DEPTH, BadJson, Json, NumberText, children
from .lenient import parse_lenient

_SHORT: Final = 128
"""Length up to which looking through the text is quicker than looking through the document."""

_suspect = re.compile(r"[0-9](?:[.eE]|[0-9]{19})|-[0-9]{19}").search
_half_of_a_pair = re.compile(r"\\u[dD][89a-fA-F]").search

_decoder: Any = JSONDecoder(parse_float=NumberText, parse_constant=NumberText, strict=False)
_scan_once: Callable[[str, int], tuple[Json, int]] = _decoder.scan_once  # typeshed leaves it out
_BLANKS: Final = " \t\n\r"


def parse(text: str) -> tuple[Json, bool]:
    """The document in `text`, and whether orjson alone could read it.

    What stands behind a complete value is ignored.  Raises BadJson.
    """
    try:
        document: Json = loads(text)
    except JSONDecodeError:
        exact = False
    else:
        exact = (len(text) <= _SHORT and _suspect(text) is None) or not _holds_floats(document)
    if not exact:
        document = _parse_slowly(text)
        _holds_floats(document)  # it is not too deep either
    return document, exact


_PLAIN: Final[frozenset[type]] = frozenset((str, int, bool, type(None)))
_CONTAINERS: Final[frozenset[type]] = frozenset((dict, list))


def _holds_floats(document: Any) -> bool:
    """Whether there is a float in `document`.  Raises BadJson when it has more than MAX_DEPTH levels.

    Looking at what orjson made is much quicker than looking for fractions in a long text.
    """
    if document.__class__ not in _CONTAINERS:
        return document.__class__ is float
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for container in level:
            values = children(container)
            kinds = set(map(type, values))
            if float in kinds:
                return True
            if not kinds <= _PLAIN:
                below += [value for value in values if value.__class__ in _CONTAINERS]
        if not below:
            return False
        level = below
    raise BadJson(f"more than {MAX_DEPTH} levels")


def _parse_slowly(text: str) -> Json:
    start = len(text) - len(text.lstrip(_BLANKS))
    if text[start : start + 1] in ("{", "[") and _half_of_a_pair(text) is None:
        try:
            return _scan_once(text, start)[0]
        except (ValueError, StopIteration):
            pass
        except RecursionError:
            raise BadJson(f"more than {MAX_DEPTH} levels") from None
    return parse_lenient(text)
