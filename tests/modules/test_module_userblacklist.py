"""Numbers that a user, or everybody, must not call."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import ConfigurationError, MIError
from miscript.modules.userblacklist import Prefixes
from miscript.testing import RunningScript

USERS = """id(int,auto) username(string) domain(string,null) prefix(string,null) whitelist(int)\x20
1:bob:x.com:1234:0
2:bob:x.com:12345:1
3:bob:y.com:99:0
4:eve:x.com::0
5:eve:x.com:5:1
6:dup:x.com:5:1
7:dup:x.com:5:0
8:odd:x.com:+49:0
"""
ALL = "id(int,auto) prefix(string,null) whitelist(int) description(string,null) \n1::0:\n2:1:1:\n3:123456:0:\n"


def tables(folder: Path, *, users: str = USERS, everybody: str = ALL, version: int = 2) -> Path:
    folder.mkdir(exist_ok=True)
    names = ("userblacklist", "globalblacklist")
    versions = "".join(f"{name}:{version}\n" for name in names)
    (folder / "version").write_text(f"table_name(string) table_version(int) \n{versions}")
    (folder / "userblacklist").write_text(users)
    (folder / "globalblacklist").write_text(everybody)
    (folder / "other").write_text(ALL)
    return folder


def script(folder: Path, body: str, parameters: str = "") -> RunningScript:
    return RunningScript(
        f"""
        log_level=1
        loadmodule "db_text.so"
        loadmodule "userblacklist.so"
        modparam("db_text", "db_mode", 1)
        modparam("userblacklist", "db_url", "text://{folder}")
        {parameters}
        route {{ {body} exit; }}
        """
    )


def call(number: str) -> str:
    return (
        f"INVITE sip:{number}@x.com SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=1\n"
        f"To: <sip:{number}@x.com>\nCall-ID: c\nCSeq: 1 INVITE\nContent-Length: 0\n\n"
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('"bob", "x.com", "12345678"', "1"),
        ('"bob", "x.com", "123499"', "-1"),
        ('"bob", "z.com", "123499"', "1"),
        ('"nobody", "x.com", "123499"', "1"),
        ('"eve", "x.com", "333"', "-1"),
        ('"eve", "x.com", "533"', "1"),
        ('"dup", "x.com", "533"', "-1"),
        ('"odd", "x.com", "+4930"', "-1"),
        ('"bob", "x.com", "123499", "nope"', "-1"),
        ('"bob", "x.com"', "-1"),
    ],
)
def test_the_longest_prefix_of_a_user_decides(tmp_path: Path, arguments: str, expected: str):
    body = f'check_user_blacklist({arguments}); xlog("$rc");'
    with script(tables(tmp_path / "db"), body) as running:
        assert running.route(message=call("123499")).output == expected


def test_domains_count_unless_the_script_says_otherwise(tmp_path: Path):
    body = 'check_user_blacklist("bob", "z.com", "9999"); xlog("$rc");'
    with script(tables(tmp_path / "db"), body, 'modparam("userblacklist", "use_domain", 0)') as running:
        assert running.route(message=call("1")).output == "-1"


def test_a_table_for_all_decides_for_the_request_uri(tmp_path: Path):
    body = 'check_blacklist("globalblacklist"); xlog("$rc");'
    with script(tables(tmp_path / "db"), body) as running:
        found = {number: running.route(message=call(number)).output for number in ("456", "123", "1234567", "abc")}
    assert found == {"456": "-1", "123": "1", "1234567": "-1", "abc": "-1"}


def test_a_table_named_by_a_variable_is_loaded_when_it_is_asked_for(tmp_path: Path):
    body = 'check_blacklist($(hdr(Call-ID))); xlog("$rc");'
    with script(tables(tmp_path / "db"), body) as running:
        found = [running.route(message=call("123").replace("ID: c", f"ID: {name}")).output for name in ("other", "no")]
    assert found == ["1", "-1"]


def test_a_reload_takes_the_new_rows_or_keeps_the_old(tmp_path: Path):
    folder = tables(tmp_path / "db")
    with script(folder, 'check_blacklist("globalblacklist"); xlog("$rc");') as running:
        tables(folder, everybody=ALL.replace("1::0:\n", ""))
        assert running.route(message=call("456")).output == "-1"
        assert running.mi("reload_blacklist") == "OK"
        assert running.route(message=call("456")).output == "1"
        tables(folder, everybody="", version=3)
        with pytest.raises(MIError, match="500 cannot reload blacklist"):
            running.mi("userblacklist:reload")
        assert running.route(message=call("1234567")).output == "-1"


@pytest.mark.parametrize("version", [1, 3])
def test_a_table_of_another_version_stops_the_start(tmp_path: Path, version: int):
    with pytest.raises(ConfigurationError, match="version"):
        script(tables(tmp_path / "db", version=version), "exit;")


def test_a_table_for_all_that_is_not_there_stops_the_start(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="nope"):
        script(tables(tmp_path / "db"), 'check_blacklist("nope");')


@given(st.dictionaries(st.text("012", max_size=3), st.booleans(), max_size=6), st.text("012", max_size=5))
def test_no_longer_prefix_says_otherwise(known: dict[str, bool], number: str):
    prefixes = Prefixes()
    for prefix, white in known.items():
        prefixes.add(prefix, white)
    matching = [prefix for prefix in known if number.startswith(prefix)]
    assert prefixes.allows(number) is (known[max(matching, key=len)] if matching else True)
