"""APP-1, APP-2, APP-5, APP-6: what became of an application, in whatever order it is heard."""

import asyncio
import itertools
import uuid
from functools import partial

import pytest

from chassis.metrics import MUST_NEVER
from schemas.decisions import ApplicationWithdrawn, WithdrawalRefused
from schemas.notifications import MailUndeliverable
from tests.integration.intake.told import decided, mail_sent, queued, viewed
from tests.support.builders import a_certificate, a_contract_number, a_performance, a_record, a_registration
from tests.support.clock import NOON
from tests.support.consuming import parked, statements_of
from tests.support.waiting import eventually

BOTH_WAIT = "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def product(contractor, application_id):
    (only,) = (await contractor.standing(application_id))["products"]
    return only


async def test_every_order_of_the_facts_leads_to_the_same_standing(contractor, keys):
    standings = []
    for order in itertools.permutations(range(4)):
        application_id = await contractor.apply()
        issued = a_certificate(keys=keys, application_id=application_id)
        facts = [queued(application_id), decided(application_id), issued, a_registration(issued)]
        for place in order:
            await contractor.hear(facts[place])
        standing = await contractor.standing(application_id)
        standings.append((standing["status"], standing["products"][0]["status"], standing["products"][0]["status_ja"]))

    assert set(standings) == {("decided", "issued", "発行済")}


async def test_repeats_change_nothing(contractor, issue):
    application_id = await contractor.apply()
    issued = await issue(application_id)
    facts = [queued(application_id), decided(application_id), a_registration(issued), viewed(issued), mail_sent(issued)]
    await contractor.hear(*facts)
    before = await contractor.standing(application_id)

    await contractor.hear(*facts, *facts)

    assert await contractor.standing(application_id) == before


async def test_before_arrival_neither_number_nor_time_shows(contractor, issue):
    application_id = await contractor.apply()
    await contractor.hear(decided(application_id))
    await issue(application_id, arrived=False)

    shown = await product(contractor, application_id)

    assert (shown["status_ja"], shown["contract_number"], shown["registered_at"]) == ("発行手続中", None, None)


async def test_after_arrival_number_and_time_of_arrival_show(contractor, issue):
    application_id = await contractor.apply()

    issued = await issue(application_id)

    shown = await product(contractor, application_id)
    assert (shown["contract_number"], shown["registered_at"]) == (issued.contract_number, "2026-11-20T03:00:00Z")


async def test_a_paper_products_number_shows_at_once(contractor):
    application_id = await contractor.apply(products={"performance": a_performance(form="paper")})
    number = a_contract_number()

    await contractor.hear(decided(application_id, product="performance", form="paper", number=number))

    shown = await product(contractor, application_id)
    assert (shown["status"], shown["contract_number"]) == ("issued_on_paper", number)


async def test_the_desks_message_reaches_the_contractor(contractor):
    application_id = await contractor.apply()

    await contractor.hear(decided(application_id, "returned", message="金額をご確認ください。"))

    standing = await contractor.standing(application_id)
    assert (standing["message"], standing["products"][0]["status_ja"]) == ("金額をご確認ください。", "差戻し")


async def test_what_is_told_of_an_application_that_was_never_sent_is_parked(contractor, intake):
    stranger = uuid.uuid4()

    await contractor.hear(queued(stranger))

    assert await parked(intake.pool) == [("database:ForeignKeyViolationError", str(stranger).encode())]


@pytest.mark.parametrize("change", [{"product": "performance"}, {"contract": "taken"}])
async def test_a_certificate_that_fits_no_product_or_takes_anothers_number_is_parked(
    change, contractor, issue, intake, keys
):
    taken = await issue(await contractor.apply())
    application_id = await contractor.apply()
    fields = {"contract": taken.contract_number} if "contract" in change else change

    await contractor.hear(a_certificate(keys=keys, application_id=application_id, **fields))

    assert len(await parked(intake.pool)) == 1


async def test_a_key_that_was_sealed_to_somebody_else_is_parked(contractor, intake):
    application_id = await contractor.apply()

    await contractor.hear(a_certificate(application_id=application_id))

    assert [reason for reason, _ in await parked(intake.pool)] == ["key_cannot_be_opened"]


async def test_a_certificate_whose_hash_is_another_is_parked(contractor, intake, keys):
    application_id = await contractor.apply()

    await contractor.hear(a_certificate(keys=keys, application_id=application_id, content_sha256="0" * 64))

    assert [reason for reason, _ in await parked(intake.pool)] == ["content_does_not_match"]


@pytest.mark.parametrize("first", ["certificate", "registration"])
async def test_copies_that_differ_are_told_to_who_watches(first, contractor, keys):
    issued = a_certificate(keys=keys, application_id=await contractor.apply())
    facts = [issued, a_registration(issued, content_sha256="0" * 64)]
    alarms = MUST_NEVER.labels("copies_differ")._value
    before = alarms.get()

    for fact in facts if first == "certificate" else facts[::-1]:
        await contractor.hear(fact)

    assert alarms.get() == before + 1


async def test_a_poll_of_200_costs_as_many_statements_as_a_poll_of_2(intake, sent, databases, keys):
    def a_poll(applications):
        issued = [a_certificate(keys=keys, application_id=event.application_id) for event in applications]
        events = [
            *(queued(event.application_id) for event in applications),
            *(decided(event.application_id) for event in applications),
            *(ApplicationWithdrawn(application_id=e.application_id, withdrawn_at=NOON) for e in applications[::2]),
            *(
                WithdrawalRefused(application_id=e.application_id, refused_at=NOON, reason="r")
                for e in applications[1::2]
            ),
            *issued,
            *map(a_registration, issued),
            *map(viewed, issued),
            *map(mail_sent, issued[::2]),
            *(undeliverable(event) for event in issued[1::2]),
        ]
        return [a_record(event) for event in events]

    def undeliverable(issued):
        shared = mail_sent(issued).model_dump(exclude={"sent_at"})
        return MailUndeliverable(**shared, gave_up_at=NOON, reason="refused", smtp_code=550)

    polls = [a_poll(await sent(count)) for count in (2, 2, 200)]
    small, large = await statements_of(intake.service, databases, *polls)

    assert small == large
    assert 0 < len(small) < 25
    assert await parked(intake.pool) == []


async def test_a_withdrawal_is_asked_for_once_and_told_once(contractor, intake):
    application_id = await contractor.apply()
    path = f"/api/applications/{application_id}/withdrawal"

    answers = [await contractor.post(path), await contractor.post(path), await contractor.post(path, key="same")]
    answers.append(await contractor.post(path, key="same"))

    assert [answer.status_code for answer in answers] == [202] * 4
    assert len(await intake.outbox("WithdrawalRequested")) == 1
    assert (await contractor.standing(application_id))["status_ja"] == "取下げ依頼中"


async def test_a_withdrawal_asked_for_twice_at_once_is_told_once(contractor, intake):
    application_id = await contractor.apply()
    async with intake.pool.acquire() as beside, beside.transaction():
        await beside.execute("SELECT FROM application FOR UPDATE")
        asked = [
            asyncio.create_task(contractor.post(f"/api/applications/{application_id}/withdrawal")) for _ in range(2)
        ]
        await eventually(partial(intake.pool.fetchval, BOTH_WAIT))

    assert [answer.status_code for answer in await asyncio.gather(*asked)] == [202, 202]
    assert len(await intake.outbox("WithdrawalRequested")) == 1


@pytest.mark.parametrize(
    "answered",
    [decided, lambda identity: ApplicationWithdrawn(application_id=identity, withdrawn_at=NOON)],
    ids=["decided", "withdrawn"],
)
async def test_after_the_end_a_withdrawal_is_refused(answered, contractor, intake):
    application_id = await contractor.apply()
    await contractor.hear(answered(application_id))

    answer = await contractor.post(f"/api/applications/{application_id}/withdrawal")

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:akashi:problem:already-decided")
    assert await intake.outbox("WithdrawalRequested") == []


async def test_the_issuers_answer_to_a_withdrawal_shows(contractor):
    application_id = await contractor.apply()
    await contractor.post(f"/api/applications/{application_id}/withdrawal")

    await contractor.hear(ApplicationWithdrawn(application_id=application_id, withdrawn_at=NOON))

    assert (await contractor.standing(application_id))["status_ja"] == "取下げ済"


async def test_nobody_withdraws_anothers_application(contractor, another):
    other = await another()
    theirs = await other.apply()

    assert (await contractor.post(f"/api/applications/{theirs}/withdrawal")).status_code == 404
