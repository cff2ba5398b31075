"""Commands of live nodes for `mi()`: what stands behind `ds_list@edge1`.

The node is a name in the file of nodes or a URL (`miscript.client.nodes`).  The node itself decides which commands it
has and which parameters they take, so a call is sent as it is; what went wrong on the way has codes of its own:

- -1: no such node or command, or the node cannot be reached: nothing was run;
- -4: no answer in time: the command may have been run;
- -32000: an answer that is none.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

from .client.exchange import DEADLINE
from .client.nodes import Node, NodeError, find_node
from .errors import AnswerTimeout, ConnectError, MIError, ProtocolError
from .mi.command import Arguments, Command, Raw
from .mi.jsonrpc import METHOD_AMBIGUOUS, METHOD_NOT_FOUND, SERVER_ERROR, Params

if TYPE_CHECKING:
    from .client.client import Client

NOT_RUN: Final = -1
NO_ANSWER: Final = -4
HERE: Final = "here"
"""The node that is this host."""
CLIENTS: Final = 256
"""Nodes that stay connected; the one that was asked longest ago gives way."""
COMMANDS: Final = 1024


@dataclass(frozen=True, slots=True, eq=False)
class RemoteCommand(Command):
    """A command whose parameters somebody else checks."""

    def arguments(self, params: Params) -> Arguments:
        """The parameters as they are."""
        return (params,)

    def _check_names(self) -> None:
        """Any name may be asked for."""


class RemoteCommands:
    """The commands of all nodes.  `environment` tells where the file of nodes is; `default` is the node of names
    without `@`, empty for this host."""

    def __init__(self, environment: dict[str, str], default: str = "") -> None:
        self._environment = environment
        self._default = "" if default == HERE else default
        self._clients: OrderedDict[str, Client] = OrderedDict()
        self.command = lru_cache(COMMANDS)(self._make_command)

    def split(self, name: str) -> tuple[str, str]:
        """The command's own name and its node; the node is empty for this host."""
        command, at, node = name.partition("@")
        if not at:
            return command, self._default
        return command, "" if node == HERE else node

    def name_of(self, name: str) -> str:
        """What `command` calls a command of another node, empty for one of this host.  Raises ValueError when there is
        no such node; whether the node has the command is its own matter."""
        command, node = self.split(name)
        if not node:
            return ""
        if not command:
            raise ValueError("there is no command in front of the node")
        try:
            find_node(node, self._environment)
        except NodeError as error:
            raise ValueError(str(error)) from error
        return f"@{node}:{command}"

    async def client(self, node: str) -> Client:
        """The client of `node`, kept for the next call.  Raises NodeError and ValueError when there is no such node."""
        client = self._clients.get(node)
        if client is None:
            client = self._clients[node] = _connected(find_node(node, self._environment))
        self._clients.move_to_end(node)
        if len(self._clients) > CLIENTS:
            await self._clients.popitem(last=False)[1].close()
        return client

    async def close(self) -> None:
        """Let go of all nodes."""
        while self._clients:
            await self._clients.popitem()[1].close()

    def _make_command(self, name: str, node: str) -> Command:
        async def call(params: Raw = None) -> object:
            return await self._call(node, name, cast(Params, params))

        return RemoteCommand(f"@{node}", name, (), ((),), call, waits=True)

    async def _call(self, node: str, name: str, params: Params) -> object:
        try:
            return await (await self.client(node)).call(name, params)
        except MIError as error:
            if error.code in (METHOD_NOT_FOUND, METHOD_AMBIGUOUS):  # mi() has -1 for them
                raise MIError(NOT_RUN, error.message, error.data) from None
            raise
        except (NodeError, ValueError, ConnectError) as error:
            raise MIError(NOT_RUN, str(error)) from None
        except AnswerTimeout:
            raise MIError(NO_ANSWER, "timeout") from None
        except ProtocolError as error:
            raise MIError(SERVER_ERROR, str(error)) from None


def _connected(node: Node) -> Client:
    from .client.client import Client

    return Client(node.url, deadline=node.timeout or DEADLINE, token=node.token, tls=node.tls(insecure=False))
