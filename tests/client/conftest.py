"""`connect`: both clients, so that each test is one of both; the one that waits does so in threads."""

import asyncio

import pytest

from miscript.client import BlockingClient, Client


class InThreads:
    """`BlockingClient` with the methods of `Client`."""

    def __init__(self, url, *, connections=8, **options):
        self._client = BlockingClient(url, **options)
        self._room = asyncio.Semaphore(connections)
        self.address = self._client.address

    async def _run(self, method, *arguments, **options):
        async with self._room:
            return await asyncio.to_thread(method, *arguments, **options)

    async def call(self, *arguments, **options):
        return await self._run(self._client.call, *arguments, **options)

    async def notify(self, *arguments, **options):
        return await self._run(self._client.notify, *arguments, **options)

    async def batch(self, *arguments, **options):
        return await self._run(self._client.batch, *arguments, **options)

    async def close(self):
        self._client.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        self._client.close()


@pytest.fixture(params=[Client, InThreads], ids=["async", "blocking"])
def connect(request):
    """What makes a client."""
    return request.param
