"""The host's log on standard error: faults of a script are told with their line."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

from miscript.cli.log_output import InScript

SCRIPT = """
loadmodule "mi_script.so"
loadmodule "cfgutils.so"
startup_route {
    $var(x) = $var(none) + 1;
    route(inner);
    mi("cache_store nowhere a b",
        $var(r));
    usleep(1);
    async(usleep(1), later);
}
route[inner] { cache_store("nowhere", "a", "b"); }
route[later] { $var(x) = 1 / 0; launch(usleep(1), last); }
route[last] { usleep(1); $var(x) = 1 % 0; }
"""


def test_what_a_route_complains_about_has_its_line(tmp_path):
    (tmp_path / "test.cfg").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "miscript", "run", "test.cfg", "--once"],
        check=False, capture_output=True, text=True, timeout=30, cwd=tmp_path, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert [line.split(" ", 1)[1] for line in done.stderr.splitlines()] == [
        "ERROR miscript.script: '+' cannot take NULL and integer (test.cfg:5)",
        "ERROR miscript.cache: cache_store: there is no cache 'nowhere' (test.cfg:12)",
        "ERROR miscript.cache: cache:store: there is no cache 'nowhere' (test.cfg:7)",
        "ERROR miscript.script: division by zero (test.cfg:13)",
        "ERROR miscript.script: modulo by zero (test.cfg:14)",
    ]


def said(level: int) -> str:
    """What a function that a script calls at its line 3 logs."""
    record = logging.LogRecord("miscript.test", level, __file__, 1, "it is %s", ("so",), None)
    space = {"format": lambda: InScript("%(message)s").format(record)}
    exec(compile("\n\nanswer = format()", "folder/a.cfg", "exec"), space)
    return str(space["answer"])


def test_only_complaints_have_a_line():
    assert said(logging.WARNING) == "it is so (folder/a.cfg:3)"
    assert said(logging.INFO) == "it is so"


def test_what_no_script_has_caused_has_none():
    record = logging.LogRecord("miscript.test", logging.ERROR, __file__, 1, "it is so", None, None)
    assert InScript("%(message)s").format(record) == "it is so"
