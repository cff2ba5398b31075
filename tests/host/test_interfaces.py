"""`socket=udp:INTERFACE`: a socket for each address of a network interface."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from miscript.errors import ConfigurationError
from miscript.host.host import Host
from miscript.host.interfaces import interface_addresses
from miscript.host.loading import Source
from miscript.host.sip_network import SystemNetwork
from miscript.sip.sockets import ListeningSocket, parse_socket

IPV6_ADDRESSES = Path("/proc/net/if_inet6")
HAS_IPV6 = IPV6_ADDRESSES.exists() and "lo" in IPV6_ADDRESSES.read_text().split()


async def opened(line: str) -> Sequence[ListeningSocket]:
    return await SystemNetwork().addressed(parse_socket(line))


def test_the_loopback_interface_has_its_addresses():
    assert interface_addresses("lo") == ["127.0.0.1", *["::1"] * HAS_IPV6]


@pytest.mark.parametrize("name", ["", "l", "lo0", "lo ", "localhost", "nosuchinterface", "é", "../lo"])
def test_what_is_no_interface_has_none(name: str):
    assert interface_addresses(name) == []


@pytest.mark.parametrize("name", [name for _, name in socket.if_nameindex()])
def test_addresses_are_of_the_family_that_they_look_like_and_none_is_of_the_link_alone(name: str):
    for address in interface_addresses(name):
        socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        assert not address.startswith("fe80")


async def test_a_socket_line_with_an_interface_stands_for_a_socket_at_each_address():
    sockets = await opened("udp:lo:5099")
    assert [str(one) for one in sockets] == ["udp:127.0.0.1:5099", *["udp:[::1]:5099"] * HAS_IPV6]


async def test_a_host_name_stands_for_its_first_address_alone():
    assert [one.address for one in await opened("tcp:localhost:5099")] in (["127.0.0.1"], ["::1"])


async def test_a_name_that_is_neither_is_told():
    with pytest.raises(
        ConfigurationError, match=r"'no\.such\.invalid' is no network interface with an address, and no"
    ):
        await opened("udp:no.such.invalid:5099")


async def test_a_host_listens_at_each_address_of_an_interface():
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host = Host(Source("test.cfg", f"socket=udp:lo:{port}\nroute {{ exit; }}\n"), lambda text: None)
    host.load()
    try:
        await host.start()
        assert [one.address for one in host.sip.sockets] == ["127.0.0.1", *["::1"] * HAS_IPV6]
        for family, address in ((socket.AF_INET, "127.0.0.1"), *[(socket.AF_INET6, "::1")] * HAS_IPV6):
            with socket.socket(family, socket.SOCK_DGRAM) as second, pytest.raises(OSError, match="in use"):
                second.bind((address, port))
    finally:
        await host.stop()
