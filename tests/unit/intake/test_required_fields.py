"""Section 3 of docs/domain.md: what may not be left out, under which id."""

import pytest

from services.intake import domain
from services.intake.handlers import FORM
from tests.support.builders import LEFT_OUT, a_performance, an_application_form, an_e_net_form


def faults(document, reference):
    return [
        (fault.field, fault.rule) for fault in domain.check(FORM.validate_python(document, strict=False), reference)
    ]


PERFORMANCE = {"products__performance": a_performance()}
INTERIM = {"products__interim_payment": a_performance()}


def test_the_form_of_tochigi_breaks_no_rule(reference):
    assert faults(an_application_form(), reference) == []


def test_the_form_of_e_net_breaks_no_rule(reference):
    assert faults(an_e_net_form(), reference) == []


def test_all_three_products_fit_on_one_form(reference):
    assert faults(an_application_form(**PERFORMANCE, **INTERIM), reference) == []


@pytest.mark.parametrize(
    ("field", "rule", "others"),
    [
        ("surety_id", "C1", {}),
        ("branch_id", "C1", {}),
        ("works.name", "FORM-9", {}),
        ("works.kind", "FORM-9", {}),
        ("works.purchaser_id", "FORM-9", {}),
        ("works.price_yen", "FORM-9", {}),
        ("works.contract_date", "FORM-9", {}),
        ("works.term_from", "FORM-9", {}),
        ("works.term_to", "FORM-9", {}),
        ("mail_address", "C3", {}),
        ("products.advance_payment.form", "A1", {}),
        ("products.advance_payment.amount_yen", "A3", {}),
        ("products.advance_payment.redeposit", "A5", {}),
        ("products.advance_payment.deposit_bank", "A4", {}),
        ("products.advance_payment.fee_payment_method", "A6", {}),
        ("products.advance_payment.fee_bill_to", "A7", {}),
        ("products.advance_payment.fee_statement_on_paper", "A8", {}),
        ("products.interim_payment.form", "I1", INTERIM),
        ("products.interim_payment.amount_yen", "I3", INTERIM),
        ("products.interim_payment.fee_payment_method", "I6", INTERIM),
        ("products.interim_payment.fee_bill_to", "I7", INTERIM),
        ("products.interim_payment.fee_statement_on_paper", "I8", INTERIM),
        ("products.performance.form", "B1", PERFORMANCE),
        ("products.performance.amount_yen", "B2", PERFORMANCE),
        ("products.performance.fee_payment_method", "B3", PERFORMANCE),
        ("products.performance.fee_bill_to", "B4", PERFORMANCE),
        ("products.performance.fee_statement_on_paper", "B5", PERFORMANCE),
    ],
)
def test_a_missing_field_is_named_with_its_id_and_nothing_else_is(field, rule, others, reference):
    changes = {name: dict(product) for name, product in others.items()}
    form = an_application_form(**changes, **{field.replace(".", "__"): LEFT_OUT})

    assert faults(form, reference) == [(field, rule)]


@pytest.mark.parametrize("blank", ["", " ", "　", "\u2003 "])
@pytest.mark.parametrize("field", ["works__name", "products__advance_payment__fee_bill_to"])
def test_blanks_are_as_good_as_nothing(blank, field, reference):
    assert len(faults(an_application_form(**{field: blank}), reference)) == 1


@pytest.mark.parametrize(
    "field",
    [
        "products__advance_payment__fiscal_year_amount_yen",
        "completion_mail_wanted",
        "contact",
        "message",
        "works__jv_name",
    ],
)
def test_what_is_not_marked_as_required_may_be_missing(field, reference):
    assert faults(an_application_form(**{field: LEFT_OUT}), reference) == []


def test_an_application_for_nothing_is_refused(reference):
    assert faults(an_application_form(products={}), reference) == [("products", "FORM-1")]


def test_a_product_that_is_not_ticked_needs_none_of_its_fields(reference):
    assert faults(an_application_form(products={"performance": a_performance()}), reference) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("deposit_bank", "○○銀行　××支店"), ("redeposit", False), ("fiscal_year_amount_yen", 1)],
)
@pytest.mark.parametrize("product", ["performance", "interim_payment"])
def test_bank_redeposit_and_fiscal_year_amount_belong_to_the_advance_payment_alone(product, field, value, reference):
    form = an_application_form(**{f"products__{product}": a_performance(**{field: value})})

    assert faults(form, reference) == [(f"products.{product}.{field}", "FORM-2")]


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("surety_id", "nobody", "C1"),
        ("branch_id", "osaka", "C1"),
        ("works__purchaser_id", "nowhere", "FORM-9"),
        ("works__kind", "gardening", "FORM-9"),
        ("products__advance_payment__form", "telegram", "A1"),
        ("products__advance_payment__fee_payment_method", "barter", "A6"),
        ("mail_address", "no-address", "C3"),
        ("mail_address", "経理@takasaki.example", "C3"),
    ],
)
def test_what_no_list_holds_is_refused(field, value, rule, reference):
    assert (field.replace("__", "."), rule) in faults(an_application_form(**{field: value}), reference)


@pytest.mark.parametrize("yen", [0, -1, 10**13 + 1])
@pytest.mark.parametrize(
    ("field", "rule"),
    [
        ("works__price_yen", "FORM-9"),
        ("products__advance_payment__amount_yen", "A3"),
        ("products__advance_payment__fiscal_year_amount_yen", "A2"),
    ],
)
def test_an_amount_is_at_least_one_yen_and_no_fantasy(yen, field, rule, reference):
    assert (field.replace("__", "."), rule) in faults(an_application_form(**{field: yen}), reference)


def test_a_term_of_one_day_is_a_term(reference):
    form = an_application_form(works__term_from="2026-10-02", works__term_to="2026-10-02")

    assert faults(form, reference) == []


def test_a_term_does_not_end_before_it_begins(reference):
    form = an_application_form(works__term_from="2026-10-02", works__term_to="2026-10-01")

    assert faults(form, reference) == [("works.term_to", "FORM-9")]


def test_everything_that_is_wrong_is_said_at_once(reference):
    form = an_application_form(works__name=LEFT_OUT, mail_address=LEFT_OUT, products={})

    assert sorted(faults(form, reference)) == [("mail_address", "C3"), ("products", "FORM-1"), ("works.name", "FORM-9")]


@pytest.mark.parametrize("field", ["contract_date", "term_from", "term_to"])
def test_a_day_before_the_eras_that_certificates_know_was_mistyped(field, reference):
    mistyped = {"contract_date": "0026-10-01", "term_from": "1989-01-07", "term_to": "1926-12-24"}[field]

    assert (f"works.{field}", "FORM-9") in faults(an_application_form(**{f"works__{field}": mistyped}), reference)


def test_the_first_day_of_an_era_that_certificates_know_is_no_fault(reference):
    days = {"works__contract_date": "1989-01-08", "works__term_from": "1989-01-08"}

    found = faults(an_application_form(**days), reference)
    assert not [fault for fault in found if fault[0] in ("works.term_from", "works.term_to")]


def test_what_is_of_this_year_is_no_more_than_the_price(reference):
    price = {"works__price_yen": 10_000_000}
    form = an_application_form(**price)
    path = "products.advance_payment.fiscal_year_amount_yen"
    for amount_yen, expected in ((10_000_000, []), (10_000_001, [(path, "A2")])):
        form["products"]["advance_payment"]["fiscal_year_amount_yen"] = amount_yen
        assert [fault for fault in faults(form, reference) if fault[0] == path] == expected
