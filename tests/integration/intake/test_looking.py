"""APP-5, KEY-7, HIS-1, LIST-1, WHO-10: what a contractor sees of its own, and nothing of others'."""

import json
import uuid

import pytest

from chassis.service import make_app
from chassis.web import tokens
from chassis.web.paging import write_cursor
from tests.integration.intake.told import decided, mail_sent, viewed
from tests.support.builders import a_contract_number, an_application_form
from tests.support.clock import NOON
from tests.support.services import make_service

KEY = "Z28YUE4J3Bux"


async def pages(contractor, path, limit):
    seen, cursor = [], None
    while True:
        page = (await contractor.get(path, limit=limit, **({"cursor": cursor} if cursor else {}))).json()
        seen.append(page["items"])
        if (cursor := page["next_cursor"]) is None:
            return seen


async def test_own_applications_are_listed_newest_first_without_a_gap_or_a_repeat(contractor):
    sent = [await contractor.apply() for _ in range(5)]

    seen = await pages(contractor, "/api/applications", 2)

    assert [len(page) for page in seen] == [2, 2, 1]
    assert [item["application_id"] for page in seen for item in page] == sent[::-1]


async def test_what_is_added_while_one_turns_pages_moves_nothing(contractor):
    sent = [await contractor.apply() for _ in range(3)]
    first = (await contractor.get("/api/applications", limit=2)).json()
    await contractor.apply()

    second = (await contractor.get("/api/applications", limit=2, cursor=first["next_cursor"])).json()

    assert [item["application_id"] for item in second["items"]] == [sent[0]]


async def test_guarantees_are_paged_without_a_gap_or_a_repeat(contractor, issue):
    issued = [await issue(await contractor.apply()) for _ in range(5)]

    seen = await pages(contractor, "/api/guarantees", 2)

    assert [item["contract_number"] for page in seen for item in page] == [
        event.contract_number for event in issued[::-1]
    ]


@pytest.mark.parametrize("path", ["/api/applications", "/api/guarantees"])
@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "あ",
        write_cursor("x"),
        write_cursor(uuid.UUID(int=1), "x", "y"),
        write_cursor(uuid.UUID(int=1), "\x00"),
        "",
    ],
)
async def test_a_cursor_that_we_did_not_write_is_refused(path, cursor, contractor):
    answer = await contractor.get(path, cursor=cursor)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["cursor"]


@pytest.mark.parametrize("limit", [0, 101, "x"])
async def test_a_page_has_1_to_100_items(limit, contractor):
    answer = await contractor.get("/api/applications", limit=limit)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "limit")


async def test_an_application_is_shown_with_everything_that_was_sent(contractor):
    application_id = await contractor.apply(works__name="見本橋　架替工事")

    shown = await contractor.standing(application_id)

    assert shown["submitted"]["works"]["name"] == "見本橋　架替工事"
    assert shown["contact"]["person"] == "𠮷田　﨑子"
    assert "contact" not in shown["submitted"]


async def test_a_shredded_contact_is_not_shown(contractor, intake):
    application_id = await contractor.apply()
    await intake.pool.execute("UPDATE application SET wrapped_data_key = NULL")

    assert (await contractor.standing(application_id))["contact"] is None


async def test_before_arrival_nothing_is_in_the_list_of_guarantees(contractor, issue):
    application_id = await contractor.apply()
    await contractor.hear(decided(application_id))
    event = await issue(application_id, arrived=False)

    assert (await contractor.get("/api/guarantees")).json()["items"] == []
    assert (await contractor.get(f"/api/guarantees/{event.contract_number}")).status_code == 404
    assert (await contractor.get(f"/api/guarantees/{event.contract_number}/authentication-key")).status_code == 404


async def test_the_key_is_shown_once_the_certificate_has_arrived(contractor, issue):
    event = await issue(await contractor.apply(), key=KEY)

    answer = await contractor.get(f"/api/guarantees/{event.contract_number}/authentication-key")

    assert answer.json() == {"contract_number": event.contract_number, "authentication_key": KEY}
    assert answer.headers["cache-control"] == "no-store"


async def test_every_look_at_a_key_is_recorded(contractor, issue, intake):
    event = await issue(await contractor.apply(), key=KEY)
    for _ in range(2):
        await contractor.get(f"/api/guarantees/{event.contract_number}/authentication-key")

    rows = await intake.pool.fetch("SELECT account_id, certificate_id FROM key_disclosure")
    assert [tuple(row) for row in rows] == [(contractor.person.account_id, event.certificate_id)] * 2


async def test_the_key_is_on_no_other_answer_and_not_readable_in_the_database(contractor, issue, intake):
    application_id = await contractor.apply()
    event = await issue(application_id, key=KEY)
    paths = ["/api/applications", f"/api/applications/{application_id}", "/api/guarantees"]

    answers = [(await contractor.get(path)).text for path in [*paths, f"/api/guarantees/{event.contract_number}"]]

    rows = [row["row"] for row in await intake.pool.fetch("SELECT certificate::text AS row FROM certificate")]
    assert all(KEY not in text and KEY.encode().hex() not in text for text in answers + rows)


async def test_a_guarantee_is_shown_with_its_history_mail_and_views(contractor, issue):
    event = await issue(await contractor.apply())
    await contractor.hear(mail_sent(event), viewed(event), viewed(event))

    shown = (await contractor.get(f"/api/guarantees/{event.contract_number}")).json()

    assert shown["overview"] == json.loads(event.content.canonical())
    assert [(line["no"], line["kind"], line["registered_at"]) for line in shown["history"]] == [
        (1, "new", "2026-11-20T03:00:00Z")
    ]
    assert (shown["mail"]["outcome"], shown["views"]) == ("sent", 2)
    assert shown["last_viewed_at"] == NOON.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    "typed", [str.lower, lambda n: n.replace("-", ""), lambda n: "".join(chr(ord(c) + 0xFEE0) for c in n)]
)
async def test_a_number_may_be_typed_as_people_do(typed, contractor, issue):
    event = await issue(await contractor.apply())

    assert (await contractor.get(f"/api/guarantees/{typed(event.contract_number)}")).status_code == 200


async def test_anothers_things_are_not_there(contractor, issue, another):
    application_id = await contractor.apply()
    event = await issue(application_id)
    other = await another()
    paths = [
        f"/api/applications/{application_id}",
        f"/api/guarantees/{event.contract_number}",
        f"/api/guarantees/{event.contract_number}/authentication-key",
    ]

    assert [(await other.get(path)).status_code for path in paths] == [404, 404, 404]
    assert [(await other.get(path)).json()["items"] for path in ("/api/applications", "/api/guarantees")] == [[], []]


async def test_a_colleague_sees_the_same(contractor, intake, issue):
    event = await issue(await contractor.apply())
    colleague = await intake.person("takasaki")

    answer = await intake.http.get(f"/api/guarantees/{event.contract_number}", headers=colleague.headers)

    assert answer.status_code == 200


@pytest.mark.parametrize("number", ["10226-00001", "%00", a_contract_number(77), "x" * 300])
async def test_what_is_nobodys_number_is_not_there(number, contractor):
    for path in (f"/api/guarantees/{number}", f"/api/guarantees/{number}/authentication-key"):
        assert (await contractor.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/api/applications", "/api/guarantees", f"/api/applications/{uuid.UUID(int=1)}"])
async def test_without_a_token_nothing_is_shown(path, intake):
    assert (await intake.http.get(path)).status_code == 401


async def test_an_expired_token_is_no_token(intake, contractor):
    token = await intake.token(contractor.person.account_id, hours=-0.001)

    answer = await intake.http.get("/api/applications", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 401


async def test_a_token_for_applications_alone_shows_no_key(intake, contractor, issue):
    event = await issue(await contractor.apply())
    token = await intake.token(contractor.person.account_id, scopes=("applications",))

    path = f"/api/guarantees/{event.contract_number}/authentication-key"
    answer = await intake.http.get(path, headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 403


async def test_a_desk_token_of_this_database_is_no_contractors(intake, contractor):
    account = uuid.uuid4()
    await tokens.add_account(intake.pool, account, role="desk", subject_id="toto", person="x")
    token = await intake.token(account, scopes=("applications", "guarantees"))

    answer = await intake.http.get("/api/applications", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 403


def test_the_contract_of_the_form_is_published(databases, keys):
    document = make_app(make_service("intake", databases, keys)).openapi()

    body = document["paths"]["/api/applications"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(an_application_form()) <= set(body["properties"])


async def test_a_method_that_there_is_not_is_told_with_those_that_there_are(intake):
    answers = [
        await intake.http.delete(path) for path in ("/api/applications", "/api/guarantees", "/contractor/sign-in")
    ]

    assert [answer.status_code for answer in answers] == [405] * 3
    assert [answer.headers["allow"] for answer in answers] == ["GET, POST", "GET", "GET, POST"]


async def test_a_parameter_that_there_is_not_is_told(contractor):
    answer = await contractor.get("/api/applications", limitt=5, **{"": ""})

    assert answer.status_code == 422
    assert [(error["field"], error["message_ja"]) for error in answer.json()["errors"]] == [
        ("limitt", "この項目はありません。"),
        ("body", "この項目はありません。"),
    ]
