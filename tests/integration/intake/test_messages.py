"""MSG: contractor and surety write to each other; sealed, told once, and unreadable once shredded."""

import asyncio
import json
import uuid
from functools import partial

import pytest

from chassis import sealing
from schemas.applications import ApplicationSubmitted, MessageToSurety
from schemas.data_keys import DataKeyWrapped
from schemas.decisions import MessageToContractor
from schemas.sealed import SealedText
from tests.integration.intake.told import queued
from tests.support.clock import NOON
from tests.support.consuming import parked
from tests.support.pages import signed_in
from tests.support.waiting import eventually

HERE = "/contractor/toto"


@pytest.fixture
async def page(intake, contractor):
    return await signed_in(intake, contractor.person, "takasaki-1")


@pytest.fixture
def answer(intake, contractor, keys):
    """The surety writes about an application."""

    async def write(application_id, text="工期をご確認ください。", **changes):
        (told,) = [
            wrapped
            for value in await intake.outbox("DataKeyWrapped")
            if str((wrapped := DataKeyWrapped.model_validate_json(value)).application_id) == application_id
        ]
        own = next(one for one in told.wrapped_for if one.reader == "issuer")
        info = sealing.wrapping_info(told.application_id, "issuer")
        secret = sealing.open_with(keys.private_key("issuer"), sealing.unb64(own.wrapped), info=info)
        message_id = uuid.uuid4()
        nonce, ciphertext = sealing.DataKey(told.data_key_id, secret).seal(text.encode(), about=message_id)
        event = MessageToContractor(
            **{
                "message_id": message_id,
                "application_id": application_id,
                "sent_at": NOON,
                "sent_by": uuid.uuid4(),
                "text": SealedText(
                    data_key_id=told.data_key_id, nonce=sealing.b64(nonce), ciphertext=sealing.b64(ciphertext)
                ),
                **changes,
            }
        )
        await contractor.hear(event)
        return event

    return write


def messages_of(application_id):
    return f"/api/applications/{application_id}/messages"


async def test_what_is_written_is_told_sealed_for_the_issuer(contractor, intake, keys):
    application_id = await contractor.apply()

    given = await contractor.post(messages_of(application_id), {"text": "工期を\r\n変更しました。 "})

    assert given.status_code == 202
    (value,) = await intake.outbox("MessageToSurety")
    event = MessageToSurety.model_validate_json(value)
    assert str(event.message_id) == given.json()["message_id"]
    assert "工期" not in value
    (wrapped,) = [DataKeyWrapped.model_validate_json(told) for told in await intake.outbox("DataKeyWrapped")]
    own = next(one for one in wrapped.wrapped_for if one.reader == "issuer")
    info = sealing.wrapping_info(event.application_id, "issuer")
    secret = sealing.open_with(keys.private_key("issuer"), sealing.unb64(own.wrapped), info=info)
    text = sealing.DataKey(wrapped.data_key_id, secret).open(
        sealing.unb64(event.text.nonce), sealing.unb64(event.text.ciphertext), about=event.message_id
    )
    assert text.decode() == "工期を\n変更しました。"


async def test_both_directions_are_read_in_their_order(contractor, answer):
    application_id = await contractor.apply()
    await answer(application_id)
    await contractor.post(messages_of(application_id), {"text": "確認しました。"})

    items = (await contractor.get(messages_of(application_id))).json()["items"]

    assert [(one["direction"], one["text"], one["person"]) for one in items] == [
        ("to_contractor", "工期をご確認ください。", None),
        ("to_surety", "確認しました。", "見本　太郎"),
    ]


async def test_the_same_request_again_writes_once(contractor, intake):
    application_id = await contractor.apply()

    answers = [await contractor.post(messages_of(application_id), {"text": "一度だけ"}, key="k") for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert len(await intake.outbox("MessageToSurety")) == 1


@pytest.mark.parametrize("text", ["", " \n ", "あ" * 2001, "\x00", "外字\ue000"])
async def test_what_cannot_be_read_is_not_taken(text, contractor, intake):
    application_id = await contractor.apply()

    given = await contractor.post(messages_of(application_id), {"text": text})

    assert (given.status_code, given.json()["errors"][0]["field"]) == (422, "text")
    assert await intake.outbox("MessageToSurety") == []


@pytest.mark.parametrize("document", [{}, {"text": 1}, {"text": "a", "to": "x"}, [], None])
async def test_what_is_no_letter_is_not_taken(document, contractor):
    application_id = await contractor.apply()

    given = await contractor.site.http.post(
        messages_of(application_id),
        content=json.dumps(document),
        headers={**contractor.person.headers, "Idempotency-Key": "k", "Content-Type": "application/json"},
    )

    assert given.status_code == 422


async def test_nobody_reads_or_writes_about_anothers_application(contractor, another):
    theirs = await (await another()).apply()

    assert (await contractor.get(messages_of(theirs))).status_code == 404
    assert (await contractor.post(messages_of(theirs), {"text": "a"})).status_code == 404


async def test_a_message_about_an_application_that_was_never_sent_is_parked(contractor, intake):
    stranger = uuid.uuid4()
    sealed = SealedText(data_key_id=uuid.uuid4(), nonce=sealing.b64(bytes(12)), ciphertext=sealing.b64(bytes(20)))

    await contractor.hear(
        MessageToContractor(
            message_id=uuid.uuid4(), application_id=stranger, sent_at=NOON, sent_by=uuid.uuid4(), text=sealed
        )
    )

    assert await parked(intake.pool) == [("database:ForeignKeyViolationError", str(stranger).encode())]


async def test_a_repeated_message_is_one(contractor, answer):
    application_id = await contractor.apply()
    event = await answer(application_id)
    await contractor.hear(event, event)

    assert len((await contractor.get(messages_of(application_id))).json()["items"]) == 1


async def test_what_was_shredded_shows_no_text_and_takes_no_more(contractor, page, intake, answer):
    application_id = await contractor.apply()
    await answer(application_id)
    await intake.pool.execute("UPDATE application SET wrapped_data_key = NULL WHERE id = $1", uuid.UUID(application_id))

    (item,) = (await contractor.get(messages_of(application_id))).json()["items"]
    given = await contractor.post(messages_of(application_id), {"text": "まだですか"})
    await page.get(f"{HERE}/applications/{application_id}")

    assert item["text"] is None
    assert (given.status_code, given.json()["type"]) == (409, "urn:akashi:problem:data-key-missing")
    assert "（消去済みのため表示できません）" in page.text
    assert "連絡事項を送信できません" in page.text
    assert "keiri@takasaki-kensetsu.example" not in page.text


async def test_a_text_that_does_not_open_hides_none_of_the_others(contractor, answer):
    application_id = await contractor.apply()
    await answer(application_id, message_id=uuid.uuid4())
    await answer(application_id, "二通目")

    texts = {one["text"] for one in (await contractor.get(messages_of(application_id))).json()["items"]}

    assert texts == {None, "二通目"}


async def test_no_message_is_in_the_clear_in_the_database(contractor, page, intake):
    application_id = await contractor.apply()
    await contractor.post(messages_of(application_id), {"text": "極秘の連絡"})

    for table in ("message", "outbox", "idempotency"):
        rows = [row["row"] for row in await intake.pool.fetch(f"SELECT ({table}.*)::text AS row FROM {table}")]
        assert all("極秘" not in row and "極秘".encode().hex() not in row for row in rows)


async def test_a_new_message_is_news_until_somebody_opens_it(contractor, page, answer):
    application_id = await contractor.apply()
    await answer(application_id)

    assert "弊社からお客様へのお知らせがあります" in (await page.get(f"{HERE}/")).text
    assert "工期をご確認ください。" in (await page.get(f"{HERE}/applications/{application_id}")).text
    assert "弊社からお客様へのお知らせがあります" not in (await page.get(f"{HERE}/")).text


async def test_two_who_read_a_new_message_at_once_are_both_shown_it(contractor, intake, answer):
    application_id = await contractor.apply()
    await answer(application_id)

    async with intake.pool.acquire() as beside, beside.transaction():
        # Both come so far as to note that it was seen.
        await beside.execute("SELECT 1 FROM message FOR UPDATE")
        reads = [asyncio.create_task(contractor.get(messages_of(application_id))) for _ in range(2)]
        waiting = "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%seen_at%'"
        await eventually(partial(intake.pool.fetchval, waiting))

    assert [read.status_code for read in await asyncio.gather(*reads)] == [200, 200]


async def test_a_message_written_on_the_page_is_sent_once_and_shown(contractor, page, intake):
    application_id = await contractor.apply()
    path = f"{HERE}/applications/{application_id}"
    letter = {"text": "着工が遅れます。", "message_id": str(uuid.uuid4())}

    for _ in range(2):
        await page.get(path)
        await page.post(f"{path}/messages", letter)

    assert page.text.count("着工が遅れます。") == 1
    assert "見本　太郎" in page.text
    assert len(await intake.outbox("MessageToSurety")) == 1
    await page.post(f"{path}/messages", {"text": " "})
    assert page.status == 422
    assert "連絡事項を入力してください。" in page.text


async def test_another_text_in_a_form_that_was_sent_is_shown_again_and_not_passed_over(contractor, page, intake):
    path = f"{HERE}/applications/{await contractor.apply()}"
    drawn = str(uuid.uuid4())
    await page.get(path)
    await page.post(f"{path}/messages", {"text": "一通目です。", "message_id": drawn})

    await page.post(f"{path}/messages", {"text": "二通目です。", "message_id": drawn})

    assert (page.status, "別の内容がすでに送信" in page.text, "二通目です。</textarea>" in page.text) == (
        422,
        True,
        True,
    )
    assert drawn not in page.text
    assert len(await intake.outbox("MessageToSurety")) == 1


async def test_messages_say_nothing_about_the_standing(contractor, answer):
    application_id = await contractor.apply()
    await contractor.hear(queued(application_id))
    await answer(application_id)

    assert (await contractor.standing(application_id))["status_ja"] == "審査中"


async def test_another_suretys_portal_takes_no_message(contractor, page, intake):
    application_id = await contractor.apply()
    await page.get(f"{HERE}/applications/{application_id}")

    await page.post(f"/contractor/nankai/applications/{application_id}/messages", {"text": "a"})

    assert page.status == 404
    assert [ApplicationSubmitted.model_validate_json(v).surety_id for v in await intake.outbox("ApplicationSubmitted")]
    assert await intake.outbox("MessageToSurety") == []
