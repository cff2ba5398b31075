"""The addresses of a network interface, as Linux tells them.

`socket=udp:eth0:5060` listens on each address of `eth0`.  Sources: netdevice(7), `SIOCGIFCONF`, for IPv4 and the file
/proc/net/if_inet6 for IPv6.
"""

from __future__ import annotations

import array
import os
import socket
import struct
import sys
from typing import Final

GET_ADDRESSES: Final = 0x8912
"""SIOCGIFCONF."""
RECORD: Final = struct.calcsize("16s2LHBBB0L")
"""The size of a `struct ifreq`: a name, and the largest of what may stand behind it."""
MAX_RECORDS: Final = 65536
LINK_LOCAL: Final = 0x20
"""Scope of addresses that mean nothing without the interface."""


def interface_addresses(name: str) -> list[str]:
    """Addresses of the interface `name` that are up, IPv4 first; none where there is no such interface.

    IPv6 addresses of the link alone (fe80::…) are left out.  Anywhere but on Linux there are none.
    """
    if sys.platform != "linux":
        return []
    return [*_ipv4(name), *_ipv6(name)]


def _ipv4(name: str) -> list[str]:
    return [address for interface, address in _all_ipv4() if interface == name]


def _all_ipv4() -> list[tuple[str, str]]:
    """Names and addresses of all interfaces."""
    import fcntl

    room = 64
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        while True:
            records = array.array("B", bytes(room * RECORD))
            where, size = records.buffer_info()
            used, _ = struct.unpack("iP", fcntl.ioctl(asking, GET_ADDRESSES, struct.pack("iP", size, where)))
            if used < size or room >= MAX_RECORDS:  # else there may be more
                break
            room *= 2
    data = records.tobytes()[:used]
    found = [data[start : start + RECORD] for start in range(0, used, RECORD)]
    return [(os.fsdecode(one[:16].partition(b"\0")[0]), socket.inet_ntoa(one[20:24])) for one in found]


def _ipv6(name: str) -> list[str]:
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as lines:
            fields = [line.split() for line in lines]
    except OSError:  # the system was built without IPv6
        return []
    return [
        socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))
        for address, _, _, scope, _, interface in fields
        if interface == name and int(scope, 16) != LINK_LOCAL
    ]
