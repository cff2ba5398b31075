"""Sending requests on: the branches of a transaction, their cancelling, and ACKs that belong to no transaction.

Source: RFC 3261 sections 9.1, 16.6 and 16.10; OpenSIPS manual, module tm (`t_relay`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from ...blacklist_service import blacklist_service, hand_over_choice
from ...script.runtime import Run
from ...sip.branch import Branch
from ...sip.locating import sent_from
from ...sip.message import Message
from ...sip.requests import make_ack, make_cancel, passed_on, via_line
from ...sip.sockets import ListeningSocket, Target
from ...sip.syntax import SipSyntaxError
from ...sip.transactions import Do, Event, State, client
from ...sip.uri import SipUri
from ...transaction_service import Moment
from .engine import Context, Draft, Engine
from .transaction import ClientBranch, ProxyTransaction, Timed, WaitingBranch

log = logging.getLogger("miscript.tm")

BAD_MESSAGE: Final = -2
NO_DESTINATION: Final = -3
UNRESOLVABLE: Final = -4
FILTERED: Final = -5
SEND_FAILED: Final = -6
DROPPED: Final = -1
"""The branch route wants none of the branches."""
"""Return codes of `t_relay`; a branch that its route dropped has none."""

ELSEWHERE: Final = 'Reason: SIP ;cause=200 ;text="Call completed elsewhere"\r\n'
NO_ANSWER: Final = 'Reason: SIP;cause=480;text="NO_ANSWER"\r\n'
BY_ORIGINATOR: Final = 'Reason: SIP;cause=487;text="ORIGINATOR_CANCEL"\r\n'
"""Why we cancel (RFC 3326), in the words of OpenSIPS."""

MAX_BRANCHES: Final = 64
"""Branches of one transaction, all relayings together."""


class Relaying:
    """Sends the branches of transactions.

    `no_answer` is told of a branch that got no final reply in time, `reconsider` of a transaction that may have
    nothing to wait for any more; both are set by who deals with answers.  `blocks_6xx`: nothing is sent behind a 6xx.
    `minor_flag` is the branch flag of branches that nobody waits for, "" for none.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.blacklists = blacklist_service(engine.services)
        self.reconsider: Callable[[ProxyTransaction], None] = lambda transaction: None
        self.no_answer: Callable[[ClientBranch], None] = lambda branch: None
        self.blocks_6xx = True
        self.minor_flag = ""

    # -- branches ---------------------------------------------------------------------------------------------

    async def relay(
        self, run: Run, transaction: ProxyTransaction, proxy: SipUri | None = None, *, failover: bool = True
    ) -> int:
        """Send the request of `run` to all its destinations; the return code of `t_relay`.

        Without `failover` only the first address of each destination is tried.
        """
        message: Message = run.message
        destinations = [message.branch.copy(), *message.branches]
        message.branches = []
        transaction.request = message.copy()
        transaction.begin_round()
        return await self.fork(run, transaction, destinations, proxy, failover=failover)

    async def fork(
        self,
        run: Run,
        transaction: ProxyTransaction,
        destinations: Sequence[Branch],
        proxy: SipUri | None = None,
        *,
        failover: bool = True,
    ) -> int:
        """Send the request of a transaction to more destinations; the return code of `t_relay`."""
        if transaction.abandoned is not None:
            transaction.abandoned.cancel()
        code = NO_DESTINATION
        if self.blocks_6xx and any(branch.status >= 600 for branch in transaction.branches):
            return code
        for where in destinations:
            if transaction.cancelled or transaction.final_sent or len(transaction.branches) >= MAX_BRANCHES:
                break
            result = await self._branch(run, transaction, where, proxy, failover)
            code = result if result > 0 or code in (NO_DESTINATION, DROPPED) else code
        if transaction.cancelled and not transaction.pending and not transaction.final_sent:
            self.engine.reply(transaction, 487, "Request Terminated")
        return code

    def wait_for_more(self, transaction: ProxyTransaction, count: int | None) -> bool:
        """Keep an INVITE open for `count` branches that come later, any number when it is None."""
        target, socket = transaction.reply_target, transaction.request.received.socket
        if target is None or socket is None or transaction.final_sent or len(transaction.branches) >= MAX_BRANCHES:
            return False
        if transaction.abandoned is not None:
            transaction.abandoned.cancel()
        enough = None if count is None else len(transaction.branches) + 1 + count
        if transaction.waiting is not None:
            transaction.waiting.end()
        timers = transaction.timers(self.engine.base)
        waiting = WaitingBranch(transaction, self.engine.now, timers, target, socket, enough)
        transaction.waiting = waiting
        transaction.branches.append(waiting)
        self.engine.time(waiting, self._due)
        return True

    async def _branch(
        self, run: Run, transaction: ProxyTransaction, where: Branch, proxy: SipUri | None, failover: bool
    ) -> int:
        """Send one branch; the first place that can be reached gets it."""
        message = transaction.request.copy()
        message.branch = where
        draft = Draft(len(transaction.branches))
        if transaction.armed.on_branch and await self._branch_route(run, transaction, draft, message):
            return DROPPED
        where = message.branch
        try:
            uri = SipUri.parse(where.uri or message.original_uri or "")
            next_hop = SipUri.parse(where.destination) if where.destination else proxy or uri
        except SipSyntaxError as error:
            log.error("a branch cannot be sent: %s", error)
            return BAD_MESSAGE
        targets = await self.engine.sip.resolve(sent_from(next_hop, where.socket))
        if not targets:
            log.error("'%s' cannot be resolved", next_hop)
            return UNRESOLVABLE
        for text in transaction.armed.headers:
            message.append_hf(text)
        draft.blacklists, draft.fails_over = self.blacklists.chosen(run), failover
        return await self.send_to_one(transaction, draft, message, targets if failover else targets[:1])

    async def send_to_one(
        self, transaction: ProxyTransaction, draft: Draft, message: Message, targets: Sequence[Target]
    ) -> int:
        """Send a branch to the first place that can be reached, and keep the others for when it fails."""
        code = SEND_FAILED
        for number, target in enumerate(targets, 1):
            sent = await self._send(transaction, draft, message, target)
            if isinstance(sent, ClientBranch):
                sent.spare = targets[number:]
                return 1
            code = sent
        return code

    async def fail_over(self, transaction: ProxyTransaction, failed: ClientBranch) -> bool:
        """Try the next address of a destination that did not answer or is overloaded (RFC 3263 section 4.3)."""
        silent = failed.is_local and failed.received_status is None
        if not failed.fails_over or not (failed.status == 503 or silent) or transaction.cancelled:
            return False
        self.blacklists.unreachable(failed.target)
        if not failed.spare:
            return False
        spare, failed.spare = failed.spare, ()
        if len(transaction.branches) >= MAX_BRANCHES:
            return False
        draft = Draft(len(transaction.branches), failed.on_reply, failed.attributes, failed.blacklists)
        failed.gave_way = await self.send_to_one(transaction, draft, failed.message, spare) > 0
        return failed.gave_way

    async def _branch_route(self, run: Run, transaction: ProxyTransaction, draft: Draft, message: Message) -> bool:
        """Run the branch route; True when it dropped the branch."""
        name = transaction.armed.on_branch or ""

        def prepare(branch_run: Run) -> None:
            branch_run.avps, branch_run.flags = transaction.avps, transaction.flags
            branch_run.data["tm"] = Context(transaction, draft)
            hand_over_choice(run, branch_run)

        try:
            ended = await self.engine.services.routes.run_route(
                "branch_route", name, message=message, prepare=prepare, within=run
            )
        except LookupError as error:
            log.error("%s", error)
            return False
        hand_over_choice(ended, run)
        return ended.dropped

    async def _send(
        self, transaction: ProxyTransaction, draft: Draft, message: Message, target: Target
    ) -> ClientBranch | int:
        """Send a branch to one place; the return code of `t_relay` when it cannot be, or may not be, sent there."""
        sip = self.engine.sip
        socket = sip.socket_for(target, message)
        if socket is None:
            return SEND_FAILED
        branch_id = self.engine.branch_id(transaction, draft.index)
        self.engine.tell(Moment.BRANCH, transaction, message=message)
        via = via_line(socket, branch_id, message)
        try:
            if transaction.is_local and not transaction.is_copy:
                sent = with_via(message, via)
            else:
                sent = passed_on(message, message.branch, via, socket, reliable=target.reliable)
        except SipSyntaxError as error:
            log.error("a branch cannot be written: %s", error)
            return SEND_FAILED
        if draft.blacklists and self.blacklists.forbids(draft.blacklists, target, sent):
            return FILTERED
        branch = None
        if await sip.connect(target, socket, (draft.attributes, transaction.avps), message=message):
            branch = self.start(transaction, draft, message, sent, (branch_id, message.method or ""), target, socket)
        if branch is not None:
            return branch
        if draft.fails_over:
            self.blacklists.unreachable(target)
        return SEND_FAILED

    def start(
        self,
        transaction: ProxyTransaction,
        draft: Draft,
        message: Message,
        sent: bytes,
        key: tuple[str, str],
        target: Target,
        socket: ListeningSocket,
    ) -> ClientBranch | None:
        """Send what is written and wait for its replies; None when it cannot be sent."""
        engine = self.engine
        timers = transaction.timers(engine.base)
        machine = client(key[1], engine.now, timers, reliable=target.reliable)
        branch = ClientBranch(
            transaction,
            draft.index,
            message.branch,
            message,
            machine,
            target=target,
            socket=socket,
            sent=sent,
            key=key,
        )
        branch.on_reply, branch.attributes = draft.on_reply, draft.attributes
        branch.blacklists, branch.fails_over = draft.blacklists, draft.fails_over
        branch.is_minor = bool(self.minor_flag) and self.minor_flag in branch.where.flags
        engine.branches[key] = branch  # before it is sent: who traces asks whose message it is
        if not engine.sip.send(sent, target, socket):
            del engine.branches[key]
            return None
        transaction.branches.append(branch)
        engine.time(branch, self._due)
        return branch

    # -- time -------------------------------------------------------------------------------------------------

    def _due(self, branch: ClientBranch) -> None:
        self.act(branch, branch.machine.due(self.engine.now))

    def act(self, branch: ClientBranch, what: Sequence[Do], reply: Message | None = None) -> bool:
        """Do what the client side of a branch wants; True when `reply` is for the transaction's user."""
        engine = self.engine
        pass_on = False
        for do in what:
            match do:
                case Do.RESEND:
                    engine.sip.send(branch.sent, branch.target, branch.socket)
                    engine.count(_RESENT.get(branch.machine.resent, "retransmission_req_T2"))
                case Do.ACK if reply is not None:
                    ack = make_ack(branch.sent, reply, branch.transaction.armed.headers)
                    engine.sip.send(ack, branch.target, branch.socket)
                case Do.PASS:
                    pass_on = True
                case Do.TIMED_OUT | Do.FAILED:
                    self._timed_out(branch)
                case _:
                    pass
        engine.time(branch, self._due)
        if branch.machine.is_over:
            engine.branches.pop(branch.key, None)
            engine.forget_if_over(branch.transaction)
        return pass_on

    def _timed_out(self, branch: ClientBranch) -> None:
        """No final reply came in time."""
        if branch.is_final:
            return
        if not branch.is_phony:
            self.engine.count("timeout_finalresponse_inv" if branch.status else "timeout_finalresponse")
        if branch.status and branch.transaction.is_invite:
            self.send_cancel(branch, [NO_ANSWER])
        self.no_answer(branch)

    # -- cancelling -------------------------------------------------------------------------------------------

    def cancel(self, branches: Sequence[ClientBranch], headers: Sequence[str] = ()) -> None:
        """Cancel branches that have no final reply; one without any reply is cancelled with its first one."""
        for branch in branches:
            if branch.is_final or branch.cancel is not None or not branch.transaction.is_invite:
                continue
            if branch.machine.state is State.PROCEEDING:
                self.send_cancel(branch, headers)
            elif branch.machine.state is State.CALLING:
                branch.wants_cancel = tuple(headers)

    def send_cancel(self, branch: ClientBranch, headers: Sequence[str]) -> None:
        """Send a CANCEL, and wait for the final reply of its INVITE no longer than RFC 3261 9.1 wants."""
        if branch.cancel is not None:
            return
        engine, transaction = self.engine, branch.transaction
        branch.wants_cancel = None
        reason = [ELSEWHERE] if 200 <= transaction.reply_status < 300 else headers
        more = [*reason, *transaction.armed.cancel_headers, *transaction.armed.headers]
        branch.cancel_data = make_cancel(branch.sent, more)
        cancel = Timed(client("CANCEL", engine.now, engine.base, reliable=branch.target.reliable))
        branch.cancel = cancel
        engine.branches[branch.key[0], "CANCEL"] = branch
        engine.sip.send(branch.cancel_data, branch.target, branch.socket)
        if not branch.is_final:
            branch.machine.give_up_at(min(branch.machine.ends_at, engine.now + 64 * engine.base.t1))
            engine.time(branch, self._due)
        engine.time(cancel, partial(self._cancel_due, branch))

    def _cancel_due(self, branch: ClientBranch, cancel: Timed) -> None:
        self._act_on_cancel(branch, cancel, cancel.machine.due(self.engine.now))

    def cancel_answered(self, branch: ClientBranch, event: Event) -> None:
        """A reply to the CANCEL of a branch came."""
        if branch.cancel is not None:
            self._act_on_cancel(branch, branch.cancel, branch.cancel.machine.handle(event, self.engine.now))

    def _act_on_cancel(self, branch: ClientBranch, cancel: Timed, what: Sequence[Do]) -> None:
        if Do.RESEND in what:
            self.engine.sip.send(branch.cancel_data, branch.target, branch.socket)
        self.engine.time(cancel, partial(self._cancel_due, branch))
        if cancel.machine.is_over:
            self.engine.forget_if_over(branch.transaction)

    def cancel_received(self, cancel: Message, transaction: ProxyTransaction, headers: Sequence[str]) -> None:
        """Who sent an INVITE has cancelled it: its branches are, and with none it is over."""
        engine = self.engine
        first = not transaction.cancelled
        transaction.cancelled = True
        if not first:
            return
        engine.tell(Moment.CANCELLED, transaction, message=cancel)
        if transaction.final_sent:
            return
        self.cancel(transaction.pending, headers or [BY_ORIGINATOR])
        if transaction.pending:
            return
        waiting = transaction.waiting
        if waiting is not None and not waiting.is_final:
            waiting.end()
            self.no_answer(waiting)
        elif transaction.abandoned is not None:
            engine.reply(transaction, 487, "Request Terminated")


_RESENT: Final = {1: "retransmission_req_T1_1", 2: "retransmission_req_T1_2", 3: "retransmission_req_T1_3"}


def with_via(request: Message, via: str) -> bytes:
    """A request of our own that is sent once more: it has one Via, the new one, and the URI of its branch."""
    sent = request.copy()
    field = sent.field("Via")
    if field is not None:
        sent.replace_hf(field, via)
    return sent.to_bytes()


async def relay_ack(engine: Engine, run: Run, proxy: SipUri | None) -> int:
    """Pass the ACK of a 2xx on: it belongs to no transaction."""
    targets: Sequence[Target] = ()
    if proxy is not None and run.message.branch.destination is None:
        targets = await engine.sip.resolve(sent_from(proxy, run.message.branch.socket))
    chosen = blacklist_service(engine.services).chosen(run)
    return 1 if await engine.sip.forward(run.message, targets, blacklists=chosen) else SEND_FAILED
