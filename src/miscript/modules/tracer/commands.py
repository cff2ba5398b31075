"""MI commands of `tracer`: showing and switching trace ids, tracing while the host runs.

Source: OpenSIPS manual, module tracer; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import MIError
from ...exports import mi_command
from ...mi.command import Raw, Unread
from ...mi.parameters import text_or_none
from ...trace import CollectorsInUse
from .dynamic import BAD_VALUE, DynamicTraces
from .options import Kind, TraceUri
from .records import DynamicGroup, Group

_MODES = {"on": True, "off": False}


class TracerCommands:
    """The group `tracer` of the Management Interface."""

    groups: dict[str, Group]
    dynamic: DynamicTraces
    is_on: bool
    collectors: CollectorsInUse | None

    @mi_command("trace", "", "id", "mode", "id mode", aliases=["sip_trace"], named_only=True)
    def mi_trace(self, id: str | None = None, mode: str | None = None) -> object:
        """Show all trace ids or one, or switch tracing on or off, all or one."""
        if mode is None:
            return self._shown_all() if id is None else self._shown_one(id)
        is_on = _MODES.get(mode.lower())
        if is_on is None:
            raise MIError(500, BAD_VALUE, "trace mode should be 'on' or 'off'")
        if id is None:
            self.is_on = is_on
        elif id in self.groups:
            self.groups[id].is_on = is_on
        else:
            raise MIError(400, BAD_VALUE)
        return "OK"

    def _shown_all(self) -> dict[str, object]:
        everything = [*self.groups.values(), *self.dynamic.all()]
        return {"global": "on" if self.is_on else "off", "trace destinations": _shown(everything)}

    def _shown_one(self, name: str) -> dict[str, object]:
        found = [self.groups[name]] if name in self.groups else self.dynamic.named(name)
        if not found:
            raise MIError(400, "Bad trace id value")
        return {"trace destinations": _shown(found)}

    @mi_command("start", "id uri", "id uri filter", "id uri filter scope type", aliases=["trace_start"])
    def mi_start(
        self,
        id: str,
        uri: str,
        filter: Unread[list[str]] | None = None,
        scope: Raw = None,
        type: Raw = None,
    ) -> str:
        """Trace requests that meet all filters (caller=USER, callee=USER, ip=ADDRESS) to a new destination."""
        where = TraceUri.parse(uri)
        if where.kind is Kind.DATABASE:
            raise MIError(406, "DB not acceptable", "dynamic DB tracing is not yet available")
        if id in self.groups and where in self.groups[id].uris:
            raise MIError(500, BAD_VALUE, "trace id already used")
        if any(where in group.uris for group in self.dynamic.named(id)):
            raise MIError(500, BAD_VALUE, "dynamic trace id already used")
        if where.kind is Kind.HEP and self.collectors is None:
            raise MIError(500, "No transport protocol", "HEP module was not loaded")
        filters = () if filter is None else filter.read()
        self.dynamic.start(id, where, filters, text_or_none(scope), text_or_none(type))
        return "OK"

    @mi_command("stop", "id", aliases=["trace_stop"])
    def mi_stop(self, id: str) -> str:
        """End what `tracer:start` began."""
        if not self.dynamic.stop(id):
            raise MIError(400, BAD_VALUE)
        return "OK"


def _shown(groups: Iterable[Group]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for group in groups:
        for destination in group.destinations:
            shown: dict[str, object] = {
                "name": group.name,
                "type": destination.kind.value,
                "uri": destination.uri,
                "state": "on" if group.is_on else "off",
            }
            if isinstance(group, DynamicGroup):
                shown["state"] = "dynamic"
                if group.filters:
                    shown["filters"] = [{one.condition: one.value} for one in reversed(group.filters)]
            found.append(shown)
    return found
