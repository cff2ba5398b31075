"""Tests that are coroutines run in a loop of their own: the one that `miscript run` uses.

With MISCRIPT_NO_SKIPS in the environment a skipped test fails the whole run: on a machine that has everything no
test may slip away.  Property tests then try the same examples each time; elsewhere they look for new ones.  How long an
example takes is of no account, as other tests and servers run beside.
"""

import asyncio
import inspect
import logging
import os

import pytest
import uvloop
from hypothesis import HealthCheck, settings

settings.register_profile(
    "miscript",
    deadline=None,
    derandomize="MISCRIPT_NO_SKIPS" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("miscript")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(autouse=True)
def the_log_stays_as_it_was():
    """A host sets the level of the log, and the command line writes it to standard error; tests share one process."""
    log = logging.getLogger("miscript")
    level, handlers = log.level, log.handlers.copy()
    yield
    log.setLevel(level)
    log.handlers[:] = handlers


def pytest_sessionfinish(session):
    if os.environ.get("MISCRIPT_NO_SKIPS") and skipped(session.config) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    if os.environ.get("MISCRIPT_NO_SKIPS"):
        for report in skipped(config):
            terminalreporter.write_line(f"SKIPPED, which is not allowed here: {report.nodeid}: {report.longrepr[2]}")


def skipped(config):
    return config.pluginmanager.get_plugin("terminalreporter").stats.get("skipped", [])
