"""Module dialplan: translating numbers and other texts by rules of a table.

Each partition is a table, read before the script starts and with `dialplan:reload`; a reload that fails leaves the
rules of before in force, one that succeeds puts all its rules in force at once.

Source: OpenSIPS manual, module dialplan; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ...database import Database, DatabaseError, database_at, masked, url_or_default
from ...errors import ConfigurationError, MIError
from ...exports import Module, Writable, mi_command, parameter, script_function
from ...mi.command import Unread
from ...pcre import pcre_library
from ...script.runtime import Run
from ...services import Services
from ...status_report import StatusReport
from ...values import encode
from .loading import Columns, Loaded, load_rules
from .rules import Rule, TranslationError

__all__ = ["Dialplan"]

log = logging.getLogger("miscript.dialplan")

ROUTES: Final = "request failure branch local startup timer event"
DEFAULT: Final = "default"
GROUP: Final = "dialplan"
NO_DATA, LOADING, LOADED, RELOADING = -2, -1, 1, 2

_PARTITION = re.compile(r"\s*(?P<name>[A-Za-z0-9_.-]+)\s*:\s*(?P<properties>.*?)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the rules of a partition are."""

    name: str
    table: str
    url: str


def partitions(lines: Iterable[str], table: str, url: str) -> list[Settings]:
    """The partitions: `default`, of `table` at `url`, and those of the `partition` lines.

    A line is `NAME: table_name = TABLE; db_url = URL`, where both may be left out, or `default: NAME`, which makes
    another partition the default one.  Without a URL there is no partition `default`.  Raises ConfigurationError.
    """
    found: dict[str, Settings] = {}
    default = ""
    for line in lines:
        matched = _PARTITION.fullmatch(line)
        if matched is None:
            raise ConfigurationError(f"expected 'NAME: key = value; …', found '{line}'", parameter="partition")
        name, properties = matched["name"], matched["properties"]
        if name == DEFAULT and properties and "=" not in properties:
            default = properties
            continue
        if name in found:
            raise ConfigurationError(f"partition '{name}' is there twice", parameter="partition")
        found[name] = _settings(name, properties, table, url)
    if default:
        if default not in found:
            raise ConfigurationError(f"there is no partition '{default}' to be the default", parameter="partition")
        found[DEFAULT] = Settings(DEFAULT, found[default].table, found[default].url)
    elif DEFAULT not in found and url:
        found = {DEFAULT: Settings(DEFAULT, table, url), **found}
    return list(found.values())


def _settings(name: str, properties: str, table: str, url: str) -> Settings:
    values = {"table_name": table, "db_url": url}
    for piece in filter(None, (piece.strip() for piece in properties.split(";"))):
        key, equals, value = (part.strip() for part in piece.partition("="))
        if not equals or key not in values or not value:
            raise ConfigurationError(
                f"partition '{name}': expected table_name = TABLE or db_url = URL, found '{piece}'",
                parameter="partition",
            )
        values[key] = value
    if not values["db_url"]:
        raise ConfigurationError(f"partition '{name}' has no db_url", parameter="partition")
    return Settings(name, values["table_name"], values["db_url"])


class Partition:
    """The rules of one table."""

    def __init__(self, services: Services, settings: Settings, columns: Columns) -> None:
        self.settings = settings
        self.rules = Loaded()
        self._database: Database = database_at(services.find, settings.url)
        self._columns = columns
        self._ready = False
        self._reloading = asyncio.Lock()
        self._report: StatusReport | None = services.find("status_report")
        if self._report is not None:
            self._report.register(GROUP, settings.name, status=NO_DATA, details="no data").reports.clear()

    @property
    def name(self) -> str:
        return self.settings.name

    async def load(self) -> None:
        """Read the table.  Raises DatabaseError, and what was loaded before stays in force."""
        async with self._reloading:
            self._tell(
                RELOADING if self._ready else LOADING,
                "reload in progress" if self._ready else "initial loading in progress",
                "starting DB data loading",
            )
            try:
                loaded = await load_rules(self._database, self.settings.table, self._columns)
            except DatabaseError:
                self._tell(
                    LOADED if self._ready else NO_DATA,
                    "data available" if self._ready else "no data",
                    "DB data loading failed, discarding",
                )
                raise
            self.rules, self._ready = loaded, True
            self._tell(LOADED, "data available", "DB data loading successfully completed")
            if self._report is not None:
                text = f"{loaded.taken} rules loaded ({loaded.discarded} discarded)"
                self._report.report(GROUP, self.name, text)

    def _tell(self, status: int, details: str, report: str) -> None:
        if self._report is not None:
            self._report.set_status(GROUP, self.name, status, details, report)

    def shown(self) -> dict[str, str]:
        return {"table": self.settings.table, "db_url": masked(self.settings.url)}

    async def close(self) -> None:
        await self._database.close()


class Dialplan(Module):
    """Translates texts by rules of a table."""

    name = "dialplan"

    partition: list[str] = parameter(
        [], "A table: NAME: table_name = TABLE; db_url = URL.", kinds="string", repeatable=True
    )
    db_url = parameter("", "The database of partitions that have none of their own; else db_default_url.")
    table_name = parameter("dialplan", "The table of partitions that have none of their own.")
    dpid_col = parameter("dpid", "Column with the dialplan id.")
    pr_col = parameter("pr", "Column with the priority; the smallest comes first.")
    match_op_col = parameter("match_op", "Column that is 0 for equal texts, 1 for regular expressions.")
    match_exp_col = parameter("match_exp", "Column with what matches.")
    match_flags_col = parameter("match_flags", "Column that is 1 when upper and lower case are the same.")
    subst_exp_col = parameter("subst_exp", "Column with the substitution expression.")
    repl_exp_col = parameter("repl_exp", "Column with the replacement.")
    attrs_col = parameter("attrs", "Column with the attributes.")
    timerec_col = parameter("timerec", "Column with the time recurrence in which the rule holds.")
    disabled_col = parameter("disabled", "Column that is not 0 for rules that do not count.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.partitions: dict[str, Partition] = {}

    def init(self) -> None:
        pcre_library()
        columns = Columns(
            self.dpid_col,
            self.pr_col,
            self.match_op_col,
            self.match_exp_col,
            self.match_flags_col,
            self.subst_exp_col,
            self.repl_exp_col,
            self.attrs_col,
            self.timerec_col,
            self.disabled_col,
        )
        found = partitions(self.partition, self.table_name, url_or_default(self.db_url, self.services.parameters))
        if not found:
            raise ConfigurationError("db_url must be set, or the global db_default_url", parameter="db_url")
        self.partitions = {each.name: Partition(self.services, each, columns) for each in found}

    async def prepare(self) -> None:
        for each in self.partitions.values():
            try:
                await each.load()
            except DatabaseError as error:
                raise ConfigurationError(f"module 'dialplan', partition '{each.name}': {error}") from error

    async def stop(self) -> None:
        for each in self.partitions.values():
            await each.close()

    # -- translating --------------------------------------------------------------------------------------------------

    def _translated(self, partition: Partition, dpid: int, text: str) -> tuple[Rule, str | None] | None:
        """The rule that matches and its output; None when none does.  Raises TranslationError and LookupError."""
        rule = partition.rules.sets[dpid].find(text, self.services.clock.time())
        return None if rule is None else (rule, rule.output(encode(text)))

    @script_function(routes=ROUTES)
    def dp_translate(
        self,
        run: Run,
        id: int,
        input: str,
        out_var: Writable | None = None,
        attrs_var: Writable | None = None,
        partition: str | None = None,
    ) -> int:
        """Translate a text by the rules of a dialplan id: 1, or -1 when no rule matches.

        `out_var` takes the output, and stays as it is when the rule has none; `attrs_var` the attributes of the rule.
        """
        chosen = self.partitions.get(partition or DEFAULT)
        if chosen is None:
            log.error("dp_translate: there is no partition '%s'", partition or DEFAULT)
            return -1
        if not input:
            log.error("dp_translate: the text is empty")
            return -1
        try:
            found = self._translated(chosen, id, input)
        except LookupError:
            log.debug("dp_translate: partition '%s' has no rules of id %d", chosen.name, id)
            return -1
        except TranslationError as error:
            log.error("dp_translate: id %d: %s", id, error)
            return -1
        if found is None:
            return -1
        rule, output = found
        if out_var is not None and output is not None and not out_var.set(run, output):
            return -1
        return 1 if attrs_var is None or attrs_var.set(run, rule.attributes) else -1

    # -- commands -----------------------------------------------------------------------------------------------------

    @mi_command("reload", "", "partition", aliases=["dp_reload"])
    async def mi_reload(self, partition: str | None = None) -> str:
        """reads the table of a partition, or of all, again"""
        chosen: Sequence[Partition] = list(self.partitions.values())
        if partition is not None:
            chosen = [self._named(partition, MIError(400, "Partition not found"))]
        try:
            for each in chosen:
                await each.load()
        except DatabaseError as error:
            log.error("dp_reload: %s; what was loaded before stays in force", error)
            raise MIError(500, "Failed to reload", str(error)) from error
        return "OK"

    @mi_command(
        "translate",
        "dpid input",
        "dpid input partition",
        aliases=["dp_translate"],
        read_only=True,
    )
    def mi_translate(self, dpid: Unread[str], input: Unread[str], partition: str = DEFAULT) -> dict[str, str]:
        """translates a text by the rules of a dialplan id"""
        chosen = self._named(partition, MIError(400, "Partition not found"))
        id = dpid.read()
        if not id:
            raise MIError(404, "Empty id parameter")
        if re.fullmatch(r"[+-]?[0-9]{1,10}", id, re.ASCII) is None:
            raise MIError(404, "Wrong id parameter")
        text = input.read()
        if not text:
            raise MIError(404, "Empty input parameter")
        try:
            found = self._translated(chosen, int(id), text)
        except LookupError:
            raise MIError(404, "No information available for dpid") from None
        except TranslationError as error:
            log.error("dialplan:translate: id %s: %s", id, error)
            raise MIError(404, "No translation", str(error)) from error
        if found is None:
            raise MIError(404, "No translation")
        rule, output = found
        return {"Output": output or "", "ATTRIBUTES": rule.attributes}

    @mi_command("show_partition", "", "partition", aliases=["dp_show_partition"], read_only=True)
    def mi_show_partition(self, partition: str | None = None) -> object:
        """tells the table and database of a partition, or of all"""
        if partition is None:
            return {"Partitions": [{"name": each.name, **each.shown()} for each in self.partitions.values()]}
        chosen = self._named(partition, MIError(404, "Partition Not Found"))
        shown = chosen.shown()
        return {"Partition": chosen.name, "Table": shown["table"], "db_url": shown["db_url"]}

    def _named(self, name: str, error: MIError) -> Partition:
        found = self.partitions.get(name)
        if found is None:
            raise error
        return found
