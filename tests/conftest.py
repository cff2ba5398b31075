"""Tests that are coroutines run in a loop of their own: the one that `miscript run` uses."""

import asyncio
import inspect
import logging

import pytest
import uvloop


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
