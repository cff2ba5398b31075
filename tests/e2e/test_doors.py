"""One suite of requests and answers at every door: JSON-RPC is the same everywhere."""

import asyncio
import json

import pytest

from door_host import (
    DOORS,
    FifoClient,
    HttpClient,
    begun,
    client_of,
    doors,
    error,
    request,
    result,
    udp_client,
    unix_client,
)

pytestmark = pytest.mark.e2e

INVALID = (-32600, "Invalid Request")
SUITE = {
    "a command": (request("echo", "hello"), result("hello")),
    "by its whole name": (request("test:echo", "hello"), result("hello")),
    "by name": (request("echo", id=1, params={"text": "x"}), result("x")),
    "an id that is a text": (request("echo", "x", id="a b"), result("x", "a b")),
    "an id that is null": (request("echo", "x").replace('"id": 1', '"id": null'), result("x", None)),
    "an id beyond 64 bits": (request("echo", "x", id=2**80), result("x", 2**80)),
    "unknown": (request("nosuch"), error(-32601, "Method not found", id=1)),
    "too many": (
        request("echo", "a", "b"),
        error(-32602, "Invalid params", "Too few or too many parameters", id=1),
    ),
    "no JSON": ("nonsense", error(-32700, "Parse error")),
    "cut": ('{"jsonrpc":"2.0"', error(-32700, "Parse error")),
    "a number": ("42", error(*INVALID)),
    "no method": ('{"jsonrpc":"2.0","id":7}', error(*INVALID, id=7)),
    "an id that is none": ('{"jsonrpc":"2.0","method":"echo","id":[1]}', error(*INVALID)),
    "an empty batch": ("[]", error(*INVALID)),
    "a batch": (
        f"[{request('echo', 'a', id=1)}, {request('echo', 'n', id=None)}, 5, {request('nosuch', id='z')}]",
        b"["
        + b",".join(
            [result("a"), error(*INVALID), error(-32601, "Method not found", id="z")],
        )
        + b"]",
    ),
    "200 levels": ("[" * 201 + "]" * 201, error(-32700, "Parse error")),
}


@pytest.mark.parametrize("door", DOORS)
async def test_answers_are_the_same_at_every_door(door, tmp_path):
    async with doors(tmp_path, door) as host:
        peer = await client_of(door, tmp_path, host)
        for why, (sent, wanted) in SUITE.items():
            assert (await peer.ask(sent), why) == (wanted, why)
        peer.close()


@pytest.mark.parametrize("door", DOORS)
async def test_a_notification_is_run_and_not_answered(door, tmp_path):
    async with doors(tmp_path, door) as host:
        peer = await client_of(door, tmp_path, host)
        peer.send(request("echo", "x", id=None))
        if door == "mi_http":
            assert (await peer.response())[::2] == (202, b"")
        assert await peer.ask(request("echo", "after")) == result("after")
        assert host.services.mi.resolve("echo").counters.succeeded == 2
        peer.close()


@pytest.mark.parametrize("door", DOORS)
async def test_a_slow_command_holds_up_no_other_client(door, tmp_path):
    async with doors(tmp_path, door) as host:
        slow = await client_of(door, tmp_path, host)
        slow.send(request("slow", "first"))
        fast = {"mi_fifo": lambda: FifoClient(tmp_path, "fast"), "unix": lambda: unix_client(tmp_path, "fast.sock")}
        other = fast[door]() if door in fast else await client_of(door, tmp_path, host)
        assert await other.ask(request("echo", "meanwhile")) == result("meanwhile")
        host.gate.set()
        assert await slow.answer() == result("first")
        slow.close()
        other.close()


@pytest.mark.parametrize("door", DOORS)
async def test_the_commands_of_a_batch_wait_side_by_side(door, tmp_path):
    async with doors(tmp_path, door) as host:
        peer = await client_of(door, tmp_path, host)
        peer.send(f"[{request('slow', 'a', id=1)},{request('echo', 'b', id=2)},{request('slow', 'c', id=3)}]")
        await begun(host, 2)
        host.gate.set()
        assert [a["result"] for a in json.loads(await peer.answer())] == ["a", "b", "c"]
        peer.close()


@pytest.mark.parametrize("door", DOORS)
async def test_more_waiting_commands_than_allowed_are_refused_with_a_reason(door, tmp_path):
    module = "mi_datagram" if door in ("udp", "unix") else door
    limit = f'modparam("{module}", "max_commands", 2)'
    async with doors(tmp_path, door, parameters=limit) as host:
        peer = await client_of(door, tmp_path, host)
        peer.send(f"[{','.join(request('slow', id=number) for number in range(4))}]")
        await begun(host, 2)
        host.gate.set()
        answers = json.loads(await peer.answer())
        refused = "2 commands wait at this door, more are not taken"
        assert [a.get("result") or a["error"]["data"] for a in answers] == ["done", "done", refused, refused]
        assert await peer.ask(request("slow")) == result("done")
        peer.close()


@pytest.mark.parametrize("door", DOORS)
async def test_a_hundred_waiting_commands_are_answered_without_loss_or_mix_up(door, tmp_path):
    async with doors(tmp_path, door) as host:
        peer = await client_of(door, tmp_path, host)
        for number in range(100):
            peer.send(request("slow", str(number), id=number))
            await asyncio.sleep(0)  # let the host read: a FIFO holds 64 KiB
        host.gate.set()
        answers = [json.loads(await peer.answer()) for _ in range(100)]
        assert {(a["id"], a["result"]) for a in answers} == {(n, str(n)) for n in range(100)}
        peer.close()


@pytest.mark.parametrize("door", DOORS)
async def test_a_host_that_stops_answers_the_commands_that_wait(door, tmp_path):
    async with doors(tmp_path, door) as host:
        peer = await client_of(door, tmp_path, host)
        peer.send(request("slow"))
        await begun(host, 1)
        await host.tasks.stop()
        assert await peer.answer() == error(-32000, "Server error", "the host is stopping", id=1)
        peer.close()


async def test_the_doors_of_one_host_share_its_state(tmp_path):
    async with doors(tmp_path, *DOORS[:2], "mi_http") as host:
        udp, fifo, http = udp_client(host), FifoClient(tmp_path), await HttpClient(host).open()
        await udp.ask(request("xlog_level", 4))
        assert json.loads(await fifo.ask(request("xlog_level")))["result"] == {"xLog Level": 4}
        assert json.loads(await http.ask(request("xlog_level")))["result"] == {"xLog Level": 4}
        for peer in (udp, fifo, http):
            peer.close()
