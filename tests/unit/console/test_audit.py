"""The auditor's fold and comparison, on every kind of difference."""

import hashlib
import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from console.audit.compare import COLUMNS, Comparison, Report, report
from console.audit.fold import Difference, Fold
from schemas.event import Event
from schemas.sealed import SealedKey
from tests.unit.console import events

OTHER_APPLICATION = UUID(int=2)
OTHER_CERTIFICATE = UUID(int=102)
OTHER_NUMBER = "31072-00002X"

#: One application, decided, issued and registered.
STORY = (
    events.submitted(),
    events.decided(),
    events.issued(),
    events.registered(events.issued()),
)
PAPER = (events.outcome(form="paper", number=OTHER_NUMBER),)


def audit(told: Iterable[Event], rows: Iterable[dict[str, Any]] = (events.held(events.issued()),)) -> Report:
    fold = Fold()
    for event in told:
        fold.take(event)
    comparison = Comparison(fold)
    differences = [difference for row in rows for difference in comparison.take(row)]
    differences.extend(comparison.rest())
    return report(fold, tuple(differences), registry_rows=comparison.rows, unreadable={})


def kinds(found: Report) -> list[str]:
    return [difference.kind for difference in found.differences]


def test_a_registry_that_holds_what_was_issued_is_equal() -> None:
    found = audit(STORY)

    assert found.equal
    assert found.differences == ()
    assert (found.applications, found.decisions, found.certificates, found.registrations) == (1, 1, 1, 1)
    assert found.registry_rows == 1
    assert found.pending == ()


def test_topics_may_be_folded_in_any_order() -> None:
    assert audit(reversed(STORY)).equal


def test_nothing_at_all_is_equal() -> None:
    assert audit((), ()).equal


def test_the_same_event_told_again_is_counted_and_no_difference() -> None:
    found = audit((*STORY, *STORY, events.submitted()))

    assert found.equal
    assert found.repeats == 5


def test_every_column_that_an_event_fixes_is_compared() -> None:
    assert {"certificate_id", "registered_at", *COLUMNS} == set(events.held(events.issued()))


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("contract_number", OTHER_NUMBER, ["contract_number_differs"]),
        ("version", 2, ["version_differs"]),
        ("change_number", 1, ["change_number_differs"]),
        ("application_id", OTHER_APPLICATION, ["application_id_differs"]),
        ("product", "interim_payment", ["product_differs"]),
        ("surety_id", "nankai", ["surety_id_differs"]),
        ("purchaser_id", "omitama", ["purchaser_id_differs"]),
        ("issued_at", events.MOMENT + timedelta(milliseconds=1), ["issued_at_differs"]),
        ("content", "{}", ["content_differs", "content_was_altered"]),
        (
            "content",
            events.content(amount_yen=2).canonical().decode() + "\n",
            ["content_differs", "content_was_altered"],
        ),
        ("content_sha256", "0" * 64, ["content_sha256_differs", "content_was_altered"]),
        ("key_digest", "0" * 64, ["key_digest_differs"]),
        ("pepper_id", "q", ["pepper_id_differs"]),
        ("registered_at", events.ARRIVED + timedelta(milliseconds=1), ["registered_at_differs"]),
    ],
)
def test_a_column_that_was_altered_is_a_difference(column: str, value: Any, expected: list[str]) -> None:
    found = audit(STORY, [events.held(events.issued(), **{column: value})])

    assert kinds(found) == expected
    assert {difference.subject for difference in found.differences} == {str(events.CERTIFICATE)}


def test_content_altered_together_with_its_hash_is_a_difference() -> None:
    altered = events.content(amount_yen=9_999_999_999)

    found = audit(
        STORY, [events.held(events.issued(), content=altered.canonical().decode(), content_sha256=altered.sha256())]
    )

    assert kinds(found) == ["content_differs", "content_sha256_differs"]


def test_a_certificate_that_the_registry_lost_is_a_difference() -> None:
    assert kinds(audit(STORY, ())) == ["certificate_is_missing"]


def test_a_certificate_that_nobody_issued_is_a_difference() -> None:
    forged = events.issued(OTHER_CERTIFICATE, number=OTHER_NUMBER)

    assert kinds(audit(STORY, [events.held(events.issued()), events.held(forged)])) == ["certificate_is_superfluous"]


def test_an_arrival_that_was_never_told_is_a_difference() -> None:
    assert kinds(audit(STORY[:3])) == ["registration_is_missing"]


def again(**changed: Any) -> Event:
    return events.issued(**changed)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(again(purchaser_id="omitama"), ["certificate_issued_twice"], id="another purchaser"),
        pytest.param(
            again(authentication_key=SealedKey(digest="f" * 64, pepper_id="p", sealed="BBBB", sealed_to="k")),
            ["certificate_issued_twice"],
            id="another key",
        ),
        pytest.param(again(content=events.content(amount_yen=2)), ["certificate_issued_twice"], id="another content"),
        pytest.param(
            events.registered(events.issued(), registered_at=events.MOMENT),
            ["certificate_registered_twice"],
            id="another arrival",
        ),
        pytest.param(
            events.registered(events.issued(OTHER_CERTIFICATE)),
            ["registration_without_certificate"],
            id="registered and never issued",
        ),
        pytest.param(
            events.decided(outcomes=(events.outcome(result="returned"),)),
            ["application_decided_twice"],
            id="another decision",
        ),
        pytest.param(
            events.decided(decided_at=events.ARRIVED), ["application_decided_twice"], id="decided at another time"
        ),
        pytest.param(
            events.submitted(products=(("performance", "paper"),)),
            ["application_submitted_twice"],
            id="another application of that id",
        ),
        pytest.param(events.withdrawn(), ["decided_and_withdrawn"], id="withdrawn, too"),
        pytest.param(
            events.decided(OTHER_APPLICATION, (events.outcome(result="returned"),)),
            ["decision_without_application"],
            id="decided and never submitted",
        ),
    ],
)
def test_what_contradicts_the_story_is_a_difference(told: Event, expected: list[str]) -> None:
    assert kinds(audit((*STORY, told))) == expected


def test_one_number_and_version_for_two_certificates_is_a_difference() -> None:
    second = events.issued(OTHER_CERTIFICATE, OTHER_APPLICATION)
    told = (
        *STORY,
        events.submitted(OTHER_APPLICATION),
        events.decided(OTHER_APPLICATION),
        second,
        events.registered(second),
    )

    found = audit(told, [events.held(events.issued()), events.held(second)])

    assert kinds(found) == ["contract_version_issued_twice", "number_given_twice"]


def test_two_certificates_for_one_application_product_and_version_are_a_difference() -> None:
    second = events.issued(OTHER_CERTIFICATE, number=OTHER_NUMBER)

    found = audit((*STORY, second, events.registered(second)), [events.held(events.issued()), events.held(second)])

    assert kinds(found) == ["product_issued_twice"]


def test_a_hash_that_is_not_of_the_content_is_a_difference() -> None:
    wrong = events.issued(content_sha256="0" * 64)

    found = audit((*STORY[:2], wrong, events.registered(wrong)), [events.held(wrong)])

    assert kinds(found) == ["content_sha256_is_wrong", "content_was_altered"]


@pytest.mark.parametrize(
    "changed",
    [{"contract_number": OTHER_NUMBER}, {"version": 2}, {"change_number": 1}, {"product": "interim_payment"}],
    ids=lambda changed: next(iter(changed)),
)
def test_content_that_is_of_another_certificate_is_a_difference(changed: dict[str, Any]) -> None:
    swapped = events.issued(content=events.content(**changed))

    found = audit((*STORY[:2], swapped, events.registered(swapped)), [events.held(swapped)])

    assert kinds(found) == ["content_is_of_another"]


@pytest.mark.parametrize(
    "changed",
    [
        {"contract_number": OTHER_NUMBER},
        {"version": 2},
        {"change_number": 1},
        {"application_id": OTHER_APPLICATION},
        {"product": "interim_payment"},
        {"surety_id": "nankai"},
        {"purchaser_id": "omitama"},
        {"content_sha256": "0" * 64},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_registration_of_something_else_than_was_issued_is_a_difference(changed: dict[str, Any]) -> None:
    assert kinds(audit((*STORY[:3], events.registered(events.issued(), **changed)))) == ["registration_differs"]


@pytest.mark.parametrize(
    ("decision", "asked", "expected"),
    [
        pytest.param(
            (events.outcome(),), (("performance", "electronic"),), ["certificate_not_issued"], id="no certificate"
        ),
        pytest.param(
            (events.outcome(form="paper"),), (("performance", "paper"),), ["paper_without_number"], id="no paper number"
        ),
        pytest.param(PAPER, (("performance", "electronic"),), ["decision_differs"], id="another form"),
        pytest.param(
            (events.outcome(result="returned"),),
            (("performance", "electronic"), ("interim_payment", "electronic")),
            ["decision_differs"],
            id="a product left out",
        ),
    ],
)
def test_a_decision_without_what_follows_from_it_is_a_difference(
    decision: Any, asked: Any, expected: list[str]
) -> None:
    assert kinds(audit((events.submitted(products=asked), events.decided(outcomes=decision)), ())) == expected


@pytest.mark.parametrize(
    "decision",
    [
        pytest.param((events.outcome(result="returned"),), id="returned"),
        pytest.param((events.outcome(form="paper", number=events.NUMBER),), id="on paper"),
    ],
)
def test_a_certificate_that_no_decision_asked_for_is_a_difference(decision: Any) -> None:
    form = decision[0].form
    told = (events.submitted(products=(("performance", form),)), events.decided(outcomes=decision), *STORY[2:])

    assert kinds(audit(told)) == ["certificate_without_decision"]


def test_a_paper_number_that_an_electronic_one_bears_is_a_difference() -> None:
    told = (
        *STORY,
        events.submitted(OTHER_APPLICATION, (("performance", "paper"),)),
        events.decided(OTHER_APPLICATION, (events.outcome(form="paper", number=events.NUMBER),)),
    )

    assert kinds(audit(told)) == ["number_given_twice"]


def test_a_paper_one_needs_no_certificate_and_no_row() -> None:
    told = (events.submitted(products=(("performance", "paper"),)), events.decided(outcomes=PAPER))

    assert audit(told, ()).equal


def test_another_version_of_a_contract_is_no_difference() -> None:
    changed = events.issued(
        OTHER_CERTIFICATE, version=2, change_number=1, content=events.content(version=2, change_number=1)
    )

    found = audit((*STORY, changed, events.registered(changed)), [events.held(events.issued()), events.held(changed)])

    assert found.equal


@pytest.mark.parametrize(
    ("told", "pending"),
    [
        pytest.param((events.submitted(),), ((events.APPLICATION, "unanswered"),), id="unanswered"),
        pytest.param((events.submitted(), events.queued()), ((events.APPLICATION, "queued"),), id="queued"),
        pytest.param((events.submitted(), events.queued(), events.withdrawn()), (), id="withdrawn"),
        pytest.param(
            (events.submitted(), events.queued(), events.decided(outcomes=(events.outcome(result="returned"),))),
            (),
            id="decided",
        ),
    ],
)
def test_applications_without_a_final_answer_are_listed_and_no_difference(told: Any, pending: Any) -> None:
    found = audit(told, ())

    assert found.equal
    assert found.pending == pending


def test_a_difference_tells_neither_digest_nor_content() -> None:
    event = events.issued(
        content=events.content(works_name="秘密の工事"),
        authentication_key=SealedKey(digest="f" * 64, pepper_id="p", sealed="BBBB", sealed_to="k"),
    )

    found = audit((*STORY, event), [events.held(events.issued(), key_digest="e" * 64, content='{"a":"秘密の工事"}')])

    said = "\n".join(map(str, found.differences))
    assert "key_digest differs" in said
    assert "content differs" in said
    for untold in ("f" * 64, "e" * 64, "秘密の工事", events.issued().authentication_key.digest):
        assert untold not in said


def test_a_difference_is_one_line() -> None:
    assert str(Difference("kind", "subject", "words")) == "kind subject: words"


def test_a_report_can_be_read_by_programs() -> None:
    found = audit((*STORY, events.submitted(OTHER_APPLICATION)), ())

    told = json.loads(json.dumps(found.as_json()))

    assert told["equal"] is False
    assert told["differences"][0]["kind"] == "certificate_is_missing"
    assert told["pending"] == [{"application_id": str(OTHER_APPLICATION), "state": "unanswered"}]
    assert told["registry_rows"] == 0


def test_a_fold_goes_on_where_it_stopped() -> None:
    fold = Fold()
    for event in STORY[:3]:
        fold.take(event)
    assert [difference.kind for difference in fold.findings()] == []

    fold.take(STORY[3])

    assert set(fold.registrations) == {events.CERTIFICATE}
    assert hashlib.sha256(events.content().canonical()).digest() == fold.certificates[events.CERTIFICATE].content
