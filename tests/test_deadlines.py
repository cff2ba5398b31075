"""Deadlines: calls in the order of their times, on a clock that is moved by hand."""

import asyncio

from miscript.deadlines import Deadlines
from miscript.testing import ManualClock


async def test_calls_come_in_order_and_an_earlier_one_wakes_the_sleeper():
    clock, called = ManualClock(), []
    deadlines = Deadlines(clock)
    sleeper = asyncio.ensure_future(deadlines.run())
    deadlines.after(10, lambda: called.append("late"))
    await clock.settle()
    deadlines.after(1, lambda: called.append("early"))
    gone = deadlines.after(2, lambda: called.append("never"))
    gone.cancel()
    await clock.advance(5)
    assert called == ["early"]
    await clock.advance(5)
    assert called == ["early", "late"]
    sleeper.cancel()


async def test_one_that_fails_does_not_hold_the_others_up(caplog):
    clock, called = ManualClock(), []
    deadlines = Deadlines(clock)
    sleeper = asyncio.ensure_future(deadlines.run())
    deadlines.after(1, lambda: 1 / 0)
    deadlines.after(1, lambda: called.append("other"))
    await clock.advance(1)
    assert called == ["other"]
    assert "ZeroDivisionError" in caplog.text
    sleeper.cancel()


def test_cancelled_ones_do_not_pile_up():
    deadlines = Deadlines(ManualClock())
    for _ in range(20_000):
        deadlines.after(30, lambda: None).cancel()
    assert len(deadlines) < 3000
