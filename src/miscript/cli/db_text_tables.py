"""Tables in text files, made from the definitions of those in SQL databases."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from ..database import Cell
from ..modules.db_text import folder_of
from ..modules.db_text.folder import Folder
from ..modules.db_text.table_file import Column, Type
from ..sql.schema import Family

FAMILIES: Final = {
    Type.TEXT: Family.TEXT,
    Type.BLOB: Family.TEXT,
    Type.INTEGER: Family.NUMBER,
    Type.LONG: Family.NUMBER,
    Type.DOUBLE: Family.NUMBER,
    Type.TIME: Family.TIME,
}


class TextStore:
    """A folder of text files; it is made with its first table."""

    def __init__(self, url: str, working_folder: str, version_table: str) -> None:
        self.database = Folder(url, folder_of(url, working_folder), version_table=version_table)

    async def columns(self, table: str) -> Mapping[str, Family] | None:
        found = await self.database.columns(table)
        return None if found is None else {column.name: FAMILIES[column.type] for column in found}

    async def create(self, table: sa.Table) -> None:
        await self.database.create(table.name, [text_column(column) for column in table.columns])

    async def add(self, table: str, columns: Sequence[sa.Column[Any]]) -> None:
        await self.database.add_columns(table, {text_column(column): _default(column) for column in columns})


def text_column(column: sa.Column[Any]) -> Column:
    """A column of a text file that holds what `column` does.

    One that may be an empty text must take NULL: a file cannot tell them apart.
    """
    kind = _type(column.type)
    auto = column.primary_key and column.autoincrement is True
    empty = column.server_default is not None and _default(column) == ""
    return Column(column.name, kind, null=bool(column.nullable) or empty, auto=auto)


def _type(kind: Any) -> Type:
    match kind:
        case sa.BigInteger():
            return Type.LONG
        case sa.Integer():
            return Type.INTEGER
        case sa.Float():
            return Type.DOUBLE
        case sa.DateTime():
            return Type.TIME
        case sa.LargeBinary():
            return Type.BLOB
        case _:
            return Type.TEXT


def _default(column: sa.Column[Any]) -> Cell:
    """The value of a column for which none is given."""
    if column.server_default is None:
        return None
    text = str(getattr(column.server_default, "arg", ""))
    if isinstance(column.type, sa.DateTime):
        return int(datetime.datetime.fromisoformat(text).astimezone().timestamp())
    return text
