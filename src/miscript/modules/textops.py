"""Searching in the text of a SIP message.

Patterns are looked for in the message as it came, also when the script has changed it.  The functions that change
the text are not available yet.  Source: OpenSIPS manual, module textops.
"""

from __future__ import annotations

from ..exports import Module, Pattern, script_function
from ..script.runtime import Run
from ..sip.message import Message

WITH_MESSAGE = "request failure reply branch local"


class TextOps(Module):
    """Looks for patterns in messages."""

    name = "textops"

    @script_function(routes=WITH_MESSAGE)
    def search(self, run: Run, pattern: Pattern) -> int:
        """Whether the message, from its first line to the end of its body, holds the pattern."""
        message = run.message
        return 1 if isinstance(message, Message) and pattern.search(message.data) else -1

    @script_function(routes=WITH_MESSAGE)
    def search_body(self, run: Run, pattern: Pattern) -> int:
        """Whether the body holds the pattern."""
        message = run.message
        return 1 if isinstance(message, Message) and pattern.search(message.body) else -1
