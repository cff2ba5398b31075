"""Functions of the script: sessions of calls, the status of destinations, and calls that are counted only.

Source: OpenSIPS manual, module load_balancer, "Exported Functions"; observed return codes of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...dialog_service import DialogService
from ...exports import BoundNumber, BoundText, BoundVariable, Variable, bound_function, script_function
from ...read_arguments import read_once, told
from ...script.operations import number_argument, text_argument
from ...script.runtime import Run
from ...script.signatures import Argument
from ...sip.message import Message
from ...sip.sockets import ip_address
from .balancer import INTERNAL, KEY, Balancer, Call, Session
from .destinations import ALL_GROUPS, Destination, Wishes, parse_resources

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

log = logging.getLogger("miscript.load_balancer")

ROUTES = "request failure branch"


class LoadBalancerFunctions(Base):
    """What scripts call."""

    balancer: Balancer
    dialogs: DialogService

    # -- sessions -----------------------------------------------------------------------------------------------------

    @bound_function(routes=ROUTES)
    def lb_start(
        self,
        grp: BoundNumber,
        resources: BoundText,
        flags: BoundText | None = None,
        attrs: BoundVariable | None = None,
    ) -> Callable[[Run], int]:
        """Start a session: send the call to the destination of a group that has most room for what it needs.

        1 (`$du` is the destination), -1 the request makes no dialog, -2 no room, -3 no destination, -4 unknown
        resources.  Flags: n also destinations without room, r by the share that is free, s any of the best.
        """
        return self._start("lb_start", grp, resources, flags, attrs)

    @bound_function(routes=ROUTES)
    def lb_start_or_next(
        self,
        grp: BoundNumber,
        resources: BoundText,
        flags: BoundText | None = None,
        attrs: BoundVariable | None = None,
    ) -> Callable[[Run], int]:
        """`lb_start()`, or `lb_next()` where there is a session."""
        return self._start("lb_start_or_next", grp, resources, flags, attrs, or_next=True)

    @bound_function(routes=ROUTES)
    def load_balance(
        self,
        grp: BoundNumber,
        resources: BoundText,
        flags: BoundText | None = None,
        attrs: BoundVariable | None = None,
    ) -> Callable[[Run], int]:
        """The old name of `lb_start_or_next()`."""
        return self._start("load_balance", grp, resources, flags, attrs, or_next=True)

    def _start(
        self,
        name: str,
        grp: Argument,
        resources: Argument,
        flags: Argument | None,
        attrs: Argument | None,
        *,
        or_next: bool = False,
    ) -> Callable[[Run], int]:
        names_of = read_once(resources, parse_resources, told(log, name))
        wishes_of = read_once(flags, Wishes.parse, told(log, name))

        def start(run: Run) -> int:
            names, wishes, call = names_of(run), wishes_of(run), self._call(name, run)
            if names is None or wishes is None or call is None:
                return INTERNAL
            if or_next and call.session is not None:
                return self._sent(run, *self.balancer.go_on(call), attrs)
            session = Session(number_argument(grp.get(run)), names, wishes)
            return self._sent(run, *self.balancer.begin(call, session), attrs)

        return start

    @bound_function(routes=ROUTES)
    def lb_next(self, attrs: BoundVariable | None = None) -> Callable[[Run], int]:
        """Send the call to the next destination of its session; codes as of `lb_start()`, -1 without a session."""

        def go_on(run: Run) -> int:
            call = self._existing(run)
            if call is None or call.session is None:
                log.error("lb_next: there is no session")
                return INTERNAL
            return self._sent(run, *self.balancer.go_on(call), attrs)

        return go_on

    def _sent(self, run: Run, code: int, found: Destination | None, attrs: Argument | None) -> int:
        if found is None:
            return code
        run.message.branch.destination = found.uri
        if attrs is not None and attrs.variable is not None:
            attrs.variable.set(run, found.attributes)
        return code

    @script_function(routes=ROUTES)
    def lb_reset(self, run: Run) -> int:
        """End the session of the call."""
        call = self._existing(run)
        if call is not None:
            self.balancer.end(call)
        return 1

    @script_function(routes=ROUTES)
    def lb_is_started(self, run: Run) -> int:
        """Whether the call has a session: 1 or -1."""
        call = self._existing(run)
        return 1 if call is not None and call.session is not None else -1

    @script_function(routes=ROUTES)
    def lb_disable_dst(self, run: Run) -> int:
        """Take the destination of the call out of service, until a probe or a command brings it back; -1 without."""
        call = self._existing(run)
        current = None if call is None or call.session is None else call.session.current
        found = None if current is None else self.balancer.find(current)
        if found is None:
            return -1
        self.balancer.set_enabled(found, False)
        return 1

    # -- asking and counting ------------------------------------------------------------------------------------------

    @script_function(routes="request failure reply branch local")
    def lb_is_destination(
        self, run: Run, ip: str, port: int, group: int = ALL_GROUPS, active: int = 0, attrs: Variable | None = None
    ) -> int:
        """Whether an address is that of a destination, of a group or of any; port 0 is any, `active` 1 in service."""
        address = ip_address(ip)
        if address is None:
            log.error("lb_is_destination: '%s' is no IP address", ip)
            return -1
        for one in self.balancer:
            if one.in_group(group) and (one.enabled or not active) and one.is_at(address, port):
                if attrs is not None:
                    attrs.set(run, one.attributes)
                return 1
        return -1

    @bound_function(routes=ROUTES)
    def lb_count_call(
        self,
        ip: BoundText,
        port: BoundNumber,
        grp: BoundNumber,
        resources: BoundText,
        undo: BoundNumber | None = None,
    ) -> Callable[[Run], int]:
        """Count the call for the destination at an address, or with `undo` 1 no more; -1 when there is none.

        Group -1 is any.
        """
        names_of = read_once(resources, parse_resources, told(log, "lb_count_call"))

        def count(run: Run) -> int:
            names, address = names_of(run), ip_address(text_argument(ip.get(run)))
            number, group = number_argument(port.get(run)), number_argument(grp.get(run))
            if names is None or address is None:
                return -1
            found = next((one for one in self.balancer if one.in_group(group) and one.is_at(address, number)), None)
            call = self._call("lb_count_call", run) if self.balancer.knows(names) and found is not None else None
            if call is None or found is None:
                log.error("lb_count_call: unknown resources, or no destination at '%s', port %d", address, number)
                return -1
            if undo is not None and number_argument(undo.get(run)):
                self.balancer.uncount(call, found, names)
            else:
                self.balancer.count(call, found, names)
            return 1

        return count

    # -- the call -----------------------------------------------------------------------------------------------------

    def _call(self, name: str, run: Run) -> Call | None:
        """What the dialog of a run keeps; the dialog is made where there is none."""
        dialog = self.dialogs.current(run) or self.dialogs.create(run)
        if dialog is None or not isinstance(run.message, Message):
            log.error("%s: the request makes no dialog, so nothing can be counted", name)
            return None
        return self.balancer.call(dialog)

    def _existing(self, run: Run) -> Call | None:
        dialog = self.dialogs.current(run)
        call = None if dialog is None else dialog.data.get(KEY)
        return call if isinstance(call, Call) else None
