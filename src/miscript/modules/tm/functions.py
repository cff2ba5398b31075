"""Script functions of `tm`.

Source: OpenSIPS manual, module tm, "Exported Functions".
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from re import Pattern as CompiledPattern
from typing import TYPE_CHECKING, Annotated, Final

from ...exports import Pattern, script_function
from ...read_arguments import flags_in, unknown_flag
from ...script.runtime import Run
from ...sip.replies import wanted_headers
from ...sip.sockets import split_socket
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...values import Value, encode
from .engine import Context, Engine, context
from .relaying import DROPPED, FILTERED, NO_DESTINATION, SEND_FAILED, UNRESOLVABLE, Relaying, relay_ack
from .requests import NotSentError, Requests, address_of
from .transaction import FILTERED as FILTERED_REPLY
from .transaction import SEND_FAILED as SEND_FAILED_REPLY
from .transaction import UNRESOLVABLE as UNRESOLVABLE_REPLY
from .transaction import ProxyTransaction

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

log = logging.getLogger("miscript.tm")

ALREADY_THERE: Final = -10
"""`t_newtran` for a request that has its transaction."""

END_TO_END: Final = -2
"""`t_check_trans` for the ACK of a 2xx."""

NOT_RELAYED: Final = {
    UNRESOLVABLE: UNRESOLVABLE_REPLY,
    FILTERED: FILTERED_REPLY,
    SEND_FAILED: SEND_FAILED_REPLY,
    DROPPED: (500, "Server error occurred (1/TM)"),
}
"""What who sent a request is told, unless the script says `no-auto-477`."""

RELAY_FLAGS: Final = frozenset({"no-auto-477", "no-dns-failover", "pass-reason-hdr", "allow-no-cancel"})


def _unknown_relay_flag(flags: str) -> str | None:
    """What is wrong with the flags of `t_relay`."""
    return unknown_flag(sorted(flags_in(flags)), RELAY_FLAGS)


def _unknown_cancel_flag(flags: str) -> str | None:
    """What is wrong with the flags of `t_cancel_branch`."""
    return None if flags in ("", "a", "o") else f"there is no flag '{flags}', expected a or o"


RelayFlags = Annotated[str, _unknown_relay_flag]
CancelFlags = Annotated[str, _unknown_cancel_flag]


class TmFunctions(Base):
    """What scripts call."""

    engine: Engine
    relaying: Relaying
    requests: Requests

    # -- making, finding, answering ---------------------------------------------------------------------------

    def repeated(self, run: Run) -> bool:
        """Whether a request came again; then it has got its answer again, and the script is to end."""
        if run.message is None or run.message.method == "ACK":
            return False
        found = self.engine.find(run.message)
        if found is None:
            return False
        self.engine.received_again(found, run.message)
        return True

    def _made(self, run: Run, trying: bool = True) -> ProxyTransaction | None:
        """The transaction of the run, made now when there is none; the script ends when the request came again."""
        here = context(run)
        if here.transaction is None and run.message is not None and run.message.method not in (None, "ACK"):
            if self.repeated(run):
                run.stop()
            self.engine.create(run, trying=trying)
        return here.transaction

    @script_function(routes="request")
    def t_newtran(self, run: Run) -> int:
        """Make the transaction of a request; INVITEs get a 100.  A request that came again ends the script."""
        if context(run).transaction is not None:
            return ALREADY_THERE
        return -1 if self._made(run) is None else 1

    @script_function(routes="request branch")
    def t_check_trans(self, run: Run) -> int:
        """Whether a request belongs to a transaction: a CANCEL to its INVITE, an ACK to a negative reply.

        Any other request that came again gets its answer again, and the script ends.  -2 for the ACK of a 2xx.
        """
        message = run.message
        if message is None:
            return -1
        match message.method:
            case "CANCEL":
                return -1 if self.engine.find_cancelled(message) is None else 1
            case "ACK":
                found = self.engine.find(message)
                if found is None:
                    return END_TO_END
                self.engine.received_again(found, message)
                return 1
        if context(run).transaction is None and self.repeated(run):
            run.stop()
        return -1

    @script_function(routes="request failure")
    def t_reply(self, run: Run, code: int, reason: str) -> int:
        """Answer the request with a transaction, which is made when there is none."""
        return self._answer(run, code, reason, b"")

    @script_function(routes="request failure")
    def t_reply_with_body(self, run: Run, code: int, reason: str, body: str) -> int:
        """Answer the request with a body; `append_to_reply` gives it its Content-Type."""
        return self._answer(run, code, reason, encode(body))

    def _answer(self, run: Run, code: int, reason: str, body: bytes) -> int:
        transaction = self._made(run, trying=False)
        if transaction is None or transaction.is_local or not 100 <= code < 700:
            return -1
        headers = wanted_headers(run.message, code) if run.message is not None else ()
        body = body or (run.message.reply_body if run.message is not None else b"")
        if not self.engine.reply(transaction, code, reason, headers=headers, body=body):
            return -1
        if code >= 200:
            self.relaying.cancel(transaction.pending)
        return 1

    @script_function(routes="request")
    def t_reply_by_callid(
        self, run: Run, code: int, reason: str, callid: str | None = None, cseq: str | None = None
    ) -> int:
        """Answer an INVITE that is found by Call-ID and number, those of this request when they are left out."""
        message = run.message
        own = None if message is None or message.cseq is None else message.cseq[0]
        number = int(cseq) if cseq is not None and cseq.isdecimal() else own
        if message is None or number is None:
            return -1
        found = self.engine.find_invite(callid or message.call_id or "", number, local=False)
        headers = wanted_headers(message, code)
        return 1 if found is not None and self.engine.reply(found, code, reason, headers=headers) else -1

    # -- relaying ---------------------------------------------------------------------------------------------

    @script_function(routes="request failure")
    async def t_relay(self, run: Run, flags: RelayFlags | None = None, outbound_proxy: str | None = None) -> int:
        """Send the request to its destination and its other branches.

        `flags`, separated by commas: no-auto-477, no-dns-failover, pass-reason-hdr, allow-no-cancel.
        `outbound_proxy` is `[proto:]host[:port]`, for branches without a destination URI.  Returns 1, or -1 internal
        error, -2 bad message, -3 no destination, -4 unresolvable, -5 filtered, -6 not sent.
        """
        message = run.message
        if message is None or not message.is_request:
            return -1
        wanted, mistake = frozenset(flags_in(flags or "")), _unknown_relay_flag(flags or "")
        if mistake is not None:
            log.error("t_relay: %s", mistake)
            return -1
        proxy = _proxy_uri(outbound_proxy)
        if outbound_proxy and proxy is None:
            return UNRESOLVABLE
        if message.method == "ACK":
            return await self._relay_ack(run, proxy)
        if context(run).transaction is None and self.repeated(run):
            return 1  # it has got its answer again, and the script goes on
        if message.method == "CANCEL" and (found := self.engine.find_cancelled(message)) is not None:
            return self._cancel(run, found, "pass-reason-hdr" in wanted)
        return await self._relay(run, proxy, wanted)

    async def _relay(self, run: Run, proxy: SipUri | None, wanted: frozenset[str]) -> int:
        new = context(run).transaction is None
        transaction = self._made(run)
        if transaction is None:
            return -1
        if transaction.final_sent:
            return NO_DESTINATION
        if "allow-no-cancel" in wanted:
            asked = ",".join(run.message.headers("Request-Disposition"))
            transaction.keeps_branches = "no-cancel" in {word.strip().lower() for word in asked.split(",")}
        transaction.flags = run.flags
        code = await self.relaying.relay(run, transaction, proxy, failover="no-dns-failover" not in wanted)
        if run.kind != "failure_route":
            run.flags = set(transaction.flags)  # what the route sets from here on is its own affair
        if code > 0 or not new:
            return code
        reply = NOT_RELAYED.get(code)
        if "no-auto-477" not in wanted and reply is not None and self.engine.reply(transaction, *reply):
            return 1
        if not transaction.reply_status >= 200:
            self.engine.forget(transaction)
            context(run).transaction = None
            context(run).before = transaction.armed
        return code

    async def _relay_ack(self, run: Run, proxy: SipUri | None) -> int:
        """The ACK of a negative reply ends here, that of a 2xx goes on."""
        found = self.engine.find(run.message)
        if found is not None:
            self.engine.received_again(found, run.message)
            if not 200 <= found.reply_status < 300:
                return 1
        return await relay_ack(self.engine, run, proxy)

    def _cancel(self, run: Run, found: ProxyTransaction, pass_reason: bool) -> int:
        cancel = run.message
        own = self._made(run)
        if own is None:
            return -1
        reasons = [f"Reason: {value}\r\n" for value in cancel.headers("Reason")] if pass_reason else []
        own.to_tag = found.to_tag
        self.engine.reply(own, 200, "canceling")
        self.relaying.cancel_received(cancel, found, [*reasons, *own.armed.cancel_headers])
        return 1

    @script_function(routes="request")
    def t_add_cancel_reason(self, run: Run, reason: str) -> int:
        """Header fields for the CANCELs that this CANCEL causes, such as `Reason: SIP;cause=480`."""
        context(run).armed.cancel_headers.append(reason if reason.endswith("\n") else f"{reason}\r\n")
        return 1

    @script_function(routes="reply")
    def t_cancel_branch(self, run: Run, flags: CancelFlags = "") -> int:
        """Cancel the branch that the reply is from, `a`: all of them, `o`: all others."""
        here = context(run)
        transaction, branch = here.transaction, here.branch
        if transaction is None:
            return -1
        match flags:
            case "a":
                chosen = transaction.pending
            case "o":
                chosen = [other for other in transaction.pending if other is not branch]
            case "":
                chosen = [other for other in transaction.pending if other is branch]
            case _:
                log.error("t_cancel_branch: %s", _unknown_cancel_flag(flags))
                return -1
        self.relaying.cancel(chosen)
        return 1

    # -- arming routes ----------------------------------------------------------------------------------------

    def _arm(self, run: Run, kind: str, name: str, arm: Callable[[Context], None]) -> int:
        if name and (kind, name) not in run.script.routes:
            return -1
        arm(context(run))
        return 1

    @script_function(routes="request failure reply branch local")
    def t_on_failure(self, run: Run, route: Annotated[str, "failure_route"]) -> int:
        """Run a failure route when all branches have failed, before the reply goes back."""

        def arm(here: Context) -> None:
            here.armed.on_failure = route or None

        return self._arm(run, "failure_route", route, arm)

    @script_function(routes="request failure reply branch local")
    def t_on_reply(self, run: Run, route: Annotated[str, "onreply_route"]) -> int:
        """Run a reply route for each reply; from a branch route only for the replies of that branch."""

        def arm(here: Context) -> None:
            if run.kind == "branch_route" and here.branch is not None:
                here.branch.on_reply = route or None
            else:
                here.armed.on_reply = route or None

        return self._arm(run, "onreply_route", route, arm)

    @script_function(routes="request failure reply branch")
    def t_on_branch(self, run: Run, route: Annotated[str, "branch_route"]) -> int:
        """Run a branch route for each branch before it is sent."""

        def arm(here: Context) -> None:
            here.armed.on_branch = route or None

        return self._arm(run, "branch_route", route, arm)

    # -- asking -----------------------------------------------------------------------------------------------

    @script_function(routes="request failure reply branch")
    def t_check_status(self, run: Run, status: Pattern) -> int:
        """Whether the status matches: of the last reply sent, of this reply, of the one that made the failure."""
        code = reply_code(run)
        return 1 if code and _matches(status, str(code)) else -1

    @script_function(routes="request failure reply branch")
    def t_local_replied(self, run: Run, which: str) -> int:
        """Whether `all` replies, or the `last` one, were made here and not received."""
        transaction = context(run).transaction
        if transaction is None:
            return -1
        if which == "all":
            return -1 if any(branch.received_status is not None for branch in transaction.branches) else 1
        branch = context(run).branch
        local = getattr(branch, "is_local", None) if run.kind == "failure_route" else transaction.local_last
        return 1 if local else -1

    @script_function(routes="request failure reply branch")
    def t_was_cancelled(self, run: Run) -> int:
        """Whether the caller has cancelled the INVITE."""
        transaction = context(run).transaction
        return 1 if transaction is not None and transaction.cancelled else -1

    @script_function(routes="request branch")
    def t_flush_flags(self, run: Run) -> int:
        """Write the flags of the message to its transaction, which took them when it was made or relayed."""
        transaction = context(run).transaction
        if transaction is None:
            return -1
        transaction.flags = set(run.flags)
        return 1

    # -- requests of our own ----------------------------------------------------------------------------------

    @script_function()
    async def t_new_request(
        self,
        run: Run,
        method: str,
        ruri: str,
        from_: str,
        to: str,
        body: str | None = None,
        ctx: str | None = None,
    ) -> int:
        """Send a new request and do not wait for its reply.

        `from_` and `to` are `[display ]URI`, `body` is `content_type body`.  `ctx` is `$avp(uac_ctx)` in
        `local_route`.
        """
        content_type, blank, content = (body or "").partition(" ")
        if body is not None and not blank:
            return -1
        avps: dict[str, list[Value]] = {} if ctx is None else {"uac_ctx": [ctx]}
        try:
            await self.requests.start(
                method,
                ruri,
                from_=address_of(from_),
                to=address_of(to),
                headers=f"Content-Type: {content_type}\r\n" if content_type else "",
                body=encode(content),
                avps=avps,
                within=run,
            )
        except (SipSyntaxError, NotSentError):
            return -1
        return 1


def reply_code(run: Run) -> int:
    """What `$T_reply_code` tells; 0 without a reply."""
    if run.kind == "onreply_route" and run.message is not None and run.message.status is not None:
        return int(run.message.status)
    if run.kind == "branch_route":
        return 0
    here = context(run)
    if run.kind == "failure_route" and here.branch is not None:
        return getattr(here.branch, "status", 0)
    return 0 if here.transaction is None else here.transaction.reply_status


def _matches(pattern: CompiledPattern[bytes], text: str) -> bool:
    return pattern.search(text.encode()) is not None


def _proxy_uri(text: str | None) -> SipUri | None:
    """`[proto:]host[:port]` as a URI; None when it is none."""
    if not text:
        return None
    head = text.partition(":")[0].lower()
    named = head in ("udp", "tcp", "tls", "ws", "wss", "sctp")
    try:
        transport, host, port = split_socket(text if named else f"udp:{text}")
        transport = f";transport={transport}" if named else ""
        return SipUri.parse(f"sip:{f'[{host}]' if ':' in host else host}:{port}{transport}")
    except (ValueError, SipSyntaxError):
        return None
