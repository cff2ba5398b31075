"""A script's files to one list of tokens: `include_file`, `import_file` and the external preprocessor.

* `load(path, diagnostics, preprocessor)` reads a file, `load_text(name, text, diagnostics)` takes a text.
* An include stands anywhere, even inside a route.  Its file is looked for from the working folder, then from the
  folder of the file that includes it.  A missing file is an error, for both words (E105); so are cycles (E107) and
  more than `MAX_INCLUDE_DEPTH` levels, `MAX_INCLUDES` files or `MAX_SIZE` characters (E108).
* Every token keeps its own file and line: line numbers begin anew in an included file.
* A preprocessor is a command (split into arguments as a shell does it, but never run by one).  As in OpenSIPS it
  gets the script with all its includes put in on stdin and gives the script to run on stdout.  Where its lines came
  from is told by its own marks (`# 12 "file"`, `#line 12 "file"`, as cpp and m4 -s write them), else by comparing
  what came out with what went in.

Nothing is raised: what goes wrong becomes a diagnostic.

Source: OpenSIPS manual, "Script Format" (including files) and "Templating opensips.cfg Files" (option -p).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..late_pattern import late_pattern
from ..values import decode, encode
from .diagnostics import Diagnostics
from .lexer import lex
from .source import SourceFile, Span
from .tokens import Kind, Token

MAX_INCLUDE_DEPTH = 20
MAX_INCLUDES = 1000
MAX_SIZE = 16 * 1024 * 1024
"""Characters of a script with all that it includes, also after preprocessing."""
PREPROCESSOR_TIMEOUT = 30.0
"""Seconds."""
MAX_COMPARED_LINES = 20_000
"""Longer scripts are not compared with the preprocessor's output: line N is taken to come from line N."""

INCLUDES = ("include_file", "import_file")

_INCLUDE_LINE = late_pattern(r"""[ \t]*(include_file|import_file)[ \t]+(?:"([^"\n]*)"|'([^'\n]*)')[^\n]*""")
_LINE_MARK = late_pattern(r'#[ \t]*(?:line[ \t]+)?([0-9]{1,9})(?:[ \t]+"([^"\n]*)")?[ \t0-9]*')
_STDIN_NAMES = frozenset(("", "-", "stdin", "<stdin>"))


def load(path: Path, diagnostics: Diagnostics, preprocessor: str | None = None) -> list[Token]:
    """The tokens of the script at `path`, ending with one of kind END.

    `preprocessor` is a command line.  An unreadable file is reported at the start of an empty source (E100).
    """
    try:
        text = read(path)
    except OSError as error:
        nowhere = SourceFile(str(path), "")
        diagnostics.add("E100", f"the script '{path}' cannot be read: {_reason(error)}", nowhere.span(0, 0))
        return lex(nowhere, diagnostics)
    return load_text(str(path), text, diagnostics, folder=path.parent, preprocessor=preprocessor)


def load_text(
    name: str,
    text: str,
    diagnostics: Diagnostics,
    *,
    folder: Path | None = None,
    preprocessor: str | None = None,
) -> list[Token]:
    """The tokens of `text`, which messages call `name`; includes are also looked for in `folder`."""
    file = SourceFile(name, _without_lone_surrogates(text))
    loader = _Loader(diagnostics)
    loader.total = len(text)
    if preprocessor is None:
        return loader.tokens(file, folder or Path(), (_identity(Path(name)),))
    lines: list[_Line] = []
    loader.flatten(file, folder or Path(), (_identity(Path(name)),), lines)
    output = _run(preprocessor, "".join(f"{line.text}\n" for line in lines), file, diagnostics)
    return lex(_origins(output, lines, file), diagnostics)


def read(path: Path) -> str:
    """The text of a file; bytes that are not UTF-8 are kept (surrogateescape), a byte order mark in front is not."""
    with path.open("rb") as stream:
        return decode(stream.read(MAX_SIZE + 1)).removeprefix("\ufeff")


def _without_lone_surrogates(text: str) -> str:
    """A Python text may hold what no file can (half of a pair); everything behind relies on `encode`."""
    try:
        encode(text)
    except UnicodeEncodeError:
        return decode(text.encode("utf-8", "surrogatepass"))
    return text


def _identity(path: Path) -> str:
    return str(path.resolve()) if path.exists() else str(path)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


@dataclass(slots=True)
class _Loader:
    """Puts includes in, as tokens or as lines, within the limits."""

    diagnostics: Diagnostics
    count: int = 0
    total: int = 0
    exhausted: bool = False

    def tokens(self, file: SourceFile, folder: Path, open_files: tuple[str, ...]) -> list[Token]:
        tokens = lex(file, self.diagnostics)
        if not any(word in file.text for word in INCLUDES):
            return tokens
        result: list[Token] = []
        skip = -1
        for number, token in enumerate(tokens):
            if number <= skip:
                continue
            if token.kind is not Kind.WORD or token.text not in INCLUDES:
                result.append(token)
                continue
            argument = tokens[number + 1]
            if argument.kind is not Kind.STRING or not isinstance(argument.value, str):
                self._refuse_argument(token)
                result.append(token._replace(kind=Kind.ERROR))
                continue
            skip = number + 1
            if tokens[skip + 1].text == ";" and "\n" not in file.text[argument.end : tokens[skip + 1].start]:
                skip += 1
            if found := self._open(argument.value, argument.span, folder, open_files):
                included, path = found
                result += self.tokens(included, path.parent, (*open_files, _identity(path)))[:-1]
        return result

    def flatten(self, file: SourceFile, folder: Path, open_files: tuple[str, ...], lines: list[_Line]) -> None:
        """The lines of a file with its includes put in, for the preprocessor; here an include has its own line."""
        for number, text in enumerate(file.text.removesuffix("\n").split("\n"), 1):
            include = _INCLUDE_LINE.fullmatch(text.rstrip("\r"))
            if include is None:
                lines.append(_Line(text, file, number))
                continue
            name = include[2] if include[2] is not None else include[3]
            start = file.offset(number, 1)
            span = file.span(start + include.start(1), start + len(text.rstrip()))
            if found := self._open(name, span, folder, open_files):
                included, path = found
                self.flatten(included, path.parent, (*open_files, _identity(path)), lines)

    def _refuse_argument(self, token: Token) -> None:
        help = f'write  {token.text} "file.cfg"'
        self.diagnostics.add("E105", f"'{token.text}' needs the name of a file in quotes", token.span, help=help)

    def _open(self, name: str, span: Span, folder: Path, open_files: tuple[str, ...]) -> tuple[SourceFile, Path] | None:
        path = next((p for p in (Path(name), folder / name) if _is_file(p)), None)
        if path is None:
            where = "" if Path(name).is_absolute() else f" (looked in '{Path.cwd()}' and '{folder}')"
            self.diagnostics.add("E105", f"the file '{name}' does not exist{where}", span)
            return None
        if _identity(path) in open_files:
            self.diagnostics.add("E107", f"the file '{name}' includes itself", span)
            return None
        if len(open_files) > MAX_INCLUDE_DEPTH:
            self._limit(f"more than {MAX_INCLUDE_DEPTH} files include one another", span)
            return None
        self.count += 1
        if self.count > MAX_INCLUDES:
            self._limit(f"more than {MAX_INCLUDES} files are included", span)
            return None
        try:
            text = read(path)
        except OSError as error:
            self.diagnostics.add("E105", f"the file '{name}' cannot be read: {_reason(error)}", span)
            return None
        self.total += len(text)
        if self.total > MAX_SIZE:
            self._limit(f"the script and its includes are larger than {MAX_SIZE} characters", span)
            return None
        return SourceFile(str(path), text), path

    def _limit(self, message: str, span: Span) -> None:
        if not self.exhausted:
            self.exhausted = True
            self.diagnostics.add("E108", message, span)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long or holds a NUL
        return False


# -- the external preprocessor --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """A line and where it came from; `number` counts from 1."""

    text: str
    file: SourceFile
    number: int


def _run(command: str, text: str, file: SourceFile, diagnostics: Diagnostics) -> str:
    """What the command makes of `text`; empty after a failure (E109)."""
    import shlex
    import subprocess

    try:
        arguments = shlex.split(command)
        if not arguments:
            raise ValueError("the command is empty")
        done = subprocess.run(
            arguments, input=encode(text), capture_output=True, timeout=PREPROCESSOR_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        problem = f"no end after {PREPROCESSOR_TIMEOUT:g} seconds"
    except OSError as error:
        problem = _reason(error)
    except ValueError as error:
        problem = str(error).lower()
    else:
        if done.returncode == 0 and len(done.stdout) <= MAX_SIZE:
            return decode(done.stdout)
        problem = f"exit status {done.returncode}" if done.returncode else f"more than {MAX_SIZE} bytes of output"
        complaint = decode(done.stderr[:1000]).strip()
        problem += f": {complaint.splitlines()[0]}" if complaint else ""
    diagnostics.add("E109", f"the preprocessor '{command}' failed: {problem}", file.span(0, 0))
    return ""


@dataclass(frozen=True)
class _Preprocessed(SourceFile):
    """The output of a preprocessor: offsets are those of the output, spans those of the lines they came from."""

    origins: list[_Line] = field(default_factory=list, repr=False)

    def span(self, start: int, end: int) -> Span:
        here = super().span(start, end)
        if not self.origins:
            return here
        first = self._place(here.line, here.column, first=True)
        last = self._place(here.end_line, here.end_column, first=False)
        span = Span(*first, first[1], first[2]).to(Span(*last, last[1], last[2]))
        return span if (span.line, span.column) <= (span.end_line, span.end_column) else span.end

    def _place(self, line: int, column: int, *, first: bool) -> tuple[SourceFile, int, int]:
        """Where a place of the output came from; the whole line when the preprocessor changed it."""
        origin = self.origins[min(line, len(self.origins)) - 1]
        source = origin.file.line(origin.number)
        if source == self.line(line):
            return origin.file, origin.number, min(column, len(source) + 1)
        if first:
            return origin.file, origin.number, len(source) - len(source.lstrip()) + 1
        return origin.file, origin.number, len(source.rstrip()) + 1


def _origins(output: str, lines: list[_Line], main: SourceFile) -> SourceFile:
    """The output with the origin of each of its lines."""
    texts = output.removesuffix("\n").split("\n")
    if any(_LINE_MARK.fullmatch(text) for text in texts):
        texts, origins = _by_marks(texts, lines, main)
    else:
        origins = _by_comparing(texts, lines)
    return _Preprocessed(main.name, "\n".join(texts), origins)


def _by_marks(texts: list[str], lines: list[_Line], main: SourceFile) -> tuple[list[str], list[_Line]]:
    """Follows marks like `# 12 "file"`; the marks themselves become empty lines."""
    files: dict[str, SourceFile] = {}
    name, number = "", 0
    blanked, origins = [], []
    for text in texts:
        number += 1
        mark = _LINE_MARK.fullmatch(text)
        if mark:
            number = int(mark[1]) - 1
            name = name if mark[2] is None else mark[2]
            text = ""
        blanked.append(text)
        if name in _STDIN_NAMES:
            origins.append(lines[min(max(number, 1), len(lines)) - 1])
        else:
            file = files.get(name) or files.setdefault(name, _file_of_mark(name, main))
            origins.append(_Line(text, file, min(max(number, 1), len(file.lines))))
    return blanked, origins


def _file_of_mark(name: str, main: SourceFile) -> SourceFile:
    if name == main.name:
        return main
    try:
        return SourceFile(name, read(Path(name)))
    except (OSError, ValueError):
        return SourceFile(name, "")


def _by_comparing(texts: list[str], lines: list[_Line]) -> list[_Line]:
    """Equal lines come from one another; changed ones from the lines between, the last of them repeated."""
    from difflib import SequenceMatcher

    before = [line.text for line in lines]
    if max(len(before), len(texts)) > MAX_COMPARED_LINES:
        return [lines[min(n, len(lines) - 1)] for n in range(len(texts))]
    origins: list[_Line] = []
    for _, i1, i2, j1, j2 in SequenceMatcher(None, before, texts).get_opcodes():
        last = max(min(i2, len(lines)) - 1, 0)
        origins += [lines[min(i1 + k, last)] for k in range(j2 - j1)]
    return origins
