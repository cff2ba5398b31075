"""What the module `tm` offers to others: transactions that they can watch, and requests that they can send.

```python
tm = transaction_service(self.services)          # None when the script does not load tm
tm.watch(Moment.CREATED, self.on_transaction)
reply = await tm.request("OPTIONS", "sip:bob@example.com", from_="<sip:me@here>", to="<sip:bob@example.com>")
```

A watcher is called with a `Happening` and returns at once; what it raises is logged.  A `SipTransaction` has a `data`
dict for whoever wants to keep something beside it (by module name).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, cast

from .sip.branch import Branch
from .sip.message import Message
from .sip.sockets import ListeningSocket
from .sip.uri import SipUri
from .values import Value

if TYPE_CHECKING:
    from .script.runtime import Run
    from .services import Services


class Moment(Enum):
    """When a watcher is called."""

    CREATED = "a request made a transaction"
    CREATED_HERE = "a request of our own made one"
    BRANCH = "a branch is about to be sent: `message` is what goes out, and may still be edited"
    REPLY_IN = "a reply came from a branch, before the reply routes"
    REPLY_OUT = "a reply is about to go to who sent the request: `message` may still be edited when it was relayed"
    FAILURE = "all branches failed, before the failure route"
    CANCELLED = "the request was cancelled by who sent it, which may come behind its answer"
    ACK = "the ACK of a negative reply came"
    ENDED = "the transaction is forgotten"

    __hash__ = object.__hash__  # that of Enum is written in Python


@dataclass(frozen=True, slots=True)
class Reply:
    """The final outcome of a request of ours; `message` is None when the reply is our own (408, 477 …)."""

    status: int
    reason: str
    message: Message | None = None


class SipBranch(Protocol):
    """One destination that a request was sent to."""

    index: int
    where: Branch
    status: int
    """Status of its last reply, 0 without one."""

    @property
    def is_over(self) -> bool:
        """Whether it has its final reply."""


class SipTransaction(Protocol):
    """One request that is being dealt with, its branches and its replies."""

    request: Message
    """As it was when it was relayed last, with the edits of the script."""
    avps: dict[str, list[Value]]
    flags: set[str]
    reply_status: int
    """Status of the last reply that went to who sent the request."""
    final_sent: bool
    """Whether that one was a final one."""
    to_tag: str
    """The To tag of replies of our own."""
    cancelled: bool
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """What `$T_id` tells."""

    @property
    def is_local(self) -> bool:
        """Whether the request is our own."""

    @property
    def branches(self) -> Sequence[SipBranch]:
        """All of them, the oldest first."""


class Happening(NamedTuple):
    """What a watcher is told; `status` and `message` where there is a reply or a request that goes out.

    `run` is the one that made the transaction, at `Moment.CREATED`.
    """

    moment: Moment
    transaction: SipTransaction
    branch: SipBranch | None = None
    message: Message | None = None
    status: int = 0
    run: Run | None = None


Watcher: TypeAlias = Callable[[Happening], None]


class TransactionId(NamedTuple):
    """What tells a transaction from others for as long as it lives, and keeps nothing of it alive."""

    number: int
    hash: int


class TransactionService(Protocol):
    """Offered as `tm`."""

    def watch(self, moment: Moment, watcher: Watcher) -> None:
        """Call `watcher` at every such moment of every transaction."""

    def current(self, run: Run) -> SipTransaction | None:
        """The transaction that a route belongs to."""

    def message_of(self, run: Run, context: str) -> Message | None:
        """The "request" of the transaction that a route belongs to, or the "reply" that a failure route is about."""

    def owner(self, message: Message, *, sent: bool) -> SipTransaction | None:
        """The transaction that a message on the wire belongs to; `sent` tells that it is one of ours.

        The first request of a transaction has none when it comes, except a CANCEL, which then has its INVITE's.
        """

    def cancelled(self, cancel: Message) -> SipTransaction | None:
        """The transaction of the INVITE that a CANCEL is about."""

    def create(self, run: Run) -> SipTransaction | None:
        """The transaction of the request that a run is about, made now when there is none.

        None when it cannot be made: an ACK, no Via, or a retransmission (which has got its answer again).
        """

    def reply(
        self,
        transaction: SipTransaction,
        status: int,
        reason: str,
        *,
        headers: Sequence[str] = (),
        body: bytes = b"",
        to_tag: str | None = None,
    ) -> bool:
        """Answer a request; False when it has its final answer already."""

    def cancel(self, transaction: SipTransaction) -> None:
        """Cancel the branches of an INVITE that wait for their final replies; one that has none is answered 487."""

    def remember(self, run: Run) -> TransactionId | None:
        """The id of the transaction that a route belongs to, for another route that comes later."""

    def point(self, run: Run, id: TransactionId) -> None:
        """Let a route inject branches into a transaction that is not its own (`t_inject_branches`)."""

    def request(
        self,
        method: str,
        uri: str,
        *,
        from_: str,
        to: str,
        call_id: str | None = None,
        cseq: int | None = None,
        headers: str = "",
        body: bytes = b"",
        next_hop: SipUri | None = None,
        socket: ListeningSocket | None = None,
        avps: dict[str, list[Value]] | None = None,
        within: Run | None = None,
        provisional: Callable[[Message], None] | None = None,
        seconds: int | None = None,
        answer: Awaitable[bytes] | None = None,
    ) -> Awaitable[Reply]:
        """Send a request of our own and wait for its final reply.

        `from_` and `to` are whole values; a From without a tag gets one.  In a dialog `call_id` and `cseq` are its
        own and `headers` has its Route fields.  `next_hop` is where it is sent to in place of `uri`.  `avps` are
        those of its `local_route`, which is a part of the run `within`, where one is given.  `seconds` is how long a
        reply is waited for in place of `fr_timeout`; `answer` gives the SDP of the ACK for an INVITE.  Raises
        `SipSyntaxError` for values that cannot be sent; a destination that cannot be reached gives a 476 or 477.
        """


def transaction_service(services: Services) -> TransactionService | None:
    """The transactions of this host; None when the script does not load `tm`."""
    return cast("TransactionService | None", services.find("tm"))
