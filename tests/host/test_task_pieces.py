"""Pieces of work that mostly do not wait: one task for all of them, its own for each that waits."""

import asyncio

from miscript.host.tasks import TaskTable
from miscript.testing import ManualClock


def played(play):
    tasks = TaskTable(ManualClock())

    async def whole():
        try:
            return await play(tasks)
        finally:
            await tasks.stop()

    return asyncio.run(whole()), tasks


def test_pieces_that_do_not_wait_are_done_by_one_task_in_their_order():
    async def play(tasks):
        seen = []

        async def piece(number):
            seen.append((number, asyncio.current_task()))

        for number in range(5):
            tasks.soon(piece(number), "a piece")
            if number % 2:
                await tasks.idle(None)
        await tasks.idle(None)
        return seen

    seen, tasks = played(play)
    assert [number for number, _ in seen] == [0, 1, 2, 3, 4]
    assert len({task for _, task in seen}) == 1
    assert tasks.busy() == []


def test_a_piece_that_waits_holds_nobody_up_and_can_have_time_limits():
    async def play(tasks):
        seen, gate = [], asyncio.Event()

        async def waiting():
            async with asyncio.timeout(10):
                await gate.wait()
            seen.append("waited")

        async def quick():
            seen.append("quick")

        tasks.soon(waiting(), "a wait")
        tasks.soon(quick(), "a piece")
        await asyncio.sleep(0.01)
        assert tasks.busy() == ["a wait"]
        gate.set()
        assert await tasks.idle(None)
        return seen

    assert played(play)[0] == ["quick", "waited"]


def test_what_a_piece_waits_for_may_fail_or_be_cut_short():
    async def play(tasks):
        seen = []

        async def piece():
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(60)
            except TimeoutError:
                seen.append("late")
            await asyncio.sleep(0)
            seen.append("on")

        tasks.soon(piece(), "a piece")
        await tasks.idle(None)
        return seen

    assert played(play)[0] == ["late", "on"]


def test_a_piece_that_fails_is_counted_and_the_next_one_done(caplog):
    async def play(tasks):
        seen = []

        async def wrong(waits):
            if waits:
                await asyncio.sleep(0)
            raise ValueError("no")

        async def right():
            seen.append("right")

        tasks.soon(wrong(False), "the first")
        tasks.soon(wrong(True), "the second")
        tasks.soon(right(), "the third")
        await tasks.idle(None)
        return seen

    seen, tasks = played(play)
    assert seen == ["right"]
    assert tasks.failures == 2
    assert [record.getMessage() for record in caplog.records] == ["the first failed", "the second failed"]


def test_the_end_of_the_host_ends_pieces_that_wait_and_those_that_have_not_begun():
    async def play(tasks):
        seen = []

        async def waiting():
            try:
                await asyncio.sleep(60)
            finally:
                seen.append("ended")

        async def late():
            seen.append("late")

        tasks.soon(waiting(), "a wait")
        await asyncio.sleep(0.01)
        tasks.soon(late(), "a piece")
        await tasks.stop()
        return seen

    assert played(play)[0] == ["ended"]


def test_what_comes_while_the_host_ends_is_dropped():
    async def play(tasks):
        seen = []

        async def piece():
            seen.append("done")

        tasks.soon(piece(), "a piece")
        await asyncio.sleep(0.01)
        end = asyncio.ensure_future(tasks.stop())
        await asyncio.sleep(0)
        tasks.soon(piece(), "a piece that is late")
        await end
        return seen

    seen, tasks = played(play)
    assert seen == ["done"] and tasks.busy() == []
