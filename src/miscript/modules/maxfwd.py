"""Module `maxfwd`: how many hops a request may still take.

Source: OpenSIPS manual, module maxfwd; RFC 3261 section 20.22.
"""

from __future__ import annotations

from ..errors import ConfigurationError
from ..exports import Module, parameter, script_function
from ..script.runtime import Run
from ..sip import Message

NOT_FOUND = -2
BROKEN = -2


class Maxfwd(Module):
    """Count Max-Forwards down."""

    max_limit = parameter(256, "The highest value that is passed on.")

    def init(self) -> None:
        if not 1 <= self.max_limit <= 256:
            raise ConfigurationError(
                f"max_limit is {self.max_limit}, expected a number from 1 to 256", parameter="max_limit"
            )

    @script_function(routes="request")
    def mf_process_maxfwd_header(self, run: Run, max_value: int) -> int:
        """Take one from Max-Forwards, or add it with `max_value`.

        Returns 2 added, 1 counted down, -1 it was 0, -2 it is no number.
        """
        message = run.message
        if message is None or not 1 <= max_value <= 256:
            return BROKEN
        field = message.field("Max-Forwards")
        if field is None:
            message.append_hf(f"Max-Forwards: {max_value}")
            run.data["maxfwd"] = max_value
            return 2
        hops = _number(field.value)
        if hops is None:
            return BROKEN
        if hops == 0:
            run.data["maxfwd"] = 0
            return -1
        left = min(hops - 1, self.max_limit)
        message.replace_hf(field, str(left))
        run.data["maxfwd"] = left
        return 1

    @script_function(routes="request failure branch")
    def is_maxfwd_lt(self, run: Run, max_value: int) -> int:
        """Whether Max-Forwards, as it is sent on, is below `max_value`.

        Returns 1 or -1, -2 when there is none, -3 when it is no number.
        """
        hops = run.data.get("maxfwd")
        if hops is None and run.message is not None:
            text = _written(run.message)
            if text is None:
                return NOT_FOUND
            hops = _number(text)
            if hops is None:
                return -3
        return NOT_FOUND if hops is None else 1 if hops < max_value else -1


def _written(message: Message) -> str | None:
    field = message.field("Max-Forwards")
    return None if field is None else message.written_value(field)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else None
