"""Module json: variables that hold JSON documents.

`$json(name/key[index])` reads and writes parts of documents; `:=` parses a text, `=` stores a text or a number, NULL
takes away.  `$json_compact`, `$json_compact_noescape` and `$json_pretty` are the same variables printed otherwise.
`for ($var(x) in $(json(path)[*]))` walks through an array or the values of an object, `$(json(path.keys)[*])`
through its names.  Documents belong to the worker, as `$var` does: they persist from run to run.

Source: OpenSIPS manual, module json; observed behaviour in docs/language.md, JSON.
"""

from __future__ import annotations

import logging
from typing import Annotated

from ...exports import Module, Writable, parameter, script_function, variable
from ...script.nodes import Index, Template
from ...script.runtime import Run
from ...script.signatures import Binder, VariableAccess
from .access import JsonAccess, Missing, documents_of, find, store
from .document import BadJson, holds, merged
from .paths import parse_path
from .reading import parse
from .writing import COMPACT, COMPACT_NOESCAPE, PRETTY, SPACED, CannotPrint, Form, write

__all__ = ["JsonModule"]

log = logging.getLogger("miscript.json")

ROUTES_OF_LINK = "request failure reply branch local startup timer event"


WritableJson = Annotated[VariableAccess, "writable", "json"]
ReadJson = Annotated[VariableAccess, "json"]


class JsonModule(Module):
    """Variables that hold JSON documents."""

    name = "json"

    enable_long_quoting = parameter(0, "Give integers beyond 32 bits as texts, so that none is cut off.")

    has_links = False
    """Set by the first `json_link`: from then on a part may stand in several places of a document."""

    @variable("json", inner="required", index=True, binds=True, reads_texts=(":=",))
    def json(self, inner: Template | None, index: Index | None, binder: Binder) -> JsonAccess:
        """A JSON document, or the part of it that a path leads to: `$json(call/legs[0]/uri)`."""
        if index not in (None, "*"):
            raise ValueError("the only index of $json is [*], in 'for'")
        return self._access(inner, binder, SPACED, walks=index == "*")

    @variable("json_compact", inner="required", binds=True, reads_texts=(":=",))
    def json_compact(self, inner: Template | None, index: Index | None, binder: Binder) -> JsonAccess:
        """The same as `$json`; objects and arrays print without blanks."""
        return self._access(inner, binder, COMPACT)

    @variable("json_compact_noescape", inner="required", binds=True, reads_texts=(":=",))
    def json_compact_noescape(self, inner: Template | None, index: Index | None, binder: Binder) -> JsonAccess:
        """The same as `$json_compact`; a slash is printed without a backslash."""
        return self._access(inner, binder, COMPACT_NOESCAPE)

    @variable("json_pretty", inner="required", binds=True, reads_texts=(":=",))
    def json_pretty(self, inner: Template | None, index: Index | None, binder: Binder) -> JsonAccess:
        """The same as `$json`; objects and arrays print on several lines."""
        return self._access(inner, binder, PRETTY)

    def _access(self, inner: Template | None, binder: Binder, form: Form, walks: bool = False) -> JsonAccess:
        if inner is None:
            raise ValueError("a JSON variable has a name: $json(name)")
        return JsonAccess(self, parse_path(inner, binder), form, walks)

    @script_function(routes=ROUTES_OF_LINK)
    def json_link(self, run: Run, dest_id: WritableJson, source_id: ReadJson) -> int:
        """Make `dest_id` the very part of a document that `source_id` is, not a copy of it.

        Changes inside of one are seen in the other; assigning to the variable itself ends that.  A link that would
        put a document inside itself changes nothing and is logged.  1, or -1 when there is no source or no place.
        """
        if not (isinstance(dest_id, JsonAccess) and isinstance(source_id, JsonAccess)):
            log.error("json_link takes two JSON variables")
            return -1
        source, steps = source_id.find(run), dest_id.path.resolve(run)
        if isinstance(source, Missing) or source is None or steps is None:
            return -1
        root = documents_of(run)
        parent = find(root, steps[:-1])
        if len(steps) > 1 and isinstance(parent, dict | list) and holds(source, parent):
            log.error("json_link would put a document inside itself; nothing is changed")
            return 1
        self.has_links = True
        return 1 if store(root, steps, source) else -1

    @script_function()
    def json_merge(self, run: Run, main_json_var: str, patch_json_var: str, output_var: Writable) -> int:
        """Apply the text `patch_json_var` to the text `main_json_var` as a JSON Merge Patch (RFC 7396) and put the
        result into `output_var`, without blanks and with slashes as they are.  1, or -1 when a text is no JSON."""
        try:
            result = merged(parse(main_json_var)[0], parse(patch_json_var)[0])
            text = write(result, COMPACT_NOESCAPE, shared=False)
        except (BadJson, CannotPrint) as error:
            log.error("json_merge: %s", error)
            return -1
        return 1 if output_var.set(run, text) else -1
