"""Every code of a diagnostic, explained: what is wrong, a script that is wrong, the same script put right.

`EXPLANATIONS` holds them by code, in the order of the codes; the modules beside this one are its parts.  `explain`
is what `miscript check --explain CODE` prints; `docs/errors.md` is made from the same table.
"""

from __future__ import annotations

import textwrap

from ..excerpt import safe
from ..suggest import near
from .arguments import ARGUMENTS
from .explanation import Explanation
from .expressions import EXPRESSIONS
from .grammar import GRAMMAR
from .names import NAMES
from .routes import ROUTES
from .syntax import SYNTAX
from .warnings import WARNINGS

__all__ = ["EXPLANATIONS", "FAMILIES", "Explanation", "explain"]

EXPLANATIONS: dict[str, Explanation] = dict(
    sorted((SYNTAX | GRAMMAR | EXPRESSIONS | NAMES | ARGUMENTS | ROUTES | WARNINGS).items())
)

FAMILIES = {
    "E1": "Reading the text",
    "E2": "Grammar",
    "E3": "Names",
    "E4": "Arguments and values",
    "E5": "Routes",
    "W6": "Warnings",
}
"""What the codes that begin so have in common."""

_TEXT_WIDTH = 88


def explain(code: str) -> str:
    """The page of `code` as text; the case of its letter does not count.

    For a code that there is not: a line that says so and names near ones.
    """
    explanation = EXPLANATIONS.get(code.strip().upper())
    if explanation is None:
        return _unknown(code)
    return "\n".join(
        [
            f"{code.strip().upper()}: {explanation.title}",
            "",
            textwrap.fill(explanation.text, _TEXT_WIDTH),
            "",
            "Wrong:",
            "",
            textwrap.indent(explanation.wrong, "    "),
            "",
            "Right:",
            "",
            textwrap.indent(explanation.right, "    "),
            "",
        ]
    )


def _unknown(code: str) -> str:
    message = f"there is no code '{safe(code)}'"
    family = code.strip().upper()[:2]
    if question := near(code.strip().upper(), EXPLANATIONS):
        return f"{message}; {question}\n"
    if family in FAMILIES:
        return f"{message}; codes that begin so: {', '.join(c for c in EXPLANATIONS if c.startswith(family))}\n"
    return f"{message}; they run from {min(EXPLANATIONS)} to {max(EXPLANATIONS)}\n"
