"""A letter is queued when wish, key and registration are all there, in whatever order and in how many processes."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from chassis import sealing
from chassis.decoding import decode
from chassis.outbox import unpack
from schemas import topics
from schemas.applications import WithdrawalRequested
from schemas.data_keys import WrappedKey
from schemas.notifications import MailUndeliverable

ORDERS = list(itertools.permutations(range(3)))


@pytest.mark.parametrize("order", ORDERS)
async def test_the_halves_join_in_every_order(world: Any, a_case: Callable[..., Any], order: tuple[int, ...]) -> None:
    case = a_case()
    for place in order[:2]:
        await world.take(case.halves[place])
    assert await world.pool.fetchval("SELECT count(*) FROM letter WHERE state <> 'waiting'") == 0

    await world.take(case.halves[order[2]])

    assert await world.state(case) == "queued"


async def test_the_halves_join_in_one_poll(world: Any, a_case: Callable[..., Any]) -> None:
    cases = [a_case() for _ in range(50)]

    await world.take(*(half for case in cases for half in reversed(case.halves)))

    assert {await world.state(case) for case in cases} == {"queued"}


@pytest.mark.parametrize("order", ORDERS)
async def test_the_halves_join_when_processes_hold_them_at_the_same_time(
    world: Any, a_case: Callable[..., Any], order: tuple[int, ...]
) -> None:
    """Each process has one kind of half of all applications, crosswise: none may miss another's or wait for it."""
    cases = [a_case() for _ in range(40)]
    polls = [[case.halves[place] for case in cases] for place in order]
    polls = [poll if n % 2 else poll[::-1] for n, poll in enumerate(polls)]

    await asyncio.gather(*(world.take(*poll) for poll in polls))

    assert {await world.state(case) for case in cases} == {"queued"}


async def test_crossing_polls_wait_for_each_other_instead_of_deadlocking(
    world: Any, a_case: Callable[..., Any]
) -> None:
    some, others = [a_case() for _ in range(100)], [a_case() for _ in range(100)]
    first = [*(c.wish for c in some), *(c.key for c in others), *(c.registered for c in others)]
    second = [*(c.wish for c in others), *(c.key for c in some), *(c.registered for c in some)]

    before = await world.pool.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    for _ in range(5):
        await asyncio.gather(world.take(*first), world.take(*second), world.take(*first), world.take(*second))
    await world.pool.execute("SELECT pg_stat_force_next_flush()")

    after = await world.pool.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert after == before
    assert {await world.state(case) for case in (*some, *others)} == {"queued"}


async def test_a_batch_costs_as_many_statements_as_one_event(world: Any, a_case: Callable[..., Any]) -> None:
    async def statements(*events: Any) -> int:
        asked: list[str] = []
        async with world.pool.acquire() as connection:
            listener = lambda query: asked.append(query.query)  # noqa: E731
            connection.add_query_logger(listener)
            async with connection.transaction():
                reading = world.consumer().reading
                for kind, handle in reading.handlers.items():
                    batch = [decode(world.record(event), "notifier") for event in events if type(event) is kind]
                    await handle(connection, batch)
            connection.remove_query_logger(listener)
        return len(asked)

    def events() -> tuple[Any, ...]:
        case = a_case(returned_wanted=True, viewed_wanted=True)
        return (*case.halves, case.returned, case.viewed)

    await statements(*events())  # asyncpg asks for types once
    one = await statements(*events())
    many = await statements(*(event for _ in range(100) for event in events()))

    assert many == one


async def test_net_desk_sends_nothing_to_whom_wished_for_nothing(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case(wanted=False)
    await world.take(*case.halves)
    await world.send_due()

    assert await world.state(case) == "not_wished"
    assert world.post.letters == []
    assert await world.told() == []
    assert await world.pool.fetchval("SELECT contact_ciphertext FROM delivery") is None


async def test_a_second_delivery_opens_no_second_letter(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)
    await world.send_due()

    await world.take(*case.halves, *case.halves)
    await world.send_due()

    assert len(world.post.letters) == 1
    assert [type(event).__name__ for event in await world.told()] == ["MailSent"]


async def test_a_withdrawal_is_nothing_to_the_notifier(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    asked = WithdrawalRequested(
        application_id=case.wish.application_id,
        requested_at=case.wish.submitted_at,
        requested_by=case.wish.submitted_by,
    )

    await world.take(case.wish, asked)

    assert await world.pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_what_points_at_nobody_is_parked_and_the_rest_goes_on(world: Any, a_case: Callable[..., Any]) -> None:
    good, bad = a_case(), a_case()
    stranger = bad.wish.model_copy(update={"surety_id": "nobody"})
    no_branch = a_case().wish.model_copy(update={"branch_id": "nowhere"})
    no_product = a_case().registered.model_copy(update={"product": "retention"})
    other_key = bad.key.model_copy(update={"wrapped_for": good.key.wrapped_for})

    await world.take(stranger, no_branch, *good.halves, no_product, other_key)

    assert await world.state(good) == "queued"
    dead = await world.outgoing(topics.dead_letters("notifier"))
    assert sorted(dict(unpack(row["headers"]))["akashi_reason"].decode() for row in dead) == [
        "branch_is_unknown",
        "data_key_cannot_be_opened",
        "product_is_unknown",
        "surety_is_unknown",
    ]


async def test_a_data_key_is_wrapped_for_others_too_and_only_ours_is_kept(
    world: Any, a_case: Callable[..., Any]
) -> None:
    case = a_case()
    (ours,) = case.key.wrapped_for
    others = WrappedKey(reader="issuer", wrapped=sealing.b64(b"wrapped for the issuer"))

    await world.take(case.wish, case.key.model_copy(update={"wrapped_for": (ours, others)}), case.registered)
    await world.send_due()

    assert await world.state(case) == "sent"


async def test_shredding_before_it_left_makes_a_letter_undeliverable(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)

    await world.shred(case)
    await world.send_due()

    assert await world.state(case) == "undeliverable"
    assert world.post.letters == []
    (event,) = await world.told()
    assert isinstance(event, MailUndeliverable)
    assert (event.reason, event.attempts) == ("shredded", 0)


@pytest.mark.parametrize("order", ORDERS)
async def test_shredding_first_is_remembered_whatever_comes_later(
    world: Any, a_case: Callable[..., Any], order: tuple[int, ...]
) -> None:
    case = a_case()
    await world.shred(case)

    for place in order:
        await world.take(case.halves[place])

    assert await world.state(case) == "undeliverable"
    assert await world.pool.fetchval("SELECT wrapped IS NULL AND contact_ciphertext IS NULL FROM delivery")
    assert [type(event).__name__ for event in await world.told()] == ["MailUndeliverable"]
    assert await world.outgoing(topics.dead_letters("notifier")) == []


async def test_shredding_what_was_sent_changes_nothing_in_the_ledger(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)
    await world.send_due()

    await world.shred(case)
    await world.shred(case)

    assert await world.state(case) == "sent"
    assert [type(event).__name__ for event in await world.told()] == ["MailSent"]
    assert await world.pool.fetchval("SELECT wrapped FROM delivery") is None


async def test_shredding_under_a_key_that_is_no_application_is_parked(world: Any, record: Callable[..., Any]) -> None:
    await world.consumer().take([record(topics.DATA_KEYS.name, b"nothing", None, (), 1)])

    (dead,) = await world.outgoing(topics.dead_letters("notifier"))
    assert dict(unpack(dead["headers"]))["akashi_reason"] == b"key_is_not_an_application"
