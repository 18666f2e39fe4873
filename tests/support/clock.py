"""A clock that goes when it is told to; and how to wait for the other one."""

from datetime import UTC, datetime, timedelta

from chassis.clock import SystemClock
from tests.support.waiting import eventually

#: 2026-11-20 12:00 in Japan: contracts of 2026-04-01 and later are behind it, blocks of 2026 are in use.
NOON = datetime(2026, 11, 20, 3, tzinfo=UTC)


class StoppedClock:
    def __init__(self, at: datetime = NOON) -> None:
        self._now = at

    def now(self) -> datetime:
        return self._now

    def pass_(self, **time: float) -> None:
        self._now += timedelta(**time)


async def the_clock_moves_on() -> None:
    """Until what happens now has a later time than what happened before."""
    before = SystemClock().now()
    await eventually(lambda: SystemClock().now() > before)
