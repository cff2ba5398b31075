"""Draws what `mi_layout` made of a result, with rich."""

from __future__ import annotations

from rich import box
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.table import Table as Drawn
from rich.text import Text

from .mi_layout import Table, layout

MANY = 12
"""A list of so many single values is set in columns."""


def print_tables(result: object, console: Console | None = None) -> None:
    """Print a result for people."""
    console = console or Console(highlight=False)
    for number, table in enumerate(layout(result)):
        if table.heading:
            if number:
                console.print()
            console.print(Text(table.heading, style="bold"))
        console.print(_drawn(table))


def _drawn(table: Table) -> RenderableType:
    if not table.rows:
        return Text("nothing", style="dim")
    if table.columns:
        drawn = Drawn(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in table.columns:
            drawn.add_column(Text(name))
        for row in table.rows:
            drawn.add_row(*[Text(cell) for cell in row])
        return drawn
    if len(table.rows[0]) == 1:
        cells = [Text(row[0]) for row in table.rows]
        return Columns(cells, padding=(0, 2), column_first=True) if len(cells) >= MANY else Text("\n").join(cells)
    pairs = Drawn.grid(padding=(0, 2))
    for name, value in table.rows:
        pairs.add_row(Text(name, style="cyan"), Text(value))
    return pairs
