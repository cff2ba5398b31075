"""Which node `miscript mi` and `mi()` talk to: a URL, or a name in the file of nodes.

```toml
# ~/.config/miscript/nodes.toml
default = "edge1"

[nodes.edge1]
url = "https://edge1.example.com:8888/mi"
token_file = "~/.config/miscript/edge1.token"
ca = "/etc/ssl/voip-ca.pem"
timeout = 5
```
"""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import reason
from ..late_pattern import late_pattern

DEFAULT_FIFOS: Final = ("/run/opensips/opensips_fifo", "/var/run/opensips/opensips_fifo", "/tmp/opensips_fifo")
DEFAULT_URL: Final = "http://127.0.0.1:8888/mi"
KEYS: Final = frozenset({"url", "token", "token_file", "ca", "timeout"})

_URL = late_pattern(r"[a-z]+:", re.IGNORECASE)


class NodeError(ValueError):
    """The node that was asked for cannot be made out."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its URL, its bearer token, the file of certificates that vouch for it, and seconds to wait."""

    url: str
    token: str | None = None
    ca: str | None = None
    timeout: float | None = None

    def tls(self, insecure: bool) -> ssl.SSLContext | None:
        """The TLS context, None for the usual one.  Raises `NodeError`."""
        if not insecure and self.ca is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except ssl.SSLError:
            raise NodeError(f"there is no certificate in PEM form in '{self.ca}'") from None
        except OSError as error:
            raise NodeError(f"the certificates in '{self.ca}' cannot be read: {reason(error)}") from None
        if insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def find_node(at: str | None, environment: dict[str, str]) -> Node:
    """The node `at` (a URL or a name); without it the usual one.  Raises `NodeError`."""
    token = environment.get("MISCRIPT_TOKEN")
    if at is not None and _URL.match(at):
        return Node(at, token)
    file = nodes_file(environment)
    config = _read(file)
    name = at if at is not None else config.get("default")
    if name is None:
        return Node(_usual_url(), token)
    nodes = _nodes(config, file)
    if name not in nodes:
        raise NodeError(f"no node '{name}' in {file} ({_what_is_there(nodes, file)}), and it is no URL{_as_url(name)}")
    return _node(str(name), nodes[name], file, token)


def node_names(environment: dict[str, str]) -> list[str]:
    """All names in the file of nodes."""
    file = nodes_file(environment)
    try:
        return sorted(_nodes(_read(file), file))
    except NodeError:
        return []


def nodes_file(environment: dict[str, str]) -> Path:
    """Where the file of nodes is."""
    folder = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", "~"), ".config")
    return Path(folder).expanduser() / "miscript" / "nodes.toml"


def _read(file: Path) -> dict[str, object]:
    try:
        data = file.read_bytes()
    except OSError:
        return {}
    import tomllib

    try:
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NodeError(f"{file}: {error}") from None


def _nodes(config: dict[str, object], file: Path) -> dict[str, object]:
    unknown = sorted(set(config) - {"default", "nodes"})
    nodes = config.get("nodes", {})
    if unknown or not isinstance(nodes, dict):
        raise NodeError(
            f"{file} has '{unknown[0] if unknown else 'nodes'}', expected 'default' and tables [nodes.NAME]"
        )
    return nodes


def _what_is_there(nodes: dict[str, object], file: Path) -> str:
    if nodes:
        return f"there: {', '.join(sorted(nodes))}"
    return "there: none" if file.exists() else "there is no such file"


def _as_url(name: object) -> str:
    """What may have been meant by `name`: host:port, or a path."""
    if not isinstance(name, str):
        return ""
    if name.startswith("/"):
        return f": write  fifo:{name}  or  unix:{name}"
    host, _, port = name.rpartition(":")
    return f": write  http://{name}/mi  or  udp:{name}" if host and port.isdecimal() else ""


def _node(name: str, table: object, file: Path, token: str | None) -> Node:
    if not isinstance(table, dict):
        raise NodeError(f"{file}: node '{name}' is {table!r}, expected a table [nodes.{name}]")
    unknown = sorted(set(table) - KEYS)
    if unknown:
        raise NodeError(f"{file}: node '{name}' has '{unknown[0]}', expected {', '.join(sorted(KEYS))}")
    url = _text(table, "url", name, file)
    if url is None:
        raise NodeError(f"{file}: node '{name}' has no url")
    timeout = table.get("timeout")
    if timeout is not None and (not isinstance(timeout, int | float) or timeout <= 0):
        raise NodeError(f"{file}: the timeout of node '{name}' is {timeout!r}, expected seconds")
    ca = _text(table, "ca", name, file)
    return Node(
        url,
        token or _text(table, "token", name, file) or _token_file(table, name, file),
        None if ca is None else os.path.expanduser(ca),
        timeout,
    )


def _text(table: dict[str, object], key: str, name: str, file: Path) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise NodeError(f"{file}: {key} of node '{name}' is {value!r}, expected a text")
    return value


def _token_file(table: dict[str, object], name: str, file: Path) -> str | None:
    path = _text(table, "token_file", name, file)
    if path is None:
        return None
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip()
    except OSError as error:
        raise NodeError(f"the token of node '{name}', '{path}', cannot be read: {reason(error)}") from None
    except UnicodeDecodeError:
        raise NodeError(f"the token of node '{name}', '{path}', is no text in UTF-8") from None


def _usual_url() -> str:
    found = next((path for path in DEFAULT_FIFOS if os.path.exists(path)), None)
    return DEFAULT_URL if found is None else f"fifo:{found}"
