"""What all parts of the core have: the services of the host."""

from __future__ import annotations

from ...services import Services


class CorePart:
    """The base of the mixins that `Core` is made of."""

    services: Services
