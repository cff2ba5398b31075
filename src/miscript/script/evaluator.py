"""`{s.eval}`: texts with variables that are known only while the script runs."""

from __future__ import annotations

from .binding import Binding, CannotBind
from .diagnostics import Diagnostics
from .operations import MAX_TEXT
from .runtime import CompiledText, Run, log
from .source import SourceFile, Span
from .variables import parse_template

_EVALUATED = SourceFile("{s.eval}", "")
NOWHERE = Span(_EVALUATED, 1, 1, 1, 1)


class Evaluator:
    """`{s.eval}`: texts that are known only while the script runs; the last 256 are kept."""

    def __init__(self, binding: Binding) -> None:
        self.binding = binding
        self._known: dict[str, CompiledText | None] = {}

    def __call__(self, run: Run, text: str) -> str | None:
        if text not in self._known:
            if len(self._known) >= 256:
                del self._known[next(iter(self._known))]
            self._known[text] = self._bind(text)
        fill = self._known[text]
        if fill is None:
            return None
        filled = fill(run)
        if len(filled) > MAX_TEXT:
            log.error("{s.eval} makes a text of more than %d bytes", MAX_TEXT)
            return None
        return filled

    def _bind(self, text: str) -> CompiledText | None:
        found = Diagnostics()
        template = parse_template(text, lambda start, end: NOWHERE, found)
        try:
            if not found.failed:
                return self.binding.template(template)
            reason = next(iter(found)).message
        except CannotBind as error:
            reason = str(error)
        log.error("{s.eval} of '%s': %s", text, reason)
        return None
