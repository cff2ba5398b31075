"""SIP messages and their parts, without sockets and clocks (RFC 3261).

`Message` is a request or response as bytes, read as far as somebody asks; `SipUri`, `NameAddr`, `Via` and
`Parameters` are the values inside.  What is not right raises `SipSyntaxError` with its position.
"""

from .branch import Branch
from .message import Limits, Message, dummy_message
from .name_addr import NameAddr
from .parameters import Parameter, Parameters
from .syntax import SipSyntaxError
from .uri import SipUri
from .via import Via

__all__ = [
    "Branch",
    "Limits",
    "Message",
    "NameAddr",
    "Parameter",
    "Parameters",
    "SipSyntaxError",
    "SipUri",
    "Via",
    "dummy_message",
]
