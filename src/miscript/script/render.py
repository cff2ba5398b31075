"""Diagnostics as text: for people, for editors, for machines.

`render` takes diagnostics in the order in which they are to appear and one of the names in `FORMATS`:

- `full`: message, source line, caret and remedy, with a closing count; the only format that may have colours
- `concise`: one line each, `FILE:LINE:COLUMN: error[CODE]: message`
- `json`: a list of objects, a list even when there is nothing to tell
- `github`: workflow commands, which GitHub shows as annotations in a pull request
- `sarif`: SARIF 2.1.0, for code scanning

The text ends with a newline unless it is empty.  Columns count characters from 1 in every format, and an end
column is one past the last character.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias, get_args

from .diagnostics import Diagnostic, Severity
from .excerpt import excerpt, last_shown_line, safe
from .source import Span

Format: TypeAlias = Literal["full", "concise", "json", "github", "sarif"]
FORMATS: tuple[Format, ...] = get_args(Format)

_BOLD, _RED, _YELLOW, _BLUE, _CYAN = "1", "1;31", "1;33", "1;34", "1;36"
_COLOUR: dict[Severity, str] = {"error": _RED, "warning": _YELLOW}


def render(diagnostics: Iterable[Diagnostic], format: Format = "full", *, color: bool = False) -> str:
    """All of `diagnostics` in `format`; `color` adds ANSI colours to `full`.

    Raises ValueError for a format that is not one of `FORMATS`.
    """
    found = tuple(diagnostics)
    match format:
        case "full":
            return _full(found, color)
        case "concise":
            return "".join(f"{safe(diagnostic.one_line())}\n" for diagnostic in found)
        case "json":
            return json.dumps([_json_object(diagnostic) for diagnostic in found], indent=2) + "\n"
        case "github":
            return "".join(f"{_github_command(diagnostic)}\n" for diagnostic in found)
        case "sarif":
            from .sarif import sarif_log  # brings all explanations along

            return json.dumps(sarif_log(found), indent=2) + "\n"
        case _:
            raise ValueError(f"unknown format {format!r}, known are {', '.join(FORMATS)}")


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """`2 errors, 1 warning`; `no errors` when there is nothing."""
    counts = Counter(diagnostic.severity for diagnostic in diagnostics)
    parts = [f"{count} {severity}{'s' * (count != 1)}" for severity in _COLOUR if (count := counts[severity])]
    return ", ".join(parts) or "no errors"


# -- full -----------------------------------------------------------------------------------------------


def _full(found: Sequence[Diagnostic], color: bool) -> str:
    if not found:
        return ""
    return "\n".join(["\n".join([*_block(diagnostic, color), ""]) for diagnostic in found] + [summary(found) + "\n"])


def _block(diagnostic: Diagnostic, color: bool) -> list[str]:
    """The lines of one diagnostic: its own place, what to do, then the other places that matter."""
    placed = [(note.message, note.span) for note in diagnostic.notes if note.span is not None]
    gutter = len(str(max(map(last_shown_line, [diagnostic.span, *(span for _, span in placed)]))))
    severity, colour = diagnostic.severity, _COLOUR[diagnostic.severity]

    head = _painter(colour, color)(f"{severity}[{diagnostic.code}]")
    lines = [f"{head}{_painter(_BOLD, color)(f': {safe(diagnostic.message)}')}"]
    lines += _place(diagnostic.span, "^", gutter, colour, color)
    for note in diagnostic.notes:
        if note.span is None:
            lines += _remark("note", note.message, gutter, color)
    if diagnostic.help:
        lines += _remark("help", diagnostic.help, gutter, color)
    for message, span in placed:
        lines.append(f"{_painter(_CYAN, color)('note')}: {safe(message)}")
        lines += _place(span, "-", gutter, _CYAN, color)
    return lines


def _place(span: Span, mark: str, gutter: int, colour: str, color: bool) -> list[str]:
    frame = _painter(_BLUE, color)
    arrow = f"{' ' * gutter}{frame('-->')} {safe(str(span))}"
    return [arrow, *excerpt(span, mark, gutter, frame, _painter(colour, color))]


def _remark(word: str, text: str, gutter: int, color: bool) -> list[str]:
    """`= help: text`; further lines of the text stand below its first word."""
    first, *others = text.splitlines() or [""]
    lead = f"{' ' * gutter} {_painter(_BLUE, color)('=')} {_painter(_CYAN, color)(word)}: "
    return [lead + safe(first), *(f"{' ' * (gutter + len(word) + 5)}{safe(line)}" for line in others)]


def _painter(colour: str, color: bool) -> Callable[[str], str]:
    return (lambda text: f"\x1b[{colour}m{text}\x1b[0m") if color else str


# -- for machines ---------------------------------------------------------------------------------------


def _json_object(diagnostic: Diagnostic) -> dict[str, str | int | None]:
    span = diagnostic.span
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": safe(diagnostic.message),
        "help": _safe_lines(diagnostic.help) if diagnostic.help else None,
        "file": safe(span.file.name),
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }


def _github_command(diagnostic: Diagnostic) -> str:
    """`::error file=...::message`; GitHub takes columns only for a stretch within one line."""
    span = diagnostic.span
    properties: dict[str, str | int] = {"file": safe(span.file.name), "line": span.line}
    if span.line == span.end_line:
        properties |= {"col": span.column, "endLine": span.end_line, "endColumn": span.end_column}
    else:
        properties |= {"endLine": span.end_line}
    properties["title"] = f"miscript {diagnostic.code}"
    written = ",".join(f"{name}={_github_property(str(value))}" for name, value in properties.items())
    text = safe(diagnostic.message) + (f"\nhelp: {_safe_lines(diagnostic.help)}" if diagnostic.help else "")
    return f"::{diagnostic.severity} {written}::{_github_data(text)}"


def _github_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_data(text).replace(":", "%3A").replace(",", "%2C")


def _safe_lines(text: str) -> str:
    return "\n".join(map(safe, text.splitlines()))
