"""DEC-1 to DEC-6, NUM-2, KEY-4: an application is decided, numbered and issued once, in one transaction."""

import asyncio
import json
import uuid
from datetime import UTC, datetime

import pytest

from chassis.decoding import Refused
from chassis.postgres import transaction
from chassis.web.tokens import Principal
from schemas import contract_number
from schemas.applications import WithdrawalRequested
from schemas.certificates import CertificateIssued
from schemas.decisions import ApplicationDecided, ApplicationQueued, ApplicationWithdrawn, Fee, WithdrawalRefused
from services.issuer import handlers
from tests.support.builders import a_performance_product, a_product, a_record, an_application, received
from tests.support.clock import NOON
from tests.support.consuming import a_consumer, parked, statements_of
from tests.support.services import make_service
from tests.support.waiting import eventually

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def above_the_limits(**changes):
    return an_application(products=(a_product(ratio_percent="40.1"),), **changes)


def a_request(event):
    return WithdrawalRequested(application_id=event.application_id, requested_at=NOON, requested_by=uuid.uuid4())


async def test_what_is_within_the_limits_is_issued(rules, keys):
    event = an_application()

    await rules.decide(event)

    (issued,) = await rules.told(CertificateIssued)
    (decided,) = await rules.told(ApplicationDecided)
    assert (issued.application_id, issued.product) == (event.application_id, "advance_payment")
    assert contract_number.is_well_formed(issued.contract_number)
    assert [(outcome.outcome, outcome.contract_number) for outcome in decided.outcomes] == [("accepted", None)]
    assert (decided.decided_by, decided.decided_at) == ("rules", NOON)
    assert len(keys.open_key(issued)) == 12


async def test_the_certificate_says_everything_as_of_the_day_of_the_decision(rules):
    event = an_application(works__jv_name="髙﨑・𠮷田特定建設工事共同企業体")

    await rules.decide(event)

    (issued,) = await rules.told(CertificateIssued)
    content = issued.content
    assert content.dated.isoformat() == "2026-11-20"
    assert content.guarantor.officer_name == "見本 三郎"
    assert content.beneficiary == "栃木県知事"
    assert content.handling_office.name == "栃木支店"
    assert content.guarantee_ends == event.works.term_to
    assert content.title == "保証証書（前払金保証）"
    assert content.deposit_bank == "○○銀行　××支店"
    assert content.jv_name == event.works.jv_name
    assert issued.content_sha256 == content.sha256()


async def test_what_only_a_newer_release_knows_of_an_application_is_kept_for_it(issuer):
    event = an_application()
    value = json.dumps({**json.loads(event.model_dump_json()), "of_tomorrow": {"said": "今日は"}}).encode()

    await a_consumer(issuer.service, issuer.pool).take([a_record(event, value=value)])

    kept = await issuer.pool.fetchval("SELECT submitted::text FROM application WHERE id = $1", event.application_id)
    assert json.loads(kept) == json.loads(value)


async def test_each_product_has_its_own_number_and_key(rules, keys):
    await rules.decide(an_application(products=(a_product(), a_performance_product())))

    first, second = await rules.told(CertificateIssued)
    assert first.contract_number != second.contract_number
    assert keys.open_key(first) != keys.open_key(second)


async def test_paper_is_numbered_and_put_on_the_list_but_gets_no_key_and_no_certificate_event(rules):
    await rules.decide(an_application(products=(a_performance_product(form="paper"),)))

    assert await rules.told(CertificateIssued) == []
    (decided,) = await rules.told(ApplicationDecided)
    assert contract_number.is_well_formed(decided.outcomes[0].contract_number)
    row = await rules.pool.fetchrow("SELECT form, key_digest, printed_at FROM guarantee")
    assert tuple(row) == ("paper", None, None)


async def test_above_the_limits_it_waits_and_the_desk_is_told_why(rules):
    event = above_the_limits()

    await rules.decide(event)

    (queued,) = await rules.told(ApplicationQueued)
    assert [finding.rule for finding in queued.findings] == ["LIM-1"]
    assert await rules.told(ApplicationDecided) == []
    assert await rules.pool.fetchval("SELECT count(*) FROM guarantee") == 0


async def test_what_breaks_a_hard_rule_is_returned(rules):
    await rules.decide(
        an_application(
            surety_id="nankai", branch_id="okinawa", works__purchaser_id="yomitan", works__kind="consignment"
        )
    )

    (decided,) = await rules.told(ApplicationDecided)
    assert [(outcome.outcome, outcome.reasons[0].rule) for outcome in decided.outcomes] == [("returned", "EL-2")]
    assert await rules.told(CertificateIssued) == []


async def test_numbers_go_on_without_a_repeat_over_batches(rules):
    for _ in range(3):
        await rules.decide(an_application(contractor__id="a"), an_application(contractor__id="b"))

    serials = [event.contract_number[6:11] for event in await rules.told(CertificateIssued)]
    assert serials == [f"{n:05d}" for n in range(1, 7)]


async def test_a_second_delivery_issues_no_second_certificate(rules):
    events = [an_application(), above_the_limits()]
    await rules.decide(*events)

    await rules.decide(*events)

    assert len(await rules.told(CertificateIssued)) == 1
    assert len(await rules.told(ApplicationQueued)) == 1
    assert await rules.pool.fetchval("SELECT sum(drawn) FROM number_series") == 1


async def test_what_the_rules_decide_or_leave_to_the_desk_is_written_once(rules):
    batch = [received(event) for event in (an_application(), above_the_limits())]

    async with transaction(rules.pool) as tx:
        await handlers.decide_applications(tx, batch, issuing=rules.issuing)
        row = await tx.fetchrow(
            "SELECT pg_stat_get_xact_tuples_inserted(oid), pg_stat_get_xact_tuples_updated(oid) FROM pg_class "
            "WHERE oid = 'application'::regclass"
        )

    assert row is not None
    assert tuple(row) == (2, 0)


async def test_the_same_record_twice_in_one_batch_is_one_certificate(rules):
    event = an_application()

    await rules.decide(event, event)

    assert len(await rules.told(CertificateIssued)) == 1


async def test_the_same_record_in_two_transactions_at_once_is_one_certificate(rules):
    events = [an_application(contractor__id=f"c{n}") for n in range(5)]

    await asyncio.gather(*(rules.decide(*events) for _ in range(4)))

    issued = await rules.told(CertificateIssued)
    assert sorted(event.application_id for event in issued) == sorted(event.application_id for event in events)


async def test_of_two_at_once_near_the_exposure_limit_one_is_accepted(rules):
    amounts = {"amount_yen": 300_000_000, "ratio_percent": "40.0"}
    for _ in range(2):
        await rules.decide(an_application(products=(a_product(**amounts),)))
    pair = [an_application(products=(a_product(**amounts),)) for _ in range(2)]

    await asyncio.gather(*(rules.decide(event) for event in pair))

    assert await rules.pool.fetchval("SELECT accepted_yen FROM exposure") == 900_000_000
    (queued,) = await rules.told(ApplicationQueued)
    assert [finding.rule for finding in queued.findings] == ["LIM-3"]


async def test_within_one_batch_the_exposure_counts_too(rules):
    batch = [an_application(products=(a_product(amount_yen=300_000_000),)) for _ in range(4)]

    await rules.decide(*batch)

    assert len(await rules.told(CertificateIssued)) == 3
    assert [event.application_id for event in await rules.told(ApplicationQueued)] == [batch[3].application_id]


async def test_another_contractors_guarantees_do_not_count(rules):
    batch = [an_application(products=(a_product(amount_yen=300_000_000),), contractor__id=f"c{n}") for n in range(4)]

    await rules.decide(*batch)

    assert await rules.told(ApplicationQueued) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"surety_id": "nobody"}, "surety_is_unknown"),
        ({"branch_id": "osaka"}, "branch_is_unknown"),
        ({"works__purchaser_id": "nowhere"}, "purchaser_is_unknown"),
        ({"products": (a_product(product="bid_bond", form="paper"),)}, "product_is_unknown"),
    ],
)
async def test_an_application_that_points_at_nothing_we_know_is_refused(change, reason, rules):
    with pytest.raises(Refused) as refused:
        await rules.decide(an_application(**change))

    assert refused.value.reason == reason


async def test_a_withdrawal_before_the_decision_takes_it_back(rules):
    event = above_the_limits()
    await rules.decide(event)

    await rules.answer(a_request(event))

    assert [told.application_id for told in await rules.told(ApplicationWithdrawn)] == [event.application_id]
    assert await rules.pool.fetchval("SELECT status FROM application") == "withdrawn"


async def test_a_withdrawal_after_the_decision_is_refused(rules):
    event = an_application()
    await rules.decide(event)

    await rules.answer(a_request(event))

    (refused,) = await rules.told(WithdrawalRefused)
    assert refused.reason == "already_decided"
    assert await rules.pool.fetchval("SELECT status FROM application") == "decided"


async def test_a_withdrawal_waits_for_the_decision_that_is_being_made(rules):
    event = above_the_limits()
    await rules.decide(event)
    person = Principal(uuid.uuid4(), "desk", "toto", "東都　審子", frozenset())

    async with transaction(rules.pool) as tx:
        await handlers.decide_at_desk(
            tx, event.application_id, principal=person, outcome="accepted", message="", issuing=rules.issuing
        )
        answering = asyncio.create_task(rules.answer(a_request(event)))
        await eventually(lambda: rules.pool.fetchval(WAITING))
    await answering

    assert len(await rules.told(WithdrawalRefused)) == 1
    assert await rules.told(ApplicationWithdrawn) == []
    assert await rules.pool.fetchval("SELECT status FROM application") == "decided"


async def test_asked_again_the_first_answer_stands(rules):
    event = above_the_limits()
    await rules.decide(event)

    await rules.answer(a_request(event), a_request(event))
    await rules.answer(a_request(event))

    assert len(await rules.told(ApplicationWithdrawn)) == 1
    assert await rules.told(WithdrawalRefused) == []


async def test_a_withdrawal_of_what_nobody_sent_is_refused_for_good(rules):
    with pytest.raises(Refused, match="application_is_unknown"):
        await rules.answer(a_request(an_application()))


async def test_application_and_withdrawal_in_one_poll_are_both_taken(issuer):
    event = above_the_limits()

    await a_consumer(issuer.service, issuer.pool).take([a_record(event), a_record(a_request(event))])

    assert await issuer.pool.fetchval("SELECT status FROM application") == "withdrawn"
    assert await parked(issuer.pool) == []


async def test_a_poll_of_200_costs_as_many_statements_as_a_poll_of_2(databases, keys):
    await databases.fresh("issuer")
    numbers = iter(range(1000))

    def a_poll(pairs):
        events = [
            event
            for _ in range(pairs)
            for event in (
                an_application(
                    contractor__id=f"c{next(numbers)}", products=(a_product(), a_performance_product(form="paper"))
                ),
                above_the_limits(contractor__id=f"c{next(numbers)}"),
            )
        ]
        return [a_record(event) for event in events] + [a_record(a_request(event)) for event in events]

    service = make_service("issuer", databases, keys)
    small, large = await statements_of(service, databases, a_poll(1), a_poll(1), a_poll(100))

    assert small == large
    assert 0 < len(small) < 20


async def test_one_poison_application_costs_the_others_nothing_but_time(issuer):
    good = [an_application() for _ in range(3)]
    poison = an_application(surety_id="nobody")

    await a_consumer(issuer.service, issuer.pool).take([a_record(event) for event in [good[0], poison, *good[1:]]])

    assert len(await issuer.outbox("CertificateIssued")) == 3
    assert await parked(issuer.pool) == [("surety_is_unknown", poison.key.encode())]


async def test_nothing_of_a_key_is_in_the_database_but_its_digest(rules, keys):
    await rules.decide(an_application())
    (issued,) = await rules.told(CertificateIssued)
    key = keys.open_key(issued)

    rows = await rules.pool.fetch(
        "SELECT to_jsonb(guarantee)::text AS row FROM guarantee UNION ALL SELECT to_jsonb(application)::text FROM application"
    )
    values = await rules.pool.fetch("SELECT value, headers FROM outbox")
    assert all(key not in row["row"] for row in rows)
    assert all(key.encode() not in row["value"] and key not in row["headers"] for row in values)


async def exhaust(rules, branch):
    """All numbers of a branch's year are drawn."""
    await rules.pool.execute("INSERT INTO number_series VALUES ('toto', $1, 2026, 199998)", branch)


async def test_a_branch_without_numbers_holds_up_nobody_else(rules):
    await exhaust(rules, "tochigi")
    stuck, free = an_application(), an_application(branch_id="ibaraki", works__purchaser_id="omitama")

    await rules.decide(stuck, free)

    assert [event.application_id for event in await rules.told(CertificateIssued)] == [free.application_id]
    (queued,) = await rules.told(ApplicationQueued)
    assert (queued.application_id, queued.findings[0].rule) == (stuck.application_id, "NUM-5")


async def test_without_a_number_for_every_product_the_whole_application_waits(rules):
    await rules.pool.execute("INSERT INTO number_series VALUES ('toto', 'tochigi', 2026, 199997)")

    await rules.decide(an_application(products=(a_product(), a_performance_product())))

    assert await rules.told(CertificateIssued) == []
    assert len(await rules.told(ApplicationQueued)) == 1
    assert await rules.pool.fetchval("SELECT accepted_yen FROM exposure") == 0


async def test_an_application_with_a_number_too_few_holds_up_nobody_else(rules):
    await rules.pool.execute("INSERT INTO number_series VALUES ('toto', 'tochigi', 2026, 199997)")
    stuck = an_application(products=(a_product(), a_performance_product()))
    free = an_application(branch_id="ibaraki", works__purchaser_id="omitama")

    await rules.decide(stuck, free)

    assert [event.application_id for event in await rules.told(CertificateIssued)] == [free.application_id]


async def test_the_last_number_of_a_year_is_given(rules):
    await rules.pool.execute("INSERT INTO number_series VALUES ('toto', 'tochigi', 2026, 199997)")

    await rules.decide(an_application())

    (issued,) = await rules.told(CertificateIssued)
    assert issued.contract_number.startswith("10276-99999")


async def test_every_accepted_product_has_a_fee_on_paper_too(rules):
    await rules.decide(an_application(products=(a_product(), a_performance_product(form="paper"))))

    (decided,) = await rules.told(ApplicationDecided)
    lines = [
        [(line.base_yen, line.rate_percent, line.fee_yen) for line in outcome.fee.lines] for outcome in decided.outcomes
    ]
    assert lines == [
        [(10_000_000, "0.380", 38_000), (10_000_000, "0.335", 33_500)],
        [(5_000_000, "0.650", 32_500)],
    ]
    assert [outcome.fee.fee_yen for outcome in decided.outcomes] == [71_500, 32_500]
    kept = await rules.pool.fetch("SELECT fee FROM guarantee ORDER BY product")
    assert [Fee.model_validate_json(row["fee"]) for row in kept] == [outcome.fee for outcome in decided.outcomes]


async def test_what_is_returned_has_no_fee(rules):
    await rules.decide(an_application(works__contract_date="2024-03-31"))

    (decided,) = await rules.told(ApplicationDecided)
    assert [(outcome.outcome, outcome.fee) for outcome in decided.outcomes] == [("returned", None)]


@pytest.mark.parametrize(
    ("moment", "rate"),
    [(datetime(2026, 3, 31, 14, 59, 59, tzinfo=UTC), "0.400"), (datetime(2026, 3, 31, 15, tzinfo=UTC), "0.380")],
)
async def test_the_rates_are_those_of_the_decisions_day_in_japan(moment, rate, rules, clock):
    clock.pass_(seconds=(moment - clock.now()).total_seconds())

    await rules.decide(an_application())

    (decided,) = await rules.told(ApplicationDecided)
    assert decided.outcomes[0].fee.lines[0].rate_percent == rate


@pytest.mark.parametrize(
    ("moment", "day", "year"),
    [
        (datetime(2026, 3, 31, 14, 59, 59, tzinfo=UTC), "2026-03-31", 2025),
        (datetime(2026, 3, 31, 15, tzinfo=UTC), "2026-04-01", 2026),
    ],
)
async def test_number_and_date_are_those_of_the_decisions_day_in_japan(moment, day, year, rules, clock):
    clock.pass_(seconds=(moment - clock.now()).total_seconds())

    await rules.decide(an_application())

    (issued,) = await rules.told(CertificateIssued)
    assert issued.content.dated.isoformat() == day
    assert await rules.pool.fetchval("SELECT fiscal_year FROM number_series") == year
