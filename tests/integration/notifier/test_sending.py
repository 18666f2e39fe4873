"""What becomes of a due letter, whatever the SMTP server says or does not say."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chassis.outbox import unpack
from schemas.notifications import MailSent, MailUndeliverable
from services.notifier.domain import BackOff, GivenUp, Sent
from services.notifier.ledger import Claimed, Ledger
from services.notifier.sender import Pause
from services.notifier.settings import NotifierSettings
from tests.support.databases import Databases

#: The sixth is planned for any arguments, and no more.
EXECUTIONS_UNTIL_A_PLAN_IS_KEPT = 6
THREE = 3
AN_HOUR = timedelta(hours=1)
A_BIT_SECONDS = 0.1
SHIPPED = {name: field.default for name, field in NotifierSettings.model_fields.items()}


async def test_a_due_letter_is_sent_noted_and_told(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)

    await world.send_due()

    (letter,) = world.post.letters
    assert letter["To"] == "tanto@kensetsu.example"
    assert letter["Subject"] == "電子保証（認証キー）発行完了のお知らせ"
    assert letter["X-Akashi-Correlation-Id"] == "corr-00000001"
    assert b"\r\nMessage-ID: <" in world.post.raw[0]
    row = await world.letter(case)
    assert (row["state"], row["attempts"], row["smtp_code"], row["due_at"]) == ("sent", 1, 250, None)
    (event,) = await world.told()
    assert isinstance(event, MailSent)
    assert event.message_id == letter["Message-ID"].strip() == row["message_id"]
    assert (event.attempts, event.sent_at) == (1, world.clock.now())


async def test_the_event_belongs_to_the_chain_that_began_with_the_request(
    world: Any, a_case: Callable[..., Any]
) -> None:
    case = a_case()
    await world.take(*case.halves)

    await world.send_due()

    (row,) = await world.outgoing("notifications.v1")
    headers = dict(unpack(row["headers"]))
    assert headers["ce_correlationid"] == b"corr-00000001"
    assert headers["ce_causationid"] == str(case.registered.event_id).encode()
    assert row["key"] == str(case.wish.application_id).encode()


async def test_letters_in_a_row_share_a_connection(world: Any, a_case: Callable[..., Any]) -> None:
    for _ in range(THREE):
        await world.take(*a_case().halves)

    await world.send_due()

    assert (len(world.post.letters), world.post.connections) == (THREE, 1)


async def test_a_sender_claims_one_letter_however_the_database_plans_it(world: Any, a_case: Callable[..., Any]) -> None:
    """What PostgreSQL plans for an empty table, and keeps, asks what is due again for each letter there is."""
    await world.pool.execute("VACUUM ANALYZE letter")
    await world.pool.execute("VACUUM ANALYZE delivery")
    for _ in range(EXECUTIONS_UNTIL_A_PLAN_IS_KEPT):
        await world.send_due()
    for _ in range(THREE):
        await world.take(*a_case().halves)

    await world.send_due()

    assert len(world.post.letters) == THREE


async def test_a_refused_letter_does_not_spoil_the_connection_for_the_next(
    world: Any, a_case: Callable[..., Any]
) -> None:
    cases = [a_case() for _ in range(THREE)]
    await world.take(*(half for case in cases for half in case.halves))
    world.post.answers["RCPT"] = ["550 no such user"]

    await world.send_due()

    assert sorted([await world.state(case) for case in cases]) == ["sent", "sent", "undeliverable"]
    assert world.post.connections == 1


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_put_off_a_letter_waits_by_schedule_and_then_leaves(
    world: Any, a_case: Callable[..., Any], command: str
) -> None:
    case = a_case()
    await world.take(*case.halves)
    world.post.answers[command] = ["451 try again later", "451 still busy"]

    await world.send_due()
    row = await world.letter(case)
    assert (row["state"], row["deferrals"], row["smtp_code"]) == ("queued", 1, 451)
    assert (row["due_at"] - world.clock.now()).total_seconds() == 5

    world.clock.advance(seconds=4.9)
    await world.send_due()
    assert (await world.letter(case))["attempts"] == 1

    world.clock.advance(seconds=0.1)
    await world.send_due()
    row = await world.letter(case)
    assert (row["due_at"] - world.clock.now()).total_seconds() == 30

    world.clock.advance(seconds=30)
    await world.send_due()
    assert await world.state(case) == "sent"
    (event,) = await world.told()
    assert event.attempts == THREE


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_refused_for_good_is_told_with_the_code_and_never_with_the_words(
    world: Any, a_case: Callable[..., Any], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    case = a_case()
    await world.take(*case.halves)
    world.post.answers[command] = ["550 5.1.1 <tanto@kensetsu.example> unknown"]

    await world.send_due()

    assert await world.state(case) == "undeliverable"
    (event,) = await world.told()
    assert isinstance(event, MailUndeliverable)
    assert (event.reason, event.smtp_code, event.attempts) == ("refused", 550, 1)
    assert b"kensetsu" not in (await world.outgoing("notifications.v1"))[0]["value"]
    assert "tanto@" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_a_relay_that_refuses_us_ends_no_letter(world: Any, a_case: Callable[..., Any], command: str) -> None:
    case = a_case()
    await world.take(*case.halves)
    world.post.answers[command] = ["554 5.7.1 relay access denied"]
    await world.send_due()
    assert await world.state(case) == "queued"

    world.clock.advance(seconds=5)
    await world.send_due()

    assert await world.state(case) == "sent"


async def test_put_off_for_too_long_a_letter_is_given_up(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)
    world.post.answers["RCPT"] = ["451 later"] * 3
    await world.send_due()
    world.clock.advance(seconds=5)
    await world.send_due()

    world.clock.advance(hours=1)
    await world.send_due()

    (event,) = await world.told()
    assert isinstance(event, MailUndeliverable)
    assert (event.reason, event.smtp_code, event.attempts) == ("expired", 451, 3)


@pytest.mark.parametrize("mail_address", [None, "", "nowhere", "a@b.example\r\nBcc: c@d.example"])
async def test_without_an_address_there_is_nothing_to_send(
    world: Any, a_case: Callable[..., Any], mail_address: str | None
) -> None:
    case = a_case(mail_address=mail_address)
    await world.take(*case.halves)

    await world.send_due()

    (event,) = await world.told()
    assert isinstance(event, MailUndeliverable)
    assert event.reason == "no_address"
    assert world.post.mails_begun == 0


async def test_contact_data_under_another_key_is_told_as_unreadable(world: Any, a_case: Callable[..., Any]) -> None:
    case, other = a_case(), a_case()
    await world.take(case.wish.model_copy(update={"contact": other.wish.contact}), case.key, case.registered)

    await world.send_due()

    (event,) = await world.told()
    assert isinstance(event, MailUndeliverable)
    assert event.reason == "unreadable"


async def test_a_server_that_is_away_costs_a_letter_none_of_its_schedule(
    world: Any, a_case: Callable[..., Any], closed_port: int
) -> None:
    case = a_case()
    await world.take(*case.halves)

    for _ in range(THREE):
        await world.send_due(port=closed_port)
        world.clock.advance(seconds=5)
    row = await world.letter(case)
    assert (row["state"], row["attempts"], row["deferrals"]) == ("queued", THREE, 0)

    await world.send_due()
    assert await world.state(case) == "sent"


@pytest.mark.parametrize("how", ["away", "busy"])
async def test_an_hour_without_a_mail_server_loses_no_letter_and_knocks_no_more_often_than_it_should(
    world: Any, a_case: Callable[..., Any], closed_port: int, how: str
) -> None:
    """With the settings as they are shipped: away altogether, or there and putting off every letter."""
    back_off = BackOff(SHIPPED["back_off_seconds"], SHIPPED["give_up_after_seconds"])
    cases = [a_case() for _ in range(THREE)]
    await world.take(*(half for case in cases for half in case.halves))
    began = world.clock.now()
    world.post.answers["RCPT"] = ["450 later"] * 100
    while (due := [row["due_at"] for row in await letters(world) if row["due_at"]]) and min(due) < began + AN_HOUR:
        world.clock.advance(seconds=max(0.0, (min(due) - world.clock.now()).total_seconds()))
        # A process that knocked in vain waits `server_away_seconds` at most; letters that are due wait for it.
        await world.send_due(back_off=back_off, **({"port": closed_port} if how == "away" else {}))
        if how == "away":
            world.clock.advance(seconds=SHIPPED["server_away_seconds"])
    assert world.post.letters == []
    tried = [row["attempts"] for row in await letters(world)]
    # 5 s, 30 s, 2 min, 10 min and 30 min between: the sixth wait ends after the hour.
    assert tried == [6] * THREE if how == "busy" else max(tried) <= 3600 / SHIPPED["server_away_seconds"] + 1

    world.post.answers["RCPT"] = []
    world.clock.advance(seconds=max(0.0, (max(due) - world.clock.now()).total_seconds()))
    await world.send_due(back_off=back_off)

    assert [row["state"] for row in await letters(world)] == ["sent"] * THREE
    assert len(world.post.letters) == len(set(world.post.message_ids)) == THREE
    # The server is back: nothing waits longer than the longest wait.
    assert world.clock.now() - began <= AN_HOUR + back_off.longest_wait


async def test_once_a_letter_was_taken_the_next_pause_is_short_again(
    world: Any, a_case: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    pause = Pause(longest_seconds=300)
    pause.begin()
    shortest = pause.seconds_left

    async def is_over() -> bool:
        return not pause.seconds_left

    await eventually(is_over)
    await world.take(*a_case().halves)
    await world.send_due(pause=pause)
    pause.begin()

    assert len(world.post.letters) == 1
    assert pause.seconds_left <= shortest + A_BIT_SECONDS


async def letters(world: Any) -> list[Any]:
    rows: list[Any] = await world.pool.fetch("SELECT * FROM letter ORDER BY about_id")
    return rows


@pytest.mark.parametrize("greeting", [b"554 go away\r\n", b"421 too busy\r\n", b"", b"220 mx.example\r\n"])
async def test_a_server_that_does_not_greet_us_refuses_no_letter(
    world: Any, a_case: Callable[..., Any], greeting: bytes
) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await writer.drain()
        writer.close()

    case = a_case()
    await world.take(*case.halves)
    server = await asyncio.start_server(greet, "127.0.0.1", 0)

    await world.send_due(port=server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()

    row = await world.letter(case)
    assert (row["state"], row["deferrals"]) == ("queued", 0)


async def test_a_server_that_falls_silent_loses_the_letter_no_time(world: Any, a_case: Callable[..., Any]) -> None:
    """It took the letter and did not say so: sent again, with the same Message-ID, and told once."""
    case = a_case()
    await world.take(*case.halves)
    world.post.silent = True
    await world.send_due(timeout_seconds=0.3)
    assert await world.state(case) == "queued"

    world.post.silent = False
    world.clock.advance(seconds=5)
    await world.send_due()

    assert len(world.post.letters) == 2
    assert len(set(world.post.message_ids)) == 1
    assert [type(event).__name__ for event in await world.told()] == ["MailSent"]


@pytest.mark.parametrize("how", [(True, []), (False, ["taken, thank you"])], ids=["silent", "no reply of SMTP"])
async def test_an_unclear_letter_is_left_to_a_person_where_that_is_wished(
    world: Any, a_case: Callable[..., Any], how: tuple[bool, list[str]]
) -> None:
    case = a_case()
    await world.take(*case.halves)
    world.post.silent, world.post.answers["DATA"] = how

    await world.send_due(timeout_seconds=0.3, resend_unknown=False)
    world.clock.advance(days=1)
    await world.send_due(resend_unknown=False)

    assert await world.state(case) == "unknown"
    assert world.post.mails_begun == 1
    assert await world.told() == []


async def test_a_lease_that_ran_out_sends_again_with_the_same_message_id(
    world: Any, a_case: Callable[..., Any]
) -> None:
    """As after a kill between the server's answer and the note."""
    case = a_case()
    await world.take(*case.halves)
    claimed = await world.ledger.claim()
    assert claimed is not None
    await world.leases_pass(seconds=59)
    await world.send_due()
    assert world.post.letters == []

    await world.leases_pass(seconds=1)
    await world.send_due()

    assert world.post.message_ids[0].strip() == (await world.letter(case))["message_id"]
    (event,) = await world.told()
    assert event.attempts == 2


async def test_a_lease_that_ran_out_parks_the_letter_where_that_is_wished(
    world: Any, a_case: Callable[..., Any]
) -> None:
    case = a_case()
    await world.take(*case.halves)
    assert await world.ledger.claim() is not None
    await world.leases_pass(seconds=60)

    await world.send_due(resend_unknown=False)
    await world.sweeper(resend_unknown=False).sweep()

    assert await world.state(case) == "unknown"
    assert world.post.letters == []


async def test_of_two_that_sent_the_same_letter_one_tells(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)
    slow = await world.ledger.claim()
    await world.leases_pass(seconds=60)
    quick = await world.ledger.claim()

    await world.ledger.note(quick, Sent())
    await world.ledger.note(slow, Sent())

    assert await world.state(case) == "sent"
    assert len(await world.told()) == 1


async def test_who_was_frozen_with_a_claim_until_another_had_it_sends_nothing(
    world: Any, a_case: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = a_case()
    await world.take(*case.halves)
    claim = Ledger.claim

    async def claim_and_freeze(ledger: Ledger) -> Claimed | None:
        monkeypatch.setattr(Ledger, "claim", claim)
        claimed = await claim(ledger)
        assert claimed is not None
        await world.leases_pass(seconds=60)
        await world.send_due()
        # What its clock says when it thaws.
        return replace(claimed, ours_until=time.monotonic())

    monkeypatch.setattr(Ledger, "claim", claim_and_freeze)
    await world.send_due()

    assert len(world.post.letters) == 1
    assert await world.state(case) == "sent"
    assert len(await world.told()) == 1


async def test_a_letter_is_not_begun_that_could_outlast_its_claim(
    world: Any, a_case: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = a_case()
    await world.take(*case.halves)
    claim = Ledger.claim

    async def claim_and_freeze(ledger: Ledger) -> Claimed | None:
        claimed = await claim(ledger)
        return claimed and replace(claimed, ours_until=time.monotonic() + 10)

    monkeypatch.setattr(Ledger, "claim", claim_and_freeze)
    await world.send_due(timeout_seconds=20)

    assert world.post.letters == []
    assert await world.state(case) == "queued"


async def test_what_was_left_to_a_person_and_did_leave_is_told_as_sent(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)
    slow = await world.ledger.claim()
    await world.leases_pass(seconds=60)
    await world.sweeper(resend_unknown=False).sweep()
    assert await world.state(case) == "unknown"

    await world.ledger.note(slow, Sent())

    assert await world.state(case) == "sent"
    assert [type(event).__name__ for event in await world.told()] == ["MailSent"]


async def test_who_lost_the_lease_can_say_that_it_was_sent_and_nothing_else(
    world: Any, a_case: Callable[..., Any]
) -> None:
    case = a_case()
    await world.take(*case.halves)
    slow = await world.ledger.claim()
    await world.leases_pass(seconds=60)
    quick = await world.ledger.claim()

    await world.ledger.note(slow, GivenUp("refused", 550))
    assert await world.state(case) == "sending"
    await world.ledger.note(slow, Sent())
    await world.ledger.note(quick, GivenUp("refused", 550))

    assert await world.state(case) == "sent"
    assert [type(event).__name__ for event in await world.told()] == ["MailSent"]


async def test_many_senders_send_each_letter_once(world: Any, a_case: Callable[..., Any]) -> None:
    cases = [a_case() for _ in range(100)]
    await world.take(*(half for case in cases for half in case.halves))

    await asyncio.gather(*(world.send_due() for _ in range(8)))

    assert len(world.post.letters) == len(set(world.post.message_ids)) == 100
    assert {await world.state(case) for case in cases} == {"sent"}
    assert len({event.certificate_id for event in await world.told()}) == 100


async def test_no_transaction_is_open_while_the_server_thinks(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)
    world.post.gate = asyncio.Event()
    sending = asyncio.create_task(world.send_due())
    await world.post.reached.wait()

    assert await world.state(case) == "sending"
    in_transaction = await world.pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    )
    assert in_transaction == 0

    world.post.gate.set()
    await sending


async def test_a_committed_poll_wakes_the_senders_at_once(
    world: Any, a_case: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    world.bell.look_every_seconds = 3600.0
    sender = world.sender()
    running = asyncio.create_task(sender.run(world.progress))
    case = a_case()
    await world.take(case.wish, case.key)

    await world.take(case.registered)

    async def has_left() -> bool:
        return bool(await world.state(case) == "sent")

    await eventually(has_left)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_stop_brings_the_letter_in_hand_to_its_end(world: Any, a_case: Callable[..., Any]) -> None:
    case, waiting = a_case(), a_case()
    await world.take(*case.halves)
    world.clock.advance(seconds=1)
    await world.take(*waiting.halves)
    world.post.gate = asyncio.Event()
    running = asyncio.create_task(world.sender().run(world.progress))
    await world.post.reached.wait()

    running.cancel()
    world.post.gate.set()
    with suppress(asyncio.CancelledError):
        await running

    assert (await world.state(case), await world.state(waiting)) == ("sent", "queued")
    assert len(await world.told()) == 1


async def test_an_outcome_is_noted_when_the_database_comes_back(
    world: Any, a_case: Callable[..., Any], databases: Databases, eventually: Callable[..., Any]
) -> None:
    case = a_case()
    await world.take(*case.halves)
    world.post.gate = asyncio.Event()
    running = asyncio.create_task(world.sender().run(world.progress))
    await world.post.reached.wait()
    await databases.take_away("notifier")
    world.post.gate.set()

    async def was_taken_over() -> bool:
        return len(world.post.letters) == 1

    await eventually(was_taken_over)
    await databases.give_back("notifier")

    async def is_noted() -> bool:
        return bool(await world.state(case) == "sent")

    await eventually(is_noted)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert len(world.post.letters) == 1
    assert len(await world.told()) == 1


async def test_a_letter_that_we_cannot_write_waits_and_the_others_go_on(
    world: Any, a_case: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """A branch that reference data no longer knows stands for any bug of ours."""
    bad, good = a_case(), a_case()
    await world.take(*bad.halves, *good.halves)
    await world.pool.execute(
        "UPDATE delivery SET branch_id = 'closed' WHERE application_id = $1", bad.wish.application_id
    )

    await world.send_due()

    assert (await world.state(bad), await world.state(good)) == ("queued", "sent")
    assert "letter.not_composed" in capsys.readouterr().out
