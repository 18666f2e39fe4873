"""What time is it, and what day is that in Japan?"""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Protocol

#: Japan has had no summer time since 1951, so the offset is the zone.
JST = timezone(timedelta(hours=9), "JST")


class Clock(Protocol):
    def now(self) -> datetime:
        """The present, in UTC, to the millisecond: what JSON, PostgreSQL and people can all hold unchanged."""
        ...


class SystemClock:
    def now(self) -> datetime:
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


def day_in_japan(moment: datetime) -> date:
    return moment.astimezone(JST).date()
