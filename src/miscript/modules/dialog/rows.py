"""Dialogs ⇄ rows of a table of the database, in the form that OpenSIPS writes and reads.

`vars` and `profiles` are pairs `name#kind#value|` (kind 1: a text, 2: a number), in which `#`, `|` and `\\` have a
`\\` in front; the newest stands first.  `script_flags` are the names of flags, the newest first.  What other modules
keep with a dialog stands among the `vars` under names that begin with `miscript:`.

Source: OpenSIPS manual, module dialog (the `*_column` parameters); rows that OpenSIPS 4.1 has written.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...database import Cell, DatabaseError
from ...sip.dialogs import MAX_CSEQ, Dialog, DialogId, DialogState, Leg
from ...sip.name_addr import NameAddr
from ...sip.sockets import ListeningSocket
from ...sip.syntax import SipSyntaxError
from ...table_cells import number_cell, text_cell
from ...values import Value, decode, encode, plain_text

log = logging.getLogger("miscript.dialog")

TABLE_VERSION: Final = 12

PART_MARK: Final = "miscript:"
"""What the names of parts begin with, among the values of a dialog."""

KEPT_STATES: Final = (DialogState.CONFIRMED_NO_ACK, DialogState.CONFIRMED)
"""Dialogs in other states have no row."""

MOMENTS: Final = ("answer", "timeout", "hangup")
"""When routes of a dialog run (`dlg_on_answer` …)."""

COLUMN_PARAMETERS: Final = {
    "dlg_id": "dlg_id_column",
    "callid": "call_id_column",
    "from_uri": "from_uri_column",
    "from_tag": "from_tag_column",
    "to_uri": "to_uri_column",
    "to_tag": "to_tag_column",
    "state": "state_column",
    "start_time": "start_time_column",
    "timeout": "timeout_column",
    "caller_cseq": "from_cseq_column",
    "callee_cseq": "to_cseq_column",
    "caller_route_set": "from_route_column",
    "callee_route_set": "to_route_column",
    "caller_contact": "from_contact_column",
    "callee_contact": "to_contact_column",
    "caller_sock": "from_sock_column",
    "callee_sock": "to_sock_column",
    "profiles": "profiles_column",
    "vars": "vars_column",
    "script_flags": "sflags_column",
    "module_flags": "mflags_column",
    "flags": "flags_column",
}
"""Columns by their usual names, and the parameters that name them."""

NAMES: Final = (
    *COLUMN_PARAMETERS, "caller_ping_cseq", "callee_ping_cseq", "rt_on_answer", "rt_on_timeout", "rt_on_hangup",
)  # fmt: skip
"""All columns in the order in which they are read."""

_PAIR = re.compile(rb"((?:[^\\#|]|\\.)*)#([12])#((?:[^\\#|]|\\.)*)\|", re.DOTALL)
_MARKED = re.compile(rb"[\\#|]")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


def pairs_text(pairs: Iterable[tuple[str, Value]]) -> bytes:
    """Names with their values as `vars` and `profiles` hold them."""
    return b"".join(
        b"%s#%d#%s|" % (_marked(encode(name)), 2 if type(value) is int else 1, _marked(encode(plain_text(value))))
        for name, value in pairs
        if value is not None
    )


def _marked(text: bytes) -> bytes:
    return _MARKED.sub(rb"\\\g<0>", text)


def pairs_of(data: bytes) -> list[tuple[str, str | int]]:
    """What `pairs_text` has written.  Raises ValueError for anything else."""
    found: list[tuple[str, str | int]] = []
    at = 0
    while at < len(data):
        pair = _PAIR.match(data, at)
        if pair is None:
            raise ValueError(f"expected NAME#1#TEXT| or NAME#2#NUMBER|, found '{decode(data[at : at + 40])}'")
        name, value = (decode(_ESCAPED.sub(rb"\1", pair[group])) for group in (1, 3))
        if pair[2] == b"1":
            found.append((name, value))
        elif re.fullmatch("-?[0-9]{1,10}", value):
            found.append((name, int(value)))
        else:
            raise ValueError(f"expected a number as the value of '{name}', found '{value[:40]}'")
        at = pair.end()
    return found


@dataclass(slots=True)
class Kept:
    """What a row holds beside the dialog itself: `flags` of the module as a mask, routes by their moments, `parts` by
    the names of modules, `profiles` as the row names them."""

    flags: int = 0
    routes: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    profiles: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How dialogs stand in rows.

    `columns` gives the name of each of `NAMES` in the table; `socket_of` our socket of a name, None when there is none.
    """

    columns: Mapping[str, str]
    socket_of: Callable[[str], ListeningSocket | None]

    @property
    def key_column(self) -> str:
        return self.columns["dlg_id"]

    def read_columns(self) -> Sequence[str]:
        """Those behind the key, in the order that `dialog` expects."""
        return [self.columns[name] for name in NAMES[1:]]

    # -- writing ------------------------------------------------------------------------------------------------------

    def row(self, dialog: Dialog, kept: Kept) -> dict[str, Cell]:
        """The row of a dialog that has been answered, with all columns."""
        caller, callee = dialog.caller, dialog.callee or Leg("")
        pairs = [
            *((f"{PART_MARK}{name}", text) for name, text in kept.parts.items()),
            *reversed(dialog.values.items()),
        ]
        values: dict[str, Cell] = {
            "dlg_id": dialog.id.as_number,
            "callid": dialog.call_id,
            "from_uri": dialog.from_uri,
            "from_tag": caller.tag,
            "to_uri": dialog.to_uri,
            "to_tag": callee.tag,
            "state": int(dialog.state),
            "start_time": int(dialog.started),
            "timeout": int(dialog.ends),
            "caller_cseq": str(caller.cseq),
            "callee_cseq": str(callee.cseq),
            "caller_route_set": ",".join(caller.routes) or None,
            "callee_route_set": ",".join(callee.routes) or None,
            "caller_contact": caller.contact,
            "callee_contact": callee.contact,
            "caller_sock": _socket_text(caller),
            "callee_sock": _socket_text(callee),
            "profiles": decode(pairs_text(reversed(dialog.profiles))) or None,
            "vars": pairs_text(pairs) or None,
            "script_flags": " ".join(reversed(dialog.flags)) or None,
            "module_flags": 0,
            "flags": kept.flags,
            "caller_ping_cseq": caller.cseq + caller.shift if caller.shift else 0,
            "callee_ping_cseq": callee.cseq + callee.shift if callee.shift else 0,
            **{f"rt_on_{moment}": kept.routes.get(moment) for moment in MOMENTS},
        }
        return {self.columns[name]: values[name] for name in NAMES}

    # -- reading ------------------------------------------------------------------------------------------------------

    def dialog(self, cells: Sequence[Cell]) -> tuple[Dialog, Kept]:
        """The dialog of a row, and what stands beside it.  Raises DatabaseError for one that is none."""
        cell = dict(zip(NAMES, cells, strict=True))
        key = number_cell("a dialog", self.columns["dlg_id"], cell["dlg_id"], 0, 2**63 - 1)
        where = f"dialog {key}"

        def number(name: str, least: int, most: int) -> int:
            return number_cell(where, self.columns[name], cell[name], least, most)

        def needed(name: str) -> str:
            text = text_cell(cell[name])
            if not text:
                raise DatabaseError(f"{where}: '{self.columns[name]}' is empty, expected a text")
            return text

        def leg(name: str, tag: str) -> Leg:
            cseq, last = number(f"{name}_cseq", 0, MAX_CSEQ), number(f"{name}_ping_cseq", 0, MAX_CSEQ)
            routes = _routes(f"{where}: '{self.columns[f'{name}_route_set']}'", text_cell(cell[f"{name}_route_set"]))
            socket = self._socket(where, text_cell(cell[f"{name}_sock"]))
            return Leg(tag, text_cell(cell[f"{name}_contact"]), routes, socket, cseq, max(0, last - cseq))

        started, ends = number("start_time", 1, 2**40), number("timeout", 1, 2**40)
        dialog = Dialog(
            DialogId(key >> 32, key & 0xFFFF_FFFF),
            needed("callid"),
            needed("from_uri"),
            needed("to_uri"),
            leg("caller", needed("from_tag")),
            float(started),
            max(0, ends - started),
            DialogState(number("state", 1, len(DialogState))),
            [leg("callee", text_cell(cell["to_tag"]))],
            answered=0,
            started=float(started),
            ends=float(ends),
            flags=dict.fromkeys(reversed(text_cell(cell["script_flags"]).split())),
        )
        kept = Kept(number("flags", 0, 2**32))
        for name, value in _pairs(where, self.columns["vars"], cell["vars"]):
            if name.startswith(PART_MARK):
                kept.parts[name.removeprefix(PART_MARK)] = str(value)
            else:
                dialog.values[name] = value
        kept.profiles = [
            (name, str(value)) for name, value in _pairs(where, self.columns["profiles"], cell["profiles"])
        ]
        kept.routes = {moment: text for moment in MOMENTS if (text := text_cell(cell[f"rt_on_{moment}"]))}
        return dialog, kept

    def _socket(self, where: str, text: str) -> ListeningSocket | None:
        found = self.socket_of(text) if text else None
        if text and found is None:
            log.warning("%s goes by '%s', which is none of our sockets", where, text)
        return found


def _socket_text(leg: Leg) -> str:
    return "" if leg.socket is None else str(leg.socket)


def _routes(where: str, text: str) -> tuple[str, ...]:
    try:
        return tuple(str(route) for route in NameAddr.parse_many(text)) if text else ()
    except SipSyntaxError as error:
        raise DatabaseError(f"{where} cannot be read: {error.message}") from error


def _pairs(where: str, column: str, cell: Cell) -> list[tuple[str, str | int]]:
    """The pairs of a column, the oldest first."""
    try:
        return pairs_of(cell if isinstance(cell, bytes) else encode(text_cell(cell)))[::-1]
    except ValueError as error:
        raise DatabaseError(f"{where}: '{column}' cannot be read: {error}") from error
