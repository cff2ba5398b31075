"""Which release of miscript this is: for MI clients, and for the fields in which SIP programs name themselves."""

from __future__ import annotations

from functools import cache


@cache
def version() -> str:
    """The version of the installed package; "0" when it runs from a folder."""
    from importlib import metadata  # 25 ms, which a start need not spend

    try:
        return metadata.version("miscript")
    except metadata.PackageNotFoundError:
        return "0"


def signature() -> str:
    """Name and version, as in `Server` and `User-Agent` (RFC 3261 sections 20.35 and 20.41)."""
    return f"miscript/{version()}"
