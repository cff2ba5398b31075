"""What the module `rr` offers to others: parameters in Record-Route, and those that come back in Route.

Offered as `rr`; `record_routing(services)` gives it, or None when the script does not load the module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from .sip.message import Message

if TYPE_CHECKING:
    from .script.runtime import Run
    from .services import Services

Routed: TypeAlias = "Callable[[Run, str], None]"


class RecordRouting(Protocol):
    """Offered as `rr`."""

    def add_parameter(self, message: Message, text: str) -> None:
        """Add `;name=value` to the Record-Route that a request has or will have."""

    def put_parameter(self, message: Message, name: str, value: str) -> None:
        """Let the Record-Route of a request have `;name=value`, in place of what it has under this name so far."""

    @property
    def tells_direction(self) -> bool:
        """Whether Record-Route tells the From tag, without which `is_downstream` cannot know."""

    def own_route(self, run: Run) -> str | None:
        """The parameters of our own Route value that `loose_route()` found; None before it, or without one."""

    def on_route(self, routed: Routed) -> None:
        """Call `routed(run, parameters)` whenever a request came by a Route of ours."""

    def is_downstream(self, run: Run) -> bool:
        """Whether a request in a dialog goes the way of the first one."""


def record_routing(services: Services) -> RecordRouting | None:
    """The record routing of this host."""
    return cast("RecordRouting | None", services.find("rr"))
