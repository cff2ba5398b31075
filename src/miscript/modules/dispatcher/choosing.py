"""What an algorithm needs of a request and of the host: texts to hash, loads that variables tell, a route to ask.

Source: OpenSIPS manual, module dispatcher ("ds_select_dst", `hash_pvar`, `pvar_algo_pattern`, `algo_route`).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...script.runtime import EventParameters, Run, call_named
from ...sip.digest import parse_digest
from ...sip.message import Message
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from .destinations import Destination, DestinationSet, InService
from .selection import (
    HASHED,
    Algorithm,
    algorithm_of,
    by_chance,
    by_hash,
    by_turns,
    first,
    followed,
    ranked,
    uri_keys,
    with_spare,
)

log = logging.getLogger("miscript.dispatcher")

CREDENTIALS: Final = ("Proxy-Authorization", "Authorization")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the flags of a selection ask for.

    `failover` (f): keep the others to try them later; `user_only` (u): hash the user of a URI alone; `keep_last` (d):
    the last of the set is for the end; `append` (a): what was chosen before stays behind what is chosen now.
    """

    failover: bool = False
    user_only: bool = False
    keep_last: bool = False
    append: bool = False

    @classmethod
    def parse(cls, text: str) -> Wishes:
        """Read flags, in upper or lower case.  Raises ValueError."""
        letters = set(text.lower())
        if letters - set("fuda"):
            raise ValueError(f"'{text}' are no flags, expected letters of 'fuda'")
        return cls("f" in letters, "u" in letters, "d" in letters, "a" in letters)


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses destinations for requests.  Empty texts stand for parameters that are not set."""

    hash_pattern: str
    load_pattern: str
    algo_route: str
    pick: Callable[[int], int] = secrets.randbelow

    def route_of(self, number: int) -> str:
        """The route that an algorithm asks, "" when it asks none."""
        return self.algo_route if number == Algorithm.ROUTE else ""

    def choose(
        self, run: Run, within: DestinationSet, number: int, wishes: Wishes, limit: int | None
    ) -> list[Destination]:
        """The destination for a request and those that follow it; none when the algorithm cannot tell.

        Every algorithm but the one that asks a route.
        """
        among = within.in_service(wishes.keep_last)
        algorithm = algorithm_of(number)
        if algorithm is Algorithm.LOAD and self.load_pattern:
            return self._by_load(run, among, limit)
        if algorithm is Algorithm.ROUTE:
            log.error("algorithm 10 asks the route that algo_route names, and it names none")
            return []
        chosen = self._one(run, within, among, algorithm, wishes)
        if chosen is None:
            return []
        within.last = chosen.number
        return followed(chosen, among, limit)

    def _one(
        self, run: Run, within: DestinationSet, among: InService, algorithm: Algorithm | None, wishes: Wishes
    ) -> Destination | None:
        if algorithm is Algorithm.RANDOM:
            return by_chance(self.pick, among)
        keys = self._keys(run, algorithm, wishes.user_only) if algorithm in HASHED else None
        if keys is not None:
            return by_hash(keys, among)
        if algorithm in (Algorithm.ROUND_ROBIN, Algorithm.AUTH_USER):
            return by_turns(within, among)
        return None if algorithm in HASHED else first(among)

    def _keys(self, run: Run, algorithm: Algorithm | None, user_only: bool) -> tuple[str, ...] | None:
        """The texts of a request that are hashed; None, with a line in the log, when it has them not."""
        message = run.message
        try:
            match algorithm:
                case Algorithm.CALL_ID:
                    return (message.call_id,) if message.call_id else None
                case Algorithm.FROM_URI:
                    return None if message.from_ is None else uri_keys(message.from_.sip_uri(), user_only)
                case Algorithm.TO_URI:
                    return None if message.to is None else uri_keys(message.to.sip_uri(), user_only)
                case Algorithm.REQUEST_URI:
                    return uri_keys(SipUri.parse(message.uri or ""), user_only)
                case Algorithm.AUTH_USER:
                    return _authenticated_user(message)
                case _:
                    return self._variables(run)
        except SipSyntaxError as error:
            log.error("the request has nothing to hash: %s", error)
            return None

    def _variables(self, run: Run) -> tuple[str, ...] | None:
        text = run.script.evaluate(run, self.hash_pattern) if self.hash_pattern else None
        if not text:
            log.error("algorithm 7 hashes what hash_pvar says, and that is not set or gives nothing")
            return None
        return (text,)

    # -- by number --------------------------------------------------------------------------------------------------

    def _by_load(self, run: Run, among: InService, limit: int | None) -> list[Destination]:
        return _limited(ranked(among, [self._load(run, one) for one in among.active]), among, limit)

    def _load(self, run: Run, one: Destination) -> int | None:
        pattern = self.load_pattern.replace("%u", one.text).replace("%i", str(one.set_id))
        text = run.script.evaluate(run, pattern)
        try:
            return int(text or "")
        except ValueError:
            log.error("'%s' is no number but '%s': '%s' is passed over", pattern, text, one.text)
            return None

    async def ask_route(self, run: Run, within: DestinationSet, wishes: Wishes, limit: int | None) -> list[Destination]:
        """Those for which the route gives no negative number, the lowest first."""
        among = within.in_service(wishes.keep_last)
        loads = [await self._asked(run, one) for one in among.active]
        return _limited(ranked(among, loads), among, limit)

    async def _asked(self, run: Run, one: Destination) -> int | None:
        parameters = EventParameters.of(
            [("dst_uri", one.text), ("attrs", one.attributes), ("script_attrs", one.script_attributes)]
        )
        code = await call_named(run, self.algo_route, parameters)
        return None if code is None or code < 0 else code


def _limited(found: list[Destination], among: InService, limit: int | None) -> list[Destination]:
    if not found:
        return []
    return with_spare(found if limit is None else found[: max(limit, 1)], among)


def _authenticated_user(message: Message) -> tuple[str, ...] | None:
    """The user of the credentials of a request, None when it has none."""
    for name in CREDENTIALS:
        value = message.header(name)
        if value is not None:
            user = parse_digest(value).get("username")
            if user:
                return (user,)
    return None
