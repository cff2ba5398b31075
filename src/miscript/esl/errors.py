"""What goes wrong with the event socket's protocol."""

from __future__ import annotations

from ..errors import MiscriptError


class EslError(MiscriptError):
    """The other end sent what the protocol has not, or we were asked to send that."""
