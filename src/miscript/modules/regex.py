"""Module regex: matching with Perl-compatible regular expressions, one of the script or groups of them in a file.

A file has groups, `[0]`, `[1]` …, each with one expression a line; a text matches a group when it matches any of
them.  Lines that begin with a blank, a tab or `#` are left out.  Groups are counted in the order of the file, whatever
number stands in their brackets.  A file that cannot be read, or has an expression that cannot be compiled, stops the
start; while the host runs it is refused, and the groups of before stay in force.

Source: OpenSIPS manual, module regex; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from ..errors import ConfigurationError, MIError
from ..exports import Module, Writable, mi_command, parameter, script_function
from ..pcre import PcreError, PcreMatch, PcreOption, PcrePattern, compile_pcre, pcre_library
from ..script.runtime import Run
from ..script.signatures import TransformationSignature
from ..services import Services
from ..values import Value, decode, encode

log = logging.getLogger("miscript.regex")

ROUTES: Final = "request failure reply branch local startup timer event"
NO_MATCH: Final = -1
NO_GROUPS: Final = -2
BROKEN: Final = -4

MAX_FILE: Final = 16_000_000
"""Bytes of a file of groups."""

MAX_RESULT: Final = 65_536
"""Bytes that a substitution gives."""

_SKIPPED: Final = (b" ", b"\t", b"\r", b"\n", b"#")
_FLAGS: Final = {
    "i": PcreOption.CASELESS,
    "s": PcreOption.DOTALL,
    "m": PcreOption.MULTILINE,
    "x": PcreOption.EXTENDED,
    "g": PcreOption.NONE,
}
_CONTROLS: Final = {"n": b"\n", "r": b"\r", "t": b"\t"}
_CACHED: Final = 256


class GroupError(ValueError):
    """A file of groups that cannot be used; says where and why."""


def read_groups(data: bytes, options: PcreOption, most: int, longest: int) -> list[PcrePattern]:
    """The groups of a file.  `most` of them, each of at most `longest` bytes.  Raises GroupError."""
    groups: list[list[bytes]] = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line or line.startswith(_SKIPPED):
            continue
        if line.startswith(b"["):
            groups.append([])
            if len(groups) > most:
                raise GroupError(f"line {number}: there are more than {most} groups (max_groups)")
        elif not groups:
            raise GroupError(f"line {number}: expected '[0]' before the first expression, found '{decode(line)}'")
        else:
            groups[-1].append(line)
    return [_compiled(number, lines, options, longest) for number, lines in enumerate(groups)]


def _compiled(number: int, lines: list[bytes], options: PcreOption, longest: int) -> PcrePattern:
    text = b"(" + b"|".join(b"(%s)" % line for line in lines) + b")" if lines else b"^$"
    if len(text) > longest:
        raise GroupError(f"group {number} has {len(text)} bytes, at most {longest} are taken (group_max_size)")
    for line in lines:  # alone first: two broken lines can make one that is whole
        _checked(number, line, options)
    return _checked(number, text, options)


def _checked(number: int, text: bytes, options: PcreOption) -> PcrePattern:
    try:
        return PcrePattern(decode(text), options)
    except PcreError as error:
        raise GroupError(f"group {number}: {error}") from None


# -- {pcre.subst,/pattern/replacement/flags} ---------------------------------------------------------------------


class Substitution:
    """A compiled `/pattern/replacement/flags`.  Raises ValueError for a text that is none."""

    def __init__(self, text: str) -> None:
        pattern, replacement, flags = _parts(text)
        unknown = set(flags) - _FLAGS.keys()
        if unknown:
            raise ValueError(f"'{text}': there is no flag '{min(unknown)}'; there are i, s, m, x, g")
        options = PcreOption.NONE
        for flag in flags:
            options |= _FLAGS[flag]
        self.pattern = compile_pcre(pattern, options)
        self.pieces = _pieces(replacement)
        self.every = "g" in flags
        most = max((piece for piece in self.pieces if isinstance(piece, int)), default=0)
        if most > self.pattern.groups:
            raise ValueError(f"'{text}': there is no group {most}; the pattern has {self.pattern.groups}")

    def apply(self, text: str) -> str:
        """`text` with its first match, or every match, replaced.  Raises ValueError for a match of nothing."""
        data = encode(text)
        parts: list[bytes] = []
        size = at = 0
        for found in self.pattern.finditer(data):
            if found.start == found.end:
                raise ValueError(f"'{self.pattern.pattern}' matches nothing at {found.start}, which cannot be replaced")
            parts.append(data[at : found.start])
            parts += [piece if isinstance(piece, bytes) else found.group(piece) for piece in self.pieces]
            at = found.end
            size = sum(map(len, parts[-1 - len(self.pieces) :])) + size
            if size > MAX_RESULT:
                raise ValueError(f"the result has more than {MAX_RESULT} bytes")
            if not self.every:
                break
        return decode(b"".join(parts) + data[at:])


def _parts(text: str) -> tuple[str, str, str]:
    """Pattern, replacement and flags; the separator is the first character, behind a backslash it is none."""
    separator = re.escape(text[:1])
    matched = re.fullmatch(
        rf"{separator}((?:\\.|(?!{separator}).)+?){separator}((?:\\.|(?!{separator}).)*?){separator}([A-Za-z]*)",
        text,
        re.DOTALL,
    )
    if not separator or matched is None:
        raise ValueError(f"expected '/pattern/replacement/flags', found '{text}'")
    pattern, replacement, flags = matched.groups()
    return pattern.replace(f"\\{text[0]}", text[0]), replacement.replace(f"\\{text[0]}", text[0]), flags


def _pieces(replacement: str) -> list[bytes | int]:
    pieces: list[bytes | int] = []
    for text, escaped in re.findall(r"([^\\]+)|\\(.?)", replacement, re.DOTALL):
        if text:
            pieces.append(encode(text))
        elif escaped.isascii() and escaped.isdigit():
            pieces.append(int(escaped))
        else:
            pieces.append(_CONTROLS.get(escaped) or encode(escaped))
    return pieces


_substitution = lru_cache(_CACHED)(Substitution)


def pcre_subst(value: Value, expression: str) -> Value:
    """Replace what a PCRE expression matches; NULL when that cannot be."""
    if value is None or value == "":
        return None
    try:
        return _substitution(expression).apply(str(value))
    except ValueError as error:
        log.error("{pcre.subst}: %s", error)
        return None


# -- the module ----------------------------------------------------------------------------------------------------


class Regex(Module):
    """Perl-compatible regular expressions, alone or in groups."""

    name = "regex"

    file = parameter("", "A file of groups of expressions, for pcre_match_group.")
    max_groups = parameter(20, "Groups that the file may have.")
    group_max_size = parameter(8192, "Bytes that a group may have, with what joins its lines.")
    pcre_caseless = parameter(0, "1: upper and lower case are the same.")
    pcre_multiline = parameter(0, "1: `^` and `$` also stand for the ends of lines.")
    pcre_dotall = parameter(0, "1: `.` matches newlines too.")
    pcre_extended = parameter(0, "1: blanks and #-comments in expressions mean nothing.")

    transformations = (
        TransformationSignature(
            "pcre", "subst", ("string",), 1, "Replace what a PCRE expression matches.", function=pcre_subst
        ),
    )

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.options = PcreOption.NONE
        self.groups: Sequence[PcrePattern] = ()

    def init(self) -> None:
        pcre_library()
        for wanted, option in (
            (self.pcre_caseless, PcreOption.CASELESS),
            (self.pcre_multiline, PcreOption.MULTILINE),
            (self.pcre_dotall, PcreOption.DOTALL),
            (self.pcre_extended, PcreOption.EXTENDED),
        ):
            if wanted:
                self.options |= option
        for name in ("max_groups", "group_max_size"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} must be positive", parameter=name)
        if self.file:
            try:
                self.groups = self._load()
            except GroupError as error:
                raise ConfigurationError(f"'{self.file}': {error}", parameter="file") from error

    def _load(self) -> list[PcrePattern]:
        try:
            with Path(self.file).open("rb") as file:
                data = file.read(MAX_FILE + 1)
        except OSError as error:
            raise GroupError(f"it cannot be read: {error.strerror}") from error
        if len(data) > MAX_FILE:
            raise GroupError(f"it has more than {MAX_FILE} bytes")
        return read_groups(data, self.options, self.max_groups, self.group_max_size)

    @script_function(routes=ROUTES)
    def pcre_match(self, run: Run, string: str, pcre_regex: str, match: Writable | None = None) -> int:
        """Whether a text matches an expression: 1 or -1, or -4 when the expression cannot be used.

        `match` takes the part that matched, and becomes NULL when nothing does.
        """
        code, found = NO_MATCH, None
        try:
            pattern = compile_pcre(pcre_regex, self.options)
        except PcreError as error:
            log.error("pcre_match: %s", error)
            code = BROKEN
        else:
            found = _searched("pcre_match", pattern, string)
        if match is not None:
            match.set(run, None if found is None else decode(found.group()))
        return code if found is None else 1

    @script_function(routes=ROUTES)
    def pcre_match_group(self, run: Run, string: str, group: int = 0) -> int:
        """Whether a text matches a group of the file, the first when none is given: 1 or -1.

        -2 when the script sets no `file`, -4 when the file has no such group.
        """
        if not self.file:
            log.error("pcre_match_group: the parameter 'file' is not set")
            return NO_GROUPS
        if group < 0:
            return NO_MATCH
        if group >= len(self.groups):
            log.error("pcre_match_group: there is no group %d, there are %d", group, len(self.groups))
            return BROKEN
        return NO_MATCH if _searched("pcre_match_group", self.groups[group], string) is None else 1

    @mi_command("reload", "", aliases=["regex_reload"])
    async def mi_reload(self) -> str:
        """reads the file of groups again; when it cannot be used, the groups of before stay"""
        if not self.file:
            raise MIError(403, "Group matching not enabled")
        try:
            self.groups = await asyncio.to_thread(self._load)
        except GroupError as error:
            log.error("'%s' is not loaded: %s", self.file, error)
            raise MIError(500, "Internal error", str(error)) from error
        return "OK"

    @mi_command("match", "string pcre_regex", aliases=["regex_match"], read_only=True)
    def mi_match(self, string: str, pcre_regex: str) -> str:
        """tells whether a text matches an expression"""
        try:
            pattern = compile_pcre(pcre_regex, self.options)
        except PcreError as error:
            log.error("regex:match: %s", error)
            raise MIError(500, "Error pcre_re compilation", str(error)) from error
        return _told("regex:match", pattern, string)

    @mi_command("match_group", "string group", aliases=["regex_match_group"], read_only=True)
    def mi_match_group(self, string: str, group: int) -> str:
        """tells whether a text matches a group of the file"""
        if group < 0 or (self.file and group >= len(self.groups)):
            raise MIError(500, "Error invalid pcre index")
        if not self.file:
            raise MIError(500, "Error group matching is disabled")
        return _told("regex:match_group", self.groups[group], string)


def _searched(what: str, pattern: PcrePattern, text: str) -> PcreMatch | None:
    """The first match; a match that takes too many steps is none."""
    try:
        return pattern.search(encode(text))
    except PcreError as error:
        log.error("%s: %s", what, error)
        return None


def _told(what: str, pattern: PcrePattern, text: str) -> str:
    return "Not Match" if _searched(what, pattern, text) is None else "Match"
