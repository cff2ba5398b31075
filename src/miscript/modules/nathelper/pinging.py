"""Keeping the ways to contacts behind NATs open: something is sent to each of them now and then.

A ping is four bytes over UDP, or a request that is answered: who does not answer may lose his registration, and how
long he takes can be measured.

Source: OpenSIPS manual, module nathelper, "NAT pinging types".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ...blacklist_service import blacklist_service
from ...deadlines import Deadline, Deadlines
from ...location_service import LocationService
from ...services import Services
from ...sip.location import Contact, LocationTable
from ...sip.message import Message
from ...sip.requests import make_request, new_token, via_line
from ...sip.sockets import ListeningSocket, Target, ip_address
from ...sip.syntax import SipSyntaxError
from ...sip.via import COOKIE
from ...sip_service import sip_service

log = logging.getLogger("miscript.nathelper")

EMPTY: Final = bytes(4)
"""What keeps a NAT open, and nobody takes for SIP."""

ANSWER_SECONDS: Final = 32.0
"""Seconds in which the reply to a ping is taken whose sender nobody wants to remove."""


AT_A_TIME: Final = 100
"""Contacts that are pinged before other work of the host gets its turn."""

MAX_LOOKUPS: Final = 100
"""Contacts whose names are looked up at a time: those are chosen by who registers, and so is how long that takes."""


@dataclass(frozen=True, slots=True)
class PingOptions:
    """What the script wants.  `from_uri` is "" where no requests are sent; flags are names, "" for none.

    `socket` pings contacts whose own one is not there, `udp_socket` sends all pings of four bytes.
    """

    interval: int
    partitions: int = 1
    nated_only: bool = False
    over_streams: bool = False
    socket: ListeningSocket | None = None
    udp_socket: ListeningSocket | None = None
    from_uri: str = ""
    method: str = "OPTIONS"
    request_flag: str = ""
    remove_flag: str = ""
    latency_flag: str = ""
    ignored: frozenset[int] = frozenset()
    threshold: int = 3
    max_lost: int = 3


@dataclass(slots=True)
class Asked:
    """A request that waits for its reply."""

    table: LocationTable
    aor: str
    id: int
    sent: float
    deadline: Deadline


class Pinger:
    """Sends pings to the contacts of all tables, a part of them in each turn."""

    def __init__(self, services: Services, location: LocationService, options: PingOptions) -> None:
        self.services = services
        self.location = location
        self.options = options
        self.enabled = True
        self.deadlines = Deadlines(services.clock)
        self._sip = sip_service(services)
        self._asked: dict[str, Asked] = {}
        self._lost: dict[int, int] = {}
        self._turn = 0
        self._blacklists = blacklist_service(services)
        self._lookups: set[int] = set()
        """The contacts whose names are looked up now."""

    def start(self) -> None:
        options = self.options
        self._sip.hooks.replies.append(self._reply)
        self.services.tasks.spawn(self.deadlines.run(), "the times of pings")
        self.services.tasks.every(options.interval / options.partitions, self._ping_some, "NAT pings")

    # -- sending ----------------------------------------------------------------------------------------------------

    async def _ping_some(self) -> None:
        """One turn: the contacts of one partition."""
        self._turn = (self._turn + 1) % self.options.partitions
        if not self.enabled:
            return
        for number, (table, aor, contact) in enumerate(list(self._chosen()), 1):
            hop = contact.next_hop
            if hop is None or ip_address(hop.host) is not None:
                await self._ping(table, aor, contact)
            elif contact.id not in self._lookups and len(self._lookups) < MAX_LOOKUPS:
                self._lookups.add(contact.id)
                self.services.tasks.spawn(self._ping_named(table, aor, contact), "a NAT ping to a name")
            if not number % AT_A_TIME:
                await asyncio.sleep(0)

    async def _ping_named(self, table: LocationTable, aor: str, contact: Contact) -> None:
        """Ping a contact at a name: how long that is looked up holds up no other one."""
        try:
            await self._ping(table, aor, contact)
        finally:
            self._lookups.discard(contact.id)

    def _chosen(self) -> Iterator[tuple[LocationTable, str, Contact]]:
        now, options, nated = self.location.now(), self.options, self.location.nat_bflag
        for table in self.location.tables():
            for record in table:
                for contact in record.valid(now):
                    if contact.id % options.partitions != self._turn:
                        continue
                    if not options.nated_only or (nated and nated in contact.branch_flags):
                        yield table, record.aor, contact

    async def _ping(self, table: LocationTable, aor: str, contact: Contact) -> None:
        hop = contact.next_hop
        targets = await self._sip.resolve(hop) if hop is not None else ()
        target = targets[0] if targets else None
        socket = None if target is None else self._socket(contact, target)
        if target is None or socket is None:
            log.info("a contact of '%s' cannot be pinged: '%s' leads nowhere", aor, contact.destination or contact.uri)
            return
        if target.reliable and not self.options.over_streams:
            return
        if self.options.from_uri and self.options.request_flag in contact.branch_flags:
            self._ask(table, aor, contact, target, socket)
        elif not target.reliable and not self._is_forbidden(target, EMPTY):
            self._sip.send(EMPTY, target, self.options.udp_socket or socket)

    def _is_forbidden(self, target: Target, data: bytes) -> bool:
        """Whether a blacklist of the script that counts by default wants nothing sent there, whoever registers it."""
        lists = self._blacklists
        chosen = lists.without_learnt(lists.chosen())
        return bool(chosen) and lists.forbids(chosen, target, data)

    def _socket(self, contact: Contact, target: Target) -> ListeningSocket | None:
        for socket in (contact.socket, self.options.socket):
            if socket is not None and socket in self._sip.sockets and socket.transport == target.transport:
                return socket
        return self._sip.socket_for(target)

    def _ask(self, table: LocationTable, aor: str, contact: Contact, target: Target, socket: ListeningSocket) -> None:
        """Send a request; a connection that is gone is not opened again for it."""
        options, branch = self.options, f"{COOKIE}{new_token()}"
        try:
            data = make_request(
                options.method,
                contact.uri,
                via=via_line(socket, branch),
                from_=f"<{options.from_uri}>;tag={new_token()}",
                to=f"<{contact.uri}>",
                call_id=f"{new_token()}@{socket.host}",
                headers=f"Route: {contact.path}\r\n" if contact.path else "",
            )
        except SipSyntaxError as error:
            log.error("a contact of '%s' cannot be pinged: %s", aor, error)
            return
        if self._is_forbidden(target, data):
            return
        if not self._sip.send(data, target, socket):
            log.info("a contact of '%s' cannot be pinged: %s is not reached", aor, target)
        removable = self._is_removable(contact)
        seconds = options.threshold if removable else ANSWER_SECONDS
        deadline = self.deadlines.after(seconds, lambda: self._unanswered(branch))
        self._asked[branch] = Asked(table, aor, contact.id, self.services.clock.monotonic(), deadline)

    def _is_removable(self, contact: Contact) -> bool:
        return bool(self.options.remove_flag) and self.options.remove_flag in contact.branch_flags

    # -- replies ------------------------------------------------------------------------------------------------------

    async def _reply(self, reply: Message) -> bool:
        """Take a reply to one of our requests."""
        via = reply.first_via
        branch = "" if via is None else via.branch or ""
        asked = self._asked.get(branch)
        if asked is None or reply.status is None:
            return False
        if reply.status < 200 or reply.status in self.options.ignored:
            return True
        del self._asked[branch]
        asked.deadline.cancel()
        self._lost.pop(asked.id, None)
        contact = _with_id(asked)
        if contact is not None and self.options.latency_flag in contact.branch_flags:
            microseconds = round((self.services.clock.monotonic() - asked.sent) * 1_000_000)
            self.location.measured(asked.table, asked.aor, contact, microseconds)
        return True

    def _unanswered(self, branch: str) -> None:
        asked = self._asked.pop(branch, None)
        contact = None if asked is None else _with_id(asked)
        if asked is None or contact is None:
            self._lost.pop(0 if asked is None else asked.id, None)
            return
        if not self._is_removable(contact):
            return
        lost = self._lost.get(asked.id, 0) + 1
        if lost < self.options.max_lost:
            self._lost[asked.id] = lost
            return
        self._lost.pop(asked.id, None)
        log.info("a contact of '%s' did not answer %d pings and is removed: %s", asked.aor, lost, contact.uri)
        asked.table.remove(asked.aor, contact)


def _with_id(asked: Asked) -> Contact | None:
    """The contact that was asked, as it is now; None when it is gone."""
    record = asked.table.record(asked.aor)
    return None if record is None else next((c for c in record.contacts if c.id == asked.id), None)
