"""Blacklists that modules keep, beside those of the script: destinations that nothing is to be sent to.

The core offers a `Blacklists` as `blacklists`; `blacklist_service(services)` gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

from .sip.sockets import Target

if TYPE_CHECKING:
    from .services import Services


class Blacklists(Protocol):
    """The blacklists of this host."""

    def replace(self, name: str, owner: str, targets: Sequence[Target]) -> None:
        """Let the list `name` of module `owner` hold just these places; it is made when it is not there.

        Raises ConfigurationError when the list belongs to somebody else.
        """


def blacklist_service(services: Services) -> Blacklists:
    """The blacklists of this host."""
    return cast(Blacklists, services.find("blacklists"))
