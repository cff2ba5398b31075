"""Calls of real phones (sipp) through a proxy that traces them; hep-js, which no one here wrote, reads the packets."""

import base64
import json
import shutil
import socket
import subprocess
import time

import pytest

from sipp_calls import CALLEE, CALLER, call, free_port, needs_sipp, phone, proxy

pytestmark = [pytest.mark.e2e, needs_sipp()]
HEP_JS = "hep-js@1.0.22"

SCRIPT = """
log_level=2
socket={transport}:127.0.0.1:{own}
socket=hep_udp:127.0.0.1:{hep}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "sipmsgops.so"
loadmodule "dialog.so"
loadmodule "proto_hep.so"
modparam("proto_hep", "hep_id", "[homer]127.0.0.1:{collector};transport=udp;version=3")
modparam("proto_hep", "hep_capture_id", 2001)
loadmodule "tracer.so"
modparam("tracer", "trace_id", "[tid]uri=hep:homer")
route {{
    if (has_totag()) {{ loose_route(); t_relay(); exit; }}
    trace("tid", "d", "sip|xlog");
    xlog("a call to $rU\\n");
    record_route();
    $du = "sip:127.0.0.1:{phones};transport={transport}";
    t_relay();
}}
"""

PROGRAM = """
const { decapsulate } = require("hep-js");
for (const line of require("fs").readFileSync(0, "utf8").trim().split("\\n"))
    console.log(JSON.stringify(decapsulate(Buffer.from(line, "base64"))));
"""


@pytest.fixture(scope="module")
def hep_js(tmp_path_factory):
    """What hep-js makes of many packets."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("there is no node with npm")
    folder = tmp_path_factory.mktemp("hep-js")
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", HEP_JS]
    done = subprocess.run(install, check=False, cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm cannot install {HEP_JS}: {done.stderr.strip().splitlines()[-1:]}")

    def read(packets):
        lines = b"\n".join(base64.b64encode(packet) for packet in packets)
        out = subprocess.run([node, "-e", PROGRAM], cwd=folder, input=lines, stdout=-1, check=True).stdout
        return [json.loads(line) for line in out.splitlines()]

    return read


def free_ports(count):
    found = set()
    while len(found) < count:
        found.add(free_port())
    return sorted(found)


def received(collector, count):
    """So many packets, and whatever else comes soon after."""
    collector.settimeout(10)
    packets = [collector.recv(65536) for _ in range(count)]
    collector.settimeout(0.3)
    try:
        while True:
            packets.append(collector.recv(65536))
    except TimeoutError:
        return packets


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_hep_js_sees_the_whole_call_with_its_ends(tmp_path, hep_js, transport):
    own, phones, caller, hep = free_ports(4)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        script = SCRIPT.format(
            transport=transport, own=own, phones=phones, hep=hep, collector=collector.getsockname()[1]
        )
        way = ("-t", "t1") if transport == "tcp" else ()
        with proxy(script, tmp_path, own), phone(tmp_path, "callee", CALLEE, phones, *way):
            assert call(tmp_path, CALLER, own, "-p", str(caller), *way, calls=1) == ""
            seen = hep_js(received(collector, 14))
    texts = [one for one in seen if one["rcinfo"]["payloadType"] == 100]
    assert [one["payload"] for one in texts] == ["NOTICE:a call to bob\n"]
    messages = [one for one in seen if one["rcinfo"]["payloadType"] == 1]
    names = {own: "proxy", phones: "bob", caller: "alice"}
    told = [_told(one, names) for one in messages]
    assert told == [
        "alice > proxy INVITE",
        "proxy > alice SIP/2.0 100",
        "proxy > bob INVITE",
        "bob > proxy SIP/2.0 180",
        "proxy > alice SIP/2.0 180",
        "bob > proxy SIP/2.0 200",
        "proxy > alice SIP/2.0 200",
        "alice > proxy ACK",
        "proxy > bob ACK",
        "alice > proxy BYE",
        "proxy > bob BYE",
        "bob > proxy SIP/2.0 200",
        "proxy > alice SIP/2.0 200",
    ]
    about = [one["rcinfo"] for one in messages]
    assert len({one["correlation_id"] for one in about}) == 1
    assert {one["protocol"] for one in about} == {17 if transport == "udp" else 6}
    assert {one["captureId"] for one in about} == {2001}
    times = [one["timeSeconds"] + one["timeUseconds"] / 1e6 for one in about]
    assert times == sorted(times)
    assert abs(time.time() - times[0]) < 60


def _told(one, names):
    about = one["rcinfo"]
    words = one["payload"].split(" ")
    what = words[0] if words[0] != "SIP/2.0" else " ".join(words[:2])
    return f"{names.get(about['srcPort'], 'proxy')} > {names.get(about['dstPort'], 'proxy')} {what}"
