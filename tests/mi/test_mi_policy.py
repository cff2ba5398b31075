"""Who may call what, and what the audit says about it."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import ConfigurationError, MIError
from miscript.mi.audit import ALWAYS_MASKED, MAX_LINE, audit_line, shown
from miscript.mi.command import Command
from miscript.mi.jsonrpc import FORBIDDEN, Failure, Request, Response
from miscript.mi.origin import NOBODY, Backend, Identity, Origin
from miscript.mi.policy import READ_ONLY, parse_policy

LIST = Command("dispatcher", "list", ("ds_list",), ((), ("partition",)), lambda partition="": None, read_only=True)
RELOAD = Command("dispatcher", "reload", ("ds_reload",), ((),), lambda: None)
KILL = Command("core", "kill", ("kill_all",), ((),), lambda: None)
ADD = Command(
    "auth",
    "add",
    (),
    (("user", "password"), ("user", "ha1", "realm")),
    lambda user, password="", ha1="", realm="": None,
)

TOKEN = "correct horse"
POLICY = f"""
hosts = ["MI.example.com"]
[roles.operator]
commands = ["ds_*"]
[roles.admin]
commands = ["*"]
[roles.viewer]
read_only = true
[roles.ds_viewer]
commands = ["dispatcher:*"]
read_only = true
[[allow]]
role = "operator"
door = "mi_http"
token_sha256 = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"
[[allow]]
role = "viewer"
address = ["10.0.0.0/8", "::1"]
[[allow]]
role = "admin"
door = ["mi_fifo", "mi_datagram"]
user = ["root", "opensips"]
[[allow]]
role = "ds_viewer"
user = "alice"
password_sha256 = "{hashlib.sha256(b"pw").hexdigest()}"
[mask]
parameters = ["Realm"]
"""


def origin(door="mi_http", address="192.0.2.1", port=4000, **identity):
    identity = {k: v if k == "user" else hashlib.sha256(v.encode()).digest() for k, v in identity.items()}
    source = (address, port)
    return Origin(door, Backend.HTTP, source, peer=f"{address}:{port}", identity=Identity(**identity))


def allowed(policy, **peer):
    """The names of the commands that a peer may call."""
    found = set()
    for command in (LIST, RELOAD, KILL):
        try:
            policy.check(command, Request(command.full), origin(**peer))
        except MIError as error:
            assert (error.code, error.message) == (FORBIDDEN, "Forbidden")
        else:
            found.add(command.name)
    return found


@pytest.mark.parametrize(
    ("peer", "commands"),
    [
        ({}, set()),
        ({"token": TOKEN}, {"list", "reload"}),
        ({"token": TOKEN + "!"}, set()),
        ({"token": TOKEN, "door": "mi_fifo"}, set()),
        ({"address": "10.1.2.3"}, {"list"}),
        ({"address": "::ffff:10.1.2.3"}, {"list"}),
        ({"address": "11.1.2.3"}, set()),
        ({"address": "::1"}, {"list"}),
        ({"address": "10.1.2.3", "token": TOKEN}, {"list", "reload"}),
        ({"address": "10.0.0.1", "port": 0}, set()),
        ({"door": "mi_fifo", "user": "opensips"}, {"list", "reload", "kill"}),
        ({"door": "mi_http", "user": "opensips"}, set()),
        ({"user": "alice", "password": "pw"}, {"list"}),
        ({"user": "alice", "password": "px"}, set()),
        ({"user": "alice"}, set()),
        ({"password": "pw"}, set()),
    ],
)
def test_a_peer_may_do_what_any_rule_that_fits_it_allows(peer, commands):
    assert allowed(parse_policy(POLICY), **peer) == commands


def test_a_refusal_names_the_rule():
    policy = parse_policy(POLICY)
    with pytest.raises(MIError) as nobody:
        policy.check(LIST, Request("ds_list"), origin())
    assert nobody.value.data == "no rule of the policy fits this peer"
    with pytest.raises(MIError) as viewer:
        policy.check(RELOAD, Request("ds_reload"), origin(address="10.0.0.1"))
    assert "'viewer'" in viewer.value.data
    assert "'dispatcher:reload'" in viewer.value.data


def test_the_preset_lets_everyone_read():
    assert allowed(READ_ONLY) == {"list"}


def test_logins_are_known_with_their_password_only():
    policy = parse_policy(POLICY)
    assert policy.knows_login("alice", hashlib.sha256(b"pw").digest())
    assert not policy.knows_login("alice", hashlib.sha256(b"p").digest())
    assert not policy.knows_login("root", b"")


def test_hosts_and_masks_are_read():
    policy = parse_policy(POLICY)
    assert policy.hosts == {"mi.example.com"}
    assert policy.masked == ALWAYS_MASKED | {"realm"}


ROLE = "[roles.r]\nread_only = true\n[[allow]]\nrole = 'r'\n"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("= 3", "TOML"),
        ("role = 3", "'role'"),
        ("roles = 3", "'roles'"),
        ("[roles.r]", "roles.r"),
        ("[roles.r]\ncommands = []", "'commands'"),
        ("[roles.r]\ncommands = [3]", "'commands'"),
        ("[roles.r]\nread_only = 1", "'read_only'"),
        ("[roles.r]\nreadonly = true", "'readonly'"),
        ("[allow]\nrole = 'r'", "[[allow]]"),
        ("[[allow]]\nrole = 'x'", "'x'"),
        ("[[allow]]\n", "allow number 1"),
        (ROLE + "adress = '::1'", "'adress'"),
        (ROLE + "address = '10.0.0.1/8'", "10.0.0.1/8"),
        (ROLE + "address = 'here'", "here"),
        (ROLE + "token_sha256 = 'abc'", "'token_sha256'"),
        (ROLE + "token_sha256 = 3", "'token_sha256'"),
        (ROLE + "password_sha256 = '" + "0" * 64 + "'", "'user'"),
        ("[mask]\nparams = ['a']", "'params'"),
        ("hosts = ['']", "'hosts'"),
    ],
)
def test_a_mistake_in_the_file_is_named(text, names):
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(text)
    assert names in str(caught.value)


@given(st.text() | st.text(st.sampled_from("[]allowroles='\"\n.#{},=rd_ ")))
def test_any_text_is_a_policy_or_a_configuration_error(text):
    try:
        parse_policy(text)
    except ConfigurationError:
        pass


# -- the audit -----------------------------------------------------------------------------------------------


def line(message, command=None, response=None, masked=ALWAYS_MASKED, **peer):
    written = audit_line(
        message, command, origin(**peer), response or Response(1), time=1.5, seconds=0.0012, masked=masked
    )
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    return json.loads(written)


def test_a_line_tells_who_called_what_with_which_outcome():
    assert line(Request("ds_list", ["p"]), LIST, user="bob") == {
        "time": "1970-01-01T00:00:01.500Z",
        "door": "mi_http",
        "peer": "192.0.2.1:4000",
        "identity": "bob",
        "command": "dispatcher:list",
        "parameters": {"partition": "p"},
        "outcome": "ok",
        "milliseconds": 1.2,
    }


def test_an_error_is_told_with_code_and_message():
    found = line(Failure(MIError(-32700, "Parse error")), None, Response(error=MIError(-32700, "Parse error")))
    assert (found["command"], found["outcome"], found["message"]) == ("", -32700, "Parse error")


@pytest.mark.parametrize(
    ("command", "params", "wanted"),
    [
        (ADD, ["joe", "hush"], {"user": "joe", "password": "***"}),
        (ADD, ["joe", "hush", "home"], {"user": "joe", "ha1": "***", "realm": "home"}),
        (ADD, {"user": "joe", "PassWord": "hush"}, {"user": "joe", "PassWord": "***"}),
        (ADD, {"user": {"secret": ["hush"]}}, {"user": {"secret": "***"}}),
        (ADD, {"user": [{"token": "hush"}]}, {"user": [{"token": "***"}]}),
        (ADD, ["hush"], "1 values"),
        (None, ["hush", "hush"], "2 values"),
        (None, {"secret": "hush", "x": 1}, {"secret": "***", "x": 1}),
        (ADD, None, {}),
    ],
)
def test_secrets_are_never_shown(command, params, wanted):
    assert shown(params, command, ALWAYS_MASKED) == wanted


def test_a_token_is_shown_by_the_beginning_of_its_sum_only():
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    assert line(Request("ds_list"), LIST, token=TOKEN)["identity"] == f"token:{digest[:8]}"
    assert str(NOBODY) == ""


@given(st.text(), st.lists(st.text() | st.integers()))
def test_a_line_is_one_line_whatever_the_caller_wrote(method, params):
    assert line(Request(method, params or None))["door"] == "mi_http"


def test_a_line_has_a_limit():
    written = audit_line(
        Request("m", {"x": "y" * 100_000}), None, origin(), Response(1), time=0.0, seconds=0.0, masked=()
    )
    assert len(written) < MAX_LINE
    assert "left out" in json.loads(written)["parameters"]


def test_the_policy_in_the_documentation_is_one():
    page = (Path(__file__).parents[2] / "docs" / "doors.md").read_text()
    policy = parse_policy(page.partition("# policy.toml\n")[2].partition("\n```")[0])
    assert [rule.role.name for rule in policy.rules] == ["operator", "viewer", "operator"]
