"""Where a request for an address of record goes: its contacts as branches of the message.

Source: RFC 3261 section 16.5; RFC 3327 section 5.3; OpenSIPS manual, module registrar.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...sip.branch import Branch
from ...sip.location import Contact
from ...sip.message import Message
from ...values import encode
from .flags import LookupOptions

FOUND, NOT_FOUND, METHOD_NOT_TAKEN = 1, -1, -2


def wanted(contacts: Iterable[Contact], options: LookupOptions, method: str | None) -> tuple[list[Contact], int]:
    """The contacts that the options leave over, and the return code that goes with them."""
    found = list(contacts)
    if options.agent is not None:
        search = options.agent.search
        found = [contact for contact in found if search(encode(contact.user_agent))]
    if options.max_latency is not None:
        found = [contact for contact in found if contact.latency <= options.max_latency]
    if options.fastest_first:
        found.sort(key=lambda contact: contact.latency)  # those that were never pinged come first, as 0
    if not found:
        return [], NOT_FOUND
    if options.method_filtering and method is not None:
        found = [contact for contact in found if contact.takes(method)]
    return found, FOUND if found else METHOD_NOT_TAKEN


def branch_to(contact: Contact, attribute: str) -> Branch:
    """A contact as a destination; its attributes under the name `attribute`, unless that is empty."""
    return Branch(
        uri=contact.uri,
        destination=contact.destination,
        path=contact.path,
        q=contact.q,
        flags=set(contact.branch_flags),
        socket=contact.socket,
        attributes={attribute: contact.attributes or ""} if attribute else {},
    )


def send_to(message: Message, branches: list[Branch], options: LookupOptions) -> None:
    """Let a message go to these branches: the first takes the place of the Request-URI, the others are added."""
    if options.to_branches_only or not message.is_request:
        message.branches += branches
        return
    message.branch = branches[0]
    if not options.no_branches:
        message.branches += branches[1:]
