"""Our HEP packets, read by programs that no one here wrote: hep-js, Kamailio's sipcapture, sngrep."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

import miscript

pytestmark = pytest.mark.e2e
HEP_JS = "hep-js@1.0.22"
SOON = 10.0
KAMAILIO_MODULES = [Path(p) for p in ("/usr/lib/x86_64-linux-gnu/kamailio/modules", "/usr/lib/kamailio/modules")]

SCRIPT = """
socket=hep_udp:127.0.0.1:0
loadmodule "proto_hep.so"
modparam("proto_hep", "hep_id", "[c]127.0.0.1:%d;transport=udp;version=3")
modparam("proto_hep", "hep_capture_id", 2001)
modparam("proto_hep", "homer5_on", %d)
loadmodule "mi_script.so"
modparam("mi_script", "trace_destination", "c")
startup_route { mi("log_level 3"); }
"""
REQUEST = "log_level:script:3"
REPLY = '{"New global log level":3}'


async def trace(port, homer5=True):
    """Run one traced command; its packets go to this UDP port."""
    await miscript.run_once(miscript.Source("test.cfg", SCRIPT % (port, homer5)))


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def packets(homer5=True):
    """Request and reply of one traced command as datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(SOON)
        await trace(collector.getsockname()[1], homer5)
        return [collector.recv(65536) for _ in range(2)]


def installed(name):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}")
    return found


# -- hep-js -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def decapsulate(tmp_path_factory):
    """A function that gives hep-js a packet."""
    node, npm = installed("node"), installed("npm")
    folder = tmp_path_factory.mktemp("hep-js")
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", HEP_JS]
    done = subprocess.run(install, check=False, cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm cannot install {HEP_JS}: {done.stderr.strip().splitlines()[-1:]}")
    program = 'const d = require("fs").readFileSync(0); console.log(JSON.stringify(require("hep-js").decapsulate(d)))'

    def read(packet):
        return json.loads(subprocess.run([node, "-e", program], cwd=folder, input=packet, stdout=-1, check=True).stdout)

    return read


async def test_hep_js_reads_request_and_reply(decapsulate):
    request, reply = [decapsulate(packet) for packet in await packets()]
    assert (request["payload"], reply["payload"]) == (REQUEST, REPLY)
    about = request["rcinfo"]
    seconds = about.pop("timeSeconds") + about.pop("timeUseconds") / 1e6
    assert abs(time.time() - seconds) < 60
    correlation = about.pop("correlation_id")
    assert re.fullmatch(r"MICORR[A-Za-z0-9+/]{27}=", correlation)
    assert reply["rcinfo"]["correlation_id"] == correlation
    assert about == {
        "protocolFamily": 2,
        "protocol": 6,
        "srcIp": "127.0.0.1",
        "dstIp": "127.0.0.1",
        "srcPort": 0,
        "dstPort": 0,
        "payloadType": 87,
        "captureId": 2001,
    }


async def test_hep_js_reads_the_json_form(decapsulate):
    request, reply = [json.loads(decapsulate(packet)["payload"]) for packet in await packets(homer5=False)]
    assert request == {"command": "log_level", "backend": "script", "parameters": "3"}
    assert reply == {"reply": REPLY}


# -- Kamailio ---------------------------------------------------------------------------------------------------

KAMAILIO = """#!KAMAILIO
debug=1
log_stderror=yes
children=1
disable_tcp=yes
listen=udp:127.0.0.1:{port}
mpath="{modules}/"
loadmodule "db_text.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "sipcapture.so"
modparam("sipcapture", "db_url", "text://{folder}/db")
modparam("sipcapture", "hep_capture_on", 1)
modparam("sipcapture", "capture_on", 1)
modparam("sipcapture", "nonsip_hook", 1)
request_route {{ exit; }}
event_route[sipcapture:request] {{
    xlog("L_ALERT", "[$hep(0x001) $hep(0x002) $hep(0x004) $hep(0x00b) $hep(0x00c) $hep(0x011) $hep(0x00f)]");
    exit;
}}
"""


@contextlib.asynccontextmanager
async def running(*command, **options):
    process = await asyncio.create_subprocess_exec(*command, start_new_session=True, **options)
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def test_kamailios_sipcapture_reads_request_and_reply(tmp_path):
    kamailio = installed("kamailio")
    modules = next((folder for folder in KAMAILIO_MODULES if (folder / "sipcapture.so").exists()), None)
    if modules is None:
        pytest.skip("Kamailio has no sipcapture")
    port = free_port()
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "version").write_text("table_name(string) table_version(int)\nsip_capture:4\n")
    (tmp_path / "kamailio.cfg").write_text(KAMAILIO.format(port=port, modules=modules, folder=tmp_path))
    log = tmp_path / "log"
    with open(log, "wb") as out:  # noqa: ASYNC230  # a moment, in a test
        command = (kamailio, "-DD", "-E", "-f", tmp_path / "kamailio.cfg", "-Y", tmp_path, "-P", tmp_path / "pid")
        async with running(*command, stdout=out, stderr=out) as process:
            found = []
            async with asyncio.timeout(SOON):
                while len(found) < 2:
                    assert process.returncode is None, log.read_text()
                    if not found:  # it may still be starting
                        await trace(port)
                    await asyncio.sleep(0.2)
                    found = re.findall(r"\[(2 6 127\.0\.0\.1 87 2001) (MICORR\S+) (.*?)\]", log.read_text())
            process.send_signal(signal.SIGTERM)
            await process.wait()
    (_, first, request), (_, second, reply) = found[:2]
    assert first == second
    assert (request, reply) == (REQUEST, REPLY)


# -- sngrep -----------------------------------------------------------------------------------------------------


async def test_sngrep_writes_what_it_reads_to_a_capture_file(tmp_path):
    sngrep = installed("sngrep")
    port, capture = free_port(), tmp_path / "out.pcap"
    command = (sngrep, "-F", "-N", "-q", "-L", f"udp:127.0.0.1:{port}", "-O", str(capture))
    async with running(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        async with asyncio.timeout(SOON):
            while not bound(port):
                assert process.returncode is None
                await asyncio.sleep(0.05)
        await trace(port)
        await asyncio.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), SOON)
    payloads = list(captured(capture.read_bytes()))
    assert payloads == [REQUEST.encode(), REPLY.encode()]


def bound(port):
    """Whether a UDP port of loopback is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def captured(data):
    """The payloads of the UDP packets in a capture file of Ethernet or bare IP."""
    link = struct.unpack_from("<I", data, 20)[0]
    at = 24
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        packet = data[at + 16 : at + 16 + size]
        ip = packet[14:] if link == 1 else packet
        start = (ip[0] & 0xF) * 4
        yield ip[start + 8 : start + struct.unpack_from(">H", ip, start + 4)[0]]
        at += 16 + size
