"""DESK-1 to DESK-4: where the surety wants it, one person proposes and another approves."""

import asyncio
import json
import uuid

import pytest

from schemas.applications import WithdrawalRequested
from tests.support.clock import NOON, the_clock_moves_on


@pytest.fixture
async def first(issuer):
    return await issuer.person("nankai", name="南海　起子")


@pytest.fixture
async def second(issuer):
    return await issuer.person("nankai", name="南海　承子")


@pytest.fixture
def post(issuer):
    async def send(application, action, person, message="理由", **more):
        path = f"/api/desk/applications/{application.application_id}/{action}"
        body = more if action == "approve" else {"message": message, **more}
        return await issuer.http.post(path, json=body, headers=person.headers)

    return send


@pytest.fixture
async def waits(two_must_agree, take):
    event = two_must_agree()
    await take(event)
    return event


@pytest.fixture
def shown(issuer):
    async def get(application, person):
        path = f"/api/desk/applications/{application.application_id}"
        return (await issuer.http.get(path, headers=person.headers)).json()

    return get


def type_of(answer):
    return answer.status_code, answer.json().get("type", "").removeprefix("urn:akashi:problem:")


@pytest.mark.parametrize(("action", "outcome"), [("accept", "accepted"), ("return", "returned")])
async def test_the_first_person_only_proposes(*, issuer, waits, post, first, second, shown, action, outcome):
    answer = await post(waits, action, first, "出来高を確認しました。")

    proposed = answer.json()["proposed"]
    assert answer.status_code == 202
    assert (proposed["outcome"], proposed["message"]) == (outcome, "出来高を確認しました。")
    assert (proposed["proposer"], proposed["proposed_by"]) == ("南海　起子", str(first.account_id))
    assert await issuer.outbox("DeskDecisionMade") == await issuer.outbox("ApplicationDecided") == []
    assert (await shown(waits, second))["proposal"] == proposed
    (item,) = (await issuer.http.get("/api/desk/applications", headers=second.headers)).json()["items"]
    assert item["proposal"] == proposed


async def test_a_second_person_approves_and_both_are_in_the_record(*, issuer, waits, post, first, second, shown):
    await post(waits, "accept", first, "承ります。")

    answer = await post(waits, "approve", second)

    assert (answer.status_code, answer.json()["outcome"], answer.json()["decided_by"]) == (
        200,
        "accepted",
        "南海　承子",
    )
    (made,) = map(json.loads, await issuer.outbox("DeskDecisionMade"))
    assert (made["decided_by"], made["person"]) == (str(second.account_id), "南海　承子")
    assert (made["proposed_by"], made["proposer"]) == (str(first.account_id), "南海　起子")
    assert made["message"] == "承ります。"
    assert len(await issuer.outbox("CertificateIssued")) == 2
    told = await shown(waits, first)
    assert (told["status"], told["decider"], told["proposal"]) == ("decided", "南海　承子", None)
    assert told["approved"]["proposer"] == "南海　起子"


async def test_an_approved_return_issues_nothing(issuer, waits, post, first, second):
    await post(waits, "return", first, "決算書の写しをご提出ください。")

    await post(waits, "approve", second)

    assert await issuer.outbox("CertificateIssued") == []
    (decided,) = map(json.loads, await issuer.outbox("ApplicationDecided"))
    assert decided["message"] == "決算書の写しをご提出ください。"


async def test_nobody_approves_what_they_proposed(issuer, waits, post, first):
    await post(waits, "accept", first)

    answer = await post(waits, "approve", first)

    assert type_of(answer) == (409, "same-person")
    assert answer.json()["detail"] == "ご自身が起案した内容は承認できません。別の担当者が承認してください。"
    assert await issuer.outbox("DeskDecisionMade") == []


async def test_of_two_people_who_approve_at_once_one_decides(issuer, waits, post, first, second):
    third = await issuer.person("nankai", name="南海　三郎")
    await post(waits, "accept", first)

    answers = await asyncio.gather(post(waits, "approve", second), post(waits, "approve", third))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(await issuer.outbox("DeskDecisionMade")) == len(await issuer.outbox("ApplicationDecided")) == 1
    assert len(await issuer.outbox("CertificateIssued")) == 2


async def test_of_two_people_who_propose_at_once_one_does(issuer, waits, post, first, second):
    answers = await asyncio.gather(post(waits, "accept", first), post(waits, "return", second))

    assert sorted(answer.status_code for answer in answers) == [202, 409]
    assert await issuer.pool.fetchval("SELECT count(*) FROM proposal") == 1


async def test_of_an_approval_and_a_rejection_at_once_one_counts(issuer, waits, post, first, second):
    third = await issuer.person("nankai")
    await post(waits, "accept", first)

    answers = await asyncio.gather(post(waits, "approve", second), post(waits, "reject", third))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    decided = len(await issuer.outbox("ApplicationDecided"))
    assert decided + await issuer.pool.fetchval("SELECT count(*) FROM rejection") == 1


async def test_the_same_proposal_again_changes_nothing(waits, post, first):
    once = await post(waits, "accept", first, "一度目")
    again = await post(waits, "accept", first, "二度目")

    assert (again.status_code, again.json()) == (202, once.json())


@pytest.mark.parametrize("action", ["accept", "return"])
async def test_another_persons_proposal_is_no_approval(waits, post, first, second, action):
    await post(waits, "accept", first)

    answer = await post(waits, action, second)

    assert type_of(answer) == (409, "already-proposed")
    assert "南海　起子さん" in answer.json()["detail"]


async def test_the_same_approval_again_changes_nothing_and_anothers_is_refused(issuer, waits, post, first, second):
    await post(waits, "accept", first)
    once = await post(waits, "approve", second)

    again = await post(waits, "approve", second)

    assert (again.status_code, again.json()) == (200, once.json())
    assert type_of(await post(waits, "approve", await issuer.person("nankai"))) == (409, "already-decided")
    assert len(await issuer.outbox("ApplicationDecided")) == 1


async def test_a_proposal_that_is_repeated_after_its_approval_is_told_what_was_decided(waits, post, first, second):
    await post(waits, "accept", first, "確認しました。")
    approved = await post(waits, "approve", second)

    again = await post(waits, "accept", first, "確認しました。")

    assert (again.status_code, again.json()) == (200, approved.json())


async def test_a_rejected_proposal_waits_again_and_who_and_why_is_kept(*, issuer, waits, post, first, second, shown):
    await post(waits, "accept", first)

    answer = await post(waits, "reject", second, "保証残高を再確認してください。")

    assert (answer.status_code, answer.json()["rejected_by"]) == (200, "南海　承子")
    told = await shown(waits, first)
    assert (told["status"], told["proposal"]) == ("queued", None)
    (rejection,) = told["rejections"]
    assert (rejection["outcome"], rejection["proposer"]) == ("accepted", "南海　起子")
    assert (rejection["person"], rejection["message"]) == ("南海　承子", "保証残高を再確認してください。")
    assert (await post(waits, "return", second)).status_code == 202
    assert await issuer.outbox("DeskDecisionMade") == []


@pytest.mark.parametrize("message", ["", " \n　"])
async def test_a_rejection_needs_a_reason(*, waits, post, first, second, message, shown):
    await post(waits, "accept", first)

    answer = await post(waits, "reject", second, message)

    assert [error["rule"] for error in answer.json()["errors"]] == ["DESK-3"]
    assert (await shown(waits, first))["proposal"] is not None


async def test_who_proposed_may_take_it_back(waits, post, first, shown):
    await post(waits, "accept", first)

    assert (await post(waits, "reject", first, "誤りでした。")).status_code == 200
    assert (await shown(waits, first))["proposal"] is None


@pytest.mark.parametrize("action", ["approve", "reject"])
async def test_what_nobody_proposed_is_neither_approved_nor_rejected(waits, post, second, action):
    assert type_of(await post(waits, action, second)) == (409, "proposal-is-gone")


async def test_another_proposal_than_the_one_looked_at_is_not_approved(issuer, waits, post, first, second):
    seen = (await post(waits, "accept", first)).json()["proposed"]["proposed_at"]
    await post(waits, "reject", first, "取り違えました。")
    await the_clock_moves_on()
    now = (await post(waits, "return", first)).json()["proposed"]["proposed_at"]

    assert type_of(await post(waits, "approve", second, proposed_at=seen)) == (409, "proposal-is-gone")
    assert await issuer.outbox("ApplicationDecided") == []
    assert (await post(waits, "approve", second, proposed_at=now)).status_code == 200


async def test_a_withdrawal_takes_the_proposal_with_it(*, issuer, waits, take, post, first, second, shown):
    await post(waits, "accept", first)

    await take(WithdrawalRequested(application_id=waits.application_id, requested_at=NOON, requested_by=uuid.uuid4()))

    assert len(await issuer.outbox("ApplicationWithdrawn")) == 1
    assert await issuer.pool.fetchval("SELECT count(*) FROM proposal") == 0
    assert type_of(await post(waits, "approve", second)) == (409, "already-decided")
    assert (await shown(waits, first))["status"] == "withdrawn"


async def test_of_a_withdrawal_and_an_approval_at_once_one_is_in_time(*, issuer, waits, take, post, first, second):
    await post(waits, "accept", first)
    asked = WithdrawalRequested(application_id=waits.application_id, requested_at=NOON, requested_by=uuid.uuid4())

    await asyncio.gather(take(asked), post(waits, "approve", second))

    events = ("ApplicationWithdrawn", "ApplicationDecided")
    assert [len(await issuer.outbox(event)) for event in events] in ([1, 0], [0, 1])
    assert await issuer.pool.fetchval("SELECT count(*) FROM proposal") == 0


@pytest.mark.parametrize("action", ["accept", "approve", "reject"])
async def test_staff_of_another_surety_take_no_part(issuer, waits, post, first, action):
    await post(waits, "accept", first)

    assert (await post(waits, action, await issuer.person("toto"))).status_code == 404


async def test_without_numbers_an_approval_is_refused_and_the_proposal_stays(
    *, issuer, waits, post, first, second, shown
):
    await post(waits, "accept", first)
    year = "INSERT INTO number_series SELECT 'nankai', 'okinawa', year, 199998 FROM generate_series(2024, 2027) AS y (year)"
    await issuer.pool.execute(year)

    assert type_of(await post(waits, "approve", second)) == (409, "no-numbers")
    assert (await shown(waits, first))["proposal"] is not None


async def test_where_one_person_decides_there_is_nothing_to_approve(issuer, waiting, take, post):
    event, staff = waiting(), await issuer.person("toto")
    await take(event)

    assert (await post(event, "accept", staff)).status_code == 200
    (made,) = map(json.loads, await issuer.outbox("DeskDecisionMade"))
    assert (made["proposed_by"], made["proposer"]) == (None, None)
