"""APP-1, APP-2, APP-5, APP-6: how an application stands, from whichever facts have arrived."""

import itertools

import pytest

from services.intake.domain import STATUS_JA, product_status_of, status_of

#: Every set of facts, and what it means. A withdrawal is answered only after it was asked for.
EVERY_SET = list(itertools.product([False, True], [False, True], [None, "withdrawn", "refused"], [False, True]))


def stands(queued=False, decided=False, withdrawal=None, asked=False):
    return status_of(queued=queued, decided=decided, withdrawal=withdrawal, withdrawal_requested=asked)


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({}, "submitted"),
        ({"queued": True}, "queued"),
        ({"decided": True}, "decided"),
        ({"queued": True, "decided": True}, "decided"),
        ({"asked": True}, "withdrawal_requested"),
        ({"queued": True, "asked": True}, "withdrawal_requested"),
        ({"asked": True, "withdrawal": "withdrawn"}, "withdrawn"),
        ({"queued": True, "asked": True, "withdrawal": "withdrawn"}, "withdrawn"),
        ({"asked": True, "withdrawal": "refused"}, "submitted"),
        ({"queued": True, "asked": True, "withdrawal": "refused"}, "queued"),
        ({"decided": True, "asked": True}, "decided"),
        ({"decided": True, "asked": True, "withdrawal": "refused"}, "decided"),
    ],
)
def test_the_status_follows_from_the_set_of_facts(facts, status):
    assert stands(**facts) == status


@pytest.mark.parametrize(("queued", "decided", "withdrawal", "asked"), EVERY_SET)
def test_every_set_of_facts_has_a_word_on_the_screen(queued, decided, withdrawal, asked):
    assert stands(queued, decided, withdrawal, asked) in STATUS_JA


@pytest.mark.parametrize(("queued", "decided", "withdrawal", "asked"), EVERY_SET)
def test_hearing_later_that_it_was_queued_never_changes_an_end(queued, decided, withdrawal, asked):
    if withdrawal == "withdrawn" or decided:
        assert stands(True, decided, withdrawal, asked) == stands(False, decided, withdrawal, asked)


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize(
    ("form", "outcome", "before", "after"),
    [
        ("electronic", "accepted", "issuing", "issued"),
        ("electronic", None, "submitted", "issued"),
        ("electronic", "returned", "returned", "returned"),
        ("paper", "accepted", "issued_on_paper", "issued_on_paper"),
        ("paper", "returned", "returned", "returned"),
    ],
)
def test_a_product_is_issued_when_its_certificate_has_arrived(form, outcome, before, after, registered):
    status = product_status_of("submitted", form=form, outcome=outcome, registered=registered)

    assert status == (after if registered else before)


def test_before_arrival_the_screen_says_that_it_is_being_issued():
    assert (
        STATUS_JA[product_status_of("decided", form="electronic", outcome="accepted", registered=False)] == "発行手続中"
    )


@pytest.mark.parametrize("status", ["submitted", "queued", "withdrawal_requested", "withdrawn"])
def test_a_product_without_a_decision_stands_as_its_application(status):
    assert product_status_of(status, form="electronic", outcome=None, registered=False) == status
