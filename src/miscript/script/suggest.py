"""Near names: what the author of a script may have meant.

`near_names` finds them, `near` words them for the `help` of a diagnostic.  A name is near when few letters are
wrong, missing, too many or swapped, or when it is made of the same words (`sl_send_reply` and `send_reply`).
Case does not count.  The work is bounded: long names have no near names, and only candidates of about the same
length are compared letter by letter.
"""

from __future__ import annotations

from collections.abc import Iterable

SHOWN_NAMES = 3
LONGEST_NAME = 64


def near(name: str, candidates: Iterable[str], *, mark: str = "") -> str | None:
    """A question for `help`, ``did you mean 'xlog'?``, or None when nothing is near `name`.

    `mark` is what names of this kind are written with, for example `$`.
    """
    found = [f"'{mark}{near_name}'" for near_name in near_names(name, candidates)]
    if not found:
        return None
    *first, last = found
    return f"did you mean {', '.join(first)} or {last}?" if first else f"did you mean {last}?"


def near_names(name: str, candidates: Iterable[str]) -> list[str]:
    """The candidates nearest to `name`, at most `SHOWN_NAMES` and all equally near, in alphabetical order."""
    if not name or len(name) > LONGEST_NAME:
        return []
    wanted = name.lower()
    others = sorted({candidate for candidate in candidates if candidate != name})
    best, found = allowed_errors(wanted), list[str]()
    for candidate in others:
        distance = edit_distance(wanted, candidate.lower(), best)
        if distance < best:
            best, found = distance, []
        if distance == best:
            found.append(candidate)
    return (found or [candidate for candidate in others if share_words(wanted, candidate)])[:SHOWN_NAMES]


def allowed_errors(name: str) -> int:
    """How many letters may be wrong: every third one, at most three; one in a name of two letters, none in one."""
    return min(3, len(name) // 3) or int(len(name) == 2)


def share_words(name: str, other: str) -> bool:
    """Whether the words of one are all found in the other, at least two of them."""
    words, other_words = set(name.lower().split("_")), set(other.lower().split("_"))
    common = words & other_words
    return len(common) >= 2 and common in (words, other_words)


def edit_distance(left: str, right: str, limit: int) -> int:
    """Letters to add, drop, replace or swap with their neighbour; `limit + 1` stands for anything above `limit`.

    The optimal string alignment distance, row by row, given up as soon as no cell can stay within the limit.
    """
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before_last, last = list[int](), list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            cost = min(last[column] + 1, current[column - 1] + 1, last[column - 1] + (letter != other))
            swapped = row > 1 and column > 1 and letter == right[column - 2] and left[row - 2] == other
            current.append(min(cost, before_last[column - 2] + 1) if swapped else cost)
        if min(current) > limit:
            return limit + 1
        before_last, last = last, current
    return min(last[-1], limit + 1)
