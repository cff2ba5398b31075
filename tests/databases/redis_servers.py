"""Redis for tests: servers alone, and a cluster of three, on free ports of the loopback as an ordinary user."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from servers import Server, free_port

CLUSTER_SECONDS = 30


class RedisServer(Server):
    """One redis-server; `more` are further options of its command line."""

    ready = "Ready to accept connections"
    program = "redis-server"

    def __init__(self, *more: str, password: str = "") -> None:
        self.more = more
        self.password = password
        self.port_of_bus = free_port()
        super().__init__()

    def make(self) -> None:
        """It needs nothing."""

    def command(self) -> Sequence[str]:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]
        options += [str(self.folder), "--unixsocket", f"{self.folder}/redis.sock", "--unixsocketperm", "777"]
        options += ["--requirepass", self.password] if self.password else []
        if "--cluster-enabled" in self.more:
            options += ["--cluster-port", str(self.port_of_bus)]
        return ["/bin/sh", "-c", 'exec redis-server "$@" >&2', "sh", *options, *self.more]

    def url(self, group: str = "", database: int = 0) -> str:
        login = f":{self.password}@" if self.password else ""
        return f"redis:{group}{':' if group else ''}//{login}127.0.0.1:{self.port}/{database}"

    def wait_for_command(self, name: str) -> None:
        """Wait until a client waits for the reply to a command."""
        end = time.monotonic() + 10
        while f"cmd={name}" not in self.ask("CLIENT", "LIST"):
            assert time.monotonic() < end, f"nobody sends '{name}'"
            time.sleep(0.01)  # nothing tells when it comes

    def ask(self, *words: str) -> str:
        """The reply to a command, as Redis writes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            if self.password:
                connection.sendall(_request("AUTH", self.password))
                connection.recv(100)
            connection.sendall(_request(*words))
            return connection.recv(100_000).decode()


def _request(*words: str) -> bytes:
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(w.encode())}\r\n{w}\r\n".encode() for w in words)


class RedisCluster:
    """Three masters that share the slots."""

    def __init__(self) -> None:
        self.nodes = [RedisServer(*_cluster_options()) for _ in range(3)]
        bounds = (0, 5461, 10923, 16384)
        for node, first, behind in zip(self.nodes, bounds, bounds[1:], strict=False):
            assert "OK" in node.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(behind - 1))
        for node in self.nodes[1:]:
            for other in self.nodes[:1]:
                node.ask("CLUSTER", "MEET", "127.0.0.1", str(other.port), str(other.port_of_bus))
        end = time.monotonic() + CLUSTER_SECONDS
        while not all(_is_complete(node) for node in self.nodes):
            assert time.monotonic() < end, "the cluster does not come together"
            time.sleep(0.05)  # nothing tells when it has

    def ids(self) -> list[str]:
        return [node.ask("CLUSTER", "MYID").split("\r\n")[1] for node in self.nodes]

    def move(self, slot: int, source: int, target: int) -> None:
        """Give an empty slot to another node; only the two of them know at once."""
        for node in (self.nodes[target], self.nodes[source]):
            assert "OK" in node.ask("CLUSTER", "SETSLOT", str(slot), "NODE", self.ids()[target])

    def end(self) -> None:
        for node in self.nodes:
            node.end()


def _cluster_options() -> list[str]:
    return ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]


def _is_complete(node: RedisServer) -> bool:
    info = node.ask("CLUSTER", "INFO")
    return "cluster_state:ok" in info and "cluster_known_nodes:3" in info
