"""Texts become documents: `parse(text)`.

Three readers, the fastest first; each text is read by the first one that can do it without losing anything:

1. orjson, for texts without fractions, exponents and very long numbers (it would make floats of them);
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

from .document import MAX_DEPTH, BadJson, Json, NumberText, too_deep
from .lenient import parse_lenient

_fraction = re.compile(r"[0-9][.eE]").search
_long_number = re.compile(r"[0-9]{20}").search
_half_of_a_pair = re.compile(r"\\u[dD][89a-fA-F]").search

_decoder: Any = JSONDecoder(parse_float=NumberText, parse_constant=NumberText, strict=False)
_scan_once: Callable[[str, int], tuple[Json, int]] = _decoder.scan_once  # typeshed leaves it out
_BLANKS: Final = " \t\n\r"


def is_exact(text: str) -> bool:
    """Whether orjson reads `text` without turning a number into a float.  May err by saying no."""
    return _fraction(text) is None and (len(text) < 20 or _long_number(text) is None)


def parse(text: str, exact: bool | None = None) -> Json:
    """The document in `text`; what stands behind a complete value is ignored.

    `exact` is what `is_exact` says, where it is known already.  Raises BadJson.
    """
    if exact or (exact is None and is_exact(text)):
        try:
            document: Json = loads(text)
        except JSONDecodeError:
            document = _parse_slowly(text)
    else:
        document = _parse_slowly(text)
    if len(text) > MAX_DEPTH and text.count("[") + text.count("{") > MAX_DEPTH and too_deep(document):
        raise BadJson(f"more than {MAX_DEPTH} levels")
    return document


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
