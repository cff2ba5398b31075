"""A transaction of the proxy: one request, its branches, and what a script has armed for it.

Plain state without behaviour of its own; `engine` makes things happen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...deadlines import Deadline
from ...sip.branch import Branch
from ...sip.message import Message
from ...sip.sockets import ListeningSocket, Target
from ...sip.transactions import Key, Timers, client
from ...sip.transactions import Transaction as Machine
from ...transaction_service import Reply
from ...values import Value

REQUEST_TIMEOUT = (408, "Request Timeout")
TERMINATED = (487, "Request Terminated")
SEND_FAILED = (477, "Send failed (477/TM)")
FILTERED = (473, "Filtered destination (473/TM)")
UNRESOLVABLE = (476, "Unresolvable destination (476/TM)")


class Timed:
    """A state machine and the one deadline that is asked for it."""

    __slots__ = ("deadline", "machine")

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.deadline: Deadline | None = None


class ClientBranch(Timed):
    """A branch that has been sent.

    `status` is that of its last reply and `reply` its final one; `is_local` tells that we made the last one up
    (a timeout).  `wants_cancel` has the header fields of a CANCEL that waits for the first reply, None without one.
    Nobody waits for a branch that `is_minor` once all others have failed.  `spare` are more addresses of its
    destination, of which `blacklists` forbid some; `fails_over` tells whether they are tried, and `gave_way` whether
    one of them has been sent in its place.
    """

    __slots__ = (
        "attributes", "blacklists", "cancel", "cancel_data", "fails_over", "gave_way",
        "index", "is_final", "is_local", "is_minor", "key", "message",
        "on_reply", "received_status", "reply", "sent", "socket", "spare", "status", "target", "transaction",
        "wants_cancel",
        "where",
    )  # fmt: skip

    is_phony = False
    """Whether it is no destination, but a wait for new branches."""

    def __init__(
        self,
        transaction: ProxyTransaction,
        index: int,
        where: Branch,
        message: Message,
        machine: Machine,
        *,
        target: Target,
        socket: ListeningSocket,
        sent: bytes,
        key: Key,
    ) -> None:
        super().__init__(machine)
        self.transaction = transaction
        self.index = index
        self.where = where
        self.message = message
        self.target = target
        self.socket = socket
        self.sent = sent
        self.key = key
        self.status = 0
        self.received_status: int | None = None
        self.reply: Message | None = None
        self.is_final = False
        self.is_local = False
        self.on_reply: str | None = None
        self.is_minor = False
        self.spare: Sequence[Target] = ()
        self.blacklists: frozenset[str] = frozenset()
        self.fails_over = True
        self.gave_way = False
        self.wants_cancel: tuple[str, ...] | None = None
        self.cancel: Timed | None = None
        self.cancel_data = b""
        self.attributes: dict[str, list[Value]] = {}

    @property
    def is_over(self) -> bool:
        """Whether it has its final reply."""
        return self.is_final


class WaitingBranch(ClientBranch):
    """The wait for branches that come later; it has the place of a branch and ends like one that nobody answers.

    It counts no more once the transaction has `enough` branches, itself included; None is no limit.
    """

    __slots__ = ("enough",)

    is_phony = True

    def __init__(
        self,
        transaction: ProxyTransaction,
        now: float,
        timers: Timers,
        target: Target,
        socket: ListeningSocket,
        enough: int | None,
    ) -> None:
        machine = client("INVITE", now, timers, reliable=True)
        machine.give_up_at(now + timers.ringing)
        super().__init__(
            transaction,
            len(transaction.branches),
            Branch(),
            transaction.request,
            machine,
            target=target,
            socket=socket,
            sent=b"",
            key=("", ""),
        )
        self.enough = enough

    def end(self) -> None:
        """There is nothing to wait for any more."""
        self.is_final = True
        self.machine.end()
        if self.deadline is not None:
            self.deadline.cancel()


@dataclass(slots=True)
class Armed:
    """What a script has set for the transaction that is there or will be: routes, times in seconds, header fields.

    `cancel_headers` are for its CANCELs, `headers` for every request that is sent for it.
    """

    on_failure: str | None = None
    on_reply: str | None = None
    on_branch: str | None = None
    reply_seconds: int | None = None
    ringing_seconds: int | None = None
    cancel_headers: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)


class ProxyTransaction(Timed):
    """A request that came, or one of our own (`is_local`); what `SipTransaction` promises.

    `waiting` is its wait for new branches, which stands in `branches` too, `ended_last` the branch that ended last.
    `keeps_branches`: a 2xx does not cancel the others.  `is_copy`: a request that came, sent elsewhere as well, whose
    replies nobody gets.
    """

    __slots__ = (
        "abandoned", "active_from", "armed", "avps", "branches", "cancelled", "closed", "data", "deciding", "ended",
        "ended_last",
        "final_sent", "flags", "hash", "is_copy", "keeps_branches", "key", "last_reply", "local_last", "number",
        "outcome", "provisional", "reply_status", "reply_target", "request", "to_tag", "waiting",
    )  # fmt: skip

    def __init__(self, number: int, request: Message, machine: Machine, key: Key | None) -> None:
        super().__init__(machine)
        self.number = number
        self.hash = 0
        self.request = request
        self.key = key
        self.branches: list[ClientBranch] = []
        self.active_from = 0
        self.avps: dict[str, list[Value]] = {}
        self.flags: set[str] = set()
        self.armed = Armed()
        self.reply_status = 0
        self.last_reply = b""
        self.reply_target: Target | None = None
        self.to_tag = ""
        self.final_sent = False
        self.local_last = False
        self.cancelled = False
        self.closed = False
        self.deciding = False
        self.ended = False
        self.ended_last: ClientBranch | None = None
        self.waiting: WaitingBranch | None = None
        self.keeps_branches = False
        self.is_copy = False
        self.abandoned: Deadline | None = None
        self.outcome: Callable[[Reply], None] | None = None
        self.provisional: Callable[[Message], None] | None = None
        self.data: dict[str, Any] = {}

    @property
    def is_local(self) -> bool:
        """Whether the request is our own."""
        return self.key is None

    @property
    def id(self) -> str:
        """What `$T_id` tells: number and hash in hexadecimal."""
        return f"{self.number:x}.{self.hash:x}"

    @property
    def is_invite(self) -> bool:
        return self.request.method == "INVITE"

    @property
    def active(self) -> Sequence[ClientBranch]:
        """The branches of the last relaying."""
        return self.branches[self.active_from :]

    @property
    def pending(self) -> list[ClientBranch]:
        """Branches that were sent and have no final reply."""
        return [branch for branch in self.branches if not branch.is_final and not branch.is_phony]

    @property
    def is_open(self) -> bool:
        """Whether a reply, or a branch that is to come, may still change the outcome."""
        return self.is_waiting or any(not branch.is_minor for branch in self.pending)

    @property
    def is_waiting(self) -> bool:
        """Whether branches are to come."""
        waiting = self.waiting
        if waiting is None or waiting.is_final or self.cancelled:
            return False
        return waiting.enough is None or len(self.branches) < waiting.enough

    def begin_round(self) -> None:
        """The branches from here on decide what the outcome is; a wait right before them is one of them."""
        self.active_from = len(self.branches)
        if self.branches and self.branches[-1].is_phony:
            self.active_from -= 1

    def timers(self, base: Timers) -> Timers:
        """The times of the module as the script has changed them for this transaction."""
        armed = self.armed
        if armed.reply_seconds is None and armed.ringing_seconds is None:
            return base
        return Timers(
            t1=base.t1,
            t2=base.t2,
            t4=base.t4,
            reply=base.reply if armed.reply_seconds is None else float(armed.reply_seconds),
            ringing=base.ringing if armed.ringing_seconds is None else float(armed.ringing_seconds),
            linger=base.linger,
            restart_ringing=base.restart_ringing,
        )


def best(branches: Sequence[ClientBranch], cancelled: bool) -> ClientBranch | None:
    """The branch whose negative reply goes to who sent the request (RFC 3261 section 16.7 step 6).

    A 6xx wins, then 3xx, 4xx and 5xx; inside 4xx what tells how to try again comes first, then the lowest status.
    Where another address was tried its reply is the one that counts.
    """
    found = [branch for branch in branches if branch.is_final and branch.status >= 300 and not branch.gave_way]
    return min(found, key=lambda branch: _rank(branch, cancelled), default=None)


_CLASS_RANK = {6: 0, 3: 1, 4: 2, 5: 3}
_TELLING = frozenset({401, 407, 415, 420, 484})


def _rank(branch: ClientBranch, cancelled: bool) -> tuple[int, bool, bool, int]:
    status = branch.status
    return (
        -1 if cancelled and status == 487 else _CLASS_RANK[status // 100],
        status not in _TELLING,
        branch.is_local,
        status,
    )
