"""Module permissions: who may come from where, and who may call or register what.

`addresses` finds an address among the entries of a table that `loading` reads, for each of the `partitions`; `rules`
are those of the allow and deny files, `rule_files` the files; `functions` is what scripts call.

Source: OpenSIPS manual, module permissions; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from ...database import DatabaseError, database_at, url_or_default
from ...errors import ConfigurationError, MIError
from ...exports import Module, mi_command, parameter
from ...mi.command import Unread
from ...table_cells import Turns
from ...values import encode
from .addresses import AddressBook, Entry
from .functions import PermissionFunctions
from .loading import Columns
from .partitions import Partition, partition_settings
from .rule_files import RuleFileError, RuleFiles

__all__ = ["Permissions"]

log = logging.getLogger("miscript.permissions")

OK: Final = "OK"
MAX_FILE_NAME: Final = 128
MAX_URI: Final = 1024
"""Bytes of the texts that `allow_uri` takes over MI."""


class Permissions(PermissionFunctions, Module):
    """Checks where messages come from, and who may call or register what."""

    name = "permissions"

    default_allow_file = parameter("permissions.allow", "The file that allows, where a function names none.")
    default_deny_file = parameter("permissions.deny", "The file that denies, where a function names none.")
    check_all_branches = parameter(1, "0: allow_routing looks at the first branch only.")
    allow_suffix = parameter(".allow", "Behind the name that a function has for its files: the one that allows.")
    deny_suffix = parameter(".deny", "The same of the one that denies.")
    partition: list[str] = parameter(
        [], "`name: db_url = ...; table_name = ...`: one more table of addresses.", kinds="string", repeatable=True
    )
    db_url = parameter("", "Database with the table of addresses; there is no such table without it.")
    address_table = parameter("address", "The table of addresses.")
    ip_col = parameter("ip", "Column: the address.")
    proto_col = parameter("proto", "Column: the transport, or any, or none.")
    pattern_col = parameter("pattern", "Column: a pattern with * and ? that the argument of functions must match.")
    info_col = parameter("context_info", "Column: a text that functions give to the script.")
    grp_col = parameter("grp", "Column: the group.")
    mask_col = parameter("mask", "Column: how many bits of the address count, 0 to 32 or 128.")
    port_col = parameter("port", "Column: the port, 0 for any.")

    # -- life ---------------------------------------------------------------------------------------------------------

    def init(self) -> None:
        folder = Path(self.services.working_folder, self.services.script_file).parent
        self.files = RuleFiles(folder, self.allow_suffix, self.deny_suffix)
        try:
            self.default_rules = self.files.read(self.default_allow_file, self.default_deny_file)
        except RuleFileError as error:
            raise ConfigurationError(f"a file of rules is not as it should be: {error}") from error
        columns = Columns(
            self.grp_col,
            self.ip_col,
            self.mask_col,
            self.port_col,
            self.proto_col,
            self.pattern_col,
            self.info_col,
        )
        inherited = url_or_default("", self.services.parameters)
        self.partitions = {
            one.name: Partition(one.name, database_at(self.services.find, one.db_url), one.table_name, columns)
            for one in partition_settings(self.db_url, inherited, self.address_table, self.partition)
        }

    async def prepare(self) -> None:
        """Load the tables.  Raises ConfigurationError."""
        try:
            for partition in self.partitions.values():
                await partition.reload()
        except DatabaseError as error:
            raise ConfigurationError(f"module 'permissions': {error}") from error

    async def stop(self) -> None:
        for partition in self.partitions.values():
            await partition.database.close()

    # -- MI -----------------------------------------------------------------------------------------------------------

    @mi_command("address_reload", "", "partition")
    async def mi_address_reload(self, partition: str | None = None) -> str:
        """reads the table of all partitions or of one again"""
        if partition is not None and partition not in self.partitions:
            raise MIError(400, "Trusted table reload failed")
        for one in self.partitions.values() if partition is None else [self.partitions[partition]]:
            try:
                await one.reload()
            except DatabaseError as error:
                log.error("partition '%s': %s; what was loaded before stays in force", one.name, error)
                raise MIError(400, "Trusted table reload failed", str(error)) from error
        return OK

    @mi_command("address_dump", "", "partition", read_only=True)
    async def mi_address_dump(self, partition: str | None = None) -> dict[str, object]:
        """lists the single addresses of all partitions or of one"""
        return await self._dump(partition, _hosts, lambda entry: str(entry.prefix))

    @mi_command("subnet_dump", "", "partition", read_only=True)
    async def mi_subnet_dump(self, partition: str | None = None) -> dict[str, object]:
        """lists the networks of all partitions or of one"""
        return await self._dump(partition, _networks, _mask)

    @mi_command("allow_uri", "basename uri contact", read_only=True)
    def mi_allow_uri(self, basename: str, uri: Unread[str], contact: Unread[str]) -> str:
        """tells whether somebody may have a contact, by files that the script has read"""
        _check_text("Basename", basename, MAX_FILE_NAME - len(encode(self.allow_suffix)) - 1)
        who = uri.read()
        _check_text("URI", who, MAX_URI)
        place = contact.read()
        _check_text("Contact", place, MAX_URI)
        rules = self.files.known(basename)
        if rules is None:
            log.error("allow_uri: the files of '%s' have not been read", basename)
        if rules is None or not rules.permit(who, [place]):
            raise MIError(403, "Forbidden")
        return OK

    async def _dump(
        self,
        name: str | None,
        choose: Callable[[AddressBook], Iterable[Entry]],
        mask: Callable[[Entry], str],
    ) -> dict[str, object]:
        if name is None:
            shown = [
                {"name": one.name, "Destinations": await _shown(one, choose, mask)} for one in self.partitions.values()
            ]
            return {"Partitions": shown}
        partition = self.partitions.get(name)
        if partition is None:
            raise MIError(404, "No such partition")
        return {"part": name, "Destinations": await _shown(partition, choose, mask)}


def _check_text(what: str, text: str, most: int) -> None:
    if not text:
        raise MIError(404, "Basename is empty")  # whichever it is, as OpenSIPS says it
    if len(encode(text)) > most:
        raise MIError(404, f"{what} is too long")


async def _shown(
    partition: Partition, choose: Callable[[AddressBook], Iterable[Entry]], mask: Callable[[Entry], str]
) -> list[dict[str, object]]:
    """Entries as MI shows them; others have their turn."""
    found: list[dict[str, object]] = []
    turns = Turns()
    async with _reading(partition) as book:
        for entry in choose(book):
            await turns.next()
            found.append(
                {
                    "grp": entry.group,
                    "ip": _written(entry.address),
                    "mask": mask(entry),
                    "port": entry.port,
                    "proto": entry.transport,
                    "pattern": entry.pattern,
                    "context_info": entry.info,
                }
            )
    return found


@asynccontextmanager
async def _reading(partition: Partition) -> AsyncIterator[AddressBook]:
    """The book in force, which stays whole meanwhile."""
    partition.readers += 1
    try:
        yield partition.book
    finally:
        partition.readers -= 1


def _hosts(book: AddressBook) -> Iterable[Entry]:
    for group in sorted(book.groups):
        for entries in book.groups[group].hosts.values():
            yield from reversed(entries)


def _networks(book: AddressBook) -> Iterable[Entry]:
    """Networks by group, the last that came first."""
    # a stable sort keeps the order of those of one group
    return sorted((entry for entry in reversed(book.entries) if not entry.is_host), key=lambda entry: entry.group)


def _written(address: bytes) -> str:
    """An address as the server writes it: IPv6 in eight numbers, none left out."""
    if len(address) == 4:
        return str(ipaddress.IPv4Address(address))
    return ":".join(f"{int.from_bytes(address[at : at + 2]):X}" for at in range(0, 16, 2))


def _mask(entry: Entry) -> str:
    bits = 8 * len(entry.address)
    return _written((((1 << entry.prefix) - 1) << (bits - entry.prefix)).to_bytes(len(entry.address)))
