"""Section 2 of docs/domain.md: who may have an electronic certificate, and what the form says otherwise."""

import pytest

from services.intake import domain
from services.intake.handlers import FORM
from tests.support.builders import LEFT_OUT, a_performance, an_application_form, an_e_net_form


def faults(document, reference):
    return [
        (fault.field, fault.rule) for fault in domain.check(FORM.validate_python(document, strict=False), reference)
    ]


def test_the_day_before_the_start_the_contract_date_is_to_blame(reference):
    form = an_e_net_form(works__contract_date="2026-03-31")

    assert faults(form, reference) == [("works.contract_date", "EL-7")]


def test_on_the_first_day_it_may_be_electronic(reference):
    assert faults(an_e_net_form(works__contract_date="2026-04-01"), reference) == []


@pytest.mark.parametrize(("day", "expected"), [("2024-03-31", [("works.contract_date", "EL-7")]), ("2024-04-01", [])])
def test_a_month_without_a_day_starts_on_its_first(day, expected, reference):
    assert faults(an_application_form(works__contract_date=day), reference) == expected


def test_a_purchaser_without_a_start_takes_any_day(reference):
    form = an_application_form(
        works__purchaser_id="nambu-aomori", branch_id="aomori", works__contract_date="1999-01-01"
    )

    assert faults(form, reference) == []


def test_yomitan_takes_construction_only_and_the_kind_is_to_blame(reference):
    assert faults(an_e_net_form(works__kind="consignment"), reference) == [("works.kind", "EL-2")]


def test_the_refusal_names_paper_as_the_way_on(reference):
    form = FORM.validate_python(an_e_net_form(works__contract_date="2026-03-31"), strict=False)

    (fault,) = domain.check(form, reference)

    assert "書面の保証証書" in fault.message_ja


@pytest.mark.parametrize("change", [{"works__contract_date": "2026-03-31"}, {"works__kind": "consignment"}])
def test_paper_stays_possible(change, reference):
    assert faults(an_e_net_form(electronic_delivery=False, **change), reference) == []


def test_only_the_electronic_ones_of_several_products_are_checked(reference):
    form = an_application_form(
        works__contract_date="2024-03-31",
        products__advance_payment__form="paper",
        products__performance=a_performance(form="electronic"),
    )

    assert faults(form, reference) == [("works.contract_date", "EL-7")]


def test_products_of_the_same_works_may_differ_in_form(reference):
    form = an_application_form(products__performance=a_performance(form="paper"))

    assert faults(form, reference) == []


def test_at_e_net_the_choice_is_required_once(reference):
    assert faults(an_e_net_form(electronic_delivery=LEFT_OUT), reference) == [("electronic_delivery", "FORM-13")]


def test_at_e_net_a_product_has_no_choice_of_its_own(reference):
    form = an_e_net_form(products__advance_payment__form="paper")

    assert faults(form, reference) == [("products.advance_payment.form", "FORM-13")]


def test_at_net_desk_there_is_no_choice_for_all(reference):
    assert faults(an_application_form(electronic_delivery=True), reference) == [("electronic_delivery", "A1")]


@pytest.mark.parametrize(("choice", "expected"), [(True, "electronic"), (False, "paper"), (None, None)])
def test_e_nets_one_choice_becomes_the_form_of_each_product(choice, expected, reference):
    form = FORM.validate_python(an_e_net_form(electronic_delivery=choice), strict=False)

    assert domain.form_of(form, form.products.chosen()["advance_payment"], reference.surety("nankai")) == expected


def test_at_e_net_nobody_can_decline_the_mail(reference):
    form = an_e_net_form(completion_mail_wanted=False)

    assert faults(form, reference) == [("completion_mail_wanted", "MAIL-2")]


@pytest.mark.parametrize(
    ("surety", "wish", "wanted"),
    [("toto", True, True), ("toto", False, False), ("toto", None, False), ("nankai", None, True)],
)
def test_the_mail_goes_to_who_wants_it_or_to_everyone(surety, wish, wanted, reference):
    form = FORM.validate_python(an_application_form(completion_mail_wanted=wish), strict=False)

    assert domain.completion_mail_wanted(form, reference.surety(surety)) is wanted
