"""FEE-6 to FEE-8: what a guarantee costs, bracket by bracket, by the table of the day."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import codes
from reference.errors import NoFeeRates, UnknownProduct
from reference.fees import FeeTable
from reference.reader import Reference

DAY = date(2026, 11, 20)


def a_table(minimum_yen: int | None = None) -> FeeTable:
    return FeeTable.model_validate(
        {
            "product": "performance",
            "from": date(2024, 4, 1),
            "minimum_yen": minimum_yen,
            "brackets": [
                {"up_to_yen": 1_000_000, "rate_percent": "0.500"},
                {"up_to_yen": 10_000_000, "rate_percent": "0.350"},
                {"rate_percent": "0.123"},
            ],
        }
    )


@pytest.mark.parametrize(
    ("amount_yen", "lines"),
    [
        (0, []),
        (1, [(1, 0)]),
        (999_999, [(999_999, 4_999)]),
        (1_000_000, [(1_000_000, 5_000)]),
        (1_000_001, [(1_000_000, 5_000), (1, 0)]),
        (10_000_000, [(1_000_000, 5_000), (9_000_000, 31_500)]),
        (10_000_001, [(1_000_000, 5_000), (9_000_000, 31_500), (1, 0)]),
        (10_000_813, [(1_000_000, 5_000), (9_000_000, 31_500), (813, 0)]),
        (10_000_814, [(1_000_000, 5_000), (9_000_000, 31_500), (814, 1)]),
    ],
)
def test_each_part_of_an_amount_has_the_rate_of_its_bracket(amount_yen: int, lines: list[tuple[int, int]]) -> None:
    fee = a_table().fee(amount_yen)

    assert [(line.base_yen, line.fee_yen) for line in fee.lines] == lines
    assert fee.fee_yen == sum(yen for _, yen in lines)


def test_a_line_names_its_rate_as_the_table_prints_it() -> None:
    assert [str(line.rate_percent) for line in a_table().fee(20_000_000).lines] == ["0.500", "0.350", "0.123"]


@pytest.mark.parametrize(("amount_yen", "fee_yen"), [(0, 2_000), (399_999, 2_000), (400_000, 2_000), (400_200, 2_001)])
def test_a_guarantee_costs_no_less_than_the_minimum(amount_yen: int, fee_yen: int) -> None:
    assert a_table(minimum_yen=2_000).fee(amount_yen).fee_yen == fee_yen


@given(st.integers(0, 10**15), st.integers(0, 10**12))
def test_the_lines_make_up_the_amount_and_more_costs_no_less(amount_yen: int, more_yen: int) -> None:
    fee = a_table().fee(amount_yen)

    assert sum(line.base_yen for line in fee.lines) == amount_yen
    assert fee.fee_yen == sum(line.fee_yen for line in fee.lines)
    assert fee.fee_yen <= a_table().fee(amount_yen + more_yen).fee_yen


def test_nothing_is_rounded_but_down() -> None:
    (line,) = a_table().fee(399_999).lines

    assert line.base_yen * line.rate_percent / 100 == Decimal("1999.995")
    assert line.fee_yen == 1_999


@pytest.mark.parametrize(("day", "rate"), [(date(2026, 3, 31), "0.400"), (date(2026, 4, 1), "0.380")])
def test_the_table_of_the_day_counts(day: date, rate: str, reference: Reference) -> None:
    fee = reference.surety("toto").fee(codes.ADVANCE_PAYMENT, 1_000_000, day)

    assert str(fee.lines[0].rate_percent) == rate


def test_both_sureties_have_rates_for_every_product_and_year_they_number(reference: Reference) -> None:
    for surety in reference.sureties.values():
        for product in codes.PRODUCTS:
            for row in surety.numbering:
                assert surety.fee(product, 10_000_000, date(row.fiscal_year, 4, 1)).fee_yen > 0


def test_there_is_no_fee_before_the_first_table_or_for_a_strange_product(reference: Reference) -> None:
    toto = reference.surety("toto")

    with pytest.raises(NoFeeRates) as missing:
        toto.fee(codes.PERFORMANCE, 1, date(2024, 3, 31))
    with pytest.raises(UnknownProduct):
        toto.fee("bid_bond", 1, DAY)

    assert (missing.value.product, missing.value.day) == (codes.PERFORMANCE, date(2024, 3, 31))
