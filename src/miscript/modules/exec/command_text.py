"""The command of an `exec()`: what the script wrote is a command, what its variables hold is data.

`exec("notify.sh --to '$tU' | logger")` runs the script's own text with /bin/sh, in which each variable has become a
reference to a parameter of the shell: whatever `$tU` holds, it is a part of that one word and never a command.  A text
without anything that a shell does for it is a program and its arguments, and is run without one.

Inside `$(( … ))` a shell computes, and some run what stands in a text that is no number: a value there must be one.

A command that is a variable as a whole is not the script's own text: it is taken as a program and its arguments, and
refused when it has anything that only a shell could do.

Source: OpenSIPS manual, module exec; POSIX.1-2017, XCU 2.2 (quoting), 2.3 (tokens), 2.5.1 (positional parameters).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, TypeAlias

Piece: TypeAlias = str | int
"""A text of the script, or the number of a value."""

SHELL: Final = "/bin/sh"

_SYNTAX: Final = frozenset("|&;<>()*?[]{}#~!\n")
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_SPECIAL_IN_DOUBLE: Final = frozenset('$`"\\\n')


class CommandError(ValueError):
    """A text that cannot be run; says why."""


class _Quote(Enum):
    NONE = auto()
    SINGLE = auto()
    DOUBLE = auto()
    PARENTHESIS = auto()  # inside $( … ), which begins anew
    BACKTICK = auto()
    ARITHMETIC = auto()  # inside $(( … ))


@dataclass(slots=True)
class CommandText:
    """A command as it was written: its words when no shell is needed, and the text for one.

    `numbers` are the values that a shell would compute with.
    """

    words: list[list[Piece]] = field(default_factory=list)
    shell: str = ""
    needs_shell: bool = False
    numbers: set[int] = field(default_factory=set)

    def argv(self, values: Sequence[str]) -> list[str]:
        """Program and arguments, with the values filled in."""
        return ["".join([p if isinstance(p, str) else values[p] for p in word]) for word in self.words]

    def shell_argv(self, values: Sequence[str]) -> list[str]:
        """The same through a shell; the values are its parameters.  Raises CommandError for one that is no number."""
        for place in self.numbers:
            if _NUMBER.fullmatch(values[place]) is None:
                raise CommandError(f"{values[place][:80]!a} stands inside $(( )) and is no number")
        return [SHELL, "-c", self.shell, SHELL, *values]


def command_text(pieces: Sequence[Piece]) -> CommandText:
    """Read a command; a number in `pieces` is a value.  Raises CommandError for a quote that is not closed."""
    return _Reader().read(pieces)


def plain_command(text: str) -> list[str]:
    """The words of a command that came from a variable.  Raises CommandError when only a shell could run it."""
    found = command_text([text])
    if found.needs_shell:
        raise CommandError("it has shell syntax, which only the script's own text may have")
    return found.argv([])


class _Reader:
    """Goes through a command, knowing which quotes are open."""

    def __init__(self) -> None:
        self._text = CommandText()
        self._shell: list[str] = []
        self._quotes = [_Quote.NONE]
        self._word: list[Piece] | None = None
        self._escaped = False
        self._dollar = False

    def read(self, pieces: Sequence[Piece]) -> CommandText:
        for piece in pieces:
            if isinstance(piece, str):
                for character in piece:
                    self._take(character)
            else:
                self._value(piece)
        if self._escaped:
            self._part("\\")
            self._shell.append("\\\\")
        if len(self._quotes) > 1:
            raise CommandError("a quote is not closed")
        self._end_word()
        self._text.shell = "".join(self._shell)
        return self._text

    def _value(self, number: int) -> None:
        """A value stands here: one word, or a part of one."""
        self._escaped = self._dollar = False  # a backslash before it has nothing to do
        self._part(number)
        if _Quote.ARITHMETIC in self._quotes:
            self._text.numbers.add(number)
        reference = f"${{{number + 1}}}"
        match self._quotes[-1]:
            case _Quote.DOUBLE | _Quote.ARITHMETIC:
                self._shell.append(reference)
            case _Quote.SINGLE:
                self._shell.append(f"'\"{reference}\"'")
            case _:
                self._shell.append(f'"{reference}"')

    def _take(self, character: str) -> None:
        quote = self._quotes[-1]
        dollar, self._dollar = self._dollar, False
        if self._escaped:
            self._take_escaped(quote, character)
            return
        if character == "\\" and quote is not _Quote.SINGLE:
            self._escaped = True
            return
        self._shell.append(character)
        if quote is _Quote.SINGLE:
            self._in_single(character)
        elif character in "$`" or (dollar and character == "("):
            self._expansion(character)
        elif quote is _Quote.DOUBLE:
            self._in_double(character)
        else:
            self._in_plain(quote, character)

    def _take_escaped(self, quote: _Quote, character: str) -> None:
        self._escaped = False
        self._shell += ("\\", character)
        if quote is _Quote.DOUBLE and character not in _SPECIAL_IN_DOUBLE:
            self._part("\\")
        if character != "\n":
            self._part(character)

    def _in_single(self, character: str) -> None:
        if character == "'":
            self._quotes.pop()
        else:
            self._part(character)

    def _in_double(self, character: str) -> None:
        if character == '"':
            self._quotes.pop()
        else:
            self._part(character)

    def _in_plain(self, quote: _Quote, character: str) -> None:
        if character in "'\"":
            self._quotes.append(_Quote.SINGLE if character == "'" else _Quote.DOUBLE)
            self._part("")
        elif character == ")" and quote in (_Quote.PARENTHESIS, _Quote.ARITHMETIC):
            self._quotes.pop()
        elif character in " \t":
            self._end_word()
        else:
            if character in _SYNTAX or (character == "=" and not self._text.words):
                self._text.needs_shell = True
            if character == "(" and quote in (_Quote.PARENTHESIS, _Quote.ARITHMETIC):
                computes = quote is _Quote.ARITHMETIC or self._shell[-3:] == ["$", "(", "("]
                self._quotes.append(_Quote.ARITHMETIC if computes else _Quote.PARENTHESIS)
            self._part(character)

    def _expansion(self, character: str) -> None:
        """What a shell would fill something in for, inside double quotes too."""
        self._text.needs_shell = True
        if character == "$":
            self._dollar = True
            self._part(character)
        elif character == "(":
            self._quotes.append(_Quote.PARENTHESIS)
        elif _Quote.BACKTICK in self._quotes:
            while self._quotes.pop() is not _Quote.BACKTICK:
                pass
        else:
            self._quotes.append(_Quote.BACKTICK)

    def _part(self, piece: Piece) -> None:
        if self._word is None:
            self._word = []
        self._word.append(piece)

    def _end_word(self) -> None:
        if self._word is not None:
            self._text.words.append(self._word)
            self._word = None
