"""How is a day written on a document, and a moment on a screen?"""

from datetime import date, datetime, timedelta, timezone
from typing import Final

#: Japan has had no summer time since 1951, so the offset is the zone.
JST: Final = timezone(timedelta(hours=9), "JST")

#: 元号 with its first day, the latest first.
_ERAS: Final = (
    ("令和", date(2019, 5, 1)),
    ("平成", date(1989, 1, 8)),
    ("昭和", date(1926, 12, 25)),
)


def wareki(day: date) -> str:
    """令和8年4月1日, as in prose; 元年 for an era's first year. A day before 昭和 is a ValueError."""
    era, year = _era(day)
    return f"{era}{year or '元'}年{day.month}月{day.day}日"


def wareki_padded(day: date) -> str:
    """令和08年04月01日, as on certificates (CERT-7); 元年 stays 元年."""
    era, year = _era(day)
    return f"{era}{f'{year:02}' if year else '元'}年{day.month:02}月{day.day:02}日"


def jst_minute(moment: datetime) -> str:
    """2026/11/21 09:05, the minute in Japan; never rounded up. A moment without a zone is a ValueError."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(JST).strftime("%Y/%m/%d %H:%M")


def _era(day: date) -> tuple[str, int | None]:
    """The era and the year in it; None for the first."""
    for name, first_day in _ERAS:
        if day >= first_day:
            year = day.year - first_day.year + 1
            return name, year if year > 1 else None
    raise ValueError(f"{day.isoformat()} lies before 昭和")
