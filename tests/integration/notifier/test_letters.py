"""Each letter arrives once, in whatever order and however often its halves come; and only where it was wished for."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from chassis.outbox import unpack
from schemas import topics
from schemas.decisions import ApplicationQueued, ApplicationWithdrawn, ProductOutcome
from schemas.notifications import ApplicationMailSent, MailSent

LETTERS = ("completion", "returned", "viewed")
OPT_IN = ("returned", "viewed")
ORDERS = list(itertools.permutations(range(3)))
#: What a case wishes for, so that it gets one letter only.
WISHES = {
    "completion": {"wanted": True},
    "returned": {"wanted": False, "returned_wanted": True},
    "viewed": {"wanted": False, "viewed_wanted": True},
}
SUBJECTS = {
    ("toto", "completion"): "電子保証（認証キー）発行完了のお知らせ",
    ("toto", "returned"): "お申込み内容の確認のお願い（差戻し）",
    ("toto", "viewed"): "電子証書閲覧のお知らせ",
    ("nankai", "completion"): "電子証書・認証キー登録のお知らせ",
    ("nankai", "returned"): "保証申込の差戻しのお知らせ",
    ("nankai", "viewed"): "電子証書閲覧のお知らせ",
}
DOMAINS = {"toto": "toto-hosho.example", "nankai": "nankai-hosho.example"}


def text_of(message: Any) -> str:
    return str(message.get_body(("plain",)).get_content())


def page_of(case: Any, letter: str) -> str:
    start = f"https://portal.akashi.example/contractor/{case.wish.surety_id}"
    if letter == "returned":
        return f"{start}/applications/{case.wish.application_id}"
    return f"{start}/guarantees/{case.registered.contract_number}"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("letter", LETTERS)
async def test_it_arrives_once_in_every_order_and_however_often_its_halves_come(
    world: Any, a_case: Callable[..., Any], letter: str, order: tuple[int, ...]
) -> None:
    case = a_case(**WISHES[letter])
    halves = case.halves_of(letter)

    for place in order:
        assert world.post.letters == []
        await world.take(halves[place])
        await world.take(halves[place], halves[place])
        await world.send_due()
    await world.take(*halves, *reversed(halves))
    await world.send_due()

    assert len(world.post.letters) == 1
    assert await world.ledger_holds() == [(letter, "sent")]
    (event,) = await world.told()
    assert event.letter == letter


@pytest.mark.parametrize("surety_id", ["toto", "nankai"])
@pytest.mark.parametrize("letter", LETTERS)
async def test_it_says_what_happened_and_where_to_look(
    world: Any, a_case: Callable[..., Any], letter: str, surety_id: str
) -> None:
    case = a_case(surety_id=surety_id, **WISHES[letter])
    await world.take(*case.halves_of(letter))

    await world.send_due()

    (message,) = world.post.letters
    assert message["Subject"] == SUBJECTS[surety_id, letter]
    assert message["To"] == "tanto@kensetsu.example"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Id"] == f"<{letter}.{surety_id}.{DOMAINS[surety_id]}>"
    assert message["X-Akashi-Correlation-Id"] == "corr-00000001"
    assert world.post.message_ids == [f"<{case.about_id(letter)}.{letter}@{DOMAINS[surety_id]}>"]
    said = text_of(message)
    assert page_of(case, letter) in said
    for expected in ("見本建設株式会社 様", "髙﨑 太郎 様", "市道1号線舗装工事", "2026/04/01 09:00"):
        assert expected in said


@pytest.mark.parametrize(("letter", "kind"), [("returned", ApplicationMailSent), ("viewed", MailSent)])
async def test_it_is_told_by_its_own_event_in_its_chain(
    world: Any, a_case: Callable[..., Any], letter: str, kind: type[Any]
) -> None:
    case = a_case(**WISHES[letter])
    await world.take(*case.halves_of(letter))
    await world.send_due()

    (event,) = await world.told()
    assert isinstance(event, kind)
    assert (event.letter, event.attempts, event.sent_at) == (letter, 1, world.clock.now())
    assert event.message_id == world.post.message_ids[0]
    (row,) = await world.outgoing(topics.NOTIFICATIONS.name)
    headers = dict(unpack(row["headers"]))
    assert headers["ce_correlationid"] == b"corr-00000001"
    assert headers["ce_causationid"] == str(case.told_by(letter).event_id).encode()
    assert row["key"] == str(case.wish.application_id).encode()


async def test_one_application_may_get_all_of_them(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case(returned_wanted=True, viewed_wanted=True)
    await world.take(*case.halves, case.returned, case.viewed)

    await world.send_due()

    assert await world.ledger_holds() == [(letter, "sent") for letter in LETTERS]
    assert len(set(world.post.message_ids)) == len(LETTERS)


@pytest.mark.parametrize("letter", LETTERS)
async def test_halves_that_processes_hold_at_the_same_time_join(
    world: Any, a_case: Callable[..., Any], letter: str
) -> None:
    cases = [a_case(**WISHES[letter]) for _ in range(30)]
    polls = [[case.halves_of(letter)[place] for case in cases] for place in range(3)]

    await asyncio.gather(*(world.take(*poll[:: -1 if n % 2 else 1]) for n, poll in enumerate((*polls, *polls))))

    assert await world.ledger_holds() == [(letter, "queued")] * 30


async def test_polls_that_cross_over_all_topics_wait_for_each_other(world: Any, a_case: Callable[..., Any]) -> None:
    some, others = ([a_case(returned_wanted=True, viewed_wanted=True) for _ in range(40)] for _ in range(2))
    first = [*(c.wish for c in some), *(e for c in others for e in (c.key, c.returned, c.registered, c.viewed))]
    second = [*(c.wish for c in others), *(e for c in some for e in (c.viewed, c.registered, c.returned, c.key))]

    await asyncio.gather(world.take(*first), world.take(*second), world.take(*first), world.take(*second))

    assert await world.ledger_holds() == [(letter, "queued") for letter in LETTERS for _ in range(80)]


# --- only where wished for


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("letter", OPT_IN)
@pytest.mark.parametrize("surety_id", ["toto", "nankai"])
async def test_who_did_not_wish_for_it_gets_nothing(
    world: Any, a_case: Callable[..., Any], letter: str, surety_id: str, order: tuple[int, ...]
) -> None:
    case = a_case(surety_id=surety_id)
    for place in order:
        await world.take(case.halves_of(letter)[place])
    await world.send_due()

    assert world.post.letters == []
    assert await world.told() == []
    assert await world.pool.fetchval("SELECT count(*) FROM letter WHERE state <> 'not_wished'") == 0


@pytest.mark.parametrize("letter", OPT_IN)
async def test_nothing_is_kept_of_what_an_application_has_said_no_to(
    world: Any, a_case: Callable[..., Any], letter: str
) -> None:
    case = a_case(wanted=False)
    await world.take(case.wish)

    await world.take(case.key, case.told_by(letter), case.told_by(letter))

    assert await world.ledger_holds() == []
    assert await world.pool.fetchval("SELECT contact_ciphertext FROM delivery") is None


@pytest.mark.parametrize("letter", OPT_IN)
async def test_a_half_whose_application_says_no_later_is_forgotten_and_stays_so(
    world: Any, a_case: Callable[..., Any], letter: str
) -> None:
    case = a_case(wanted=False)
    await world.take(case.told_by(letter))
    assert await world.ledger_holds() == [(letter, "waiting")]

    await world.take(case.wish)
    assert await world.pool.fetchval("SELECT count(*) FROM letter WHERE record_value IS NOT NULL") == 0
    await world.sweeper().sweep()
    assert await world.ledger_holds() == []
    await world.take(case.told_by(letter), case.wish, case.key)

    assert await world.ledger_holds() == []


async def test_the_sweeper_forgets_nothing_else(world: Any, a_case: Callable[..., Any]) -> None:
    """A completion letter that nobody wished for stays in the ledger, as it always did."""
    unwished, wished = a_case(wanted=False), a_case(returned_wanted=True, viewed_wanted=True)
    await world.take(*unwished.halves, *wished.halves, wished.returned, wished.viewed)
    await world.send_due()
    before = await world.ledger_holds()

    await world.sweeper().sweep()

    assert await world.ledger_holds() == before
    assert ("completion", "not_wished") in before


@pytest.mark.parametrize("letter", OPT_IN)
async def test_contact_data_is_kept_where_any_letter_is_wished_for(
    world: Any, a_case: Callable[..., Any], letter: str
) -> None:
    await world.take(a_case(**WISHES[letter]).wish)

    assert await world.pool.fetchval("SELECT contact_ciphertext FROM delivery") is not None


# --- letters about a return


async def test_a_decision_that_returns_nothing_leaves_no_trace(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case(returned_wanted=True)
    accepted = case.returned.model_copy(update={"outcomes": case.returned.outcomes[:1]})

    await world.take(accepted)

    assert await world.ledger_holds() == []
    assert await world.pool.fetchval("SELECT count(*) FROM delivery") == 0


async def test_what_else_is_decided_is_let_go(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case(returned_wanted=True)
    application_id, now = case.wish.application_id, case.wish.submitted_at
    queued = ApplicationQueued(application_id=application_id, queued_at=now, findings=())
    withdrawn = ApplicationWithdrawn(application_id=application_id, withdrawn_at=now)

    await world.take(case.wish, case.key, queued, withdrawn)

    assert await world.ledger_holds() == []
    assert await world.pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_returned_names_the_products_and_keeps_the_desks_words_to_itself(
    world: Any, a_case: Callable[..., Any]
) -> None:
    case = a_case(returned_wanted=True)
    also = ProductOutcome(product="interim_payment", form="paper", outcome="returned")
    decided = case.returned.model_copy(update={"outcomes": (*case.returned.outcomes, also)})
    await world.take(case.wish, case.key, decided)

    await world.send_due()

    said = text_of(world.post.letters[0]) + str(world.post.letters[0].get_body(("html",)).get_content())
    assert "契約保証、中間前払金保証" in said
    assert "、前払金保証" not in said
    assert "秘密" not in said
    assert "secret" not in said
    assert "携帯電話" not in said
    row = await world.letter(case, "returned")
    assert "携帯電話".encode() not in str(dict(row)).encode()
    assert (row["certificate_id"], row["contract_number"], row["record_value"]) == (None, None, None)


async def test_a_returned_product_that_nobody_knows_is_parked_and_the_rest_goes_on(
    world: Any, a_case: Callable[..., Any]
) -> None:
    good, bad = a_case(**WISHES["returned"]), a_case(**WISHES["returned"])
    strange = ProductOutcome(product="retention", form="paper", outcome="returned")
    decided = bad.returned.model_copy(update={"outcomes": (strange,)})

    await world.take(*good.halves_of("returned"), decided)

    assert await world.ledger_holds() == [("returned", "queued")]
    (dead,) = await world.outgoing(topics.dead_letters("notifier"))
    assert dict(unpack(dead["headers"]))["akashi_reason"] == b"product_is_unknown"


# --- letters about a view


async def test_only_the_first_view_is_told(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case(**WISHES["viewed"])
    later = case.viewed.model_copy(update={"view_id": uuid4(), "viewed_at": case.viewed.viewed_at + timedelta(hours=2)})
    await world.take(later, case.viewed, case.wish, case.key)
    await world.send_due()
    await world.take(later.model_copy(update={"view_id": uuid4()}))
    await world.send_due()

    (message,) = world.post.letters
    assert "閲覧日時　　：2026/04/01 09:00" in text_of(message)


async def test_each_certificate_of_an_application_has_its_own_first_view(
    world: Any, a_case: Callable[..., Any]
) -> None:
    case = a_case(**WISHES["viewed"])
    other = case.viewed.model_copy(
        update={"view_id": uuid4(), "certificate_id": uuid4(), "contract_number": "10226-99999M"}
    )

    await world.take(case.wish, case.key, case.viewed, other)
    await world.send_due()

    said = "".join(text_of(message) for message in world.post.letters)
    assert len(world.post.letters) == 2
    assert case.viewed.contract_number in said
    assert "10226-99999M" in said


# --- left alone, shredded, killed: as the completion letter


@pytest.mark.parametrize("letter", OPT_IN)
@pytest.mark.parametrize(("came", "reason"), [((), "application_never_came"), ((0,), "data_key_never_came")])
async def test_a_half_left_alone_is_parked_as_it_came_and_goes_on_later(
    world: Any, a_case: Callable[..., Any], letter: str, came: tuple[int, ...], reason: str
) -> None:
    case = a_case(**WISHES[letter])
    record = world.record(case.told_by(letter))
    await world.take(*(case.halves[place] for place in came))
    await world.consumer().take([record])
    world.clock.advance(days=1)

    await world.sweeper().sweep()
    await world.sweeper().sweep()

    (dead,) = await world.outgoing(topics.dead_letters("notifier"))
    headers = dict(unpack(dead["headers"]))
    assert (dead["key"], dead["value"]) == (record.key, record.value)
    assert headers["akashi_reason"].decode() == reason
    assert headers["akashi_origin_topic"].decode() == record.topic
    assert await world.state(case, letter) == "parked"

    await world.take(case.wish, case.key)
    await world.send_due()
    assert await world.state(case, letter) == "sent"


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize("order", ORDERS)
async def test_without_its_data_key_it_can_never_be_sent(
    world: Any, a_case: Callable[..., Any], letter: str, order: tuple[int, ...]
) -> None:
    case = a_case(**WISHES[letter])
    await world.shred(case)
    for place in order:
        await world.take(case.halves_of(letter)[place])
    await world.send_due()

    assert world.post.letters == []
    (event,) = await world.told()
    assert type(event).__name__ == ("ApplicationMailUndeliverable" if letter == "returned" else "MailUndeliverable")
    assert (event.letter, event.reason, event.attempts) == (letter, "shredded", 0)
    assert event.message_id == f"<{case.about_id(letter)}.{letter}@toto-hosho.example>"


@pytest.mark.parametrize("letter", LETTERS)
async def test_killed_between_claim_and_smtp_it_is_sent_when_the_lease_is_over(
    world: Any, a_case: Callable[..., Any], letter: str
) -> None:
    case = a_case(**WISHES[letter])
    await world.take(*case.halves_of(letter))
    assert await world.ledger.claim() is not None
    assert await world.state(case, letter) == "sending"
    await world.leases_pass(seconds=59)
    await world.send_due()
    assert world.post.letters == []

    await world.leases_pass(seconds=1)
    await world.send_due()

    assert world.post.message_ids == [(await world.letter(case, letter))["message_id"]]
    (event,) = await world.told()
    assert event.attempts == 2


@pytest.mark.parametrize("letter", LETTERS)
async def test_killed_between_claim_and_smtp_it_is_left_to_a_person_where_that_is_wished(
    world: Any, a_case: Callable[..., Any], letter: str
) -> None:
    case = a_case(**WISHES[letter])
    await world.take(*case.halves_of(letter))
    assert await world.ledger.claim() is not None
    await world.leases_pass(seconds=60)

    await world.send_due(resend_unknown=False)
    await world.sweeper(resend_unknown=False).sweep()

    assert await world.state(case, letter) == "unknown"
    assert world.post.letters == []
    assert await world.told() == []


@pytest.mark.parametrize("letter", LETTERS)
async def test_a_server_that_took_it_and_fell_silent_gets_it_under_the_same_name(
    world: Any, a_case: Callable[..., Any], letter: str
) -> None:
    case = a_case(**WISHES[letter])
    await world.take(*case.halves_of(letter))
    world.post.silent = True
    await world.send_due(timeout_seconds=0.3)

    world.post.silent = False
    world.clock.advance(seconds=5)
    await world.send_due()

    assert len(world.post.letters) == 2
    assert len(set(world.post.message_ids)) == 1
    assert len(await world.told()) == 1
