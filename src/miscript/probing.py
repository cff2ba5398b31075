"""Asking SIP servers whether they are there: what modules share that keep away from destinations which fail.

Source: RFC 3261 section 11 (OPTIONS); OpenSIPS manual, modules dispatcher, drouting, load_balancer.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from .errors import ConfigurationError
from .services import Tasks
from .sip.sockets import ListeningSocket
from .sip.syntax import SipSyntaxError
from .sip.uri import SipUri
from .transaction_service import TransactionService

log = logging.getLogger("miscript.probing")

AT_A_TIME: Final = 5000
"""Probes of a module that may wait for their answers; no more are sent until some have come."""

OF_ONE: Final = 8
"""Probes of one destination that may wait for their answers: their timeout can be longer than the interval."""

_METHOD = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")


@dataclass(frozen=True, slots=True)
class Probe:
    """What is sent: a method, the URI of From, Max-Forwards where it is not the usual one."""

    method: str
    from_uri: str
    max_forwards: int | None = None


class Heard(NamedTuple):
    """What became of a probe: the final status (408 and the like may be our own), and whether somebody is there."""

    status: int
    is_there: bool


def checked_probe(method: str, from_uri: str, *, method_parameter: str, from_parameter: str) -> None:
    """Raise ConfigurationError, naming the parameter, when these make no request."""
    if not _METHOD.fullmatch(method):
        raise ConfigurationError(f"{method_parameter}: '{method}' is no method", parameter=method_parameter)
    try:
        SipUri.parse(from_uri)
    except SipSyntaxError as error:
        raise ConfigurationError(
            f"{from_parameter}: '{from_uri}' is no URI for From of probes: {error}", parameter=from_parameter
        ) from error


def reply_codes(text: str, parameter: str) -> frozenset[int]:
    """A list of statuses with commas between, and 200.  Raises ConfigurationError, naming the parameter."""
    found = {200}
    for part in filter(None, (each.strip() for each in text.split(","))):
        if not (part.isascii() and part.isdecimal() and 200 <= int(part) <= 699):
            raise ConfigurationError(f"{parameter}: '{part}' is no final status from 200 to 699", parameter=parameter)
        found.add(int(part))
    return frozenset(found)


@dataclass(slots=True)
class Prober:
    """Sends probes and tells what became of them.  `accepted` are the statuses of somebody who is there."""

    tm: TransactionService
    tasks: Tasks
    accepted: frozenset[int]
    _waiting: Counter[Hashable] = field(default_factory=Counter)

    def ask(
        self,
        key: Hashable,
        uri: str,
        probe: Probe,
        heard: Callable[[Heard], None],
        socket: ListeningSocket | None = None,
    ) -> bool:
        """Send a probe to `uri`; `heard` is told later what became of it.

        `key` names the destination.  False, and nothing is sent, when too many probes wait for their answers.
        """
        if self._waiting.total() >= AT_A_TIME or self._waiting[key] >= OF_ONE:
            return False
        self._waiting[key] += 1
        self.tasks.spawn(self._ask(key, uri, probe, heard, socket), f"probe of {uri}")
        return True

    async def _ask(
        self, key: Hashable, uri: str, probe: Probe, heard: Callable[[Heard], None], socket: ListeningSocket | None
    ) -> None:
        try:
            reply = await self.tm.request(
                probe.method,
                uri,
                from_=f"<{probe.from_uri}>",
                to=f"<{uri}>",
                headers="" if probe.max_forwards is None else f"Max-Forwards: {probe.max_forwards}\r\n",
                socket=socket,
            )
        except SipSyntaxError as error:
            log.error("'%s' cannot be asked whether it is there: %s", uri, error)
            return
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
        heard(Heard(reply.status, reply.status in self.accepted))
