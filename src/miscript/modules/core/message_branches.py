"""The branches of a message: where it goes beside its Request-URI (parallel forking), and one after the other.

`$msg.branch.…` counts the Request-URI as 0 and the branches from 1; functions and `$branch` count the branches alone
from 0, as in OpenSIPS, and a number that is left out means the Request-URI.

Source: OpenSIPS manual, "Core Functions" and "Core Variables"; observed values of OpenSIPS 4.1; RFC 3261 section 16.5.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby
from typing import Final

from ...exports import BoundNumber, BoundText, bound_function, script_function, variable
from ...script.access import SimpleAccess, name_of
from ...script.nodes import Index, Template
from ...script.runtime import Run
from ...script.signatures import Binder, VariableAccess
from ...services import Services
from ...sip import Message
from ...sip.branch import MAX_Q, NO_Q, Branch, q_text
from ...sip.replies import redirection
from ...sip_service import sip_service
from ...values import NumberWithText, Value, given_text
from .message_parts import PLAIN_ASSIGNMENTS, list_access
from .part import CorePart

log = logging.getLogger("miscript.sip")

MAX_BRANCHES: Final = 30
"""Branches of one message beside its Request-URI."""

SERIAL: Final = "serial_branch"
"""The AVP that keeps what `next_branches()` will try, the next group first."""

LAST_GROUP: Final = 2
"""`next_branches()` when nothing waits behind the group that it took."""

Field = tuple[Callable[[Branch, str], Value], Callable[[Branch, Value, Services], bool]]


# -- fields of a branch ---------------------------------------------------------------------------------------------


def q_of(text: str) -> int | None:
    """`0.5` as thousandths; None when it is no preference."""
    try:
        q = round(float(text) * 1000)
    except (ValueError, OverflowError):
        return None
    return q if 0 <= q <= MAX_Q else None


def _set_uri(branch: Branch, value: Value, services: Services) -> bool:
    uri = given_text(value)
    if not uri:
        return False
    branch.uri = uri
    return True


def _set_destination(branch: Branch, value: Value, services: Services) -> bool:
    destination = given_text(value)
    if destination is None and value is not None:
        return False
    branch.destination = destination or None
    return True


def _set_path(branch: Branch, value: Value, services: Services) -> bool:
    path = given_text(value)
    if path is None and value is not None:
        return False
    branch.path = path or None
    return True


def _set_q(branch: Branch, value: Value, services: Services) -> bool:
    if value is None:
        branch.q = NO_Q
        return True
    if not isinstance(value, int):
        return False
    branch.q = max(NO_Q, min(int(value), MAX_Q))
    return True


def _set_flags(branch: Branch, value: Value, services: Services) -> bool:
    if isinstance(value, int):
        return False
    branch.flags = set((value or "").replace(",", " ").split())
    return True


def _set_socket(branch: Branch, value: Value, services: Services) -> bool:
    if value is None:
        branch.socket = None
        return True
    found = sip_service(services).socket_named(value) if isinstance(value, str) else None
    if found is not None:
        branch.socket = found
    return found is not None


FIELDS: Final[dict[str, Field]] = {
    "uri": (lambda branch, came: branch.uri or came, _set_uri),
    "duri": (lambda branch, came: branch.destination, _set_destination),
    "q": (lambda branch, came: q_text(branch.q), _set_q),
    "path": (lambda branch, came: branch.path, _set_path),
    "socket": (lambda branch, came: None if branch.socket is None else str(branch.socket), _set_socket),
}


def flags_text(flags: Collection[str], numbers: Mapping[str, int]) -> str:
    """Branch flags as a script sees them, the one named last in the script first."""
    return " ".join(sorted(flags, key=lambda name: -numbers.get(name, 0)))


def all_branches(run: Run) -> Sequence[Branch]:
    """The Request-URI as a branch, and the branches."""
    message: Message | None = run.message
    return () if message is None else (message.branch, *message.branches)


def more_branches(run: Run) -> Sequence[Branch]:
    """The branches alone."""
    return () if run.message is None else run.message.branches


class MessageBranches(CorePart):
    """Adding, moving and ordering branches."""

    branch_flag_numbers: dict[str, int]

    # -- functions --------------------------------------------------------------------------------------------

    def _append(self, run: Run, uri: str, q: str | None, inherit: bool) -> int:
        message: Message | None = run.message
        if message is None or not message.is_request or len(message.branches) >= MAX_BRANCHES:
            return -1
        preference = NO_Q if not q else q_of(q)
        if preference is None:
            log.error("'%s' is no preference, expected a number from 0 to 1", q)
            return -1
        branch = message.branch.copy() if inherit else Branch()
        branch.uri = uri or message.uri
        if q or not inherit:
            branch.q = preference
        message.branches.append(branch)
        return 1

    @script_function()
    def append_msg_branch(self, run: Run, uri: str, q: str | None = None, flags: str | None = None) -> int:
        """Send the request to `uri` too; with the flag `inherit` the branch has all else of the Request-URI's."""
        return self._append(run, uri, q, bool(flags) and "inherit" in str(flags))

    @script_function()
    def append_branch_old(self, run: Run, uri: str | None = None, q: str | None = None) -> int:
        """Send the request to `uri` too, or to what the Request-URI is now."""
        return self._append(run, uri or "", q, True)

    @script_function()
    def remove_msg_branch(self, run: Run, branch: int) -> int:
        """Take a branch away."""
        found = more_branches(run)
        if not 0 <= branch < len(found):
            return -1
        del run.message.branches[branch]
        return 1

    @bound_function()
    def move_msg_branch(
        self, source: BoundNumber | None = None, target: BoundNumber | None = None, flags: BoundText | None = None
    ) -> Callable[[Run], int]:
        """Put one branch in the place of another; with the flag `keep` it stays in its own place too."""

        def move(run: Run) -> int:
            moved, place = _number(run, source), _number(run, target)
            branch = _at(run, moved)
            if branch is None or _at(run, place) is None or moved == place:
                return -1
            _put(run, place, branch.copy())
            if moved is not None and "keep" not in str("" if flags is None else flags.get(run) or ""):
                del run.message.branches[moved]
            return 1

        return move

    @bound_function()
    def swap_msg_branches(
        self, source: BoundNumber | None = None, target: BoundNumber | None = None
    ) -> Callable[[Run], int]:
        """Let two branches change places."""

        def swap(run: Run) -> int:
            first, second = _number(run, source), _number(run, target)
            one, other = _at(run, first), _at(run, second)
            if one is None or other is None or first == second:
                return -1
            one, other = one.copy(), other.copy()
            _put(run, first, other)
            _put(run, second, one)
            return 1

        return swap

    @script_function()
    def serialize_branches(self, run: Run, clear: int, keep_order: int = 0) -> int:
        """Put all branches, the Request-URI among them, aside for `next_branches()`, by preference; it stays as it is.

        Nothing is done when there are no branches, or all have one preference.  With `clear`, what waits from before
        is forgotten.  With `keep_order`, each branch is a group of its own, in the order that they have.
        """
        message: Message | None = run.message
        if message is None or not message.is_request:
            return -1
        branches = [branch.copy() for branch in all_branches(run)]
        branches[0].uri = message.uri
        if len(branches) == 1 or (not keep_order and len({branch.q for branch in branches}) == 1):
            return 1
        if keep_order:
            groups = [[branch] for branch in branches]
        else:
            ordered = sorted(branches, key=lambda branch: -branch.q)
            groups = [list(group) for _, group in groupby(ordered, key=lambda branch: branch.q)]
        waiting = [] if clear else run.avps.get(SERIAL, [])
        run.avps[SERIAL] = [*waiting, *map(_packed, reversed(groups))]
        message.branches = []
        return 1

    @script_function()
    def next_branches(self, run: Run) -> int:
        """Take the next group of branches that wait: 1, and 2 for the last group; false when there is none.

        The first becomes the Request-URI, the others are added to the branches that are there.
        """
        waiting = run.avps.get(SERIAL)
        message: Message | None = run.message
        if not waiting or message is None or not message.is_request:
            return -1
        group = self._unpacked(waiting.pop())
        is_last = not waiting
        if is_last:
            del run.avps[SERIAL]
        if not group:
            return -1
        message.branch = group[0]
        message.branches += group[1 : 1 + MAX_BRANCHES - len(message.branches)]
        return LAST_GROUP if is_last else 1

    def _unpacked(self, packed: Value) -> list[Branch]:
        try:
            found = json.loads(str(packed))
            sip = sip_service(self.services)
            return [
                Branch(uri, duri, path, q, set(flags), sip.socket_named(socket) if socket else None)
                for uri, duri, path, q, flags, socket in found
            ]
        except (ValueError, TypeError):
            log.error("$avp(%s) was changed and holds no branches any more", SERIAL)
            return []

    # -- variables --------------------------------------------------------------------------------------------

    @variable("msg.branch", binds=True, reads_texts=PLAIN_ASSIGNMENTS)
    def new_branch(self, inner: None, index: None, binder: Binder) -> VariableAccess:
        """Setting it adds a branch with that URI; read, it is the URI of the first one behind the Request-URI."""

        def write(run: Run, value: Value, operator: str) -> bool:
            uri = given_text(value)
            return bool(uri) and self._append(run, str(uri), None, False) > 0

        return SimpleAccess(_first_uri, write)

    @variable("msg.branch.last_idx")
    def last_branch(self, run: Run) -> Value:
        """The number of the last branch; 0 when there is only the Request-URI."""
        found = all_branches(run)
        return len(found) - 1 if found else None

    def _flags_field(self, branches: Branches, index: Index | None, binder: Binder) -> VariableAccess:
        field = (lambda branch, came: flags_text(branch.flags, self.branch_flag_numbers), _set_flags)
        return _field_access(self.services, field, branches, index, binder)

    def _flag(self, branches: Branches, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        if inner.constant is not None:
            self.branch_flag_numbers.setdefault(inner.constant, len(self.branch_flag_numbers))
        return _flag_access(branches, inner, index, binder)

    def _field(self, name: str, index: Index | None, binder: Binder) -> VariableAccess:
        return _field_access(self.services, FIELDS[name], all_branches, index, binder)

    @variable("msg.branch.uri", index=True, binds=True, reads_texts=PLAIN_ASSIGNMENTS)
    def branch_uri(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The URI of a branch."""
        return self._field("uri", index, binder)

    @variable("msg.branch.duri", index=True, binds=True, reads_texts=PLAIN_ASSIGNMENTS)
    def branch_duri(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The destination URI of a branch."""
        return self._field("duri", index, binder)

    @variable("msg.branch.path", index=True, binds=True, reads_texts=PLAIN_ASSIGNMENTS)
    def branch_path(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The path of a branch."""
        return self._field("path", index, binder)

    @variable("msg.branch.q", index=True, binds=True, reads_texts=PLAIN_ASSIGNMENTS)
    def branch_q(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The preference of a branch: a text like `0.5`; it is set in thousandths."""
        return self._field("q", index, binder)

    @variable("msg.branch.flags", index=True, binds=True, reads_texts=PLAIN_ASSIGNMENTS)
    def branch_flags_text(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The flags of a branch."""
        return self._flags_field(all_branches, index, binder)

    @variable("msg.branch.socket", index=True, binds=True, reads_texts=PLAIN_ASSIGNMENTS)
    def branch_socket(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The socket that a branch will be sent from."""
        return self._field("socket", index, binder)

    @variable("msg.branch.flag", inner="required", index=True, binds=True, reads_texts=PLAIN_ASSIGNMENTS)
    def branch_flag(self, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        """A flag of a branch: 1 or 0."""
        return self._flag(all_branches, inner, index, binder)

    @variable("branch.flag", inner="required", index=True, binds=True)
    def old_branch_flag(self, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        """A flag of a branch, counted without the Request-URI."""
        return self._flag(more_branches, inner, index, binder)

    @variable("msg.branch.attr", inner="required", index=True, binds=True, reads_texts=PLAIN_ASSIGNMENTS)
    def branch_attribute(self, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        """What a script noted about a branch."""
        name, choose = name_of(binder.template_pieces(inner)), _choice(all_branches, index, binder)

        def read(run: Run) -> Value:
            branch = choose(run)
            return None if branch is None else branch.attributes.get(name(run) or "")

        def write(run: Run, value: Value, operator: str) -> bool:
            branch, key = choose(run), name(run)
            if branch is None or key is None:
                return False
            if value is None:
                branch.attributes.pop(key, None)
            else:
                branch.attributes[key] = value
            return True

        return SimpleAccess(read, write)

    @variable("branch", inner="optional", index=True, binds=True, reads_texts=PLAIN_ASSIGNMENTS)
    def old_branch(self, inner: Template | None, index: Index | None, binder: Binder) -> VariableAccess:
        """A part of a branch, counted without the Request-URI; without a name, setting it adds a branch."""
        if inner is None:
            return self.new_branch(None, None, binder)  # type: ignore[no-any-return]  # a decorated method
        if inner.constant == "flags":
            return self._flags_field(more_branches, index, binder)
        return _field_access(self.services, FIELDS[inner.constant or "uri"], more_branches, index, binder)

    @variable("ds")
    def destination_set(self, run: Run) -> Value:
        """The Contact of a redirect: the Request-URI if it was changed, and the branches; NULL without any."""
        return None if run.message is None else redirection(run.message)


def _first_uri(run: Run) -> Value:
    found = more_branches(run)
    return _uri(run, found[0]) if found else None


def _uri(run: Run, branch: Branch) -> str:
    return branch.uri or (run.message.original_uri or "")


Branches = Callable[[Run], Sequence[Branch]]


def _choice(branches: Branches, index: Index | None, binder: Binder) -> Callable[[Run], Branch | None]:
    """The branch of an index, the last one without it."""
    position = binder.index(-1 if index is None or isinstance(index, str) else index)

    def choose(run: Run) -> Branch | None:
        found, number = branches(run), position(run)
        return found[number] if isinstance(number, int) and -len(found) <= number < len(found) else None

    return choose


def _field_access(
    services: Services, field: Field, branches: Branches, index: Index | None, binder: Binder
) -> VariableAccess:
    get, put = field

    def came(run: Run) -> str:
        return (run.message.original_uri or "") if run.message is not None else ""

    if index == "*":
        return list_access(lambda run: [get(branch, came(run)) for branch in branches(run)], index, binder)
    choose = _choice(branches, index, binder)

    def read(run: Run) -> Value:
        branch = choose(run)
        return None if branch is None else get(branch, came(run))

    def write(run: Run, value: Value, operator: str) -> bool:
        branch = choose(run)
        return branch is not None and put(branch, value, services)

    return SimpleAccess(read, write)


def _flag_access(branches: Branches, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
    name, choose = name_of(binder.template_pieces(inner)), _choice(branches, index, binder)

    def read(run: Run) -> Value:
        branch = choose(run)
        if branch is None:
            return None
        return NumberWithText(1, "true") if name(run) in branch.flags else NumberWithText(0, "false")

    def write(run: Run, value: Value, operator: str) -> bool:
        branch, flag = choose(run), name(run)
        if branch is None or flag is None or not isinstance(value, int):
            return False
        (branch.flags.add if value else branch.flags.discard)(flag)
        return True

    return SimpleAccess(read, write)


def _number(run: Run, argument: BoundNumber | None) -> int | None:
    """The number that an argument gives; None, which is the Request-URI, when it is left out or negative."""
    value = None if argument is None else argument.get(run)
    return int(value) if isinstance(value, int) and value >= 0 else None


def _at(run: Run, number: int | None) -> Branch | None:
    message: Message | None = run.message
    if message is None or not message.is_request:
        return None
    if number is None:
        return message.branch
    return message.branches[number] if 0 <= number < len(message.branches) else None


def _put(run: Run, number: int | None, branch: Branch) -> None:
    if number is None:
        run.message.branch = branch
    else:
        branch.uri = _uri(run, branch)
        run.message.branches[number] = branch


def _packed(group: Sequence[Branch]) -> str:
    return json.dumps(
        [
            (b.uri, b.destination, b.path, b.q, sorted(b.flags), None if b.socket is None else str(b.socket))
            for b in group
        ]
    )
