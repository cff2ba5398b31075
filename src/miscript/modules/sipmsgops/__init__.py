"""Questions about a SIP message, and changes of its header fields, its body and its media.

Without a message every function fails with -1.  Functions that change what is sent do it when it is sent: see
`header_fields`, `bodies`, `media` and `request_uri`, one mixin a subject.  Source: OpenSIPS manual, module sipmsgops;
RFC 3261.
"""

from __future__ import annotations

from ...exports import Module
from .bodies import Bodies
from .header_fields import HeaderFields
from .media import Media
from .questions import Questions
from .request_uri import RequestUri


class SipMsgOps(Questions, HeaderFields, Bodies, Media, RequestUri, Module):
    """Questions about a SIP message, and changes of its header fields, its body and its media."""

    name = "sipmsgops"
