"""Module uac_auth: users and passwords for servers that challenge us, for `uac_auth()` and other modules.

A password may be an HA1 in hexadecimal behind `0x`.  Three AVPs, where they are configured and set, count before the
list.  They are offered to other modules as `uac_auth` (miscript.uac_credentials).

Source: OpenSIPS manual, module uac_auth.
"""

from __future__ import annotations

from ..errors import ConfigurationError
from ..exports import Module, parameter
from ..script.runtime import Run
from ..services import Services
from ..values import plain_text
from ..variable_spec import VariableSpec

__all__ = ["UacAuth"]

AVPS = ("auth_realm_avp", "auth_username_avp", "auth_password_avp")


class UacAuth(Module):
    """Users and passwords for servers that challenge us."""

    name = "uac_auth"

    credential: list[str] = parameter([], "USER:REALM:PASSWORD.", kinds="string", repeatable=True)
    auth_realm_avp = parameter("", "AVP that may hold a realm; needs the other two.")
    auth_username_avp = parameter("", "AVP that may hold its user.")
    auth_password_avp = parameter("", "AVP that may hold its password.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._known: dict[str, tuple[str, str]] = {}
        self._avps: tuple[VariableSpec, ...] = ()
        services.provide("uac_auth", self)

    def init(self) -> None:
        for text in self.credential:
            parts = text.split(":", 2)
            if len(parts) != 3 or not parts[0] or not parts[1]:
                raise ConfigurationError("credential must be USER:REALM:PASSWORD", parameter="credential")
            self._known.setdefault(parts[1], (parts[0], parts[2]))
        given = [name for name in AVPS if getattr(self, name)]
        if given and len(given) < len(AVPS):
            raise ConfigurationError(f"{given[0]} needs the other two of {', '.join(AVPS)}", parameter=given[0])
        self._avps = tuple(self._avp(name) for name in given)

    def _avp(self, name: str) -> VariableSpec:
        try:
            return VariableSpec.parse_avp(getattr(self, name))
        except ValueError as error:
            raise ConfigurationError(f"{name}: {error}", parameter=name) from error

    def credentials_for(self, run: Run | None, realm: str) -> tuple[str, str] | None:
        """User and password for a realm; None when there are none."""
        if run is not None and self._avps:
            values = [spec.get(run) for spec in self._avps]
            texts = [plain_text(value) for value in values if value is not None]
            if len(texts) == len(AVPS) and texts[0] == realm:
                return texts[1], texts[2]
        return self._known.get(realm)
