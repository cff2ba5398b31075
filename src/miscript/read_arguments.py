"""Arguments of script functions that are texts with a meaning: flags, lists, names of something that must exist.

One that the script writes out is read when the script is loaded, so that a mistake in it is found there; one in a
variable is read in each call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import NoReturn, TypeVar

from .errors import ConfigurationError
from .script.operations import BadArgument, text_argument
from .script.runtime import Run
from .script.signatures import Argument

T = TypeVar("T")
F = TypeVar("F")


def read_once(
    argument: Argument | None,
    read: Callable[[str], T],
    wrong: Callable[[ValueError], F],
    *,
    missing: str = "",
    null: str | None = None,
) -> Callable[[Run], T | F]:
    """What gives the meaning of an argument in a run.

    `read` raises ValueError for a text that means nothing.  Where the script writes the text out, that becomes a
    ConfigurationError, to which the compiler adds the function; in a run `wrong` gives, or raises, what comes of it.
    An argument that is left out stands for the text `missing`, NULL for `null`.
    """
    if argument is None or argument.is_constant:
        try:
            value = read(missing if argument is None else text_argument(argument.constant))
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        return lambda run: value

    def in_run(run: Run) -> T | F:
        given = argument.get(run)
        try:
            return read(text_argument(null if given is None else given))
        except ValueError as error:
            return wrong(error)

    return in_run


def told(log: logging.Logger, function: str) -> Callable[[ValueError], None]:
    """A `wrong` of `read_once`: a line in the log, and None in place of a meaning."""
    return lambda error: log.error("%s: %s", function, error)


def refused(error: ValueError) -> NoReturn:
    """A `wrong` of `read_once`: the call fails."""
    raise BadArgument(str(error)) from error


def mistake_of(read: Callable[[str], object]) -> Callable[[str], str | None]:
    """For `Annotated`: what `read` finds wrong with a text that is written out, when it raises ValueError."""

    def mistake(text: str) -> str | None:
        try:
            read(text)
        except ValueError as error:
            return str(error)
        return None

    return mistake


def flags_in(text: str) -> list[str]:
    """Words with commas between them, without blanks around them."""
    return [word.strip() for word in text.split(",") if word.strip()]


def unknown_flag(flags: Iterable[str], known: Collection[str]) -> str | None:
    """What is wrong with flags: the first one that is none of those `known`."""
    unknown = next((flag for flag in flags if flag not in known), None)
    return None if unknown is None else f"there is no flag '{unknown}', expected some of {', '.join(sorted(known))}"
