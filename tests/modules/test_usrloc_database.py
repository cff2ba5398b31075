"""Contacts in a database: written, read at the next start, and what happens when it is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept_tables import KeptTables, until
from miscript.errors import ConfigurationError, MIError
from miscript.host.embedding import call_command
from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.modules.usrloc.rows import USUAL_URI
from miscript.sip.uri import SipUri
from miscript.testing import ManualClock, MemoryNetwork, RunningScript
from sip_scripts import Phone

THROUGH = "single-instance-sql-write-through"
BACK = "single-instance-sql-write-back"
CONTACT = '<sip:alice@10.0.0.9:5070;transport=udp>;q=0.7;+sip.instance="<urn:uuid:1>"'
HEADERS = (
    "User-Agent: Phone/1",
    "Allow: INVITE, BYE",
    "Path: <sip:9.9.9.9;lr>",
    "Expires: 600",
)

SCRIPT = """
log_level=1
xlog_level=3
mpath="/"
socket=udp:10.0.0.1:5060
loadmodule "sl.so"
loadmodule "signaling.so"
loadmodule "sipmsgops.so"
{database}
loadmodule "usrloc.so"
modparam("usrloc", "nat_bflag", "NAT")
{parameters}
loadmodule "registrar.so"
modparam("registrar", "received_avp", "$avp(rcv)")
modparam("registrar", "attr_avp", "$avp(attr)")
startup_route {{ {startup} }}
route {{
    if (is_method("REGISTER")) {{
        setbflag("NAT");
        setbflag("Other");
        $avp(rcv) = "sip:1.2.3.4:55";
        $avp(attr) = "some attr";
        save("location", {flags});
        if ($hdr(X-Key) != NULL) ul_add_key("location", "alice@example.com", "k", $hdr(X-Key));
        exit;
    }}
    lookup("location");
    xlog("lookup $rc $ru $du $bf\\n");
    sl_send_reply(200, "OK");
}}
"""


@pytest.fixture
def tables(tmp_path: Path) -> KeptTables:
    return KeptTables(tmp_path, "usrloc")


class Registrars:
    """Scripts one after the other on one database, and one clock."""

    def __init__(self, tables: KeptTables) -> None:
        self.tables = tables
        self.clock = ManualClock()
        self.running: list[RunningScript] = []

    def start(self, mode: str = BACK, *, flags: str = '"path-off"', startup: str = "", **more: object) -> RunningScript:
        given = {} if mode == "" else {"working_mode_preset": mode}
        parameters = self.tables.loaded_by("usrloc", **given, **more)
        text = SCRIPT.format(
            database='loadmodule "db_sqlite.so"', parameters=parameters, flags=flags, startup=startup or "$var(x) = 1;"
        )
        self.running.append(RunningScript(text, network=MemoryNetwork(), clock=self.clock))
        return self.running[-1]

    def rows(self, what: str = "*") -> list[tuple[object, ...]]:
        return self.tables.ask(f"SELECT {what} FROM location ORDER BY contact_id")


@pytest.fixture
def registrars(tables: KeptTables) -> Iterator[Registrars]:
    made = Registrars(tables)
    yield made
    for script in made.running:
        script.close()


def dumped(script: RunningScript) -> list[dict[str, Any]]:
    """The AORs that `ul_dump` tells."""
    return cast(dict[str, Any], script.mi("ul_dump"))["Domains"][0]["AORs"]


# -- writing and reading again ----------------------------------------------------------------------------------------


def test_a_contact_is_written_with_all_that_is_known_of_it(registrars: Registrars):
    script = registrars.start(THROUGH)
    Phone(script).register(CONTACT, *HEADERS, 'X-Key: va;l"ue')
    until(script, registrars.rows)
    until(script, lambda: registrars.rows("kv_store")[0][0])
    (row,) = registrars.rows(
        "username, domain, contact, expires, q, callid, cseq, flags, cflags, user_agent, received, path, socket,"
        " methods, sip_instance, attr"
    )
    assert row == (
        "alice", "example.com", "sip:alice@10.0.0.9:5070;transport=udp", int(script.clock.time()) + 600, 0.7, "call-1",
        1, 0, "NAT Other", "Phone/1", "sip:1.2.3.4:55", "<sip:9.9.9.9;lr>", "udp:10.0.0.1:5060", 9, "<urn:uuid:1>",
        "some attr",
    )  # fmt: skip
    assert json.loads(json.loads(cast(str, registrars.rows("kv_store")[0][0]))["_urec_kvs"]) == {"k": 'va;l"ue'}


@pytest.mark.parametrize("mode", [THROUGH, BACK])
def test_contacts_are_there_after_a_restart_as_they_were(registrars: Registrars, mode: str):
    first = registrars.start(mode, mi_dump_kv_store=1)
    Phone(first).register(CONTACT, *HEADERS, "X-Key: value")
    Phone(first, user="bob", call_id="call-2", address="udp:10.0.0.8:5060").register("<sip:bob@10.0.0.8>")
    before = dumped(first)
    first.close()
    second = registrars.start(mode, mi_dump_kv_store=1)
    assert dumped(second) == before
    assert cast(dict[str, int], second.mi("get_statistics", ["usrloc:"]))["usrloc:location-contacts"] == 2


def test_lookup_takes_contacts_that_were_read_as_if_they_had_registered_now(registrars: Registrars):
    Phone(registrars.start()).register(CONTACT, *HEADERS)
    registrars.running[-1].close()
    second = registrars.start()
    Phone(second, user="bob").ask("INVITE", uri="sip:alice@example.com")
    (line,) = second.output.splitlines()
    result, code, uri, hop, *flags = line.split()
    assert (result, code, uri, hop) == ("lookup", "1", "sip:alice@10.0.0.9:5070;transport=udp", "sip:9.9.9.9;lr")
    assert set(flags) == {"NAT", "Other"}


def test_the_startup_route_sees_the_contacts(registrars: Registrars):
    Phone(registrars.start()).register(CONTACT, *HEADERS, "X-Key: value")
    registrars.running[-1].close()
    startup = 'ul_get_key("location", "alice@example.com", "k", $var(v)); xlog("$rc $var(v)");'
    assert registrars.start(startup=startup).output == "1 value"


def test_a_contact_that_registers_again_changes_its_row(registrars: Registrars):
    script = registrars.start(THROUGH)
    phone = Phone(script)
    phone.register(CONTACT, *HEADERS)
    until(script, registrars.rows)
    script.advance(100)
    phone.register(CONTACT, "Expires: 900")
    until(script, lambda: registrars.rows("expires") == [(int(script.clock.time()) + 900,)])


@pytest.mark.parametrize("mode", [THROUGH, BACK])
def test_a_contact_that_goes_takes_its_row_along(registrars: Registrars, mode: str):
    script = registrars.start(mode)
    phone = Phone(script)
    phone.register(CONTACT, *HEADERS)
    script.advance(60)
    until(script, registrars.rows)
    phone.register("*", "Expires: 0")
    script.advance(60)
    until(script, lambda: not registrars.rows())


def test_write_back_waits_for_its_timer(registrars: Registrars):
    script = registrars.start(BACK, timer_interval=10)
    Phone(script).register(CONTACT, *HEADERS)
    script.advance(9)
    assert registrars.rows() == []
    script.advance(1)
    until(script, registrars.rows)


def test_contacts_whose_time_is_over_are_not_read_and_leave_the_table(registrars: Registrars):
    first = registrars.start()
    Phone(first).register("<sip:alice@10.0.0.9>", "Expires: 100")
    first.close()
    assert len(registrars.rows()) == 1
    asyncio.run(registrars.clock.advance(101))
    second = registrars.start()
    assert dumped(second) == []
    second.close()
    assert registrars.rows() == []


def test_contacts_for_memory_alone_are_not_written(registrars: Registrars):
    script = registrars.start(flags='"memory-only"')
    Phone(script).register(CONTACT)
    script.close()
    assert registrars.rows() == []


def test_new_contacts_get_ids_beyond_those_that_were_read(registrars: Registrars):
    first = registrars.start()
    Phone(first).register(CONTACT)
    first.close()
    registrars.tables.ask("UPDATE location SET contact_id = 1 << 61")
    second = registrars.start()
    Phone(second, user="bob", call_id="call-2", address="udp:10.0.0.8:5060").register("<sip:bob@10.0.0.8>")
    second.close()
    assert registrars.rows("contact_id") == [(1 << 61,), ((1 << 61) + 1,)]


def test_columns_can_have_other_names(registrars: Registrars):
    for old, new in (("username", "u"), ("contact_id", "n"), ("attr", "a")):
        registrars.tables.ask(f"ALTER TABLE location RENAME COLUMN {old} TO {new}")
    names = {"user_column": "u", "contact_id_column": "n", "attr_column": "a"}
    first = registrars.start(**names)
    Phone(first).register(CONTACT)
    first.close()
    assert registrars.tables.ask("SELECT u, a FROM location") == [("alice", "some attr")]
    assert [one["AOR"] for one in dumped(registrars.start(**names))] == ["alice@example.com"]


def test_without_domains_the_user_alone_is_the_aor(registrars: Registrars):
    first = registrars.start(use_domain=0)
    Phone(first).register(CONTACT)
    first.close()
    assert registrars.rows("username, domain") == [("alice", None)]
    assert [one["AOR"] for one in dumped(registrars.start(use_domain=0))] == ["alice"]


def test_rows_that_are_wrong_are_left_out_and_told(registrars: Registrars, caplog: pytest.LogCaptureFixture):
    first = registrars.start()
    Phone(first).register(CONTACT)
    first.close()
    insert = "INSERT INTO location (contact_id, username, domain, contact, expires) VALUES (?, ?, 'b.test', ?, ?)"
    for id, user, uri, expires in (
        (1, "a", "no uri", 0),
        (2, "", "sip:x", 0),
        (3, "b", "sip:b", 0),
        (4, "c", "sip:c", "x"),
    ):
        registrars.tables.ask(insert, id, user, uri, expires)
    second = registrars.start()
    assert {one["AOR"] for one in dumped(second)} == {"alice@example.com", "b@b.test"}
    assert caplog.text.count("the row is left out") == 3


def test_what_opensips_has_written_is_read(registrars: Registrars):
    registrars.tables.ask(
        "INSERT INTO location VALUES (40391659157990654, 'alice', 'a.test', 'sip:alice@127.0.0.1:17061',"
        " 'sip:1.2.3.4:55', '<sip:9.9.9.9;lr>', 0, 0.70, 'regc2', 1, '2026-11-25 04:17:50', 0, 'Other NAT', 'Phone/1',"
        " 'udp:10.0.0.1:5060', 9, NULL, ?, 'some attr')",
        '{"_urec_kvs":"{\\"k1\\":\\"va lue;\\\\\\"x\\"}"}',
    )
    script = registrars.start(mi_dump_kv_store=1)
    (shown,) = dumped(script)
    (contact,) = shown["Contacts"]
    assert (shown["AOR"], shown["KV-Store"]) == ("alice@a.test", {"k1": 'va lue;"x'})
    assert (contact["Cflags"], contact["Methods"], contact["Received"]) == ("NAT Other", 9, "sip:1.2.3.4:55")


# -- MI ---------------------------------------------------------------------------------------------------------------


async def test_flush_and_sync_write_at_once(tables: KeptTables):
    parameters = tables.loaded_by("usrloc", working_mode_preset=BACK)
    text = SCRIPT.format(database='loadmodule "db_sqlite.so"', parameters=parameters, flags='""', startup="exit;")
    host = Host(Source("test.cfg", text), lambda text: None, network=MemoryNetwork())
    host.load()

    async def mi(command: str, *values: object) -> object:
        return await call_command(host.services.mi, command, list(values) or None)

    def contacts() -> list[tuple[object, ...]]:
        return tables.ask("SELECT username FROM location ORDER BY username")

    try:
        await host.start()
        for name in ("a", "b"):
            await mi("ul_add", "location", f"{name}@x.test", f"sip:{name}@10.0.0.1", 100, "0.5", 0, 0, 1)
        assert contacts() == []
        assert await mi("ul_flush") == "OK"
        assert contacts() == [("a",), ("b",)]
        tables.ask("UPDATE location SET username = 'z' WHERE username = 'b'")
        assert await mi("ul_sync", "location", "a@x.test") == "OK"
        assert contacts() == [("a",), ("z",)]
        assert await mi("ul_sync", "location") == "OK"
        assert contacts() == [("a",), ("b",)]
        tables.ask("DROP TABLE location")
        with pytest.raises(MIError) as error:
            await mi("ul_sync", "location")
        assert error.value.code == 500
    finally:
        await host.stop()


# -- when the database is away ----------------------------------------------------------------------------------------


def test_what_cannot_be_written_is_counted_told_and_written_later(
    registrars: Registrars, caplog: pytest.LogCaptureFixture
):
    script = registrars.start(THROUGH)
    registrars.tables.ask("ALTER TABLE location RENAME TO gone")

    def statistic(name: str) -> int:
        return cast(dict[str, int], script.mi("get_statistics", [name]))[f"usrloc:{name}"]

    assert Phone(script).register(CONTACT, *HEADERS).status == 200
    until(script, lambda: statistic("db_failures") == 1)
    assert statistic("db_waiting") == 1
    assert "cannot be written" in caplog.text
    registrars.tables.ask("ALTER TABLE gone RENAME TO location")
    script.advance(1.5)
    until(script, registrars.rows)
    until(script, lambda: "is written again" in caplog.text)
    assert statistic("db_waiting") == 0


def test_a_row_that_the_database_refuses_holds_up_no_other(registrars: Registrars, caplog: pytest.LogCaptureFixture):
    registrars.tables.ask(
        "CREATE TRIGGER no BEFORE INSERT ON location WHEN NEW.username = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    script = registrars.start()
    for number, user in enumerate(("a", "bad", "c")):
        Phone(script, user=user, call_id=user, address=f"udp:10.0.0.8:{6000 + number}").register(
            f"<sip:{user}@10.0.0.8>"
        )
    script.advance(60)
    until(script, lambda: len(registrars.rows()) == 2)
    assert registrars.rows("username") == [("a",), ("c",)]
    until(script, lambda: "does not take the row" in caplog.text)


# -- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"working_mode_preset": "sql-only"}, "shares contacts with other hosts"),
        ({"working_mode_preset": "full-sharing-cluster"}, "shares contacts with other hosts"),
        ({"working_mode_preset": "nonsense"}, "expected 'single-instance-no-db'"),
        ({"cluster_mode": "federation-cachedb"}, "shares contacts with other hosts"),
        ({"restart_persistency": "sync-from-cluster"}, "shares contacts with other hosts"),
        ({"sql_write_mode": "write-back"}, "needs restart_persistency 'load-from-sql'"),
        ({"restart_persistency": "load-from-sql", "sql_write_mode": "x"}, "expected 'none', 'write-through'"),
        ({"working_mode_preset": BACK, "db_url": ""}, "db_url must be set"),
        ({"working_mode_preset": BACK, "db_url": "oracle://x"}, "no module is loaded for 'oracle:'"),
    ],
)
def test_what_is_not_available_is_refused_at_the_start(tables: KeptTables, parameters: dict[str, object], says: str):
    given = tables.loaded_by("usrloc", **parameters)
    text = SCRIPT.format(database='loadmodule "db_sqlite.so"', parameters=given, flags='""', startup="exit;")
    with pytest.raises(Exception, match=says):
        RunningScript(text, network=MemoryNetwork())


@pytest.mark.parametrize(
    ("parameters", "written"),
    [
        ({"restart_persistency": "load-from-sql"}, True),
        ({"restart_persistency": "load-from-sql", "sql_write_mode": "write-through"}, True),
        ({"restart_persistency": "none"}, False),
        ({"working_mode_preset": "single-instance-no-db", "restart_persistency": "load-from-sql"}, False),
    ],
)
def test_the_mode_can_be_chosen_by_single_parameters(registrars: Registrars, parameters: dict[str, str], written: bool):
    script = registrars.start("", **parameters)
    Phone(script).register(CONTACT)
    script.close()
    assert bool(registrars.rows()) is written


@pytest.mark.parametrize(
    "sql", ["DELETE FROM version", "UPDATE version SET table_version = 1012", "DROP TABLE location"]
)
def test_a_table_that_is_another_one_is_no_start(tables: KeptTables, sql: str):
    tables.ask(sql)
    with pytest.raises(ConfigurationError, match=r"the contacts cannot be read: .*location"):
        Registrars(tables).start()


@given(st.from_regex(USUAL_URI.pattern, fullmatch=True))
def test_what_passes_for_a_usual_uri_is_a_uri(text: str):
    assert str(SipUri.parse(text)) == text


def test_the_uris_of_most_phones_are_usual_ones_and_others_are_read():
    assert USUAL_URI.fullmatch("sip:alice@192.168.1.7:65060;transport=udp") is None
    assert USUAL_URI.fullmatch("sip:+4930-12.3@192.168.1.7:5060;transport=tls;ob;+sip.instance=x") is None
    assert USUAL_URI.fullmatch("sip:alice@192.168.1.7:50600;transport=udp;rinstance=0f-3") is not None
