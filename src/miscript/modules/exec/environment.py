"""What a program is told of the message that is dealt with: variables of its environment.

`SIP_HF_NAME` has the values of the header fields of one name, with commas between; compact names are written out, and
what cannot stand in the name of a variable is `_`.  `SIP_TID` is the same for an INVITE, its CANCEL and ACK and what
comes again; `SIP_DID` is the tag of To.  `SIP_SRCIP`, `SIP_ORURI`, `SIP_RURI`, `SIP_USER` and `SIP_OUSER` are the
source and the request URIs.

Source: OpenSIPS manual, module exec, "Overview".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ...sip.message import Message
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...values import Value, text_of

MAX_VALUE: Final = 65_536
"""Bytes of one variable."""

MAX_VALUES: Final = 1000
_NO_NAME = re.compile(r"[^A-Z0-9_]")


def numbered(values: Sequence[Value]) -> dict[str, str]:
    """`OSIPS_EXEC_0` …: the values of an AVP, the one that was added last first."""
    return {f"OSIPS_EXEC_{n}": _clean(text_of(value)) for n, value in enumerate(values[:MAX_VALUES])}


def message_environment(message: Message) -> dict[str, str]:
    """The variables about a message."""
    found: dict[str, list[str]] = {}
    for field in message.fields:
        found.setdefault(f"SIP_HF_{_NO_NAME.sub('_', field.key.upper())}", []).append(field.value)
    environment = {name: _clean(",".join(values)) for name, values in found.items()}
    via, to = message.first_via, message.to
    environment["SIP_TID"] = _clean((via.branch if via is not None else None) or "")
    environment["SIP_DID"] = _clean((to.tag if to is not None else None) or "")
    environment["SIP_SRCIP"] = message.source[0]
    if message.uri is not None:
        original = message.original_uri or message.uri
        environment |= {
            "SIP_ORURI": _clean(original),
            "SIP_RURI": _clean(message.uri),
            "SIP_USER": _clean(_user(message.uri)),
            "SIP_OUSER": _clean(_user(original)),
        }
    return environment


def _user(uri: str) -> str:
    try:
        return SipUri.parse(uri).user or ""
    except SipSyntaxError:
        return ""


def _clean(text: str) -> str:
    """A text as an environment can hold it."""
    return text.replace("\0", "")[:MAX_VALUE]
