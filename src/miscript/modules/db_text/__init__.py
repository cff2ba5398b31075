"""Module db_text: tables in text files, a folder of them being a database.

`text:///var/lib/opensips/db` is that folder, `text://db` the folder `db` in the working folder.  Tables are kept in
memory, from the first time they are asked for; changes are written when the host stops and with `db_text:dump`.  The
driver is offered as `database:text` (miscript.database).

Source: OpenSIPS manual, module db_text; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from pathlib import Path

from ...database import DatabaseError, version_table
from ...errors import ConfigurationError, MIError
from ...exports import Module, mi_command, parameter
from .folder import Folder

__all__ = ["DbText"]

log = logging.getLogger("miscript.db_text")


class DbText(Module):
    """Tables in text files, for a few rows or for a first try."""

    name = "db_text"
    early = True

    db_mode = parameter(0, "1: read a table again when its file has changed; 0: once, and with db_text:reload.")
    buffer_size = parameter(4096, "Accepted; a field may have any length.")

    def init(self) -> None:
        if self.db_mode not in (0, 1):
            raise ConfigurationError("db_mode must be 0 or 1", parameter="db_mode")
        self.folders: dict[Path, Folder] = {}
        self.services.provide("database:text", self)

    def open(self, url: str) -> Folder:
        """The folder that `url` names.  Raises ConfigurationError when there is none."""
        path = folder_of(url, self.services.working_folder)
        if not path.is_dir():
            raise ConfigurationError(f"'{url}': there is no folder '{path}'")
        if path not in self.folders:
            self.folders[path] = Folder(
                url, path, version_table=version_table(self.services.parameters), fresh=bool(self.db_mode)
            )
        return self.folders[path]

    async def stop(self) -> None:
        await self._write()

    async def _write(self) -> bool:
        written = True
        for folder in self.folders.values():
            try:
                await folder.write()
            except DatabaseError as error:
                log.error("%s", error)
                written = False
        return written

    @mi_command("dump", "", aliases=["dbt_dump"])
    async def mi_dump(self) -> str:
        """writes the tables that have changed to their files"""
        if not await self._write():
            raise MIError(500, "Internal error")
        return "OK"

    @mi_command("reload", "", "db_name", "db_name table_name", aliases=["dbt_reload"])
    async def mi_reload(self, db_name: str | None = None, table_name: str | None = None) -> str:
        """reads tables from their files again: all, those of a folder, or one"""
        folders = list(self.folders.values())
        if db_name is not None:
            folders = [folder for path, folder in self.folders.items() if path == Path(db_name)]
        try:
            known = [await folder.reload(table_name) for folder in folders]
        except DatabaseError as error:
            log.error("%s", error)
            raise MIError(500, "Internal error") from None
        if db_name is not None and not (known and all(known)):
            raise MIError(400, "Bad parameter value")
        return "OK"


def folder_of(url: str, working_folder: str) -> Path:
    """The folder that `url` names.  Raises ConfigurationError when it is no such URL."""
    if not url.startswith("text://") or not url[len("text://") :] or "?" in url or "\0" in url:
        raise ConfigurationError(f"expected text:///PATH, the folder with a file for each table; found '{url}'")
    return Path(working_folder) / url[len("text://") :]
