"""Script functions that change where one message goes: its Request-URI, its destination, its branch flags.

They give 1, or -1 when there is no message or what they change is no URI.  Functions that send, or that make more
branches, belong to the transactions.  Source: OpenSIPS manual, "Core Functions".
"""

from __future__ import annotations

from collections.abc import Callable

from ...exports import BoundConstant, BoundNumber, bound_function, script_function, variable
from ...script.runtime import Run
from ...script.signatures import Argument
from ...services import Services
from ...sip.branch import Branch
from ...values import Value, text_of
from .message_branches import all_branches, flags_text
from .part import CorePart
from .request_uri import (
    Change,
    change_request_uri,
    set_destination,
    set_request_uri,
    with_host,
    with_host_and_port,
    with_port,
    with_prefix,
    with_user,
    with_user_and_password,
    without_head,
    without_tail,
)


def _change(run: Run, change: Change) -> int:
    return 1 if change_request_uri(run.message, change) else -1


class MessageFunctions(CorePart):
    """Changes to the Request-URI, the destination and branch flags."""

    def __init__(self, services: Services) -> None:
        self.branch_flag_numbers: dict[str, int] = {}
        super().__init__(services)

    # -- Request-URI ------------------------------------------------------------------------------------------

    @script_function()
    def seturi(self, run: Run, uri: str) -> int:
        """Set another Request-URI; an empty text brings back the one that came."""
        return 1 if run.message is not None and set_request_uri(run.message, uri) else -1

    @script_function()
    def setuser(self, run: Run, user: str) -> int:
        """Set the user of the Request-URI; an empty text removes it."""
        return _change(run, lambda uri: with_user(uri, user))

    @script_function()
    def setuserpass(self, run: Run, user: str) -> int:
        """Set user and password (`user:password`) of the Request-URI; an empty text removes both."""
        return _change(run, lambda uri: with_user_and_password(uri, user))

    @script_function()
    def sethost(self, run: Run, host: str) -> int:
        """Set the host of the Request-URI; its port stays."""
        return _change(run, lambda uri: with_host(uri, host))

    @script_function()
    def sethostport(self, run: Run, host: str) -> int:
        """Set host and port (`host:port`) of the Request-URI; without a port it has none."""
        return _change(run, lambda uri: with_host_and_port(uri, host))

    @script_function()
    def setport(self, run: Run, port: str) -> int:
        """Set the port of the Request-URI; an empty text removes it."""
        return _change(run, lambda uri: with_port(uri, port))

    @script_function()
    def prefix(self, run: Run, prefix: str) -> int:
        """Put a text in front of the user of the Request-URI."""
        return _change(run, lambda uri: with_prefix(uri, prefix))

    @script_function()
    def strip(self, run: Run, count: int) -> int:
        """Remove bytes from the front of the user of the Request-URI, all when it is shorter."""
        return _change(run, lambda uri: without_head(uri, count))

    @script_function()
    def strip_tail(self, run: Run, count: int) -> int:
        """Remove bytes from the end of the user of the Request-URI, all when it is shorter."""
        return _change(run, lambda uri: without_tail(uri, count))

    @script_function()
    def revert_uri(self, run: Run) -> int:
        """Bring back the Request-URI that came."""
        return 1 if run.message is not None and set_request_uri(run.message, "") else -1

    # -- destination ------------------------------------------------------------------------------------------

    @script_function()
    def setdsturi(self, run: Run, uri: str) -> int:
        """Set the URI that the message is sent to in place of its Request-URI."""
        return 1 if run.message is not None and set_destination(run.message, uri) else -1

    @script_function()
    def resetdsturi(self, run: Run) -> int:
        """Remove the destination URI."""
        return 1 if run.message is not None and set_destination(run.message, None) else -1

    @script_function()
    def isdsturiset(self, run: Run) -> int:
        """Whether there is a destination URI."""
        return 1 if run.message is not None and run.message.branch.destination is not None else -1

    # -- branch flags -----------------------------------------------------------------------------------------

    def _on_flag(
        self, flag: Argument, index: Argument | None, act: Callable[[Branch, str], bool]
    ) -> Callable[[Run], int]:
        """A function bound to its flag and to a branch: 0, the message's own, or one of those behind it."""
        name = text_of(flag.constant)
        self.branch_flag_numbers.setdefault(name, len(self.branch_flag_numbers))
        number: Callable[[Run], Value] = (lambda run: 0) if index is None else index.get

        def on_flag(run: Run) -> int:
            place, branches = number(run), all_branches(run)
            if not isinstance(place, int) or not 0 <= place < len(branches):
                return -1
            return 1 if act(branches[place], name) else -1

        return on_flag

    @bound_function()
    def setbflag(self, flag: BoundConstant, branch: BoundNumber | None = None) -> Callable[[Run], int]:
        """Set a flag of a branch, without a number that of the message's own."""
        return self._on_flag(flag, branch, _set_flag)

    @bound_function()
    def resetbflag(self, flag: BoundConstant, branch: BoundNumber | None = None) -> Callable[[Run], int]:
        """Clear a flag of a branch, without a number that of the message's own."""
        return self._on_flag(flag, branch, _reset_flag)

    @bound_function()
    def isbflagset(self, flag: BoundConstant, branch: BoundNumber | None = None) -> Callable[[Run], int]:
        """Whether a flag of a branch is set, without a number that of the message's own."""
        return self._on_flag(flag, branch, _has_flag)

    @variable("bf")
    def branch_flags(self, run: Run) -> Value:
        """The branch flags that are set, the one named last in the script first."""
        if run.message is None:
            return None
        return flags_text(run.message.branch.flags, self.branch_flag_numbers)


def _set_flag(branch: Branch, name: str) -> bool:
    branch.flags.add(name)
    return True


def _reset_flag(branch: Branch, name: str) -> bool:
    branch.flags.discard(name)
    return True


def _has_flag(branch: Branch, name: str) -> bool:
    return name in branch.flags
