"""A query of a script to PostgreSQL, whose values take the types that the server finds for them.

A value in quotes has no type of its own in PostgreSQL: `id='5'` compares numbers when `id` is one.  A bound value has,
so the server is asked first what each place takes, and the value is made that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database import Cell, DatabaseError, Result
from .cells import Stored, plain_row, stored

_PLACE: Final = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
_ESCAPED: Final = re.compile(r"\\(?=:\w)")
_COUNT: Final = re.compile(r"\d+$")

_TYPES: Final[Mapping[str, Callable[[], Any]]] = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), sa.Integer),
    **dict.fromkeys(("float4", "float8"), sa.Float),
    **dict.fromkeys(("timestamp",), sa.DateTime),
    **dict.fromkeys(("timestamptz",), lambda: sa.DateTime(timezone=True)),
    "numeric": sa.Numeric,
    "bool": sa.Boolean,
    "date": sa.Date,
    "bytea": sa.LargeBinary,
}
"""The types of PostgreSQL that are no texts, and what they are called here."""


async def query_with_values(connection: AsyncConnection, sql: str, values: Mapping[str, Cell]) -> Result:
    """What `sql` gives, `:name` being the value of that name.  Raises DatabaseError."""
    raw: Any = (await connection.get_raw_connection()).driver_connection
    names: list[str] = []

    def number(matched: re.Match[str]) -> str:
        name = matched[1]
        if name not in values:
            raise DatabaseError(f"':{name}' in a query has no value")
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    statement = await raw.prepare(_ESCAPED.sub("", _PLACE.sub(number, sql)))
    types = [parameter.name for parameter in statement.get_parameters()]
    given = [_fit(name, values[name], kind) for name, kind in zip(names, types, strict=True)]
    records = await statement.fetch(*given)
    columns = tuple(str(attribute.name) for attribute in statement.get_attributes())
    if not columns:
        changed = _COUNT.search(statement.get_statusmsg() or "")
        return Result((), [], int(changed[0]) if changed else 0)
    return Result(columns, [plain_row(tuple(record)) for record in records])


def _fit(name: str, value: Cell, kind: str) -> Stored:
    column: sa.Column[Any] = sa.Column(name, _TYPES.get(kind, sa.String)())
    return stored(value, column)
