"""Blacklists, those of the script and those that modules keep: destinations that nothing is to be sent to.

The core offers a `Blacklists` as `blacklists`; `blacklist_service(services)` gives it.  Who sends a request on asks
`chosen` for the lists of its run, and where there are any `forbids` for each place before it is sent to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol, cast

from .errors import ConfigurationError
from .sip.sockets import Target

if TYPE_CHECKING:
    from .script.runtime import Run
    from .services import Services

CHOSEN: Final = "blacklists"
"""Where a run keeps the names of the lists that its script has chosen."""

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_NUMBER = re.compile(r"-?[0-9]{1,10}", re.ASCII)


class Blacklists(Protocol):
    """The blacklists of this host."""

    def replace(self, name: str, owner: str, targets: Sequence[Target]) -> None:
        """Let the list `name` of module `owner` hold just these places; it is made when it is not there.

        Raises ConfigurationError when the list belongs to somebody else.
        """

    def chosen(self, run: Run | None = None) -> frozenset[str]:
        """The names of the lists that count for what `run` sends; without a run the default ones.

        Mostly empty: then nothing is to be asked.
        """

    def without_learnt(self, chosen: frozenset[str]) -> frozenset[str]:
        """Those of the `chosen` lists that somebody keeps: all but that of places which could not be reached."""

    def forbids(self, chosen: frozenset[str], target: Target, data: bytes) -> bool:
        """Whether one of the `chosen` lists forbids to send `data`, a whole request, to `target`."""

    def unreachable(self, target: Target) -> None:
        """Remember a place that could not be reached, or is overloaded, where `disable_dns_blacklist` is off."""


def hand_over_choice(run: Run, other: Run) -> None:
    """Let `other`, which is about the same message, use the lists that `run` uses."""
    if CHOSEN in run.data:
        other.data[CHOSEN] = run.data[CHOSEN]


def named_numbers(text: str, parameter: str) -> tuple[str, frozenset[int]]:
    """A list and the sets or groups in it: `name = 1,4,3`.  Raises ConfigurationError, naming the parameter."""
    name, sign, numbers = (part.strip() for part in text.partition("="))
    if not sign or _NAME.fullmatch(name) is None:
        raise ConfigurationError(f"expected 'name = number, number', found '{text}'", parameter=parameter)
    return name, numbers_in(numbers, parameter)


def numbers_in(text: str, parameter: str) -> frozenset[int]:
    """Numbers with commas between.  Raises ConfigurationError, naming the parameter."""
    parts = [part.strip() for part in text.split(",")]
    wrong = next((part for part in parts if _NUMBER.fullmatch(part) is None), None)
    if wrong is not None:
        raise ConfigurationError(f"'{wrong}' is no number, expected numbers with commas between", parameter=parameter)
    return frozenset(map(int, parts))


def blacklist_service(services: Services) -> Blacklists:
    """The blacklists of this host."""
    return cast(Blacklists, services.find("blacklists"))
