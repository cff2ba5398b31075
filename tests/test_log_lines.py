"""The lines of the log: one for each thing that is said, whatever comes from outside."""

import logging
import signal
import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.log_lines import OneLine, one_line
from miscript.modules.acc import backends
from miscript.modules.acc.backends import LogWriter


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("nothing to do", "nothing to do"),
        ("Grüße, 日本", "Grüße, 日本"),
        ("a\ttab", "a\ttab"),
        ("a\r\nb", "a\\r\\nb"),
        ("\x1b[2Jgone\x07\x00", "\\x1b[2Jgone\\x07\\x00"),
        ("a\x85b\u2028c\u202ed", "a\\x85b\\u2028c\\u202ed"),
        ("\udcff", "\udcff"),
    ],
)
def test_what_ends_a_line_or_moves_a_cursor_is_escaped(text, line):
    assert one_line(text) == line


@given(st.text())
def test_any_text_becomes_one_line(text):
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line


def test_a_message_is_one_line_and_a_traceback_follows_it():
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.LogRecord("miscript", logging.ERROR, "f", 1, "from %s", ("a\nb",), sys.exc_info())
    first, *rest = OneLine("%(levelname)s %(message)s").format(record).splitlines()
    assert first == "ERROR from a\\nb"
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1] == "ValueError: broken"


def test_records_of_calls_are_one_line_in_the_log_of_the_system(tmp_path, monkeypatch):
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as system:
        system.bind(path)
        system.settimeout(5)
        monkeypatch.setattr(backends, "SYSLOG_SOCKET", path)
        writer = LogWriter(None, None, logging.ERROR, 0)
        writer.start()
        backends.log.error("%s", "ACC: call missed: from=a\nACC: forged")
        writer.stop()
        assert system.recv(1000).rstrip(b"\0").endswith(b"ACC: call missed: from=a\\nACC: forged")


SCRIPT = """
log_level=3
socket=udp:127.0.0.1:{port}
loadmodule "tm.so"
startup_route {{ xlog("begins\\n"); }}
route {{ $du = $rb; t_relay(); exit; }}
"""


@pytest.mark.e2e
def test_who_sends_a_message_writes_no_lines_of_the_log(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = tmp_path / "script.cfg"
    script.write_text(SCRIPT.format(port=port))
    run = [sys.executable, "-c", "from miscript.cli import main; main()", "run", str(script)]
    body = "sip:nowhere.invalid\n12:00:00 CRITICAL miscript: forged\x1b[2J"
    message = (
        f"MESSAGE sip:bob@127.0.0.1:{port} SIP/2.0\r\nMax-Forwards: 9\r\n"
        "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKlog\r\n"
        f"From: <sip:a@b>;tag=a\r\nTo: <sip:a@b>\r\nCall-ID: log\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as host:
        assert host.stdout.readline() == "begins\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.sendto(message.encode(), ("127.0.0.1", port))
        said = next(line for line in host.stderr if "forged" in line)
        host.send_signal(signal.SIGTERM)
        host.communicate(timeout=20)
    assert "CRITICAL" not in said.partition("miscript")[0]
    assert "\\n12:00:00 CRITICAL miscript: forged\\x1b[2J" in said
