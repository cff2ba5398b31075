"""Broken scripts: what OpenSIPS 4.1 refuses, we refuse, and on the same line."""

import json
import re
import subprocess

import pytest

from miscript.host.embedding import check
from miscript.host.loading import Source
from recorded_scripts import PROGRAM, recorded

SCRIPTS = recorded("language-errors")
SERVER_GOES_ON = {"unclosed_comment"}
"""Only reported by the server, which then starts; recorded as `exit=running`."""


def verdict(script):
    """Whether the server refused it, and the line that it named, if any."""
    text = script.expected.decode()
    line = re.search(r"error=(\d+)", text)
    return "exit=255" in text, int(line[1]) if line else None


def lines_to_expect(script, last):
    """The lines on which the first error may stand: the server names the token behind the mistake.

    For what was left open the server names the place where it noticed, we may name the one where it was opened.
    """
    if "unclosed" in str(script):
        return range(1, last + 1)
    lines = script.text().splitlines()
    with_code = [n for n in range(1, last) if n <= len(lines) and lines[n - 1].split("#")[0].strip()]
    return range(max(with_code, default=1), last + 1)


def test_all_recordings_are_there():
    assert len(SCRIPTS) == 32


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_a_script_is_refused_where_opensips_refuses_it(script):
    refused, line = verdict(script)
    found = [d for d in check(Source(str(script.cfg), script.text())) if d.severity == "error"]
    assert bool(found) == refused, [d.one_line() for d in found]
    if refused and line is not None:
        assert found[0].span.line in lines_to_expect(script, line)
    assert all(d.code and d.message for d in found)


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["missing_semicolon", "unknown_function", "xlog_bad_level"])
def test_the_program_says_it_as_json(name, tmp_path):
    (script,) = (s for s in SCRIPTS if str(s) == name)
    path = tmp_path / script.cfg.name
    path.write_text(script.text())
    done = subprocess.run(
        [PROGRAM, "check", "--format", "json", path], capture_output=True, text=True, timeout=30, check=False
    )
    refused, line = verdict(script)
    assert done.returncode == (1 if refused else 0)
    errors = [found for found in json.loads(done.stdout) if found["severity"] == "error"]
    assert bool(errors) == refused
    if refused:
        assert errors[0]["line"] in lines_to_expect(script, line)
        keys = {"code", "severity", "message", "help", "file", "line", "column", "end_line", "end_column"}
        assert keys <= errors[0].keys()
