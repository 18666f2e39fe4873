"""DEC-2, DEC-6, DEC-8, WHO-9, WHO-10: what a person at the desk sees and decides."""

import asyncio
import json
import uuid

import pytest

from chassis import sealing
from tests.support.builders import a_performance_product, a_product, a_tombstone, a_wrapped_data_key, an_application
from tests.support.consuming import a_consumer


@pytest.fixture
async def staff(issuer):
    return await issuer.person("toto", name="東都　審子")


@pytest.fixture
def post(issuer, staff):
    async def send(application, action, message="", person=staff):
        path = f"/api/desk/applications/{application.application_id}/{action}"
        return await issuer.http.post(path, json={"message": message}, headers=person.headers)

    return send


async def outcomes(issuer):
    (decided,) = await issuer.outbox("ApplicationDecided")
    return [outcome["outcome"] for outcome in json.loads(decided)["outcomes"]]


async def test_accepting_issues_every_product_and_records_who(issuer, take, post, staff, waiting):
    event = waiting()
    await take(event)

    answer = await post(event, "accept", "承りました。")

    assert answer.status_code == 200
    assert answer.json()["decided_by"] == "東都　審子"
    assert len(await issuer.outbox("CertificateIssued")) == 2
    assert await outcomes(issuer) == ["accepted", "accepted"]
    (made,) = await issuer.outbox("DeskDecisionMade")
    assert json.loads(made)["decided_by"] == str(staff.account_id)


async def test_returning_issues_nothing_and_tells_the_reason(issuer, take, post, waiting):
    event = waiting()
    await take(event)

    await post(event, "return", "金額をご確認ください。")

    assert await issuer.outbox("CertificateIssued") == []
    (decided,) = await issuer.outbox("ApplicationDecided")
    assert json.loads(decided)["message"] == "金額をご確認ください。"
    assert {outcome["reasons"][0]["message_ja"] for outcome in json.loads(decided)["outcomes"]} == {
        "金額をご確認ください。"
    }


@pytest.mark.parametrize("message", ["", "  ", "　\n"])
async def test_a_return_needs_a_reason(message, issuer, take, post, waiting):
    event = waiting()
    await take(event)

    answer = await post(event, "return", message)

    assert answer.status_code == 422
    assert [error["rule"] for error in answer.json()["errors"]] == ["DEC-8"]
    assert await issuer.outbox("ApplicationDecided") == []


@pytest.mark.parametrize("char", ["\x00", "\x1b", "\x7f"])
@pytest.mark.parametrize("action", ["accept", "return"])
async def test_a_message_that_cannot_be_printed_is_refused(*, action, char, issuer, take, post, waiting):
    event = waiting()
    await take(event)

    answer = await post(event, action, f"ご確認{char}ください。")

    assert answer.status_code == 422
    assert await issuer.outbox("ApplicationDecided") == []


async def test_a_message_may_have_lines(issuer, take, post, waiting):
    event = waiting()
    await take(event)

    assert (await post(event, "return", "一行目\r\n二行目\t。")).status_code == 200


@pytest.mark.parametrize("action", ["accept", "return"])
async def test_the_same_decision_again_changes_nothing(action, issuer, take, post, waiting):
    event = waiting()
    await take(event)

    first = await post(event, action, "理由")
    again = await post(event, action, "理由")

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["decided_at"] == again.json()["decided_at"]
    assert len(await issuer.outbox("ApplicationDecided")) == 1


@pytest.mark.parametrize(("first", "second"), [("accept", "return"), ("return", "accept")])
async def test_another_decision_is_refused(first, second, take, post, waiting):
    event = waiting()
    await take(event)
    await post(event, first, "理由")

    answer = await post(event, second, "理由")

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:akashi:problem:already-decided"


async def test_of_two_people_at_once_one_decides(issuer, take, post, waiting):
    event = waiting()
    await take(event)

    answers = await asyncio.gather(post(event, "accept"), post(event, "return", "理由"))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(await issuer.outbox("ApplicationDecided")) == 1


async def test_what_the_rules_decided_is_the_desks_no_more(take, post):
    event = an_application()
    await take(event)

    assert (await post(event, "return", "理由")).status_code == 409


async def test_a_person_cannot_accept_what_breaks_a_hard_rule(issuer, take, post):
    products = (a_product(), a_performance_product(form="paper", ratio_percent="10.1"))
    event = an_application(products=products, works__contract_date="2024-03-31")
    await take(event)

    await post(event, "accept")

    assert await outcomes(issuer) == ["returned", "accepted"]


async def test_staff_see_their_own_surety_only(issuer, take, post, waiting):
    event = waiting()
    await take(event)
    other = await issuer.person("nankai")

    listed = await issuer.http.get("/api/desk/applications", headers=other.headers)
    shown = await issuer.http.get(f"/api/desk/applications/{event.application_id}", headers=other.headers)
    accepted = await post(event, "accept", person=other)

    assert listed.json()["items"] == []
    assert (shown.status_code, accepted.status_code) == (404, 404)
    assert await issuer.outbox("ApplicationDecided") == []


async def test_the_queue_is_paged_without_a_gap_or_a_repeat(issuer, take, staff, waiting):
    events = [waiting() for _ in range(5)]
    await take(*events)
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await issuer.http.get("/api/desk/applications", params=query, headers=staff.headers)).json()
        seen += [item["application_id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break

    assert seen == sorted(str(event.application_id) for event in events)


async def test_what_is_decided_leaves_the_queue(issuer, take, post, staff, waiting):
    event = waiting()
    await take(event)
    await post(event, "accept")

    assert (await issuer.http.get("/api/desk/applications", headers=staff.headers)).json()["items"] == []


async def test_the_longest_waiting_comes_first_and_says_since_when(issuer, take, staff, waiting):
    events = [waiting() for _ in range(3)]
    for event in events:
        await take(event)

    items = (await issuer.http.get("/api/desk/applications", headers=staff.headers)).json()["items"]

    assert [item["application_id"] for item in items] == [str(event.application_id) for event in events]
    assert [item["waiting_since"] for item in items] == sorted(item["waiting_since"] for item in items)


async def test_the_queue_can_be_asked_for_one_product(issuer, take, staff, waiting):
    both, one = waiting(), waiting(products=(a_product(ratio_percent="40.1"),))
    await take(both, one)

    async def listed(product):
        query = {"product": product}
        answer = await issuer.http.get("/api/desk/applications", params=query, headers=staff.headers)
        return answer.status_code, {item["application_id"] for item in answer.json().get("items", ())}

    assert await listed("performance") == (200, {str(both.application_id)})
    assert await listed("advance_payment") == (200, {str(both.application_id), str(one.application_id)})
    assert await listed("bid_bond") == (422, set())


async def test_a_decided_application_shows_product_by_product_what_became_of_it(issuer, take, post, staff):
    products = (a_product(), a_performance_product(form="paper", ratio_percent="10.1"))
    event = an_application(products=products, works__contract_date="2024-03-31")
    await take(event)
    await post(event, "accept", "承りました。")

    shown = (await issuer.http.get(f"/api/desk/applications/{event.application_id}", headers=staff.headers)).json()

    returned, accepted = shown["outcomes"]
    assert (returned["product"], returned["outcome"], returned["contract_number"], returned["fee"]) == (
        "advance_payment",
        "returned",
        None,
        None,
    )
    assert [finding["rule"] for finding in returned["findings"]] == ["EL-7"]
    assert (accepted["product"], accepted["outcome"], accepted["amount_yen"]) == ("performance", "accepted", 5_000_000)
    assert accepted["contract_number"].startswith("102")
    assert accepted["fee"]["fee_yen"] == 32_500
    assert (shown["decider"], shown["message"]) == ("東都　審子", "承りました。")
    assert (shown["purchaser_name"], shown["purchaser_title"]) == ("栃木県", "栃木県知事")
    assert (shown["surety_name"], shown["branch_name"]) == ("東都建設業保証株式会社", "栃木支店")


async def test_a_waiting_application_shows_at_each_product_why(issuer, take, staff, waiting):
    event = waiting()
    await take(event)

    shown = (await issuer.http.get(f"/api/desk/applications/{event.application_id}", headers=staff.headers)).json()

    assert [(o["outcome"], [f["rule"] for f in o["findings"]]) for o in shown["outcomes"]] == [
        (None, ["LIM-1"]),
        (None, []),
    ]


async def test_who_repeats_anothers_decision_is_told_who_made_it(issuer, take, post, waiting):
    event = waiting()
    await take(event)
    await post(event, "accept")

    again = await post(event, "accept", person=await issuer.person("toto", name="東都　次郎"))

    assert (again.status_code, again.json()["decided_by"]) == (200, "東都　審子")


async def test_who_gives_another_reason_for_what_is_decided_is_told_that_it_was_not_taken(
    issuer, take, post, staff, waiting
):
    event = waiting()
    await take(event)
    first = await post(event, "return", message="工期が確認できません。")

    for person in (staff, await issuer.person("toto", name="東都　次郎")):
        later = await post(event, "return", person=person, message="金額が確認できません。")
        assert (later.status_code, later.json()["type"]) == (409, "urn:akashi:problem:already-decided")
        same = await post(event, "return", person=person, message="工期が確認できません。\r\n")
        assert (same.status_code, same.json()) == (200, first.json())


async def test_the_desk_reads_the_contact_once_its_key_is_there_and_never_after_it_is_shredded(
    issuer, take, staff, keys, waiting
):
    event = waiting()
    await take(event)
    path = f"/api/desk/applications/{event.application_id}"
    assert (await issuer.http.get(path, headers=staff.headers)).json()["contact"] is None

    info = sealing.wrapping_info(event.application_id, "issuer")
    wrapped = sealing.Recipient(keys.public_key("issuer")).seal(bytes(32), info=info)
    await take(a_wrapped_data_key(event.application_id, readers={"issuer": wrapped}))

    contact = (await issuer.http.get(path, headers=staff.headers)).json()["contact"]
    assert contact["mail_address"] == "keiri@takasaki-kensetsu.example"

    await a_consumer(issuer.service, issuer.pool).take([a_tombstone(event.application_id)])
    assert (await issuer.http.get(path, headers=staff.headers)).json()["contact"] is None


async def test_the_sealed_part_of_an_application_is_not_shown(issuer, take, staff, waiting):
    event = waiting()
    await take(event)

    answer = await issuer.http.get(f"/api/desk/applications/{event.application_id}", headers=staff.headers)

    assert "contact" not in answer.json()["submitted"]
    assert event.contact.ciphertext not in answer.text


async def test_paper_is_printed_once_and_leaves_the_list(issuer, take, staff):
    await take(an_application(products=(a_performance_product(form="paper"),)))
    (item,) = (await issuer.http.get("/api/desk/paper", headers=staff.headers)).json()["items"]
    path = f"/api/desk/paper/{item['contract_number']}/printed"

    first = await issuer.http.post(path, headers=staff.headers)
    again = await issuer.http.post(path, headers=staff.headers)

    assert first.json() == again.json()
    assert (await issuer.http.get("/api/desk/paper", headers=staff.headers)).json()["items"] == []


async def test_another_suretys_paper_is_not_there(issuer, take, staff):
    await take(an_application(products=(a_performance_product(form="paper"),)))
    (item,) = (await issuer.http.get("/api/desk/paper", headers=staff.headers)).json()["items"]
    other = await issuer.person("nankai")

    answer = await issuer.http.post(f"/api/desk/paper/{item['contract_number']}/printed", headers=other.headers)

    assert answer.status_code == 404


async def test_what_is_electronic_is_nothing_to_print(issuer, take, staff):
    await take(an_application())
    number = await issuer.pool.fetchval("SELECT contract_number FROM guarantee")

    answer = await issuer.http.post(f"/api/desk/paper/{number}/printed", headers=staff.headers)

    assert answer.status_code == 404


@pytest.mark.parametrize("number", ["%00", "10226-00001", "x" * 500])
async def test_what_is_no_number_is_not_there(number, issuer, staff):
    answer = await issuer.http.post(f"/api/desk/paper/{number}/printed", headers=staff.headers)

    assert answer.status_code == 404


async def test_an_application_that_nobody_sent_is_not_there(issuer, post, staff):
    nobodys = an_application(uuid.uuid4())

    assert (await post(nobodys, "accept")).status_code == 404


async def test_a_contractors_or_purchasers_token_opens_no_desk(issuer, staff):
    weak = await issuer.token(staff.account_id, scopes=("applications",))

    answer = await issuer.http.get("/api/desk/applications", headers={"Authorization": f"Bearer {weak}"})

    assert answer.status_code == 403


async def test_without_numbers_the_desk_cannot_accept_and_nothing_is_recorded(issuer, take, post, waiting):
    event = waiting()
    await take(event)
    await issuer.pool.execute("UPDATE number_series SET drawn = 199998")
    year = "INSERT INTO number_series VALUES ('toto', 'tochigi', $1, 199998) ON CONFLICT DO NOTHING"
    for fiscal_year in (2026, 2027):
        await issuer.pool.execute(year, fiscal_year)

    answer = await post(event, "accept")

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:akashi:problem:no-numbers")
    assert await issuer.outbox("DeskDecisionMade") == []
    assert await issuer.pool.fetchval("SELECT status FROM application") == "queued"
