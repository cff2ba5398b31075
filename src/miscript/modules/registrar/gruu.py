"""GRUUs (RFC 5627): URIs that reach one phone of an address of record from anywhere.

The public one is the address with the phone's instance as its `gr` parameter.  A temporary one hides both: its user is
what `Sealing` makes of them, so that nobody else can read or make one.  It is good for as long as the phone registers
with the Call-ID that it had then.

Source: RFC 5627 sections 5.1, 5.3 and 6.1; OpenSIPS manual, module registrar, "GRUU Support".
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from ...sip.location import Contact
from ...sip.registration import AorRules, RegistrationRefused, unescaped
from ...sip.sealing import Sealing
from ...sip.sockets import ListeningSocket
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...values import decode, encode

TEMPORARY: Final = "tgruu."
"""What the user of a temporary GRUU begins with."""

MAX_USER: Final = 4096
"""Characters of the longest user of a temporary GRUU."""

_INSTANCE = re.compile(r"<([A-Za-z0-9\-_.!~*'()%\[\]/:&+$]+)>")
"""An instance that can stand in a URI as it is."""


class Phone(NamedTuple):
    """Who a GRUU means; `call_id` is that of its registrations, None in a public one."""

    aor: str | None
    instance: str
    call_id: str | None = None

    def chosen(self, contacts: Iterable[Contact]) -> list[Contact]:
        """The contact of the phone that was registered last; none when it is not there."""
        own = [
            contact
            for contact in contacts
            if contact.instance == self.instance and self.call_id in (None, contact.call_id)
        ]
        return [max(own, key=lambda contact: contact.modified)] if own else []


@dataclass(frozen=True, slots=True)
class Gruus:
    """Makes and reads GRUUs."""

    sealing: Sealing

    def parameters(self, contact: Contact, aor: str, address: SipUri, socket: ListeningSocket, now: float) -> str:
        """The parameters that tell a phone its GRUUs; "" for a contact whose instance makes none.

        `address` is the URI that was registered, `aor` the key under which it is kept, `socket` where a temporary
        one leads to.
        """
        found = None if contact.instance is None else _INSTANCE.fullmatch(contact.instance)
        if found is None:
            return ""
        user = f"{address.user}@" if address.user else ""
        public = f"{address.scheme}:{user}{address.host};gr={found[1]}"
        text = json.dumps((f"{now:.6f}", aor, contact.instance, contact.call_id), ensure_ascii=False)
        token = base64.urlsafe_b64encode(self.sealing.sealed(encode(text))).decode().rstrip("=")
        temporary = f"{address.scheme}:{TEMPORARY}{token}@{socket.host}:{socket.told_port};gr"
        return f';pub-gruu="{public}";temp-gruu="{temporary}";+sip.instance="{contact.instance}"'

    def phone(self, text: str) -> Phone | None:
        """The phone that a URI means; None for one that is no GRUU.

        A temporary one that is none of ours means a phone that nobody has.
        """
        try:
            uri = SipUri.parse(text)
            instance = uri.parameters.get("gr")
        except SipSyntaxError:
            return None
        if instance:
            return Phone(None, f"<{unescaped(instance)}>")
        if instance is None or not (uri.user or "").startswith(TEMPORARY):
            return None
        return self._opened((uri.user or "")[len(TEMPORARY) :]) or Phone("", "")

    def _opened(self, token: str) -> Phone | None:
        if len(token) > MAX_USER:
            return None
        try:
            sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            return None
        data = self.sealing.opened(sealed)
        return None if data is None else Phone(*json.loads(decode(data))[1:])

    def check(self, uris: Iterable[str], aor: str, rules: AorRules) -> None:
        """Raise `RegistrationRefused` when a contact of an AOR is a GRUU of its own: it would lead back to itself."""
        for uri in uris:
            phone = self.phone(uri)
            if phone is not None and aor == (_aor(uri, rules) if phone.aor is None else phone.aor):
                raise RegistrationRefused(403, "Forbidden", "Contact is a GRUU")


def _aor(uri: str, rules: AorRules) -> str | None:
    try:
        return rules.aor_of(uri)
    except (SipSyntaxError, ValueError):
        return None
