"""What all parts of the module have: the services of the host, and the message of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...script.runtime import Run
from ...services import Services
from ...sip.message import Message

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

WITH_MESSAGE: Final = "request failure reply branch local"
MAX_PATTERN: Final = 256
"""Longest pattern with `*` and `?` in characters."""


class MessagePart(Base):
    """The base of the mixins that the module is made of."""

    services: Services


def message_of(run: Run) -> Message | None:
    """The message of the run, where it has one."""
    return run.message if isinstance(run.message, Message) else None
