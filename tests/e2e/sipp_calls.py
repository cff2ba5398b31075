"""sipp as a phone on both sides of a proxy: scenarios written here, run one call or many, and what came of them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOON = 30.0
"""Seconds after which a test gives up."""

HEAD = """\
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:alice@[local_ip]:[local_port]>;tag=a[call_number]
To: <sip:{to}@[remote_ip]:[remote_port]>{tag}
Call-ID: [call_id]
CSeq: {cseq}
Contact: <sip:alice@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
{more}Content-Length: 0

"""


def needs_sipp() -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        shutil.which("sipp") is None and not os.environ.get("MISCRIPT_NO_SKIPS"),
        reason="there is no sipp (Debian: sip-tester)",
    )


# -- scenarios ------------------------------------------------------------------------------------------------------


def _send(text: str, attributes: str = "") -> str:
    return f"<send {attributes}><![CDATA[\n\n{text}\n]]></send>"


def request(method: str, cseq: int, *, to: str = "bob", uri: str | None = None, in_dialog: bool = False) -> str:
    """A request of the caller; in a dialog it goes to the Contact, by the recorded routes."""
    line = f"{method} {uri or (f'sip:{to}@[remote_ip]:[remote_port]' if not in_dialog else '[next_url]')} SIP/2.0\n"
    number = 1 if method in ("ACK", "CANCEL") else cseq
    more = "[routes]\n" if in_dialog else ""
    head = HEAD.format(to=to, tag="[peer_tag_param]" if in_dialog else "", cseq=f"{number} {method}", more=more)
    return _send(line + head, "" if method == "ACK" else 'retrans="500"')


def hop_request(method: str, back: int, to: str = "bob") -> str:
    """The CANCEL of an INVITE, or the ACK of its negative reply: with the branch of the INVITE `back` steps before."""
    line = f"{method} sip:{to}@[remote_ip]:[remote_port] SIP/2.0\n"
    tag = "[peer_tag_param]" if method == "ACK" else ""
    return _send(
        line + HEAD.format(to=to, tag=tag, cseq=f"1 {method}", more="").replace("[branch]", f"[branch-{back}]"),
        "" if method == "ACK" else 'retrans="500"',
    )


def expect(code: int, *, optional: bool = False, rrs: bool = False) -> str:
    return f'<recv response="{code}" optional="{_word(optional)}" rrs="{_word(rrs)}"/>'


def expect_request(method: str, *, rrs: bool = False) -> str:
    return f'<recv request="{method}" rrs="{_word(rrs)}"/>'


def _word(value: bool) -> str:
    return "true" if value else "false"


def answer(code: int, reason: str, *, retrans: bool = False, routes: bool = False, cseq: str = "[last_CSeq:]") -> str:
    """A reply to the last request."""
    record = "[last_Record-Route:]\n" if routes else ""
    text = (
        f"SIP/2.0 {code} {reason}\n[last_Via:]\n{record}[last_From:]\n[last_To:];tag=b[call_number]\n[last_Call-ID:]\n"
        f"{cseq}\nContact: <sip:bob@[local_ip]:[local_port];transport=[transport]>\nContent-Length: 0\n\n"
    )
    return _send(text, 'retrans="500"' if retrans else "")


def answer_in_dialog(code: int, reason: str) -> str:
    text = (
        f"SIP/2.0 {code} {reason}\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n"
        "Content-Length: 0\n\n"
    )
    return _send(text)


def pause(milliseconds: int) -> str:
    return f'<pause milliseconds="{milliseconds}"/>'


def scenario(*steps: str) -> str:
    body = "\n".join(steps)
    return f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="test">\n{body}\n</scenario>\n'


CALLER = scenario(
    request("INVITE", 1),
    expect(100, optional=True),
    expect(180, optional=True),
    expect(200, rrs=True),
    request("ACK", 1, in_dialog=True),
    request("BYE", 2, in_dialog=True),
    expect(200),
)
CALLEE = scenario(
    expect_request("INVITE"),
    answer(180, "Ringing", routes=True),
    answer(200, "OK", retrans=True, routes=True),
    expect_request("ACK"),
    expect_request("BYE"),
    answer_in_dialog(200, "OK"),
    # a BYE that comes again while its answer is lost
    '<timewait milliseconds="1000"/>',
)


# -- running --------------------------------------------------------------------------------------------------------


def free_port() -> int:
    """A port that is free for UDP and TCP now, and its neighbour too."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < 65000 and all(_is_free(port + n) for n in range(2)):
            return port


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


@dataclass
class Proxy:
    """`miscript run` with a script; `output` is what it printed once it has ended."""

    port: int
    process: subprocess.Popen[bytes]
    output: str = ""
    log: str = ""


@contextmanager
def proxy(script: str, folder: Path, port: int):
    """Run a script that listens at `port` until the end of the `with`."""
    path = folder / "proxy.cfg"
    path.write_text(script)
    program = [sys.executable, "-c", "from miscript.cli import main; main()", "run", str(path)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    running = Proxy(port, process)
    try:
        _wait_for(port, process)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            out, err = process.communicate(timeout=SOON)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        running.output, running.log = out.decode(), err.decode()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SOON
    while process.poll() is None and time.monotonic() < end:
        if not _is_free(port):
            return
        time.sleep(0.02)
    raise AssertionError(f"the proxy does not start: {process.stderr.read().decode() if process.stderr else ''}")


def sipp(folder: Path, name: str, text: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start sipp with a scenario."""
    path = folder / f"{name}.xml"
    path.write_text(text)
    log = folder / f"{name}.log"
    return subprocess.Popen(
        ["sipp", "-sf", str(path), "-i", "127.0.0.1", "-nostdin", "-trace_err", "-error_file", str(log), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )


@contextmanager
def phone(folder: Path, name: str, text: str, port: int, *arguments: str):
    """A callee at `port` until the end of the `with`; it must have been content with all its calls."""
    process = sipp(folder, name, text, "-p", str(port), *arguments)
    end = time.monotonic() + SOON
    while _is_free(port) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGUSR1)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def call(folder: Path, text: str, target: int, *arguments: str, calls: int = 1, name: str = "caller") -> str:
    """Make calls; gives what sipp complained of, empty when all of them went as the scenario says."""
    process = sipp(
        folder, name, text, f"127.0.0.1:{target}", "-m", str(calls), "-timeout", "25s", "-timeout_error", *arguments
    )
    code = process.wait(SOON)
    log = folder / f"{name}.log"
    complaint = log.read_text(errors="replace") if log.exists() else ""
    return "" if code == 0 else f"sipp ended with {code}: {complaint}"
