"""Which node `miscript mi` talks to."""

import pytest

from miscript.client import nodes as mi_nodes
from miscript.client.nodes import Node, NodeError, find_node, node_names

FILE = """
default = "edge1"
[nodes.edge1]
url = "https://edge1:8888/mi"
token_file = "TOKEN"
timeout = 5
[nodes.lab]
url = "fifo:/tmp/lab"
"""


@pytest.fixture
def environment(tmp_path):
    (tmp_path / "miscript").mkdir()
    (tmp_path / "token").write_text("s3cret\n")
    text = FILE.replace("TOKEN", str(tmp_path / "token"))
    (tmp_path / "miscript" / "nodes.toml").write_text(text)
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def write(environment, text):
    mi_nodes.nodes_file(environment).write_text(text)


def test_an_url_is_taken_as_it_is(environment):
    assert find_node("udp:127.0.0.1:8080", environment) == Node("udp:127.0.0.1:8080")


def test_a_name_is_looked_up_in_the_file_and_the_default_has_no_name(environment):
    edge1 = Node("https://edge1:8888/mi", "s3cret", timeout=5)
    assert find_node("edge1", environment) == find_node(None, environment) == edge1
    assert find_node("lab", environment) == Node("fifo:/tmp/lab")
    assert node_names(environment) == ["edge1", "lab"]


def test_a_token_of_the_environment_comes_before_that_of_the_file(environment):
    assert find_node("edge1", environment | {"MISCRIPT_TOKEN": "x"}).token == "x"


def test_without_a_file_it_is_the_fifo_of_opensips_or_http(tmp_path, monkeypatch):
    environment = {"HOME": str(tmp_path)}
    monkeypatch.setattr(mi_nodes, "DEFAULT_FIFOS", (str(tmp_path / "none"), str(tmp_path)))
    assert find_node(None, environment) == Node(f"fifo:{tmp_path}")
    monkeypatch.setattr(mi_nodes, "DEFAULT_FIFOS", ())
    assert find_node(None, environment) == Node("http://127.0.0.1:8888/mi")
    assert node_names(environment) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"no node 'edge1' .* \(there: none\)"),
        ("[nodes.lab]\nurl = 'unix:/x'", "there: lab"),
        ("[nodes.edge1]\nurl = 5", "url of node 'edge1' is 5, expected a text"),
        ("[nodes.edge1]\nurl = 'unix:/x'\nurk = 1", "has 'urk', expected ca, timeout"),
        ("[nodes.edge1]\nurl = 'unix:/x'\ntimeout = 'x'", "expected seconds"),
        ("[nodes.edge1]\nurl = 'unix:/x'\ntoken = 5", "expected a text"),
        ("[nodes.edge1]\nurl = 'unix:/x'\ntoken_file = '/none'", "cannot be read"),
        ("nodes = [", "nodes.toml"),
        ("nodes = 5", "has 'nodes', expected 'default' and tables"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(environment, text, words):
    write(environment, text)
    with pytest.raises(NodeError, match=words):
        find_node("edge1", environment)


def test_certificates_that_cannot_be_read_are_said():
    with pytest.raises(NodeError, match="cannot be read"):
        Node("https://x", ca="/none").tls(False)
    assert Node("https://x").tls(False) is None
    assert not Node("https://x").tls(True).check_hostname
