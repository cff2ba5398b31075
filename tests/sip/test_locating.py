"""Where a request for a URI goes, by RFC 3263 and RFC 2782; names are answered by a table."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import SipUri
from miscript.sip.locating import MAX_TARGETS, Naptr, Srv, in_order, locate, sent_from
from miscript.sip.sockets import ListeningSocket


@dataclass
class Zone:
    """Records by name, and the questions that were asked."""

    naptrs: dict[str, list[Naptr]] = field(default_factory=dict)
    srvs: dict[str, list[Srv]] = field(default_factory=dict)
    hosts: dict[str, list[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def naptr(self, domain):
        self.asked.append(f"NAPTR {domain}")
        return self.naptrs.get(domain, [])

    async def srv(self, name):
        self.asked.append(f"SRV {name}")
        return self.srvs.get(name, [])

    async def addresses(self, host):
        self.asked.append(f"A {host}")
        return self.hosts.get(host, [])


def located(uri, zone, transports=("udp", "tcp", "tls"), **options):
    found = asyncio.run(locate(SipUri.parse(uri), zone, transports, Random(1).random, **options))
    return [str(target) for target in found]


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("sip:a@192.0.2.1", "udp:192.0.2.1:5060"),
        ("sip:a@192.0.2.1:5080", "udp:192.0.2.1:5080"),
        ("sip:a@192.0.2.1;transport=TCP", "tcp:192.0.2.1:5060"),
        ("sips:a@192.0.2.1", "tls:192.0.2.1:5061"),
        ("sips:a@192.0.2.1;transport=tcp", "tls:192.0.2.1:5061"),
        ("sips:a@192.0.2.1;transport=ws", "wss:192.0.2.1:443"),
        ("sip:a@[2001:db8::1]:5070", "udp:[2001:db8::1]:5070"),
        ("sip:a@example.com;maddr=192.0.2.9", "udp:192.0.2.9:5060"),
    ],
)
def test_an_address_needs_no_records(uri, target):
    zone = Zone()
    assert located(uri, zone) == [target]
    assert zone.asked == []


def test_a_port_that_is_written_means_the_host_itself():
    zone = Zone(hosts={"example.com": ["192.0.2.1", "192.0.2.2"]})
    assert located("sip:a@example.com:5080", zone) == ["udp:192.0.2.1:5080", "udp:192.0.2.2:5080"]
    assert zone.asked == ["A example.com"]


def test_naptr_says_which_transport_the_domain_likes():
    zone = Zone(
        {
            "example.com": [
                Naptr(50, 50, "s", "SIP+D2U", "_sip._udp.example.com"),
                Naptr(10, 60, "s", "SIP+D2T", "_sip._tcp.example.com"),
                Naptr(10, 10, "S", "SIPS+D2T", "_sips._tcp.example.com"),
                Naptr(1, 1, "s", "SIP+D2S", "_sip._sctp.example.com"),
                Naptr(1, 1, "u", "E2U+sip", ""),
            ]
        },
        {
            "_sips._tcp.example.com": [Srv(1, 1, 5061, "s.example.com")],
            "_sip._tcp.example.com": [Srv(1, 1, 5062, "t.example.com")],
            "_sip._udp.example.com": [Srv(1, 1, 5063, "u.example.com")],
        },
        {"s.example.com": ["192.0.2.1"], "t.example.com": ["192.0.2.2"], "u.example.com": ["192.0.2.3"]},
    )
    assert located("sip:example.com", zone) == ["tls:192.0.2.1:5061", "tcp:192.0.2.2:5062", "udp:192.0.2.3:5063"]
    assert located("sip:example.com", zone, ("udp",)) == ["udp:192.0.2.3:5063"]
    assert located("sips:example.com", zone) == ["tls:192.0.2.1:5061"]


def test_without_naptr_our_transports_are_tried_in_their_order():
    zone = Zone(
        srvs={
            "_sip._tcp.example.com": [Srv(1, 1, 5062, "t.example.com")],
            "_sip._udp.example.com": [Srv(1, 1, 5063, "u.example.com")],
        },
        hosts={"t.example.com": ["192.0.2.2"], "u.example.com": ["192.0.2.3"]},
    )
    assert located("sip:example.com", zone) == ["udp:192.0.2.3:5063", "tcp:192.0.2.2:5062"]
    assert zone.asked[0] == "NAPTR example.com"
    zone.asked.clear()
    located("sip:example.com", zone, naptr=False)
    assert "NAPTR example.com" not in zone.asked


def test_a_transport_that_is_written_is_the_only_one_asked_for():
    zone = Zone(
        srvs={"_sip._tcp.example.com": [Srv(1, 1, 5062, "t.example.com")]}, hosts={"t.example.com": ["192.0.2.2"]}
    )
    assert located("sip:example.com;transport=tcp", zone) == ["tcp:192.0.2.2:5062"]
    assert zone.asked == ["SRV _sip._tcp.example.com", "A t.example.com"]


def test_without_any_record_the_host_has_the_default_port():
    zone = Zone(hosts={"example.com": ["192.0.2.1", "2001:db8::1"]})
    assert located("sip:example.com", zone) == ["udp:192.0.2.1:5060", "udp:[2001:db8::1]:5060"]
    assert located("sips:example.com", zone) == ["tls:192.0.2.1:5061", "tls:[2001:db8::1]:5061"]


def test_a_service_that_is_said_not_to_exist_is_not_tried():
    zone = Zone(srvs={"_sip._udp.example.com": [Srv(0, 0, 0, ".")]}, hosts={"example.com": ["192.0.2.1"]})
    assert located("sip:example.com", zone) == ["udp:192.0.2.1:5060"]


def test_a_host_without_address_has_no_target():
    assert located("sip:nowhere.example", Zone()) == []


def test_a_zone_with_very_many_hosts_is_cut():
    zone = Zone(
        srvs={"_sip._udp.example.com": [Srv(1, 1, 5060 + n, "h.example.com") for n in range(500)]},
        hosts={"h.example.com": ["192.0.2.1"]},
    )
    assert len(located("sip:example.com", zone)) == MAX_TARGETS


def test_weights_share_out_the_first_place():
    records = [Srv(1, 70, 1, "a"), Srv(1, 30, 2, "b"), Srv(1, 0, 3, "c"), Srv(2, 100, 4, "d")]
    random = Random(7)
    first = Counter(in_order(records, random.random)[0].target for _ in range(5000))
    assert 0.66 < first["a"] / 5000 < 0.74
    assert first["c"] < 50
    assert first["d"] == 0


@given(st.lists(st.builds(Srv, st.integers(0, 3), st.integers(0, 65535), st.integers(1, 9), st.sampled_from("abc."))))
def test_the_order_keeps_every_record_once_and_the_priorities(records):
    ordered = in_order(records, Random(1).random)
    assert sorted(map(str, ordered)) == sorted(str(record) for record in records if record.target != ".")
    assert [record.priority for record in ordered] == sorted(record.priority for record in ordered)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:bob@example.com", "sip:bob@example.com;transport=tcp"),
        ("sip:10.0.0.1:5070;lr?h=v", "sip:10.0.0.1:5070;lr;transport=tcp?h=v"),
        ("sip:bob@example.com;transport=udp", "sip:bob@example.com;transport=udp"),
        ("sips:bob@example.com", "sips:bob@example.com"),
    ],
)
def test_a_chosen_socket_decides_the_transport_that_a_uri_leaves_open(uri, expected):
    socket = ListeningSocket("tcp", "10.0.0.9", 5060)
    assert str(sent_from(SipUri.parse(uri), socket)) == expected
    assert str(sent_from(SipUri.parse(uri), None)) == uri
