from datetime import UTC, date, datetime

import pytest

from documents.era import JST, jst_minute, wareki, wareki_padded
from documents.money import yen, yen_spaced


@pytest.mark.parametrize(
    ("day", "written", "padded"),
    [
        (date(2026, 11, 21), "令和8年11月21日", "令和08年11月21日"),
        (date(2026, 4, 1), "令和8年4月1日", "令和08年04月01日"),
        (date(2019, 5, 1), "令和元年5月1日", "令和元年05月01日"),
        (date(2019, 12, 31), "令和元年12月31日", "令和元年12月31日"),
        (date(2020, 1, 1), "令和2年1月1日", "令和02年01月01日"),
        (date(2019, 4, 30), "平成31年4月30日", "平成31年04月30日"),
        (date(1989, 1, 8), "平成元年1月8日", "平成元年01月08日"),
        (date(1989, 1, 7), "昭和64年1月7日", "昭和64年01月07日"),
        (date(1926, 12, 25), "昭和元年12月25日", "昭和元年12月25日"),
        (date(2028, 2, 29), "令和10年2月29日", "令和10年02月29日"),
    ],
)
def test_a_day_is_written_in_its_era(day: date, written: str, padded: str) -> None:
    assert wareki(day) == written
    assert wareki_padded(day) == padded


def test_a_day_before_the_first_era_is_refused() -> None:
    with pytest.raises(ValueError, match="1926-12-24"):
        wareki(date(1926, 12, 24))


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (datetime(2026, 11, 21, 0, 5, 59, tzinfo=UTC), "2026/11/21 09:05"),
        (datetime(2026, 12, 31, 15, 0, tzinfo=UTC), "2027/01/01 00:00"),
        (datetime(2026, 11, 21, 9, 5, tzinfo=JST), "2026/11/21 09:05"),
    ],
)
def test_a_moment_is_written_to_the_minute_in_japan(moment: datetime, written: str) -> None:
    assert jst_minute(moment) == written


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        jst_minute(datetime(2026, 11, 21, 0, 5, tzinfo=UTC).replace(tzinfo=None))


def test_amounts_have_commas_and_a_space_in_details() -> None:
    assert [yen(0), yen(999), yen(20_000_000)] == ["0円", "999円", "20,000,000円"]
    assert yen_spaced(20_000_000) == "20,000,000 円"
