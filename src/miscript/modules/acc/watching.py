"""When records are written: at final replies, at failures, at the end of calls.

Source: OpenSIPS manual, module acc; observed records of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final

from ...dialog_service import DialogService
from ...record_routing import RecordRouting
from ...script.runtime import Run
from ...services import Clock
from ...sip.dialogs import Dialog, DialogState
from ...sip.message import Message
from ...sip.syntax import SipSyntaxError
from ...transaction_service import Happening, Moment, SipTransaction, TransactionService
from .accounts import Account, AccountPart, BackEnd, Flag
from .backends import Writer
from .records import REASONS, Kind, Party, Record

log = logging.getLogger("miscript.acc")

NAME: Final = "acc"
"""Where runs, transactions and dialogs keep their `Account`."""

_UPSTREAM: Final = "acc upstream"
_DONE: Final = "acc done"
_CALL: Final = "acc call"
"""Where the transaction of a BYE keeps the dialog that it has ended."""

_ENDS: Final = "acc ends"
"""In a dialog: its BYE has come, and is not answered."""


class Watching:
    """Finds the account of a run, and writes what it wants.

    `writers` are the back ends that there are; `early_media` accounts provisional replies with a body too;
    `directions` tells the way of requests, where From and To are to be as in the first one.
    """

    def __init__(self, clock: Clock, tm: TransactionService, dialogs: DialogService | None) -> None:
        self.clock = clock
        self.dialogs = dialogs
        self.writers: Mapping[BackEnd, Writer] = {}
        self.early_media = False
        self.directions: RecordRouting | None = None
        self._tm = tm
        tm.watch(Moment.CREATED, self._created)
        tm.watch(Moment.CREATED_HERE, self._created)
        tm.watch(Moment.FAILURE, self._failed)
        tm.watch(Moment.REPLY_OUT, self._replied)
        tm.watch(Moment.ENDED, self._forgotten)
        if dialogs is not None:
            dialogs.watch(self._dialog_moved)
            dialogs.watch_requests(self._request_in_dialog)
            dialogs.keep_with(NAME, AccountPart(NAME))

    # -- accounts -------------------------------------------------------------------------------------------------

    def account(self, run: Run) -> Account | None:
        """The account of a run: its own, that of its transaction, or that of the call that it is in."""
        found: Account | None = run.data.get(NAME)
        if found is None and (transaction := self._tm.current(run)) is not None:
            found = transaction.data.get(NAME)
        return found or self.of_dialog(run)

    def of_dialog(self, run: Run) -> Account | None:
        """The account of the call that a run is in."""
        dialog = None if self.dialogs is None else self.dialogs.current(run)
        found = None if dialog is None else dialog.data.get(NAME)
        return found if isinstance(found, Account) else None

    def begin(self, run: Run) -> Account:
        """The account of a run, a new one where there is none."""
        found = self.account(run)
        if found is None:
            found = run.data[NAME] = Account(self.clock.time())
        return found

    def attach(self, run: Run, account: Account) -> None:
        """Let the transaction of a run, which is there or will be, be accounted."""
        run.data[NAME] = account
        transaction = self._tm.current(run)
        if transaction is not None:
            self._take(transaction, run, account)

    def _take(self, transaction: SipTransaction, run: Run, account: Account) -> None:
        transaction.data[NAME] = account
        if self.directions is not None:
            transaction.data[_UPSTREAM] = not self.directions.is_downstream(run)

    def party(self, run: Run) -> Party:
        """What the request of a run tells."""
        upstream = self.directions is not None and not self.directions.is_downstream(run)
        return Party.of(run.message, upstream=upstream)

    # -- transactions ---------------------------------------------------------------------------------------------

    def _created(self, happening: Happening) -> None:
        run = happening.run
        account = None if run is None else run.data.get(NAME)
        if run is not None and isinstance(account, Account) and account.wanted:
            self._take(happening.transaction, run, account)
        if run is not None and self.dialogs is not None:
            dialog = self.dialogs.current(run)
            if dialog is not None and _ENDS in dialog.data:
                happening.transaction.data[_CALL] = dialog

    def _failed(self, happening: Happening) -> None:
        account = happening.transaction.data.get(NAME)
        if isinstance(account, Account):
            self._miss(account, happening.transaction, happening.status, happening.message)

    def _miss(self, account: Account, transaction: SipTransaction, status: int, reply: Message | None) -> None:
        """A call is missed; the next one only when the script asks again."""
        backends = account.with_flag(Flag.MISSED)
        if transaction.request.method == "INVITE" and backends:
            account.drop(backends, (Flag.MISSED,))
            self._write(backends, account, self._record(Kind.MISSED, account, transaction, status, reply))

    def _replied(self, happening: Happening) -> None:
        transaction, status, reply = happening.transaction, happening.status, happening.message
        account = transaction.data.get(NAME)
        if status >= 200:
            self._forgotten(happening)
        if not isinstance(account, Account) or status < 101:
            return
        if status < 200:
            if self.early_media and reply is not None and reply.body:
                self._answered(account, transaction, status, reply, account.without_flag(Flag.CDR))
            return
        if not self._is_first(transaction, status, reply):
            return
        if status < 300:
            if transaction.request.method == "INVITE" and not account.answer[0]:
                account.answer = (status, _reason(status, reply), _to_tag(reply))
            self._answered(account, transaction, status, reply, account.without_flag(Flag.CDR))
            return
        self._miss(account, transaction, status, reply)
        self._answered(account, transaction, status, reply, account.with_flag(Flag.FAILED))

    def _is_first(self, transaction: SipTransaction, status: int, reply: Message | None) -> bool:
        """Whether a final reply is none that came again; forks may answer twice, each with its tag."""
        done: set[str] = transaction.data.setdefault(_DONE, set())
        tag = f"{status} {_to_tag(reply)}"
        if tag in done:
            return False
        done.add(tag)
        return True

    def _answered(
        self,
        account: Account,
        transaction: SipTransaction,
        status: int,
        reply: Message | None,
        backends: Iterable[BackEnd],
    ) -> None:
        self._write(backends, account, self._record(Kind.ANSWERED, account, transaction, status, reply))

    def _record(
        self, kind: Kind, account: Account, transaction: SipTransaction, status: int, reply: Message | None
    ) -> Record:
        upstream = bool(transaction.data.get(_UPSTREAM))
        return Record(
            kind,
            Party.of(transaction.request, _to_tag(reply), upstream=upstream),
            str(status),
            _reason(status, reply),
            self.clock.time(),
            account.created,
            extra=account.extra,
            legs=account.legs,
        )

    # -- calls ----------------------------------------------------------------------------------------------------

    def _dialog_moved(self, dialog: Dialog, old: DialogState) -> None:
        """A call has ended; by a BYE it has when that is answered, so that its route may still add values."""
        if dialog.state is not DialogState.DELETED or not dialog.started or NAME not in dialog.data:
            return
        dialog.data[_ENDS] = True
        if not (dialog.end_reason or "").endswith("BYE"):
            self._call_ended(dialog)

    def _request_in_dialog(self, run: Run, dialog: Dialog) -> None:
        if _ENDS in dialog.data:
            run.data.setdefault("at_end", []).append(lambda: self._run_ended(run, dialog))

    def _run_ended(self, run: Run, dialog: Dialog) -> None:
        """A BYE that got no transaction will not be answered."""
        if self._tm.current(run) is None:
            self._call_ended(dialog)

    def _forgotten(self, happening: Happening) -> None:
        dialog = happening.transaction.data.pop(_CALL, None)
        if isinstance(dialog, Dialog):
            self._call_ended(dialog)

    def _call_ended(self, dialog: Dialog) -> None:
        """Write the record of a call, once."""
        account = dialog.data.get(NAME)
        if dialog.data.pop(_ENDS, None) is None or not isinstance(account, Account):
            return
        status, reason, to_tag = account.answer
        callee = dialog.callee
        record = Record(
            Kind.CALL,
            Party("INVITE", dialog.caller.tag, to_tag or ("" if callee is None else callee.tag), dialog.call_id),
            str(status or 200),
            reason or REASONS[200],
            dialog.ended,
            account.created,
            dialog.started,
            dialog.ended,
            account.extra,
            account.legs,
        )
        self._write(account.with_flag(Flag.CDR), account, record)

    # -- writing --------------------------------------------------------------------------------------------------

    def _write(self, backends: Iterable[BackEnd], account: Account, record: Record) -> None:
        for backend in backends:
            writer = self.writers.get(backend)
            if writer is not None:
                writer.write(record, account.table)


def _reason(status: int, reply: Message | None) -> str:
    return REASONS.get(status, "") if reply is None else reply.reason or ""


def _to_tag(reply: Message | None) -> str:
    try:
        to = None if reply is None else reply.to
    except SipSyntaxError:
        return ""
    return (to.tag or "") if to is not None else ""
