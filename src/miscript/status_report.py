"""Statuses and reports: how well the parts of the host are, for those who watch it.

A *group* (the core, or a module) has *identifiers* (one per partition, peer, file …; `main` when there is only one).
Each has a status, a number that is negative while it is not ready, words for it, and its latest reports.  The host's
`StatusReport` is offered to modules as `status_report`.

Source: OpenSIPS manual, "Status/Report Framework".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

MAIN: Final = "main"
MAX_REPORTS: Final = 200
"""Reports kept of an identifier that does not say how many."""


@dataclass(frozen=True, slots=True)
class Report:
    """What happened; `time` in seconds since the epoch."""

    time: float
    text: str


@dataclass(slots=True)
class Identifier:
    """One thing that has a status."""

    name: str
    status: int
    details: str
    reports: deque[Report] = field(default_factory=lambda: deque(maxlen=MAX_REPORTS))

    @property
    def ready(self) -> bool:
        return self.status > 0


Changed = Callable[[str, Identifier, int], None]
"""Called with group, identifier and the status before."""


class StatusReport:
    """All groups.  `time` gives seconds since the epoch; `changed` hears of every status that becomes another."""

    def __init__(self, time: Callable[[], float], changed: Changed = lambda group, identifier, before: None) -> None:
        self._time = time
        self._changed = changed
        self._groups: dict[str, dict[str, Identifier]] = {}

    @property
    def groups(self) -> Mapping[str, Mapping[str, Identifier]]:
        """Group → name → identifier, in the order in which they came."""
        return self._groups

    def register(
        self, group: str, identifier: str = MAIN, *, status: int, details: str, reports: int = MAX_REPORTS
    ) -> Identifier:
        """A new identifier with its first status, or the one that is there.  `reports` is how many are kept."""
        known = self._groups.setdefault(group, {})
        if identifier not in known:
            known[identifier] = Identifier(identifier, status, details, deque(maxlen=reports))
            self.report(group, identifier, details)
        return known[identifier]

    def remove(self, group: str, identifier: str) -> None:
        """Forget an identifier; one that is not there is fine."""
        self._groups.get(group, {}).pop(identifier, None)

    def set_status(self, group: str, identifier: str, status: int, details: str, report: str | None = None) -> None:
        """Give an identifier another status, with a report about it.  Raises LookupError for an unknown one."""
        found = self.find(group, identifier)
        before, found.status, found.details = found.status, status, details
        if report is not None:
            self.report(group, identifier, report)
        if status != before:
            self._changed(group, found, before)

    def report(self, group: str, identifier: str, text: str) -> None:
        """Add a report.  Raises LookupError for an unknown identifier."""
        self.find(group, identifier).reports.append(Report(self._time(), text))

    def find(self, group: str, identifier: str = MAIN) -> Identifier:
        """An identifier.  Raises LookupError, with the name that is unknown."""
        return self._groups[group][identifier]
