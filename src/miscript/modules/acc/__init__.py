"""Module acc: records of transactions and calls, in the log, as events, in a database.

A script says with `do_accounting()` what it wants of a request (`accounts`); the records are written when replies go
out and calls end (`watching`), and `backends` has the places where they go.  There is no AAA back end.

What is accounted of a call, and the values that scripts add, live with its dialog, and end with this process.

Source: OpenSIPS manual, module acc; observed records of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from ...database import DatabaseError, database_at, url_or_default
from ...dialog_service import dialog_service
from ...errors import ConfigurationError
from ...exports import BoundText, Module, Variable, bound_function, parameter, script_function, variable
from ...log_levels import python_level
from ...read_arguments import read_once, told
from ...record_routing import record_routing
from ...script.nodes import Index, Template
from ...script.runtime import Run
from ...script.signatures import Argument, Binder
from ...services import Services
from ...sip.message import Message
from ...transaction_service import transaction_service
from ...values import Value, text_of
from .accounts import MAX_LEGS, Account, BackEnd, Fields, Flag, parse_backends, parse_flags
from .backends import FACILITIES, DatabaseWriter, EventWriter, LogWriter, Writer
from .records import CDR_EVENT, EVENT, MISSED_EVENT, Columns, Kind, Record, parse_comment
from .variables import ExtraAccess, LegAccess
from .watching import NAME, Watching

__all__ = ["Acc"]

log = logging.getLogger("miscript.acc")

ROUTES = "request failure branch local"
STASH = "acc before"
"""Where a run keeps its account while that of another dialog is loaded."""

T = TypeVar("T")


class Acc(Module):
    """Records of transactions and calls."""

    name = "acc"
    needs = ("tm",)
    events = (EVENT, CDR_EVENT, MISSED_EVENT)

    early_media = parameter(0, "1: provisional replies with a body are accounted too.")
    report_cancels = parameter(0, "1: do_accounting() works for CANCEL too.")
    detect_direction = parameter(0, "1: From and To of requests in a dialog are told as in its first one; needs rr.")
    log_level = parameter(2, "Log level of records, L_NOTICE.")
    log_facility = parameter("", "Facility of syslog that records go to beside miscript's own log, such as LOG_LOCAL0.")
    aaa_url = parameter("", "An AAA server; not available, must be empty.")
    service_type = parameter(0, "For AAA servers; it means nothing here.")
    extra_fields = parameter((), "Values that scripts add: BACKEND: TAG->NAME; TAG", kinds="string", repeatable=True)
    leg_fields = parameter((), "Values that scripts add for each leg of a call.", kinds="string", repeatable=True)
    db_url = parameter("", "The database of records; without one there are none there.")
    db_table_acc = parameter("acc", "Table of transactions and calls.")
    db_table_missed_calls = parameter("missed_calls", "Table of missed calls.")
    db_table_avp = parameter("", "Has no effect here, as in the server: do_accounting() takes a table.")
    acc_method_column = parameter("method", "Name of a column.")
    acc_from_tag_column = parameter("from_tag", "Name of a column.")
    acc_to_tag_column = parameter("to_tag", "Name of a column.")
    acc_callid_column = parameter("callid", "Name of a column.")
    acc_sip_code_column = parameter("sip_code", "Name of a column.")
    acc_sip_reason_column = parameter("sip_reason", "Name of a column.")
    acc_time_column = parameter("time", "Name of a column.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.extra = Fields()
        self.legs = Fields()
        self._watching: Watching | None = None
        self._log: LogWriter | None = None
        self._events: EventWriter | None = None
        self._database: DatabaseWriter | None = None

    def init(self) -> None:
        if self.aaa_url:
            raise ConfigurationError("aaa_url: AAA servers are not available yet", parameter="aaa_url")
        if self.log_facility and self.log_facility not in FACILITIES:
            raise ConfigurationError(
                f"log_facility is '{self.log_facility}', expected one of {', '.join(FACILITIES)}",
                parameter="log_facility",
            )
        self.extra = _checked("extra_fields", Fields, self.extra_fields)
        self.legs = _checked("leg_fields", Fields, self.leg_fields)
        self._log = LogWriter(self.extra, self.legs, python_level(self.log_level), FACILITIES.get(self.log_facility))
        self._events = EventWriter(self.extra, self.legs, self.services.events)
        url = url_or_default(self.db_url, self.services.parameters)
        if url:
            self._database = self._opened(url)
        self._watch()

    def _opened(self, url: str) -> DatabaseWriter:
        columns = Columns(
            self.acc_method_column,
            self.acc_from_tag_column,
            self.acc_to_tag_column,
            self.acc_callid_column,
            self.acc_sip_code_column,
            self.acc_sip_reason_column,
            self.acc_time_column,
        )
        database = database_at(self.services.find, url)
        return DatabaseWriter(self.extra, self.legs, database, columns, self.db_table_acc, self.db_table_missed_calls)

    def _watch(self) -> None:
        tm = transaction_service(self.services)
        assert tm is not None, "the module needs tm"
        watching = self._watching = Watching(self.services.clock, tm, dialog_service(self.services))
        writers: dict[BackEnd, Writer | None] = {
            BackEnd.LOG: self._log,
            BackEnd.EVENT: self._events,
            BackEnd.DATABASE: self._database,
        }
        watching.writers = {backend: writer for backend, writer in writers.items() if writer is not None}
        watching.early_media = bool(self.early_media)
        if self.detect_direction:
            watching.directions = record_routing(self.services)
            if watching.directions is None:
                raise ConfigurationError("detect_direction needs module rr", parameter="detect_direction")

    @property
    def watching(self) -> Watching:
        assert self._watching is not None, "init() makes it"
        return self._watching

    async def start(self) -> None:
        if self._log is not None:
            self._log.start()
        if self._database is not None:
            self.services.tasks.spawn(self._database.run(), "the records for the database")

    async def stop(self) -> None:
        if self._log is not None:
            self._log.stop()
        if self._database is not None:
            await self._database.stop()

    # -- what is wanted -------------------------------------------------------------------------------------------

    @bound_function(routes=ROUTES)
    def do_accounting(
        self, type: BoundText, flags: BoundText | None = None, table: BoundText | None = None
    ) -> Callable[[Run], int]:
        """Account the transaction of this request when it is answered.

        `type`: `log`, `db`, `evi`, with `|` between.  `flags`: `cdr` (one record of the whole call when it ends, in
        place of those of its requests), `missed` (a call that failed, once), `failed` (also when the final reply is
        a negative one).  `table` is another one for the database.  Called again, it adds up.
        """
        backends = _bound("do_accounting", type, parse_backends, self._check_backends)
        chosen = _bound("do_accounting", flags, parse_flags, self._check_flags)

        def account(run: Run) -> int:
            message, to, what = run.message, backends(run), chosen(run)
            if not isinstance(message, Message) or not message.is_request or to is None or what is None:
                return -1
            if message.method == "CANCEL" and not self.report_cancels:
                return 1
            return self._begin(run, to, what, _text(run, table))

        return account

    def _begin(self, run: Run, to: frozenset[BackEnd], what: frozenset[Flag], table: str) -> int:
        account = self.watching.begin(run)
        if Flag.CDR in what and run.message.method == "INVITE" and not self._join(run, account):
            return -1
        account.want(to, what)
        account.table = table or account.table
        self.watching.attach(run, account)
        return 1

    def _join(self, run: Run, account: Account) -> bool:
        """Let the dialog of a call, made now when there is none, keep its account."""
        dialogs = self.watching.dialogs
        dialog = None if dialogs is None else dialogs.create(run)
        if dialog is None:
            log.error("do_accounting: there is no dialog for a record of the call")
            return False
        dialog.data.setdefault(NAME, account)
        return True

    def _check_backends(self, found: frozenset[BackEnd]) -> None:
        if BackEnd.DATABASE in found and self._database is None:
            raise ValueError("'db' needs db_url")
        if BackEnd.AAA in found:
            raise ValueError("'aaa' is not available yet")

    def _check_flags(self, found: frozenset[Flag]) -> None:
        if Flag.CDR in found and dialog_service(self.services) is None:
            raise ValueError("'cdr' needs module dialog")

    @bound_function(routes=ROUTES)
    def drop_accounting(self, type: BoundText | None = None, flags: BoundText | None = None) -> Callable[[Run], int]:
        """Take back what do_accounting() said: all of it, that of some types, or only flags of theirs."""
        everywhere = frozenset(BackEnd)
        backends = _bound("drop_accounting", type, parse_backends)
        chosen = _bound("drop_accounting", flags, parse_flags)

        def drop(run: Run) -> int:
            account, to, what = self.watching.account(run), backends(run), chosen(run)
            if account is None or to is None or what is None:
                return -1
            account.drop(to or everywhere, what)
            return 1

        return drop

    # -- records at once ------------------------------------------------------------------------------------------

    def _request(self, run: Run, comment: str) -> Record | None:
        if not isinstance(run.message, Message):
            return None
        account = self.watching.account(run)
        now = self.services.clock.time()
        code, reason = parse_comment(comment)
        return Record(
            Kind.REQUEST,
            self.watching.party(run),
            code,
            reason,
            now,
            now if account is None else account.created,
            extra={} if account is None else account.extra,
            legs=({},) if account is None else account.legs,
        )

    @script_function(routes=ROUTES)
    def acc_log_request(self, run: Run, comment: str) -> int:
        """Write a record of the request to the log; `comment` is a code and a reason, such as `404 Not found`."""
        return self._told(run, comment, self._log)

    @script_function(routes=ROUTES)
    def acc_evi_request(self, run: Run, comment: str) -> int:
        """The same as an event: E_ACC_EVENT with a code below 300, else E_ACC_MISSED_EVENT."""
        return self._told(run, comment, self._events)

    @script_function(routes=ROUTES)
    async def acc_db_request(self, run: Run, comment: str, table: str) -> int:
        """The same in a table of the database; -1 when it cannot be written."""
        record = self._request(run, comment)
        if self._database is None or record is None:
            log.error("acc_db_request: there is no database, db_url is not set")
            return -1
        try:
            await self._database.write_now(record, table)
        except DatabaseError as error:
            log.error("acc_db_request: %s", error)
            return -1
        return 1

    @script_function(routes=ROUTES)
    def acc_aaa_request(self, run: Run, comment: str) -> int:
        """The same for an AAA server, of which there is none: -1."""
        log.error("acc_aaa_request: AAA servers are not available yet")
        return -1

    def _told(self, run: Run, comment: str, writer: Writer | None) -> int:
        record = self._request(run, comment)
        if record is None or writer is None:
            return -1
        writer.write(record)
        return 1

    # -- legs and other calls -------------------------------------------------------------------------------------

    @script_function(routes=ROUTES)
    def acc_new_leg(self, run: Run) -> int:
        """Begin another leg of the call, with values of its own; -1 without do_accounting() or leg_fields."""
        account = self.watching.account(run)
        if account is None or not self.legs.tags:
            log.error("acc_new_leg: there are no leg_fields, or do_accounting() was not called")
            return -1
        if len(account.legs) >= MAX_LEGS:
            log.error("acc_new_leg: a call has %d legs already", MAX_LEGS)
            return -1
        account.legs.append({})
        return 1

    @script_function()
    def acc_load_ctx_from_dlg(self, run: Run) -> int:
        """Let the variables speak of the dialog that load_dialog_ctx() has loaded; -1 when it is not accounted."""
        found = self.watching.of_dialog(run)
        if found is None or STASH in run.data:
            log.error("acc_load_ctx_from_dlg: there is no account of a dialog, or one is loaded already")
            return -1
        run.data[STASH] = run.data.get(NAME)
        run.data[NAME] = found
        return 1

    @script_function()
    def acc_unload_ctx_from_dlg(self, run: Run) -> int:
        """End what acc_load_ctx_from_dlg() has begun."""
        if STASH not in run.data:
            log.error("acc_unload_ctx_from_dlg: nothing is loaded")
            return -1
        before = run.data.pop(STASH)
        if before is None:
            del run.data[NAME]
        else:
            run.data[NAME] = before
        return 1

    # -- variables ------------------------------------------------------------------------------------------------

    @variable("acc_extra", inner="required", binds=True)
    def extra_value(self, inner: Template | None, index: Index | None, binder: Binder) -> Variable:
        """A value that stands in records, by its tag in `extra_fields`; it stays until the record is written."""
        return ExtraAccess(self.watching, _tag(inner, self.extra, "extra_fields", binder), self.extra)

    @variable("acc_leg", inner="required", index=True, binds=True)
    def leg_value(self, inner: Template | None, index: Index | None, binder: Binder) -> Variable:
        """The same for one leg of the call, by its tag in `leg_fields`; the last leg without an index."""
        place = None if index is None else binder.index(index)
        return LegAccess(self.watching, _tag(inner, self.legs, "leg_fields", binder), self.legs, place)

    @variable("acc_current_leg")
    def current_leg(self, run: Run) -> Value:
        """The number of the last leg, from 0; NULL without do_accounting() or leg_fields."""
        account = self.watching.account(run)
        return None if account is None or not self.legs.tags else len(account.legs) - 1


def _tag(inner: Template | None, fields: Fields, parameter: str, binder: Binder) -> Callable[[Run], str]:
    """The tag between parentheses.  Raises ValueError for one that is written out and not known."""
    if inner is None:
        raise ValueError("expected a tag in parentheses")
    text = inner.constant
    if text is None:
        return binder.template(inner)
    tag = text.strip()
    if tag not in fields.tags:
        raise ValueError(f"there is no tag '{tag}' in {parameter}")
    return lambda run: tag


def _checked(name: str, read: Callable[[Sequence[str]], T], texts: Sequence[str]) -> T:
    try:
        return read(texts)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}", parameter=name) from error


def _bound(
    function: str,
    argument: Argument | None,
    read: Callable[[str], frozenset[T]],
    check: Callable[[frozenset[T]], None] = lambda found: None,
) -> Callable[[Run], frozenset[T] | None]:
    """An argument that is checked when the script is compiled where it is written out; nothing when left out."""

    def checked(text: str) -> frozenset[T]:
        found = read(text)
        check(found)
        return found

    if argument is None:
        return lambda run: frozenset()

    return read_once(argument, checked, told(log, function))


def _text(run: Run, argument: Argument | None) -> str:
    value = None if argument is None else argument.get(run)
    return "" if value is None else text_of(value)
