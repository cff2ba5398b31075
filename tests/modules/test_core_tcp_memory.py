"""The groups tcp and mem."""

from __future__ import annotations

import logging

import pytest

from core_parts import PID, CoreHost


@pytest.fixture
def host():
    return CoreHost()


class Connections:
    def __init__(self):
        self.open = {("192.0.2.1", 5060), ("2001:db8::1", 5060)}

    def listed(self, protocol):
        return [{"Remote": f"{host}:{port}", "Type": protocol or "tcp"} for host, port in sorted(self.open)]

    def close(self, host, port):
        if (host, port) not in self.open:
            return False
        self.open.remove((host, port))
        return True


def test_everything_is_null_while_tcp_is_off(host):
    assert host.mi("list_tcp_conns") is None
    assert host.mi("tcp:list", ["xyz"]) is None
    assert host.mi("tcp:close", ["nonsense"]) is None


def test_a_socket_for_tcp_switches_it_on(host):
    host.services.sockets.append("tcp:127.0.0.1:5060")
    assert host.mi("tcp:list") == {"Connections": []}
    assert host.mi("tcp:list", ["udp"]) == {"Connections": []}
    assert host.mi("tcp:list", ["xyz"]) == (400, "Bad protocol")
    assert host.mi("tcp:close", ["127.0.0.1:9"]) is None


@pytest.mark.parametrize("peer", ["", "nonsense", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", "host:5060", ":5060"])
def test_closing_needs_an_address_and_a_port(host, peer):
    host.services.sockets.append("tcp:127.0.0.1:5060")
    assert host.mi("tcp:close", [peer]) == (400, "Bad tcp connection")


def test_connections_are_listed_and_closed(host):
    host.services.provide("tcp connections", Connections())
    assert len(host.mi("tcp:list")["Connections"]) == 2
    assert host.mi("tcp:list", ["TLS"])["Connections"][0]["Type"] == "tls"
    assert host.mi("tcp:close", ["[2001:db8::1]:5060"]) == "OK"
    assert host.mi("tcp:close", ["[2001:db8::1]:5060"]) is None


def test_memory_is_written_to_the_log(host, caplog):
    caplog.set_level(logging.DEBUG, "miscript.memory")
    assert host.mi("mem_pkg_dump", [PID]) == "OK"
    assert host.mi("mem:shm_dump", {"log_level": 1}) == "OK"
    assert [record.levelname for record in caplog.records] == ["DEBUG", "WARNING"]
    assert "bytes held" in caplog.text
    assert host.mi("mem_rpm_dump") == "OK"
    assert host.mi("mem_pkg_dump", [1]) == (404, "Process not found")
    assert host.mi("mem:pkg_dump", ["x"]) == (-32602, "Invalid params", "Bad type for parameter 'pid'")


def test_shm_check_is_ours_and_finds_nothing(host):
    assert host.mi("shm_check") == host.mi("mem_shm_check") == {"total_fragments": 0}
    assert host.mi("which", ["shm_check"]) == [[]]
    assert host.mi("shm_check", ["now"])[0] == -32602
