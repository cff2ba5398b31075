"""Searching in the text of a SIP message, and changing it.

Patterns are looked for in the message as it came (its header fields and body, behind its first line, for what changes
it), line by line: `^` and `$` stand for the ends of lines, `.` for anything else than a line feed, so that a carriage
return belongs to the line.  Changes are made when the message is sent; the route itself goes on reading the message as
it came.  Those of the body count in the body that `$sdp` or a function of another module has put in place, where one
has.  A change that would end the header fields too early is refused.  Source: OpenSIPS manual, module textops;
observed messages of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Annotated, Final

from ..errors import ConfigurationError
from ..exports import BoundLiteral, Module, Pattern, bound_function, script_function
from ..read_arguments import mistake_of
from ..script.runtime import Run
from ..script.substitution import Change, Substitution, SubstitutionError, changed
from ..sip.message import Message
from ..sip.syntax import SipSyntaxError
from ..sip.uri import SipUri
from ..values import decode, encode

log = logging.getLogger("miscript.textops")

WITH_MESSAGE = "request failure reply branch local"
WITH_URI = "request failure reply branch"

MOST_CHANGES: Final = 10_000
"""Matches that one call replaces."""

Text = Callable[[Message], tuple[bytes, int]]
"""The text that is looked at, and where it begins in `Message.text_to_edit`."""


def _all(message: Message) -> tuple[bytes, int]:
    return message.text_to_edit, 0


def _body(message: Message) -> tuple[bytes, int]:
    text = message.text_to_edit
    start = message.header_length
    return text[start:], start


def _substitution(expression: str) -> Substitution:
    """What `/pattern/replacement/flags` stands for.  Raises ValueError for a text that is none."""
    return Substitution.parse(expression, variables=True)


BoundSubstitution = Annotated[BoundLiteral, mistake_of(_substitution)]


class TextOps(Module):
    """Looks for patterns in messages, and changes what they match."""

    name = "textops"

    @script_function(routes=WITH_MESSAGE)
    def search(self, run: Run, pattern: Pattern) -> int:
        """Whether the message, from its first line to the end of its body, holds the pattern."""
        message = run.message
        return 1 if isinstance(message, Message) and pattern.search(message.data) else -1

    @script_function(routes=WITH_MESSAGE)
    def search_body(self, run: Run, pattern: Pattern) -> int:
        """Whether the body holds the pattern."""
        message = run.message
        return 1 if isinstance(message, Message) and pattern.search(message.body) else -1

    @script_function(routes=WITH_MESSAGE)
    def search_append(self, run: Run, pattern: Pattern, text: str) -> int:
        """Put a text behind the first match of a pattern."""
        return _first(run, _all, pattern, text, behind=True)

    @script_function(routes=WITH_MESSAGE)
    def search_append_body(self, run: Run, pattern: Pattern, text: str) -> int:
        """Put a text behind the first match of a pattern in the body."""
        return _first(run, _body, pattern, text, behind=True)

    @script_function(routes=WITH_MESSAGE)
    def replace(self, run: Run, pattern: Pattern, text: str) -> int:
        """Put a text in place of the first match of a pattern."""
        return _first(run, _all, pattern, text)

    @script_function(routes=WITH_MESSAGE)
    def replace_body(self, run: Run, pattern: Pattern, text: str) -> int:
        """Put a text in place of the first match of a pattern in the body."""
        return _first(run, _body, pattern, text)

    @script_function(routes=WITH_MESSAGE)
    def replace_all(self, run: Run, pattern: Pattern, text: str) -> int:
        """Put a text in place of all matches of a pattern."""
        return _every(run, _all, pattern, text)

    @script_function(routes=WITH_MESSAGE)
    def replace_body_all(self, run: Run, pattern: Pattern, text: str) -> int:
        """Put a text in place of all matches of a pattern in the body."""
        return _every(run, _body, pattern, text)

    @script_function(routes=WITH_MESSAGE)
    def replace_body_atonce(self, run: Run, pattern: Pattern, text: str) -> int:
        """The same as `replace_body_all`: in the server too a pattern never reaches over the end of a line."""
        return _every(run, _body, pattern, text)

    @bound_function(routes=WITH_MESSAGE)
    def subst(self, expression: BoundSubstitution) -> Callable[[Run], int]:
        r"""Change what a pattern matches: `/pattern/replacement/flags`, with `\0` to `\9` and variables."""
        return _substituting("subst", expression.constant, _all)

    @bound_function(routes=WITH_MESSAGE)
    def subst_body(self, expression: BoundSubstitution) -> Callable[[Run], int]:
        """The same, in the body."""
        return _substituting("subst_body", expression.constant, _body)

    @bound_function(routes=WITH_URI)
    def subst_uri(self, expression: BoundSubstitution) -> Callable[[Run], int]:
        """Change what a pattern matches in the Request-URI; seen at once."""
        substitution = _read(expression.constant)

        def change(run: Run) -> int:
            message = run.message
            if not isinstance(message, Message) or message.uri is None:
                return -1
            new = _new_text("subst_uri", substitution, run, message.uri)
            return -1 if new is None else _set_uri("subst_uri", message, new)

        return change

    @bound_function(routes=WITH_URI)
    def subst_user(self, expression: BoundSubstitution) -> Callable[[Run], int]:
        """Change what a pattern matches in the user of the Request-URI; seen at once."""
        substitution = _read(expression.constant)

        def change(run: Run) -> int:
            message = run.message
            if not isinstance(message, Message) or message.uri is None:
                return -1
            try:
                uri = SipUri.parse(message.uri)
            except SipSyntaxError as error:
                log.error("subst_user: '%s': %s", message.uri, error)
                return -1
            new = _new_text("subst_user", substitution, run, uri.user or "")
            return -1 if new is None else _set_uri("subst_user", message, str(uri.with_user(new or None)))

        return change


def _first(run: Run, where: Text, pattern: Pattern, text: str, *, behind: bool = False) -> int:
    message = run.message
    if not isinstance(message, Message):
        return -1
    data, offset = where(message)
    found = pattern.search(data)
    if found is None:
        return -1
    return _edit(message, [Change(found.end() if behind else found.start(), found.end(), encode(text))], offset)


def _every(run: Run, where: Text, pattern: Pattern, text: str) -> int:
    message = run.message
    if not isinstance(message, Message):
        return -1
    data, offset = where(message)
    new = encode(text)
    found = [Change(match.start(), match.end(), new) for match in pattern.finditer(data) if match.end() > match.start()]
    if len(found) > MOST_CHANGES:
        log.error("a pattern matches %d times in one message, at most %d are replaced", len(found), MOST_CHANGES)
        return -1
    return _edit(message, found, offset) if found else -1


def _substituting(name: str, expression: object, where: Text) -> Callable[[Run], int]:
    substitution = _read(expression)

    def change(run: Run) -> int:
        message = run.message
        if not isinstance(message, Message):
            return -1
        data, offset = where(message)
        found = _changes(name, substitution, run, data)
        return _edit(message, found, offset) if found else -1

    return change


def _read(expression: object) -> Substitution:
    try:
        return _substitution(str(expression))
    except ValueError as error:  # the checker has told, where it ran
        raise ConfigurationError(str(error)) from error


def _changes(name: str, substitution: Substitution, run: Run, data: bytes) -> list[Change]:
    def fill(text: str) -> bytes:
        filled = run.evaluate(text)
        if filled is None:
            raise SubstitutionError(f"the variables in '{text}' cannot be read")
        return encode(str(filled))

    try:
        return substitution.changes(data, fill)
    except SubstitutionError as error:
        log.error("%s: %s", name, error)
        return []


def _new_text(name: str, substitution: Substitution, run: Run, text: str) -> str | None:
    data = encode(text)
    found = _changes(name, substitution, run, data)
    return decode(changed(data, found)) if found else None


def _set_uri(name: str, message: Message, uri: str) -> int:
    try:
        message.uri = uri
    except (SipSyntaxError, ValueError) as error:
        log.error("%s: '%s' cannot be the Request-URI: %s", name, uri, error)
        return -1
    return 1


def _edit(message: Message, changes: Iterable[Change], offset: int) -> int:
    """All changes or none."""
    try:
        message.edit_text([(change.start + offset, change.end + offset, change.text) for change in changes])
    except SipSyntaxError as error:
        log.error("the message cannot be changed: %s", error)
        return -1
    return 1
