"""Liveness is one's own progress; a day is a day in Japan."""

import asyncio
import contextlib
import gc
from datetime import UTC, date, datetime

import pytest
from structlog.testing import capture_logs

from chassis.clock import SystemClock, day_in_japan
from chassis.lifecycle import EXIT_BROKEN, Background, Progress, settled, watch
from tests.support.waiting import eventually


@pytest.fixture
def at(monkeypatch):
    def set_(seconds):
        monkeypatch.setattr("chassis.lifecycle.time.monotonic", lambda: seconds)

    set_(0.0)
    return set_


def test_what_never_began_is_not_stale(at):
    progress = Progress("relay", stale_after_seconds=10)
    at(1000.0)

    assert not progress.is_stale


def test_what_does_not_move_for_too_long_is_stale(at):
    progress = Progress("relay", stale_after_seconds=10)
    progress.beat()
    at(10.0)
    assert not progress.is_stale

    at(10.1)
    assert progress.is_stale


def test_what_rests_may_be_silent(at):
    progress = Progress("relay", stale_after_seconds=10)
    progress.beat()
    progress.rest()
    at(1000.0)

    assert not progress.is_stale


class Ended(BaseException):
    """Instead of the process."""


@pytest.fixture
def exits(monkeypatch):
    """With which codes the process would have ended."""
    codes = []

    def exit_(code):
        codes.append(code)
        raise Ended

    monkeypatch.setattr("chassis.lifecycle.os._exit", exit_)
    return codes


async def nothing():
    pass


async def fails():
    raise ZeroDivisionError


async def is_cancelled_by_a_library():
    raise asyncio.CancelledError


@pytest.mark.parametrize("work", [nothing, fails, is_cancelled_by_a_library])
async def test_background_work_that_ends_by_itself_ends_the_process(exits, work):
    # What takes the place of the process's end is raised in a callback.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    background = Background()

    background.start("work", work())

    await eventually(lambda: exits == [EXIT_BROKEN])


async def test_background_work_that_may_end_and_what_is_stopped_end_nothing(exits):
    background = Background()
    background.start("once", nothing(), ends=True)
    background.start("for ever", asyncio.Event().wait())
    await eventually(lambda: "once" not in {task.get_name() for task in asyncio.all_tasks()})

    await background.stop()

    assert exits == []


async def test_a_part_that_hangs_ends_the_process(exits):
    moves, hangs = Progress("moves", stale_after_seconds=60), Progress("hangs", stale_after_seconds=0)
    moves.beat()
    hangs.beat()

    with pytest.raises(Ended), capture_logs() as told:
        await watch([moves, hangs], every_seconds=0.001)

    assert exits == [EXIT_BROKEN]
    assert told == [{"event": "background.hangs", "parts": ["hangs"], "log_level": "critical"}]


async def test_who_was_frozen_and_moves_again_is_not_ended(exits):
    progress = Progress("relay", stale_after_seconds=0)
    looked = []

    class Thawed(list):
        def __iter__(self):
            looked.append(progress.is_stale)
            yield from super().__iter__()
            progress.rest()

    progress.beat()
    watching = asyncio.create_task(watch(Thawed([progress]), every_seconds=0.001))
    await eventually(lambda: len(looked) > 2)
    watching.cancel()

    assert looked[:2] == [True, False]
    assert exits == []


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 3, 31, 14, 59, 59, tzinfo=UTC), date(2026, 3, 31)),
        (datetime(2026, 3, 31, 15, tzinfo=UTC), date(2026, 4, 1)),
    ],
)
def test_a_day_begins_at_midnight_in_japan(moment, day):
    assert day_in_japan(moment) == day


def test_the_clock_tells_whole_milliseconds_in_utc():
    now = SystemClock().now()

    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0


def test_cycles_are_looked_for_as_before_when_the_work_has_failed():
    before = gc.get_threshold()

    with contextlib.suppress(ZeroDivisionError), settled():
        assert gc.get_threshold() != before
        raise ZeroDivisionError

    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
