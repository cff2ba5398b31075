"""What can be done about sockets that the system refuses."""

import errno

import pytest

from miscript.errors import reason, remedy


@pytest.mark.parametrize(
    ("number", "protocol", "port", "words"),
    [
        (errno.EADDRINUSE, "udp", 5060, "another program listens there: `ss -lnup 'sport = :5060'` tells which one"),
        (errno.EADDRINUSE, "tcp", 5060, "another program listens there: `ss -lntp 'sport = :5060'` tells which one"),
        (errno.EADDRINUSE, "tcp", 0, None),
        (
            errno.EADDRNOTAVAIL,
            "udp",
            5060,
            "no interface of this machine has this address: `ip -br address` shows them",
        ),
        (errno.EACCES, "udp", 80, "ports below 1024 are for root and for who has CAP_NET_BIND_SERVICE"),
        (errno.EACCES, "udp", 5060, None),
        (errno.ENOENT, "udp", 5060, None),
    ],
)
def test_the_remedy_fits_what_the_system_says(number, protocol, port, words):
    assert remedy(OSError(number, "refused"), protocol, port) == words


def test_the_systems_own_words_are_told():
    assert reason(OSError(errno.EADDRINUSE, "error while attempting to bind")) == "Address already in use"
    assert reason(OSError("no number")) == "no number"
