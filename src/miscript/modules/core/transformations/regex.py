r"""`{re.subst,/pattern/replacement/flags}`: replace what a POSIX extended regular expression matches.

The language is that of `script.substitution`, without variables in the replacement.  A pattern that matches nothing
at some place gives NULL, as in the reference server.
"""

from __future__ import annotations

from functools import lru_cache

from ....script.posix_regex import PatternError
from ....script.substitution import Substitution, SubstitutionError, changed
from ....values import Value, decode, encode
from .table import MAX_LENGTH, text_transformation

_CACHED = 256


@lru_cache(_CACHED)
def _parse(text: str) -> Substitution | None:
    try:
        return Substitution.parse(text)
    except (PatternError, SubstitutionError):
        return None


@text_transformation("re", "subst", kinds=("string",), keeps=True)
def re_subst(text: str, expression: str) -> Value:
    """Replace what a regular expression matches: `/pattern/replacement/flags`."""
    substitution = _parse(expression)
    if substitution is None or not text:
        return None
    data = encode(text)
    try:
        changes = substitution.changes(data, longest=MAX_LENGTH)
    except SubstitutionError:
        return None
    return decode(changed(data, changes)) if changes else text
