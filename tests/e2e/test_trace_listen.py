"""`miscript trace listen` shows what a running script traces."""

import asyncio
import contextlib
import json
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest

import miscript

pytestmark = pytest.mark.e2e
MISCRIPT = str(Path(sys.executable).with_name("miscript"))
SCRIPT = """
socket=hep_udp:127.0.0.1:0
socket=hep_tcp:127.0.0.1:0
loadmodule "proto_hep.so"
modparam("proto_hep", "hep_id", "[c]127.0.0.1:%d;transport=%s")
loadmodule "mi_script.so"
modparam("mi_script", "trace_destination", "c")
startup_route { mi("log_level 3"); mi("pwd", $var(r)); }
"""


@contextlib.asynccontextmanager
async def listening(*options):
    """A listener, and the ports that it took by their kind."""
    process = await asyncio.create_subprocess_exec(
        MISCRIPT,
        *("trace", "listen", "--udp", "0", "--tcp", "0", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(10):
        where = (await process.stderr.readline()).decode()
    process.ports = {kind: int(port) for kind, port in re.findall(r"(udp|tcp) 127\.0\.0\.1:(\d+)", where)}
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def trace(process, kind):
    await miscript.run_once(miscript.Source("test.cfg", SCRIPT % (process.ports[kind], kind)))


async def ended(process):
    """Standard output and the last words of a listener that is told to stop."""
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert process.returncode == 0
    return out, err.decode()


@pytest.mark.parametrize("kind", ["udp", "tcp"])
async def test_request_and_reply_are_one_line_with_the_duration(kind):
    async with listening() as process:
        await trace(process, kind)
        async with asyncio.timeout(5):
            lines = [(await process.stdout.readline()).decode() for _ in range(2)]
        assert re.search(
            r"  mi  127\.0\.0\.1:0 > 127\.0\.0\.1:0  script:  log_level  3  => .*  \([\d.]+ ms\)\n", lines[0]
        )
        assert re.search(r'  script:  pwd  => \{"WD":".*"\}  \([\d.]+ ms\)\n', lines[1])
        assert await ended(process) == (b"", "4 packets\n")


async def test_json_has_one_object_in_each_line():
    async with listening("--format", "json") as process:
        await trace(process, "tcp")
        async with asyncio.timeout(5):
            first, second = [json.loads(await process.stdout.readline()) for _ in range(2)]
        assert (first["command"], first["parameters"], first["backend"]) == ("log_level", "3", "script")
        assert second["reply"].startswith('{"WD":')
        assert second["duration_ms"] >= 0
        await ended(process)


async def test_garbage_is_counted_and_a_connection_that_brings_it_closed():
    async with listening() as process:
        reader, writer = await asyncio.open_connection("127.0.0.1", process.ports["tcp"])
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(5):
            try:
                assert await reader.read() == b""
            except ConnectionResetError:
                pass
        writer.close()
        await trace(process, "tcp")
        async with asyncio.timeout(5):
            await process.stdout.readline()
        assert (await ended(process))[1] == "4 packets, 1 pieces that are not HEP\n"


async def test_a_capture_file_is_read_by_tshark(tmp_path):
    if shutil.which("tshark") is None:
        pytest.skip("there is no tshark")
    async with listening("--format", "pcap") as process:
        await trace(process, "tcp")
        capture = await process.stdout.readexactly(24)
        async with asyncio.timeout(5):
            for _ in range(4):
                head = await process.stdout.readexactly(16)
                capture += head + await process.stdout.readexactly(int.from_bytes(head[8:12], "little"))
        assert await ended(process) == (b"", "4 packets\n")
    (tmp_path / "capture.pcap").write_bytes(capture)
    tshark = await asyncio.create_subprocess_exec(
        *("tshark", "-r", str(tmp_path / "capture.pcap"), "-T", "fields", "-e", "tcp.payload"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    fields, _ = await tshark.communicate()
    payloads = [bytes.fromhex(line.decode()) for line in fields.split()]
    assert payloads[0] == b"log_level:script:3"
    assert payloads[2] == b"pwd:script"
    assert len(payloads) == 4


async def test_who_reads_no_more_ends_it_without_a_word():
    process = await asyncio.create_subprocess_shell(
        f"{MISCRIPT} trace listen --udp 0 | head -n 1",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(10):
        where = (await process.stderr.readline()).decode()
    process.ports = {"udp": int(where.rsplit(":", 1)[1])}
    for _ in range(3):
        await trace(process, "udp")
    async with asyncio.timeout(10):
        out, err = await process.communicate()
    assert out.count(b"\n") == 1
    assert err == b""


async def test_a_port_that_is_taken_is_said():
    async with listening() as process:
        second = await asyncio.create_subprocess_exec(
            *(MISCRIPT, "trace", "listen", "--tcp", str(process.ports["tcp"])), stderr=asyncio.subprocess.PIPE
        )
        _, err = await second.communicate()
        assert second.returncode == 1
        assert b"cannot listen on 127.0.0.1" in err
