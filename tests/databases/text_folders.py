"""Folders of db_text tables, as tests need them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from miscript.modules.db_text import DbText
from miscript.services import Services

GATEWAYS = """id(int,auto) gwid(string) strip(int) weight(double,null) attrs(string,null)
1:gw1:0:0.50:a\\tgood\\: friend
2:GW2:1::
3:gw3:2:-3.75:\\\\ \\0
"""

VERSION = "table_name(string) table_version(int) \ndr_gateways:6\ndispatcher:9\n"


def services(**parameters: int | str) -> Services:
    """Services that hold offers and global parameters, which is all that a driver asks for."""
    nothing = cast(Any, None)
    return Services(*[nothing] * 8, parameters, lambda: None)


def text_database(folder: Path, **files: str) -> DbText:
    """The module, and a folder with these files."""
    for name, content in files.items():
        (folder / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    module = DbText(services())
    module.init()
    return module
