"""The parameter `labels`: how the name of a statistic becomes a name with labels.

`GROUP: /expression/replacement/flags`; the replacement gives `name:labels`, where labels are put between the braces
as they are.  The first rule of a group that matches counts; what does not give that form is as if it were not there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import ConfigurationError
from ...script.posix_regex import PatternError, compile_pattern
from ...values import decode, encode


@dataclass(frozen=True, slots=True)
class LabelRule:
    """One rule; a number in `replacement` is a group of the expression."""

    group: str
    pattern: re.Pattern[bytes]
    replacement: tuple[str | int, ...]

    def apply(self, name: str) -> tuple[str, str] | None:
        """Name and labels for the statistic `name`, or None if the rule is not for it."""
        data = encode(name)
        found = self.pattern.search(data)
        if found is None:
            return None
        middle = "".join(_piece(found, piece) for piece in self.replacement)
        text = decode(data[: found.start()]) + middle + decode(data[found.end() :])
        new_name, colon, labels = text.partition(":")
        return (new_name, labels) if colon and new_name and "\n" not in labels else None


def parse_rule(text: str) -> LabelRule:
    """The rule in a `modparam`.  Raises ConfigurationError."""
    group, colon, expression = text.partition(":")
    expression = expression.strip()
    parts = re.split(rf"(?<!\\){re.escape(expression[:1])}", expression[1:]) if expression else []
    if not colon or not group.strip() or len(parts) != 3 or not set(parts[2]) <= {"i", "g", "s"}:
        raise ConfigurationError(
            f"'labels' is '{text}', expected 'GROUP: /expression/replacement/flags'", parameter="labels"
        )
    try:
        pattern = compile_pattern(parts[0], "i" in parts[2], lines="s" not in parts[2])
    except PatternError as error:
        raise ConfigurationError(f"'labels': '{parts[0]}': {error}", parameter="labels") from None
    return LabelRule(group.strip(), pattern, _pieces(parts[1]))


def _pieces(replacement: str) -> tuple[str | int, ...]:
    return tuple(
        text or (int(escaped) if escaped.isdigit() else escaped)
        for text, escaped in re.findall(r"([^\\]+)|\\(.)", replacement, re.DOTALL)
    )


def _piece(found: re.Match[bytes], piece: str | int) -> str:
    if isinstance(piece, str):
        return piece
    return decode(found[piece] or b"") if piece <= found.re.groups else ""
