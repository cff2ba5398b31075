"""What each command says of arguments that cannot be right: the exit status, what was found, what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from miscript.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with a script and a file of nodes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("MISCRIPT_AT", raising=False)
    (tmp_path / "a.cfg").write_text('loadmodule "sl.so"\nstartup_route { exit; }\n')
    (tmp_path / "junk.pem").write_text("junk")
    nodes("[nodes.edge1]\nurl = 'http://127.0.0.1:1/mi'\n")
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    """A UDP port where somebody else is already."""
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        yield datagrams.getsockname()[1]


def nodes(text: str) -> None:
    file = Path.home() / ".config" / "miscript" / "nodes.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def called(line: str) -> Result:
    return CliRunner().invoke(main, line.split())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("chek a.cfg", "No such command 'chek': did you mean 'check'?"),
        ("a.cfg", "No such command 'a.cfg': to run it, write  miscript run FILE"),
        ("nothing.cfg", "No such command 'nothing.cfg'."),
        ("run a.cfg --once --at nope", "'--at': no node 'nope' in "),
        ("run a.cfg --once --at htp://x", "'--at': 'htp://x' is no address of a node: write http://"),
        ("run a.cfg --once --xlog /none/x", "'--xlog': '/none/x' cannot be written: No such file or directory"),
        ("run a.cfg --once --for 1", "--once and --for exclude each other"),
        ("run a.cfg --limit x", "'x' is no limit; write seconds like 2.5, or 100000steps, or 200routes"),
        ("check", "give the files to check, or --explain CODE"),
        ("check --explain E999", "'--explain': there is no code 'E999'; they run from E100 to W"),
        ("mi --bogus", "No such option '--bogus'"),
        ("mi --at 127.0.0.1:88 ps", "and it is no URL: write  http://127.0.0.1:88/mi  or  udp:127.0.0.1:88"),
        ("mi --at /run/fifo ps", "and it is no URL: write  fifo:/run/fifo  or  unix:/run/fifo"),
        ("mi --at http://127.0.0.1:abc/mi ps", "the port in 'http://127.0.0.1:abc/mi' is no number from 0 to 65535"),
        ("mi --at udp:127.0.0.1 ps", "'udp:127.0.0.1' is not udp:host:port"),
        ("mi ps a b=c", "'a' has no name and other words have one; name all of them, or give --positional"),
    ],
)
def test_wrong_usage_is_told_with_what_to_write(line: str, words: str) -> None:
    result = called(line)
    assert (result.exit_code, words in result.stderr) == (2, True), result.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("default = 'x'", "no node 'x' in "),
        ("[node.edge1]\nurl = 'unix:/x'", "has 'node', expected 'default' and tables [nodes.NAME]"),
        ("nodes = 5", "has 'nodes', expected 'default' and tables [nodes.NAME]"),
        ("[nodes]\nedge1 = 5", "node 'edge1' is 5, expected a table [nodes.edge1]"),
        ("[nodes.edge1]\nurll = 'unix:/x'", "node 'edge1' has 'urll', expected ca, timeout, token, token_file, url"),
        ("[nodes.edge1]\ntimeout = 5", "node 'edge1' has no url"),
        ("[nodes.edge1]\nurl = 'https://x'\nca = '/none'", "in '/none' cannot be read: No such file or directory"),
        ("[nodes.edge1]\nurl = 'https://x'\nca = 'junk.pem'", "there is no certificate in PEM form in 'junk.pem'"),
        ("[nodes.edge1]\nurl = 'unix:/x'\ntoken_file = '/none'", "'/none', cannot be read: No such file or directory"),
    ],
)
def test_a_file_of_nodes_that_is_wrong_is_told(text: str, words: str) -> None:
    nodes(text)
    result = called("mi ps" if text.startswith("default") else "mi --at edge1 ps")
    assert (result.exit_code, words in result.stderr) == (2, True), result.output


def test_a_file_of_nodes_that_is_not_there_is_told(here: Path) -> None:
    (here / ".config" / "miscript" / "nodes.toml").unlink()
    assert "nodes.toml (there is no such file), and it is no URL" in called("mi --at edge1 ps").stderr


def test_a_node_that_refuses_is_told_as_such() -> None:
    result = called("mi --at edge1 --timeout 5 ps")
    assert (result.exit_code, result.stderr) == (3, "miscript: http://127.0.0.1:1/mi: Connection refused\n")


def test_a_stub_of_a_module_that_the_script_does_not_load_is_told() -> None:
    result = called("run a.cfg --once --stub sll --stub sl")
    assert (result.exit_code, result.stderr) == (
        0,
        "miscript: --stub sll: the script loads no such module; did you mean 'sl'?\n",
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("db create foo", "'foo' is no database URL: expected text:, sqlite:, postgres:, mysql: first"),
        ("db create text://t dispatchr", "no tables are known of a module 'dispatchr'; there are those of "),
        ("db create text://t dispatchr", "help: did you mean 'dispatcher'?"),
        ("db create mysql://u:secret@127.0.0.1:1/x", "mysql://u:***@127.0.0.1:1/x: Can't connect to MySQL server on "),
        ("db create mysql://u:secret@127.0.0.1:1/x", ": Connection refused"),
        ("db create postgres://u:secret@127.0.0.1:1/x", "postgres://u:***@127.0.0.1:1/x: Connection refused"),
        ("db create sqlite:///none/x.db", "'/none/x.db' can be no file: expected one in a folder that exists"),
    ],
)
def test_a_database_that_cannot_be_had_is_told(line: str, words: str) -> None:
    result = called(line)
    assert (result.exit_code, words in result.stderr, "secret" in result.output) == (1, True, False), result.output


def test_a_port_where_no_collector_can_listen_is_told(taken: int) -> None:
    result = called(f"trace listen --udp {taken}")
    assert (result.exit_code, result.stderr) == (
        1,
        f"miscript: cannot listen on 127.0.0.1, udp port {taken}: Address already in use\n",
    )
