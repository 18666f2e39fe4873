"""FORM-4 and FORM-5: the ratio beside an amount."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain import check, ratio_percent
from services.intake.handlers import FORM
from tests.support.builders import an_application_form

YEN = st.integers(1, 10**13)


def ratio(amount_yen, price_yen, fiscal_year_amount_yen=None, product="advance_payment"):
    return ratio_percent(
        product, amount_yen=amount_yen, price_yen=price_yen, fiscal_year_amount_yen=fiscal_year_amount_yen
    )


@pytest.mark.parametrize(
    ("amount_yen", "expected"),
    [
        (4000, "40.0"),
        (4004, "40.0"),
        (4005, "40.1"),
        (4014, "40.1"),
        (4015, "40.2"),
        (5, "0.1"),
        (4, "0.0"),
        (9995, "100.0"),
    ],
)
def test_a_half_goes_up(amount_yen, expected):
    assert ratio(amount_yen, 10_000) == expected


@pytest.mark.parametrize(("amount_yen", "expected"), [(8009, "40.0"), (8010, "40.1")])
def test_the_advance_payments_ratio_is_to_the_fiscal_years_amount_if_given(amount_yen, expected):
    assert ratio(amount_yen, 1, fiscal_year_amount_yen=20_000) == expected


@pytest.mark.parametrize("product", ["performance", "interim_payment"])
def test_the_others_ratio_is_to_the_price_always(product):
    assert ratio(1005, 10_000, fiscal_year_amount_yen=1, product=product) == "10.1"


@given(YEN, YEN)
def test_the_ratio_is_never_further_off_than_half_a_tenth(amount_yen, whole):
    exact = Decimal(amount_yen) * 100 / Decimal(whole)

    assert abs(Decimal(ratio(amount_yen, whole)) - exact) <= Decimal("0.05")


@given(YEN, YEN)
def test_the_ratio_has_one_decimal(amount_yen, whole):
    before, _, after = ratio(amount_yen, whole).partition(".")

    assert before.isdecimal()
    assert len(after) == 1


@pytest.mark.parametrize(("amount_yen", "rules"), [(99_999_999, []), (100_000_000, ["A3"])])
def test_a_ratio_that_no_event_can_carry_is_refused_by_its_amount(amount_yen, rules, reference):
    form = an_application_form(works__price_yen=1_000, products__advance_payment__amount_yen=amount_yen)

    assert [fault.rule for fault in check(FORM.validate_python(form, strict=False), reference)] == rules
