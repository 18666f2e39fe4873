"""Liveness is one's own progress; a day is a day in Japan."""

import contextlib
import gc
from datetime import UTC, date, datetime

import pytest

from chassis.clock import SystemClock, day_in_japan
from chassis.lifecycle import Progress, settled


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
