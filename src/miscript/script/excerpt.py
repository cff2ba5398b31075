"""A stretch of source as a terminal can show it: line numbers, the lines, carets below what is meant.

```
   |
41 |     if (!dlg_end_dlg("$var(id)")) {
   |          ^^^^^^^^^^^
```

Everything that comes from a script passes `safe` first: control characters, bytes that are not UTF-8, blanks other
than the plain one and characters that change the direction of text are shown as escapes, so that no script can
write to the terminal and what is seen is what is there.  A long line is cut around the caret; the work never
depends on its length.
"""

from __future__ import annotations

from collections.abc import Callable
from unicodedata import category, combining, east_asian_width

from .source import Span

Paint = Callable[[str], str]

LINE_WIDTH = 100
TAB = "    "
CUT = "..."


def safe(text: str) -> str:
    """`text` on one line, without anything that a terminal would obey or hide."""
    return text if text.isascii() and text.isprintable() else "".join(map(_cell, text))


def excerpt(span: Span, mark: str, gutter: int, paint_frame: Paint, paint_mark: Paint) -> list[str]:
    """The lines of `span` with `mark` (one character) repeated below what it covers.

    `gutter` is the width of the line numbers.  A span of several lines shows its first and its last line, and
    the one between when there is only one.
    """
    blank = paint_frame(" " * gutter + " |")
    lines = [blank]
    for number, start, end in _marked_lines(span):
        if number is None:
            lines.append(paint_frame(CUT))
            continue
        shown, indent, width = _fit(span.file.line(number), start, end)
        numbered = paint_frame(f"{number:>{gutter}} |")
        lines.append(f"{numbered} {shown}".rstrip())
        lines.append(f"{blank} {' ' * indent}{paint_mark(mark * width)}")
    return lines


def last_shown_line(span: Span) -> int:
    """The largest line number that `excerpt` prints for `span`."""
    return max(number for number, _, _ in _marked_lines(span) if number is not None)


def _marked_lines(span: Span) -> list[tuple[int | None, int, int]]:
    """(line number, first marked index, index behind the last one); a None number stands for lines left out."""
    first, last = span.line, span.end_line
    end = span.end_column - 1
    if last > first and end == 0:  # the line end is the last thing meant, nothing of the next line
        last, end = last - 1, len(span.file.line(last - 1))
    if last <= first:
        return [(first, span.column - 1, end)]
    marked: list[tuple[int | None, int, int]] = [(first, span.column - 1, len(span.file.line(first)))]
    if last - first == 2:
        marked.append((first + 1, _indentation(span.file.line(first + 1)), len(span.file.line(first + 1))))
    elif last - first > 2:
        marked.append((None, 0, 0))
    marked.append((last, _indentation(span.file.line(last)), end))
    return marked


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _fit(line: str, start: int, end: int) -> tuple[str, int, int]:
    """What is shown of `line`, the columns in front of the mark, and the width of the mark (at least 1)."""
    start = max(0, min(start, len(line)))
    end = max(start, min(end, len(line)))
    before = [_cell(char) for char in line[max(0, start - LINE_WIDTH) : start]]
    after = [_cell(char) for char in line[start : start + LINE_WIDTH]]
    room_before = max(LINE_WIDTH // 3, LINE_WIDTH - sum(map(_width, after)))
    kept_before = _keep(before[::-1], room_before)[::-1]
    kept_after = _keep(after, LINE_WIDTH - sum(map(_width, kept_before)))
    left = CUT if len(kept_before) < start else ""
    right = CUT if start + len(kept_after) < len(line) else ""
    indent = len(left) + sum(map(_width, kept_before))
    width = sum(map(_width, kept_after[: end - start]))
    return f"{left}{''.join(kept_before)}{''.join(kept_after)}{right}", indent, max(1, width)


def _keep(cells: list[str], room: int) -> list[str]:
    """As many of `cells`, from the first on, as `room` columns hold."""
    for kept, cell in enumerate(cells):
        room -= _width(cell)
        if room < 0:
            return cells[:kept]
    return cells


def _cell(char: str) -> str:
    """What stands for one character of the source."""
    if char == "\t":
        return TAB
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, see values.decode
        return f"\\x{code - 0xDC00:02x}"
    return {"\n": "\\n", "\r": "\\r"}.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _width(cell: str) -> int:
    """The columns that a terminal gives to one cell."""
    if cell.isascii():
        return len(cell)
    if combining(cell) or category(cell) in ("Mn", "Me"):
        return 0
    return 2 if east_asian_width(cell) in "WF" else 1
