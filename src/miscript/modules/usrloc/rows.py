"""Contacts ⇄ rows of a table of the database, in the form that OpenSIPS writes and reads.

`cflags` are the names of branch flags with blanks between; `kv_store` is JSON of the texts kept with the AOR, and
stands in each of its rows; `methods` is NULL for a contact that takes all; a `q` below 0 is none.

Source: OpenSIPS manual, module usrloc (the `*_column` parameters); rows that OpenSIPS 4.1 has written.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...database import Cell, DatabaseError
from ...late_pattern import late_pattern
from ...sip.branch import MAX_Q, NO_Q
from ...sip.location import ALL_METHODS, Contact, Record, shared_text
from ...sip.sockets import ListeningSocket
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...table_cells import number_cell, text_cell

log = logging.getLogger("miscript.usrloc")

TABLE_VERSION: Final = 1013

KEYS_NAME: Final = "_urec_kvs"
"""In `kv_store`: the name of the texts kept with an AOR, which are JSON in a text of JSON."""

LONGEST_AGENT: Final = 255
"""Characters of a User-Agent that are kept; phones write what they like there."""

HIGHEST_ID: Final = 2**63 - 1

USUAL_URI: Final = late_pattern(
    r"sips?:[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9.-]{1,64}(?::[1-9][0-9]{0,3}|:[1-5][0-9]{4})?(?:;[A-Za-z0-9_.=-]{1,64}){0,9}"
)
"""Matches what is surely a URI, at a tenth of what reading one takes: nearly all contacts have such."""

NO_FLAGS: Final[frozenset[str]] = frozenset()

NAMES: Final = (
    "contact_id", "username", "domain", "contact", "expires", "q", "callid", "cseq", "flags", "cflags", "user_agent",
    "received", "path", "socket", "methods", "sip_instance", "kv_store", "attr", "last_modified",
)  # fmt: skip
"""The columns by their usual names, in the order in which they are read."""


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How contacts stand in rows.

    `columns` gives the name of each of `NAMES` in the table.  `with_domain`: an AOR is user and domain.  `socket_of`
    gives our socket of a name, None when there is none.
    """

    columns: Mapping[str, str]
    with_domain: bool
    socket_of: Callable[[str], ListeningSocket | None]

    @property
    def key_column(self) -> str:
        return self.columns["contact_id"]

    def read_columns(self) -> Sequence[str]:
        """Those behind the key, in the order that `contact` expects."""
        return [self.columns[name] for name in NAMES[1:]]

    def row(self, record: Record, contact: Contact) -> dict[str, Cell]:
        """The row of a contact, with all columns."""
        user, at, domain = record.aor.rpartition("@") if self.with_domain else (record.aor, "", "")
        methods = contact.methods
        values: tuple[Cell, ...] = (
            contact.id,
            user if at or not self.with_domain else record.aor,
            domain if at else None,
            contact.uri,
            contact.expires,
            contact.q / MAX_Q if contact.q >= 0 else -1.0,
            contact.call_id,
            contact.cseq,
            contact.flags,
            " ".join(sorted(contact.branch_flags)) or None,
            contact.user_agent[:LONGEST_AGENT],
            contact.received,
            contact.path,
            None if contact.socket is None else str(contact.socket),
            None if methods == ALL_METHODS else methods - (1 << 32) * (methods >> 31),
            contact.instance,
            keys_text(record.keys) if record.keys else None,
            contact.attributes,
            int(contact.modified),
        )
        return {self.columns[name]: value for name, value in zip(NAMES, values, strict=True)}

    def where(self, aor: str) -> dict[str, Cell]:
        """The columns that tell an AOR."""
        if not self.with_domain:
            return {self.columns["username"]: aor}
        user, _, domain = aor.rpartition("@")
        return {self.columns["username"]: user, self.columns["domain"]: domain}

    def contact(self, cells: Sequence[Cell]) -> tuple[str, Contact, dict[str, str]]:
        """AOR, contact and texts kept with the AOR, of a row.  Raises DatabaseError for one that is none."""
        (
            key, user, domain, uri, expires, q, call_id, cseq, flags, cflags, agent,
            received, path, socket, methods, instance, keys, attributes, modified,
        ) = cells  # fmt: skip
        id = self._number("a contact", "contact_id", key, 0, HIGHEST_ID)
        where = f"contact {id}"
        address, name, place = text_cell(uri), text_cell(user), text_cell(socket)
        if USUAL_URI.fullmatch(address) is None:
            _check_uri(where, address)
        if not name:
            raise DatabaseError(f"{where}: '{self.columns['username']}' is empty, expected the user of an AOR")
        contact = Contact(
            uri=address,
            expires=self._number(where, "expires", expires, 0, 2**40),
            q=_q(where, self.columns["q"], q),
            call_id=text_cell(call_id),
            cseq=self._number(where, "cseq", cseq, 0, 2**32 - 1),
            user_agent=shared_text(text_cell(agent)),
            received=_text(received) or None,
            path=_text(path) or None,
            socket=self.socket_of(place) if place else None,
            methods=ALL_METHODS
            if methods is None
            else self._number(where, "methods", methods, -(2**31), ALL_METHODS) & ALL_METHODS,
            instance=_text(instance),
            flags=self._number(where, "flags", flags, -(2**31), 2**32),
            branch_flags=frozenset(text_cell(cflags).split()) if cflags else NO_FLAGS,
            attributes=_text(attributes),
            modified=0.0
            if modified is None
            else float(self._number(where, "last_modified", modified, -(2**40), 2**40)),
            id=id,
        )
        if place and contact.socket is None:
            log.warning("%s came by '%s', which is none of our sockets", where, place)
        aor = f"{name}@{text_cell(domain)}" if self.with_domain and domain else name
        return aor, contact, keys_of(where, _text(keys)) if keys else {}

    def _number(self, where: str, name: str, cell: Cell, least: int, most: int) -> int:
        if type(cell) is int and least <= cell <= most:  # nearly always
            return cell
        return number_cell(where, self.columns[name], cell, least, most)


def _check_uri(where: str, text: str) -> None:
    try:
        SipUri.parse(text)
    except SipSyntaxError as error:
        raise DatabaseError(f"{where}: '{text}' is no URI: {error.message}") from error


def _text(cell: Cell) -> str | None:
    return None if cell is None else text_cell(cell)


def _q(where: str, column: str, cell: Cell) -> int:
    try:
        q = 1.0 if cell is None else float(cell)
    except ValueError:
        raise DatabaseError(f"{where}: '{column}' is '{text_cell(cell)}', expected a number") from None
    return NO_Q if not 0 <= q <= 1 else round(q * MAX_Q)


def keys_text(keys: Mapping[str, str]) -> str:
    """The texts kept with an AOR as JSON."""
    return json.dumps({KEYS_NAME: json.dumps(dict(keys), separators=(",", ":"))}, separators=(",", ":"))


def keys_of(where: str, text: str | None) -> dict[str, str]:
    """The texts kept with an AOR; what is no JSON of ours is left out, with a line in the log."""
    if not text:
        return {}
    try:
        kept = json.loads(text).get(KEYS_NAME)
        found = {} if kept is None else json.loads(kept)
        return {str(name): value if isinstance(value, str) else str(value) for name, value in found.items()}
    except (ValueError, AttributeError, TypeError, RecursionError):
        log.warning("%s: what is kept with its AOR cannot be read: '%.100s'", where, text)
        return {}
