"""Module permissions: addresses of a table, partitions, rules of files, MI; observed answers of OpenSIPS 4.1."""

from __future__ import annotations

import asyncio

import pytest

from miscript.errors import ConfigurationError, MIError, ScriptError
from miscript.modules.permissions.addresses import AddressBook, Entry, Query, packed_address
from miscript.modules.permissions.loading import Columns, load
from miscript.testing import RunningScript
from sip_scripts import Phone, sip_script
from sqlite_tables import SqliteTables

ROWS = (
    (1, "10.0.0.1", 32, 0, "any", None, "one"),
    (1, "10.0.1.0", 24, 5060, "udp", "^sip*", "two"),
    (2, "10.0.0.1", 32, 5060, "UDP", "*test*", "three"),
    (3, "10.0.0.1", 32, 0, "none", None, "never"),
    (4, "2001:db8::1", 128, 0, "any", None, "six"),
    (4, "2001:db8::1", 64, 0, "any", None, "seven"),
    (5, "10.0.0.0", 16, 0, "any", None, "narrow"),
    (5, "10.0.0.0", 8, 0, "any", None, "broad"),
    (7, "10.8.0.1", 32, 0, "tcp", None, None),
    (7, "10.8.0.1", 32, 7, "tcp", None, "port"),
    (9, "10.0.0.9", 32, 0, "any", "*alice*", "phone"),
    (8, "10.0.0.9", 32, 5070, "udp", None, "phone8"),
    (6, "10.0.0.0", 24, 0, "tcp", None, "tcp only"),
    (0, "10.0.0.77", 32, 0, "any", None, "zero"),
)
NAMES = ("grp", "ip", "mask", "port", "proto", "pattern", "context_info")


@pytest.fixture
def tables(tmp_path):
    """The table `address`."""
    found = SqliteTables(tmp_path / "test.db", ("permissions",))
    for row in ROWS:
        found.add("address", **dict(zip(NAMES, row, strict=True)))
    return found


def script_of(tables: SqliteTables | None, body: str = "route { exit; }", parameters: str = "") -> RunningScript:
    url = tables.modparams("permissions") if tables else ""
    return sip_script("db_sqlite permissions mi_script", body, parameters=url + parameters)


def answers(tables: SqliteTables, *calls: str, parameters: str = "") -> list[str]:
    """Return code and `$avp(c)` behind each call."""
    lines = "".join(f'$avp(c) := NULL; {call}; xlog("$rc $avp(c)\\n");\n' for call in calls)
    with script_of(tables, f"startup_route {{ {lines} }} route {{ exit; }}", parameters) as script:
        return script.output.splitlines()


# -- addresses ------------------------------------------------------------------------------------------------------


def test_addresses_ports_and_transports_are_compared(tables):
    assert answers(
        tables,
        'check_address(1, "10.0.0.1", 5060, "udp", $avp(c))',
        'check_address(2, "10.0.0.1", 0, "any", $avp(c))',
        'check_address(2, "10.0.0.1", 0, "tcp", $avp(c))',
        'check_address(2, "10.0.0.1", 5061, "udp", $avp(c))',
        'check_address(7, "10.8.0.1", 7, "TCP", $avp(c))',
        'check_address(7, "10.8.0.1", 8, "tcp", $avp(c))',
        'check_address(1, "10.0.1.200", 5060, "ANY", $avp(c))',
        'check_address(4, "2001:db8::1", 0, "any", $avp(c))',
        'check_address(4, "[2001:db8::2]", 0, "any", $avp(c))',
        'check_address(4, "2001:db9::2", 0, "any", $avp(c))',
    ) == [
        "1 one",
        "1 three",
        "-1 <null>",
        "-1 <null>",
        "1 port",
        "1 ",
        "1 two",
        "1 six",
        "1 seven",
        "-1 <null>",
    ]


def test_a_group_without_entries_is_told_from_an_address_that_is_not_there(tables):
    assert answers(
        tables,
        'check_address(99, "10.0.0.1", 0, "any", $avp(c))',
        'check_address(3, "10.0.0.1", 0, "any", $avp(c))',
        'check_address(4, "10.0.0.1", 0, "any", $avp(c))',
    ) == ["-2 <null>", "-2 <null>", "-1 <null>"]


def test_the_broadest_network_counts_and_with_any_group_the_lowest_one(tables):
    assert answers(
        tables,
        'check_address(5, "10.0.0.200", 0, "any", $avp(c))',
        'check_address(0, "10.0.0.1", 0, "any", $avp(c))',
        'check_address(0, "10.0.0.77", 0, "any", $avp(c))',
        'check_address(0, "10.0.9.9", 0, "any", $avp(c))',
        'check_address(0, "192.0.2.1", 0, "any", $avp(c))',
    ) == ["1 broad", "1 one", "1 zero", "1 broad", "-1 <null>"]


def test_a_pattern_of_the_table_is_matched_by_the_text_of_the_script(tables):
    assert answers(
        tables,
        'check_address(2, "10.0.0.1", 0, "any", $avp(c), "a test b")',
        'check_address(2, "10.0.0.1", 0, "any", $avp(c), "none")',
        'check_address(1, "10.0.0.1", 0, "any", $avp(c), "whatever")',
        'check_address(1, "10.0.1.1", 0, "any", $avp(c), "")',
    ) == ["1 three", "-1 <null>", "1 one", "-1 <null>"]


def test_what_is_no_address_transport_or_partition_fails_the_call(tables):
    assert (
        answers(
            tables,
            '$var(x) = "host.example"; check_address(1, $var(x), 0, "any", $avp(c))',
            '$var(x) = NULL; check_address(1, $var(x), 0, "any", $avp(c))',
            '$var(x) = "pigeon"; check_address(1, "10.0.0.1", 0, $var(x), $avp(c))',
            '$var(x) = "nobody"; check_address(1, "10.0.0.1", 0, "any", $avp(c), , $var(x))',
        )
        == ["-1 <null>"] * 4
    )


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        ('check_address(1, "10.0.0.1", 0, "pigeon")', "'pigeon' is no transport"),
        ('check_address(1, "10.0.0.1", 0, "any", , , "b")', "partition 'b' is not defined"),
    ],
)
def test_what_is_written_out_wrong_is_found_when_the_script_is_read(tables, call, complaint):
    with pytest.raises(ScriptError, match=complaint):
        answers(tables, call)


def test_the_source_of_a_message_is_looked_up(tables):
    body = """route {
        get_source_group($var(g)); xlog("$rc $var(g)\\n");
        check_source_address(9, $avp(c)); xlog("$rc $avp(c)\\n");
        check_source_address(9, , "sip:bob@x"); xlog("$rc\\n");
        check_source_address(6); xlog("$rc\\n");
        check_source_address(8, , , "default"); xlog("$rc\\n"); exit; }"""
    tables.do("DELETE FROM address WHERE grp = 5")
    with script_of(tables, body) as script:
        phone = Phone(script)
        phone.send(phone.text("OPTIONS"))
        assert script.output.splitlines() == ["1 8", "1 phone", "-1", "-1", "1"]


# -- loading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("UPDATE address SET mask = 33 WHERE id = 2", "row 2: 'mask' is 33, expected 0 to 32"),
        ("UPDATE address SET ip = 'nowhere' WHERE id = 3", "row 3: 'nowhere' is no IP address"),
        ("UPDATE address SET proto = 'pigeon' WHERE id = 3", "row 3: 'pigeon' is no transport"),
        ("UPDATE address SET port = 70000 WHERE id = 1", "row 1: 'port' is 70000"),
        ("UPDATE address SET grp = -1 WHERE id = 1", "row 1: 'grp' is -1"),
        ("UPDATE version SET table_version = 4", "has version 4, expected 5"),
        ("DROP TABLE address", "address"),
    ],
)
def test_a_bad_table_is_refused_and_the_old_one_stays_in_force(tables, change, complaint):
    with script_of(tables) as script:
        before = script.mi("permissions:address_dump"), script.mi("permissions:subnet_dump")
        tables.add("address", grp=1, ip="10.77.0.1")
        tables.do(change)
        with pytest.raises(MIError, match="Trusted table reload failed") as failed:
            script.mi("permissions:address_reload")
        assert complaint in str(failed.value.data)
        assert (script.mi("permissions:address_dump"), script.mi("permissions:subnet_dump")) == before


def test_nothing_starts_with_a_bad_table(tables):
    tables.do("UPDATE address SET mask = 99 WHERE id = 2")
    with pytest.raises(ConfigurationError, match="'mask' is 99"), script_of(tables):
        pass


def test_null_is_no_address(tmp_path):
    tables = SqliteTables(tmp_path / "test.db", ())
    tables.do("CREATE TABLE address (grp, ip, mask, port, proto, pattern, context_info)")
    tables.add("version", table_name="address", table_version=5)
    tables.add("address", grp=1, ip=None, mask=32, port=0, proto="any")
    with pytest.raises(ConfigurationError, match="row 1: 'ip' is NULL"), script_of(tables):
        pass


def test_a_reload_puts_new_rows_in_force(tables):
    body = 'route { check_source_address(20); xlog("$rc "); exit; }'
    with script_of(tables, body) as script:
        phone = Phone(script)
        phone.send(phone.text("OPTIONS"))
        tables.add("address", grp=20, ip="10.0.0.9")
        phone.send(phone.text("OPTIONS"))
        assert script.mi("permissions:address_reload") == "OK"
        phone.send(phone.text("OPTIONS"))
        assert script.output == "-2 -2 1 "


class Rows:
    """A database with many addresses."""

    url = "rows://"

    def __init__(self, count: int) -> None:
        self.count = count

    async def version(self, table):
        return 5

    async def rows(self, table, columns, where=(), *, order="", chunk=500):
        for start in range(0, self.count, chunk):
            await asyncio.sleep(0)
            yield [
                (n % 100 + 1, f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", 32, 0, "any", None, str(n))
                for n in range(start, start + chunk)
            ]


def test_others_have_their_turn_while_a_long_table_is_loaded():
    async def loading():
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        book = await load(Rows(20_000), "address", Columns(*NAMES))
        task.cancel()
        return book, turns

    book, turns = asyncio.run(loading())
    found = book.find(0, Query(packed_address("10.0.78.31")))
    assert found is not None and found.info == str(78 * 256 + 31)
    assert turns > 30  # it takes tens of milliseconds, and each turn is about one


def test_an_address_is_found_among_many_groups_without_going_through_them():
    book = AddressBook()
    for group in range(1, 5001):
        book.add(Entry(group, packed_address(f"10.0.{group >> 8}.{group & 255}"), 32, 0, "any", "", ""))
    looked_at = list(book._all.holding(packed_address("10.0.16.1")))
    assert [entry.group for entry in looked_at] == [16 * 256 + 1]


# -- partitions and MI ------------------------------------------------------------------------------------------------


def test_partitions_have_tables_of_their_own(tables):
    tables.do("CREATE TABLE other AS SELECT * FROM address WHERE 0")
    tables.add("version", table_name="other", table_version=5)
    tables.add("other", grp=1, ip="10.5.0.1", mask=32, port=0, proto="any", context_info="theirs")
    parameters = 'modparam("permissions", "partition", "b: table_name = other;")\n'
    body = """startup_route { check_address(1, "10.5.0.1", 0, "any"); xlog("$rc\\n");
        check_address(1, "10.5.0.1", 0, "any", $avp(c), , "b"); xlog("$rc $avp(c)\\n"); } route { exit; }"""
    with script_of(tables, body, parameters) as script:
        assert script.output.splitlines() == ["-1", "1 theirs"]
        row = {"grp": 1, "ip": "10.5.0.1", "mask": "32", "port": 0, "proto": "any", "pattern": "", "context_info": ""}
        row["context_info"] = "theirs"
        assert script.mi("permissions:address_dump", partition="b") == {"part": "b", "Destinations": [row]}
        shown = script.mi("permissions:address_dump")["Partitions"]
        assert [one["name"] for one in shown] == ["default", "b"]
        with pytest.raises(MIError, match="No such partition"):
            script.mi("permissions:subnet_dump", partition="c")
        with pytest.raises(MIError, match="Trusted table reload failed"):
            script.mi("permissions:address_reload", partition="c")


def test_partitions_without_a_database_are_refused():
    for line, complaint in (
        ("b: table_name = x", "partition 'b' has no db_url"),
        ("b: foo = x", "'foo = x' is not one of db_url, table_name"),
        (": db_url = x", "expected 'name:"),
    ):
        with (
            pytest.raises(ScriptError, match=complaint),
            script_of(None, parameters=f'modparam("permissions", "partition", "{line}")\n'),
        ):
            pass


def test_networks_are_listed_with_their_masks_the_last_first(tables):
    with script_of(tables) as script:
        shown = script.mi("permissions:subnet_dump", partition="default")["Destinations"]
        assert [(one["grp"], one["ip"], one["mask"]) for one in shown] == [
            (1, "10.0.1.0", "255.255.255.0"),
            (4, "2001:DB8:0:0:0:0:0:0", "FFFF:FFFF:FFFF:FFFF:0:0:0:0"),
            (5, "10.0.0.0", "255.0.0.0"),
            (5, "10.0.0.0", "255.255.0.0"),
            (6, "10.0.0.0", "255.255.255.0"),
        ]
        addresses = script.mi("permissions:address_dump", partition="default")["Destinations"]
        assert [(one["grp"], one["ip"], one["port"]) for one in addresses][:5] == [
            (0, "10.0.0.77", 0),
            (1, "10.0.0.1", 0),
            (2, "10.0.0.1", 5060),
            (4, "2001:DB8:0:0:0:0:0:1", 0),
            (7, "10.8.0.1", 7),
        ]


# -- rules ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """Files of rules, by the name that a script has for them."""
    (tmp_path / "rules.deny").write_text(
        '# who may not\nALL : "evil"\n"^sip:mallory@.*" EXCEPT "good" : ALL EXCEPT "^sip:home"  # more\n'
    )
    (tmp_path / "both.allow").write_text('"^sip:good" : ALL\n')
    (tmp_path / "both.deny").write_text("ALL : ALL\n")
    return tmp_path


def ruled(body: str, message: str, parameters: str = "") -> list[str]:
    """What a route prints for a request."""
    with script_of(None, f"route {{ {body} exit; }}", parameters) as script:
        return script.route(message=message).output.split()


def message(*, who: str = "sip:alice@a.com", uri: str = "sip:bob@b.com", contact: str = "") -> str:
    more = f"Contact: {contact}\n" if contact else ""
    return (
        f"REGISTER {uri} SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKa\nFrom: <{who}>;tag=a\nTo: <{who}>\n"
        f"Call-ID: a\nCSeq: 1 REGISTER\n{more}Content-Length: 0\n\n"
    )


@pytest.mark.parametrize(
    ("who", "uri", "code"),
    [
        ("sip:alice@a.com", "sip:bob@b.com", "1"),
        ("sip:alice@a.com", "sip:EVIL@b.com", "-1"),
        ("sip:mallory@a.com", "sip:bob@b.com", "-1"),
        ("sip:MALLORY@a.com:5070;user=phone", "sip:bob@b.com", "-1"),
        ("sip:mallory@good.com", "sip:bob@b.com", "1"),
        ("sip:mallory@a.com", "sips:home@b.com", "1"),
        ("sip:alice@a.com", "sip:bob:evil@b.com;evil=1?evil", "1"),
        ("tel:+33", "tel:+33", "1"),
    ],
)
def test_calls_are_checked_by_from_and_the_plain_request_uri(files, who, uri, code):
    assert ruled(f'allow_routing("{files}/rules"); xlog("$rc");', message(who=who, uri=uri)) == [code]


def test_all_branches_are_checked_unless_the_script_says_otherwise(files):
    body = f'$branch = "sip:evil@b.com"; allow_routing("{files}/rules"); xlog("$rc");'
    first = 'modparam("permissions", "check_all_branches", 0)\n'
    assert ruled(body, message()) == ["-1"]
    assert ruled(body, message(), first) == ["1"]


@pytest.mark.parametrize(
    ("contact", "code"),
    [
        ("", "1"),
        ("*", "1"),
        ("<sip:alice@10.0.0.9>", "1"),
        ('<sip:alice@10.0.0.9>, "x" <sip:evil@10.0.0.9:5070>;expires=9', "-1"),
        ("<foo:evil>", "-1"),
    ],
)
def test_registrations_are_checked_by_all_contacts(files, contact, code):
    assert ruled(f'allow_register("{files}/rules"); xlog("$rc");', message(contact=contact)) == [code]


def test_a_uri_is_compared_as_it_is_written(files):
    body = f'allow_uri("{files}/rules", "sip:x@y;evil=1"); xlog("$rc "); allow_uri("{files}/rules", $tu); xlog("$rc");'
    assert ruled(body, message()) == ["-1", "1"]


def test_what_is_allowed_is_not_asked_in_the_deny_file(files):
    body = f'allow_uri("{files}/both", "sip:x"); xlog("$rc");'
    assert ruled(body, message(who="sip:good@a.com")) == ["1"]
    assert ruled(body, message(who="sip:other@a.com")) == ["-1"]


def test_files_named_in_variables_are_read_when_they_come_up(files):
    body = f'$var(f) = "{files}/" + $rU; allow_routing($var(f)); xlog("$rc "); allow_routing($var(f)); xlog("$rc");'
    assert ruled(body, message(uri="sip:both@b.com")) == ["-1", "-1"]
    assert ruled(body, message(uri="sip:nofile@b.com")) == ["1", "1"]


def test_the_default_files_are_those_of_the_parameters(files):
    parameters = f'modparam("permissions", "default_deny_file", "{files}/both.deny")\n'
    assert ruled('allow_routing(); xlog("$rc");', message(), parameters) == ["-1"]
    assert ruled('allow_routing(); xlog("$rc");', message()) == ["1"]


def test_mi_asks_the_files_that_the_script_has_read(files):
    with script_of(None, f'route {{ allow_uri("{files}/both", $ru); exit; }}') as script:
        ask = "permissions:allow_uri"
        assert script.mi(ask, basename=f"{files}/both", uri="sip:good@a", contact="sip:x") == "OK"
        for name, uri in (("both", "sip:other@a"), ("rules", "sip:good@a")):
            with pytest.raises(MIError, match="Forbidden"):
                script.mi(ask, basename=f"{files}/{name}", uri=uri, contact="sip:x")


def test_a_file_with_a_bad_line_is_refused(files):
    (files / "bad.allow").write_text('ALL : ALL\n"[" : ALL\n')
    with pytest.raises(ScriptError, match=r"bad.allow', line 2: bad regular expression '\['"):
        ruled(f'allow_routing("{files}/bad");', message())
    with pytest.raises(ScriptError, match="line 2"):
        ruled("", message(), f'modparam("permissions", "default_allow_file", "{files}/bad.allow")\n')
    body = f'$var(f) = "{files}/bad"; allow_routing($var(f)); xlog("$rc");'
    assert ruled(body, message()) == ["-1"]
