"""Where something stands in a script."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple


@dataclass(frozen=True)
class SourceFile:
    """A file of the script: its `name` as a user would write it, and its whole `text`."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def lines(self) -> list[str]:
        """The lines without their ends; line N of an editor is `lines[N - 1]`."""
        return self.text.split("\n")

    def line(self, number: int) -> str:
        """Line `number` (from 1), empty when there is none."""
        return self.lines[number - 1].rstrip("\r") if 0 < number <= len(self.lines) else ""

    @cached_property
    def _starts(self) -> list[int]:
        """The offset at which each line begins."""
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line) + 1)
        starts.pop()
        return starts

    def span(self, start: int, end: int) -> Span:
        """The stretch between two offsets of the text."""
        starts = self._starts
        first = bisect_right(starts, start)
        begin = starts[first - 1]
        if first == len(starts) or end < starts[first]:
            return Span(self, first, start - begin + 1, first, end - begin + 1)
        last = bisect_right(starts, end, first)
        return Span(self, first, start - begin + 1, last, end - starts[last - 1] + 1)

    def offset(self, line: int, column: int) -> int:
        """The offset of a place, cut to the text (the reverse of `span`)."""
        starts = self._starts
        if line > len(starts):
            return len(self.text)
        return min(starts[max(line, 1) - 1] + column - 1, len(self.text))


class Span(NamedTuple):
    """A stretch of one file: lines and columns count from 1, the end column is one past the last character."""

    file: SourceFile
    line: int
    column: int
    end_line: int
    end_column: int

    def to(self, other: Span) -> Span:
        """The stretch from the start of this one to the end of `other` (in the same file)."""
        if other.file is not self.file:
            return self
        return Span(self.file, self.line, self.column, other.end_line, other.end_column)

    @property
    def text(self) -> str:
        """What stands there, up to the end of the line."""
        line = self.file.line(self.line)
        return line[self.column - 1 : self.end_column - 1 if self.end_line == self.line else None]

    @property
    def end(self) -> Span:
        """The empty stretch just behind this one."""
        return Span(self.file, self.end_line, self.end_column, self.end_line, self.end_column)

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}:{self.column}"
