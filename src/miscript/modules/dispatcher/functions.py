"""Functions of the script: choosing destinations, going on to the next one, marking and asking about them.

Source: OpenSIPS manual, module dispatcher, "Exported Functions"; observed return codes of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from ...exports import BoundNumber, BoundText, BoundVariable, bound_function
from ...read_arguments import read_once, told
from ...script.operations import number_argument, text_argument
from ...script.runtime import Run
from ...script.signatures import Argument
from ...sip.message import Message
from ...sip.sockets import ip_address
from ...sip.syntax import SipSyntaxError
from ...sip_service import sip_service
from ...variable_spec import VariableSpec
from .choosing import Chooser, Wishes
from .destinations import STATE_LETTERS, Destination, State, state_named
from .failover import aim, current, go_on, keep, socket_of
from .partition import Partition, Partitions, UnknownPartition

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

log = logging.getLogger("miscript.dispatcher")

MAX_PATTERN: Final = 256
"""Characters of a pattern for attributes."""

ALL_SETS: Final = -1
BY_SCRIPT: Final = "script function ds_mark()"
"""The reason that is told of a state."""


class DispatcherFunctions(Base):
    """What scripts call."""

    partitions: Partitions
    chooser: Chooser
    set_id_variable: VariableSpec | None

    # -- choosing -----------------------------------------------------------------------------------------------------

    @bound_function(routes="request failure branch local")
    def ds_select_dst(
        self,
        set: BoundNumber,
        alg: BoundNumber,
        flags: BoundText | None = None,
        partition: BoundText | None = None,
        max_res: BoundNumber | None = None,
    ) -> Callable[[Run], int | Awaitable[int]]:
        """Send the request to a destination of a set (it becomes `$du`): 1, or -1 when none can be chosen.

        Algorithms: 0 Call-ID, 1 URI of From, 2 URI of To, 3 Request-URI, 5 user of the credentials (without one as
        4), 7 `hash_pvar` choose by a hash, the same each time; 4 by turns, 6 by chance, by weight; 8 the first; 9 the
        lowest load by `pvar_algo_pattern`; 10 the lowest number of `algo_route`; others as 8.  Flags: f keep the
        others for `ds_next_dst()`, at most `max_res` with the first; u hash the user of a URI alone; d the last of
        the set comes at the end; a what was kept before comes after what is kept now.
        """
        return self._select("ds_select_dst", set, alg, flags, partition, max_res, domain=False)

    @bound_function(routes="request failure branch local")
    def ds_select_domain(
        self,
        set: BoundNumber,
        alg: BoundNumber,
        flags: BoundText | None = None,
        partition: BoundText | None = None,
        max_res: BoundNumber | None = None,
    ) -> Callable[[Run], int | Awaitable[int]]:
        """The same, and the host and port of the Request-URI become those of the destination."""
        return self._select("ds_select_domain", set, alg, flags, partition, max_res, domain=True)

    def _select(
        self,
        name: str,
        set: Argument,
        alg: Argument,
        flags: Argument | None,
        partition: Argument | None,
        max_res: Argument | None,
        *,
        domain: bool,
    ) -> Callable[[Run], int | Awaitable[int]]:
        wishes_of = read_once(flags, Wishes.parse, told(log, name))
        partition_of = self._partition(name, partition)

        def select(run: Run) -> int | Awaitable[int]:
            where, wishes = partition_of(run), wishes_of(run)
            set_id, number = number_argument(set.get(run)), number_argument(alg.get(run))
            limit = None if max_res is None else number_argument(max_res.get(run))
            message = run.message
            if where is None or wishes is None or not isinstance(message, Message):
                return -1
            within = where.set(set_id)
            if within is None:
                log.error("%s: partition '%s' has no set %d", name, where.name, set_id)
                return -1

            def take(found: list[Destination]) -> int:
                if not found:
                    return -1
                return self._take(name, run, message, where, found, wishes, domain)

            if self.chooser.route_of(number):

                async def ask() -> int:
                    return take(await self.chooser.ask_route(run, within, wishes, limit))

                return ask()
            return take(self.chooser.choose(run, within, number, wishes, limit))

        return select

    def _take(
        self,
        name: str,
        run: Run,
        message: Message,
        where: Partition,
        found: list[Destination],
        wishes: Wishes,
        domain: bool,
    ) -> int:
        try:
            aim(run, message, found[0].text, found[0].socket, domain)
        except SipSyntaxError as error:
            log.error("%s: %s", name, error)
            return -1
        found[0].first_hits += 1
        keep(run, where.avps, found, wishes)
        return 1

    @bound_function(routes="request failure")
    def ds_next_dst(self, partition: BoundText | None = None) -> Callable[[Run], int]:
        """Send the request to the next destination that was kept: 1, or -1 when none is left."""
        return self._next("ds_next_dst", partition, domain=False)

    @bound_function(routes="request failure")
    def ds_next_domain(self, partition: BoundText | None = None) -> Callable[[Run], int]:
        """The same with the host and port of the Request-URI."""
        return self._next("ds_next_domain", partition, domain=True)

    def _next(self, name: str, partition: Argument | None, *, domain: bool) -> Callable[[Run], int]:
        partition_of = self._partition(name, partition)

        def go(run: Run) -> int:
            where, message = partition_of(run), run.message
            if where is None or not isinstance(message, Message):
                return -1
            following = go_on(run, where.avps)
            if following is None:
                return -1
            text, socket = following
            try:
                aim(run, message, text, socket_of(sip_service(self.services), socket), domain)
            except SipSyntaxError as error:
                log.error("%s: %s", name, error)
                return -1
            return 1

        return go

    # -- states -------------------------------------------------------------------------------------------------------

    @bound_function(routes="request failure")
    def ds_mark_dst(self, state: BoundText | None = None, partition: BoundText | None = None) -> Callable[[Run], int]:
        """Give the current destination another state: i inactive (also without one), a active, p probing.

        Probing needs `ds_probing_threshold` calls.  1, or -1 when there is no current destination: only those that
        were chosen with the flag f are.
        """
        partition_of = self._partition("ds_mark_dst", partition)

        def mark(run: Run) -> int:
            wanted = State.INACTIVE if state is None else state_named(text_argument(state.get(run)))
            where = partition_of(run)
            if wanted is None or where is None:
                log.error("ds_mark_dst: unknown state, expected i, a or p")
                return -1
            here = current(run, where.avps)
            return 1 if here is not None and where.set_state(*here, wanted, BY_SCRIPT) else -1

        return mark

    @bound_function(routes="request failure branch local timer event")
    def ds_count(
        self,
        set: BoundNumber,
        state_filter: BoundText,
        res_var: BoundVariable,
        partition: BoundText | None = None,
    ) -> Callable[[Run], int]:
        """Count the destinations of a set in some states (letters of a, i, p): 1, or -1 when there is no such set."""
        partition_of = self._partition("ds_count", partition)
        states_of = read_once(state_filter, _states, told(log, "ds_count"))
        variable = res_var.variable
        assert variable is not None

        def count(run: Run) -> int:
            where, states = partition_of(run), states_of(run)
            within = None if where is None else where.set(number_argument(set.get(run)))
            if states is None or within is None:
                return -1
            return 1 if variable.set(run, sum(one.state in states for one in within.destinations)) else -1

        return count

    # -- asking -------------------------------------------------------------------------------------------------------

    @bound_function(routes="request failure reply branch local")
    def ds_is_in_list(
        self,
        ip: BoundText,
        port: BoundNumber,
        set: BoundNumber | None = None,
        partition: BoundText | None = None,
        active_only: BoundNumber | None = None,
        pattern: BoundText | None = None,
    ) -> Callable[[Run], int]:
        """Whether an address is that of a destination: 1 or -1.

        Port 0 is any, set -1 (or none) is all of them, and then `setid_pvar` gets the set; `active_only` asks only
        those in service, `pattern` (with * and ?) only those whose attributes match.  The attributes of the one found
        are in `attrs_avp`.
        """
        partition_of = self._partition("ds_is_in_list", partition)

        def is_in_list(run: Run) -> int:
            where, address = partition_of(run), ip_address(text_argument(ip.get(run)))
            glob = None if pattern is None else text_argument(pattern.get(run))
            if where is None or address is None or (glob is not None and len(glob) > MAX_PATTERN):
                log.error("ds_is_in_list: no partition, no IP address, or a pattern above %d characters", MAX_PATTERN)
                return -1
            number = number_argument(port.get(run))
            wanted = ALL_SETS if set is None else number_argument(set.get(run))
            active = active_only is not None and number_argument(active_only.get(run)) != 0
            for one in where.at_address(address):
                if (
                    wanted in (ALL_SETS, one.set_id)
                    and one.is_at(address, number)
                    and (one.active or not active)
                    and (glob is None or (one.attributes and fnmatchcase(one.attributes, glob)))
                ):
                    return self._found(run, where, one, wanted == ALL_SETS)
            return -1

        return is_in_list

    def _found(self, run: Run, where: Partition, one: Destination, tell_set: bool) -> int:
        if tell_set and self.set_id_variable is not None:
            self.set_id_variable.set(run, one.set_id)
        if where.avps.attributes is not None:
            run.avps.setdefault(where.avps.attributes, []).append(one.attributes)
        return 1

    @bound_function()
    def ds_push_script_attrs(
        self,
        script_attr: BoundText,
        ip: BoundText,
        port: BoundNumber,
        set: BoundNumber | None = None,
        partition: BoundText | None = None,
    ) -> Callable[[Run], int]:
        """Note a text with the destinations at an address (port 0 is any), of a set or of all.

        1, also when there is none; -1 when the address is none.
        """
        partition_of = self._partition("ds_push_script_attrs", partition)

        def push(run: Run) -> int:
            where, address = partition_of(run), ip_address(text_argument(ip.get(run)))
            if where is None or address is None:
                log.error("ds_push_script_attrs: no such partition, or '%s' is no IP address", ip.get(run))
                return -1
            set_id = None if set is None else number_argument(set.get(run))
            where.push_attributes(text_argument(script_attr.get(run)), address, number_argument(port.get(run)), set_id)
            return 1

        return push

    @bound_function()
    def ds_get_script_attrs(
        self, uri: BoundText, set: BoundNumber, partition: BoundText | None, out_attrs: BoundVariable
    ) -> Callable[[Run], int]:
        """Write the text that is noted with a destination to a variable: 1, or -1 when there is no such destination."""
        partition_of = self._partition("ds_get_script_attrs", partition)
        variable = out_attrs.variable
        assert variable is not None

        def get(run: Run) -> int:
            where = partition_of(run)
            within = None if where is None else where.set(number_argument(set.get(run)))
            one = None if within is None else within.find(text_argument(uri.get(run)))
            return 1 if one is not None and variable.set(run, one.script_attributes) else -1

        return get

    # -- arguments ----------------------------------------------------------------------------------------------------

    def _partition(self, name: str, argument: Argument | None) -> Callable[[Run], Partition | None]:
        """The partition of a call; None, with a line in the log, for an unknown one.

        Raises ConfigurationError when the script writes out one that is unknown.
        """

        def known(text: str) -> Partition:
            try:
                return self.partitions.named(text)
            except UnknownPartition as error:
                raise ValueError(str(error)) from error

        return read_once(argument, known, told(log, name), null="")


def _states(text: str) -> frozenset[State]:
    """The states that letters name, all of them when there are none.  Raises ValueError."""
    letters = text.lower().replace(" ", "")
    wrong = next((letter for letter in letters if letter not in STATE_LETTERS), None)
    if wrong is not None:
        raise ValueError(f"'{wrong}' is no state, expected letters of a, i and p")
    return frozenset(STATE_LETTERS[letter] for letter in letters) or frozenset(State)
