"""Where a node's Management Interface is: one URL per node.

| URL | door |
| --- | --- |
| `http://host:8888/mi`, `https://…` | mi_http; `http://user:password@host…` for basic authentication |
| `fifo:/run/opensips/fifo` | mi_fifo; `?reply_dir=/run/opensips/replies/` when the server's is not `/tmp/` |
| `udp:host:port` | mi_datagram |
| `unix:/path` | mi_datagram on a UNIX socket |

Kamailio's jsonrpcs speaks the same over HTTP (`http://host:5060/RPC`); its FIFO wants the name of the reply in
another place: `fifo:/run/kamailio/kamailio_rpc.fifo?server=kamailio`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

DEFAULT_REPLY_DIR: Final = "/tmp/"
SERVERS: Final = ("opensips", "kamailio")


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """An HTTP door; `authorization` is the value of that header, from the URL's user and password."""

    host: str
    port: int
    path: str
    tls: bool
    authorization: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class FifoAddress:
    """A FIFO door; `reply_dir` is what the server puts before the name of a reply FIFO, as it is."""

    path: str
    reply_dir: str = DEFAULT_REPLY_DIR
    kamailio: bool = False

    def __str__(self) -> str:
        return f"fifo:{self.path}"


@dataclass(frozen=True, slots=True)
class UdpAddress:
    """A datagram door."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"udp:{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A datagram door on a UNIX socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


NodeAddress: TypeAlias = HttpAddress | FifoAddress | UdpAddress | UnixAddress


def parse_url(url: str) -> NodeAddress:
    """The address in `url`.  Raises `ValueError`, saying what is wrong with it."""
    scheme = url.partition(":")[0].lower()
    match scheme:
        case "http" | "https":
            return _http(url)
        case "fifo":
            return _fifo(url)
        case "udp":
            return _udp(url)
        case "unix":
            return UnixAddress(_path(url, url.partition(":")[2]))
    raise ValueError(f"'{url}' is no address of a node: write http://…, https://…, fifo:/…, udp:host:port or unix:/…")


def _http(url: str) -> HttpAddress:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"the port in '{url}' is no number from 0 to 65535") from None
    if not parts.hostname or any(ord(c) <= 0x20 for c in url):
        raise ValueError(f"'{url}' names no host")
    tls = parts.scheme.lower() == "https"
    path = (parts.path or "/mi") + (f"?{parts.query}" if parts.query else "")
    authorization = None
    if parts.username is not None:
        authorization = basic(unquote(parts.username), unquote(parts.password or ""))
    return HttpAddress(parts.hostname, (443 if tls else 80) if port is None else port, path, tls, authorization)


def basic(user: str, password: str) -> str:
    """The value of `Authorization` for basic authentication (RFC 7617)."""
    from base64 import b64encode

    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


def _fifo(url: str) -> FifoAddress:
    path, _, query = url.partition(":")[2].partition("?")
    options = dict(parse_qsl(query))
    unknown = sorted(set(options) - {"reply_dir", "server"})
    if unknown:
        raise ValueError(f"'{url}': '{unknown[0]}' is not known, only 'reply_dir' and 'server'")
    server = options.get("server", "opensips")
    if server not in SERVERS:
        raise ValueError(f"'{url}': the server is '{server}', expected 'opensips' or 'kamailio'")
    return FifoAddress(_path(url, path), options.get("reply_dir", DEFAULT_REPLY_DIR), server == "kamailio")


def _udp(url: str) -> UdpAddress:
    host, _, port = url.partition(":")[2].removeprefix("//").rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= 0xFFFF):
        raise ValueError(f"'{url}' is not udp:host:port")
    return UdpAddress(host.strip("[]"), int(port))


def _path(url: str, path: str) -> str:
    path = "/" + path.lstrip("/") if path.startswith("//") else path
    if not path or "\0" in path:
        raise ValueError(f"'{url}' names no path")
    return path
