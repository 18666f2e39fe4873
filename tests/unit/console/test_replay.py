"""What the topics say, as a replay takes it; and that a replay has nothing to act with."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from chassis.clock import JST
from console.audit import replay_facts
from console.audit.fold import Difference
from console.audit.keeping import AsTold, Keeping
from console.audit.replay import Replayed, read_moment
from console.audit.replay_facts import Facts
from console.audit.replay_feeding import Collecting, Unasked, WouldAct, no_dice
from console.audit.replay_issuer import IssuerKeeps
from console.audit.replay_notifier import NotifierKeeps
from console.audit.replay_showing import summary
from deploy.local.problem import Problem
from reference.errors import InvalidReference
from schemas import topics
from schemas.event import Event
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed
from services.registry.checking import recorded_of
from services.registry.domain import Certificate
from tests.support.builders import a_raw_record, a_record
from tests.unit.console import events

REGISTRATIONS = TopicPartition(topics.REGISTRATIONS.name, 0)
SALT = "A" * 43 + "="


def facts_of(*told: Event, held_until: int = 1_000_000) -> Facts:
    facts = Facts({REGISTRATIONS: held_until})
    facts.take([a_record(event, offset=n) for n, event in enumerate(told)])
    return facts


@pytest.mark.parametrize("keeps", [IssuerKeeps, NotifierKeeps])
def test_a_replay_judges_by_the_services_reference_data(
    keeps: Callable[..., Keeping], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AKASHI_REFERENCE_DIR", str(tmp_path))

    with pytest.raises(InvalidReference):
        keeps(None, AsTold())


def recorded(facts: Facts, registered: CertificateRegistered) -> Certificate | None:
    issued = facts.issued(registered)
    return issued and issued.certificate


def viewed(leaf_index: int | None = 2) -> CertificateViewed:
    return CertificateViewed(
        view_id=uuid.UUID(int=5),
        certificate_id=events.CERTIFICATE,
        contract_number=events.NUMBER,
        version=1,
        application_id=events.APPLICATION,
        purchaser_id="tochigi",
        viewed_by=events.ACCOUNT,
        viewed_at=events.ARRIVED,
        leaf_index=leaf_index,
        salt=SALT,
    )


def test_a_fact_stands_at_its_place() -> None:
    issued = events.issued()
    registered = events.registered(issued, leaf_index=0, salt=SALT)

    facts = facts_of(issued, registered, viewed())

    assert sorted(facts.places) == [0, 2]
    assert facts.places[0].registration() == registered
    assert recorded(facts, registered) == recorded_of(issued)
    assert facts.contradictions == []


def test_what_was_told_before_the_look_must_be_held() -> None:
    one, two = (events.registered(events.issued(uuid.UUID(int=n)), leaf_index=2 * n, salt=SALT) for n in (1, 2))

    facts = facts_of(one, two, held_until=1)

    assert [told.must_be_held for told in facts.registrations.values()] == [True, False]


def test_a_repeat_is_counted_and_another_story_is_a_contradiction() -> None:
    registered = events.registered(events.issued(), leaf_index=0, salt=SALT)
    later = registered.model_copy(update={"leaf_index": 4})

    facts = facts_of(registered, registered, later)

    assert facts.repeats == 2
    assert facts.contradictions == [
        Difference("registration_told_twice", events.NUMBER, "leaf_index: leaf_index is 0 and 4")
    ]
    assert sorted(facts.places) == [0]


@pytest.mark.parametrize("place", [0, 1])
def test_two_facts_at_one_place_contradict_each_other(place: int) -> None:
    facts = facts_of(events.registered(events.issued(), leaf_index=0, salt=SALT), viewed(place))

    assert [each.kind for each in facts.contradictions] == ["place_told_twice"]


def test_a_salt_is_never_repeated() -> None:
    registered = events.registered(events.issued(), leaf_index=0, salt=SALT)

    facts = facts_of(registered, registered.model_copy(update={"salt": "B" * 43 + "="}))

    assert [each.detail for each in facts.contradictions] == ["salt: salt differs"]


def test_of_two_certificates_under_one_id_the_one_that_was_registered_is_taken() -> None:
    issued = events.issued()
    other = events.issued(content=events.content(amount_yen=2))

    facts = facts_of(other, issued, issued)

    assert recorded(facts, events.registered(issued)) == recorded_of(issued)
    assert recorded(facts, events.registered(other)) == recorded_of(other)
    assert facts.issued(events.registered(events.issued(uuid.UUID(int=3)))) is None
    assert facts.repeats == 1


def test_certificates_are_the_same_when_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_facts, "MANY", 1)
    one, two = (events.issued(uuid.UUID(int=n)) for n in (1, 2))

    facts = facts_of(one, two)

    assert [recorded(facts, events.registered(each)) for each in (one, two)] == [recorded_of(one), recorded_of(two)]


def test_a_repeat_of_a_certificate_that_was_let_go_is_still_one() -> None:
    issued = events.issued()
    registered = events.registered(issued, leaf_index=0, salt=SALT)
    facts = facts_of(issued, registered)

    facts.let_go(facts.places[0])
    facts.take([a_record(issued)])

    assert facts.issued(registered) is None
    assert (facts.repeats, facts.unregistered) == (1, 0)


def test_garbage_is_counted_by_its_reason() -> None:
    facts = Facts({})

    facts.take(
        [a_raw_record(topic=topics.VIEWS.name, value=b"\xff"), a_raw_record(topic=topics.VIEWS.name, value=None)]
    )

    assert facts.unreadable == {"ce_specversion_is_not_1.0": 1, "value_is_null": 1}


async def test_what_could_act_raises() -> None:
    with pytest.raises(WouldAct):
        Unasked().now()
    with pytest.raises(WouldAct):
        no_dice()
    with pytest.raises(WouldAct):
        await Collecting().add_messages(None, [])  # type: ignore[arg-type] # nothing is asked of it


@pytest.mark.parametrize(
    ("typed", "moment"),
    [
        ("2026-11-20T17:15", datetime(2026, 11, 20, 17, 15, tzinfo=JST)),
        ("2026-11-20 17:15:30", datetime(2026, 11, 20, 17, 15, 30, tzinfo=JST)),
        ("2026-11-20T08:15Z", datetime(2026, 11, 20, 8, 15, tzinfo=UTC)),
        ("2026-11-20t08:15:00+00:00", datetime(2026, 11, 20, 8, 15, tzinfo=UTC)),
    ],
)
def test_a_time_is_japans_unless_it_says_where(typed: str, moment: datetime) -> None:
    assert read_moment(typed) == moment


@pytest.mark.parametrize("typed", ["", "yesterday", "17:15", "2026-13-01"])
def test_what_is_no_time_is_refused(typed: str) -> None:
    with pytest.raises(Problem):
        read_moment(typed)


def test_the_summary_says_what_was_not_replayed_and_where_the_shadow_is() -> None:
    found = Replayed(
        differences=(),
        certificates=1,
        views=2,
        size=4,
        root=bytes(32),
        newer={"leaf": 3, "view": 0},
        checkpoints=1,
        repeats=0,
        unreadable={},
        unregistered=0,
        taken_over=0,
        at=events.MOMENT,
        until=datetime(2026, 11, 20, 8, 15, tzinfo=UTC),
        kept="registry_shadow_1",
    )

    told = summary(found)

    assert "as it was at 2026-11-20T17:15:00+09:00" in told
    assert "left out: 3 leaf." in told
    assert "sessions" in told
    assert "registry_shadow_1" in told
    assert told.endswith("They are equal.")
