"""Calls of real phones (sipp) that are followed: ended from here, forked, cancelled, timed, over UDP and TCP, and on a
network that loses and doubles packets."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sipp_calls import (
    CALLEE,
    CALLER,
    SOON,
    answer,
    answer_in_dialog,
    call,
    expect,
    expect_request,
    free_port,
    hop_request,
    needs_sipp,
    pause,
    phone,
    proxy,
    request,
    scenario,
    sipp,
)

pytestmark = [pytest.mark.e2e, needs_sipp()]

SCRIPT = """
log_level = 1
xlog_level = 3
socket = udp:127.0.0.1:{port}{told}
socket = tcp:127.0.0.1:{port}{told}
loadmodule "proto_udp.so"
loadmodule "proto_tcp.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "signaling.so"
loadmodule "rr.so"
loadmodule "sipmsgops.so"
loadmodule "dialog.so"
loadmodule "event_routing.so"
loadmodule "mi_datagram.so"
modparam("mi_datagram", "socket_name", "udp:127.0.0.1:{mi}")
modparam("tm", "fr_timeout", 2)
modparam("tm", "fr_inv_timeout", 20)
modparam("tm", "T1_timer", 100)

route {{
    if (has_totag()) {{
        if (!is_method("ACK") && t_check_trans()) exit;
        loose_route();
        xlog("$rm $DLG_status $DLG_dir\\n");
        t_relay();
        exit;
    }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    t_check_trans();
    create_dialog({flags});
    record_route();
    xlog("INVITE $ci\\n");
    t_on_failure("failed");
    t_on_reply("answered");
    dlg_on_hangup("over");
    {more}
    $ru = "sip:bob@127.0.0.1:{phones}{transport}";
    t_relay();
}}
onreply_route[answered] {{ xlog("reply $rs\\n"); }}
failure_route[failed] {{ xlog("failed $T_reply_code $DLG_end_reason\\n"); {failure} }}
route[over] {{ xlog("over $DLG_end_reason\\n"); }}
{routes}
"""

PARTS = dict.fromkeys(("told", "flags", "more", "transport", "failure", "routes"), "")


class Node:
    """A proxy that follows calls, its phones' ports, and its MI door."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ports: list[int] = []
        while len(ports) < 4:
            port = free_port()
            if all(abs(port - other) > 2 for other in ports):
                ports.append(port)
        self.port, self.phones, self.caller, self.door = ports
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.settimeout(5)

    def script(self, **parts: str) -> str:
        return SCRIPT.format(port=self.port, phones=self.phones, mi=self.door, **{**PARTS, **parts})

    def mi(self, method: str, *values: object, **named: object) -> Any:
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": named or list(values)}
        self.client.sendto(json.dumps(asked).encode(), ("127.0.0.1", self.door))
        return json.loads(self.client.recv(1 << 16)).get("result")

    def dialogs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.mi("dlg_list")["Dialogs"]
        return found

    def until(self, condition: Callable[[list[dict[str, Any]]], bool], what: str) -> list[dict[str, Any]]:
        """Ask for the dialogs until they are as wanted."""
        end = time.monotonic() + SOON
        while time.monotonic() < end:
            found = self.dialogs()
            if condition(found):
                return found
            time.sleep(0.05)
        raise AssertionError(f"{what}: {self.dialogs()}")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.client.close()


def in_state(number: int, count: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda dialogs: [dialog["state"] for dialog in dialogs].count(number) == count


# -- scenarios ------------------------------------------------------------------------------------------------------

HUNG_UP_ON = scenario(
    request("INVITE", 1),
    expect(100, optional=True),
    expect(180, optional=True),
    expect(200, rrs=True),
    request("ACK", 1, in_dialog=True),
    expect_request("BYE"),
    answer_in_dialog(200, "OK"),
    '<timewait milliseconds="300"/>',
)
GIVEN_UP = scenario(
    request("INVITE", 1),
    expect(100, optional=True),
    expect(180, optional=True),
    expect(487),
    hop_request("ACK", 4),
    '<timewait milliseconds="300"/>',
)
CANCELLING = scenario(
    request("INVITE", 1),
    expect(100, optional=True),
    expect(180),
    pause(100),
    hop_request("CANCEL", 4),
    expect(200),
    expect(487),
    hop_request("ACK", 7),
    '<timewait milliseconds="300"/>',
)
CANCELLING_TWO = scenario(
    request("INVITE", 1),
    expect(100, optional=True),
    expect(180),
    expect(180),
    hop_request("CANCEL", 4),
    expect(200),
    expect(487),
    hop_request("ACK", 7),
    '<timewait milliseconds="300"/>',
)
CANCELLED = scenario(
    expect_request("INVITE"),
    answer(180, "Ringing"),
    expect_request("CANCEL"),
    answer_in_dialog(200, "OK"),
    answer(487, "Request Terminated", retrans=True, cseq="CSeq: 1 INVITE"),
    expect_request("ACK"),
    '<timewait milliseconds="300"/>',
)
SLOW_CALLEE = CALLEE.replace(
    answer(200, "OK", retrans=True, routes=True), pause(300) + answer(200, "OK", retrans=True, routes=True)
)


# -- ending calls from here -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["u1", "t1"])
def test_mi_ends_calls_that_are_up(node: Node, transport: str):
    via = ";transport=tcp" if transport == "t1" else ""
    script = node.script(transport=via)
    with (
        proxy(script, node.folder, node.port) as running,
        phone(node.folder, "callee", CALLEE, node.phones, "-t", transport),
    ):
        callers = sipp(
                node.folder, "caller", HUNG_UP_ON, f"127.0.0.1:{node.port}", "-m", "5", "-r", "20",
                "-p", str(node.caller), "-t", transport,
            )  # fmt: skip
        up = node.until(in_state(4, 5), "five calls are up")
        assert node.mi("get_statistics", ["active_dialogs"]) == {"dialog:active_dialogs": 5}
        for dialog in up[:3]:
            assert node.mi("dlg_end_dlg", dialog["ID"]) == "OK"
        for dialog in up[3:]:
            assert node.mi("dlg_end_dlg", dialog_id=dialog["callid"], extra_hdrs="X-Why: because") == "OK"
        assert callers.wait(SOON) == 0, "each caller got its BYE"
        node.until(lambda dialogs: not in_state(4, 1)(dialogs), "no call is up")
        assert node.mi("get_statistics", ["active_dialogs"]) == {"dialog:active_dialogs": 0}
    assert running.output.count("over MI Termination\n") == 5
    assert "Traceback" not in running.log


@pytest.mark.parametrize("transport", ["u1", "t1"])
def test_mi_ends_calls_that_ring(node: Node, transport: str):
    via = ";transport=tcp" if transport == "t1" else ""
    with (
        proxy(node.script(transport=via), node.folder, node.port) as running,
        phone(node.folder, "callee", CANCELLED, node.phones, "-t", transport, "-m", "3") as ringing,
    ):
        callers = sipp(
                node.folder, "caller", GIVEN_UP, f"127.0.0.1:{node.port}", "-m", "3", "-r", "20",
                "-p", str(node.caller), "-t", transport,
            )  # fmt: skip
        for dialog in node.until(in_state(2, 3), "three calls ring"):
            assert node.mi("dlg_end_dlg", dialog["ID"]) == "OK"
        assert callers.wait(SOON) == 0, "each caller got a 487"
        assert ringing.wait(SOON) == 0, "each phone got a CANCEL and an ACK"
    assert running.output.count("failed 487 MI Termination\n") == 3
    assert "Traceback" not in running.log


def test_a_call_ends_with_byes_when_its_time_is_over(node: Node):
    script = node.script(flags='"bye-on-timeout"', more="$DLG_timeout = 1;")
    with proxy(script, node.folder, node.port) as running, phone(node.folder, "callee", CALLEE, node.phones):
        assert call(node.folder, HUNG_UP_ON, node.port, "-p", str(node.caller), calls=3) == ""
    assert running.output.count("over Lifetime Timeout\n") == 3


def test_a_phone_that_is_gone_is_noticed_by_pings(node: Node):
    script = node.script(flags='"options-ping-callee"', more="$DLG_options_ping_interval = 1;")
    gone = (
        CALLEE[: CALLEE.index('<recv request="BYE"')]
        + expect_request("OPTIONS")
        + answer_in_dialog(481, "No Such Call")
        + expect_request("BYE")
        + answer_in_dialog(200, "OK")
        + "</scenario>"
    )
    with proxy(script, node.folder, node.port) as running, phone(node.folder, "callee", gone, node.phones):
        assert call(node.folder, HUNG_UP_ON, node.port, "-p", str(node.caller)) == ""
    assert running.output.count("over Ping Timeout\n") == 1


# -- forks ----------------------------------------------------------------------------------------------------------

FORK = 'append_msg_branch("sip:carol@127.0.0.1:{second}");'


def test_the_first_of_two_phones_that_answers_has_the_call(node: Node):
    script = node.script(more=FORK.format(second=node.phones + 1))
    with (
        proxy(script, node.folder, node.port) as running,
        phone(node.folder, "first", CANCELLED, node.phones, "-m", "3") as first,
        phone(node.folder, "second", SLOW_CALLEE, node.phones + 1),
    ):
        assert call(node.folder, CALLER, node.port, "-p", str(node.caller), calls=3) == ""
        assert first.wait(SOON) == 0, "the other one was cancelled each time"
    assert running.output.count("BYE 5 downstream\n") == 3
    assert running.output.count("over Downstream BYE\n") == 3


def test_a_cancel_reaches_both_phones(node: Node):
    script = node.script(more=FORK.format(second=node.phones + 1))
    with (
        proxy(script, node.folder, node.port) as running,
        phone(node.folder, "first", CANCELLED, node.phones, "-m", "1") as first,
        phone(node.folder, "second", CANCELLED, node.phones + 1, "-m", "1") as second,
    ):
        assert call(node.folder, CANCELLING_TWO, node.port, "-p", str(node.caller)) == ""
        assert (first.wait(SOON), second.wait(SOON)) == (0, 0)
    assert running.output.count("failed 487 Cancelled\n") == 1


def test_the_best_of_two_refusals_goes_back(node: Node):
    refused = scenario(request("INVITE", 1), expect(100, optional=True), expect(486), hop_request("ACK", 3))
    busy = scenario(expect_request("INVITE"), answer(486, "Busy Here", retrans=True), expect_request("ACK"))
    broken = scenario(expect_request("INVITE"), answer(500, "Broken", retrans=True), expect_request("ACK"))
    script = node.script(more=FORK.format(second=node.phones + 1))
    with (
        proxy(script, node.folder, node.port) as running,
        phone(node.folder, "first", broken, node.phones),
        phone(node.folder, "second", busy, node.phones + 1),
    ):
        assert call(node.folder, refused, node.port, "-p", str(node.caller), calls=3) == ""
    assert running.output.count("failed 486 <null>\n") == 3


def test_a_branch_is_injected_while_the_call_waits(node: Node):
    script = node.script(
        more='t_newtran(); t_wait_for_new_branches(); notify_on_event("E_AWAKE", $avp(every), "awake", 10);',
        routes=f'event_route[E_AWAKE] {{ exit; }}\nroute[awake] {{ $ru = "sip:x@127.0.0.1:{node.phones + 1}";'
        ' t_inject_branches("msg"); xlog("injected $rc\\n"); }',
    )
    busy = scenario(expect_request("INVITE"), answer(486, "Busy Here", retrans=True), expect_request("ACK"))
    with (
        proxy(script, node.folder, node.port) as running,
        phone(node.folder, "first", busy, node.phones, "-m", "1") as first,
        phone(node.folder, "second", CALLEE, node.phones + 1),
    ):
        caller = sipp(node.folder, "caller", CALLER, f"127.0.0.1:{node.port}", "-m", "1", "-p", str(node.caller))
        assert first.wait(SOON) == 0, "the first phone is busy, and nobody has told the caller"
        assert caller.poll() is None
        assert node.mi("raise_event", event="E_AWAKE") == "OK"
        assert caller.wait(SOON) == 0
    assert "injected 1\n" in running.output


def test_a_failure_route_tries_on_when_nobody_answers(node: Node):
    script = node.script(
        failure=f'if ($T_reply_code == 408) {{ $ru = "sip:x@127.0.0.1:{node.phones + 1}"; t_relay(); }}'
    )
    with proxy(script, node.folder, node.port) as running, phone(node.folder, "second", CALLEE, node.phones + 1):
        assert call(node.folder, CALLER, node.port, "-p", str(node.caller), calls=2) == ""
    assert running.output.count("failed 408 <null>\n") == 2
    assert running.output.count("over Downstream BYE\n") == 2


# -- bad networks ---------------------------------------------------------------------------------------------------


@contextmanager
def bad_network(target: int, *, lose: int = 0, copies: int = 2) -> Iterator[int]:
    """A port from which all packets get to `target` in `copies`; each `lose`-th gets lost."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(0.1)
    over = threading.Event()

    def pass_on() -> None:
        number = 0
        while not over.is_set():
            try:
                data = receiver.recv(1 << 16)
            except TimeoutError:
                continue
            number += 1
            if not lose or number % lose:
                for _ in range(copies):
                    receiver.sendto(data, ("127.0.0.1", target))

    thread = threading.Thread(target=pass_on, daemon=True)
    thread.start()
    try:
        yield receiver.getsockname()[1]
    finally:
        over.set()
        thread.join()
        receiver.close()


def test_packets_that_come_twice_change_nothing(node: Node):
    """All that comes to the proxy comes twice: its own address is that of the network in between."""
    with bad_network(node.port) as entry:
        script = node.script(told=f" as 127.0.0.1:{entry}")
        with proxy(script, node.folder, node.port) as running, phone(node.folder, "callee", CALLEE, node.phones):
            assert call(node.folder, CALLER, entry, "-p", str(node.caller), "-r", "20", calls=20) == ""
            assert node.mi("get_statistics", ["processed_dialogs"]) == {"dialog:processed_dialogs": 20}
    assert len(set(re.findall(r"INVITE (\S+)", running.output))) == len(re.findall(r"INVITE \S+", running.output)) == 20
    assert running.output.count("over Downstream BYE\n") == 20
    assert "Traceback" not in running.log


def test_calls_live_through_lost_and_doubled_packets(node: Node):
    # a lost ACK takes some 200s that come again, so nobody hangs up at once
    patient = CALLER.replace(request("BYE", 2, in_dialog=True), pause(2000) + request("BYE", 2, in_dialog=True))
    with bad_network(node.port, lose=7) as entry:
        script = node.script(told=f" as 127.0.0.1:{entry}")
        with proxy(script, node.folder, node.port) as running, phone(node.folder, "callee", CALLEE, node.phones):
            assert call(node.folder, patient, entry, "-p", str(node.caller), "-r", "20", calls=20) == ""
    assert running.output.count("over Downstream BYE\n") == 20
    assert "Traceback" not in running.log


def test_a_cancel_comes_through_lost_and_doubled_packets(node: Node):
    with bad_network(node.port, lose=4) as entry:
        script = node.script(told=f" as 127.0.0.1:{entry}")
        with (
            proxy(script, node.folder, node.port) as running,
            phone(node.folder, "callee", CANCELLED, node.phones, "-m", "5") as ringing,
        ):
            assert call(node.folder, CANCELLING, entry, "-p", str(node.caller), "-r", "5", calls=5) == ""
            assert ringing.wait(SOON) == 0
    assert running.output.count("failed 487 Cancelled\n") == 5
    assert "Traceback" not in running.log
