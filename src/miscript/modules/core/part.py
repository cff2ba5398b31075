"""What all parts of the core have: the services of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...services import Services

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object


class CorePart(Base):
    """The base of the mixins that `Core` is made of.

    A part may have an `__init__(self, services)` and an `init(self)` of its own that begin with those of `super()`:
    behind all parts stands `Module`.
    """

    services: Services
