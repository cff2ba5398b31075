"""User preferences: AVPs kept in a table, under the user they belong to.

Source: OpenSIPS manual, module sqlops, `sql_avp_load`, `sql_avp_store`, `sql_avp_delete`, `db_scheme`.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...database import Cell, Database, Where
from ...errors import ConfigurationError
from ...script.runtime import Run
from ...script.signatures import Argument, VariableInText
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...values import Value, text_of

log = logging.getLogger("miscript.sqlops")

VALUE_IS_NUMBER: Final = 1
"""The bit of the column `type` that says so; the next one says that the name is a number."""

URI_VARIABLES: Final = ("$ru", "$fu", "$tu", "$ou")
_KINDS: Final = ("uri", "username", "domain", "uuid")
_NAME: Final = re.compile(r"(?:\$avp\((?P<avp>.+)\)|(?P<all>[siaSIA*])[0-9]*)(?:/(?P<scheme>\$)?(?P<table>[^/$]+))?")
_INTEGER: Final = re.compile(r"-?[0-9]+")


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the columns of a table with preferences."""

    uuid: str = "uuid"
    attribute: str = "attribute"
    value: str = "value"
    type: str = "type"
    username: str = "username"
    domain: str = "domain"


@dataclass(frozen=True, slots=True)
class Scheme:
    """A table of another kind: one column of it is the value, and there are no names."""

    name: str
    table: str
    columns: Columns
    value_is_number: bool


def scheme(text: str, columns: Columns) -> Scheme:
    """Read `name:table=subscriber;uuid_col=uuid;value_col=first_name`.  Raises ConfigurationError."""
    name, colon, rest = text.partition(":")
    given: dict[str, str] = {}
    for piece in filter(None, (piece.strip() for piece in rest.split(";"))):
        key, equals, value = (part.strip() for part in piece.partition("="))
        key = key.lower()
        if not equals or not value or key in given or key not in _SCHEME_KEYS:
            raise ConfigurationError(
                f"expected {', '.join(_SCHEME_KEYS)} once each, found '{piece}'", parameter="db_scheme"
            )
        given[key] = value
    kind = given.get("value_type", "string").lower()
    if not colon or not name.strip() or "table" not in given or kind not in ("string", "integer"):
        raise ConfigurationError(
            f"expected NAME:table=TABLE;value_col=COLUMN;value_type=string|integer …, found '{text}'",
            parameter="db_scheme",
        )
    own = Columns(
        uuid=given.get("uuid_col", columns.uuid),
        value=given.get("value_col", columns.value),
        username=given.get("username_col", columns.username),
        domain=given.get("domain_col", columns.domain),
    )
    return Scheme(name.strip(), given["table"], own, kind == "integer")


_SCHEME_KEYS: Final = ("uuid_col", "username_col", "domain_col", "value_col", "value_type", "table")


class NobodyNamed(ValueError):
    """A source that names no user."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose preferences: a uuid, or user and domain; None where that part does not count."""

    uuid: str | None = None
    username: str | None = None
    domain: str | None = None

    def where(self, columns: Columns) -> list[Where]:
        if self.uuid is not None:
            return [Where(columns.uuid, self.uuid)]
        found = [(columns.username, self.username), (columns.domain, self.domain)]
        return [Where(column, value) for column, value in found if value is not None]


def owner_of(source: Argument, use_domain: bool) -> Callable[[Run], Owner]:
    """Who is named by a source: `$ru`, `$avp(uuid)`, `$fu/domain`, `a text`.  Raises ConfigurationError."""
    first, rest = _source_parts(source)
    kind = rest.removeprefix("/").lower()
    if rest and (not rest.startswith("/") or kind not in _KINDS):
        raise ConfigurationError(f"expected a variable or a text, with /{', /'.join(_KINDS)} behind it or not")
    if not kind:
        kind = "uri" if isinstance(first, VariableInText) and first.text in URI_VARIABLES else "uuid"

    def owner(run: Run) -> Owner:
        value = first.access.get(run) if isinstance(first, VariableInText) else first
        if value is None or value == "":
            raise NobodyNamed("the source has no value")
        return _owner(text_of(value), kind, use_domain)

    return owner


def _source_parts(source: Argument) -> tuple[str | VariableInText, str]:
    if source.pieces:
        rest = source.pieces[1:]
        if isinstance(source.pieces[0], VariableInText) and all(isinstance(piece, str) for piece in rest):
            return source.pieces[0], "".join(map(str, rest))
        raise ConfigurationError("expected one variable, or a text")
    text, slash, kind = str(source.constant).partition("/")
    return text, slash + kind


def _owner(text: str, kind: str, use_domain: bool) -> Owner:
    if kind == "uuid":
        return Owner(uuid=text)
    try:
        uri = SipUri.parse(text)
    except SipSyntaxError as error:
        raise NobodyNamed(f"'{text}' is no URI: {error}") from None
    if kind != "domain" and not uri.user:
        raise NobodyNamed(f"the URI '{text}' has no user")
    if kind != "username" and not uri.host:
        raise NobodyNamed(f"the URI '{text}' has no host")
    return Owner(
        username=uri.user if kind != "domain" else None,
        domain=uri.host if kind == "domain" or (kind == "uri" and use_domain) else None,
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which AVPs, and of which table: `name` is "" for all; one with a `$` is filled in by each run."""

    name: str
    table: str
    scheme: Scheme | None = None

    def name_in(self, run: Run) -> str:
        if not self.name.startswith("$"):
            return self.name
        found = run.script.evaluate(run, self.name)
        if not found or found == text_of(None):
            raise NobodyNamed(f"the variable '{self.name}', which names the AVP, is NULL")
        return found


def wanted(text: str, table: str, schemes: Mapping[str, Scheme] | None) -> Wanted:
    """Read `$avp(name)`, `$avp(name)/table`, `$avp(name)/$scheme`, `*/table`.  Raises ConfigurationError.

    `schemes` by their names in lower case; None where none may stand.
    """
    found = _NAME.fullmatch(text)
    if found is None:
        raise ConfigurationError(f"expected $avp(name) or *, with /table or /$scheme behind it or not, found '{text}'")
    name = found["avp"] or ""
    if not found["scheme"]:
        return Wanted(name, found["table"] or table)
    if schemes is None or not name:
        raise ConfigurationError(f"no scheme may stand here: '{text}'")
    known = schemes.get(found["table"].lower())
    if known is None:
        raise ConfigurationError(f"there is no db_scheme '{found['table']}'")
    return Wanted(name, known.table, known)


# -- the work -----------------------------------------------------------------------------------------------------


async def load(database: Database, owner: Owner, wanted: Wanted, columns: Columns, run: Run, prefix: str) -> int:
    """Put what the table has into AVPs; how many there were."""
    name = wanted.name_in(run)
    if wanted.scheme is not None:
        own = wanted.scheme.columns
        result = await database.select(wanted.table, [own.value], owner.where(own))
        rows: Sequence[tuple[Cell, ...]] = [
            (value, name, VALUE_IS_NUMBER if wanted.scheme.value_is_number else 0) for (value,) in result.rows
        ]
    else:
        where = owner.where(columns) + ([Where(columns.attribute, name)] if name else [])
        rows = (await database.select(wanted.table, [columns.value, columns.attribute, columns.type], where)).rows
    count = 0
    for value, attribute, kind in rows:
        avp = prefix + (name or text_of(_plain(attribute)))
        found = _avp_value(avp, value, kind)
        if found is not None:
            run.avps.setdefault(avp, []).append(found)
            _kept(run).names.setdefault(avp, Counter())[found] += 1
            count += 1
    return count


def _avp_value(avp: str, value: Cell, kind: Cell) -> Value:
    """The value of an AVP; None, with a word in the log, for what cannot be one."""
    plain = _plain(value)
    if plain is None or not isinstance(kind, int):
        log.error("a row for $avp(%s) has no value or no type", avp)
        return None
    if not kind & VALUE_IS_NUMBER:
        return text_of(plain)
    if isinstance(plain, str) and _INTEGER.fullmatch(plain) is None:
        log.error("a row for $avp(%s) says that '%s' is a number", avp, plain)
        return None
    return int(plain)


def _plain(cell: Cell) -> Value:
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "surrogateescape")
    return str(cell) if isinstance(cell, float) else cell


async def store(database: Database, owner: Owner, wanted: Wanted, columns: Columns, run: Run) -> int:
    """Put AVPs into the table which are not from there; how many there were."""
    name = wanted.name_in(run)
    rows: list[dict[str, Cell]] = []
    taken: list[tuple[str, Value]] = []
    for avp in [name] if name else list(run.avps):
        kept = Counter(_kept(run).names.get(avp, {}))
        for value in reversed(run.avps.get(avp, [])):
            if value is None:
                continue
            if kept[value]:
                kept[value] -= 1
                continue
            rows.append(_row(owner, columns, avp, value))
            taken.append((avp, value))
    if rows:
        await database.insert(wanted.table, *rows)
    for avp, value in taken:
        _kept(run).names.setdefault(avp, Counter())[value] += 1
    return len(rows)


def _row(owner: Owner, columns: Columns, avp: str, value: Value) -> dict[str, Cell]:
    return {
        columns.uuid: owner.uuid or "",
        columns.attribute: avp,
        columns.value: text_of(value),
        columns.type: VALUE_IS_NUMBER if isinstance(value, int) else 0,
        columns.username: owner.username or "",
        columns.domain: owner.domain or "",
    }


async def delete(database: Database, owner: Owner, wanted: Wanted, columns: Columns, run: Run) -> None:
    """Remove rows from the table."""
    name = wanted.name_in(run)
    await database.delete(wanted.table, owner.where(columns) + ([Where(columns.attribute, name)] if name else []))


@dataclass(slots=True)
class _Kept:
    """The values of AVPs that are in the table already, by name: storing them again would double them."""

    names: dict[str, Counter[Value]] = field(default_factory=dict)


def _kept(run: Run) -> _Kept:
    found: _Kept = run.data.setdefault("sqlops", _Kept())
    return found
