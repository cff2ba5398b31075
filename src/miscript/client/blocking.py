"""The client for programs without an event loop: the same methods, which wait."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, assert_never

from ..errors import ConnectError, MIError
from .address import FifoAddress, HttpAddress, UdpAddress, UnixAddress, parse_url
from .blocking_channels import BlockingChannel, BlockingDatagram, BlockingFifo, BlockingHttp
from .exchange import DEADLINE, FIRST_PAUSE, MAX_ANSWER, RETRIES, Exchange
from .messages import Ids, Params, dumps, message, outcomes, request, result


class BlockingClient:
    """Calls MI commands of one node.

    The arguments are those of `Client`.  Threads may share one: each call has a channel of its own while it lasts,
    and channels are kept for later calls.  The looking up of a host's name is not bounded by the deadline.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline: float = DEADLINE,
        retries: int = RETRIES,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        max_answer: int = MAX_ANSWER,
    ) -> None:
        self.address = parse_url(url)
        self.deadline = deadline
        self._where = str(self.address)
        self._retries = retries
        self._token = token
        self._given_tls = tls
        self._max_answer = max_answer
        self._ids = Ids()
        self._idle: list[BlockingChannel] = []
        self._closed = False

    def call(self, command: str, params: Params = None, *, deadline: float | None = None) -> Any:
        """See `Client.call`."""
        id = self._ids()
        return result(self._ask(Exchange(request(command, params, id)), deadline), id)

    def notify(self, command: str, params: Params = None, *, deadline: float | None = None) -> None:
        """See `Client.notify`."""
        if isinstance(self.address, FifoAddress) and self.address.kamailio:  # it runs nothing without a reply FIFO
            self._caught(command, params, deadline)
            return
        self._ask(Exchange(request(command, params, None), wants_answer=False), deadline)

    def batch(self, calls: Sequence[tuple[str, Params]], *, deadline: float | None = None) -> list[Any]:
        """See `Client.batch`; where the server takes no batches they are calls one after the other."""
        if not calls:
            return []
        if isinstance(self.address, HttpAddress):
            ids = [self._ids() for _ in calls]
            text = dumps([message(command, params, id) for (command, params), id in zip(calls, ids, strict=True)])
            found = outcomes(self._ask(Exchange(text), deadline), ids)
            if found is not None:
                return found
        return [self._caught(command, params, deadline) for command, params in calls]

    def _caught(self, command: str, params: Params, deadline: float | None) -> Any:
        try:
            return self.call(command, params, deadline=deadline)
        except MIError as error:
            return error

    def close(self) -> None:
        """Close all channels."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- one message ------------------------------------------------------------------------------------------

    def _ask(self, exchange: Exchange, deadline: float | None) -> bytes:
        seconds = self.deadline if deadline is None else deadline
        due = time.monotonic() + seconds
        pause = FIRST_PAUSE
        try:
            for _ in range(self._retries):
                try:
                    return self._try(exchange, due)
                except ConnectError:
                    if time.monotonic() + pause >= due:
                        raise TimeoutError from None
                    time.sleep(pause)
                    pause *= 2
            return self._try(exchange, due)
        except TimeoutError:
            raise exchange.late(self._where, seconds) from None

    def _try(self, exchange: Exchange, due: float) -> bytes:
        """Carry an exchange.  Raises `ConnectError` when it was not sent, `ProtocolError`, `TimeoutError`."""
        channel = None
        try:
            channel = self._channel(due)
            answer = channel.ask(exchange, due)
        except BaseException as error:
            if channel is not None:
                channel.close()
            if isinstance(error, OSError) and not _is_deadline(error):
                raise exchange.failure(self._where, error) from None
            raise
        if channel.keep and not self._closed:
            self._idle.append(channel)
        else:
            channel.close()
        return answer

    def _channel(self, due: float) -> BlockingChannel:
        if self._closed:
            raise ConnectError(f"{self._where}: the client is closed")
        while self._idle:
            try:
                channel = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if channel.reusable:
                return channel
            channel.close()
        address = self.address
        match address:
            case HttpAddress():
                return BlockingHttp.open(address, self._token, self._max_answer, lambda: self._tls, due)
            case FifoAddress():
                return BlockingFifo(address, self._max_answer)
            case UdpAddress():
                return BlockingDatagram.open_udp(address)
            case UnixAddress():
                return BlockingDatagram.open_unix(address)
            case _:
                assert_never(address)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or ssl.create_default_context()


def _is_deadline(error: OSError) -> bool:
    """Whether our own deadline passed; the system has an error of that kind with a number, for lost connections."""
    return isinstance(error, TimeoutError) and error.errno is None
