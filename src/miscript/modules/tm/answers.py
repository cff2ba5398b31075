"""What becomes of a transaction when replies come: passed on at once, kept, or the best of them chosen.

Source: RFC 3261 section 16.7; OpenSIPS manual, module tm (`t_on_reply`, `t_on_failure`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from ...script.runtime import Run
from ...sip.message import Message
from ...sip.replies import passed_back
from ...sip.transactions import client_key, event_of_status
from ...transaction_service import Moment, Reply
from .engine import Context, Engine
from .relaying import Relaying
from .transaction import REQUEST_TIMEOUT, TERMINATED, ClientBranch, ProxyTransaction, best

log = logging.getLogger("miscript.tm")

TRYING: Final = 100


class Answers:
    """Takes replies and timeouts of branches.

    `keeps_avps`: reply routes see and change the AVPs of the transaction.  `translates_503`: a 503 is passed on as
    500.  `acknowledge` sends the ACK for a 2xx to an INVITE of our own.
    """

    def __init__(self, engine: Engine, relaying: Relaying) -> None:
        self.engine = engine
        self.relaying = relaying
        self.keeps_avps = False
        self.translates_503 = True
        self.acknowledge: Callable[[ClientBranch, Message], None] = lambda branch, reply: None
        relaying.no_answer = self._no_answer
        relaying.reconsider = self._reconsider

    # -- replies ----------------------------------------------------------------------------------------------

    async def take(self, reply: Message) -> bool:
        """Take a reply; False when it belongs to no transaction of ours."""
        key = client_key(reply)
        branch = None if key is None else self.engine.branches.get(key)
        if key is None or branch is None or reply.status is None:
            return False
        self.engine.count("received_replies")
        event = event_of_status(reply.status)
        if key[1] == "CANCEL":
            self.relaying.cancel_answered(branch, event)
            return True
        was_final = branch.is_final
        if self.relaying.act(branch, branch.machine.handle(event, self.engine.now), reply):
            await self._deal_with(branch, reply, reply.status, was_final)
        return True

    async def _deal_with(self, branch: ClientBranch, reply: Message, status: int, again: bool) -> None:
        transaction = branch.transaction
        if not again:
            branch.status = branch.received_status = status
            branch.is_local = False
        if branch.wants_cancel is not None and status < 200:
            self.relaying.send_cancel(branch, branch.wants_cancel)
        self.engine.tell(Moment.REPLY_IN, transaction, branch, reply, status)
        if status >= 200 and not again:
            branch.is_final, branch.reply = True, reply
            transaction.ended_last = branch
        if await self._reply_routes(branch, reply) and status < 200:
            return
        if status < 200:
            self._provisional(transaction, reply, status)
        elif status < 300:
            self._success(transaction, branch, reply, status)
        else:
            await self._negative(transaction, branch, status)

    async def _reply_routes(self, branch: ClientBranch, reply: Message) -> bool:
        """Run the routes of the branch and of the transaction; True when one of them dropped the reply, which the next
        one then does not see."""
        for name in (branch.on_reply, branch.transaction.armed.on_reply):
            if name and await self._reply_route(name, branch, reply):
                return True
        return False

    async def _reply_route(self, name: str, branch: ClientBranch, reply: Message) -> bool:
        transaction = branch.transaction

        def prepare(run: Run) -> None:
            if self.keeps_avps:
                run.avps = transaction.avps
            run.flags = transaction.flags
            run.data["tm"] = Context(transaction, branch)
            reply.branch.flags = branch.where.flags

        try:
            run = await self.engine.services.routes.run_route("onreply_route", name, message=reply, prepare=prepare)
        except LookupError as error:
            log.error("%s", error)
            return False
        return run.dropped

    def _provisional(self, transaction: ProxyTransaction, reply: Message, status: int) -> None:
        if transaction.is_local:
            if transaction.provisional is not None:
                transaction.provisional(reply)
        elif status != TRYING and not transaction.final_sent:
            self._pass_on(transaction, reply, status)

    def _success(self, transaction: ProxyTransaction, branch: ClientBranch, reply: Message, status: int) -> None:
        """A 2xx goes on at once, each one, and ends the search; that to an INVITE even behind a negative reply, as it
        has made a call (RFC 3261 section 16.7)."""
        if transaction.is_local:
            self.acknowledge(branch, reply)
            self._conclude(transaction, Reply(status, reply.reason or "", reply))
        elif not transaction.final_sent or 200 <= transaction.reply_status < 300 or transaction.is_invite:
            self._pass_on(transaction, reply, status)
        if not transaction.keeps_branches:
            self.relaying.cancel([other for other in transaction.pending if other is not branch])

    async def _negative(self, transaction: ProxyTransaction, branch: ClientBranch, status: int) -> None:
        if status >= 600 and self.relaying.blocks_6xx:
            self.relaying.cancel(transaction.pending)
        await self.decide(transaction)

    def _pass_on(self, transaction: ProxyTransaction, reply: Message, status: int) -> None:
        self.engine.tell(Moment.REPLY_OUT, transaction, message=reply, status=status)
        data = passed_back(reply)
        if status == 503 and self.translates_503:
            status, data = 500, data.replace(b" 503 ", b" 500 ", 1)
        transaction.local_last = False
        self.engine.count("relayed_replies")
        self.engine.send_reply(transaction, status, data)

    # -- no reply ---------------------------------------------------------------------------------------------

    def _no_answer(self, branch: ClientBranch) -> None:
        branch.is_final, branch.is_local = True, True
        branch.transaction.ended_last = branch
        branch.status = TERMINATED[0] if branch.transaction.cancelled else REQUEST_TIMEOUT[0]
        self.engine.services.tasks.spawn(self.decide(branch.transaction), "the end of a branch")

    def _reconsider(self, transaction: ProxyTransaction) -> None:
        if not transaction.is_open:
            self.engine.services.tasks.spawn(self.decide(transaction), "the end of a wait for branches")

    # -- the decision -----------------------------------------------------------------------------------------

    async def decide(self, transaction: ProxyTransaction) -> None:
        """When all branches have failed, let the failure route try on, else pass the best reply on."""
        if transaction.deciding:
            return
        transaction.deciding = True
        try:
            while not (_is_answered(transaction) or transaction.is_open):
                winner = best(transaction.active, transaction.cancelled)
                if winner is None:
                    return
                if await self.relaying.fail_over(transaction, winner):
                    continue
                self.relaying.cancel(transaction.pending)
                tried = len(transaction.branches)
                name, transaction.armed.on_failure = transaction.armed.on_failure, None
                self.engine.tell(Moment.FAILURE, transaction, winner, winner.reply, winner.status)
                if name:
                    await self._failure_route(name, transaction, winner)
                if len(transaction.branches) == tried and not _is_answered(transaction):
                    self._give(transaction, winner)
        finally:
            transaction.deciding = False

    async def _failure_route(self, name: str, transaction: ProxyTransaction, winner: ClientBranch) -> None:
        message = transaction.request.copy()
        message.branch = winner.where.copy()
        message.branch.destination = message.branch.path = None  # the script says anew where it goes
        message.branches = []

        def prepare(run: Run) -> None:
            run.avps, run.flags = transaction.avps, transaction.flags
            run.data["tm"] = Context(transaction, winner, last=transaction.ended_last)

        try:
            await self.engine.services.routes.run_route("failure_route", name, message=message, prepare=prepare)
        except LookupError as error:
            log.error("%s", error)

    def _give(self, transaction: ProxyTransaction, winner: ClientBranch) -> None:
        """Send the winner's reply to who sent the request."""
        status, reply = winner.status, winner.reply
        if transaction.is_local:
            reason = REQUEST_TIMEOUT[1] if reply is None else reply.reason or ""
            self._conclude(transaction, Reply(status, reason, reply))
        elif reply is None:
            self.engine.reply(transaction, status, TERMINATED[1] if status == TERMINATED[0] else REQUEST_TIMEOUT[1])
        else:
            self._pass_on(transaction, reply, status)

    def _conclude(self, transaction: ProxyTransaction, reply: Reply) -> None:
        """A request of our own has its answer."""
        if transaction.closed:
            return
        transaction.closed = True
        transaction.reply_status = reply.status
        name = f"{reply.status // 100}xx_transactions"
        if name in self.engine.counters:
            self.engine.count(name)
        if transaction.outcome is not None:
            transaction.outcome(reply)
        self.engine.forget_if_over(transaction)


def _is_answered(transaction: ProxyTransaction) -> bool:
    return transaction.closed if transaction.is_local else transaction.final_sent
