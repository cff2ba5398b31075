"""What the module `uac_auth` offers to others: user and password for a realm that asks for them.

Offered as `uac_auth`; `credential_store(services)` gives it, or None when the script does not load the module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from .script.runtime import Run
    from .services import Services


class CredentialStore(Protocol):
    """Offered as `uac_auth`."""

    def credentials_for(self, run: Run | None, realm: str) -> tuple[str, str] | None:
        """User and password (or `0x` and its HA1) for a realm; AVPs of the run count before what is configured."""


def credential_store(services: Services) -> CredentialStore | None:
    """The credentials of this host."""
    return cast("CredentialStore | None", services.find("uac_auth"))
