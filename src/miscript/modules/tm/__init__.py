"""Module `tm`: SIP transactions.

`ProxyTransaction` (transaction) is the state of one, `Engine` the table of them, `Relaying` sends requests on,
`Answers` deals with replies, `Requests` sends requests of our own; the rest is what scripts and MI see.  Other
modules find all of it as `tm`, a `transaction_service.TransactionService`.

Source: OpenSIPS manual, module tm; RFC 3261 sections 16 and 17.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ...errors import ConfigurationError
from ...exports import Module, parameter, statistic
from ...script.runtime import Run
from ...services import Counter, Services
from ...sip.message import Message
from ...sip.transactions import Timers
from ...sip_service import sip_service
from ...transaction_service import Moment, Reply, SipTransaction, TransactionId, Watcher
from .answers import Answers
from .branches import TmBranches
from .commands import TmCommands
from .engine import Engine, context
from .functions import TmFunctions
from .relaying import Relaying
from .requests import Requests
from .transaction import TERMINATED, ClientBranch, ProxyTransaction
from .variables import TmVariables
from .writing import TmWriting, appends_of


class Tm(TmFunctions, TmBranches, TmWriting, TmVariables, TmCommands, Module):
    """Stateful processing of requests: relaying with forking, replies, timers, failure routes."""

    name = "tm"

    fr_timeout = parameter(30, "Seconds to wait for a first reply, or for the ACK of a negative one.")
    fr_inv_timeout = parameter(120, "Seconds to wait for the final reply of an INVITE that rings.")
    wt_timer = parameter(5, "Seconds that a transaction that is over absorbs late messages.")
    delete_timer = parameter(2, "Has no effect here: transactions are forgotten when nobody uses them.")
    t1_timer = parameter(500, "Milliseconds to the first retransmission.", name="T1_timer")
    t2_timer = parameter(4000, "Milliseconds between retransmissions at most.", name="T2_timer")
    ruri_matching = parameter(1, "Has no effect here: old requests are matched by their Request-URI too.")
    via1_matching = parameter(1, "Has no effect here: old requests are matched by their Via too.")
    unix_tx_timeout = parameter(2, "Seconds that t_write_req() and t_write_unix() try to write.")
    restart_fr_on_each_reply = parameter(1, "Whether each provisional reply starts fr_inv_timeout anew.")
    tw_append: list[str] = parameter(
        [],
        "NAME:FIELD=VARIABLE;… for t_write_req() and t_write_unix(); $rb adds the body.",
        kinds="string",
        repeatable=True,
    )
    pass_provisional_replies = parameter(0, "Has no effect here.")
    syn_branch = parameter(1, "Has no effect here: branches are random.")
    onreply_avp_mode = parameter(0, "1: reply routes see and change the AVPs of the transaction.")
    disable_6xx_block = parameter(0, "1: new branches are tried behind a 6xx.")
    enable_stats = parameter(1, "Has no effect here: statistics cost nothing.")
    minor_branch_flag = parameter(
        "", "Branch flag of branches that are not waited for when all others have failed.", kinds="string integer"
    )
    timer_partitions = parameter(1, "Has no effect here.")
    auto_100trying = parameter(1, "Whether an INVITE gets a 100 when its transaction is made.")
    tm_replication_cluster = parameter(0, "Has no effect here.")
    cluster_param = parameter("cid", "Has no effect here.")
    cluster_auto_cancel = parameter(1, "Has no effect here.")
    local_request_route = parameter("", "A route that sees each request of ours as it is sent; it changes nothing.")
    local_reply_route = parameter("", "A route that sees each reply of ours as it is sent; it changes nothing.")

    received_replies = statistic("received_replies", "Replies that came.")
    relayed_replies = statistic("relayed_replies", "Replies that were passed on.")
    local_replies = statistic("local_replies", "Replies that were made here.")
    uas_transactions = statistic("UAS_transactions", "Transactions of requests that came.")
    uac_transactions = statistic("UAC_transactions", "Transactions of requests of our own.")
    done_2xx = statistic("2xx_transactions", "Transactions that ended with a 2xx.")
    done_3xx = statistic("3xx_transactions", "Transactions that ended with a 3xx.")
    done_4xx = statistic("4xx_transactions", "Transactions that ended with a 4xx.")
    done_5xx = statistic("5xx_transactions", "Transactions that ended with a 5xx.")
    done_6xx = statistic("6xx_transactions", "Transactions that ended with a 6xx.")
    in_use = statistic("inuse_transactions", "Transactions that there are now.", resettable=False)
    cluster_reply_sent = statistic("cluster_reply_sent", "Of clusters, which are not here.")
    cluster_request_sent = statistic("cluster_request_sent", "Of clusters, which are not here.")
    cluster_cancel_sent = statistic("cluster_cancel_sent", "Of clusters, which are not here.")
    cluster_reply_recv = statistic("cluster_reply_recv", "Of clusters, which are not here.")
    cluster_request_recv = statistic("cluster_request_recv", "Of clusters, which are not here.")
    cluster_cancel_recv = statistic("cluster_cancel_recv", "Of clusters, which are not here.")
    resent_1 = statistic("retransmission_req_T1_1", "First retransmissions of requests.")
    resent_2 = statistic("retransmission_req_T1_2", "Second retransmissions of requests.")
    resent_3 = statistic("retransmission_req_T1_3", "Third retransmissions of requests.")
    resent_more = statistic("retransmission_req_T2", "Later retransmissions of requests.")
    resent_replies = statistic("retransmission_rpl_T2", "Retransmissions of replies.")
    timeouts = statistic("timeout_finalresponse", "Branches that got no reply at all.")
    invite_timeouts = statistic("timeout_finalresponse_inv", "Branches that rang and got no final reply.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        counters: dict[str, Counter] = {
            declared.name: getattr(self, attribute) for attribute, declared in self.statistics.items()
        }
        sip = sip_service(services)
        self.engine = Engine(services, sip, counters)
        self.relaying = Relaying(self.engine)
        self.answers = Answers(self.engine, self.relaying)
        self.requests = Requests(self.engine, self.relaying, self.answers)
        services.provide("tm", TmService(self))
        sip.hooks.replies.append(self.answers.take)
        sip.hooks.requests.append(self.engine.answered_invites.take)
        sip.hooks.suspended.append(self._suspended)

    def init(self) -> None:
        self.engine.base = Timers(
            t1=self.t1_timer / 1000,
            t2=self.t2_timer / 1000,
            reply=float(self.fr_timeout),
            ringing=float(self.fr_inv_timeout),
            linger=float(self.wt_timer),
            restart_ringing=bool(self.restart_fr_on_each_reply),
        )
        self.engine.auto_trying = bool(self.auto_100trying)
        self.answers.keeps_avps = bool(self.onreply_avp_mode)
        self.answers.translates_503 = not self.services.parameters.get("disable_503_translation", 0)
        self.relaying.blocks_6xx = not self.disable_6xx_block
        self.relaying.minor_flag = str(self.minor_branch_flag)
        self.appends = appends_of(self.tw_append)
        self.requests.shown_to = self.local_request_route
        self.engine.replies_shown_to = self.local_reply_route

    async def start(self) -> None:
        for name in ("local_request_route", "local_reply_route"):
            route = getattr(self, name)
            if route and ("route", route) not in self.services.routes.script.routes:
                raise ConfigurationError(f"'{name}': there is no route[{route}]", parameter=name)

    def _suspended(self, run: Run) -> bool:
        """A request whose route waits in `async()` has a transaction, so that it is not worked on twice."""
        message = run.message
        if run.kind != "route" or message is None or message.method in (None, "ACK") or message.received.socket is None:
            return True
        if context(run).transaction is None:
            if self.repeated(run):
                return False
            self.engine.create(run)
        return True


class TmService:
    """What other modules see of `tm`."""

    def __init__(self, module: Tm) -> None:
        self._module = module

    def watch(self, moment: Moment, watcher: Watcher) -> None:
        self._module.engine.watch(moment, watcher)

    def current(self, run: Run) -> SipTransaction | None:
        return context(run).transaction

    def message_of(self, run: Run, context_name: str) -> Message | None:
        found = context(run)
        if context_name == "request":
            return None if found.transaction is None else found.transaction.request
        return found.branch.reply if isinstance(found.branch, ClientBranch) else None

    def owner(self, message: Message, *, sent: bool) -> SipTransaction | None:
        return self._module.engine.owner(message, sent=sent)

    def cancelled(self, cancel: Message) -> SipTransaction | None:
        return self._module.engine.find_cancelled(cancel)

    def create(self, run: Run) -> SipTransaction | None:
        found = context(run).transaction
        if found is not None or run.message is None or run.message.method in (None, "ACK"):
            return found
        return None if self._module.repeated(run) else self._module.engine.create(run)

    def reply(self, transaction: SipTransaction, status: int, reason: str, **more: Any) -> bool:
        assert isinstance(transaction, ProxyTransaction)
        return self._module.engine.reply(transaction, status, reason, **more)

    def cancel(self, transaction: SipTransaction) -> None:
        assert isinstance(transaction, ProxyTransaction)
        if transaction.waiting is not None:
            transaction.waiting.end()
        if transaction.pending:
            self._module.relaying.cancel(transaction.pending)
        elif not transaction.is_local:
            self._module.engine.reply(transaction, *TERMINATED)

    def remember(self, run: Run) -> TransactionId | None:
        found = context(run).transaction
        return None if found is None else TransactionId(found.number, found.hash)

    def point(self, run: Run, id: TransactionId) -> None:
        context(run).remembered = id

    def request(self, method: str, uri: str, **more: Any) -> Awaitable[Reply]:
        return self._module.requests.request(method, uri, **more)
