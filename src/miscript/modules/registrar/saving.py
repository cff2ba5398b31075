"""What a registration changes: planned as a whole first, so that it is done altogether or not at all.

Source: RFC 3261 section 10.3, steps 6 to 8.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from ...sip.location import Contact, LocationTable, Matching, Record
from ...sip.registration import RegistrationRefused, Wish, bad_request

MOST_CONTACTS: Final = 1000
"""Contacts of one AOR where the script sets no limit."""

Step: TypeAlias = tuple[Contact | None, Contact | None]
"""The contact that is bound now, and the one in its place: None and one, one and None, or both."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What `save()` goes by, beside the request.

    `template` has what all contacts of the request share.  `max_contacts` is 0 without a limit; with `force` the
    oldest ones make room.  A CSeq that is known, within `cseq_delay` seconds, is a retransmission, unless
    `duplicate_cseq` lets it change a contact again.  `deviation` is the most seconds by which a lifetime is varied.
    """

    template: Contact
    matching: Matching
    max_contacts: int = 0
    force: bool = False
    duplicate_cseq: bool = True
    cseq_delay: int = 20
    deviation: int = 0


def plan(record: Record | None, wishes: Iterable[Wish], policy: Policy, now: float) -> list[Step]:
    """The steps that fulfil the wishes.  Raises `RegistrationRefused`; nothing has changed then."""
    steps: list[Step] = []
    for wish in {wish.uri: wish for wish in wishes}.values():
        old = None if record is None else record.find(wish.uri, policy.template.call_id, policy.matching)
        if old is not None and _is_old(old, policy):
            if policy.template.cseq == old.cseq and now - old.modified < policy.cseq_delay:
                continue
            raise bad_request("Invalid CSeq number")
        if wish.seconds:
            steps.append((old, _contact(wish, policy, now)))
        elif old is not None:
            steps.append((old, None))
    return steps + _making_room(record, steps, policy, now)


def _is_old(bound: Contact, policy: Policy) -> bool:
    new = policy.template
    if bound.call_id != new.call_id:
        return False
    return new.cseq < bound.cseq or (new.cseq == bound.cseq and not policy.duplicate_cseq)


def _contact(wish: Wish, policy: Policy, now: float) -> Contact:
    seconds = wish.seconds
    if policy.deviation:
        seconds = max(1, seconds + random.randint(-policy.deviation, policy.deviation))
    return replace(
        policy.template,
        uri=wish.uri,
        expires=int(now) + seconds,
        q=wish.q,
        methods=wish.methods,
        instance=wish.instance,
        modified=now,
    )


def _making_room(record: Record | None, steps: list[Step], policy: Policy, now: float) -> list[Step]:
    """The contacts that have to go so that no limit is passed, the oldest first."""
    new = sum(1 for old, _ in steps if old is None or not old.is_valid(now))
    gone = sum(1 for old, wanted in steps if wanted is None and old is not None and old.is_valid(now))
    bound = [] if record is None else record.valid(now)
    too_many = len(bound) + new - gone - (policy.max_contacts or MOST_CONTACTS)
    if new == 0 or too_many <= 0:
        return []
    touched = {old.id for old, _ in steps if old is not None}
    others = sorted((c for c in bound if c.id not in touched), key=lambda contact: contact.modified)
    if not policy.force or len(others) < too_many:
        raise RegistrationRefused(503, "Service Unavailable", "Too many registered contacts")
    return [(contact, None) for contact in others[:too_many]]


def carry_out(table: LocationTable, aor: str, steps: Iterable[Step]) -> list[Contact]:
    """Do what was planned; gives the contacts that are bound or changed now."""
    done: list[Contact] = []
    leaving: list[Contact] = []
    for old, new in steps:
        match old, new:
            case None, Contact():
                done.append(table.insert(aor, new))
            case Contact(), Contact():
                done.append(table.update(aor, old, new))
            case Contact(), None:
                leaving.append(old)
    for contact in leaving:  # last, so that the AOR does not go and come again
        table.remove(aor, contact)
    return done
