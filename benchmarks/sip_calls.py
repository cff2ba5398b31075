"""`python -m benchmarks sip_calls [--rates R,R,...] [--seconds S]`: calls through a proxy, beside sippy's B2BUA.

A call is INVITE, 100, 180, 200, ACK, BYE, 200, with sipp at both ends, through a proxy that records its route and
follows the dialog.  sippy's `b2bua_simple` takes the same calls; it is installed into a folder of its own (`--venv`).
The C server does too where `OPENSIPS` names its program and `OPENSIPS_MODULES` the folder of its modules.

The servers take turns at each rate.  The processor time of a call is what other work on the machine hardly changes,
and its inverse what one core can do; calls that fail, requests that come again and the time from INVITE to 200 tell
how a server copes; one that fails a tenth of its calls is asked for no more.  sipp needs a core of its own.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .mi_http import free_port, processor_seconds

PACKAGES = ("sippy",)
WARM_UP = 200
PATIENCE = 60.0

SCRIPT = """
log_level = 1
{more}
socket = udp:127.0.0.1:{port}
loadmodule "proto_udp.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "signaling.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "sipmsgops.so"
loadmodule "dialog.so"

route {{
    if (!mf_process_maxfwd_header(70)) {{
        send_reply(483, "Too Many Hops");
        exit;
    }}
    if (has_totag()) {{
        if (!loose_route()) {{
            send_reply(404, "Not Here");
            exit;
        }}
        t_relay();
        exit;
    }}
    if (is_method("INVITE"))
        create_dialog();
    record_route();
    $du = "sip:127.0.0.1:{callee}";
    t_relay();
    exit;
}}
"""

SDP = """v=0
o=user1 53655765 2353687637 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 6000 RTP/AVP 0
a=rtpmap:0 PCMU/8000
"""

HEAD = """Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
From: <sip:alice@[local_ip]:[local_port]>;tag=a[call_number]
To: <sip:bob@[remote_ip]:[remote_port]>{tag}
Call-ID: [call_id]
CSeq: {cseq}
Contact: <sip:alice@[local_ip]:[local_port]>
Max-Forwards: 70
{more}Content-Length: {length}

{body}"""


def _request(method: str, cseq: int, uri: str, attributes: str, *, body: str = "", in_dialog: bool = True) -> str:
    head = HEAD.format(
        tag="[peer_tag_param]" if in_dialog else "",
        cseq=f"{cseq} {method}",
        more=("[routes]\n" if in_dialog else "") + ("Content-Type: application/sdp\n" if body else ""),
        length="[len]" if body else "0",
        body=body,
    )
    return f"<send {attributes}><![CDATA[\n\n{method} {uri} SIP/2.0\n{head}\n]]></send>"


def _reply(status: str, attributes: str, *, body: str = "", tagged: bool = True, routes: bool = True) -> str:
    lines = [
        f"SIP/2.0 {status}",
        "[last_Via:]",
        *(["[last_Record-Route:]"] if routes else []),
        "[last_From:]",
        "[last_To:];tag=b[call_number]" if tagged else "[last_To:]",
        "[last_Call-ID:]",
        "[last_CSeq:]",
        "Contact: <sip:bob@[local_ip]:[local_port]>",
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {'[len]' if body else '0'}\n\n{body}",
    ]
    text = "\n".join(lines)
    return f"<send {attributes}><![CDATA[\n\n{text}\n]]></send>"


def _scenario(*steps: str) -> str:
    body = "\n".join(steps)
    return f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="call">\n{body}\n</scenario>\n'


CALLER = _scenario(
    _request(
        "INVITE", 1, "sip:bob@[remote_ip]:[remote_port]", 'retrans="500" start_rtd="1"', body=SDP, in_dialog=False
    ),
    '<recv response="100" optional="true"/>',
    '<recv response="180" optional="true"/>',
    '<recv response="200" rtd="1" rrs="true"/>',
    _request("ACK", 1, "[next_url]", ""),
    _request("BYE", 2, "[next_url]", 'retrans="500"'),
    '<recv response="200"/>',
)
CALLEE = _scenario(
    '<recv request="INVITE"/>',
    _reply("180 Ringing", ""),
    _reply("200 OK", 'retrans="500"', body=SDP),
    '<recv request="ACK" optional="true"/>',
    '<recv request="BYE"/>',
    _reply("200 OK", "", tagged=False, routes=False),
    '<timewait milliseconds="4000"/>',
)


@dataclass
class Server:
    """Something that calls go through.  `command` makes its command of the port and the port of the callee."""

    name: str
    command: Callable[[int, int], list[str]]
    port: int = 0
    callee: int = 0
    process: subprocess.Popen[bytes] | None = None
    phone: subprocess.Popen[bytes] | None = None
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """What came of calls at one rate: microseconds of processor time and milliseconds to the 200, for each call."""

    rate: int
    calls: int
    failed: int
    repeated: int
    cost: float
    answer: float


def contestants(work: Path, venv: Path) -> list[Server]:
    def script(name: str, port: int, callee: int, more: str = "") -> str:
        path = work / f"{name}.cfg"
        path.write_text(SCRIPT.format(port=port, callee=callee, more=more))
        return str(path)

    def miscript(port: int, callee: int) -> list[str]:
        return [str(Path(sys.executable).with_name("miscript")), "run", script("miscript", port, callee)]

    def sippy(port: int, callee: int) -> list[str]:
        return [str(sippy_program(venv)), "-f", "-l", "127.0.0.1", "-p", str(port), "-n", f"127.0.0.1:{callee}"]

    def opensips(port: int, callee: int) -> list[str]:
        more = f'mpath = "{os.environ.get("OPENSIPS_MODULES", "")}/"\nudp_workers = 1\nstderror_enabled = yes'
        return [
            os.environ["OPENSIPS"],
            "-F",
            "-m",
            "512",
            "-f",
            script("opensips", port, callee, more),
            "-w",
            str(work),
        ]

    found = [Server("miscript", miscript), Server("sippy B2BUA", sippy)]
    return [*found, Server("OpenSIPS", opensips)] if os.environ.get("OPENSIPS") else found


def sippy_program(folder: Path) -> Path:
    """sippy's simple B2BUA, installed where it is not yet."""
    program = folder / "bin" / "b2bua_simple"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES], check=True, stderr=subprocess.DEVNULL)
    return program


@contextmanager
def running(server: Server, work: Path) -> Iterator[None]:
    """The server and its callee."""
    server.port, server.callee = free_port(), free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "SIPLOG_BEND": "none"}
    server.process = subprocess.Popen(
        server.command(server.port, server.callee), env=environment, start_new_session=True, **quiet
    )
    callee = ["sipp", "-sf", "callee.xml", "-i", "127.0.0.1", "-p", str(server.callee), "-nostdin"]
    server.phone = subprocess.Popen(callee, cwd=work, **quiet)
    try:
        time.sleep(2.0)
        yield
    finally:
        for process in (server.process, server.phone):
            process.send_signal(signal.SIGTERM if process is server.process else signal.SIGKILL)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def used(server: Server) -> float:
    """Processor seconds of a server, with those of its other processes."""
    assert server.process is not None
    own = server.process.pid
    total = processor_seconds(server.process)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(text[3]) == own and stat.parent.name != str(own):  # its session
            total += (int(text[11]) + int(text[12])) / os.sysconf("SC_CLK_TCK")
    return total


def call(server: Server, work: Path, rate: int, calls: int) -> Row:
    """Make calls at a rate."""
    before = used(server)
    statistics = work / "calls.csv"
    statistics.unlink(missing_ok=True)
    command = ["sipp", "-sf", "caller.xml", "-i", "127.0.0.1", "-p", str(free_port()), f"127.0.0.1:{server.port}"]
    command += ["-r", str(rate), "-m", str(calls), "-l", str(4 * rate), "-nostdin", "-timeout", f"{PATIENCE:.0f}s"]
    command += ["-trace_stat", "-stf", statistics.name, "-fd", "1"]
    quiet = subprocess.DEVNULL
    subprocess.run(command, cwd=work, stdout=quiet, stderr=quiet, timeout=2 * PATIENCE, check=False)
    spent = used(server) - before
    last = list(csv.DictReader(statistics.open(), delimiter=";"))[-1]
    done = int(last["SuccessfulCall(C)"])
    hours, minutes, seconds = last["ResponseTime1(C)"].split(":")[:3]
    micro = last["ResponseTime1(C)"].split(":")[3] if last["ResponseTime1(C)"].count(":") > 2 else "0"
    answer = (int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1000 + int(micro) / 1000
    return Row(
        rate, done, int(last["FailedCall(C)"]), int(last["Retransmissions(C)"]), spent / max(done, 1) * 1e6, answer
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="50,100,200,400,600,800")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "miscript-benchmark-sippy")
    arguments = parser.parse_args()
    if shutil.which("sipp") is None:
        raise SystemExit("sipp is not installed (Debian: apt install sip-tester)")
    rates = [int(rate) for rate in arguments.rates.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "caller.xml").write_text(CALLER)
        (work / "callee.xml").write_text(CALLEE)
        sippy_program(arguments.venv)
        servers = contestants(work, arguments.venv)
        for rate in rates:
            for server in servers:
                if server.rows and 10 * server.rows[-1].failed > server.rows[-1].calls:
                    continue
                with running(server, work):
                    call(server, work, 50, WARM_UP)
                    server.rows.append(call(server, work, rate, rate * arguments.seconds))
    report(servers)


def report(servers: list[Server]) -> None:
    """The tables of docs/performance.md."""
    print("| server | calls/s asked | calls done | failed | sent again | µs of processor a call | ms to the 200 |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for server in servers:
        for row in server.rows:
            print(
                f"| {server.name} | {row.rate} | {row.calls} | {row.failed} | {row.repeated} "
                f"| {row.cost:,.0f} | {row.answer:.1f} |"
            )
    ours = min(row.cost for row in servers[0].rows)
    for server in servers[1:]:
        best = min((row.cost for row in server.rows if row.calls), default=0.0)
        print(f"\n{server.name} needs {best / ours:.2f} times the processor time of miscript for a call")


if __name__ == "__main__":
    main()
