"""Regular expressions that are compiled when they are first used.

Python compiles one in 0.1 to 3 ms.  Of the hundred that a start brings along with its modules it uses a few; the others
were a twelfth of the processor time that starting took.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


def late_pattern(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """What `re.compile(pattern, flags)` gives, but for `isinstance` and the functions of `re`: use its methods.

    What is wrong in it is raised when it is first used, as `re.error`.
    """
    return cast("re.Pattern[AnyStr]", _LatePattern(pattern, flags))


class _LatePattern:
    """Takes over the methods of the compiled pattern when it is asked for one, and costs nothing from then on."""

    def __init__(self, pattern: Any, flags: int) -> None:
        self._written = pattern, flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        compiled = re.compile(*self._written)
        vars(self).update({each: getattr(compiled, each) for each in dir(compiled) if not each.startswith("_")})
        return getattr(compiled, name)
