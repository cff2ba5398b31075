"""Requests of our own: from a script, from MI, from other modules.

A request goes to the first address of its destination that can be reached; the others are tried when that one does not
answer or is overloaded, as for requests that are relayed.

Source: RFC 3261 sections 8.1.1, 12.2.1.1 and 13.2.2.4, RFC 3263 section 4.3; OpenSIPS manual, module tm
(`t_new_request`, `t_uac_dlg`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from ...blacklist_service import hand_over_choice
from ...errors import MiscriptError
from ...script.runtime import Run
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.received import Received
from ...sip.requests import make_request, new_token, via_line
from ...sip.sockets import ListeningSocket, Target
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...sip.via import COOKIE
from ...transaction_service import Moment, Reply
from ...values import Value
from .answers import Answers
from .engine import Context, Draft, Engine
from .relaying import Relaying, with_via
from .transaction import FILTERED, SEND_FAILED, UNRESOLVABLE, ClientBranch, ProxyTransaction

log = logging.getLogger("miscript.tm")

FIRST_CSEQ: Final = 10
"""Number of the first request outside of a dialog, as OpenSIPS has it."""

ANSWER, ANSWERING = "answer for the ACK", "answer is waited for"
"""Where a transaction keeps the body of its ACK: bytes, or what gives them."""

SDP: Final = "Content-Type: application/sdp\r\n"


class Way(NamedTuple):
    """A place and the socket of ours that it is sent to from."""

    target: Target
    socket: ListeningSocket


class NotSentError(MiscriptError):
    """A request could not be sent.  `status` and `reason` tell why in the form of a reply."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class Requests:
    """Sends requests of our own and waits for their replies.  `shown_to` is a route that sees them, "" for none."""

    def __init__(self, engine: Engine, relaying: Relaying, answers: Answers) -> None:
        self.engine = engine
        self.relaying = relaying
        self.shown_to = ""
        answers.acknowledge = self._acknowledge

    async def request(
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
    ) -> Reply:
        """Send a request and wait for its final reply; see `TransactionService`."""
        try:
            outcome = await self.start(
                method,
                uri,
                from_=from_,
                to=to,
                call_id=call_id,
                cseq=cseq,
                headers=headers,
                body=body,
                next_hop=next_hop,
                socket=socket,
                avps=avps,
                within=within,
                provisional=provisional,
                seconds=seconds,
                answer=answer,
            )
        except NotSentError as error:
            return Reply(error.status, error.reason)
        return await outcome

    async def start(
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
    ) -> asyncio.Future[Reply]:
        """Send a request; gives its final reply later.

        Raises `NotSentError` when its destination cannot be reached, `SipSyntaxError` for values that make no request.
        """
        hop = next_hop or SipUri.parse(uri)
        ways = await self._ways(hop, socket)
        sender = ways[0].socket
        branch_id = f"{COOKIE}{new_token()}.0"
        message = Message.parse(
            make_request(
                method,
                uri,
                via=via_line(sender, branch_id),
                from_=_tagged(from_),
                to=to,
                call_id=call_id or f"{new_token()}@{sender.host}",
                cseq=FIRST_CSEQ if cseq is None else cseq,
                headers=headers,
                body=body,
                user_agent=self.engine.sip.user_agent,
            )
        )
        message.received = Received((sender.address, sender.port), (sender.address, sender.port), sender)
        message.branch.destination, message.branch.socket = str(hop), sender
        transaction = self.engine.create_local(message)
        transaction.avps = avps if avps is not None else {}
        transaction.provisional = provisional
        transaction.armed.reply_seconds = seconds
        if answer is not None:
            transaction.data[ANSWER] = answer
        outcome: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        transaction.outcome = lambda reply: None if outcome.done() else outcome.set_result(reply)
        try:
            chosen = await self._local_route(transaction, within)
            ways = await self._changed_ways(message, hop, ways, follows=next_hop is None)
            self.engine.tell(Moment.CREATED_HERE, transaction, message=message)
            await self._send(transaction, branch_id, ways, chosen)
        except BaseException:
            self.engine.forget(transaction)
            raise
        return outcome

    async def _changed_ways(
        self, message: Message, hop: SipUri, ways: Sequence[Way], *, follows: bool
    ) -> Sequence[Way]:
        """Where a request of ours goes when its local route is over; with `follows` a new Request-URI counts too."""
        where, sender = message.branch, ways[0].socket
        destination = where.destination
        if destination == str(hop) and where.uri is not None and follows:
            destination = None
        if destination == str(hop) and where.socket == sender:
            return ways
        forced = where.socket if where.socket != sender else None
        return await self._ways(SipUri.parse(destination or message.uri or ""), forced or sender)

    async def _ways(self, hop: SipUri, socket: ListeningSocket | None) -> Sequence[Way]:
        """The ways to a destination, the best first; from `socket` where that can be.  Raises `NotSentError`."""
        targets = await self.engine.sip.resolve(hop)
        if not targets:
            raise NotSentError(*UNRESOLVABLE)
        ways = []
        for target in targets:
            fits = socket is not None and socket.transport == target.transport
            sender = socket if fits else self.engine.sip.socket_for(target)
            if sender is not None:
                ways.append(Way(target, sender))
        if not ways:
            raise NotSentError(*SEND_FAILED)
        return ways

    async def _local_route(self, transaction: ProxyTransaction, within: Run | None) -> frozenset[str]:
        """Run the local route; the blacklists that it, or else the run that sends, has chosen."""
        routes = self.engine.services.routes
        if ("local_route", "") not in routes.script.routes:
            return self.relaying.blacklists.chosen(within)

        def prepare(run: Run) -> None:
            run.avps, run.flags = transaction.avps, transaction.flags
            run.data["tm"] = Context(transaction)
            if within is not None:
                hand_over_choice(within, run)

        ended = await routes.run_route("local_route", "", message=transaction.request, prepare=prepare, within=within)
        return self.relaying.blacklists.chosen(ended)

    async def _send(
        self, transaction: ProxyTransaction, branch_id: str, ways: Sequence[Way], chosen: frozenset[str]
    ) -> None:
        """Send a request to the first place that can be reached; the others are kept for when it fails.

        Places that could not be reached lately are not left out when there is nothing else: who asks whether somebody
        is there again wants to know it.  Raises NotSentError.
        """
        refused: tuple[int, str] = SEND_FAILED
        kept = self.relaying.blacklists.without_learnt(chosen)
        for lists in (chosen,) if kept == chosen else (chosen, kept):
            draft = Draft(0, blacklists=lists)
            for number, way in enumerate(ways, 1):
                sent = await self._send_to(transaction, branch_id, way, draft)
                if isinstance(sent, ClientBranch):
                    sent.spare = [other.target for other in ways[number:]]
                    return
                refused = sent
            if refused != FILTERED:
                break
        raise NotSentError(*refused)

    async def _send_to(
        self, transaction: ProxyTransaction, branch_id: str, way: Way, draft: Draft
    ) -> ClientBranch | tuple[int, str]:
        """Send a request to one place, or why it is not, in the form of a reply."""
        message, (target, socket) = transaction.request, way
        is_written_for_it = socket == message.received.socket
        data = message.to_bytes() if is_written_for_it else with_via(message, via_line(socket, branch_id))
        lists = self.relaying.blacklists
        if draft.blacklists and lists.forbids(draft.blacklists, target, data):
            return FILTERED
        if await self.engine.sip.connect(target, socket, (transaction.avps,), message=message):
            if self.shown_to:
                self.engine.show(self.shown_to, data)
            key = (branch_id, message.method or "")
            branch = self.relaying.start(transaction, draft, message, data, key, target, socket)
            if branch is not None:
                return branch
        lists.unreachable(target)
        return SEND_FAILED

    # -- ACK ----------------------------------------------------------------------------------------------------

    def _acknowledge(self, branch: ClientBranch, reply: Message) -> None:
        """The ACK for a 2xx to an INVITE of ours goes to the Contact, by way of the recorded routes."""
        if branch.key[1] == "INVITE" and ANSWERING not in branch.transaction.data:
            self.engine.services.tasks.spawn(self._send_ack(branch, reply), "the ACK of a request of ours")

    async def _answer(self, transaction: ProxyTransaction) -> bytes:
        """The body of an ACK; one that is still waited for is waited for once."""
        answer: bytes | Awaitable[bytes] | None = transaction.data.get(ANSWER)
        if answer is None:
            return b""
        if not isinstance(answer, bytes):
            transaction.data[ANSWERING] = True
            try:
                answer = transaction.data[ANSWER] = await answer
            finally:
                del transaction.data[ANSWERING]
        return answer

    async def _send_ack(self, branch: ClientBranch, reply: Message) -> None:
        request = branch.message
        body = await self._answer(branch.transaction)
        try:
            contact = NameAddr.parse_many(reply.header("Contact") or f"<{request.uri}>")[0]
            routes = [str(route) for value in reply.headers("Record-Route") for route in NameAddr.parse_many(value)][
                ::-1
            ]
            hop = NameAddr.parse(routes[0]).sip_uri() if routes else contact.sip_uri()
            target, socket = await self._reached(hop, branch)
            ack = make_request(
                "ACK",
                contact.uri,
                via=via_line(socket, f"{COOKIE}{new_token()}.0"),
                from_=request.header("From") or "",
                to=reply.header("To") or "",
                call_id=request.call_id or "",
                cseq=request.cseq[0] if request.cseq else FIRST_CSEQ,
                headers="".join(f"Route: {route}\r\n" for route in routes) + (SDP if body else ""),
                body=body,
                user_agent=self.engine.sip.user_agent,
            )
        except (SipSyntaxError, NotSentError) as error:
            log.warning("a 2xx cannot be acknowledged: %s", error)
            return
        self.engine.sip.send(ack, target, socket)

    async def _reached(self, hop: SipUri, branch: ClientBranch) -> Way:
        """The first way to a destination that can be gone.  Raises `NotSentError`."""
        noted = (branch.attributes, branch.transaction.avps)
        for way in await self._ways(hop, branch.socket):
            if await self.engine.sip.connect(way.target, way.socket, noted):
                return way
        raise NotSentError(*SEND_FAILED)


def _tagged(from_: str) -> str:
    """A From with a tag."""
    try:
        has_tag = NameAddr.parse(from_).tag
    except SipSyntaxError:
        has_tag = None
    return from_ if has_tag else f"{from_};tag={new_token()}"


def address_of(text: str) -> str:
    """`[display ]URI` of a script as a header field has it: `display <URI>`."""
    if "<" in text:
        return text
    display, _, uri = text.strip().rpartition(" ")
    return f"{display} <{uri}>" if display else f"<{uri}>"
