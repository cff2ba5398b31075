"""`{csv.…}` and `{sdp.…}`: records of comma-separated values (RFC 4180) and session descriptions (RFC 8866)."""

from __future__ import annotations

import re
from functools import lru_cache

from ....late_pattern import late_pattern
from ....values import Value
from .table import MAX_LENGTH, text_transformation

_FIELD = late_pattern(r'"((?:[^"]|"")*)"|([^",\r\n][^,\r\n]*)?')
_CACHED = 64
_CACHED_LENGTH = 16384


def _split_record(text: str) -> tuple[str, ...] | None:
    """The fields of one record, or None when it is not one; a line end behind it does not count."""
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or len(text) > MAX_LENGTH:
        return None
    fields: list[str] = []
    at = 0
    while True:
        found = _FIELD.match(text, at)
        if found is None:
            return None
        fields.append(found[2] or "" if found[1] is None else found[1].replace('""', '"'))
        at = found.end()
        if at == len(text):
            return tuple(fields)
        if text[at] != ",":
            return None
        at += 1


_cached_record = lru_cache(_CACHED)(_split_record)


def _record(text: str) -> tuple[str, ...] | None:
    return _cached_record(text) if len(text) <= _CACHED_LENGTH else _split_record(text)


@text_transformation("csv", "count")
def csv_count(text: str) -> Value:
    """How many fields a record has."""
    fields = _record(text)
    return None if fields is None else len(fields)


@text_transformation("csv", "value", kinds=("integer",))
def csv_value(text: str, index: int) -> Value:
    """A field without its quotes; a negative index counts from the last one."""
    fields = _record(text)
    if fields is None or not -len(fields) <= index < len(fields):
        return None
    return fields[index]


# -- {sdp.…} -------------------------------------------------------------------------------------------------------

_INDEX = late_pattern(r"-?[0-9]{1,9}")


def _media_sections(text: str) -> list[tuple[str, int, int]]:
    """Each media section: the media (`audio`) and the place of its lines."""
    starts = [found.start() for found in re.finditer(r"(?:(?<=\n)|(?<=\A))m=", text)]
    ends = [*starts[1:], len(text)]
    return [
        (re.split(r"[ \r\n]", text[start + 2 : end], maxsplit=1)[0].lower(), start, end)
        for start, end in zip(starts, ends, strict=False)
    ]


def _chosen(text: str, stream: str) -> list[tuple[int, int]]:
    """The sections that `stream` means: an index, negative ones from the last section, or a media."""
    sections = _media_sections(text)
    if _INDEX.fullmatch(stream):
        index = int(stream)
        return [sections[index][1:]] if -len(sections) <= index < len(sections) else []
    return [(start, end) for media, start, end in sections if media == stream.lower()]


@text_transformation("sdp", "line", kinds=("string", "integer"), minimum=1)
def sdp_line(text: str, kind: str, index: int = 0) -> Value:
    """The line with this letter, such as `c`, or the one after `index` others, without its line end."""
    if not kind or index < 0:
        return None
    lines = (line for line in re.split(r"\r?\n", text) if line.startswith(f"{kind[0]}="))
    return next((line for number, line in enumerate(lines) if number == index), None)


@text_transformation("sdp", "stream", kinds=("string",))
def sdp_stream(text: str, stream: str) -> Value:
    """The lines of a media section, by index or media; of several with one media the last."""
    found = _chosen(text, stream)
    return text[slice(*found[-1])] if found else None


@text_transformation("sdp", "stream-delete", kinds=("string",))
def sdp_stream_delete(text: str, stream: str) -> Value:
    """The description without a media section, by index or media; all with this media go."""
    found = _chosen(text, stream)
    if not found:
        return None
    for start, end in reversed(found):
        text = text[:start] + text[end:]
    return text
