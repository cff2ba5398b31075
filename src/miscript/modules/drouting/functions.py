"""Script functions of module drouting that choose where a request goes.

Source: OpenSIPS manual, module drouting, "Exported Functions"; observed return codes of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ...database import DatabaseError, Where
from ...exports import Writable, script_function
from ...script.runtime import Run
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...time_recurrence import TimeRecurrenceError, parse_time_recurrence
from .applying import (
    Fallback,
    Outputs,
    apply,
    attributes_now,
    next_hop,
    note_rule,
    request_of,
    uri_of,
)
from .destinations import BadList, parse_destinations
from .gateways import State
from .partitions import Partition
from .routing_data import Hop, Orders, RoutingData
from .rules import Rule

if TYPE_CHECKING:
    from .module_base import PartitionedModule as Base
else:
    Base = object

log = logging.getLogger("miscript.drouting")

NO_GROUP: Final = -1
ALL: Final = "*"

MAX_DEPTH: Final = 10
"""Routes of rules that call `do_routing` inside each other."""

DEPTH: Final = "drouting routes"

MOST_SITES: Final = "request failure branch local"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one call of `do_routing` asks for."""

    group: int | None
    flags: str
    whitelist: str
    outputs: Outputs

    @property
    def falls_back(self) -> bool:
        return "F" in self.flags

    @property
    def whole(self) -> bool:
        return "L" in self.flags

    @property
    def only_checks(self) -> bool:
        return "C" in self.flags


class RoutingFunctions(Base):
    """Choosing gateways by rule, by carrier or by name, and going on to the next one."""

    @script_function()
    def do_routing(
        self,
        run: Run,
        group: int | None = None,
        flags: str | None = None,
        gw_whitelist: str | None = None,
        rule_attrs: Writable | None = None,
        gw_attrs: Writable | None = None,
        carrier_attrs: Writable | None = None,
        partition: str | None = None,
    ) -> int | Awaitable[int]:
        """Send the request where the rules for its number lead; -1 when there is no rule or no gateway to use.

        `group` are the rules to look among, without it those of the caller's group. `flags`: F goes on with the next
        rule when all gateways of one have failed, L wants the whole number to be the prefix, C only looks whether
        there is a rule. `gw_whitelist` are the only gateways and carriers that may be used. The attributes of the
        rule, the gateway and the carrier go to the variables. `partition` is a partition, or * for the first in which
        there is a way.
        """
        wanted = Wanted(group, flags or "", gw_whitelist or "", Outputs(rule_attrs, gw_attrs, carrier_attrs))
        if partition == ALL and self.use_partitions:
            return self._route_anywhere(run, wanted)
        found = self.partition_for(partition, "do_routing")
        return -1 if found is None else self._route(run, found, wanted)

    async def _route_anywhere(self, run: Run, wanted: Wanted) -> int:
        for found in list(self.partitions.values()):
            code = self._route(run, found, wanted)
            if (code if isinstance(code, int) else await code) > 0:
                self.tell_partition(run, found)
                return 1
        return -1

    def _route(self, run: Run, partition: Partition, wanted: Wanted) -> int | Awaitable[int]:
        message, data = request_of(run), partition.data
        if message is None or data is None:
            log.error("do_routing: %s", "there is no request" if data else f"no data in partition '{partition.name}'")
            return -1
        base = uri_of(message)
        if base is None:
            log.error("do_routing: the Request-URI '%s' is none", message.uri)
            return -1
        if not wanted.only_checks:
            partition.avps.clear(run)
        if wanted.group is None or wanted.group == NO_GROUP:
            return self._route_caller(run, partition, wanted, base)
        return self._route_in_group(run, partition, wanted, base, wanted.group)

    async def _route_caller(self, run: Run, partition: Partition, wanted: Wanted, base: SipUri) -> int:
        group = await self._group_of_caller(run, partition)
        if group is None:
            return -1
        code = self._route_in_group(run, partition, wanted, base, group)
        return code if isinstance(code, int) else await code

    async def _group_of_caller(self, run: Run, partition: Partition) -> int | None:
        """The group of the user in From: of the table of groups, else `default_group`, else None."""
        message = request_of(run)
        try:
            caller = message.from_.sip_uri() if message is not None and message.from_ is not None else None
        except SipSyntaxError as error:
            log.error("do_routing: From cannot be read: %s", error)
            return None
        where = [Where(self.drg_user_col, (caller.user if caller else None) or "")]
        if self.use_domain:
            where.append(Where(self.drg_domain_col, caller.host if caller else ""))
        try:
            found = await partition.database.select(partition.names.groups, [self.drg_grpid_col], where, limit=1)
        except DatabaseError as error:
            log.error("do_routing: the group of the caller is not known: %s", error)
            return None
        if found.rows and isinstance(found.rows[0][0], int):
            return found.rows[0][0]
        if self.default_group != NO_GROUP:
            return self.default_group
        log.error("do_routing: the caller is in no group, and there is no default_group")
        return None

    def _route_in_group(
        self, run: Run, partition: Partition, wanted: Wanted, base: SipUri, group: int
    ) -> int | Awaitable[int]:
        data = partition.data
        if data is None:
            return -1
        rules = self._valid(data.rules.matches(group, base.user or "", whole=wanted.whole))
        return self._try_rules(run, partition, wanted, base, group, data, rules)

    def _try_rules(
        self,
        run: Run,
        partition: Partition,
        wanted: Wanted,
        base: SipUri,
        group: int,
        data: RoutingData,
        rules: Iterator[Rule],
    ) -> int | Awaitable[int]:
        """Use the first of `rules` that leads somewhere; without fall-back only the first one counts."""
        allowed = self._allowed(wanted.whitelist, data)
        for rule in rules:
            hops = [] if wanted.only_checks else data.hops_of_rule(rule, allowed, self.orders(partition))
            if rule.route and (hops or wanted.only_checks) and self.has_route(rule.route):
                return self._use_behind_route(run, partition, wanted, base, group, rule, hops)
            if hops or wanted.only_checks:
                return self._use(run, partition, wanted, base, group, rule, hops)
            if not wanted.falls_back:
                break
        log.info("do_routing: no gateway for '%s' in group %d", base.user or "", group)
        return -1

    async def _use_behind_route(
        self,
        run: Run,
        partition: Partition,
        wanted: Wanted,
        base: SipUri,
        group: int,
        rule: Rule,
        hops: Sequence[Hop],
    ) -> int:
        """Run the route of a rule, whatever it returns, then use the rule."""

        depth = run.data.get(DEPTH, 0)
        if depth >= MAX_DEPTH:
            log.error("rule %d: routes of rules call each other more than %d deep", rule.id, MAX_DEPTH)
            return -1

        def share(inner: Run) -> None:
            inner.avps, inner.flags = run.avps, run.flags
            inner.data.update((key, value) for key, value in run.data.items() if key != "at_end")
            inner.data[DEPTH] = depth + 1

        await self.services.routes.run_route("route", rule.route, message=run.message, prepare=share, within=run)
        return self._use(run, partition, wanted, base, group, rule, hops)

    def _use(
        self,
        run: Run,
        partition: Partition,
        wanted: Wanted,
        base: SipUri,
        group: int,
        rule: Rule,
        hops: Sequence[Hop],
    ) -> int:
        if wanted.only_checks:
            note_rule(run, partition.avps, rule)
            wanted.outputs.write(run, rule.attributes, None, None)
            return 1
        if not apply(run, partition, base, hops, rule):
            return -1
        if wanted.falls_back:
            state = Fallback(group, str(base), rule.prefix, rule.id, wanted.whitelist, wanted.whole)
            run.avps[partition.avps.fallback] = [str(state)]
        self._tell(run, wanted.outputs, hops[0], rule.attributes)
        return 1

    def _tell(self, run: Run, outputs: Outputs, hop: Hop, rule: str | None = None) -> None:
        carrier = hop.carrier.attributes if hop.carrier is not None else ""
        outputs.write(run, rule, hop.gateway.attributes, carrier)

    def _valid(self, rules: Iterator[Rule]) -> Iterator[Rule]:
        """Those of `rules` whose time is now."""
        now = self.services.clock.time()
        for rule in rules:
            try:
                if not rule.time_recurrence or parse_time_recurrence(rule.time_recurrence).matches(now):
                    yield rule
            except TimeRecurrenceError as error:  # cannot be: it has been read when it was loaded
                log.error("rule %d: %s", rule.id, error)

    def _allowed(self, whitelist: str, data: RoutingData) -> frozenset[tuple[str, bool]] | None:
        """The ids of a white list; None without one.  One that cannot be read allows nothing."""
        if not whitelist.strip():
            return None
        try:
            return frozenset((one.id, one.is_carrier) for one in parse_destinations(whitelist, data.id_characters))
        except BadList as error:
            log.error("do_routing: the white list allows nothing: %s", error)
            return frozenset()

    # -- going on -----------------------------------------------------------------------------------------------

    @script_function(routes=MOST_SITES)
    def use_next_gw(
        self,
        run: Run,
        rule_attrs: Writable | None = None,
        gw_attrs: Writable | None = None,
        carrier_attrs: Writable | None = None,
        partition: str | None = None,
    ) -> int | Awaitable[int]:
        """Send the request to the next gateway; -1 when there is no other one."""
        found = self.partition_for(partition, "use_next_gw")
        if found is None:
            return -1
        outputs = Outputs(rule_attrs, gw_attrs, carrier_attrs)
        if next_hop(run, found):
            outputs.write(run, *attributes_now(run, found.avps))
            return 1
        return self._fall_back(run, found, outputs)

    def _fall_back(self, run: Run, partition: Partition, outputs: Outputs) -> int | Awaitable[int]:
        """Go on with the rules behind the one whose gateways have all been tried."""
        kept, data = run.avps.pop(partition.avps.fallback, None), partition.data
        state = Fallback.read(kept[-1]) if kept else None
        if state is None or data is None:
            return -1
        try:
            base = SipUri.parse(state.uri)
        except SipSyntaxError:
            return -1
        rules = self._valid(_behind(data.rules.matches(state.group, base.user or "", whole=state.whole), state))
        wanted = Wanted(state.group, "FL" if state.whole else "F", state.whitelist, outputs)
        return self._try_rules(run, partition, wanted, base, state.group, data, rules)

    # -- by name ------------------------------------------------------------------------------------------------

    @script_function()
    def route_to_carrier(
        self,
        run: Run,
        carriers: str,
        gw_attrs: Writable | None = None,
        carrier_attrs: Writable | None = None,
        partition: str | None = None,
    ) -> int:
        """Send the request to the gateways of some carriers, whatever number it is for; -1 when there is none."""
        found = self.partition_for(partition, "route_to_carrier")
        if found is None or found.data is None:
            return -1
        found.avps.clear(run)
        hops: list[Hop] = []
        for id in (part.strip() for part in carriers.split(",")):
            carrier = found.data.carriers.get(id)
            if carrier is None:
                log.error("route_to_carrier: there is no carrier '%s'", id)
            else:
                hops += found.data.hops_of_carrier(carrier, self.orders(found))
        return self._go(run, found, hops, Outputs(None, gw_attrs, carrier_attrs))

    @script_function()
    def route_to_gw(
        self,
        run: Run,
        gw_id: str,
        gw_attrs: Writable | None = None,
        carrier_attrs: Writable | None = None,
        partition: str | None = None,
    ) -> int:
        """Send the request to the gateways that are listed; -1 when none of them can be used."""
        found = self.partition_for(partition, "route_to_gw")
        if found is None or found.data is None:
            return -1
        found.avps.clear(run)
        hops: list[Hop] = []
        for id in (part.strip() for part in gw_id.split(",")):
            gateway = found.data.gateways.get(id)
            if gateway is None:
                log.error("route_to_gw: there is no gateway '%s'", id)
            elif gateway.usable:
                hops.append(Hop(gateway))
        code = self._go(run, found, hops, Outputs(None, gw_attrs))
        if code > 0:
            carrier = found.data.carrier_of(hops[0].gateway)
            Outputs(carrier=carrier_attrs).write(run, None, None, carrier.attributes if carrier else "")
        return code

    def _go(self, run: Run, partition: Partition, hops: Sequence[Hop], outputs: Outputs) -> int:
        message = request_of(run)
        base = None if message is None else uri_of(message)
        if base is None or not hops or not apply(run, partition, base, hops):
            return -1
        self._tell(run, outputs, hops[0])
        return 1

    # -- looking only -------------------------------------------------------------------------------------------

    @script_function(routes="request failure reply branch local")
    def dr_match(
        self,
        run: Run,
        group: int,
        flags: str | None,
        number: str,
        rule_attrs: Writable | None = None,
        partition: str | None = None,
    ) -> int:
        """Whether a group has a rule for a number; L wants the whole number to be the prefix."""
        found = self.partition_for(partition, "dr_match")
        if found is None or found.data is None:
            return -1
        rule = self.first_rule(found.data, group, number, whole="L" in (flags or ""))
        if rule is None:
            return -1
        if found.avps.rule_prefix:
            run.avps[found.avps.rule_prefix] = [rule.prefix]
        Outputs(rule_attrs).write(run, rule.attributes, None, None)
        return 1

    @script_function(routes="request failure reply branch local")
    def dr_disable(self, run: Run, partition: str | None = None) -> int:
        """Use the gateway that was used last no more, until a probe or MI brings it back; -1 when there was none."""
        if partition == ALL and self.use_partitions:
            codes = [self._disable(run, found) for found in self.partitions.values()]
            return 1 if 1 in codes else -1
        found = self.partition_for(partition, "dr_disable")
        return -1 if found is None else self._disable(run, found)

    def _disable(self, run: Run, partition: Partition) -> int:
        ids = run.avps.get(partition.avps.gateway)
        if not ids or partition.data is None:
            return -1
        gateway = partition.data.gateways.get(str(ids[-1]))
        if gateway is not None and gateway.usable:
            partition.set_gateway(gateway, State.INACTIVE, "script dr_disable")
        return 1

    def first_rule(self, data: RoutingData, group: int, number: str, *, whole: bool = False) -> Rule | None:
        """The rule that a number of a group leads to now."""
        return next(self._valid(data.rules.matches(group, number, whole=whole)), None)

    def orders(self, partition: Partition) -> Orders:
        """How lists of this partition are put in order."""
        return Orders(partition.name, self.sorter)


def _behind(rules: Iterator[Rule], state: Fallback) -> Iterator[Rule]:
    """The rules behind the one that `state` names; when that one is gone, those with a shorter prefix."""
    passed = False
    for rule in rules:
        if len(rule.prefix) < len(state.prefix) or passed:
            yield rule
        elif len(rule.prefix) == len(state.prefix):
            passed = rule.id == state.rule
