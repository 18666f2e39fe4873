"""The judge of one application, and how four streams are merged: what is missing, what is on its way, what is said."""

import json
import uuid
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from console.audit.reconcile import KINDS, Facts, Judge
from console.audit.reconcile_reading import SNAPSHOTS, Reconciliation, by_application
from console.audit.reconcile_watch import Gauges
from tests.unit.console import events

NOW = datetime(2026, 4, 10, 12, tzinfo=UTC)
CUTOFF = NOW - timedelta(minutes=5)
OLD, YOUNG = CUTOFF - timedelta(seconds=1), CUTOFF + timedelta(seconds=1)
DIGEST = "f" * 64
VERSION = "2026-04-01+0123"


def a_judge() -> Judge:
    return Judge(CUTOFF, frozenset({"toto"}), VERSION)


def world(at: datetime = OLD) -> dict[str, list[dict[str, Any]]]:
    """What the four hold of one application that went all the way."""
    certificate = {
        "certificate_id": events.CERTIFICATE,
        "contract_number": events.NUMBER,
        "content_sha256": DIGEST,
        "issued_at": at,
        "registered_at": at,
    }
    letter = {
        "certificate_id": events.CERTIFICATE,
        "letter": "completion",
        "state": "sent",
        "arrived_at": at,
        "queued_at": at,
        "due_at": None,
        "ended_at": at,
        "deferrals": 0,
    }
    wishes = {"completion": True, "returned": False, "viewed": False}
    decided = {"queued_at": at, "decided_at": at, "outcomes": "performance accepted"}
    return {
        "applications": [
            {
                "surety_id": "toto",
                "reference_version": VERSION,
                "submitted_at": at,
                "withdrawal_requested_at": None,
                **wishes,
            }
        ],
        "decisions": [{"status": "decided", "withdrawal": None, **decided}],
        "answers": [{"answer": None, **decided}],
        "issued": [certificate],
        "registered": [certificate],
        "copies": [certificate],
        "arrivals": [certificate],
        "views": [],
        "looks": [],
        "deliveries": [
            {"wished_at": at, "key_at": at, "shredded_at": None, "has_key": True, "has_contact": True, **wishes}
        ],
        "letters": [letter],
        "mails": [{"certificate_id": events.CERTIFICATE, "letter": "completion", "outcome": "sent"}],
    }


def found(rows: dict[str, list[dict[str, Any]]], judge: Judge | None = None) -> list[str]:
    judge = judge or a_judge()
    return [difference.kind for difference in judge.differences(Facts(events.APPLICATION, rows))]


def without(*streams: str, at: datetime = OLD) -> dict[str, list[dict[str, Any]]]:
    return {name: [] if name in streams else rows for name, rows in world(at).items()}


def test_what_went_all_the_way_agrees() -> None:
    assert found(world()) == []


def test_the_world_of_these_tests_is_what_is_read() -> None:
    assert set(world()) == {name for _, streams in SNAPSHOTS for name in streams}


def test_effects_are_read_before_their_causes() -> None:
    assert [service for service, _ in SNAPSHOTS] == ["intake", "notifier", "registry", "issuer", "intake"]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (("decisions", "issued", "registered", "copies", "arrivals", "answers", "letters", "mails"), ["application_unanswered"]),
        (("applications",), ["application_unknown_to_intake"]),
        (("answers",), ["queue_unknown_to_intake", "decision_unknown_to_intake"]),
        (("registered", "arrivals", "letters", "mails"), ["issued_unregistered"]),
        (("copies",), ["issued_unknown_to_intake"]),
        (("arrivals",), ["registered_unknown_to_intake"]),
        (("letters", "mails"), ["letter_is_missing"]),
        (("mails",), ["mail_unknown_to_intake"]),
    ],
)  # fmt: skip
def test_a_cause_without_its_effect_is_a_difference_when_it_is_old(missing: Any, expected: list[str]) -> None:
    assert found(without(*missing)) == expected
    # Of an application that intake does not know, what followed cannot have come before.
    assert found(without(*missing, at=YOUNG)) == (expected if missing == ("applications",) else [])


@pytest.mark.parametrize("at", [OLD, YOUNG])
@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("issued", ["registered_unissued", "copy_without_issuer"]),
        ("registered", ["arrival_without_registry", "letter_without_cause"]),
        ("letters", ["mail_differs"]),
    ],
)
def test_an_effect_without_its_cause_is_a_difference_at_once(at: datetime, missing: str, expected: list[str]) -> None:
    kinds = found(without(missing, at=at))

    assert set(expected) <= set(kinds)


@pytest.mark.parametrize(
    ("wish", "told", "expected"),
    [
        (True, True, []),
        (False, True, ["wish_differs"]),
        (True, False, ["wish_differs", "letter_against_wish"]),
    ],
)
def test_the_wish_is_that_of_the_application(wish: bool, told: bool, expected: list[str]) -> None:
    rows = world()
    rows["applications"][0] |= {"completion": wish}
    rows["deliveries"][0] |= {"completion": told}

    assert found(rows) == expected


@pytest.mark.parametrize("letter", ["queued", "sending"])
def test_a_letter_that_is_due_for_long_is_late(letter: str) -> None:
    rows = without("mails")
    rows["letters"][0] |= {"state": letter, "ended_at": None, "due_at": OLD}

    assert found(rows) == ["letter_is_late"]


def test_a_letter_that_waits_since_a_while_for_its_turn_is_on_its_way() -> None:
    rows, judge = without("mails"), a_judge()
    rows["letters"][0] |= {"state": "queued", "ended_at": None, "due_at": YOUNG, "queued_at": YOUNG}

    assert found(rows, judge) == []
    assert judge.counts["on_their_way"] == 1


@pytest.mark.parametrize(
    ("surety", "version", "expected"),
    [("toto", VERSION, ["surety_not_told"]), ("nankai", VERSION, []), ("toto", "2025-04-01+0123", [])],
    ids=["wants to know", "does not", "may have wanted otherwise then"],
)
def test_a_given_up_letter_is_told_to_the_surety_that_wants_to_know(
    surety: str, version: str, expected: list[str]
) -> None:
    rows = world()
    rows["applications"][0] |= {"surety_id": surety, "reference_version": version}
    rows["letters"][0] |= {"state": "undeliverable"}
    rows["mails"][0]["outcome"] = "undeliverable"

    assert found(rows) == expected


def test_a_decision_from_before_outcomes_were_kept_is_not_compared() -> None:
    rows = world()
    rows["decisions"][0]["outcomes"] = None

    assert found(rows) == []


def test_no_difference_tells_a_digest() -> None:
    rows = world()
    rows["copies"] = [rows["copies"][0] | {"content_sha256": "e" * 64}]
    judge = a_judge()

    (difference,) = judge.differences(Facts(events.APPLICATION, rows))

    assert difference.kind == "copies_differ"
    assert events.NUMBER in str(difference)
    assert DIGEST not in str(difference)
    assert "e" * 64 not in str(difference)


def test_every_kind_is_explained_in_one_line() -> None:
    assert all(meaning and "\n" not in meaning for meaning in KINDS.values())


async def stream(*ids: int) -> AsyncIterator[dict[str, Any]]:
    for number, identity in enumerate(ids):
        yield {"application_id": UUID(int=identity), "n": number}


async def merged(**streams: Iterable[int]) -> list[tuple[int, dict[str, int]]]:
    facts = by_application({name: stream(*ids) for name, ids in streams.items()})
    return [(each.application_id.int, {name: len(rows) for name, rows in each.rows.items()}) async for each in facts]


async def test_streams_are_merged_application_by_application() -> None:
    assert await merged(a=(1, 2, 2, 4), b=(2, 3), c=(), d=(4,)) == [
        (1, {"a": 1}),
        (2, {"a": 2, "b": 1}),
        (3, {"b": 1}),
        (4, {"a": 1, "d": 1}),
    ]


async def test_no_stream_is_no_application() -> None:
    assert await merged(a=(), b=()) == []


def looked(**changed: Any) -> Reconciliation:
    judge = a_judge()
    differences = tuple(judge.differences(Facts(uuid.uuid4(), without("mails"))))
    fields: dict[str, Any] = {
        "differences": differences,
        "counts": {"queued": 2},
        "at": NOW,
        "older_than_seconds": 300.0,
    }
    return Reconciliation(**(fields | changed))


def test_what_was_found_can_be_read_by_programs() -> None:
    document = json.loads(json.dumps(looked().as_json(), default=str))

    assert document["agree"] is False
    assert document["counts"] == {"queued": 2}
    assert [difference["kind"] for difference in document["differences"]] == ["mail_unknown_to_intake"]


def test_the_gauges_say_every_kind_from_the_beginning_and_forget_what_was_mended() -> None:
    gauges = Gauges()

    def shown(kind: str) -> float | None:
        return gauges.registry.get_sample_value("akashi_reconcile_differences", {"kind": kind})

    assert {shown(kind) for kind in KINDS} == {0.0}
    gauges.show(looked(seconds=1.5))
    assert shown("mail_unknown_to_intake") == 1.0
    assert gauges.registry.get_sample_value("akashi_reconcile_seconds") == 1.5
    gauges.show(looked(differences=()))
    assert {shown(kind) for kind in KINDS} == {0.0}
