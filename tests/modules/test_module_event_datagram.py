"""The module event_datagram: what is sent, and to whom."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import cast

import pytest

from miscript.errors import MIError
from miscript.modules.event_datagram import MAX_DATAGRAM, EventDatagram, notification
from miscript.testing import RunningScript
from module_services import Spawned, module_services


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ([], '{"jsonrpc":"2.0","method":"E_X"}'),
        (
            [("a", 'el"ev\\en/é\n'), ("b", 22)],
            '{"jsonrpc":"2.0","method":"E_X","params":{"a":"el\\"ev\\\\en/é\\n","b":22}}',
        ),
        ([("", "x"), ("", 5)], '{"jsonrpc":"2.0","method":"E_X","params":["x",5]}'),
    ],
)
def test_an_event_is_a_json_rpc_notification(attributes: list[tuple[str, int | str]], expected: str) -> None:
    assert notification("E_X", attributes) == expected.encode()


@pytest.fixture
def udp() -> socket.socket:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(5)
    return receiver


def test_subscribers_at_udp_and_unix_sockets_get_datagrams(udp: socket.socket, tmp_path: Path) -> None:
    module = EventDatagram(module_services())
    path = tmp_path / "events"
    with udp, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
        unix.bind(str(path))
        unix.settimeout(5)
        for destination in (
            module.udp.subscriber(f"127.0.0.1:{udp.getsockname()[1]}"),
            module.unix.subscriber(str(path)),
        ):
            destination.deliver("E_X", [("n", 1)])
        received = [receiver.recv(65535) for receiver in (udp, unix)]
    asyncio.run(module.stop())
    assert received == [b'{"jsonrpc":"2.0","method":"E_X","params":{"n":1}}'] * 2


def test_a_host_name_is_looked_up_beside_the_routes(udp: socket.socket) -> None:
    services = module_services()
    module = EventDatagram(services)

    async def scenario() -> None:
        destination = module.udp.subscriber(f"localhost:{udp.getsockname()[1]}")
        destination.deliver("E_ONE", [])
        destination.deliver("E_TWO", [])
        await asyncio.gather(*cast(Spawned, services.tasks).tasks)
        destination.deliver("E_THREE", [])

    async def resolve(*arguments: object, **more: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", udp.getsockname())]

    async def with_known_names() -> None:
        asyncio.get_running_loop().getaddrinfo = resolve  # type: ignore[method-assign,assignment]  # no resolver in tests
        await scenario()
        await module.stop()

    with udp:
        asyncio.run(with_known_names())
        received = [udp.recv(65535) for _ in range(3)]
    assert [name in data for name, data in zip((b"E_ONE", b"E_TWO", b"E_THREE"), received, strict=True)] == [True] * 3


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:0", "127.0.0.1:99999", "::1:5", "a b:5"]
)
def test_what_is_no_udp_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is not 'address:port'"):
        EventDatagram(module_services()).udp.subscriber(address)


@pytest.mark.parametrize("path", ["", "/" + "x" * 200, "/a\x00b"])
def test_what_is_no_path_of_a_socket_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is no path"):
        EventDatagram(module_services()).unix.subscriber(path)


def test_an_address_has_one_socket_for_all_its_events() -> None:
    module = EventDatagram(module_services())
    assert module.udp.subscriber("[::1]:5555") is module.udp.subscriber("[::1]:5555")


def test_what_cannot_be_sent_is_logged_and_forgotten(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    module = EventDatagram(module_services())
    destination = module.unix.subscriber(str(tmp_path / "nobody"))
    destination.deliver("E_LOST", [])
    destination.deliver("E_LARGE", [("a", "x" * MAX_DATAGRAM)])
    assert "E_LOST was not sent" in caplog.text
    assert "event E_LARGE has" in caplog.text
    asyncio.run(module.stop())


def test_subscribers_are_so_many_and_no_more_until_some_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may call MI cannot make the host hold sockets without end."""
    monkeypatch.setattr("miscript.modules.event_datagram.MAX_DESTINATIONS", 3)
    with RunningScript('loadmodule "event_datagram.so"\nroute { exit; }') as script:
        event = "E_CORE_THRESHOLD"
        for port in (5001, 5002, 5003, 5001):
            assert script.mi("event_subscribe", event, f"udp:127.0.0.1:{port}", 10) == "OK"
        with pytest.raises(MIError, match="400"):
            script.mi("event_subscribe", event, "udp:127.0.0.1:5004", 10)
        assert script.mi("event_subscribe", "E_CORE_LOG", "udp:127.0.0.1:5003", 10) == "OK"
        script.advance(11)
        assert script.mi("event_subscribe", event, "udp:127.0.0.1:5004", 10) == "OK"


def test_the_socket_of_a_subscriber_goes_with_its_last_subscription(udp: socket.socket) -> None:
    address = f"udp:127.0.0.1:{udp.getsockname()[1]}"
    with RunningScript('loadmodule "event_datagram.so"\nroute { exit; }') as script:
        before = len(os.listdir("/proc/self/fd"))
        for event in ("E_CORE_THRESHOLD", "E_CORE_LOG"):
            script.mi("event_subscribe", event, address, 10)
            script.raise_event(event, {"a": 1})
            assert event.encode() in udp.recv(1000)
        assert len(os.listdir("/proc/self/fd")) == before + 1
        script.advance(11)
        script.mi("subscribers_list")
        assert len(os.listdir("/proc/self/fd")) == before
