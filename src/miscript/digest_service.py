"""What the module `auth` offers to others: checking the digest credentials of a request.

```python
verdict = digest_service(self.services).check(run, "Authorization", realm, lambda credentials: ha1_of(credentials))
```

Source: OpenSIPS manual, module auth (return codes of `pv_www_authorize`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from .sip.digest_response import Credentials

if TYPE_CHECKING:
    from .script.runtime import Run
    from .services import Services

HaOf: TypeAlias = Callable[[Credentials], str | None]
"""The HA1 (without nonces) that belongs to the user of credentials; None when there is no such user."""


class Verdict(IntEnum):
    """The return code that tells how it went."""

    AUTHORIZED = 1
    UNKNOWN_USER = -1
    WRONG_PASSWORD = -2
    STALE_NONCE = -3
    NO_CREDENTIALS = -4
    ERROR = -5


class DigestService(Protocol):
    """Offered as `auth`."""

    def realm(self, run: Run, given: str, *, proxy: bool) -> str | None:
        """The realm that a script gave, or the domain that the request speaks of when it is empty."""

    def credentials(self, run: Run, realm: str, *, proxy: bool) -> Credentials | None:
        """The credentials that the request has for a realm."""

    def check(self, run: Run, realm: str, ha1_of: HaOf, *, proxy: bool) -> Verdict:
        """Check the credentials of the request; those that are good are what `consume_credentials()` removes."""

    def authorized(self, run: Run) -> Credentials | None:
        """The credentials of the request that were found good and are still there."""


def digest_service(services: Services) -> DigestService | None:
    """The digest authentication of this host; None when the script does not load `auth`."""
    return cast("DigestService | None", services.find("auth"))
