"""What the module `tracer` offers to others: telling of what a script does while a traced message is dealt with.

```python
tracing = route_tracing(self.services)           # None when the script does not load tracer
if tracing is not None and tracing.wants(run, "rest"):
    tracing.tell(run, "rest", [("first_line", "GET /")], source, destination, transport="tcp", correlation="1")
```
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

from .trace import Address

if TYPE_CHECKING:
    from .script.runtime import Run
    from .services import Services


class RouteTracing(Protocol):
    """Offered as `tracer`."""

    def wants(self, run: Run, kind: str) -> bool:
        """Whether what a run does is traced: `kind` is "xlog" or "rest"."""

    def tell(
        self,
        run: Run,
        kind: str,
        fields: Sequence[tuple[str, str]],
        source: Address,
        destination: Address,
        *,
        transport: str = "tcp",
        correlation: str | None = None,
    ) -> None:
        """Tell the collectors of it; `fields` are the parts of the payload.

        Without a `correlation` of its own it has the Call-ID of the message.
        """


def route_tracing(services: Services) -> RouteTracing | None:
    """Who traces what scripts do; None when nobody does."""
    return cast("RouteTracing | None", services.find("tracer"))
