"""What a purchaser and a surety are, and what they answer about a day, a product or a branch."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from reference import codes
from reference.errors import NoNumberingBlocks, NoOfficerOn, UnknownBranch, UnknownProduct


def fiscal_year(day: date) -> int:
    """Return the fiscal year (年度) a day belongs to: April to March, named after its April."""
    return day.year if day.month >= 4 else day.year - 1


def _first_day(year: int) -> date:
    return date(year, 4, 1)


def _one_of(known: Collection[str]) -> AfterValidator:
    def check(code: str) -> str:
        if code not in known:
            raise ValueError(f"{code!r} is not one of {', '.join(sorted(known))}")
        return code

    return AfterValidator(check)


def _no_repeats(values: tuple[str, ...]) -> tuple[str, ...]:
    if repeated := _repeated(values):
        raise ValueError(f"listed twice: {', '.join(repeated)}")
    return values


def _repeated(values: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return sorted({value for value in values if value in seen or seen.add(value)})  # type: ignore[func-returns-value]


def _percentage(value: Decimal) -> Decimal:
    if not 0 < value <= 100:
        raise ValueError("must be above 0 and at most 100")
    if value.as_tuple().exponent != -1:
        raise ValueError('must be written with one decimal, as in "40.0"')
    return value


type_id = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
