"""`python -m benchmarks.mi_http [--seconds S] [--rounds N] [--opensips PROGRAM --modules FOLDER]`: MI over HTTP.

`uptime` is asked by `wrk -t1 -c8` of miscript (one process), and the same JSON-RPC answer of aiohttp, as it comes and
on uvloop, and of uvicorn with httptools and uvloop; and a protocol on bare httptools that answers with fixed bytes,
which is as fast as an answer from Python can be.  The others are installed into a folder of their own (`--venv`), not
into the project.  `--opensips` lets the C server take part, with its modules from `--modules`.  miscript is asked
twice: with the same bytes all the time, and with another id in each request, as clients do.

Servers take turns, round by round, and the best round of each counts: other work on the machine makes rounds slower,
never faster.  Numbers of one run are for each other only.  The processor time of a request is what other work hardly
changes; its inverse is what one core can do.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("aiohttp", "uvicorn", "httptools", "uvloop", "orjson")
REQUEST = '{"jsonrpc":"2.0","method":"uptime","id":1}'

WRK = f"""
wrk.method = "POST"
wrk.body = '{REQUEST}'
wrk.headers["Content-Type"] = "application/json"
"""

COUNTING = """
local id = 100000
request = function()
  id = id + 1
  return wrk.format(nil, nil, nil, '{"jsonrpc":"2.0","method":"uptime","id":' .. id .. '}')
end
"""

ANSWER = """
import orjson, time
STARTED = time.time()
def answer(body):
    request = orjson.loads(body)
    now = time.time()
    result = {"Now": time.ctime(now), "Up since": time.ctime(STARTED), "Up time": f"{int(now - STARTED)} [sec]"}
    return orjson.dumps({"jsonrpc": "2.0", "result": result, "id": request["id"]})
"""

AIOHTTP = (
    ANSWER
    + """
import sys, uvloop
from aiohttp import web
async def mi(request):
    return web.Response(body=answer(await request.read()), content_type="application/json")
app = web.Application()
app.router.add_post("/mi", mi)
if sys.argv[2:] == ["uvloop"]:
    uvloop.install()
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""
)

UVICORN = (
    ANSWER
    + """
import sys, uvicorn
TYPE = [(b"content-type", b"application/json")]
async def app(scope, receive, send):
    body = answer((await receive())["body"])
    head = [*TYPE, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), http="httptools", loop="uvloop", lifespan="off",
            access_log=False, log_level="error")
"""
)

BARE = """
import asyncio, sys, httptools, uvloop
BODY = b'{"jsonrpc":"2.0","result":{"Now":"' + b"x" * 24 + b'","Up since":"' + b"x" * 24 + b'","Up time":"1 [sec]"}}'
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(BODY)
class Bare(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
    def data_received(self, data):
        self.parser.feed_data(data)
    def on_message_complete(self):
        self.transport.write(HEAD + BODY)
async def main():
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
uvloop.run(main())
"""

SCRIPT = """
loadmodule "httpd.so"
modparam("httpd", "port", {port})
loadmodule "mi_http.so"
route {{ exit; }}
"""

OPENSIPS = (
    """
log_level=-1
socket=udp:127.0.0.1:{port}
mpath="{modules}/"
loadmodule "proto_udp.so"
"""
    + SCRIPT
)


@dataclass
class Contestant:
    """A server that answers `uptime`."""

    name: str
    command: list[str]
    port: int
    rates: list[float] = field(default_factory=list)
    """Requests a second, round by round."""
    costs: list[float] = field(default_factory=list)
    """Microseconds of processor time that a request took."""
    process: subprocess.Popen[bytes] | None = None
    counts: bool = False
    """Asked with another id in each request."""


def others_python(folder: Path) -> Path:
    """A Python that has the other servers."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return python


def contestants(work: Path, python: Path, opensips: str, modules: str) -> list[Contestant]:
    found = []
    programs = (
        ("aiohttp", AIOHTTP, []),
        ("aiohttp on uvloop", AIOHTTP, ["uvloop"]),
        ("uvicorn, httptools, uvloop", UVICORN, []),
        ("bare httptools on uvloop", BARE, []),
    )
    for number, (name, text, more) in enumerate(programs):
        program = work / f"server_{number}.py"
        program.write_text(text)
        port = free_port()
        found.append(Contestant(name, [str(python), str(program), str(port), *more], port))
    port = free_port()
    script = work / "opensips.cfg"
    script.write_text(SCRIPT.format(port=port))
    miscript = [str(Path(sys.executable).with_name("miscript")), "run", str(script)]
    ours = [Contestant("miscript", miscript, port), Contestant("miscript, ids that change", [], port, counts=True)]
    if opensips:
        port = free_port()
        server = work / "c_server.cfg"
        server.write_text(OPENSIPS.format(port=port, modules=modules))
        ours.append(Contestant("OpenSIPS", [opensips, "-F", "-f", str(server)], port))
    return [*ours, *found]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(servers: list[Contestant]) -> Iterator[None]:
    try:
        for server in servers:
            same = servers[0].process
            server.process = subprocess.Popen(server.command, stderr=subprocess.DEVNULL) if server.command else same
        for server in servers:
            wait_for(server.port)
        yield
    finally:
        processes = [server.process for server in servers if server.process is not None and server.command]
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def wait_for(port: int, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def processor_seconds(process: subprocess.Popen[bytes] | None) -> float:
    """What the server and its children have used so far."""
    assert process is not None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ticks = 0
    for number in (process.pid, *children):
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(server: Contestant, work: Path, seconds: int) -> None:
    """One round."""
    script = work / ("counting.lua" if server.counts else "post.lua")
    before = processor_seconds(server.process)
    command = ["wrk", "-t1", "-c8", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{server.port}/mi"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    used = processor_seconds(server.process) - before
    found = re.search(r"(\d+) requests in .*Requests/sec:\s*([0-9.]+)", output, re.DOTALL)
    if found is None or "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"{server.name}: wrk says\n{output}")
    server.rates.append(float(found[2]))
    server.costs.append(used / int(found[1]) * 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "miscript-benchmark-venv")
    parser.add_argument("--opensips", default="", help="the C server's program")
    parser.add_argument("--modules", default="/usr/lib/x86_64-linux-gnu/opensips/modules", help="its modules")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed (Debian: apt install wrk)")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "post.lua").write_text(WRK)
        (work / "counting.lua").write_text(WRK + COUNTING)
        servers = contestants(work, others_python(arguments.venv), arguments.opensips, arguments.modules)
        with running(servers):
            for _ in range(arguments.rounds):
                for server in servers:
                    measure(server, work, arguments.seconds)
    report(servers)


def report(servers: list[Contestant]) -> None:
    """The table of docs/doors.md."""
    ours = servers[0]
    print("| server | requests/s, best round | miscript is | µs of processor a request | miscript needs |")
    print("|---|---|---|---|---|")
    for server in servers:
        rate, cost = max(server.rates), min(server.costs)
        print(
            f"| {server.name} | {rate:,.0f} | {max(ours.rates) / rate:.2f} times as fast "
            f"| {cost:.1f} | 1/{cost / min(ours.costs):.2f} |"
        )


if __name__ == "__main__":
    main()
