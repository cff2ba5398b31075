"""Where people can be reached: addresses of record and the contacts bound to them, in memory.

A `LocationTable` holds records by their address of record (AOR), a `Record` its contacts, the best first.  Contacts
are values: a change puts another one in their place.  Time is passed in as seconds since the epoch; a contact whose
time is over stays until `expire`, but `Record.valid` does not show it.  Who wants to hear of changes is the table's
watcher.

Source: RFC 3261 section 10 (registrations); OpenSIPS manual, module usrloc.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, TypeAlias

from .branch import NO_Q
from .name_addr import NameAddr
from .shards import Shards
from .sockets import ListeningSocket
from .syntax import SipSyntaxError
from .uri import SipUri
from .uri_comparison import same_uri_text

PERMANENT: Final = 0
"""The time of a contact that never ends."""

METHODS: Final = (
    "INVITE", "CANCEL", "ACK", "BYE", "INFO", "OPTIONS", "UPDATE", "REGISTER", "MESSAGE", "SUBSCRIBE", "NOTIFY",
    "PRACK", "REFER", "PUBLISH",
)  # fmt: skip
"""Methods by the number of their bit in the mask of a contact; what is not here has the bit behind them."""

ALL_METHODS: Final = 0xFFFF_FFFF
"""The mask of a contact that did not say what it takes."""

MAX_SHARED: Final = 4096
"""User-Agents that are kept once for all contacts which have them."""

ANY_METHOD: Final = (1 << len(METHODS) + 1) - 1
"""All bits that methods have."""


def method_mask(names: str) -> int:
    """The mask of a list such as `INVITE, ACK`."""
    mask = 0
    for name in names.split(","):
        word = name.strip().upper()
        if word:
            mask |= 1 << (METHODS.index(word) if word in METHODS else len(METHODS))
    return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One binding of an address of record.

    `expires` and `modified` are seconds since the epoch; `q` is in thousandths, -1 without one; `received` is the
    URI that the registration came from where it is to be used in place of `uri`; `path` the Route set in front (RFC
    3327) as one line; `methods` a mask (`method_mask`); `instance` the value of `+sip.instance`; `flags` are the
    location service's own, `branch_flags` those of the script; `attributes` a text that the script keeps with it;
    `latency` is how many microseconds it took to answer the last ping, 0 before one.
    """

    uri: str
    expires: int
    q: int = NO_Q
    call_id: str = ""
    cseq: int = 0
    user_agent: str = "n/a"
    received: str | None = None
    path: str | None = None
    socket: ListeningSocket | None = None
    methods: int = ALL_METHODS
    instance: str | None = None
    flags: int = 0
    branch_flags: frozenset[str] = frozenset()
    attributes: str | None = None
    modified: float = 0.0
    id: int = 0
    latency: int = 0

    def is_valid(self, now: float) -> bool:
        """Whether its time is not over."""
        return self.expires == PERMANENT or self.expires > now

    def left(self, now: float) -> int:
        """Seconds until its time is over; negative behind that."""
        return self.expires - int(now)

    @property
    def first_hop(self) -> str | None:
        """The URI of the first hop of its path; None without a path that can be read."""
        if not self.path:
            return None
        try:
            return NameAddr.parse_at(self.path, 0)[0].uri
        except SipSyntaxError:
            return None

    @property
    def destination(self) -> str | None:
        """Where to send a request in place of its own URI: the first hop of its path, or where it came from."""
        return self.first_hop or self.received

    @property
    def next_hop(self) -> SipUri | None:
        """Where requests for it really go, None when that cannot be read."""
        try:
            return SipUri.parse(self.destination or self.uri)
        except SipSyntaxError:
            return None

    def takes(self, method: str) -> bool:
        """Whether it said that it takes such requests, or said nothing."""
        return bool(self.methods & method_mask(method))


_shared: dict[str, str] = {}


def shared_text(text: str) -> str:
    """`text` itself, or one like it that is there already: a million phones are of a few hundred kinds."""
    if len(_shared) >= MAX_SHARED:
        _shared.clear()
    return _shared.setdefault(text, text)


class Match(Enum):
    """How a contact that is registered again is recognised (RFC 3261 wants the first)."""

    URI = "0"
    URI_AND_CALL_ID = "1"


Matching: TypeAlias = Match | str
"""A `Match`, or the name of the URI parameter whose value counts."""


@dataclass(slots=True)
class Record:
    """An address of record: its contacts, the best first, and texts that the script keeps with it."""

    aor: str
    contacts: list[Contact] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)

    def valid(self, now: float) -> list[Contact]:
        """The contacts whose time is not over."""
        return [contact for contact in self.contacts if contact.is_valid(now)]

    def find(self, uri: str, call_id: str | None, matching: Matching) -> Contact | None:
        """The contact that is the same as another one."""
        match matching:
            case Match.URI:
                return _with_uri(uri, self.contacts)
            case Match.URI_AND_CALL_ID:
                return _with_uri(uri, [contact for contact in self.contacts if contact.call_id == call_id])
            case name:
                wanted = _parameter(uri, name)
                if wanted is None:
                    return self.find(uri, call_id, Match.URI)
                return next((c for c in self.contacts if _parameter(c.uri, name) == wanted), None)


def _with_uri(uri: str, contacts: Sequence[Contact]) -> Contact | None:
    """The contact whose URI is written like that, else one whose URI means the same."""
    written = next((contact for contact in contacts if contact.uri == uri), None)
    return written or next((contact for contact in contacts if same_uri_text(contact.uri, uri)), None)


def _parameter(uri: str, name: str) -> str | None:
    try:
        return SipUri.parse(uri).parameters.get(name)
    except SipSyntaxError:
        return None


class Change(Enum):
    """What happened, by the name of its event."""

    AOR_INSERT = "E_UL_AOR_INSERT"
    AOR_DELETE = "E_UL_AOR_DELETE"
    CONTACT_INSERT = "E_UL_CONTACT_INSERT"
    CONTACT_UPDATE = "E_UL_CONTACT_UPDATE"
    CONTACT_DELETE = "E_UL_CONTACT_DELETE"


Watcher: TypeAlias = "Callable[[LocationTable, Change, str, Contact | None], None]"
"""Called with the table, what happened, the AOR, and the contact where it is about one."""


class LocationTable:
    """The records of one table ("location"), by AOR.

    Contacts stand in the order of their q, or the newest first with `newest_first`.
    """

    def __init__(self, name: str, watcher: Watcher, first_id: int = 1, *, newest_first: bool = False) -> None:
        self.name = name
        self._records: Shards[str, Record] = Shards()
        self.newest_first = newest_first
        self._watcher = watcher
        self._next_id = first_id
        self._contacts = 0

    @property
    def users(self) -> int:
        """How many AORs there are."""
        return len(self._records)

    @property
    def contacts(self) -> int:
        """How many contacts there are."""
        return self._contacts

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def record(self, aor: str) -> Record | None:
        return self._records.get(aor)

    def valid(self, aor: str, now: float) -> list[Contact]:
        """The contacts of an AOR whose time is not over."""
        record = self._records.get(aor)
        return [] if record is None else record.valid(now)

    # -- changes --------------------------------------------------------------------------------------------------

    def insert(self, aor: str, contact: Contact) -> Contact:
        """Bind one more contact; it gets its id.  Raises `SipSyntaxError` when its URI is none."""
        SipUri.parse(contact.uri)
        record = self._records.get(aor)
        if record is None:
            record = self._records[aor] = Record(aor)
            self._watcher(self, Change.AOR_INSERT, aor, None)
        new = replace(contact, id=self._next_id, user_agent=shared_text(contact.user_agent))
        self._next_id += 1
        self._contacts += 1
        self._place(record, new)
        self._watcher(self, Change.CONTACT_INSERT, aor, new)
        return new

    def restore(self, aor: str, contact: Contact) -> Record:
        """Bind a contact that was bound before, with its id, and give its record; the watcher hears nothing of it.

        The URI is taken as it is; one that is bound already with this id stays.
        """
        record = self._records.get(aor)
        if record is None:
            record = self._records[aor] = Record(aor)
        if not record.contacts or all(contact.id != other.id for other in record.contacts):
            self._next_id = max(self._next_id, contact.id + 1)
            self._contacts += 1
            self._place(record, contact)
        return record

    def update(self, aor: str, old: Contact, contact: Contact) -> Contact:
        """Put `contact` in the place of `old`, which is bound; it keeps the id.  Raises `SipSyntaxError`."""
        SipUri.parse(contact.uri)
        record = self._records[aor]
        agent = shared_text(contact.user_agent)
        new = replace(contact, id=old.id, latency=old.latency, user_agent=agent)
        where = record.contacts.index(old)
        if self.newest_first or new.q != old.q:
            del record.contacts[where]
            self._place(record, new)
        else:
            record.contacts[where] = new
        self._watcher(self, Change.CONTACT_UPDATE, aor, new)
        return new

    def measured(self, aor: str, contact: Contact, microseconds: int) -> Contact:
        """Note how long a contact took to answer a ping; that is no change of it."""
        contacts = self._records[aor].contacts
        new = replace(contact, latency=microseconds)
        contacts[contacts.index(contact)] = new
        return new

    def _place(self, record: Record, new: Contact) -> None:
        if self.newest_first or not record.contacts:
            record.contacts.insert(0, new)
            return
        behind = sum(1 for contact in record.contacts if contact.q >= new.q)
        record.contacts.insert(behind, new)

    def remove(self, aor: str, contact: Contact) -> None:
        """Drop one contact, and the record with its last one."""
        record = self._records[aor]
        record.contacts.remove(contact)
        self._contacts -= 1
        self._watcher(self, Change.CONTACT_DELETE, aor, contact)
        if not record.contacts:
            del self._records[aor]
            self._watcher(self, Change.AOR_DELETE, aor, None)

    def remove_all(self, aor: str) -> bool:
        """Drop a record with all its contacts; False when there is none."""
        record = self._records.get(aor)
        if record is None:
            return False
        for contact in list(record.contacts):
            self.remove(aor, contact)
        return True

    def portions(self) -> Iterator[list[Record]]:
        """All records, a few thousand at a time at the most; they may come and go meanwhile."""
        return self._records.portions()

    def expire_record(self, record: Record, now: float) -> int:
        """Drop the contacts of one record that are over; gives how many."""
        over = [contact for contact in record.contacts if not contact.is_valid(now)]
        for contact in over:
            self.remove(record.aor, contact)
        return len(over)


def expired(records: Iterable[Record], now: float) -> list[Record]:
    """Those that have a contact which is over.  A million records are looked at each minute: it takes no call each."""
    return [record for record in records for contact in record.contacts if PERMANENT != contact.expires <= now]
