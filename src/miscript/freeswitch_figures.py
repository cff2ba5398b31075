"""The figures of FreeSWITCH servers that a table names: what modules share that weigh destinations by them.

Source: OpenSIPS manual, modules dispatcher and load_balancer (`fetch_freeswitch_stats`).
"""

from __future__ import annotations

from collections.abc import Iterable

from .errors import ConfigurationError
from .esl import EslError
from .freeswitch_service import Freeswitch, FreeswitchError, FreeswitchSocket, Heartbeat, freeswitch_service
from .services import Services

SCHEME = "fs://"


class FreeswitchFigures:
    """The latest heartbeats of the servers that a table names by their URLs; `who` is the module."""

    def __init__(self, freeswitch: Freeswitch, who: str) -> None:
        self._freeswitch = freeswitch
        self._who = who
        self._sockets: dict[str, FreeswitchSocket] = {}

    def replace(self, urls: Iterable[str]) -> None:
        """Listen to these servers from now on, and to no others.

        Raises FreeswitchError for one that cannot be had, and then nothing has changed.
        """
        found: dict[str, FreeswitchSocket] = {}
        try:
            for url in dict.fromkeys(urls):
                found[url] = self._freeswitch.acquire_heartbeats(url, self._who)
        except (EslError, FreeswitchError) as error:
            self._release(found)
            raise FreeswitchError(str(error)) from error
        before, self._sockets = self._sockets, found
        self._release(before)

    def _release(self, sockets: dict[str, FreeswitchSocket]) -> None:
        for socket in sockets.values():
            self._freeswitch.release_heartbeats(socket, self._who)

    def of(self, url: str) -> Heartbeat | None:
        """What the server at a URL told last."""
        socket = self._sockets.get(url)
        return None if socket is None else socket.heartbeat


def freeswitch_figures(services: Services, wanted: int, who: str) -> FreeswitchFigures | None:
    """The figures for a module whose `fetch_freeswitch_stats` is `wanted`; None when that is 0.

    Raises ConfigurationError when module freeswitch is not loaded.
    """
    if not wanted:
        return None
    found = freeswitch_service(services)
    if found is None:
        raise ConfigurationError("fetch_freeswitch_stats needs module freeswitch", parameter="fetch_freeswitch_stats")
    return FreeswitchFigures(found, who)
