"""Module freeswitch_scripting: FreeSWITCH's event socket for scripts.

`freeswitch_esl(command, url, $var(reply))` runs a command there; E_FREESWITCH is raised for the events of the sockets
that parameters, the table `freeswitch` and MI commands have subscribed to.  The connections are those of the module
freeswitch.

Source: OpenSIPS manual, module freeswitch_scripting; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from ...database import Database, DatabaseError, database_at
from ...errors import MIError
from ...esl import EslError, Event, EventSocketAddress, subscriptions
from ...exports import Module, Variable, async_function, mi_command, parameter, script_function
from ...freeswitch_service import Freeswitch, FreeswitchError, FreeswitchSocket, freeswitch_service
from ...mi.command import NO_RESULT, Later, Raw
from ...mi.jsonrpc import invalid_params
from ...mi.parameters import array_reader
from ...script.runtime import Pending, Run
from ...services import Services
from .provisioning import Columns, read_table
from .sockets import SubscribedSockets

__all__ = ["FreeswitchScripting"]

log = logging.getLogger("miscript.freeswitch_scripting")

EVENT: Final = "E_FREESWITCH"

_read_array = array_reader("events")


class FreeswitchScripting(Module):
    """FreeSWITCH's event socket for scripts: commands and events."""

    name = "freeswitch_scripting"
    needs = ("freeswitch",)
    events = (EVENT,)

    db_url = parameter("", "Database with the table of event sockets; none without it.")
    db_table = parameter("freeswitch", "The table.")
    db_col_username = parameter("username", "Column with the user, which may be NULL.")
    db_col_password = parameter("password", "Column with the password.")
    db_col_ip = parameter("ip", "Column with the address of the FreeSWITCH server.")
    db_col_port = parameter("port", "Column with its port.")
    db_col_events = parameter("events_csv", "Column with the names of events, separated by commas.")
    fs_subscribe: list[str] = parameter(
        [],
        "A socket to connect to from the start: [fs://][[user]:password@]host[:port][?event[,event]].",
        kinds="string",
        repeatable=True,
    )

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._database: Database | None = None
        self._loading = asyncio.Lock()

    # -- life --------------------------------------------------------------------------------------------------

    def init(self) -> None:
        if self.db_url:
            self._database = database_at(self.services.find, self.db_url)
        self._sockets = self._new_set()

    async def prepare(self) -> None:
        if self._database is not None:
            try:
                await self._load()
            except (DatabaseError, EslError, FreeswitchError) as error:
                log.error("no event sockets are loaded: %s", error)
        for url in self.fs_subscribe:
            try:
                self._subscribe_first(EventSocketAddress.parse(url))
            except (EslError, FreeswitchError) as error:
                log.error("a value of fs_subscribe is skipped: %s", error)

    async def stop(self) -> None:
        self._sockets.close()
        if self._database is not None:
            await self._database.close()

    @property
    def freeswitch(self) -> Freeswitch:
        """The sockets of the module freeswitch."""
        found = freeswitch_service(self.services)
        assert found is not None, "the module freeswitch is loaded first"
        return found

    def _new_set(self) -> SubscribedSockets:
        return SubscribedSockets(self.freeswitch, self._raise)

    def _raise(self, socket: FreeswitchSocket, event: Event) -> None:
        attributes = [("name", event.name), ("sender", socket.host), ("body", event.text)]
        self.services.events.raise_event(EVENT, attributes)

    def _subscribe_first(self, address: EventSocketAddress) -> None:
        if not address.password:
            raise EslError(f"{address}: a password is needed")
        self._sockets.subscribe(self.freeswitch.acquire(address), address.events)

    # -- the table ---------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        """Put what the table says in the place of all that is there, whole or not at all."""
        assert self._database is not None
        columns = Columns(
            self.db_col_username, self.db_col_password, self.db_col_ip, self.db_col_port, self.db_col_events
        )
        async with self._loading:
            addresses = await read_table(self._database, self.db_table, columns)
            new = self._new_set()
            try:
                for address in addresses:
                    new.provision(address)
            except (EslError, FreeswitchError):
                new.close()
                raise
            old, self._sockets = self._sockets, new
            old.close()
        if not addresses:
            log.warning("the table '%s' is empty: there are no event sockets now", self.db_table)

    # -- script functions --------------------------------------------------------------------------------------

    @script_function()
    async def freeswitch_esl(
        self, run: Run, command: str, freeswitch_url: str, response_var: Variable | None = None
    ) -> int:
        """Run a command on an event socket and put its reply into `response_var`.

        The route waits, nothing else does: for the connection (`esl_connect_timeout`) when it is a new one, then for
        the reply (`esl_cmd_timeout`).  1 whatever the reply says, `-ERR …` included; -1 without a reply.
        """
        return self._answered(run, await self._run_command(command, freeswitch_url), response_var)

    @async_function(name="freeswitch_esl")
    def freeswitch_esl_beside(
        self, run: Run, command: str, freeswitch_url: str, response_var: Variable | None = None
    ) -> Pending:
        """Run a command on an event socket; the resume route finds the reply in `response_var`."""
        return Pending(
            self._run_command(command, freeswitch_url),
            lambda resumed, reply: self._answered(resumed, reply, response_var),
        )

    async def _run_command(self, command: str, url: str) -> str | None:
        """The reply; None when there is none, which is logged."""
        try:
            socket = self.freeswitch.acquire(url)
        except (EslError, FreeswitchError) as error:
            log.error("freeswitch_esl: %s", error)
            return None
        try:
            return await socket.command(command)
        except FreeswitchError as error:
            log.error("freeswitch_esl: %s", error)
            return None
        finally:
            self.freeswitch.release(socket)

    @staticmethod
    def _answered(run: Run, reply: str | None, response_var: Variable | None) -> int:
        if reply is None or (response_var is not None and not response_var.set(run, reply)):
            return -1
        return 1

    # -- MI commands -------------------------------------------------------------------------------------------

    @mi_command("subscribe", "freeswitch_url events", aliases=["fs_subscribe"])
    def mi_subscribe(self, freeswitch_url: str, events: Raw) -> str:
        """subscribes a FreeSWITCH event socket to events, also to those that it refuses at first"""
        socket = self._socket_for_mi(freeswitch_url)
        try:
            names = _event_names(events)
        except MIError:
            self.freeswitch.release(socket)
            raise
        try:
            self._sockets.subscribe(socket, names)
        except EslError as error:
            log.error("%s", error)
            raise MIError(500, "Internal Error") from None
        return "OK"

    @mi_command("unsubscribe", "freeswitch_url events", aliases=["fs_unsubscribe"])
    def mi_unsubscribe(self, freeswitch_url: str, events: Raw) -> str:
        """ends the subscription of a FreeSWITCH event socket to events"""
        socket = self._socket_for_mi(freeswitch_url)
        try:
            if socket in self._sockets:
                self._sockets.unsubscribe(socket, _texts_in(events))
        finally:
            self.freeswitch.release(socket)
        return "OK"

    def _socket_for_mi(self, url: str) -> FreeswitchSocket:
        try:
            return self.freeswitch.acquire(url)
        except (EslError, FreeswitchError) as error:
            log.error("%s", error)
            raise MIError(500, "Internal Error") from None

    @mi_command("list", "", aliases=["fs_list"], read_only=True)
    def mi_list(self) -> dict[str, list[dict[str, str | list[str]]]]:
        """lists the FreeSWITCH event sockets and their events"""
        return {"Sockets": [{"if": name, "Events": list(events)} for name, events in self._sockets.listed()]}

    @mi_command("reload", "", aliases=["fs_reload"])
    def mi_reload(self) -> object:
        """puts the sockets and events of the table in the place of all that are there"""
        return NO_RESULT if self._database is None else Later(self._reload())

    async def _reload(self) -> str:
        try:
            await self._load()
        except (DatabaseError, EslError, FreeswitchError) as error:
            log.error("the event sockets stay as they were: %s", error)
            raise MIError(500, "Internal Error") from None
        return "OK"


def _texts_in(events: object) -> list[str]:
    """The texts of an `events` parameter.  Raises MIError."""
    names = _read_array(events)
    assert isinstance(names, list)
    return names


def _event_names(events: object) -> list[str]:
    """The names of an `events` parameter; empty ones are skipped.  Raises MIError."""
    names = _texts_in(events)
    for name in names:
        try:
            if name:
                subscriptions(name)
        except EslError as error:
            raise invalid_params(str(error)) from None
    return names
