"""The files of rules that a script names, read when it is compiled, or when a name in a variable first comes up.

Names without a folder stand for files beside the script.  A file that does not exist is an empty one; one that cannot
be read, or has a line that is no rule, is refused as a whole.

Source: OpenSIPS manual, module permissions.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...values import decode
from .rules import Rule, RuleError, Rules, parse_rules

MAX_FILE: Final = 1 << 20
"""Most bytes of a file."""

MAX_NAMES: Final = 256
"""Most names, so that names out of messages cannot fill the memory."""


class RuleFileError(Exception):
    """A file is not as it should be; the message names it."""


@dataclass(slots=True)
class RuleFiles:
    """All files that are known, by the name that the script has for the two."""

    folder: Path
    allow_suffix: str
    deny_suffix: str
    _known: dict[str, Rules] = field(default_factory=dict)

    def known(self, name: str) -> Rules | None:
        """The rules of `name`; None when its files have not been read."""
        return self._known.get(name)

    def load(self, name: str) -> Rules:
        """Read the files of `name` anew.  Raises RuleFileError."""
        rules = self.read(name + self.allow_suffix, name + self.deny_suffix)
        self._known[name] = rules
        return rules

    async def load_in_thread(self, name: str) -> Rules:
        """The same while others run, for names that come out of messages.  Raises RuleFileError."""
        if len(self._known) >= MAX_NAMES:
            raise RuleFileError(f"'{name}' is one name too many, {MAX_NAMES} have been read")
        return await asyncio.to_thread(self.load, name)

    def read(self, allow: str, deny: str) -> Rules:
        """The rules of two files.  Raises RuleFileError."""
        return Rules(self._read(allow), self._read(deny))

    def _read(self, name: str) -> tuple[Rule, ...]:
        path = self.folder / name
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE + 1)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            raise RuleFileError(f"'{path}' cannot be read: {error}") from error
        if len(data) > MAX_FILE:
            raise RuleFileError(f"'{path}' is larger than {MAX_FILE} bytes")
        try:
            return parse_rules(decode(data))
        except RuleError as error:
            raise RuleFileError(f"'{path}', {error}") from error
