"""The client of a node: calls, notifications and batches, with deadlines and typed errors.

```python
async with connect("http://127.0.0.1:8888/mi") as node:
    print(await node.call("ds_list", {"partition": "default"}))
```
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, Final, assert_never

from ..errors import ConnectError, MIError
from .address import FifoAddress, HttpAddress, NodeAddress, UdpAddress, UnixAddress, parse_url
from .exchange import DEADLINE, FIRST_PAUSE, MAX_ANSWER, RETRIES, Exchange
from .messages import Ids, Params, dumps, message, outcomes, request, result
from .pool import Channel, Pool

CONNECTIONS: Final = 8


class Client:
    """Calls MI commands of one node; any number of calls may wait at a time.

    `url`: see `miscript.client.address`; a wrong one raises `ValueError`.  `deadline` is how long a call may take, in
    seconds.  At most `connections` channels are open, further calls wait for one.  A node that cannot be reached is
    tried `retries` more times within the deadline; once a request was sent it is never repeated.  `token` is a
    bearer token (HTTP).  `tls` replaces the default context, which verifies certificates.  An answer of more than
    `max_answer` bytes is a `ProtocolError`.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline: float = DEADLINE,
        connections: int = CONNECTIONS,
        retries: int = RETRIES,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        max_answer: int = MAX_ANSWER,
    ) -> None:
        self.address = parse_url(url)
        self.deadline = deadline
        self._retries = retries
        self._token = token
        self._given_tls = tls
        self._max_answer = max_answer
        self._ids = Ids()
        self._pool = Pool(self._opening(self.address), str(self.address), connections)

    async def call(self, command: str, params: Params = None, *, deadline: float | None = None) -> Any:
        """The result of `command`, as Python has it from JSON; `params` by name (dict) or by position (list).

        Raises `MIError` when the node answers with an error, `ConnectError` when the command was not sent,
        `AnswerTimeout` and `ProtocolError` when it may have been run; `TypeError` for parameters that are no JSON.
        """
        id = self._ids()
        answer = await self._ask(request(command, params, id), deadline)
        return result(answer, id)

    async def notify(self, command: str, params: Params = None, *, deadline: float | None = None) -> None:
        """Have `command` run without an answer, so that nobody learns of its failure."""
        if isinstance(self.address, FifoAddress) and self.address.kamailio:  # it runs nothing without a reply FIFO
            await self._caught(command, params, deadline)
            return
        await self._ask(request(command, params, None), deadline, wants_answer=False)

    async def batch(self, calls: Sequence[tuple[str, Params]], *, deadline: float | None = None) -> list[Any]:
        """The outcomes of several calls in their order: results, and `MIError` objects for those that failed.

        Over HTTP they go in one message where the server takes that (OpenSIPS refuses it); else they are calls side
        by side.  On the other doors a batch would kill OpenSIPS, so none is ever sent there.
        """
        if not calls:
            return []
        if isinstance(self.address, HttpAddress):
            ids = [self._ids() for _ in calls]
            text = dumps([message(command, params, id) for (command, params), id in zip(calls, ids, strict=True)])
            found = outcomes(await self._ask(text, deadline), ids)
            if found is not None:
                return found
        return await asyncio.gather(*(self._caught(command, params, deadline) for command, params in calls))

    async def _caught(self, command: str, params: Params, deadline: float | None) -> Any:
        try:
            return await self.call(command, params, deadline=deadline)
        except MIError as error:
            return error

    async def close(self) -> None:
        """Close all channels."""
        self._pool.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- one message ------------------------------------------------------------------------------------------

    async def _ask(self, text: bytes, deadline: float | None, *, wants_answer: bool = True) -> bytes:
        seconds = self.deadline if deadline is None else deadline
        exchange = Exchange(text, wants_answer)
        try:
            async with asyncio.timeout(seconds):
                return await self._try(exchange)
        except TimeoutError:
            raise exchange.late(str(self.address), seconds) from None

    async def _try(self, exchange: Exchange) -> bytes:
        """Ask, and ask again while nothing was sent."""
        pause = FIRST_PAUSE
        for _ in range(self._retries):
            try:
                return await self._pool.ask(exchange)
            except ConnectError:
                await asyncio.sleep(pause)
                pause *= 2
        return await self._pool.ask(exchange)

    def _opening(self, address: NodeAddress) -> Callable[[], Awaitable[Channel]]:
        match address:
            case HttpAddress():
                from .http import HttpChannel

                return lambda: HttpChannel.open(address, self._token, self._max_answer, lambda: self._tls)
            case FifoAddress():
                from .fifo import FifoChannel

                return lambda: FifoChannel.open(address, self._max_answer)
            case UdpAddress():
                from .datagram import DatagramChannel

                return lambda: DatagramChannel.open_udp(address)
            case UnixAddress():
                from .datagram import DatagramChannel

                return lambda: DatagramChannel.open_unix(address)
            case _:
                assert_never(address)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or ssl.create_default_context()
