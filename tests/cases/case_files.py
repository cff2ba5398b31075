"""Files of cases: scripts whose expected output and expected mistakes stand in comments beside the line.

A file holds cases, separated by lines of `---`; each begins with `# case: NAME`.  A line may say what happens there:

- `# prints: TEXT` the next line that the script prints is TEXT (`# prints: A | B`: the next two are), in the order of
  the comments, whatever is run first;
- ``# error[E301] `TEXT`: MESSAGE`` or `# warning[W603] …`: a diagnostic begins on this line, TEXT is what its caret
  stands under, MESSAGE is all of its message; `…` at the end leaves the rest open;
- `# help: TEXT` behind it: its remedy.

A case without `prints` is only checked, one with it is run; `# mode: run` checks as `miscript run` does.  What is not
announced must not come, and what is announced must.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from miscript.script.diagnostics import Diagnostic

SEPARATOR = "---"
DIAGNOSTIC = re.compile(r"# (?:error|warning)\[(\w+)\] `(.*?)`: (.*?)(?= # help: | # (?:error|warning)\[|$)")
HELP = re.compile(r" # help: (.*?)(?= # (?:error|warning)\[|$)")
PRINTS = re.compile(r"# prints: (.*)$")
MODE = re.compile(r"^# mode: run$", re.MULTILINE)


@dataclass(frozen=True)
class Expected:
    """A diagnostic that is announced."""

    line: int
    code: str
    text: str
    message: str
    help: str | None

    def matches(self, found: Diagnostic) -> bool:
        message_fits = (
            found.message.startswith(self.message[:-1]) if self.message.endswith("…") else found.message == self.message
        )
        return (
            (found.span.line, found.code, found.span.text) == (self.line, self.code, self.text)
            and message_fits
            and (self.help is None or found.help == self.help)
        )


@dataclass(frozen=True)
class Case:
    """One case; its lines keep their numbers in the file, so that a position can be looked up there."""

    file: Path
    name: str
    text: str
    diagnostics: tuple[Expected, ...] = field(repr=False)
    prints: tuple[str, ...] | None = field(repr=False)

    def __str__(self) -> str:
        return f"{self.file.stem}: {self.name}"

    @property
    def run(self) -> bool:
        return self.prints is not None or MODE.search(self.text) is not None


def cases(folder: Path) -> Iterator[Case]:
    """All cases of all files of a folder."""
    for file in sorted(folder.glob("*.cfg")):
        yield from _cases(file)


def _cases(file: Path) -> Iterator[Case]:
    lines = file.read_text().split("\n")
    start = 0
    for end in [*(n for n, line in enumerate(lines) if line == SEPARATOR), len(lines)]:
        yield _case(file, lines[start:end], start)
        start = end + 1


def _case(file: Path, lines: list[str], before: int) -> Case:
    name = lines[0].removeprefix("# case: ")
    assert name != lines[0], f"{file}:{before + 1}: a case begins with '# case: NAME'"
    diagnostics: list[Expected] = []
    prints: list[str] | None = None
    for number, line in enumerate(lines, before + 1):
        for match in DIAGNOSTIC.finditer(line):
            help = HELP.match(line, match.end())
            diagnostics.append(Expected(number, *match.groups(), help[1] if help else None))
        if printed := PRINTS.search(line):
            prints = (prints or []) + printed[1].split(" | ")
    text = "\n" * before + "\n".join(lines) + "\n"
    return Case(file, name, text, tuple(diagnostics), None if prints is None else tuple(prints))


def announcement(found: Diagnostic) -> str:
    """How a diagnostic would be announced; shown when a case fails."""
    help = f" # help: {found.help}" if found.help else ""
    return f"line {found.span.line}: # {found.severity}[{found.code}] `{found.span.text}`: {found.message}{help}"
