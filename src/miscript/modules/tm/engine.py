"""The table of transactions: made, found, answered, timed and forgotten.

Everything here is synchronous: state changes between two turns of the event loop.  `relaying` sends requests on,
`answers` deals with what comes back, `requests` sends requests of our own.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from ...deadlines import FOREVER, Deadlines
from ...script.runtime import Run
from ...services import Counter, Services
from ...sip.message import Message
from ...sip.replies import make_reply, reply_target
from ...sip.requests import new_token
from ...sip.syntax import SipSyntaxError
from ...sip.transactions import (
    Do,
    Event,
    Key,
    State,
    Timers,
    answered_key,
    cancelled_key,
    client_key,
    event_of_status,
    server,
    server_key,
)
from ...sip.via import COOKIE
from ...sip_service import SipService
from ...transaction_service import Happening, Moment, Watcher
from .answered_invites import AnsweredInvites
from .transaction import REQUEST_TIMEOUT, Armed, ClientBranch, ProxyTransaction, Timed

log = logging.getLogger("miscript.tm")

T = TypeVar("T", bound=Timed)

MAX_TRANSACTIONS: Final = 500_000
"""Transactions at a time; a request beyond them is refused like one that cannot be sent."""


_METHOD_OF: Final = {"ACK": "INVITE", "CANCEL": "INVITE"}
"""Requests that are sent for the transaction of another one."""


@dataclass(slots=True)
class Draft:
    """A branch that is being made, as its branch route sees it.

    `blacklists` are the lists that forbid places; with `fails_over` other addresses are tried when one fails.
    """

    index: int
    on_reply: str | None = None
    attributes: dict[str, list[int | str | None]] = field(default_factory=dict)
    blacklists: frozenset[str] = frozenset()
    fails_over: bool = True


@dataclass(slots=True)
class Context:
    """What a run has to do with transactions: its own one, the branch it is about, and what it armed before.

    `last` is the branch that ended last, in a failure route, where `branch` is the one whose reply was the best.
    `remembered` has the two numbers of a transaction that is not its own, for branches that it injects.
    """

    transaction: ProxyTransaction | None = None
    branch: ClientBranch | Draft | None = None
    before: Armed = field(default_factory=Armed)
    remembered: tuple[int, int] | None = None
    last: ClientBranch | None = None

    @property
    def armed(self) -> Armed:
        """What is set for the transaction that is there, or will be."""
        return self.before if self.transaction is None else self.transaction.armed


def context(run: Run) -> Context:
    """What `run` has to do with transactions."""
    found: Context | None = run.data.get("tm")
    if found is None:
        found = run.data["tm"] = Context()
    return found


class Engine:
    """All transactions of a host.

    `counters` are the statistics by their name; `base` the times of the module; `replies_shown_to` a route that sees
    replies of ours, "" for none.
    """

    def __init__(self, services: Services, sip: SipService, counters: dict[str, Counter]) -> None:
        self.services = services
        self.sip = sip
        self.counters = counters
        self.base = Timers()
        self.auto_trying = True
        self.replies_shown_to = ""
        self.deadlines = Deadlines(services.clock)
        self.answered_invites = AnsweredInvites(self.deadlines)
        self.branches: dict[Key, ClientBranch] = {}
        self._by_key: dict[Key, ProxyTransaction] = {}
        self._by_number: dict[int, ProxyTransaction] = {}
        self._number = secrets.randbits(28)
        self._watchers: dict[Moment, list[Watcher]] = {}
        self._is_timed = False

    def __len__(self) -> int:
        return len(self._by_number)

    @property
    def now(self) -> float:
        return self.services.clock.monotonic()

    def count(self, name: str) -> None:
        """One more of the statistic `name`."""
        self.counters[name].add()

    # -- watching ---------------------------------------------------------------------------------------------

    def watch(self, moment: Moment, watcher: Watcher) -> None:
        self._watchers.setdefault(moment, []).append(watcher)

    def tell(
        self,
        moment: Moment,
        transaction: ProxyTransaction,
        branch: ClientBranch | None = None,
        message: Message | None = None,
        status: int = 0,
        run: Run | None = None,
    ) -> None:
        """Call the watchers of a moment."""
        watchers = self._watchers.get(moment)
        if watchers:
            happening = Happening(moment, transaction, branch, message, status, run)
            for watcher in watchers:
                try:
                    watcher(happening)
                except Exception:
                    log.exception("a watcher of transactions failed")

    # -- finding ----------------------------------------------------------------------------------------------

    def find(self, request: Message) -> ProxyTransaction | None:
        """The transaction of a request that came again, or of the ACK of its negative reply."""
        key = server_key(request)
        return None if key is None else self._by_key.get(key)

    def find_cancelled(self, cancel: Message) -> ProxyTransaction | None:
        """The INVITE transaction that a CANCEL is about."""
        key = cancelled_key(cancel)
        return None if key is None else self._by_key.get(key)

    def owner(self, message: Message, *, sent: bool) -> ProxyTransaction | None:
        """The transaction that a message on the wire belongs to."""
        if message.is_request is sent:
            client = client_key(message)
            branch = None if client is None else self.branches.get((client[0], _METHOD_OF.get(client[1], client[1])))
            return None if branch is None else branch.transaction
        if message.is_request:
            found = self.find(message)
            return self.find_cancelled(message) if found is None and message.method == "CANCEL" else found
        key = answered_key(message)
        return None if key is None else self._by_key.get(key)

    def find_number(self, number: int, hash_: int) -> ProxyTransaction | None:
        """The transaction with the two numbers of its id."""
        found = self._by_number.get(number)
        return found if found is not None and found.hash == hash_ else None

    def find_invite(self, call_id: str, cseq: int, local: bool) -> ProxyTransaction | None:
        """An INVITE transaction by Call-ID and number."""
        for transaction in self._by_number.values():
            request = transaction.request
            fits = transaction.is_invite and transaction.is_local is local and request.call_id == call_id
            if fits and request.cseq is not None and request.cseq[0] == cseq:
                return transaction
        return None

    def all(self) -> Sequence[ProxyTransaction]:
        """All transactions, the oldest first."""
        return list(self._by_number.values())

    # -- making -----------------------------------------------------------------------------------------------

    def create(self, run: Run, *, trying: bool = True) -> ProxyTransaction | None:
        """The transaction of the request that `run` is about; `trying` sends the automatic 100.

        None when it cannot be made.  Who calls this has seen to it that the request is none that came again.
        """
        message = run.message
        key = server_key(message)
        if key is None or len(self) >= MAX_TRANSACTIONS:
            return None
        try:
            target = reply_target(message)
        except SipSyntaxError:
            return None
        here = context(run)
        armed = here.before
        transaction = self._made(message.copy(), key)
        transaction.machine = server(message.method, self.base, reliable=target.reliable)
        transaction.armed = armed
        transaction.machine.timers = transaction.timers(self.base)
        transaction.reply_target = target
        transaction.avps, transaction.flags = run.avps, set(run.flags)
        self._by_key[key] = transaction
        here.transaction = transaction
        run.data.setdefault("at_end", []).append(lambda: self._script_ended(transaction))
        self.count("UAS_transactions")
        self.tell(Moment.CREATED, transaction, message=message, run=run)
        if trying and self.auto_trying and transaction.is_invite:
            self.reply(transaction, 100, "Giving it a try")
        return transaction

    def create_local(self, request: Message) -> ProxyTransaction:
        """The transaction of a request of our own."""
        transaction = self._made(request, None)
        self.count("UAC_transactions")
        return transaction

    def _made(self, request: Message, key: Key | None) -> ProxyTransaction:
        self._number = (self._number + 1) & 0x7FFFFFFF
        machine = server(request.method or "", self.base, reliable=True)
        transaction = ProxyTransaction(self._number, request, machine, key)
        transaction.to_tag = new_token()
        transaction.hash = secrets.randbits(16)
        self._by_number[transaction.number] = transaction
        self.counters["inuse_transactions"].add()
        if not self._is_timed:
            self._is_timed = True
            self.services.tasks.spawn(self.deadlines.run(), "the timers of transactions")
        return transaction

    def branch_id(self, transaction: ProxyTransaction, index: int) -> str:
        """The branch parameter of our Via: nobody who has not seen it can answer."""
        return f"{COOKIE}{transaction.id}.{transaction.to_tag[:8]}.{index}"

    def _script_ended(self, transaction: ProxyTransaction) -> None:
        """The route that made it is over: who has neither answered nor sent it on leaves it to somebody else, but
        not for ever."""
        if transaction.ended or transaction.final_sent or transaction.branches:
            return
        if transaction.cancelled:
            self.reply(transaction, 487, "Request Terminated")
            return
        timers = transaction.timers(self.base)
        seconds = timers.ringing if transaction.is_invite else timers.reply

        def give_up() -> None:
            if not transaction.final_sent and not transaction.branches:
                self.reply(transaction, *REQUEST_TIMEOUT)

        transaction.abandoned = self.deadlines.after(seconds, give_up)

    # -- answering --------------------------------------------------------------------------------------------

    def reply(
        self,
        transaction: ProxyTransaction,
        status: int,
        reason: str,
        *,
        headers: Sequence[str] = (),
        body: bytes = b"",
        to_tag: str | None = None,
    ) -> bool:
        """Send a reply of ours; False when there has been a final one."""
        if transaction.final_sent or transaction.ended:
            return False
        self.tell(Moment.REPLY_OUT, transaction, status=status)
        data = make_reply(
            transaction.request,
            status,
            reason,
            to_tag=to_tag or transaction.to_tag,
            headers=headers,
            body=body,
            server=self.sip.server,
        )
        self.count("local_replies")
        transaction.local_last = True
        if self.replies_shown_to:
            self.show(self.replies_shown_to, data)
        self.send_reply(transaction, status, data)
        target = transaction.reply_target
        if transaction.is_invite and 200 <= status < 300 and target is not None and not target.reliable:
            self.answered_invites.repeat(transaction.request, self.now, self.base, lambda: self._repeat(transaction))
        return True

    def _repeat(self, transaction: ProxyTransaction) -> None:
        self.count("retransmission_rpl_T2")
        self._send_back(transaction, transaction.last_reply)

    def send_reply(self, transaction: ProxyTransaction, status: int, data: bytes) -> None:
        """Send a reply, one of ours or one that was passed on, to who sent the request.

        A 2xx behind a negative reply is sent, and leaves the transaction as it is.
        """
        final = status >= 200
        if transaction.final_sent and status < 300 <= transaction.reply_status:
            self._send_back(transaction, data)
            return
        if final:
            if not transaction.final_sent and (name := f"{status // 100}xx_transactions") in self.counters:
                self.count(name)
            transaction.final_sent = True
            if transaction.waiting is not None:
                transaction.waiting.end()
        transaction.reply_status = status
        transaction.last_reply = data
        self.act(transaction, transaction.machine.handle(event_of_status(status), self.now))

    def show(self, route: str, data: bytes) -> None:
        """Let a route look at a message that is sent; what it changes is lost."""
        self.services.tasks.spawn(self._shown(route, Message.parse(data)), "a route that looks at what is sent")

    async def _shown(self, route: str, message: Message) -> None:
        try:
            await self.services.routes.run_route("route", route, message=message)
        except LookupError as error:
            log.error("%s", error)

    def received_again(self, transaction: ProxyTransaction, request: Message) -> None:
        """A request came again, or the ACK of a negative reply came."""
        event = Event.ACK if request.method == "ACK" else Event.REQUEST
        acknowledged = event is Event.ACK and transaction.machine.state is State.COMPLETED
        self.act(transaction, transaction.machine.handle(event, self.now))
        if acknowledged:
            self.tell(Moment.ACK, transaction, message=request)

    def act(self, transaction: ProxyTransaction, what: Sequence[Do]) -> None:
        """Do what the server side of a transaction wants."""
        for do in what:
            if do in (Do.SEND, Do.RESEND) and transaction.last_reply:
                self._send_back(transaction, transaction.last_reply)
        self.time(transaction, self._server_due)
        if transaction.machine.is_over:
            self.forget_if_over(transaction)

    def _server_due(self, transaction: ProxyTransaction) -> None:
        before = transaction.machine.resent
        self.act(transaction, transaction.machine.due(self.now))
        if transaction.machine.resent > before:
            self.count("retransmission_rpl_T2")

    def _send_back(self, transaction: ProxyTransaction, data: bytes) -> None:
        received, target = transaction.request.received, transaction.reply_target
        if received.socket is None or target is None:
            return
        socket, sip = received.socket, self.sip
        if sip.send(data, target, socket, received.connection) or not target.reliable:
            return
        if not sip.may_answer_anew(transaction.flags):
            return

        async def connect_and_send() -> None:
            """Its connection is gone: RFC 3261 section 18.2.2 wants a new one."""
            if await sip.connect(target, socket):
                sip.send(data, target, socket)

        self.services.tasks.spawn(connect_and_send(), "a reply over a new connection")

    # -- time and end -----------------------------------------------------------------------------------------

    def time(self, timed: T, due: Callable[[T], None]) -> None:
        """Ask for `due(timed)` at the next deadline of a state machine.

        One that is asked for and comes too early does no harm.
        """
        when = timed.machine.next_deadline
        deadline = timed.deadline
        if when == FOREVER:
            if deadline is not None:
                deadline.cancel()
        elif deadline is None or deadline.callback is None or when < deadline.when:
            if deadline is not None:
                deadline.cancel()
            timed.deadline = self.deadlines.at(when, partial(self._come, timed, due))

    def _come(self, timed: T, due: Callable[[T], None]) -> None:
        timed.deadline = None
        if timed.machine.next_deadline <= self.now:
            due(timed)
        else:
            self.time(timed, due)

    def forget_if_over(self, transaction: ProxyTransaction) -> None:
        """Forget a transaction of which nothing is left to do."""
        if transaction.ended or not (transaction.closed if transaction.is_local else transaction.machine.is_over):
            return
        for branch in transaction.branches:
            if not branch.machine.is_over or (branch.cancel is not None and not branch.cancel.machine.is_over):
                return
        self.forget(transaction)

    def forget(self, transaction: ProxyTransaction) -> None:
        """Take a transaction out of all tables."""
        transaction.ended = True
        if self._by_number.pop(transaction.number, None) is not None:
            self.counters["inuse_transactions"].add(-1)
        if transaction.key is not None and self._by_key.get(transaction.key) is transaction:
            del self._by_key[transaction.key]
        for timed in (transaction, *transaction.branches, *(b.cancel for b in transaction.branches if b.cancel)):
            if timed.deadline is not None:
                timed.deadline.cancel()
        for branch in transaction.branches:
            self.branches.pop(branch.key, None)
            self.branches.pop((branch.key[0], "CANCEL"), None)
        if transaction.abandoned is not None:
            transaction.abandoned.cancel()
        self.tell(Moment.ENDED, transaction)
        transaction.branches, transaction.ended_last = [], None  # they know it, and cycles cost a search for garbage
