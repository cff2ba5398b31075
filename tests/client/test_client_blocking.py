"""The client for programs without an event loop."""

import socket
import subprocess
import sys
import threading

import pytest

from miscript.client import AnswerTimeout, ConnectError, connect_blocking


@pytest.fixture
def echo():
    """A UDP server that answers every request with the id as its result, until it is told to be silent."""
    here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    here.bind(("127.0.0.1", 0))

    def serve():
        while (data := here.recvfrom(65536))[0] != b"end":
            if b"silent" not in data[0]:
                id = data[0].split(b'"id":')[1].rstrip(b"}")
                here.sendto(b'{"result":%s,"id":%s}' % (id, id), data[1])

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"udp:127.0.0.1:{here.getsockname()[1]}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
        stop.sendto(b"end", here.getsockname())
    thread.join()
    here.close()


def test_calls_wait_for_their_results(echo):
    with connect_blocking(echo) as node:
        first, second = node.call("a"), node.call("b")
        assert second == first + 1
        node.notify("silent")
        assert len(node.batch([("a", None), ("b", [1])])) == 2


def test_errors_are_those_of_the_other_client(echo):
    with connect_blocking(echo) as node, pytest.raises(AnswerTimeout):
        node.call("silent", deadline=0.05)
    with connect_blocking("unix:/nowhere/mi.sock", retries=0) as node, pytest.raises(ConnectError):
        node.call("a")


def test_threads_may_share_one(echo):
    results = []
    with connect_blocking(echo) as node:
        threads = [threading.Thread(target=lambda: results.append(node.call("a"))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(results)) == 20


def test_a_closed_client_says_so(echo):
    node = connect_blocking(echo, retries=0)
    node.call("a")
    node.close()
    node.close()
    with pytest.raises(ConnectError, match="closed"):
        node.call("a")


def test_it_needs_no_event_loop():
    program = (
        "import sys, miscript.client as c; c.connect_blocking('udp:127.0.0.1:9'); sys.exit('asyncio' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
