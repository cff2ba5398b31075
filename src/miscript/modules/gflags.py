"""Module gflags: 32 flags that all workers share, set from the script or from outside.

The functions take the number of one flag, 0 to 31; the commands take a mask of several, decimal or hexadecimal.

Source: OpenSIPS manual, module gflags; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import re
from typing import Annotated, Final

from ..errors import MIError
from ..exports import Module, mi_command, parameter, script_function
from ..script.runtime import Run

__all__ = ["GlobalFlags"]

log = logging.getLogger("miscript.gflags")

LAST: Final = 31
ALL_FLAGS: Final = 0xFFFF_FFFF
_MASK = re.compile(r"0[xX](?P<hex>[0-9a-fA-F]{1,20})|(?P<dec>[0-9]{1,20})", re.ASCII)


def mask_of(text: str) -> int:
    """The flags that `text` names: "5", "0x5".  Raises MIError 400 for what is no mask, and for none and too many."""
    matched = _MASK.fullmatch(text)
    if matched is not None:
        mask = int(matched["hex"], 16) if matched["hex"] else int(matched["dec"])
        if 0 < mask <= ALL_FLAGS:
            return mask
    raise MIError(400, "Bad parameter value")


def _mistake(flag: str) -> str | None:
    return None if 0 <= int(flag) <= LAST else f"the flags are 0 to {LAST}"


Flag = Annotated[int, _mistake]


class GlobalFlags(Module):
    """32 flags that all workers share."""

    name = "gflags"

    initial = parameter(0, "The flags at the start, as a mask.")

    flags = 0
    """The mask of the flags that are set."""

    def init(self) -> None:
        self.flags = self.initial & ALL_FLAGS

    def _bit(self, flag: int) -> int:
        if not 0 <= flag <= LAST:
            log.error("a flag must be 0 to %d, found %d", LAST, flag)
            return 0
        return 1 << flag

    @script_function()
    def set_gflag(self, run: Run, flag: Flag) -> int:
        """Set the flag of that number, 0 to 31."""
        bit = self._bit(flag)
        self.flags |= bit
        return 1 if bit else -1

    @script_function()
    def reset_gflag(self, run: Run, flag: Flag) -> int:
        """Clear the flag of that number, 0 to 31."""
        bit = self._bit(flag)
        self.flags &= ~bit
        return 1 if bit else -1

    @script_function()
    def is_gflag(self, run: Run, flag: Flag) -> int:
        """Whether the flag of that number, 0 to 31, is set: 1 or -1."""
        return 1 if self.flags & self._bit(flag) else -1

    @mi_command("set", "bitmask", aliases=["set_gflag", "gflags:set_gflag"])
    def mi_set(self, bitmask: str) -> str:
        """sets the flags of a mask, for example 0x3"""
        self.flags |= mask_of(bitmask)
        return "OK"

    @mi_command("reset", "bitmask", aliases=["reset_gflag", "gflags:reset_gflag"])
    def mi_reset(self, bitmask: str) -> str:
        """clears the flags of a mask"""
        self.flags &= ~mask_of(bitmask)
        return "OK"

    @mi_command("check", "bitmask", aliases=["is_gflag", "gflags:is_gflag"], read_only=True)
    def mi_check(self, bitmask: str) -> bool:
        """tells whether all flags of a mask are set"""
        mask = mask_of(bitmask)
        return self.flags & mask == mask

    @mi_command("get", aliases=["get_gflags", "gflags:get_gflags"], read_only=True)
    def mi_get(self) -> dict[str, str]:
        """tells all flags, in hexadecimal and decimal form"""
        return {"hex": f"0x{self.flags:X}", "dec": str(self.flags)}
