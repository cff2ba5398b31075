"""Contacts and dialogs in the tables of every database, and how long others wait while many are read."""

from __future__ import annotations

import time

import pytest

from dialog_calls import Call, call
from kept_tables import make_tables
from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.mi.command import Unread
from miscript.sip.location import ALL_METHODS, Contact
from miscript.testing import MemoryNetwork
from pauses import pauses

CONTACTS = 2000

REGISTRAR = """
log_level=-1
mpath="/"
socket=udp:10.0.0.1:5060
loadmodule "sl.so"
loadmodule "signaling.so"
loadmodule "db_{kind}.so"
loadmodule "usrloc.so"
modparam("usrloc", "db_url", "{url}")
modparam("usrloc", "working_mode_preset", "single-instance-sql-write-back")
loadmodule "registrar.so"
route {{ save("location"); }}
"""


@pytest.fixture(params=["sqlite", "postgres", "mysql", "text"])
def kept(request, tmp_path):
    """The kind of a database, and its URL, with empty tables."""
    kind = request.param
    match kind:
        case "sqlite":
            url = f"sqlite://{tmp_path}/kept.sqlite"
        case "text":
            url = f"text://{tmp_path}"
        case _:
            url = request.getfixturevalue({"postgres": "postgres", "mysql": "mariadb"}[kind]).url
    make_tables(url, "usrloc", "dialog")
    return kind, url


def started(kind: str, url: str) -> Host:
    host = Host(Source("test.cfg", REGISTRAR.format(kind=kind, url=url)), str, network=MemoryNetwork())
    host.load()
    return host


async def test_contacts_are_read_as_they_were_written(kept):
    first, second = started(*kept), started(*kept)
    await first.start()
    location = first.services.find("usrloc")
    now, table = int(time.time()), location.table("location")
    await location.mi_sync(Unread("location", str))  # the servers' tables outlive the tests
    full = Contact(
        uri="sip:a@10.0.0.9:5070;transport=udp",
        expires=now + 500,
        q=250,
        call_id="call-1",
        cseq=7,
        user_agent="Phone é",
        received="sip:1.2.3.4:55",
        path="<sip:9.9.9.9;lr>",
        socket=first.sip.sockets[0],
        methods=0xFFFF_FFF0,
        instance="<urn:uuid:1>",
        flags=4,
        branch_flags=frozenset({"NAT", "Other"}),
        attributes="a:b\\c",
        modified=float(now),
    )
    bare = Contact(uri="sip:b@10.0.0.9", expires=0, call_id="call-2", modified=float(now), methods=ALL_METHODS)
    table.insert("a@x.test", full)
    table.insert("a@x.test", bare)
    table.record("a@x.test").keys["k"] = 'va;"l\nue'
    await location.mi_flush()
    await first.stop()
    await second.start()
    read = second.services.find("usrloc").table("location")
    assert list(read) == list(table)
    read.remove_all("a@x.test")
    await second.stop()


@pytest.mark.parametrize("kept", ["sqlite"], indirect=True)
async def test_many_contacts_are_read_without_holding_up_anybody(kept):
    _, url = kept
    first, second = started("sqlite", url), started("sqlite", url)
    await first.start()
    location = first.services.find("usrloc")
    table, expires = location.table("location"), int(time.time()) + 500
    for number in range(CONTACTS):
        contact = Contact(uri=f"sip:u{number}@10.0.0.9", expires=expires, call_id="c", branch_flags=frozenset("N"))
        table.insert(f"u{number}@x.test", contact)
    async with pauses() as found:
        await location.mi_flush()
    assert max(found) < sum(found) / 6
    await first.stop()
    async with pauses() as found:
        await second.start()
    assert max(found) < sum(found) / 6
    assert second.services.find("usrloc").table("location").contacts == CONTACTS
    await second.stop()


def test_a_call_goes_on_whatever_the_database_is(kept):
    kind, url = kept
    lines = f'loadmodule "db_{kind}.so"\nmodparam("dialog", "db_url", "{url}")\nmodparam("dialog", "db_mode", 3)\n'
    one: Call = call(parameters=lines, initial='$dlg_val(v) = "a#b|c"; $dlg_val(n) = -7; set_dlg_flag("F");')
    one.established(body="v=0\r\n")
    before = one.listed
    one.restart()
    assert one.listed == before
    one.request("BYE")
    one.bob.reply(one.bob.only("BYE"), 200)
    one.restart()
    assert one.script.mi("dlg_list") == {"Dialogs": []}
    one.script.close()
