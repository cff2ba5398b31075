"""What the module `usrloc` offers to others: tables of addresses of record and their contacts.

```python
location = location_service(self.services)       # None when the script does not load usrloc
contacts = location.table("location").valid("alice@example.com", now)
```

Changes go through the methods of the table, so that events and statistics are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

from .sip.location import Contact, LocationTable, Matching

if TYPE_CHECKING:
    from .services import Services


class LocationService(Protocol):
    """Offered as `usrloc`."""

    @property
    def use_domain(self) -> int:
        """Whether AORs are `user@domain`; `user` alone otherwise."""

    @property
    def matching(self) -> Matching:
        """How a contact that is registered again is recognised."""

    @property
    def cseq_delay(self) -> int:
        """Seconds in which an old CSeq of the same Call-ID is taken for a retransmission."""

    @property
    def nat_bflag(self) -> str:
        """The branch flag of contacts behind a NAT, "" without one."""

    def table(self, name: str) -> LocationTable:
        """The table `name`; it exists from now on."""

    def tables(self) -> Sequence[LocationTable]:
        """All tables."""

    def measured(self, table: LocationTable, aor: str, contact: Contact, microseconds: int) -> None:
        """Note how long a contact that is bound took to answer a ping, and raise the event of that."""

    def now(self) -> float:
        """The time by which contacts are valid, in seconds since the epoch."""


def location_service(services: Services) -> LocationService | None:
    """The tables of this host; None when the script does not load `usrloc`."""
    return cast("LocationService | None", services.find("usrloc"))
