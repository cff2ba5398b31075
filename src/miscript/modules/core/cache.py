"""The cache: storing texts by key in the engines that cachedb modules bring.

Script functions (`cache_store`, `cache_fetch` …) and the group `cache` of the Management Interface.  An engine is
named as the script names it: `local`, or `local:GROUP`.  One that lives in memory answers at once and nothing waits;
one that asks a server hands back an awaitable, and then the route, or the client of the command, waits.

Source: OpenSIPS manual, "Core Functions" and "Key-Value Interface"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Final, TypeAlias, TypeVar

from ...cachedb import Answer, CacheEngine, CacheError, NotANumber, RawQueries, Rows, Written, engine_named
from ...errors import ConfigurationError, MIError
from ...exports import BoundLiteral, BoundText, Writable, bound_function, mi_command, script_function
from ...mi.command import Later
from ...mi.jsonrpc import invalid_params
from ...mi.parameters import Refused
from ...script.avps import avp_assign
from ...script.runtime import Run
from ...script.signatures import Argument, VariableAccess
from ...services import Services
from ...values import text_of, wrap
from ...variable_spec import VariableSpec
from .part import CorePart

EMPTY_SYSTEM: Final = "Empty memory cache id"
EMPTY_ATTR: Final = "Empty attribute name"
EMPTY_VALUE: Final = "Empty value"
System: TypeAlias = Annotated[str, Refused(operator.not_, EMPTY_SYSTEM)]
Attr: TypeAlias = Annotated[str, Refused(operator.not_, EMPTY_ATTR)]
Stored: TypeAlias = Annotated[str, Refused(operator.not_, EMPTY_VALUE)]
Lifetime: TypeAlias = Annotated[int, Refused(lambda seconds: seconds < 0, "Negative expire value")]

T = TypeVar("T")
R = TypeVar("R")

OK: Final = "OK"
NOT_THERE: Final = -2
NO_NUMBER: Final = -3
"""Return code of `cache_fetch` and `cache_counter_fetch` when there is no such key."""

log = logging.getLogger("miscript.cache")


class CoreCache(CorePart):
    """Cache functions and commands."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._fetchers: dict[str, Callable[[str], Answer[str | None]]] = {}

    def _cache_engine(self, system: str) -> CacheEngine:
        """The engine that the script calls `system`.  Raises CacheError when no module has it."""
        engine = engine_named(self.services.find, system)
        if engine is None:
            raise CacheError(f"there is no cache '{system}'")
        return engine

    # -- commands -------------------------------------------------------------------------------------------------

    @mi_command(
        "store",
        "system attr value",
        "system attr value expire",
        aliases=["cache_store"],
        module="cache",
        read_first="expire",
    )
    def mi_cache_store(self, system: System, attr: Attr, value: Stored, expire: Lifetime = 0) -> object:
        """stores a value under a key, for good or for as many seconds as given"""
        _check_names(system, attr)
        if not value:
            raise invalid_params(EMPTY_VALUE)
        return _command("store", lambda: self._cache_engine(system).store(attr, value, expire), lambda done: OK)

    # Scripts ask for this command more than for all the rest: there is no function in between that can be spared.

    @mi_command(
        "fetch", "system attr", aliases=["cache_fetch"], module="cache", read_only=True, prepare="_prepared_fetch"
    )
    def mi_cache_fetch(self, system: System, attr: Attr) -> dict[str, str] | Later:
        """tells the value of a key"""
        fetch = self._fetchers.get(system) or self._fetcher(system, attr)
        try:
            value = fetch(attr)
        except CacheError as error:
            raise _refused("fetch", error) from error
        if value.__class__ is str:
            return {"key": attr, "value": value}
        _check_names(system, attr)
        return _answer("fetch", value, partial(_fetched, attr))

    def _prepared_fetch(self, system: str, attr: str) -> Callable[[], object]:
        try:
            fetch = self._fetchers.get(system) or self._fetcher(system, attr)
        except MIError:
            return partial(self.services.mi.resolve("cache:fetch").handler, system, attr)

        def fetched() -> object:
            try:
                value = fetch(attr)
            except CacheError as error:
                raise _refused("fetch", error) from error
            if value.__class__ is str:
                return {"key": attr, "value": value}
            return _answer("fetch", value, partial(_fetched, attr))

        return fetched

    def _fetcher(self, system: str, attr: str) -> Callable[[str], Answer[str | None]]:
        """The `fetch` of an engine, kept for the next time.  Raises MIError."""
        _check_names(system, attr)
        try:
            fetch = self._fetchers[system] = self._cache_engine(system).fetch
        except CacheError as error:
            raise _refused("fetch", error) from error
        return fetch

    @mi_command("remove", "system attr", aliases=["cache_remove"], module="cache")
    def mi_cache_remove(self, system: System, attr: Attr) -> object:
        """removes a key; one that is not there is fine"""
        _check_names(system, attr)
        return _command("remove", lambda: self._cache_engine(system).remove(attr), lambda done: OK)

    # -- functions ------------------------------------------------------------------------------------------------

    def _engine_for(self, system: str, key: str) -> CacheEngine:
        if not key:
            raise CacheError("the key is empty")
        return self._cache_engine(system)

    @script_function()
    def cache_store(self, run: Run, system: str, key: str, value: str, expires: int = 0) -> int | Awaitable[int]:
        """Store `value` under `key`, for `expires` seconds or, when that is not positive, for good."""
        return _function(
            "cache_store", lambda: self._engine_for(system, key).store(key, value, max(expires, 0)), lambda done: 1
        )

    @script_function()
    def cache_remove(self, run: Run, system: str, key: str) -> int | Awaitable[int]:
        """Remove `key`; one that is not there is fine."""
        return _function("cache_remove", lambda: self._engine_for(system, key).remove(key), lambda done: 1)

    @script_function()
    def cache_fetch(self, run: Run, system: str, key: str, result: Writable) -> int | Awaitable[int]:
        """Store the value of `key` in a variable; -2 when there is none, and the variable stays as it is."""

        def fetched(value: str | None) -> int:
            if value is None:
                return NOT_THERE
            return 1 if result.set(run, value) else -1

        return _function("cache_fetch", lambda: self._engine_for(system, key).fetch(key), fetched)

    @script_function()
    def cache_counter_fetch(self, run: Run, system: str, key: str, result: Writable) -> int | Awaitable[int]:
        """Store the number under `key` in a variable; -2 when there is none, -3 when it is no number."""

        def fetched(value: int | None) -> int:
            if value is None:
                return NOT_THERE
            return 1 if result.set(run, wrap(value)) else -1

        return _function("cache_counter_fetch", lambda: self._engine_for(system, key).counter(key), fetched)

    @script_function()
    def cache_add(
        self, run: Run, system: str, key: str, amount: int, expires: int, result: Writable | None = None
    ) -> int | Awaitable[int]:
        """Add `amount` to the number under `key` and store the sum in a variable."""
        return self._change_counter(run, "cache_add", system, key, amount, expires, result)

    @script_function()
    def cache_sub(
        self, run: Run, system: str, key: str, amount: int, expires: int, result: Writable | None = None
    ) -> int | Awaitable[int]:
        """Subtract `amount` from the number under `key` and store the difference in a variable."""
        return self._change_counter(run, "cache_sub", system, key, -amount, expires, result)

    def _change_counter(
        self, run: Run, what: str, system: str, key: str, amount: int, expires: int, result: VariableAccess | None
    ) -> int | Awaitable[int]:
        def added(total: int) -> int:
            return 1 if result is None or result.set(run, wrap(total)) else -1

        return _function(what, lambda: self._engine_for(system, key).add(key, amount, max(expires, 0)), added)

    @bound_function()
    def cache_raw_query(
        self, system: BoundText, query: BoundText, reply: BoundLiteral | None = None
    ) -> Callable[[Run], int | Awaitable[int]]:
        """Send a query in the language of an engine: 1, -2 when there is nothing, -1 when it fails.

        `reply` names an AVP for each column of the answer, `$avp(one);$avp(two)`; the first row becomes the newest
        value.  What a variable in the query holds is data, and never a part of its syntax.
        """
        avps = _reply_avps(reply)

        def ask(run: Run) -> Answer[Rows | None]:
            name = text_of(system.get(run))
            engine = self._cache_engine(name)
            if not isinstance(engine, RawQueries):
                raise CacheError(f"the cache '{name}' takes no raw queries")
            return engine.raw_query(_query_pieces(query, run))

        def store(run: Run, rows: Rows | None) -> int:
            if rows is None:
                return NOT_THERE
            for row in reversed(rows):
                for avp, value in zip(avps, row, strict=False):
                    avp_assign(run.avps, avp, None, "=", value)
            return 1

        return lambda run: _function("cache_raw_query", lambda: ask(run), partial(store, run))


def _reply_avps(reply: Argument | None) -> list[str]:
    """The names of the AVPs for an answer.  Raises ConfigurationError."""
    texts = [] if reply is None else [text for text in text_of(reply.constant).split(";") if text.strip()]
    try:
        return [VariableSpec.parse_avp(text).name for text in texts]
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _query_pieces(query: Argument, run: Run) -> list[str | Written]:
    """The pieces of a query in this run; one that is a variable as a whole counts as written."""
    if not any(isinstance(piece, str) for piece in query.pieces):
        return [Written(text_of(query.get(run)))]
    return [Written(piece) if isinstance(piece, str) else text_of(piece.access.get(run)) for piece in query.pieces]


def _check_names(system: str, attr: str) -> None:
    if not system:
        raise invalid_params(EMPTY_SYSTEM)
    if not attr:
        raise invalid_params(EMPTY_ATTR)


def _function(what: str, ask: Callable[[], Answer[T]], done: Callable[[T], int]) -> int | Awaitable[int]:
    """The return code of a script function: `done` of the answer, -1 when the engine cannot do it."""
    try:
        answer = ask()
    except CacheError as error:
        return _unable(what, error)
    return _function_later(what, answer, done) if isinstance(answer, Awaitable) else done(answer)


async def _function_later(what: str, answer: Awaitable[T], done: Callable[[T], int]) -> int:
    try:
        return done(await answer)
    except CacheError as error:
        return _unable(what, error)


def _unable(what: str, error: CacheError) -> int:
    log.error("%s: %s", what, error)
    return NO_NUMBER if isinstance(error, NotANumber) and what == "cache_counter_fetch" else -1


def _fetched(attr: str, value: str | None) -> dict[str, str]:
    if value is None:
        raise MIError(400, "Value not found")
    return {"key": attr, "value": value}


def _command(what: str, ask: Callable[[], Answer[T]], done: Callable[[T], object]) -> object:
    """The result of a command: `done` of the answer.  Raises MIError (500) when the engine cannot do it."""
    try:
        return _answer(what, ask(), done)
    except CacheError as error:
        raise _refused(what, error) from error


def _answer(what: str, answer: Answer[T], done: Callable[[T], R]) -> R | Later:
    return Later(_answer_later(what, answer, done)) if isinstance(answer, Awaitable) else done(answer)


async def _answer_later(what: str, answer: Awaitable[T], done: Callable[[T], R]) -> R:
    try:
        return done(await answer)
    except CacheError as error:
        raise _refused(what, error) from error


def _refused(what: str, error: CacheError) -> MIError:
    log.error("cache:%s: %s", what, error)
    return MIError(500, f"Cache {what} command failed")
