"""Script functions of `tm` about branches that come later, are looked up, or go to somebody else as well.

A transaction can be kept open for branches that are injected by routes which have nothing to do with it: the route of
a notification (module event_routing) knows its id.

Source: OpenSIPS manual, module tm (`t_wait_for_new_branches`, `t_inject_branches`, `t_replicate`, …).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ...exports import Constant, Writable, script_function
from ...location_service import location_service
from ...script.runtime import Run
from ...sip.branch import NO_Q, Branch
from ...sip.location import Contact
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.requests import whole_headers
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...values import Value
from .engine import Engine, context
from .relaying import ELSEWHERE, Relaying
from .transaction import ProxyTransaction

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

log = logging.getLogger("miscript.tm")

ANSWERED: Final = -2
NOT_INJECTED: Final = -3
"""Return codes of `t_inject_branches`."""

NO_TRANSACTION: Final = -2
"""Return code of `t_get_branch_idx_by_attr`."""

CANCEL, LAST = "cancel", "last"
_LETTERS: Final = {"c": CANCEL, "l": LAST}


class TmBranches(Base):
    """What scripts call."""

    engine: Engine
    relaying: Relaying

    # -- branches that come later -------------------------------------------------------------------------------

    @script_function(routes="request")
    def t_wait_for_new_branches(self, run: Run, branches: int | None = None) -> int:
        """Keep the transaction of an INVITE open when all its branches have failed, as others may be injected.

        It waits for `$T_fr_inv_timeout` seconds, until `branches` of them have come, a 2xx, or a reply of the script.
        """
        transaction = context(run).transaction
        if transaction is None or not transaction.is_invite or transaction.is_local:
            log.error("t_wait_for_new_branches: there is no transaction of an INVITE")
            return -1
        if branches is not None and branches < 0:
            log.error("t_wait_for_new_branches: %d is no number of branches", branches)
            return -1
        return 1 if self.relaying.wait_for_more(transaction, branches) else -1

    @script_function(routes="request failure reply branch")
    def t_wait_no_more_branches(self, run: Run) -> int:
        """End what t_wait_for_new_branches() has begun: the branches that are there decide."""
        transaction = context(run).transaction
        return 1 if transaction is not None and self._wait_no_more(transaction, 0) else -1

    def _wait_no_more(self, transaction: ProxyTransaction, coming: int) -> bool:
        """Wait for `coming` branches more and then for none."""
        waiting = transaction.waiting
        if waiting is None or waiting.is_final:
            return False
        waiting.enough = len(transaction.branches) + coming
        self.relaying.reconsider(transaction)
        return True

    @script_function(routes="request reply")
    async def t_inject_branches(self, run: Run, source: Constant[str], flags: Constant[str] | None = None) -> int:
        """Send the request of a transaction to more destinations while it is under way.

        `source`: `msg` (the Request-URI and the branches of the message) or `event` (the contact that an event of
        usrloc has told, in the AVPs of its notification route).  `flags`: `cancel` or `c` cancels the branches that
        are there, `l` waits for no more behind these.  The transaction is that of the route, or the one of the route
        that asked for the notification.  1, -1 there is none or nothing to inject, -2 it has its answer, -3 nothing
        could be sent.
        """
        transaction = self._injected_into(run)
        if transaction is None:
            log.error("t_inject_branches: there is no transaction")
            return -1
        if transaction.final_sent or transaction.ended:
            return ANSWERED
        destinations = self._destinations(run, source)
        if not destinations:
            log.error("t_inject_branches: '%s' has no branch", source)
            return -1
        wanted = _flags(flags)
        before = transaction.pending if CANCEL in wanted else []
        if LAST in wanted:
            self._wait_no_more(transaction, len(destinations))
        code = await self.relaying.fork(run, transaction, destinations)
        self.relaying.cancel(before, [ELSEWHERE])
        self.relaying.reconsider(transaction)
        return 1 if code > 0 else NOT_INJECTED

    def _injected_into(self, run: Run) -> ProxyTransaction | None:
        here = context(run)
        if here.transaction is not None or here.remembered is None:
            return here.transaction
        return self.engine.find_number(*here.remembered)

    def _destinations(self, run: Run, source: str) -> list[Branch]:
        if source.lower().startswith("event"):
            found = self._of_event(run)
            return [] if found is None else [found]
        if not source.lower().startswith(("msg", "message")):
            log.error("t_inject_branches: '%s' is no source; it is msg or event", source)
            return []
        message = run.message
        if not isinstance(message, Message):
            return []
        destinations, message.branches = message.branches, []
        if message.is_request:
            first = message.branch.copy()
            first.uri = message.uri
            destinations = [first, *destinations]
        return destinations

    def _of_event(self, run: Run) -> Branch | None:
        """The contact in the AVPs that a notification route has of an event of usrloc."""

        def told(name: str) -> Value:
            values = run.avps.get(name)
            return values[-1] if values else None

        uri, received, path, q = told("uri"), told("received"), told("path"), told("qval")
        if not isinstance(uri, str) or not uri:
            return None
        branch = Branch(uri, received if isinstance(received, str) and received else None)
        if isinstance(path, str) and path:
            branch.path, branch.destination = path, _first_hop(path)
        branch.q = q if isinstance(q, int) else NO_Q
        socket = told("socket")
        if isinstance(socket, str) and socket:
            branch.socket = self.engine.sip.socket_named(socket)
        contact = self._contact(told("domain"), told("aor"), uri)
        if contact is not None:
            branch.flags = set(contact.branch_flags)
        return branch

    def _contact(self, domain: Value, aor: Value, uri: str) -> Contact | None:
        """The contact itself: the event's mask does not tell the names of its branch flags."""
        location = location_service(self.services)
        table = next((t for t in location.tables() if t.name == domain), None) if location is not None else None
        record = table.record(aor) if table is not None and isinstance(aor, str) else None
        return next((contact for contact in record.contacts if contact.uri == uri), None) if record else None

    # -- branches that are there ----------------------------------------------------------------------------------

    @script_function(routes="failure reply branch")
    def t_get_branch_idx_by_attr(
        self,
        run: Run,
        attr: str,
        val_str: str | None = None,
        val_int: int | None = None,
        result_var: Writable | None = None,
        offset: int | None = None,
    ) -> int:
        """Find the first branch that has an attribute (`$tm.branch.attr`), with this value where one is given.

        The search begins with the branch `offset`; its number goes to `result_var`.  -1 there is none, -2 there is
        no transaction.
        """
        transaction = context(run).transaction
        if transaction is None:
            return NO_TRANSACTION
        wanted: Value = val_str if val_str is not None else val_int
        for branch in transaction.branches[max(0, offset or 0) :]:
            value = branch.where.attributes.get(attr)
            if value is not None and (wanted is None or (value == wanted and type(value) is type(wanted))):
                return 1 if result_var is None or result_var.set(run, branch.index) else -1
        return -1

    @script_function(routes="request")
    def t_add_hdrs(self, run: Run, sip_hdrs: str) -> int:
        """Give header fields to all requests that are sent for the transaction: branches, CANCELs, ACKs of ours."""
        transaction = context(run).transaction
        if transaction is None:
            return -1
        try:
            transaction.armed.headers = [whole_headers(sip_hdrs)]
        except SipSyntaxError as error:
            log.error("t_add_hdrs: %s", error)
            return -1
        return 1

    # -- the request goes to somebody else as well ------------------------------------------------------------------

    @script_function(routes="request failure")
    async def t_replicate(self, run: Run, uri: str, flags: str | None = None) -> int:
        """Send a copy of the request, as it is now, to a URI; what is answered interests nobody.

        Its Request-URI stays as it is.  A copy goes to the URI of each branch too.  The only one of `flags` is
        no-dns-failover.  The return codes are those of t_relay().
        """
        message = run.message
        if not isinstance(message, Message) or not message.is_request or message.method in ("ACK", "CANCEL"):
            return -1
        wanted = {flag.strip() for flag in (flags or "").split(",")} - {""}
        if not wanted <= {"no-dns-failover"}:
            log.error("t_replicate: '%s' is no flag; there is no-dns-failover", flags)
            return -1
        try:
            SipUri.parse(uri)
        except SipSyntaxError as error:
            log.error("t_replicate: '%s' is no URI: %s", uri, error)
            return -1
        copies = []
        for destination in (uri, *(branch.uri for branch in message.branches)):
            copy = message.branch.copy()
            copy.destination = destination
            copies.append(copy)
        message.branches = []
        transaction = self.engine.create_local(message.copy())
        transaction.is_copy = True
        transaction.armed.on_branch = context(run).armed.on_branch
        transaction.avps, transaction.flags = run.avps, run.flags
        code = await self.relaying.fork(run, transaction, copies, failover="no-dns-failover" not in wanted)
        if code <= 0:
            self.engine.forget(transaction)
        return code

    @script_function(routes="request")
    def t_anycast_replicate(self, run: Run) -> int:
        """Tell the other hosts of a cluster of a CANCEL or ACK; there is no cluster, so it is -1."""
        log.error("t_anycast_replicate: there is no cluster")
        return -1


def _flags(text: str | None) -> set[str]:
    """The flags of `t_inject_branches`: a word, or a letter for each."""
    if text is None:
        return set()
    if text.lower() in (CANCEL, LAST):
        return {text.lower()}
    for letter in text:
        if letter not in _LETTERS:
            log.error("t_inject_branches: '%s' is no flag; there are c and l", letter)
    return {_LETTERS[letter] for letter in text if letter in _LETTERS}


def _first_hop(path: str) -> str | None:
    try:
        return NameAddr.parse_at(path, 0)[0].uri
    except SipSyntaxError:
        return None
