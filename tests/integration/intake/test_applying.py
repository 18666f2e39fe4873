"""WHO-9, APP-3, APP-4, DEC-1, FORM-12: an application is taken once, or refused with field and reason."""

import asyncio
import json
import uuid
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from chassis import sealing
from chassis.postgres import transaction
from chassis.web import idempotency
from schemas.applications import ApplicationSubmitted
from schemas.data_keys import DataKeyWrapped
from schemas.decisions import ApplicationDecided, ApplicationWithdrawn, ProductOutcome
from services.intake import handlers
from tests.support.builders import LEFT_OUT, a_performance, an_application_form, an_e_net_form
from tests.support.clock import NOON

APPLICATIONS = "/api/applications"


def returned(application_id, product="advance_payment"):
    outcome = ProductOutcome(product=product, form="electronic", outcome="returned")
    return ApplicationDecided(
        application_id=application_id,
        decided_at=NOON,
        decided_by="desk",
        rules_version="1",
        reference_version="1",
        outcomes=(outcome,),
    )


async def submitted(intake):
    return [ApplicationSubmitted.model_validate_json(value) for value in await intake.outbox("ApplicationSubmitted")]


async def test_what_was_taken_is_durable_with_its_announcement(intake, contractor):
    answer = await contractor.post(APPLICATIONS, an_application_form())

    assert answer.status_code == 202
    application_id = answer.json()["application_id"]
    assert answer.headers["location"] == f"/api/applications/{application_id}"
    (event,) = await submitted(intake)
    assert str(event.application_id) == application_id
    assert event.submitted_by == contractor.person.account_id
    assert [(p.product, p.form, p.ratio_percent) for p in event.products] == [("advance_payment", "electronic", "40.0")]


async def test_the_contractor_is_the_accounts_and_never_the_bodys(contractor):
    answer = await contractor.post(APPLICATIONS, an_application_form() | {"contractor": {"id": "sano"}})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["contractor"]


async def test_e_nets_one_choice_is_the_form_of_each_product(intake, contractor):
    form = an_e_net_form(products__performance=a_performance(form=LEFT_OUT), electronic_delivery=False)

    assert (await contractor.post(APPLICATIONS, form)).status_code == 202

    (event,) = await submitted(intake)
    assert [product.form for product in event.products] == ["paper", "paper"]
    assert event.completion_mail_wanted is True


async def test_contact_data_travels_sealed_and_each_reader_can_open_it(intake, contractor, keys):
    await contractor.apply()

    (event,) = await submitted(intake)
    (told,) = [DataKeyWrapped.model_validate_json(value) for value in await intake.outbox("DataKeyWrapped")]
    assert sorted(wrapped.reader for wrapped in told.wrapped_for) == ["issuer", "notifier"]
    for wrapped in told.wrapped_for:
        info = sealing.wrapping_info(event.application_id, wrapped.reader)
        secret = sealing.open_with(keys.private_key(wrapped.reader), sealing.unb64(wrapped.wrapped), info=info)
        opened = sealing.DataKey(told.data_key_id, secret).open(
            sealing.unb64(event.contact.nonce), sealing.unb64(event.contact.ciphertext), about=event.application_id
        )
        assert json.loads(opened)["mail_address"] == "keiri@takasaki-kensetsu.example"


async def test_no_contact_data_is_in_the_clear_anywhere(intake, contractor):
    await contractor.apply()

    tables = ("application", "outbox", "idempotency")
    rows = [
        row["row"]
        for table in tables
        for row in await intake.pool.fetch(f"SELECT ({table}.*)::text AS row FROM {table}")
    ]
    values = [row["value"].decode() for row in await intake.pool.fetch("SELECT value FROM outbox")]
    for secret in ("keiri@takasaki-kensetsu.example", "028-000-0002", "よろしくお願いします"):
        assert all(secret not in row for row in rows + values)


async def test_the_same_key_and_body_get_the_same_answer_and_have_one_effect(intake, contractor):
    form = an_application_form()

    first = await contractor.post(APPLICATIONS, form, key="k")
    again = await contractor.post(APPLICATIONS, dict(reversed(form.items())), key="k")

    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert len(await submitted(intake)) == 1


async def test_the_same_key_with_another_body_is_refused(intake, contractor):
    await contractor.post(APPLICATIONS, an_application_form(), key="k")

    answer = await contractor.post(APPLICATIONS, an_application_form(), key="k")

    assert (answer.status_code, answer.json()["type"]) == (422, "urn:akashi:problem:idempotency-key-reused")
    assert len(await submitted(intake)) == 1


async def test_the_key_is_looked_at_before_the_body_is_validated(contractor):
    await contractor.post(APPLICATIONS, an_application_form(), key="k")

    answer = await contractor.post(APPLICATIONS, {"nonsense": True}, key="k")

    assert answer.json()["type"] == "urn:akashi:problem:idempotency-key-reused"


async def test_a_refused_body_may_be_corrected_under_its_key(contractor):
    form = an_application_form()
    assert (await contractor.post(APPLICATIONS, form | {"surety_id": None}, key="k")).status_code == 422

    assert (await contractor.post(APPLICATIONS, form, key="k")).status_code == 202


async def test_another_contractors_key_is_another_key(contractor, another):
    other = await another()
    form = an_application_form()

    answers = [await person.post(APPLICATIONS, form, key="k") for person in (contractor, other)]

    assert [answer.status_code for answer in answers] == [202, 202]


async def test_without_a_key_it_is_refused(intake, contractor):
    answer = await intake.http.post(APPLICATIONS, json=an_application_form(), headers=contractor.person.headers)

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:akashi:problem:idempotency-key-missing")


async def test_of_the_same_request_twice_at_once_one_is_told_to_wait_or_both_get_the_same(intake, contractor):
    form = an_application_form()

    answers = await asyncio.gather(*(contractor.post(APPLICATIONS, form, key="k") for _ in range(6)))

    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["application_id"] for answer in answers if answer.status_code == 202}) == 1
    assert len(await submitted(intake)) == 1


async def test_while_the_first_is_being_answered_the_second_is_refused_at_once(intake, contractor):
    form = an_application_form()
    async with intake.pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('takasaki' || chr(31) || 'k', 0))")
        answer = await contractor.post(APPLICATIONS, form, key="k")

    assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    assert answer.json()["type"] == "urn:akashi:problem:request-in-progress"


async def test_a_repeat_that_comes_as_the_first_is_committed_is_not_taken_for_a_first(intake):
    write = idempotency.Write("takasaki", "k", bytes(32))
    async with intake.pool.acquire() as first, transaction(intake.pool) as second:
        await (committed := first.transaction()).start()
        assert await idempotency.given_before(first, [write]) == [None]
        await idempotency.keep(first, [(write, idempotency.Answer(202, {}))], now=NOON)

        async def fetch(*statement):
            rows = await second.fetch(*statement)
            if first.is_in_transaction():
                await committed.commit()
            return rows

        after_its_first_statement: Any = SimpleNamespace(fetch=fetch)
        (given,) = await idempotency.given_before(after_its_first_statement, [write])

    assert given is not None


async def test_the_same_works_and_product_again_is_refused_with_the_earlier_applications_id(contractor):
    form = an_application_form()
    earlier = (await contractor.post(APPLICATIONS, form)).json()["application_id"]

    answer = await contractor.post(APPLICATIONS, form)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:akashi:problem:already-applied")
    assert answer.json()["application_id"] == earlier


async def test_the_earlier_application_is_named_though_a_clock_that_ran_ahead_named_it(contractor, monkeypatch):
    form = an_application_form()
    with monkeypatch.context() as ahead:
        ahead.setattr(handlers, "uuid7", lambda: uuid.UUID(int=uuid.uuid4().int | 1 << 127))
        earlier = (await contractor.post(APPLICATIONS, form)).json()["application_id"]

    more = form | {"products": {**form["products"], "performance": a_performance()}}
    answer = await contractor.post(APPLICATIONS, more)

    assert (answer.status_code, answer.json()["application_id"]) == (409, earlier)


async def test_the_same_works_twice_at_once_are_taken_once(intake, contractor):
    form = an_application_form()

    answers = await asyncio.gather(*(contractor.post(APPLICATIONS, form) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409, 409]
    assert len(await submitted(intake)) == 1


async def test_who_applies_at_once_gets_each_its_own_answer_and_nobody_anothers_fault(intake, contractor, another):
    sano, nobody = await another(), replace(contractor, person=replace(contractor.person, token="akashi_no"))
    earlier = an_application_form()
    await contractor.post(APPLICATIONS, earlier, key="earlier")
    asked = [
        (contractor, an_application_form(), "a", 202),
        (sano, an_application_form(), "a", 202),
        (contractor, {}, "b", 422),
        (nobody, an_application_form(), "c", 401),
        (contractor, earlier, "earlier", 202),
        (contractor, an_application_form(works__contract_date="2026-03-31", works__purchaser_id="yomitan"), "d", 422),
        *((contractor, an_application_form(), f"e{n}", 202) for n in range(5)),
    ]

    async def answers():
        return await asyncio.gather(*(who.post(APPLICATIONS, form, key=key) for who, form, key, _ in asked))

    first = await answers()
    turns = await intake.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM application")
    conflicting, fresh = (
        (contractor, {**earlier, "message": "もう一度"}, "f", 409),
        (sano, an_application_form(), "g", 202),
    )
    asked = [*asked[:3], conflicting, *asked[3:], fresh]
    again = await answers()

    assert [answer.status_code for answer in again] == [status for *_, status in asked]
    assert [answer.status_code for answer in first] == [status for *_, status in asked[:-1] if status != 409]
    assert turns < len({answer.json()["application_id"] for answer in first if answer.status_code == 202}), (
        "none shared"
    )
    taken = [answer for answer in (*first, again[-1]) if answer.status_code == 202]
    assert [answer.json() for answer in taken] == [answer.json() for answer in again if answer.status_code == 202]
    told = await submitted(intake)
    assert sorted(str(event.application_id) for event in told) == sorted({a.json()["application_id"] for a in taken})
    assert {str(event.application_id): event.contractor.id for event in told}[
        taken[1].json()["application_id"]
    ] == "sano"


async def test_corrections_at_once_are_taken_as_if_one_came_after_the_other(intake, contractor):
    """Each is for the works of the other, which are applied for until that one is replaced."""
    forms = [an_application_form(), an_application_form()]
    mixed_up = [(await contractor.post(APPLICATIONS, form)).json()["application_id"] for form in forms]
    await contractor.hear(*map(returned, mixed_up))
    corrections = [{**form, "replaces": replaced} for form, replaced in zip(forms[::-1], mixed_up, strict=True)]

    answers = await asyncio.gather(
        contractor.post(APPLICATIONS, corrections[0]),
        contractor.post(APPLICATIONS, an_application_form()),
        contractor.post(APPLICATIONS, corrections[1]),
    )

    assert [answer.status_code for answer in answers] == [409, 202, 409]
    assert len(await submitted(intake)) == 3


async def test_another_product_of_the_same_works_may_follow(contractor):
    form = an_application_form()
    await contractor.post(APPLICATIONS, form)

    answer = await contractor.post(APPLICATIONS, form | {"products": {"performance": a_performance()}})

    assert answer.status_code == 202


async def test_one_product_too_many_refuses_the_whole_application(intake, contractor):
    form = an_application_form()
    await contractor.post(APPLICATIONS, form)

    both = form | {"products": {**form["products"], "performance": a_performance()}}

    assert (await contractor.post(APPLICATIONS, both)).status_code == 409
    assert len(await submitted(intake)) == 1
    assert await intake.pool.fetchval("SELECT count(*) FROM product") == 1


async def test_a_returned_application_may_be_replaced(intake, contractor):
    form = an_application_form()
    first = (await contractor.post(APPLICATIONS, form)).json()["application_id"]
    await contractor.hear(returned(first))

    answer = await contractor.post(APPLICATIONS, form | {"replaces": first})

    assert answer.status_code == 202
    assert str((await submitted(intake))[1].replaces) == first


async def test_a_withdrawn_application_may_be_replaced(contractor):
    form = an_application_form()
    first = (await contractor.post(APPLICATIONS, form)).json()["application_id"]
    await contractor.hear(ApplicationWithdrawn(application_id=first, withdrawn_at=NOON))

    assert (await contractor.post(APPLICATIONS, form | {"replaces": first})).status_code == 202


async def test_what_is_not_returned_cannot_be_replaced(contractor):
    form = an_application_form()
    first = (await contractor.post(APPLICATIONS, form)).json()["application_id"]

    answer = await contractor.post(APPLICATIONS, form | {"replaces": first})

    assert (answer.status_code, answer.json()["application_id"]) == (409, first)


async def test_a_returned_application_is_replaced_once(contractor):
    form = an_application_form()
    first = (await contractor.post(APPLICATIONS, form)).json()["application_id"]
    await contractor.hear(returned(first))
    second = (await contractor.post(APPLICATIONS, form | {"replaces": first})).json()["application_id"]

    answer = await contractor.post(APPLICATIONS, form | {"replaces": first})

    assert (answer.status_code, answer.json()["application_id"]) == (409, second)


async def test_a_returned_product_that_is_not_applied_for_again_keeps_its_place(contractor):
    form = an_application_form(products__performance=a_performance())
    first = (await contractor.post(APPLICATIONS, form)).json()["application_id"]
    await contractor.hear(returned(first), returned(first, "performance"))
    again, left = ({name: form["products"][name]} for name in ("performance", "advance_payment"))
    assert (await contractor.post(APPLICATIONS, form | {"products": again, "replaces": first})).status_code == 202

    answer = await contractor.post(APPLICATIONS, form | {"products": left})

    assert (answer.status_code, answer.json()["application_id"]) == (409, first)


async def test_nobody_replaces_anothers_application(contractor, another):
    other = await another()
    theirs = await other.apply()

    answer = await contractor.post(APPLICATIONS, an_application_form(replaces=theirs))

    assert (answer.status_code, answer.json()["errors"][0]["rule"]) == (422, "APP-3")


async def test_a_rules_breach_is_told_by_field_rule_and_in_both_languages(intake, contractor):
    secret = "秘密銀行ABC"
    answer = await contractor.post(APPLICATIONS, an_application_form(products__advance_payment__deposit_bank=secret))

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"] == [
        {
            "field": "products.advance_payment.deposit_bank",
            "rule": "FORM-6",
            "message_ja": "全角で入力してください(「A」が半角です)。",
            "message_en": "Full width only: 'A' is not.",
        }
    ]
    assert "秘密銀行" not in answer.text
    assert await submitted(intake) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"works__price_yen": "50000000"}, "works.price_yen"),
        ({"works__price_yen": 1.5}, "works.price_yen"),
        ({"works__contract_date": "2026-02-30"}, "works.contract_date"),
        ({"completion_mail_wanted": "はい"}, "completion_mail_wanted"),
        ({"products__advance_payment": "秘密"}, "products.advance_payment"),
        ({"replaces": "秘密"}, "replaces"),
        ({"works__colour": "秘密"}, "works.colour"),
    ],
)
async def test_a_field_of_another_type_is_told_in_japanese_without_its_value(change, field, contractor):
    answer = await contractor.post(APPLICATIONS, an_application_form(**change))

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["message_ja"][-1]) == (field, "。")
    assert "秘密" not in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 30_000, "秘密".encode()])
async def test_what_is_no_json_is_refused(body, contractor, intake):
    headers = {**contractor.person.headers, "Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = await intake.http.post(APPLICATIONS, content=body, headers=headers)

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:akashi:problem:not-json")
    assert "秘密" not in answer.text


async def test_no_depth_of_nesting_breaks_anything(contractor, intake):
    headers = {**contractor.person.headers, "Idempotency-Key": "k", "Content-Type": "application/json"}
    statuses = set()
    for depth in range(860, 1000, 2):
        body = b"[" * depth + b"]" * depth
        statuses.add((await intake.http.post(APPLICATIONS, content=body, headers=headers)).status_code)

    assert statuses <= {400, 422}


@pytest.mark.parametrize("document", [None, [], "x", 1, {"works": None}, {"mail_address": "\ud800"}])
async def test_json_of_another_shape_is_refused(document, contractor, intake):
    headers = {**contractor.person.headers, "Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = await intake.http.post(APPLICATIONS, content=json.dumps(document).encode(), headers=headers)

    assert answer.status_code == 422


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/", "json"])
async def test_a_body_that_does_not_say_that_it_is_json_is_refused_and_told_what_would_be_taken(
    kind, contractor, intake
):
    headers = {**contractor.person.headers, "Idempotency-Key": "k", **({"Content-Type": kind} if kind else {})}
    body = json.dumps(an_application_form()).encode()

    answer = await intake.http.post(APPLICATIONS, content=body, headers=headers)

    assert (answer.status_code, answer.json()["type"]) == (415, "urn:akashi:problem:unsupported-media-type")
    assert answer.headers["accept"] == "application/json"
    assert await intake.outbox("ApplicationSubmitted") == []


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"])
async def test_a_body_may_say_in_any_way_that_it_is_json(kind, contractor, intake):
    headers = {**contractor.person.headers, "Idempotency-Key": "k", "Content-Type": kind}

    answer = await intake.http.post(APPLICATIONS, content=json.dumps(an_application_form()).encode(), headers=headers)

    assert answer.status_code == 202


async def test_a_body_that_is_too_large_is_refused(contractor):
    answer = await contractor.post(APPLICATIONS, an_application_form(message="あ" * 30_000))

    assert (answer.status_code, answer.json()["type"]) == (413, "urn:akashi:problem:too-large")


@pytest.mark.parametrize("blank", ["", " ", "　"])
async def test_a_blank_jv_name_is_no_joint_venture(blank, contractor, intake):
    answer = await contractor.post(APPLICATIONS, an_application_form(works__jv_name=blank))

    assert answer.status_code == 202
    assert (await submitted(intake))[0].works.jv_name is None


async def test_a_ratio_beyond_all_reason_is_refused_by_its_amount(contractor):
    form = an_application_form(works__price_yen=1, products__advance_payment__amount_yen=10**13)

    answer = await contractor.post(APPLICATIONS, form)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["products.advance_payment.amount_yen"]


async def test_an_account_of_no_registered_contractor_cannot_apply(intake):
    person = await intake.person("nobody")
    headers = {**person.headers, "Idempotency-Key": "k"}

    answer = await intake.http.post(APPLICATIONS, json=an_application_form(), headers=headers)

    assert answer.status_code == 403


async def test_the_correlation_id_of_the_request_is_that_of_its_events(intake, contractor):
    headers = {**contractor.person.headers, "Idempotency-Key": "k", "X-Correlation-ID": "from-the-caller"}

    answer = await intake.http.post(APPLICATIONS, json=an_application_form(), headers=headers)

    assert answer.headers["x-correlation-id"] == "from-the-caller"
    rows = await intake.pool.fetch("SELECT headers FROM outbox")
    assert {dict(json.loads(row["headers"]))["ce_correlationid"] for row in rows} == {"from-the-caller"}


async def test_a_correlation_id_that_is_not_well_formed_is_replaced(intake, contractor):
    headers = {**contractor.person.headers, "X-Correlation-ID": "a b"}

    answer = await intake.http.get(APPLICATIONS, headers=headers)

    assert uuid.UUID(answer.headers["x-correlation-id"])
