"""DESK-5 to DESK-7: what contractor and desk write to each other, sealed everywhere but on the screen."""

import asyncio
import json
import uuid
from datetime import timedelta

import pytest

from chassis import sealing
from schemas.applications import MessageToSurety
from schemas.sealed import SealedText
from tests.support.builders import CAUSE, a_record, a_tombstone, a_wrapped_data_key
from tests.support.clock import NOON
from tests.support.consuming import a_consumer, parked

#: Under which the builder seals contacts, too.
SECRET = bytes(32)


@pytest.fixture
async def staff(issuer):
    return await issuer.person("toto", name="東都　審子")


@pytest.fixture
async def event(waiting, take, keys):
    """An application whose data key has come."""
    application = waiting()
    info = sealing.wrapping_info(application.application_id, "issuer")
    wrapped = sealing.Recipient(keys.public_key("issuer")).seal(SECRET, info=info)
    await take(application, a_wrapped_data_key(application.application_id, readers={"issuer": wrapped}))
    return application


@pytest.fixture
def write(issuer, staff):
    async def send(application, text, person=staff, **headers):
        path = f"/api/desk/applications/{application.application_id}/messages"
        return await issuer.http.post(path, json={"text": text}, headers=person.headers | headers)

    return send


@pytest.fixture
def texts(issuer, staff):
    async def get(application, person=staff):
        path = f"/api/desk/applications/{application.application_id}/messages"
        return [message["text"] for message in (await issuer.http.get(path, headers=person.headers)).json()["items"]]

    return get


def from_contractor(application, text, *, minutes=0, secret=SECRET):
    message_id = uuid.uuid4()
    data_key = sealing.DataKey(uuid.uuid4(), secret)
    nonce, ciphertext = data_key.seal(text.encode(), about=message_id)
    return MessageToSurety(
        message_id=message_id,
        application_id=application.application_id,
        sent_at=NOON - timedelta(days=400) + timedelta(minutes=minutes),
        sent_by=uuid.uuid4(),
        text=SealedText(data_key_id=data_key.id, nonce=sealing.b64(nonce), ciphertext=sealing.b64(ciphertext)),
    )


async def test_both_ways_the_oldest_first(issuer, event, take, write, staff):
    await take(from_contractor(event, "二通目です。", minutes=1), from_contractor(event, "髙﨑です。\n一通目です。"))

    answer = await write(event, "承知しました。")

    assert answer.status_code == 201
    assert [(m["direction"], m["person"], m["text"]) for m in answer.json()["items"]] == [
        ("from_contractor", None, "髙﨑です。\n一通目です。"),
        ("from_contractor", None, "二通目です。"),
        ("to_contractor", "東都　審子", "承知しました。"),
    ]
    shown = await issuer.http.get(f"/api/desk/applications/{event.application_id}", headers=staff.headers)
    assert (shown.json()["messages"], shown.json()["can_write"]) == (answer.json()["items"], True)


async def test_what_the_desk_writes_is_told_sealed_for_those_who_have_the_data_key(issuer, event, write, staff):
    await write(event, "図面をお送りください。")

    (told,) = map(json.loads, await issuer.outbox("MessageToContractor"))
    text, message_id = told["text"], uuid.UUID(told["message_id"])
    opened = sealing.DataKey(uuid.UUID(text["data_key_id"]), SECRET).open(
        sealing.unb64(text["nonce"]), sealing.unb64(text["ciphertext"]), about=message_id
    )
    assert opened.decode() == "図面をお送りください。"
    assert (told["application_id"], told["sent_by"]) == (str(event.application_id), str(staff.account_id))
    row = await issuer.pool.fetchrow("SELECT key, headers FROM outbox WHERE headers LIKE '%MessageToContractor%'")
    assert row["key"] == event.key.encode()
    assert dict(json.loads(row["headers"]))["ce_correlationid"] == CAUSE.correlation_id


async def test_no_text_is_in_the_database_in_the_clear(issuer, event, take, write):
    await take(from_contractor(event, "秘密の連絡"))
    await write(event, "秘密の返事")

    for table in ("message", "outbox", "application"):
        for row in await issuer.pool.fetch(f"SELECT to_jsonb({table})::text AS row FROM {table}"):
            assert "秘密" not in row["row"]
            assert "秘密".encode().hex() not in row["row"]


async def test_after_shredding_there_are_messages_but_no_words_and_none_can_be_added(issuer, event, take, write, texts):
    await take(from_contractor(event, "一通目"))
    await write(event, "二通目")

    await a_consumer(issuer.service, issuer.pool).take([a_tombstone(event.application_id)])

    assert await texts(event) == [None, None]
    answer = await write(event, "三通目")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:akashi:problem:data-key-missing")
    assert len(await issuer.outbox("MessageToContractor")) == 1


async def test_before_the_data_key_came_there_are_no_words_either(take, waiting, write, texts):
    application = waiting()
    await take(application, from_contractor(application, "早すぎる連絡"))

    assert await texts(application) == [None]
    assert (await write(application, "返事")).status_code == 409


async def test_one_message_that_cannot_be_opened_hides_none_of_the_others(event, take, texts):
    await take(from_contractor(event, "別の鍵", secret=bytes(range(32))), from_contractor(event, "読める", minutes=1))

    assert await texts(event) == [None, "読める"]


async def test_another_suretys_messages_are_not_there(issuer, event, write):
    other = await issuer.person("nankai")
    path = f"/api/desk/applications/{event.application_id}/messages"

    assert (await issuer.http.get(path, headers=other.headers)).status_code == 404
    assert (await write(event, "こんにちは", person=other)).status_code == 404
    assert await issuer.outbox("MessageToContractor") == []


async def test_a_message_told_twice_is_kept_once(event, take, texts):
    message = from_contractor(event, "一度だけ")

    await take(message, message)
    await take(message)

    assert await texts(event) == ["一度だけ"]


async def test_a_message_about_nothing_we_know_is_parked(issuer, take, waiting):
    message = from_contractor(waiting(), "宛先不明")

    await take(message)

    assert await parked(issuer.pool) == [("application_is_unknown", message.key.encode())]


async def test_application_and_message_in_one_poll_are_both_taken(issuer, take, waiting):
    application = waiting()

    await take(from_contractor(application, "追伸"), application)

    assert await issuer.pool.fetchval("SELECT count(*) FROM message") == 1
    assert await parked(issuer.pool) == []


async def test_a_poll_of_many_messages_costs_no_more_than_a_poll_of_one(issuer, event):
    consumer = a_consumer(issuer.service, issuer.pool)
    await consumer.take([a_record(from_contractor(event, str(n))) for n in range(100)])

    assert await issuer.pool.fetchval("SELECT count(*) FROM message") == 100


@pytest.mark.parametrize(
    ("text", "rule"),
    [(" \n　", "DESK-6"), ("あ" * 2001, "FORM-14"), ("ご確認\u202eください。", "FORM-14")],
)
async def test_what_cannot_be_sent_is_refused_with_the_rule(text, rule, issuer, event, write):
    answer = await write(event, text)

    assert answer.status_code == 422
    assert [error["rule"] for error in answer.json()["errors"]] == [rule]
    assert await issuer.outbox("MessageToContractor") == []


async def test_a_message_may_be_as_long_as_2000_characters(event, write, texts):
    assert (await write(event, "𠮷" * 2000)).status_code == 201
    assert await texts(event) == ["𠮷" * 2000]


async def test_under_one_idempotency_key_a_message_is_sent_once(issuer, event, write, texts):
    key = {"Idempotency-Key": "press-1"}

    await asyncio.gather(*(write(event, "一度だけ", **key) for _ in range(3)))

    assert await texts(event) == ["一度だけ"]
    assert len(await issuer.outbox("MessageToContractor")) == 1


async def test_another_text_under_the_same_key_is_refused_and_not_passed_over(issuer, event, write, texts):
    key = {"Idempotency-Key": "press-1"}
    await write(event, "一通目です。", **key)

    answer = await write(event, "二通目です。", **key)

    assert (answer.status_code, answer.json()["type"]) == (422, "urn:akashi:problem:idempotency-key-reused")
    assert [error["field"] for error in answer.json()["errors"]] == ["text"]
    assert await texts(event) == ["一通目です。"]
    # Space around is not kept, so this is the first one again.
    assert (await write(event, "一通目です。\n", **key)).status_code == 201
    assert len(await issuer.outbox("MessageToContractor")) == 1


async def test_of_two_texts_under_one_key_at_once_one_is_sent_and_the_other_refused(issuer, event, write, texts):
    key = {"Idempotency-Key": "press-1"}

    answers = await asyncio.gather(*(write(event, text, **key) for text in ("甲です。", "乙です。")))

    assert sorted(answer.status_code for answer in answers) == [201, 422]
    assert len(await texts(event)) == len(await issuer.outbox("MessageToContractor")) == 1


async def test_a_key_is_of_one_person(issuer, event, write, texts):
    key = {"Idempotency-Key": "press-1"}
    await write(event, "一通目です。", **key)

    colleague = await issuer.person("toto")

    assert (await write(event, "二通目です。", person=colleague, **key)).status_code == 201
    assert await texts(event) == ["一通目です。", "二通目です。"]


async def test_without_a_key_the_same_words_may_be_sent_twice(event, write, texts):
    await write(event, "承知しました。")
    await write(event, "承知しました。")

    assert await texts(event) == ["承知しました。"] * 2
