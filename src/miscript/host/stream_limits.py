"""What connections of SIP may cost, and what the system does for those that are silent.

Source: OpenSIPS manual, "Core Parameters" (`tcp_connect_timeout`, `tcp_keepalive`, …).
"""

from __future__ import annotations

import socket as system_sockets
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..tcp_behaviour import TcpBehaviour


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Whether the system probes silent connections, and its numbers where they are not the system's own."""

    wanted: bool = True
    count: int | None = None
    idle: int | None = None
    interval: int | None = None

    def ask(self, sock: system_sockets.socket) -> None:
        """Tell the system."""
        if not self.wanted:
            return
        sock.setsockopt(system_sockets.SOL_SOCKET, system_sockets.SO_KEEPALIVE, 1)
        numbers = {"TCP_KEEPCNT": self.count, "TCP_KEEPIDLE": self.idle, "TCP_KEEPINTVL": self.interval}
        for name, value in numbers.items():
            option = getattr(system_sockets, name, None)
            if value is not None and option is not None:
                sock.setsockopt(system_sockets.IPPROTO_TCP, option, value)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Connections at a time, and seconds: for connecting, without any message, for one message that has begun."""

    connections: int = 2048
    connect: float = 5.0
    idle: float = 120.0
    message: float = 4.0
    keepalive: Keepalive = field(default_factory=Keepalive)
    tcp: TcpBehaviour = field(default_factory=TcpBehaviour)


def stream_limits(parameters: Mapping[str, int | str], tcp: TcpBehaviour | None) -> StreamLimits:
    """The limits that the parameters of a script say, `tcp_…`, and the usual ones where they say none."""

    def number(name: str) -> int | None:
        value = parameters.get(f"tcp_{name}")
        return value if isinstance(value, int) else None

    def given(name: str, usual: float) -> float:
        value = number(name)
        return usual if value is None else value

    numbers = {name: found for name in ("count", "idle", "interval") if (found := number(f"keep{name}") or 0) > 0}
    connect = number("connect_timeout")
    return StreamLimits(
        connections=int(given("max_connections", 2048)),
        connect=5.0 if connect is None else connect / 1000,
        idle=given("connection_lifetime", 120),
        message=given("max_msg_time", 4),
        keepalive=Keepalive(number("keepalive") != 0 or bool(numbers), **numbers),
        tcp=tcp or TcpBehaviour(),
    )
