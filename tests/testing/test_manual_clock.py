"""Time that tests move by hand."""

import asyncio

import pytest

from miscript.testing import ManualClock


async def test_sleepers_wake_in_the_order_of_their_times():
    clock, woken = ManualClock(), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    tasks = [asyncio.ensure_future(sleeper(seconds)) for seconds in (3, 1, 2, 20)]
    await clock.advance(10)
    assert woken == [(1, 1), (2, 2), (3, 3)]
    assert clock.monotonic() == 10
    await clock.advance(10)
    assert woken[-1] == (20, 20)
    await asyncio.gather(*tasks)


async def test_those_who_sleep_until_one_moment_wake_in_the_order_they_went_to_sleep():
    clock, woken = ManualClock(), []

    async def sleeper(name):
        await clock.sleep(1)
        woken.append(name)

    tasks = [asyncio.ensure_future(sleeper(name)) for name in "abc"]
    await clock.advance(1)
    await asyncio.gather(*tasks)
    assert woken == ["a", "b", "c"]


async def test_who_sleeps_again_is_woken_again_in_one_advance():
    clock, ticks = ManualClock(), []

    async def ticker():
        while True:
            await clock.sleep(0.5)
            ticks.append(clock.monotonic())

    task = asyncio.ensure_future(ticker())
    await clock.advance(2)
    task.cancel()
    assert ticks == [0.5, 1.0, 1.5, 2.0]


async def test_time_stands_still_while_nobody_moves_it():
    clock = ManualClock(start=1_000)
    sleeper = asyncio.ensure_future(clock.sleep(0.001))
    await asyncio.sleep(0.01)
    assert not sleeper.done()
    assert (clock.time(), clock.monotonic()) == (1_000, 0)
    sleeper.cancel()


async def test_the_time_of_day_moves_with_the_clock():
    clock = ManualClock(start=1_000)
    await clock.advance(90)
    assert clock.time() == 1_090


async def test_until_lets_as_much_time_pass_as_is_needed_and_no_more():
    clock = ManualClock()
    later = asyncio.ensure_future(clock.sleep(100))

    async def work():
        await clock.sleep(5)
        await clock.sleep(2)
        return "done"

    assert await clock.until(work()) == "done"
    assert clock.monotonic() == 7
    later.cancel()


async def test_until_waits_for_what_takes_real_time():
    clock = ManualClock()
    assert await clock.until(asyncio.to_thread(lambda: "from a thread")) == "from a thread"


async def test_until_gives_up_on_what_never_ends():
    clock = ManualClock()
    with pytest.raises(TimeoutError):
        await clock.until(asyncio.Event().wait(), patience=0.05)


async def test_an_exception_comes_out_of_until():
    clock = ManualClock()

    async def fails():
        await clock.sleep(1)
        raise LookupError("as it is")

    with pytest.raises(LookupError, match="as it is"):
        await clock.until(fails())


async def test_a_deadline_passes_when_the_clock_passes_it():
    clock = ManualClock()

    async def work():
        async with clock.timeout(3):
            await clock.sleep(10)

    task = asyncio.ensure_future(work())
    await clock.advance(2)
    assert not task.done()
    await clock.advance(1)
    with pytest.raises(TimeoutError):
        await task
    assert clock.next_due is None


async def test_a_deadline_that_is_kept_leaves_nothing_behind():
    clock = ManualClock()

    async def work():
        async with clock.timeout(3):
            await clock.sleep(1)
        await clock.sleep(5)
        return "kept"

    assert await clock.until(work()) == "kept"
    async with clock.timeout(None):
        pass
    assert clock.next_due is None


async def test_a_sleeper_that_is_cancelled_does_not_hold_the_clock():
    clock = ManualClock()
    sleeper = asyncio.ensure_future(clock.sleep(5))
    await clock.settle()
    assert clock.next_due == 5
    sleeper.cancel()
    await clock.settle()
    assert clock.next_due is None


async def test_time_does_not_go_back():
    with pytest.raises(ValueError, match="does not go back"):
        await ManualClock().advance(-1)
