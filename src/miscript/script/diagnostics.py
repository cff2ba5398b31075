"""What is wrong with a script, as data.  `render` turns it into text, JSON, GitHub annotations or SARIF.

Codes: E1xx lexing, E2xx parsing, E3xx names, E4xx arguments, E5xx routes, W6xx warnings.  Each has a page in
`explain.py`, shown by `miscript check --explain CODE`.

Wording: one line that stands alone, names in single quotes, first what was found, then what was expected; the
remedy goes under `help`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .source import Span

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Note:
    """A second place that matters, for example where an unclosed brace was opened."""

    message: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake: its `code`, where it stands, what is wrong (`message`) and what to do (`help`)."""

    code: str
    message: str
    span: Span
    help: str | None = None
    notes: tuple[Note, ...] = ()

    @property
    def severity(self) -> Severity:
        return "warning" if self.code.startswith("W") else "error"

    def one_line(self) -> str:
        """`FILE:LINE:COLUMN: error[CODE]: message`, for logs."""
        return f"{self.span}: {self.severity}[{self.code}]: {self.message}"


MAX_DIAGNOSTICS = 500
"""More are not kept: a file that is no script at all has one for each of its words."""


class Diagnostics:
    """Collects what the stages find; the order of the source is restored when it is read."""

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []
        self.reported = 0
        """How many there were, also those beyond what is kept."""
        self.failed = False
        """Whether there is at least one error (warnings alone let a script run)."""

    def add(
        self, code: str, message: str, span: Span, *, help: str | None = None, notes: tuple[Note, ...] = ()
    ) -> None:
        self.reported += 1
        found = Diagnostic(code, message, span, help, notes)
        is_error = found.severity == "error"
        if len(self._found) < MAX_DIAGNOSTICS or (is_error and not self.failed):
            self._found.append(found)
        self.failed = self.failed or is_error

    def __iter__(self) -> Iterator[Diagnostic]:
        files = {name: n for n, name in enumerate(dict.fromkeys(d.span.file.name for d in self._found))}
        return iter(sorted(self._found, key=lambda d: (files[d.span.file.name], d.span.line, d.span.column, d.code)))
