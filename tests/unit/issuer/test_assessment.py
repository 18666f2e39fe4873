"""DEC-1 to DEC-3, LIM-1 to LIM-3: what the rules accept alone, what they return, what waits for a person."""

from datetime import date
from decimal import Decimal

import pytest

from services.issuer.domain import Request, Verdict, assess


def a_request(product="advance_payment", form="electronic", amount_yen=20_000_000, ratio="40.0"):
    return Request(product, form, amount_yen, Decimal(ratio))


@pytest.fixture
def assessed(reference):
    def assess_these(
        *requests,
        purchaser="tochigi",
        surety="toto",
        kind="construction",
        day=date(2026, 10, 1),
        exposure_yen=0,
        answers=None,
    ):
        return assess(
            requests or [a_request()],
            works_kind=kind,
            contract_date=day,
            purchaser=reference.purchaser(purchaser),
            limits=reference.surety(surety).limits,
            exposure_yen=exposure_yen,
            answers=answers or {},
        )

    return assess_these


def rules(assessment):
    return [(finding.rule, finding.product) for finding in assessment.findings]


def test_within_the_limits_the_rules_accept_alone(assessed):
    assessment = assessed()

    assert (assessment.verdict, assessment.returned, rules(assessment)) == (Verdict.DECIDED, {}, [])


@pytest.mark.parametrize(
    ("product", "at", "above"),
    [("advance_payment", "40.0", "40.1"), ("interim_payment", "20.0", "20.1"), ("performance", "10.0", "10.1")],
)
def test_a_products_ratio_may_reach_its_limit_and_no_more(product, at, above, assessed):
    assert assessed(a_request(product, ratio=at)).verdict is Verdict.DECIDED
    assert rules(assessed(a_request(product, ratio=above))) == [("LIM-1", product)]


def test_ratios_are_compared_as_numbers(assessed):
    assert assessed(a_request(ratio="9.9")).verdict is Verdict.DECIDED
    assert assessed(a_request(ratio="100.0")).verdict is Verdict.QUEUED


def test_one_guarantee_may_reach_the_amount_and_no_more(assessed):
    assert assessed(a_request(amount_yen=300_000_000)).verdict is Verdict.DECIDED
    assert rules(assessed(a_request(amount_yen=300_000_001))) == [("LIM-2", "advance_payment")]


def test_the_contractors_guarantees_may_reach_the_exposure_and_no_more(assessed):
    assert assessed(a_request(amount_yen=1), exposure_yen=999_999_999).verdict is Verdict.DECIDED
    assert rules(assessed(a_request(amount_yen=1), exposure_yen=1_000_000_000)) == [("LIM-3", None)]


def test_the_exposure_counts_all_products_of_the_application(assessed):
    both = (a_request(amount_yen=2), a_request("performance", amount_yen=3, ratio="10.0"))

    assert assessed(*both, exposure_yen=999_999_995).verdict is Verdict.DECIDED
    assert assessed(*both, exposure_yen=999_999_996).verdict is Verdict.QUEUED


def test_what_is_returned_takes_no_part_in_the_exposure(assessed):
    assessment = assessed(a_request(), day=date(2024, 3, 31), exposure_yen=1_000_000_000)

    assert (assessment.verdict, assessment.amount_yen) == (Verdict.DECIDED, 0)


def test_each_surety_has_its_own_limits(assessed):
    assert assessed(a_request(amount_yen=200_000_001), surety="toto").verdict is Verdict.DECIDED
    assert assessed(a_request(amount_yen=200_000_001), surety="nankai").verdict is Verdict.QUEUED


def test_the_whole_application_waits_when_one_product_needs_a_person(assessed):
    assessment = assessed(a_request(), a_request("performance", ratio="10.1"))

    assert assessment.verdict is Verdict.QUEUED
    assert rules(assessment) == [("LIM-1", "performance")]


@pytest.mark.parametrize(("day", "returned"), [(date(2026, 3, 31), True), (date(2026, 4, 1), False)])
def test_what_breaks_a_hard_rule_is_returned_and_needs_no_person(day, returned, assessed):
    assessment = assessed(purchaser="yomitan", surety="nankai", day=day)

    assert assessment.verdict is Verdict.DECIDED
    assert ("advance_payment" in assessment.returned) is returned


def test_a_returned_product_says_which_rule_it_breaks(assessed):
    (finding,) = assessed(purchaser="yomitan", kind="consignment").returned["advance_payment"]

    assert (finding.rule, finding.product) == ("EL-2", "advance_payment")


def test_paper_is_never_returned_for_what_only_an_electronic_one_must_keep(assessed):
    assessment = assessed(a_request(form="paper"), purchaser="yomitan", day=date(2020, 1, 1))

    assert assessment.returned == {}


def test_limits_hold_on_paper_too(assessed):
    assert assessed(a_request(form="paper", ratio="40.1")).verdict is Verdict.QUEUED


def test_a_product_that_must_be_returned_does_not_let_the_others_wait(assessed):
    early = {"day": date(2024, 3, 31)}
    assessment = assessed(a_request(ratio="99.9"), a_request("performance", form="paper", ratio="10.0"), **early)

    assert assessment.verdict is Verdict.DECIDED
    assert list(assessment.returned) == ["advance_payment"]
    assert assessment.amount_yen == 20_000_000


def test_a_person_reads_the_finding_in_the_words_of_the_business(assessed):
    (finding,) = assessed(a_request(ratio="40.1")).findings

    assert finding.message_ja == "割合が40.1%で、上限の40.0%を超えています。"


@pytest.mark.parametrize("answer", ["refer", "unavailable", "a word of a later version"])
def test_whoever_is_not_clear_waits_for_a_person(answer, assessed):
    assert rules(assessed(answers={"credit": answer})) == [("LIM-4", None)]


def test_whoever_is_clear_is_accepted(assessed):
    assert assessed(answers={"credit": "clear"}).verdict is Verdict.DECIDED
