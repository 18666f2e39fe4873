"""What a guarantee costs (保証料): rate tables by day, progressive by bracket. Whole yen, rounded down line by line."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from reference import codes
from reference.fields import Day, Product, Yen, repeated


def _three_decimals(percent: Decimal) -> Decimal:
    if percent.as_tuple().exponent != -3:  # noqa: PLR2004 - as the tables print it
        raise ValueError('must be written with three decimals, as in "0.350"')
    return percent


Rate = Annotated[Decimal, Field(gt=0, le=100), AfterValidator(_three_decimals)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class FeeLine:
    """The part of an amount that lies in one bracket."""

    base_yen: int
    rate_percent: Decimal
    fee_yen: int


@dataclass(frozen=True, slots=True)
class Fee:
    """保証料 of one guarantee. More than its lines add up to where the table's minimum is."""

    lines: tuple[FeeLine, ...]
    fee_yen: int


class Bracket(_Record):
    """One step of a table: this rate for what lies above the bracket before, up to and with `up_to_yen`."""

    #: None for the last: no upper end.
    up_to_yen: Yen | None = None
    rate_percent: Rate


class FeeTable(_Record):
    """The rates of one product, from a day until the next table's."""

    product: Product
    from_day: Day = Field(alias="from")
    #: The least that a guarantee costs, if there is a least.
    minimum_yen: Yen | None = None
    brackets: Annotated[tuple[Bracket, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _brackets_ascend(self) -> Self:
        if self.brackets[-1].up_to_yen is not None:
            raise ValueError("the last bracket must be without up_to_yen")
        ends = [bracket.up_to_yen for bracket in self.brackets[:-1]]
        if None in ends:
            raise ValueError("only the last bracket is without up_to_yen")
        if any(lower >= upper for lower, upper in pairwise(end or 0 for end in ends)):
            raise ValueError("up_to_yen must ascend")
        return self

    def fee(self, amount_yen: int) -> Fee:
        lines = tuple(self._lines(amount_yen))
        return Fee(lines, max(sum(line.fee_yen for line in lines), self.minimum_yen or 0))

    def _lines(self, amount_yen: int) -> Iterable[FeeLine]:
        below = 0
        for bracket in self.brackets:
            upper = amount_yen if bracket.up_to_yen is None else min(amount_yen, bracket.up_to_yen)
            if upper > below:
                fee = (upper - below) * bracket.rate_percent / 100
                yield FeeLine(upper - below, bracket.rate_percent, int(fee.to_integral_value(ROUND_FLOOR)))
                below = upper


def table_on(tables: Iterable[FeeTable], product: str, day: date) -> FeeTable | None:
    """The table in force on a day, of tables whose days ascend."""
    return next(
        (table for table in reversed(tuple(tables)) if table.product == product and table.from_day <= day), None
    )


def check_tables(tables: tuple[FeeTable, ...], first_day: date | None) -> tuple[FeeTable, ...]:
    """Refuse tables out of order, and a product without rates on the first day that needs them."""
    for product in codes.PRODUCTS:
        days = [table.from_day for table in tables if table.product == product]
        if not days:
            raise ValueError(f"no rates for {product}")
        if twice := repeated(day.isoformat() for day in days):
            raise ValueError(f"{product} more than once from {', '.join(twice)}")
        if days != sorted(days):
            raise ValueError(f"{product}: the tables are not in order")
        if first_day is not None and days[0] > first_day:
            raise ValueError(f"numbers from {first_day.isoformat()}, but no rates for {product} before {days[0]}")
    return tables
