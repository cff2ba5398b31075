"""What an explanation is made of."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import cleandoc


@dataclass(frozen=True, slots=True)
class Explanation:
    """`title` in a few words, `text` in a few sentences, and two whole scripts: `wrong` shows the mistake."""

    title: str
    text: str
    wrong: str
    right: str


def explanation(title: str, text: str, wrong: str, right: str) -> Explanation:
    """An explanation from texts that are indented like the code around them."""
    return Explanation(title, " ".join(text.split()), cleandoc(wrong), cleandoc(right))
