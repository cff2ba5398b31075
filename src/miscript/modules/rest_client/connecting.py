"""`no_concurrent_connects`: one call at a time connects to a host, so that a host that hangs does not hold up many.

A call that would be the second gets -4 at once.  A host that was connected to within the last `lifetime` seconds is
taken to have a connection that is still open, and may be called at any time.

Source: OpenSIPS manual, module rest_client, `no_concurrent_connects`, `curl_conn_lifetime`.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from ...services import Clock
from .transfers import Code, Outcome, Request, Transfers, checked_url

MAX_HOSTS: Final = 10_000
"""Hosts that are remembered as connected."""


class Connecting:
    """Who connects to which host now, and to which one somebody has connected lately."""

    def __init__(self, clock: Clock, lifetime: float) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._busy: set[str] = set()
        self._connected: dict[str, float] = {}

    async def alone(
        self, transfers: Transfers, request: Request, context: ssl.SSLContext, *, only_connect: bool
    ) -> Outcome:
        """Make a request, unless another one connects to its host.

        `only_connect`: others may connect as soon as this one has; else when its transfer is over.
        """
        host = _host(request.url)
        known = self._connected.get(host)
        if known is not None and self._clock.monotonic() - known < self._lifetime:
            return await transfers.make(request, context)
        if host in self._busy:
            return Outcome(Code.CONNECTING, f"another call is connecting to '{host}'")
        self._busy.add(host)
        connected = asyncio.Event()
        transfer = asyncio.ensure_future(transfers.make(request, context, connected))
        try:
            if only_connect:
                waiting = asyncio.ensure_future(connected.wait())
                await asyncio.wait([transfer, waiting], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                self._busy.discard(host)
            outcome = await transfer
        finally:
            transfer.cancel()
            self._busy.discard(host)
        if outcome.connected and self._lifetime:
            self._remember(host)
        return outcome

    def _remember(self, host: str) -> None:
        self._connected.pop(host, None)
        self._connected[host] = self._clock.monotonic()
        if len(self._connected) > MAX_HOSTS:
            del self._connected[next(iter(self._connected))]


def _host(url: str) -> str:
    import httpx

    try:
        return httpx.URL(checked_url(url)).host
    except (httpx.InvalidURL, ValueError):
        return url
