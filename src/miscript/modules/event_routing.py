"""Event routes: `event_route[E_NAME]` runs when the event is raised.

The host knows the event routes of a script and runs them; a script loads this module to say that it has some.
`wait_for_event` and `notify_on_event` are not available yet.  Source: OpenSIPS manual, module event_routing.
"""

from __future__ import annotations

from ..exports import Module


class EventRouting(Module):
    """Event routes; they run in workers of their own."""

    name = "event_routing"
