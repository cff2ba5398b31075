"""Call-IDs as the callee sees them: the caller's one, made unreadable, behind a prefix by which it is known again.

Nothing is remembered: who has prefix and password finds the Call-ID of the caller.  This hides addresses from people,
it is no encryption.

Source: OpenSIPS manual, module topology_hiding (`th_callid_passwd`, `th_callid_prefix`, `th_callid_loop_protection`);
the form is that of OpenSIPS 4.1, so that several nodes can share calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import Final

from ...values import decode, encode
from .words import from_base64, to_base64

TAG_MARK: Final = "|"
"""Stands between a Call-ID and the From tag of its call."""


@dataclass(frozen=True, slots=True)
class CallIds:
    """Hides Call-IDs and shows them again.  With `with_tag` the From tag of the call is hidden with them."""

    prefix: str
    password: str
    with_tag: bool = False

    def hidden(self, call_id: str, from_tag: str) -> str:
        """The Call-ID that the callee gets."""
        text = f"{call_id}{TAG_MARK}{from_tag}" if self.with_tag else call_id
        return self.prefix + to_base64(self._mixed(encode(text)))

    def shown(self, call_id: str) -> tuple[str, str | None] | None:
        """The Call-ID that was hidden, and the From tag of its call where it has one; None when it is not ours."""
        if not call_id.startswith(self.prefix):
            return None
        data = from_base64(call_id[len(self.prefix) :])
        text = decode(self._mixed(data)) if data else ""
        if not text or any(sign <= " " or sign == "\x7f" for sign in text):
            return None
        if not self.with_tag:
            return text, None
        found, mark, tag = text.rpartition(TAG_MARK)
        return (found, tag) if mark and found else None

    def _mixed(self, data: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(data, cycle(encode(self.password)), strict=False))
