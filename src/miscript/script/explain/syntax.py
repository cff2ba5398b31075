"""E1xx and E2xx: text that cannot be read, and sentences that are none."""

from __future__ import annotations

from .explanation import Explanation

SYNTAX: dict[str, Explanation] = {}
