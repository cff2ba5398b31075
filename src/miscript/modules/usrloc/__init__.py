"""Module usrloc: who is registered where, in memory and, where the script wants it, in a database.

A table is there from the moment that the script names it (`save("location")`).  Contacts whose time is over are not
found any more; they go, with their events, at the next turn of `timer_interval`.  The tables are offered to other
modules as `usrloc` (miscript.location_service).  `store` reads and writes the database, `rows` is how contacts stand
in it.

Not here: caches and clusters; push notifications (`E_UL_CONTACT_REFRESH`).

Source: OpenSIPS manual, module usrloc; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Final

from ...database import DatabaseError, database_at, url_or_default
from ...errors import ConfigurationError, MIError
from ...exports import Module, Text, Writable, mi_command, parameter, script_function
from ...mi.command import Later, Unread
from ...script.runtime import Run
from ...services import Counter, Services
from ...sip.branch import MAX_Q
from ...sip.location import PERMANENT, Change, Contact, LocationTable, Match, Record, expired
from ...sip.syntax import SipSyntaxError
from ...sip_service import sip_service
from ...table_cells import Turns
from .parameters import NO_CLUSTER, StoreParameters
from .rows import NAMES, RowFormat
from .store import LocationStore, WriteMode, chosen, preset

__all__ = ["UserLocation"]

log = logging.getLogger("miscript.usrloc")

MAX_KEYS: Final = 256
"""Texts that a script may keep with one AOR."""

MAX_FLAGS: Final = 32
"""Branch flags that have a bit in a mask."""

SHOWN_AT_ONCE: Final = 100
"""AORs that `ul_dump` tells without giving others their turn."""

MI_AGENT: Final = "OpenSIPS MI Server"
MI_CALL_ID: Final = "dfjrewr12386fd6-343@opensips.mi"
"""What contacts have that were added by MI, as the server writes it; both mark such contacts for clients."""

_COLUMN_PARAMETERS: Final = {"username": "user_column"}
"""The parameters that name columns in another way than `NAME_column`; `last_modified` has none."""

_Q = re.compile(r"[01]|[01]?\.[0-9]+", re.ASCII)


class UserLocation(StoreParameters, Module):
    """Who is registered where."""

    name = "usrloc"
    events = (
        *(change.value for change in Change),
        "E_UL_CONTACT_REFRESH",
        "E_UL_LATENCY_UPDATE",
    )

    use_domain = parameter(1, "Whether an AOR is user and domain (1) or the user alone (0).")
    desc_time_order = parameter(0, "1: the newest contact comes first; 0: the one with the highest q.")
    timer_interval = parameter(60, "Seconds from one removal of expired contacts to the next.")
    matching_mode = parameter(0, "How a contact is recognised: 0 by its URI, 1 by URI and Call-ID.")
    cseq_delay = parameter(20, "Seconds in which an old CSeq of the same Call-ID counts as a retransmission.")
    hash_size = parameter(9, "Only shown: 2 to this power is what ul_dump tells as hash_size; at most 16.")
    nat_bflag = parameter("", "Name of the branch flag of contacts behind a NAT.")
    mi_dump_kv_store = parameter(0, "1: ul_dump and ul_show_contact show the texts kept with an AOR.")
    contact_refresh_timer = parameter(0, "Push notifications; not available, nothing is raised.")
    latency_event_min_us = parameter(0, "Microseconds from which E_UL_LATENCY_UPDATE is raised for an answered ping.")
    latency_event_min_us_delta = parameter(0, "The same for the difference to the answer before.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._tables: dict[str, LocationTable] = {}
        self._flags: list[str] = []
        self._expired: dict[str, Counter] = {}
        self._has_preset = False
        self._store: LocationStore | None = None
        self._mode = preset(self.working_mode_preset)
        services.statistics.register(self.name, "registered_users", False, self._users)
        services.provide("usrloc", self)

    def set_parameter(self, name: str, value: int | str) -> None:
        self._has_preset |= name == "working_mode_preset"
        super().set_parameter(name, value)

    def init(self) -> None:
        for name in NO_CLUSTER:
            if getattr(self, name):
                raise ConfigurationError(f"{name}: clusters are not available, it must be 0", parameter=name)
        if self._has_preset:
            self._mode = preset(self.working_mode_preset)
        else:
            self._mode = chosen(self.cluster_mode, self.restart_persistency, self.sql_write_mode)
        if self.timer_interval <= 0:
            raise ConfigurationError("timer_interval must be positive", parameter="timer_interval")
        if self.matching_mode not in (0, 1):
            raise ConfigurationError("matching_mode must be 0 or 1", parameter="matching_mode")
        if not 0 <= self.hash_size <= 16:
            raise ConfigurationError("hash_size must be 0 to 16", parameter="hash_size")
        if self.nat_bflag:
            self._flags.append(self.nat_bflag)

        if self._mode.has_database:
            self._store = self._open()

    def _open(self) -> LocationStore:
        url = url_or_default(self.db_url, self.services.parameters)
        if not url:
            raise ConfigurationError("db_url must be set, or the global db_default_url", parameter="db_url")
        names = {name: getattr(self, _COLUMN_PARAMETERS.get(name, f"{name}_column"), name) for name in NAMES}
        socket_of = lru_cache(1024)(sip_service(self.services).socket_named)  # few sockets, and contacts by the million
        format = RowFormat(names, bool(self.use_domain), socket_of)
        try:
            database = database_at(self.services.find, url)
        except ConfigurationError as error:
            raise ConfigurationError(f"db_url: {error}", parameter="db_url") from error
        store = LocationStore(database, format, self.services.clock)
        self.services.statistics.register(self.name, "db_waiting", False, lambda: store.waiting)
        self.services.statistics.register(self.name, "db_failures", False, lambda: store.failures)
        return store

    async def prepare(self) -> None:
        """Read the tables that the script names.  Raises ConfigurationError."""
        store = self._store
        if store is None or not self._mode.loads:
            return
        for table in self.tables():
            try:
                await store.load(table, self.now())
            except DatabaseError as error:
                raise ConfigurationError(f"the contacts cannot be read: {error}") from error

    async def start(self) -> None:
        store, tasks = self._store, self.services.tasks
        tasks.every(self.timer_interval, self._expire, "the removal of expired contacts")
        if store is not None and self._mode.writes is WriteMode.THROUGH:
            for table in self.tables():
                tasks.spawn(store.mirror(table).run(), f"the writing of the table '{table.name}'")

    async def stop(self) -> None:
        if self._store is not None:
            await self._store.close()

    # -- for other modules ----------------------------------------------------------------------------------------

    @property
    def matching(self) -> Match:
        return Match.URI_AND_CALL_ID if self.matching_mode else Match.URI

    def now(self) -> float:
        return self.services.clock.time()

    def tables(self) -> Sequence[LocationTable]:
        return list(self._tables.values())

    def table(self, name: str) -> LocationTable:
        found = self._tables.get(name)
        if found is None:
            first_id = int(self.now()) << 24 | len(self._tables) << 20
            found = LocationTable(name, self._changed, first_id, newest_first=bool(self.desc_time_order))
            self._tables[name] = found
            self._register_statistics(found)
        return found

    def _register_statistics(self, table: LocationTable) -> None:
        register = self.services.statistics.register
        register(self.name, f"{table.name}-users", False, lambda: table.users)
        register(self.name, f"{table.name}-contacts", False, lambda: table.contacts)
        self._expired[table.name] = register(self.name, f"{table.name}-expires")

    def _users(self) -> int:
        return sum(table.users for table in self._tables.values())

    async def _expire(self) -> None:
        """Drop what is over; others have their turn meanwhile.  Then write what has changed."""
        turns = Turns()
        for table in self.tables():
            for portion in table.portions():
                for record in expired(portion, self.now()):
                    self._expired[table.name].add(table.expire_record(record, self.now()))
                    await turns.next()
                await turns.next()
        if self._store is not None:
            await self._store.flush_if_it_can()

    # -- events ---------------------------------------------------------------------------------------------------

    def measured(self, table: LocationTable, aor: str, contact: Contact, microseconds: int) -> None:
        new = table.measured(aor, contact, microseconds)
        least, least_difference = self.latency_event_min_us, self.latency_event_min_us_delta
        long = least > 0 and microseconds >= least
        other = least_difference > 0 and abs(microseconds - contact.latency) >= least_difference
        if long or other or not (least > 0 or least_difference > 0):
            self.services.events.raise_event("E_UL_LATENCY_UPDATE", self._attributes(table, aor, new))

    def _changed(self, table: LocationTable, change: Change, aor: str, contact: Contact | None) -> None:
        if self._store is not None and contact is not None:
            self._store.changed(table, aor, contact)
        self.services.events.raise_event(change.value, self._attributes(table, aor, contact))

    def _attributes(
        self, table: LocationTable, aor: str, contact: Contact | None
    ) -> list[tuple[str, int | str | None]]:
        attributes: list[tuple[str, int | str | None]] = [("domain", table.name), ("aor", aor)]
        if contact is not None:
            attributes += [
                ("uri", contact.uri),
                ("received", contact.received or ""),
                ("path", contact.path or ""),
                ("qval", contact.q),
                ("user_agent", contact.user_agent),
                ("socket", str(contact.socket or "")),
                ("bflags", self._mask(contact.branch_flags)),
                ("expires", contact.expires),
                ("callid", contact.call_id),
                ("cseq", contact.cseq),
                ("attr", contact.attributes or ""),
                ("latency", contact.latency),
                ("shtag", ""),
            ]
        return attributes

    def _mask(self, names: frozenset[str]) -> int:
        """Branch flags as a mask: a flag's bit is its place among the names seen so far, `nat_bflag` the first."""
        self._flags += sorted(names.difference(self._flags))[: MAX_FLAGS - len(self._flags)]
        return sum(1 << number for number, name in enumerate(self._flags) if name in names)

    def _names(self, mask: int) -> frozenset[str]:
        return frozenset(name for number, name in enumerate(self._flags) if mask & 1 << number)

    # -- texts kept with an AOR -----------------------------------------------------------------------------------

    def _record(self, domain: str, aor: str) -> Record | None:
        table = self._tables.get(domain)
        return None if table is None else table.record(self._key(aor))

    @script_function()
    def ul_add_key(self, run: Run, domain: Text[str], aor: str, key: str, value: str | None = None) -> int:
        """Keep a text with an AOR (user@domain) of a table; without a value, or with an empty one, drop it."""
        record = self._record(domain, aor)
        if record is None:
            log.warning("ul_add_key: '%s' is not registered in '%s'", aor, domain)
            return -1
        if not value:
            return self._drop_key(domain, record, key)
        if key not in record.keys and len(record.keys) >= MAX_KEYS:
            log.error("ul_add_key: '%s' has %d keys already, no more are taken", aor, MAX_KEYS)
            return -1
        record.keys[key] = value
        self._keys_changed(domain, record)
        return 1

    @script_function()
    def ul_get_key(self, run: Run, domain: Text[str], aor: str, key: str, destination: Writable) -> int:
        """Write the text that is kept with an AOR to a variable; -1 when there is none."""
        record = self._record(domain, aor)
        value = None if record is None else record.keys.get(key)
        return 1 if value is not None and destination.set(run, value) else -1

    @script_function()
    def ul_del_key(self, run: Run, domain: Text[str], aor: str, key: str) -> int:
        """Drop a text that is kept with an AOR; -1 when the AOR is not registered."""
        record = self._record(domain, aor)
        if record is None:
            return -1
        return self._drop_key(domain, record, key)

    def _drop_key(self, domain: str, record: Record, key: str) -> int:
        if record.keys.pop(key, None) is not None:
            self._keys_changed(domain, record)
        return 1

    def _keys_changed(self, domain: str, record: Record) -> None:
        if self._store is not None:
            self._store.keys_changed(self._tables[domain], record)

    # -- MI ---------------------------------------------------------------------------------------------------------

    def _table(self, name: str) -> LocationTable:
        found = self._tables.get(name)
        if found is None:
            raise MIError(404, "Table not found")
        return found

    def _key(self, aor: str) -> str:
        return aor if self.use_domain else aor.partition("@")[0]

    def _checked(self, aor: str) -> str:
        """The AOR of a command; it has a domain even where that does not count."""
        if "@" not in aor:
            raise MIError(400, "Domain missing in AOR")
        return self._key(aor)

    @mi_command("rm", "table_name aor", aliases=["ul_rm"])
    def mi_rm(self, table_name: str, aor: Unread[str]) -> str:
        """removes an AOR with all its contacts"""
        self._table(table_name).remove_all(self._checked(aor.read()))
        return "OK"

    @mi_command("rm_contact", "table_name aor contact", aliases=["ul_rm_contact"])
    def mi_rm_contact(self, table_name: str, aor: Unread[str], contact: Unread[str]) -> str:
        """removes one contact of an AOR"""
        table, key = self._table(table_name), self._checked(aor.read())
        record = table.record(key)
        if record is None:
            raise MIError(404, "AOR not found")
        found = record.find(contact.read(), None, Match.URI)
        if found is None:
            raise MIError(404, "Contact not found")
        table.remove(key, found)
        return "OK"

    @mi_command("dump", "", "brief", aliases=["ul_dump"], read_only=True)
    def mi_dump(self, brief: int = 0) -> dict[str, object] | Later:
        """tells all AORs with their contacts, or the AORs alone"""
        shown: Callable[[Record], object] = _shown_aor if brief else self._shown
        if self._users() > SHOWN_AT_ONCE:
            return Later(self._dumped(shown))
        return {"Domains": [self._domain(table, [shown(record) for record in table]) for table in self.tables()]}

    async def _dumped(self, shown: Callable[[Record], object]) -> dict[str, object]:
        """The same of many; others have their turn meanwhile."""
        domains, turns = [], Turns()
        for table in self.tables():
            aors: list[object] = []
            for record in table:
                aors.append(shown(record))
                await turns.next()
            domains.append(self._domain(table, aors))
        return {"Domains": domains}

    def _domain(self, table: LocationTable, aors: list[object]) -> dict[str, object]:
        return {"name": table.name, "hash_size": 1 << self.hash_size, "AORs": aors}

    @mi_command("show_contact", "table_name aor", aliases=["ul_show_contact"], read_only=True)
    def mi_show_contact(self, table_name: str, aor: Unread[str]) -> dict[str, object]:
        """tells the contacts of an AOR"""
        record = self._table(table_name).record(self._checked(aor.read()))
        if record is None or not record.valid(self.now()):
            raise MIError(404, "AOR not found")
        return self._shown(record)

    @mi_command("add", "table_name aor contact expires q flags cflags methods", aliases=["ul_add"])
    def mi_add(
        self,
        table_name: str,
        aor: Unread[str],
        contact: Unread[str],
        expires: Unread[int],
        q: Unread[str],
        flags: Unread[int],
        cflags: Unread[int],
        methods: Unread[int],
    ) -> str:
        """adds a contact to an AOR or changes it; it lives for so many seconds, 0 is for ever"""
        table, key = self._table(table_name), self._checked(aor.read())
        uri, seconds, weight = contact.read(), expires.read(), q.read()
        if not _Q.fullmatch(weight) or float(weight) > 1:
            raise MIError(400, "Bad parameter value")
        now = self.now()
        new = Contact(
            uri=uri,
            expires=int(now) + seconds if seconds else PERMANENT,
            q=int(float(weight) * MAX_Q),
            call_id=MI_CALL_ID,
            cseq=1,
            user_agent=MI_AGENT,
            flags=flags.read(),
            branch_flags=self._names(cflags.read()),
            methods=methods.read() & 0xFFFF_FFFF,
            modified=now,
        )
        record = table.record(key)
        old = None if record is None else record.find(uri, None, Match.URI)
        try:
            if old is None:
                table.insert(key, new)
            else:
                table.update(key, old, new)
        except SipSyntaxError as error:
            raise MIError(500, "Internal Error", f"contact '{contact}': {error}") from error
        return "OK"

    @mi_command("flush", aliases=["ul_flush"])
    async def mi_flush(self) -> str:
        """writes what has changed to the database, as every timer_interval seconds"""
        if self._store is not None:
            await _written(self._store.flush())
        return "OK"

    @mi_command("sync", "table_name", "table_name aor", aliases=["ul_sync"])
    async def mi_sync(self, table_name: Unread[str], aor: Unread[str] | None = None) -> str:
        """writes a table, or one AOR, to the database anew; what else stands there goes"""
        if self._store is None:
            raise MIError(200, "Contacts already synced")
        table = self._table(table_name.read())
        key = None if aor is None else self._checked(aor.read())
        await _written(self._store.rewrite(table, key))
        return "OK"

    @mi_command("cluster_sync", aliases=["ul_cluster_sync"])
    def mi_cluster_sync(self) -> str:
        """asks another host of the cluster for its contacts; there is no cluster"""
        raise MIError(400, "Clustering not enabled")

    def _shown(self, record: Record) -> dict[str, object]:
        now = self.now()
        shown: dict[str, object] = {"AOR": record.aor, "Contacts": [_shown_contact(c, now) for c in record.contacts]}
        if self.mi_dump_kv_store:
            shown["KV-Store"] = dict(record.keys)
        return shown


def _shown_aor(record: Record) -> dict[str, object]:
    return {"AOR": record.aor}


async def _written(work: Awaitable[None]) -> None:
    """Wait for the database.  Raises MIError when it does not do what it should."""
    try:
        await work
    except DatabaseError as error:
        raise MIError(500, "Internal Error", str(error)) from error


def _shown_contact(contact: Contact, now: float) -> dict[str, object]:
    left: int | str = "permanent" if contact.expires == PERMANENT else contact.left(now)
    shown: dict[str, object | None] = {
        "Contact": contact.uri,
        "ContactID": str(contact.id),
        "Expires": "expired" if isinstance(left, int) and left < 0 else left,
        "Q": "" if contact.q < 0 else f"{contact.q / MAX_Q:g}",
        "Callid": contact.call_id,
        "Cseq": contact.cseq,
        "User-agent": contact.user_agent,
        "Received": contact.received,
        "Path": contact.path,
        "State": "CS_NEW",
        "Flags": contact.flags,
        "Cflags": " ".join(sorted(contact.branch_flags)),
        "Socket": None if contact.socket is None else str(contact.socket),
        "Methods": contact.methods,
        "Attr": contact.attributes,
        "SIP_instance": contact.instance,
    }
    return {name: value for name, value in shown.items() if value is not None}
