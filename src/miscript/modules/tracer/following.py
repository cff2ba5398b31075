"""Finding the messages that belong to what is traced.

A trace hangs on the message of a run, on a transaction, on a dialog.  While anything is followed we see every message
that comes and goes (`Hooks.traffic`) and ask `tm` whose it is; otherwise we are not in the list and cost nothing.
Requests in a dialog that is followed are told of by `dialog` when it finds them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ...dialog_service import dialog_service
from ...script.runtime import Run
from ...services import Services
from ...sip.dialogs import Dialog, DialogState, Direction
from ...sip.message import Message
from ...sip.sockets import Target
from ...sip.syntax import SipSyntaxError
from ...sip_service import Traffic, sip_service
from ...transaction_service import Happening, Moment, SipTransaction, transaction_service
from .options import LocalAddress, Scope, Sides
from .records import Followed, Record, Trace

log = logging.getLogger("miscript.tracer")

NAME: Final = "tracer"
"""Where runs, transactions and dialogs keep their `Followed`."""

Write = Callable[[Sequence[Trace], Record, Sides], None]


class Following:
    """Hands what is seen to `write`, with the traces that want it.

    `local` replaces our own address in what is sent, and in what it is replied to.
    """

    def __init__(self, services: Services, write: Write) -> None:
        self.services = services
        self.local: LocalAddress | None = None
        self._write = write
        self._sip = sip_service(services)
        self._messages: dict[int, tuple[Message, Followed]] = {}
        self._dialogs: dict[str, list[Dialog]] = {}
        self._transactions = 0
        self._is_copy = False

    def init(self) -> None:
        """All modules are there: listen to them."""
        self._tm = transaction_service(self.services)
        if self._tm is not None:
            self._tm.watch(Moment.CREATED, self._created)
            self._tm.watch(Moment.CREATED_HERE, self._created_here)
            self._tm.watch(Moment.ENDED, self._ended)
        dialogs = dialog_service(self.services)
        if dialogs is not None:
            dialogs.watch_requests(self._in_dialog)
            dialogs.watch(self._dialog_changed)

    # -- what is followed -----------------------------------------------------------------------------------------

    def of(self, run: Run) -> Followed | None:
        """What is followed with the message of a run."""
        found: Followed | None = run.data.get(NAME)
        if found is None and self._tm is not None:
            transaction = self._tm.current(run)
            found = None if transaction is None else _followed(transaction.data)
        return found

    def follow(self, run: Run, trace: Trace) -> None:
        """Trace all that has to do with the message of a run: its transaction, or its reply without one."""
        followed = self.of(run)
        if followed is not None:
            followed.traces.append(trace)
        else:
            self._attach(run, Followed([trace]))

    def follow_next(self, run: Run, trace: Trace) -> None:
        """Trace the request that is sent when this local route is over."""
        transaction = None if self._tm is None else self._tm.current(run)
        if transaction is not None and NAME not in transaction.data:
            self._attach_to(transaction, Followed([trace], once=True))

    def follow_dialog(self, run: Run, trace: Trace) -> bool:
        """Trace a dialog from its INVITE on; False when there can be none."""
        dialogs = dialog_service(self.services)
        dialog = None if dialogs is None else dialogs.create(run)
        if dialog is None:
            return False
        followed = _followed(dialog.data)
        if followed is None:
            dialog.data[NAME] = Followed([trace])
            self._dialogs.setdefault(dialog.call_id, []).append(dialog)
        else:
            followed.traces.append(trace)
        self.follow(run, trace)
        return True

    def _attach(self, run: Run, followed: Followed) -> None:
        run.data[NAME] = followed
        message = run.message
        key = id(message)
        self._messages[key] = (message, followed)
        run.data.setdefault("at_end", []).append(lambda: self._run_ended(key, followed))
        transaction = None if self._tm is None else self._tm.current(run)
        if transaction is not None:
            self._attach_to(transaction, followed)
        self._listen()

    def _attach_to(self, transaction: SipTransaction, followed: Followed) -> None:
        if NAME not in transaction.data:
            self._transactions += 1
        transaction.data[NAME] = followed
        self._listen()

    def _run_ended(self, key: int, followed: Followed) -> None:
        found = self._messages.get(key)
        if found is not None and found[1] is followed:
            del self._messages[key]
            self._listen()

    def _listen(self) -> None:
        """See messages as long as some may be ours."""
        traffic = self._sip.hooks.traffic
        wanted = bool(self._transactions or self._messages)
        if wanted and self._seen not in traffic:
            traffic.append(self._seen)
        elif not wanted and self._seen in traffic:
            traffic.remove(self._seen)

    # -- what others tell -----------------------------------------------------------------------------------------

    def _created(self, happening: Happening) -> None:
        followed = None if happening.run is None else _followed(happening.run.data)
        if followed is None and happening.message is not None and happening.message.method == "CANCEL":
            followed = self._with_dialog(happening.message)
        if followed is not None:
            self._attach_to(happening.transaction, followed)

    def _with_dialog(self, cancel: Message) -> Followed | None:
        """A CANCEL is traced with the dialog of its INVITE, not with the transaction of it."""
        invite = None if self._tm is None else self._tm.cancelled(cancel)
        followed = None if invite is None else _followed(invite.data)
        traces = () if followed is None else _of_dialogs(followed.traces)
        return Followed(list(traces)) if traces else None

    def _created_here(self, happening: Happening) -> None:
        """A request of our own, such as the BYE of a dialog that is ended here."""
        message, data = happening.message, happening.transaction.data
        if message is None or NAME in data:
            return
        for dialog in self._dialogs.get(message.call_id or "", ()):
            tags = _tags(message)
            followed = _followed(dialog.data)
            if followed is not None and dialog.caller.tag in tags:
                turned = tags[1] == dialog.caller.tag
                self._attach_to(happening.transaction, Followed(followed.traces, turned))
                return

    def _ended(self, happening: Happening) -> None:
        if happening.transaction.data.pop(NAME, None) is not None:
            self._transactions -= 1
            self._listen()

    def _in_dialog(self, run: Run, dialog: Dialog) -> None:
        """A request of a dialog came."""
        of_dialog = _followed(dialog.data)
        if of_dialog is None:
            return
        dialogs = dialog_service(self.services)
        turned = dialogs is not None and dialogs.direction(run) is Direction.UPSTREAM
        already = self.of(run)
        missing = [trace for trace in of_dialog.traces if already is None or trace not in already.traces]
        if already is None:
            self._attach(run, Followed(list(of_dialog.traces), turned))
        else:
            already.traces.extend(missing)
            already.turned = turned
        self.received(run.message, missing, Sides.CALLEE if turned else Sides.CALLER)

    def _dialog_changed(self, dialog: Dialog, old: DialogState) -> None:
        if dialog.state is not DialogState.DELETED or NAME not in dialog.data:
            return
        same = self._dialogs.get(dialog.call_id, [])
        if dialog in same:
            same.remove(dialog)
            if not same:
                del self._dialogs[dialog.call_id]

    # -- messages -------------------------------------------------------------------------------------------------

    def received(self, message: Message, traces: Sequence[Trace], side: Sides) -> None:
        """Trace a message that a route is about, as it came."""
        received = message.received
        socket = received.socket
        destination = received.destination
        if socket is not None and socket.advertised_address is not None:
            destination = (socket.advertised_address, socket.told_port)
        record = Record.of(
            message,
            message.data,
            sent=False,
            transports=(received.transport, received.transport),
            source=received.source,
            destination=destination,
            time=self.services.clock.time(),
        )
        self._write(traces, record, side)

    def send_copy(self, data: bytes, target: Target) -> bool:
        """Send a message that is a trace itself, and so is not traced; False when it cannot be sent."""
        sender = self._sip.socket_for(target)
        self._is_copy = True
        try:
            return sender is not None and self._sip.send(data, target, sender)
        finally:
            self._is_copy = False

    def _seen(self, traffic: Traffic) -> None:
        """A message comes or goes."""
        if self._is_copy:
            return
        try:
            message = Message.parse(traffic.data)
        except SipSyntaxError:
            return
        about = None if traffic.about is None else self._messages.get(id(traffic.about))
        if about is None:
            traces, side = self._of_transaction(traffic, message)
        else:
            traces, side = about[1].traces, _side_without_transaction(message, about[1])
        if traces:
            self._write(traces, self._record(traffic, message), side)

    def _of_transaction(self, traffic: Traffic, message: Message) -> tuple[Sequence[Trace], Sides]:
        """The traces of the transaction that a message belongs to, and its side."""
        transaction = None if self._tm is None else self._tm.owner(message, sent=traffic.sent)
        followed = None if transaction is None else _followed(transaction.data)
        if transaction is None or followed is None:
            return (), Sides.BOTH
        traces = list(followed.traces)
        if followed.once:
            if not (traffic.sent and message.is_request):
                return (), Sides.BOTH
            followed.traces.clear()
        if message.method == "CANCEL" and not traffic.sent and transaction.request.method == "INVITE":
            traces = _of_dialogs(traces)
        from_caller = message.is_request != traffic.sent  # the server side of a transaction is that of its caller
        return traces, Sides.CALLER if from_caller != followed.turned else Sides.CALLEE

    def _record(self, traffic: Traffic, message: Message) -> Record:
        socket, transport = traffic.socket, traffic.socket.transport
        ours, our_transport = traffic.local, transport
        if socket.advertised_address is not None:
            ours = (socket.advertised_address, traffic.local[1] if traffic.sent else socket.told_port)
        if self.local is not None and (traffic.sent or not message.is_request):
            ours, our_transport = self.local.end, self.local.transport
        here, there = (ours, our_transport), (traffic.peer, transport)
        source, destination = (here, there) if traffic.sent else (there, here)
        return Record.of(
            message,
            traffic.data,
            sent=traffic.sent,
            transports=(source[1], destination[1]),
            source=source[0],
            destination=destination[0],
            time=self.services.clock.time(),
        )


def _side_without_transaction(message: Message, followed: Followed) -> Sides:
    """A request that is passed on goes to the callee; a reply knows no sides."""
    if not message.is_request:
        return Sides.BOTH
    return Sides.CALLER if followed.turned else Sides.CALLEE


def _of_dialogs(traces: Sequence[Trace]) -> list[Trace]:
    return [trace for trace in traces if trace.scope is Scope.DIALOG]


def _followed(data: Mapping[str, object]) -> Followed | None:
    found = data.get(NAME)
    return found if isinstance(found, Followed) else None


def _tags(message: Message) -> tuple[str, str]:
    """Tags of From and To; "" where there is none."""
    try:
        from_, to = message.from_, message.to
    except SipSyntaxError:
        return "", ""
    return (from_.tag or "" if from_ else ""), (to.tag or "" if to else "")
