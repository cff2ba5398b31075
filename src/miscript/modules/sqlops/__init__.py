"""Module sqlops: queries of the script, and user preferences kept in a table.

`db_url` may be given more than once, `2 mysql://…` being the database with the number 2; one without a number is 0,
which functions ask when they name none.  A query suspends the route that asks, nothing else.

Source: OpenSIPS manual, module sqlops; the return codes of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from ...database import Database, DatabaseError, Result, Where, database_at, masked, url_or_default
from ...errors import ConfigurationError
from ...exports import BoundConstant, BoundLiteral, BoundNumber, BoundText, Module, bound_function, parameter
from ...script.runtime import Pending, Run
from ...script.signatures import Argument
from ...services import Services
from ...values import Value
from . import preferences, structured
from .outputs import FAILED, Numbers, avps_in, into_avps, into_variables, variables_in
from .query_text import json_text, query_text

__all__ = ["Sqlops"]

log = logging.getLogger("miscript.sqlops")

Code = Callable[[Run], Awaitable[int]]
Store = Callable[[Run, Result], int]

_NUMBERED: Final = re.compile(r"\s*(?:(?P<number>[0-9]{1,9})\s+)?(?P<url>[^\s0-9].*)", re.DOTALL)


class Sqlops(Module):
    """Ask databases from the script."""

    name = "sqlops"

    db_url: list[str] = parameter(
        [], "A database, with its number before it or not: 2 mysql://USER@HOST/DB.", kinds="string", repeatable=True
    )
    usr_table = parameter("usr_preferences", "The table of user preferences.")
    db_scheme: list[str] = parameter(
        [], "A table of another kind: NAME:table=TABLE;value_col=COLUMN;…", kinds="string", repeatable=True
    )
    use_domain = parameter(1, "1: a user is known by name and domain; 0: by the name alone.")
    ps_id_max_buf_len = parameter(1024, "Accepted; statements are prepared by the driver of the database.")
    bigint_to_str = parameter(0, "1: a number that fits no integer of the script becomes a text; 0: it is cut.")
    uuid_column = parameter("uuid", "The column that names the user.")
    attribute_column = parameter("attribute", "The column with the name of the AVP.")
    value_column = parameter("value", "The column with its value.")
    type_column = parameter("type", "The column that says whether the value is a number.")
    username_column = parameter("username", "The column with the name of the user.")
    domain_column = parameter("domain", "The column with the domain of the user.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._databases: dict[int, Database] = {}
        self._urls: dict[int, str] = {}
        self._schemes: dict[str, preferences.Scheme] = {}

    def init(self) -> None:
        self._columns = preferences.Columns(
            self.uuid_column,
            self.attribute_column,
            self.value_column,
            self.type_column,
            self.username_column,
            self.domain_column,
        )
        self._numbers = Numbers(bool(self.bigint_to_str))
        for text in self.db_url:
            self._add(text)
        if 0 not in self._urls:
            default = url_or_default("", self.services.parameters)
            if not default:
                raise ConfigurationError("there is no db_url without a number, and no db_default_url")
            self._urls[0] = default
        for text in self.db_scheme:
            scheme = preferences.scheme(text, self._columns)
            if scheme.name.lower() in self._schemes:
                raise ConfigurationError(f"db_scheme '{scheme.name}' is there twice", parameter="db_scheme")
            self._schemes[scheme.name.lower()] = scheme
        for number, url in self._urls.items():
            self._databases[number] = database_at(self.services.find, url)

    def _add(self, text: str) -> None:
        found = _NUMBERED.fullmatch(text)
        if found is None:
            raise ConfigurationError(f"expected [NUMBER] URL, found '{masked(text)}'", parameter="db_url")
        number = int(found["number"] or 0)
        if number in self._urls:
            raise ConfigurationError(f"db_url has two databases with the number {number}", parameter="db_url")
        self._urls[number] = found["url"].strip()

    async def stop(self) -> None:
        for database in self._databases.values():
            await database.close()

    # -- queries --------------------------------------------------------------------------------------------------

    @bound_function()
    def sql_query(
        self, query: BoundText, res_col_avps: BoundText | None = None, db_id: BoundNumber | None = None
    ) -> Callable[[Run], Awaitable[int]]:
        """Send a query and put the rows into AVPs: `$avp(a);$avp(b)`, or `$avp(1)` … when none are named.

        Rows become values of each AVP, the first row being the first value; NULL becomes the text `<null>`.  A
        variable in quotes is sent as a value, whatever it holds; one outside quotes is a part of the query.  Returns
        1, -2 when there are no rows, -1 when the database refuses or is away.
        """
        return self._asking(query, into_avps(avps_in(res_col_avps, "res_col_avps"), self._numbers), db_id)

    @bound_function()
    def sql_query_one(
        self, query: BoundText, res_col_vars: BoundText | None = None, db_id: BoundNumber | None = None
    ) -> Callable[[Run], Awaitable[int]]:
        """Send a query and put the first row into variables, one for each column; NULL is NULL."""
        return self._asking(
            query, into_variables(variables_in(res_col_vars, "res_col_vars") or [], self._numbers), db_id
        )

    @bound_function(name="sql_query", asynchronous=True)
    def async_sql_query(
        self, query: BoundText, res_col_avps: BoundText | None = None, db_id: BoundNumber | None = None
    ) -> Callable[[Run], Pending]:
        """Send a query; the AVPs are filled when the resume route begins."""
        return self._pending(query, into_avps(avps_in(res_col_avps, "res_col_avps"), self._numbers), db_id)

    @bound_function(name="sql_query_one", asynchronous=True)
    def async_sql_query_one(
        self, query: BoundText, res_col_vars: BoundText | None = None, db_id: BoundNumber | None = None
    ) -> Callable[[Run], Pending]:
        """Send a query; the variables are filled when the resume route begins."""
        store = into_variables(variables_in(res_col_vars, "res_col_vars") or [], self._numbers)
        return self._pending(query, store, db_id)

    def _question(self, query: Argument, db_id: Argument | None) -> Callable[[Run], Awaitable[Result]]:
        database = self._database(db_id)
        texts = {number: query_text(query, url.startswith("mysql:")) for number, url in self._urls.items()}

        def ask(run: Run) -> Awaitable[Result]:
            number, asked = database(run)
            sql, values = texts[number].filled(run)
            return asked.query(sql, values)

        return ask

    def _asking(self, query: Argument, store: Store, db_id: Argument | None) -> Code:
        ask = self._question(query, db_id)

        async def call(run: Run) -> int:
            return await _code(self._stored(run, ask, store))

        return call

    async def _stored(self, run: Run, ask: Callable[[Run], Awaitable[Result]], store: Store) -> int:
        return store(run, await ask(run))

    def _pending(self, query: Argument, store: Store, db_id: Argument | None) -> Callable[[Run], Pending]:
        ask = self._question(query, db_id)

        def call(run: Run) -> Pending:
            async def asked() -> Result | None:
                try:
                    return await question
                except DatabaseError as error:
                    log.error("%s", error)
                    return None

            try:
                question = ask(run)
            except DatabaseError as error:
                log.error("%s", error)
                return Pending(_nothing(), lambda later, result: FAILED)
            return Pending(asked(), lambda later, result: FAILED if result is None else store(later, result))

        return call

    def _database(self, db_id: Argument | None) -> Callable[[Run], tuple[int, Database]]:
        """The database that an argument names.  Raises ConfigurationError when it is written out and not there."""
        if db_id is None or db_id.is_constant:
            number = 0 if db_id is None else db_id.constant
            found = self._numbered(number)
            if found is None:
                raise ConfigurationError(f"no db_url has the number {number}")
            return lambda run: found

        def database(run: Run) -> tuple[int, Database]:
            number = db_id.get(run)
            found = self._numbered(number)
            if found is None:
                raise DatabaseError(f"no db_url has the number {number}")
            return found

        return database

    def _numbered(self, number: Value) -> tuple[int, Database] | None:
        if isinstance(number, str) and number.isdecimal():
            number = int(number)
        if not isinstance(number, int) or number not in self._databases:
            return None
        return number, self._databases[number]

    # -- structured queries ---------------------------------------------------------------------------------------

    @bound_function()
    def sql_select(
        self,
        columns: BoundText | None,
        table: BoundText,
        filter: BoundText | None = None,
        order: BoundText | None = None,
        res_col_avps: BoundText | None = None,
        db_id: BoundNumber | None = None,
    ) -> Callable[[Run], Awaitable[int]]:
        """Put rows of a table into AVPs, as `sql_query` does.

        `columns` is a list as `["a", "b"]`, all when it is left out; `filter` holds conditions as
        `[{"a": "x"}, {"b": {">": 3}}, {"c": null}]`, `order` names a column.
        """
        store = into_avps(avps_in(res_col_avps, "res_col_avps"), self._numbers)
        return self._selecting(columns, table, filter, order, store, db_id, None)

    @bound_function()
    def sql_select_one(
        self,
        columns: BoundText | None,
        table: BoundText | None,
        filter: BoundText,
        order: BoundText | None,
        res_col_vars: BoundText,
        db_id: BoundNumber | None = None,
    ) -> Callable[[Run], Awaitable[int]]:
        """Put the first row into variables, one for each column; NULL is NULL."""
        store = into_variables(variables_in(res_col_vars, "res_col_vars") or [], self._numbers)
        return self._selecting(columns, table, filter, order, store, db_id, 1)

    def _selecting(
        self,
        columns: Argument | None,
        table: Argument | None,
        filter: Argument | None,
        order: Argument | None,
        store: Store,
        db_id: Argument | None,
        limit: int | None,
    ) -> Code:
        database = self._database(db_id)
        wanted, where = json_text(columns), _conditions(filter)

        async def work(run: Run) -> int:
            names = structured.columns(text) if (text := wanted(run)) else []
            name = _text(table, run) or self.usr_table
            found = await database(run)[1].select(name, names, where(run), order=_text(order, run), limit=limit)
            return store(run, found)

        return _guarded(work)

    @bound_function()
    def sql_update(
        self,
        columns: BoundText,
        table: BoundText,
        filter: BoundText | None = None,
        db_id: BoundNumber | None = None,
    ) -> Callable[[Run], Awaitable[int]]:
        """Set columns, `[{"a": "x"}, {"b": 5}]`, of the rows that meet the filter, of all without one."""
        database = self._database(db_id)
        given, where = json_text(columns), _conditions(filter)

        async def work(run: Run) -> int:
            await database(run)[1].update(_text(table, run), structured.values(given(run)), where(run))
            return 1

        return _guarded(work)

    @bound_function()
    def sql_insert(
        self, table: BoundText, columns: BoundText, db_id: BoundNumber | None = None
    ) -> Callable[[Run], Awaitable[int]]:
        """Put a row into a table: `[{"a": "x"}, {"b": null}]`."""
        database, given = self._database(db_id), json_text(columns)

        async def work(run: Run) -> int:
            await database(run)[1].insert(_text(table, run), structured.values(given(run)))
            return 1

        return _guarded(work)

    @bound_function()
    def sql_delete(
        self, table: BoundText, filter: BoundText | None = None, db_id: BoundNumber | None = None
    ) -> Callable[[Run], Awaitable[int]]:
        """Remove the rows that meet the filter, all without one."""
        database, where = self._database(db_id), _conditions(filter)

        async def work(run: Run) -> int:
            await database(run)[1].delete(_text(table, run), where(run))
            return 1

        return _guarded(work)

    @bound_function()
    def sql_replace(
        self, table: BoundText, columns: BoundText, db_id: BoundNumber | None = None
    ) -> Callable[[Run], Awaitable[int]]:
        """Put a row into a table, in the place of the one with the same unique key when there is one."""
        database, given = self._database(db_id), json_text(columns)

        async def work(run: Run) -> int:
            await database(run)[1].replace(_text(table, run), structured.values(given(run)), [])
            return 1

        return _guarded(work)

    # -- user preferences -----------------------------------------------------------------------------------------

    @bound_function()
    def sql_avp_load(
        self,
        source: BoundText,
        name: BoundLiteral,
        db_id: BoundNumber | None = None,
        prefix: BoundConstant | None = None,
    ) -> Callable[[Run], Awaitable[int]]:
        """Load preferences into AVPs: of the user in `source`, those called `name`.

        `source` is a variable or a text, with `/uuid`, `/username`, `/domain` or `/uri` behind it or not; `name` is
        `$avp(name)`, or `*` for all, with `/table` or `/$scheme` behind it or not.  Returns -1 when there are none.
        """
        owner = preferences.owner_of(source, bool(self.use_domain))
        wanted = preferences.wanted(_constant(name), self.usr_table, self._schemes)
        database, before = self._database(db_id), _constant(prefix)

        async def work(run: Run) -> int:
            database_asked = database(run)[1]
            count = await preferences.load(database_asked, owner(run), wanted, self._columns, run, before)
            return 1 if count else FAILED

        return _guarded(work)

    @bound_function()
    def sql_avp_store(
        self, source: BoundText, name: BoundLiteral, db_id: BoundNumber | None = None
    ) -> Callable[[Run], Awaitable[int]]:
        """Store AVPs as preferences of the user in `source`; those that were loaded are there already."""
        owner = preferences.owner_of(source, bool(self.use_domain))
        wanted = preferences.wanted(_constant(name), self.usr_table, None)
        database = self._database(db_id)

        async def work(run: Run) -> int:
            count = await preferences.store(database(run)[1], owner(run), wanted, self._columns, run)
            return 1 if count else FAILED

        return _guarded(work)

    @bound_function()
    def sql_avp_delete(
        self, source: BoundText, name: BoundLiteral, db_id: BoundNumber | None = None
    ) -> Callable[[Run], Awaitable[int]]:
        """Remove preferences of the user in `source` from the table."""
        owner = preferences.owner_of(source, bool(self.use_domain))
        wanted = preferences.wanted(_constant(name), self.usr_table, None)
        database = self._database(db_id)

        async def work(run: Run) -> int:
            await preferences.delete(database(run)[1], owner(run), wanted, self._columns, run)
            return 1

        return _guarded(work)


def _conditions(filter: Argument | None) -> Callable[[Run], Sequence[Where]]:
    """The conditions of a filter in a run; one that is left out, or is an empty text, sets none."""
    fill = json_text(filter)
    return lambda run: structured.conditions(text) if (text := fill(run)) else []


def _text(argument: Argument | None, run: Run) -> str:
    value = None if argument is None else argument.get(run)
    return "" if value is None else str(value)


def _constant(argument: Argument | None) -> str:
    """The text of an argument that is written out; "" when it is left out."""
    return "" if argument is None else str(argument.constant)


def _guarded(work: Code) -> Code:
    async def call(run: Run) -> int:
        return await _code(work(run))

    return call


async def _code(work: Awaitable[int]) -> int:
    """The return code of `work`, -1 with a word in the log for what cannot be done."""
    try:
        return await work
    except (DatabaseError, structured.NotStructured, preferences.NobodyNamed) as error:
        log.error("%s", error)
        return FAILED


async def _nothing() -> None:
    return None
