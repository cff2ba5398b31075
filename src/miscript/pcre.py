"""Perl-compatible regular expressions, matched by PCRE2 itself, the library that OpenSIPS uses.

```python
pattern = compile_pcre("^(0040|0)21", PcreOption.CASELESS)     # raises PcreError
found = pattern.search(b"004021")                              # a PcreMatch, None, or PcreError
```

Patterns and subjects are bytes (`values.encode`); no locale and no UTF mode is set, as in OpenSIPS.  A match takes at
most `MATCH_LIMIT` steps and then fails with PcreError, so no pattern and no subject holds up the host for long.  The
library (`libpcre2-8`, a package of every distribution) is looked for when the first pattern is compiled.

Source: pcre2api(3), pcre2pattern(3), PCRE2 10.x.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from functools import cache, lru_cache
from typing import Final

from .errors import ConfigurationError
from .values import encode

MATCH_LIMIT: Final = 1_000_000
"""Steps of one match: some ten milliseconds."""

HEAP_KIBIBYTES: Final = 20_000
"""Memory of one match."""

MAX_PATTERN: Final = 65_536
"""Bytes of one pattern."""

_CACHED: Final = 256
_NO_MATCH: Final = -1
_UNSET: Final = ctypes.c_size_t(-1).value
_NAMES: Final = ("libpcre2-8.so.0", "libpcre2-8.so", "libpcre2-8.dylib", "libpcre2-8.0.dylib")


class PcreOption(IntFlag):
    """Options of a pattern, with PCRE2's own numbers."""

    NONE = 0
    CASELESS = 0x00000008
    DOTALL = 0x00000020
    EXTENDED = 0x00000080
    MULTILINE = 0x00000400


class PcreError(ValueError):
    """A pattern that cannot be compiled, or a match that took too much."""


@dataclass(frozen=True, slots=True)
class PcreMatch:
    """What matched: the places of the whole match and of each group, None for a group that took no part."""

    subject: bytes
    spans: tuple[tuple[int, int] | None, ...]

    def group(self, number: int = 0) -> bytes:
        """What group `number` matched, 0 being the whole; empty when it took no part."""
        span = self.spans[number]
        return b"" if span is None else self.subject[span[0] : span[1]]

    @property
    def start(self) -> int:
        return self._whole[0]

    @property
    def end(self) -> int:
        return self._whole[1]

    @property
    def _whole(self) -> tuple[int, int]:
        """`\\K` in a lookahead can put the start behind the end: then nothing matched at the end."""
        start, end = self.spans[0] or (0, 0)
        return min(start, end), end


class PcrePattern:
    """A compiled pattern."""

    def __init__(self, pattern: str, options: PcreOption) -> None:
        self.pattern = pattern
        library = pcre_library()
        data = encode(pattern)
        if len(data) > MAX_PATTERN:
            raise PcreError(f"the pattern has {len(data)} bytes, at most {MAX_PATTERN} are taken")
        code, offset = ctypes.c_int(), ctypes.c_size_t()
        self._code = library.pcre2_compile_8(
            data, len(data), int(options), ctypes.byref(code), ctypes.byref(offset), None
        )
        if not self._code:
            raise PcreError(f"{_message(library, code.value)} at offset {offset.value} of '{pattern}'")
        self._free = library.pcre2_code_free_8
        groups = ctypes.c_uint32()
        library.pcre2_pattern_info_8(self._code, 4, ctypes.byref(groups))  # 4: PCRE2_INFO_CAPTURECOUNT
        self.groups = groups.value
        """How many groups it has."""

    def __del__(self) -> None:
        if getattr(self, "_free", None) is not None:
            self._free(self._code)

    def search(self, subject: bytes, at: int = 0) -> PcreMatch | None:
        """The first match at or behind `at`.  Raises PcreError when it takes too many steps."""
        library = pcre_library()
        data = library.pcre2_match_data_create_from_pattern_8(self._code, None)
        if not data:
            raise PcreError("no memory for a match")
        try:
            found = library.pcre2_match_8(self._code, subject, len(subject), at, 0, data, _limits())
            if found == _NO_MATCH:
                return None
            if found < 0:
                raise PcreError(f"{_message(library, found)} of '{self.pattern}'")
            places = library.pcre2_get_ovector_pointer_8(data)
            spans = tuple(_span(places[2 * n], places[2 * n + 1]) for n in range(self.groups + 1))
            return PcreMatch(subject, spans)
        finally:
            library.pcre2_match_data_free_8(data)

    def finditer(self, subject: bytes) -> Iterator[PcreMatch]:
        """The matches one behind the other; the last may be an empty one, behind which nobody looks further."""
        at = 0
        while (found := self.search(subject, at)) is not None:
            yield found
            if found.end <= at and found.start == found.end:
                return
            at = found.end


def _span(start: int, end: int) -> tuple[int, int] | None:
    return None if start == _UNSET else (start, end)


@lru_cache(_CACHED)
def compile_pcre(pattern: str, options: PcreOption = PcreOption.NONE) -> PcrePattern:
    """Compile `pattern`; the last few hundred are kept.  Raises PcreError."""
    return PcrePattern(pattern, options)


@cache
def pcre_library() -> ctypes.CDLL:
    """The library.  Raises ConfigurationError when this machine has none."""
    for name in _library_names():
        try:
            return _declared(ctypes.CDLL(name))
        except OSError:
            continue
    raise ConfigurationError(
        "the library PCRE2 is not there", help="install it: 'libpcre2-8-0' of Debian, 'pcre2' of others"
    )


def _library_names() -> Iterator[str]:
    """Names to try; looking through the system runs programs, so that comes last."""
    yield from _NAMES
    found = ctypes.util.find_library("pcre2-8")
    if found is not None:
        yield found


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Say what its functions take: pointers are wider than the integers that ctypes takes them for."""
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
    declarations = {
        "compile": (pointer, [ctypes.c_char_p, size, number, pointer, pointer, pointer]),
        "code_free": (None, [pointer]),
        "pattern_info": (ctypes.c_int, [pointer, number, pointer]),
        "match_data_create_from_pattern": (pointer, [pointer, pointer]),
        "match_data_free": (None, [pointer]),
        "match": (ctypes.c_int, [pointer, ctypes.c_char_p, size, size, number, pointer, pointer]),
        "get_ovector_pointer": (ctypes.POINTER(size), [pointer]),
        "get_error_message": (ctypes.c_int, [ctypes.c_int, ctypes.c_char_p, size]),
        "match_context_create": (pointer, [pointer]),
        "set_match_limit": (ctypes.c_int, [pointer, number]),
        "set_heap_limit": (ctypes.c_int, [pointer, number]),
    }
    for name, (result, arguments) in declarations.items():
        function = getattr(library, f"pcre2_{name}_8")
        function.restype, function.argtypes = result, arguments
    return library


@cache
def _limits() -> int:
    library = pcre_library()
    context: int = library.pcre2_match_context_create_8(None)
    library.pcre2_set_match_limit_8(context, MATCH_LIMIT)
    library.pcre2_set_heap_limit_8(context, HEAP_KIBIBYTES)
    return context


def _message(library: ctypes.CDLL, code: int) -> str:
    text = ctypes.create_string_buffer(256)
    library.pcre2_get_error_message_8(code, text, len(text))
    return text.value.decode("ascii", "replace")
