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
from pathlib import Path
from typing import Final

from ..late_pattern import late_pattern
from ..quick_dataclasses import dataclass

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
        except (OSError, ssl.SSLError) as error:
            raise NodeError(f"the certificates in '{self.ca}' cannot be read: {error}") from None
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
    nodes = config.get("nodes")
    if not isinstance(nodes, dict) or name not in nodes:
        known = ", ".join(sorted(nodes)) if isinstance(nodes, dict) and nodes else "none"
        raise NodeError(f"no node '{name}' in {file} (there: {known}), and it is no URL")
    return _node(str(name), nodes[name], file, token)


def node_names(environment: dict[str, str]) -> list[str]:
    """All names in the file of nodes."""
    try:
        nodes = _read(nodes_file(environment)).get("nodes")
    except NodeError:
        return []
    return sorted(nodes) if isinstance(nodes, dict) else []


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


def _node(name: str, table: object, file: Path, token: str | None) -> Node:
    if not isinstance(table, dict) or not isinstance(table.get("url"), str):
        raise NodeError(f"{file}: node '{name}' has no url")
    unknown = sorted(set(table) - KEYS)
    if unknown:
        raise NodeError(f"{file}: node '{name}' has '{unknown[0]}', expected {', '.join(sorted(KEYS))}")
    timeout = table.get("timeout")
    if timeout is not None and (not isinstance(timeout, int | float) or timeout <= 0):
        raise NodeError(f"{file}: the timeout of node '{name}' is {timeout!r}, expected seconds")
    ca = _text(table, "ca", name, file)
    return Node(
        table["url"],
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
    except (OSError, UnicodeDecodeError) as error:
        raise NodeError(f"the token of node '{name}' cannot be read: {error}") from None


def _usual_url() -> str:
    found = next((path for path in DEFAULT_FIFOS if os.path.exists(path)), None)
    return DEFAULT_URL if found is None else f"fifo:{found}"
