"""Variables of `tm`: the transaction of a route, and its branches.

Source: OpenSIPS manual, module tm, "Exported Pseudo-Variables"; observed values of OpenSIPS 4.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...exports import variable
from ...script.access import SimpleAccess, name_of
from ...script.avps import avp_assign, avp_at, avp_text
from ...script.nodes import ActiveIndex, Index, Template
from ...script.runtime import Run
from ...script.signatures import Binder, VariableAccess
from ...sip.branch import NO_Q, Branch
from ...sip.message import Message
from ...values import NumberWithText, Value
from .engine import Engine, context
from .functions import reply_code
from .transaction import ClientBranch

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

BRANCH_KINDS = ("branch_route", "onreply_route", "failure_route")


class TmVariables(Base):
    """What scripts read of a transaction."""

    engine: Engine

    @variable("T_id")
    def transaction_id(self, run: Run) -> Value:
        """The id of the transaction; NULL without one."""
        transaction = context(run).transaction
        return None if transaction is None else transaction.id

    @variable("T_branch_idx")
    def branch_index(self, run: Run) -> Value:
        """The number of the branch that a branch or reply route is about, in a failure route of the last that ended."""
        here = context(run)
        branch = here.last or here.branch
        return None if branch is None else branch.index

    @variable("T_reply_code")
    def reply_code(self, run: Run) -> Value:
        """Status of the last reply sent, of this reply, or of the one that made the failure; 0 without one."""
        return reply_code(run)

    @variable("T_ruri")
    def branch_uri(self, run: Run) -> Value:
        """The Request-URI of the current branch, without one that of the last branch; that of a request without a
        transaction."""
        here = context(run)
        if here.transaction is None and run.message is not None:
            return run.message.uri if run.message.is_request else None
        branch = here.branch
        if branch is None and here.transaction is not None and here.transaction.branches:
            branch = here.transaction.branches[-1]
        return _uri_of(branch) if isinstance(branch, ClientBranch) else None

    @variable("T_fr_timeout")
    def reply_seconds(self, run: Run) -> Value:
        """Seconds to wait for a reply; NULL brings the parameter's value back."""
        own = context(run).armed.reply_seconds
        return int(self.engine.base.reply) if own is None else own

    @reply_seconds.setter
    def set_reply_seconds(self, run: Run, value: Value) -> bool:
        if isinstance(value, str) or (value is not None and value <= 0):
            return False
        context(run).armed.reply_seconds = value
        self._renew(run)
        return True

    @variable("T_fr_inv_timeout")
    def ringing_seconds(self, run: Run) -> Value:
        """Seconds to wait for the final reply of an INVITE that rings; NULL brings the parameter's value back."""
        own = context(run).armed.ringing_seconds
        return int(self.engine.base.ringing) if own is None else own

    @ringing_seconds.setter
    def set_ringing_seconds(self, run: Run, value: Value) -> bool:
        if isinstance(value, str) or (value is not None and value <= 0):
            return False
        context(run).armed.ringing_seconds = value
        self._renew(run)
        return True

    def _renew(self, run: Run) -> None:
        """Branches that are under way take the new times with their next timer."""
        transaction = context(run).transaction
        if transaction is not None:
            timers = transaction.timers(self.engine.base)
            transaction.machine.timers = timers
            for branch in transaction.pending:
                branch.machine.timers = timers
                if run.kind == "onreply_route" and branch is context(run).branch:
                    branch.machine.give_up_at(self.engine.now + timers.ringing)

    @variable("T_branch_last_reply_code", index=True, binds=True)
    def last_reply_code(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """Status of the last reply of a branch: that of the index, else the current one."""
        return _of_branch(index, binder, lambda branch: branch.status or None)

    @variable("tm.branch.uri", index=True, binds=True)
    def uri_of_branch(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The Request-URI of a branch."""
        return _of_branch(index, binder, _uri_of)

    @variable("tm.branch.duri", index=True, binds=True)
    def destination_of_branch(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The destination URI of a branch."""
        return _of_branch(index, binder, lambda branch: branch.where.destination)

    @variable("tm.branch.path", index=True, binds=True)
    def path_of_branch(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The path of a branch."""
        return _of_branch(index, binder, lambda branch: branch.where.path)

    @variable("tm.branch.q", index=True, binds=True)
    def q_of_branch(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The preference of a branch."""
        return _of_branch(index, binder, lambda branch: None if branch.where.q == NO_Q else branch.where.q)

    @variable("tm.branch.flags", index=True, binds=True)
    def flags_of_branch(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The flags of a branch, separated by commas."""
        return _of_branch(index, binder, lambda branch: ",".join(sorted(branch.where.flags)))

    @variable("tm.branch.socket", index=True, binds=True)
    def socket_of_branch(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The socket that a branch was sent from, as proto:ip:port."""
        return _of_branch(index, binder, lambda branch: str(branch.socket))

    @variable("tm.branch.last_received", index=True, binds=True)
    def received_of_branch(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """Status of the last reply that came from a branch; NULL when none came."""
        return _of_branch(index, binder, lambda branch: branch.received_status)

    @variable("tm.branch.type", index=True, binds=True)
    def type_of_branch(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """What a branch is: `sip`, or `phony` when it is a wait for new branches."""
        return _of_branch(index, binder, lambda branch: "phony" if branch.is_phony else "sip")

    @variable("tm.branch.flag", inner="required", index=True, binds=True)
    def flag_of_branch(self, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        """A flag of a branch: 1 or 0."""
        name, chosen = name_of(binder.template_pieces(inner)), _place(index, binder)

        def read(run: Run) -> Value:
            branch, flag = chosen(run), name(run)
            if branch is None or flag is None:
                return None
            return NumberWithText(1, "true") if flag in branch.flags else NumberWithText(0, "false")

        def write(run: Run, value: Value, operator: str) -> bool:
            branch, flag = chosen(run), name(run)
            if branch is None or flag is None or not isinstance(value, int):
                return False
            (branch.flags.add if value > 0 else branch.flags.discard)(flag)
            return True

        return SimpleAccess(read, write)

    @variable("tm.branch.attr", inner="required", index=True, binds=True)
    def attribute_of_branch(self, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        """What a script noted about a branch."""
        name, chosen = name_of(binder.template_pieces(inner)), _place(index, binder)

        def read(run: Run) -> Value:
            branch, attribute = chosen(run), name(run)
            return None if branch is None or attribute is None else branch.attributes.get(attribute)

        def write(run: Run, value: Value, operator: str) -> bool:
            branch, attribute = chosen(run), name(run)
            if branch is None or attribute is None:
                return False
            if value is None:
                branch.attributes.pop(attribute, None)
            else:
                branch.attributes[attribute] = value
            return True

        return SimpleAccess(read, write)

    @variable("bavp", inner="required", index=True, binds=True)
    def branch_avp(self, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        """An AVP of the branch that a branch, reply or failure route is about; elsewhere NULL."""
        name = name_of(binder.template_pieces(inner))
        position = None if index is None or isinstance(index, str) else binder.index(index)

        def avps(run: Run) -> dict[str, list[Value]] | None:
            branch = context(run).branch
            return None if branch is None or run.kind not in BRANCH_KINDS else branch.attributes

        def read(run: Run) -> Value:
            found = avps(run)
            values = None if found is None else found.get(name(run) or "")
            if not values:
                return None
            if index == "*":
                return avp_text(values)
            return values[-1] if position is None else avp_at(values, position(run))

        def write(run: Run, value: Value, operator: str) -> bool:
            found, wanted = avps(run), name(run)
            if found is None or wanted is None:
                return False
            place = index if isinstance(index, str) else None if position is None else position(run)
            if isinstance(place, str) and place not in ("*", "append"):
                return False
            return avp_assign(found, wanted, place, operator, value)  # type: ignore[arg-type]  # checked above

        def walk(run: Run) -> list[Value]:
            found = avps(run)
            return [] if found is None else found.get(name(run) or "", [])[::-1]

        return SimpleAccess(read, write, walk)


def _uri_of(branch: ClientBranch) -> Value:
    return None if branch.is_phony else branch.where.uri or branch.message.original_uri


def _choice(index: Index | None, binder: Binder) -> Callable[[Run], ClientBranch | None]:
    """The branch of an index, counted from the end when it is negative; without one the current branch.

    An index `/active` counts the branches of the last relaying alone.
    """
    of_last_round = isinstance(index, ActiveIndex)
    position = None if index is None or isinstance(index, str) else binder.index(index)

    def choose(run: Run) -> ClientBranch | None:
        here = context(run)
        if position is None:
            return here.branch if isinstance(here.branch, ClientBranch) else None
        number = position(run)
        branches: Sequence[ClientBranch] = ()
        if here.transaction is not None:
            branches = here.transaction.active if of_last_round else here.transaction.branches
        if not isinstance(number, int) or not -len(branches) <= number < len(branches):
            return None
        return branches[number]

    return choose


def _place(index: Index | None, binder: Binder) -> Callable[[Run], Branch | None]:
    """What the script decides about a branch; in a branch route, without an index, about the one to be sent."""
    choose = _choice(index, binder)

    def place(run: Run) -> Branch | None:
        branch = choose(run)
        if branch is not None:
            return branch.where
        if index is None and run.kind == "branch_route" and isinstance(run.message, Message):
            return run.message.branch
        return None

    return place


def _of_branch(index: Index | None, binder: Binder, read: Callable[[ClientBranch], Value]) -> VariableAccess:
    choose = _choice(index, binder)

    def value(run: Run) -> Value:
        branch = choose(run)
        return None if branch is None else read(branch)

    return SimpleAccess(value)
