"""Where a request is to go: what a script decides about one branch of it.

A message has one from the start (`Message.branch`), which is what `$ru`, `$du` and branch flags without an index
speak of.  Source: OpenSIPS manual, "Core Variables"; RFC 3261 section 16.6.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .sockets import ListeningSocket

MAX_Q = 1000
"""The highest preference; `q=1.0` of a Contact (RFC 3261 section 20.10)."""

NO_Q = -1
"""The preference of a branch that has none."""


def q_text(q: int) -> str:
    """A preference in thousandths as Contact has it: `1`, `0.5`; empty for none."""
    if q < 0:
        return ""
    return "1" if q >= MAX_Q else f"0.{q:03}".rstrip("0").rstrip(".")


@dataclass(slots=True)
class Branch:
    """One destination.

    `uri` is the Request-URI as the script wrote it, right or wrong, None for the one that came; `destination` the
    URI to send to in place of it (`$du`), right or wrong; `path` the Route set in front (RFC 3327), None without
    one; `q` the preference in thousandths, -1 when there is none; `flags` the names of the branch flags set; `socket`
    the one of ours to send from, None for any; `attributes` what a script noted about the branch.
    """

    uri: str | None = None
    destination: str | None = None
    path: str | None = None
    q: int = NO_Q
    flags: set[str] = field(default_factory=set)
    socket: ListeningSocket | None = None
    attributes: dict[str, int | str] = field(default_factory=dict)

    def copy(self) -> Branch:
        """Another branch with the same values."""
        return Branch(
            self.uri, self.destination, self.path, self.q, set(self.flags), self.socket, dict(self.attributes)
        )
