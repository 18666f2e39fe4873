"""Halves that nobody completes are counted, told to a person, and can go on later."""

from collections.abc import Callable
from typing import Any

from chassis.outbox import unpack
from schemas import topics
from services.notifier.metrics import HALVES_ALONE

DEAD_LETTERS = topics.dead_letters("notifier")


def alone(missing: str) -> float:
    return float(HALVES_ALONE.labels(missing)._value.get())


async def test_halves_that_wait_long_are_counted_by_what_is_missing(world: Any, a_case: Callable[..., Any]) -> None:
    await world.take(a_case().registered, a_case().registered, a_case().wish, a_case().key)
    await world.sweeper().sweep()
    assert (alone("application"), alone("data_key")) == (0, 0)

    world.clock.advance(hours=1)
    await world.sweeper().sweep()

    assert (alone("application"), alone("data_key")) == (3, 1)


async def test_an_application_that_was_never_registered_is_no_half_left_alone(
    world: Any, a_case: Callable[..., Any]
) -> None:
    case, unwanted, shredded = a_case(), a_case(wanted=False), a_case()
    await world.take(case.wish, case.key, unwanted.wish, shredded.wish)
    await world.shred(shredded)
    world.clock.advance(days=30)

    await world.sweeper().sweep()

    assert (alone("application"), alone("data_key")) == (0, 0)


async def test_a_registration_whose_application_never_came_goes_to_the_dead_letters_as_it_came(
    world: Any, a_case: Callable[..., Any]
) -> None:
    case = a_case()
    record = world.record(case.registered)
    await world.consumer().take([record])
    world.clock.advance(days=1)

    await world.sweeper().sweep()
    await world.sweeper().sweep()

    assert await world.state(case) == "parked"
    (dead,) = await world.outgoing(DEAD_LETTERS)
    headers = dict(unpack(dead["headers"]))
    assert (dead["key"], dead["value"]) == (record.key, record.value)
    assert headers["akashi_reason"] == b"application_never_came"
    assert headers["akashi_origin_topic"] == b"registrations.v1"
    assert headers["akashi_origin_offset"] == str(record.offset).encode()
    assert headers["ce_id"] == str(case.registered.event_id).encode()
    assert (await world.letter(case))["record_value"] is None


async def test_a_registration_whose_data_key_never_came_says_so(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(case.registered, case.wish)
    world.clock.advance(days=1)

    await world.sweeper().sweep()

    (dead,) = await world.outgoing(DEAD_LETTERS)
    assert dict(unpack(dead["headers"]))["akashi_reason"] == b"data_key_never_came"


async def test_what_is_complete_is_never_parked(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)
    world.clock.advance(days=30)

    await world.sweeper().sweep()

    assert await world.state(case) == "queued"
    assert (await world.letter(case))["record_value"] is None


async def test_a_redriven_registration_waits_anew_and_is_parked_anew(
    world: Any, a_case: Callable[..., Any], record: Callable[..., Any]
) -> None:
    case = a_case()
    await world.take(case.registered)
    world.clock.advance(days=1)
    await world.sweeper().sweep()
    (dead,) = await world.outgoing(DEAD_LETTERS)

    again = record(topics.redrive("notifier"), dead["key"], dead["value"], unpack(dead["headers"]), 0)
    await world.consumer().take([again])
    assert await world.state(case) == "waiting"
    world.clock.advance(days=1)
    await world.sweeper().sweep()

    _, second = await world.outgoing(DEAD_LETTERS)
    headers = dict(unpack(second["headers"]))
    assert (headers["akashi_attempts"], headers["akashi_origin_topic"]) == (b"2", b"registrations.v1")


async def test_a_redriven_registration_is_sent_when_the_halves_are_there(
    world: Any, a_case: Callable[..., Any], record: Callable[..., Any]
) -> None:
    case = a_case()
    await world.take(case.registered)
    world.clock.advance(days=1)
    await world.sweeper().sweep()
    (dead,) = await world.outgoing(DEAD_LETTERS)
    await world.pool.execute("UPDATE letter SET state = 'parked'")

    again = record(topics.redrive("notifier"), dead["key"], dead["value"], unpack(dead["headers"]), 0)
    await world.consumer().take([again])
    await world.take(case.wish, case.key)
    await world.send_due()
    await world.consumer().take([again])
    await world.send_due()

    assert len(world.post.letters) == 1


async def test_a_parked_letter_leaves_when_its_application_comes_after_all(
    world: Any, a_case: Callable[..., Any]
) -> None:
    case = a_case()
    await world.take(case.registered)
    world.clock.advance(days=1)
    await world.sweeper().sweep()

    await world.take(case.wish, case.key)
    await world.send_due()

    assert await world.state(case) == "sent"


async def test_a_letter_put_off_by_a_clock_that_ran_ahead_leaves_when_the_clock_is_right(
    world: Any, a_case: Callable[..., Any]
) -> None:
    case = a_case()
    await world.take(*case.halves)
    world.post.answers["RCPT"] = ["451 later"]
    world.clock.advance(days=400)
    await world.send_due()
    world.clock.advance(days=-400)
    await world.send_due()
    assert await world.state(case) == "queued"

    await world.sweeper().sweep()
    await world.send_due()

    assert await world.state(case) == "sent"


async def test_a_clock_that_leaps_ahead_ends_no_claim(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)
    await world.ledger.claim()

    world.clock.advance(days=400)
    await world.sweeper(resend_unknown=False).sweep()

    assert await world.ledger.claim() is None
    assert await world.state(case) == "sending"


async def test_a_claim_that_the_database_made_while_its_clock_ran_ahead_lasts_one_lease_more(
    world: Any, a_case: Callable[..., Any]
) -> None:
    case = a_case()
    await world.take(*case.halves)
    await world.ledger.claim()
    await world.leases_pass(seconds=-400 * 86400)

    await world.sweeper().sweep()
    assert await world.ledger.claim() is None
    await world.leases_pass(seconds=world.ledger.lease_seconds)

    assert (await world.ledger.claim()) is not None


async def test_a_letter_that_waits_by_its_schedule_is_not_called_back(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)
    world.post.answers["RCPT"] = ["451 later"]
    await world.send_due()
    due_at = (await world.letter(case))["due_at"]

    await world.sweeper().sweep()

    assert (await world.letter(case))["due_at"] == due_at
