"""SHRED: the personal data of an application is erased by destroying its key, here and at the readers, once and for ever."""

import asyncio
import uuid
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from chassis.kafka_topics import declared
from chassis.migrations import migrate
from chassis.outbox import Outbox
from chassis.postgres import transaction
from console.services import migrations_of
from schemas import topics
from services.intake.shredding import handlers
from services.intake.shredding import store as shreddings
from services.intake.shredding.reminder import tell_due
from services.issuer import handlers as issuer_handlers
from tests.support.builders import (
    a_record,
    a_tombstone,
    a_wrapped_data_key,
    an_application_form,
    received,
)
from tests.support.clock import NOON
from tests.support.consuming import a_consumer, parked
from tests.support.pages import signed_in
from tests.support.waiting import eventually

HERE = "/contractor/toto"
PERSON = ("keiri@takasaki-kensetsu.example", "﨑子", "028-000-0002", "よろしくお願いします。")

#: Whether a session of this database waits for a lock.
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def shred(intake):
    async def act(application_id, *, by="監査 見本", reason="保存期間満了", now=NOON, delete_drafts=None):
        async with transaction(intake.pool) as tx:
            return await handlers.shred(
                tx,
                UUID(str(application_id)),
                by=by,
                reason=reason,
                delete_drafts=delete_drafts,
                outbox=intake.service.runtime.outbox,
                now=now,
            )

    return act


@pytest.fixture
async def page(intake, contractor):
    return await signed_in(intake, contractor.person, "takasaki-1")


async def tombstones(intake):
    """The keys of the tombstones that wait to be published, oldest first."""
    rows = await intake.pool.fetch("SELECT topic, key, headers FROM outbox WHERE value IS NULL ORDER BY id")
    assert {(row["topic"], row["headers"]) for row in rows} <= {("data-keys.v1", "[]")}
    return [row["key"].decode() for row in rows]


async def wrapped(intake, application_id):
    return await intake.pool.fetchval("SELECT wrapped_data_key FROM application WHERE id = $1", UUID(application_id))


async def test_the_key_is_destroyed_the_deed_noted_and_the_tombstone_told_in_one_transaction(contractor, intake, shred):
    application_id, other = await contractor.apply(), await contractor.apply()

    done = await shred(application_id)

    assert (done.shredded_at, done.shredded_by, done.reason) == (NOON, "監査 見本", "保存期間満了")
    assert await wrapped(intake, application_id) is None
    assert await wrapped(intake, other) is not None
    assert await tombstones(intake) == [application_id]


async def test_what_is_rolled_back_erases_nothing(contractor, intake):
    application_id = await contractor.apply()

    async with intake.pool.acquire() as connection:
        tx = connection.transaction()
        await tx.start()
        await handlers.shred(
            connection, UUID(application_id), by="a", reason="b", delete_drafts=None, outbox=Outbox("intake"), now=NOON
        )
        await tx.rollback()

    assert await wrapped(intake, application_id) is not None
    assert await tombstones(intake) == []
    assert await intake.pool.fetchval("SELECT count(*) FROM shredding") == 0


async def test_the_tombstone_comes_after_the_key_it_forgets(contractor, intake, shred):
    application_id = await contractor.apply()

    await shred(application_id)

    rows = await intake.pool.fetch("SELECT value FROM outbox WHERE topic = 'data-keys.v1' ORDER BY id")
    assert [row["value"] is None for row in rows] == [False, True]


async def test_a_repeat_keeps_the_first_note_and_tells_again(contractor, intake, shred):
    application_id = await contractor.apply()
    first = await shred(application_id)

    again = await shred(application_id, by="別人", reason="もう一度", now=NOON + timedelta(days=1))

    assert again == first
    assert await tombstones(intake) == [application_id] * 2
    async with transaction(intake.pool) as tx:
        assert await shreddings.all_(tx) == [first]


async def test_two_at_once_note_one_deed(contractor, intake, shred):
    application_id = await contractor.apply()

    first, second = await asyncio.gather(shred(application_id, by="A"), shred(application_id, by="B"))

    assert first == second


async def test_an_unknown_application_is_refused(intake, shred):
    with pytest.raises(handlers.ApplicationIsUnknown):
        await shred(uuid.uuid4())

    assert await tombstones(intake) == []


async def test_page_and_answer_say_that_it_was_erased_and_show_the_rest(contractor, page, shred, issue):
    application_id = await contractor.apply()
    issued = await issue(UUID(application_id))
    text = {"text": "工期を変更しました。"}
    assert (await contractor.post(f"/api/applications/{application_id}/messages", text)).status_code == 202
    before = await contractor.standing(application_id)

    await shred(application_id)

    standing = await contractor.standing(application_id)
    assert standing == before | {"contact": None}
    (message,) = (await contractor.get(f"/api/applications/{application_id}/messages")).json()["items"]
    assert message["text"] is None
    await page.get(f"{HERE}/applications/{application_id}")
    assert "（消去済み）" in page.text
    assert "消去されています" in page.text
    assert not [word for word in (*PERSON, "工期を変更") if word in page.text]
    refused = await contractor.post(f"/api/applications/{application_id}/messages", text)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:akashi:problem:data-key-missing")
    key = await contractor.get(f"/api/guarantees/{issued.contract_number}/authentication-key")
    assert key.status_code == 200


async def test_a_request_that_is_repeated_after_it_has_no_second_effect_and_left_no_hash(contractor, intake, shred):
    form = an_application_form()
    application_id = (await contractor.post("/api/applications", form, key="sent")).json()["application_id"]
    path, text = f"/api/applications/{application_id}/messages", {"text": "028-000-0003へお願いします。"}
    await contractor.post(path, text, key="written")
    await contractor.apply()

    await shred(application_id)

    for answer in (
        await contractor.post("/api/applications", form, key="sent"),
        await contractor.post(path, text, key="written"),
    ):
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:akashi:problem:idempotency-key-reused")
    kept = await intake.pool.fetch("SELECT key FROM idempotency WHERE fingerprint <> ''")
    assert not {"sent", "written"} & {row["key"] for row in kept}
    assert len(kept) == 1


async def test_a_draft_that_became_the_application_holds_nothing(contractor, intake, shred):
    application_id = await contractor.apply()
    await intake.pool.execute(
        "INSERT INTO draft (id, contractor_id, surety_id, began_at, saved_at, saved_by, application_id)"
        " VALUES ($1, 'takasaki', 'toto', now(), now(), $2, $3)",
        uuid.uuid4(),
        contractor.person.account_id,
        UUID(application_id),
    )

    await shred(application_id)

    assert await intake.pool.fetchval("SELECT count(*) FROM draft WHERE ciphertext IS NOT NULL") == 0


async def test_drafts_that_may_be_copies_are_not_forgotten_about(contractor, another, page, intake, shred):
    application_id = await contractor.apply()
    copy, other_surety, others = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    await page.get(f"{HERE}/applications/{application_id}")
    await page.post(f"{HERE}/applications/{application_id}/reuse", {"draft": str(copy)})
    stranger = await another()
    insert = (
        "INSERT INTO draft (id, contractor_id, surety_id, began_at, saved_at, saved_by, nonce, ciphertext)"
        " VALUES ($1, $2, $3, now(), now(), $4, '', '')"
    )
    await intake.pool.execute(insert, other_surety, "takasaki", "hokuto", contractor.person.account_id)
    await intake.pool.execute(insert, others, "sano", "toto", stranger.person.account_id)

    with pytest.raises(handlers.CopiesMayBeLeft) as refused:
        await shred(application_id)

    assert refused.value.count == 1
    assert await wrapped(intake, application_id) is not None
    await shred(application_id, delete_drafts=True)
    left = {row["id"] for row in await intake.pool.fetch("SELECT id FROM draft")}
    assert left == {other_surety, others}


async def test_the_tombstone_is_told_again_each_day_of_a_week(contractor, intake, shred, clock):
    runtime = intake.service.runtime
    runtime.clock = clock
    application_id = await contractor.apply()
    await shred(application_id)
    await intake.pool.execute("DELETE FROM outbox")
    told = []

    for _ in range(10 * 24):
        clock.pass_(hours=1)
        told.append(await tell_due(runtime))

    assert [hour for hour, count in enumerate(told, start=1) if count] == [25, 50, 75, 100, 125, 150]
    assert await tombstones(intake) == [application_id] * 6


async def test_a_telling_put_off_by_a_clock_that_ran_ahead_is_due_when_the_clock_is_right(
    contractor, intake, shred, clock
):
    runtime = intake.service.runtime
    runtime.clock = clock
    application_id = await contractor.apply()
    await shred(application_id, now=clock.now() + timedelta(days=400))

    assert [await tell_due(runtime), await tell_due(runtime)] == [1, 0]
    clock.pass_(hours=25)
    assert await tell_due(runtime) == 1


async def test_each_telling_comes_after_kafka_closed_the_segment_of_the_one_before():
    (settings,) = [topic.topic_configs for topic in declared(1) if topic.name == topics.DATA_KEYS.name]

    assert settings["cleanup.policy"] == "compact"
    closed_after = timedelta(milliseconds=int(settings["segment.ms"]))
    assert closed_after < handlers.TELL_EVERY
    assert int(settings["max.compaction.lag.ms"]) <= int(settings["segment.ms"])
    assert int(settings["delete.retention.ms"]) > timedelta(days=365 * 50) / timedelta(milliseconds=1)
    others = [topic.topic_configs for topic in declared(1) if topic.name != topics.DATA_KEYS.name]
    assert not any("segment.ms" in other for other in others)


# The issuer as a reader. (The notifier's halves have tests of their own.)


async def keys_at(issuer):
    return {row["application_id"] for row in await issuer.pool.fetch("SELECT application_id FROM data_key")}


@pytest.mark.parametrize(
    "polls",
    ["key,tombstone,key", "key+tombstone+key", "tombstone,key", "key,tombstone,tombstone,key", "tombstone+key,key"],
)
async def test_a_reader_takes_no_key_again_after_its_tombstone(issuer, polls):
    application_id, kept = uuid.uuid4(), uuid.uuid4()
    records = {"key": a_record(a_wrapped_data_key(application_id)), "tombstone": a_tombstone(application_id)}
    consumer = a_consumer(issuer.service, issuer.pool)

    for poll in polls.split(","):
        await consumer.take([*(records[name] for name in poll.split("+")), a_record(a_wrapped_data_key(kept))])

    assert await keys_at(issuer) == {kept}
    bytes_left = await issuer.pool.fetchval(
        "SELECT count(*) FROM known_data_key WHERE application_id = $1 AND wrapped IS NOT NULL", application_id
    )
    assert bytes_left == 0


async def test_a_key_that_is_given_back_after_its_tombstone_is_not_taken(issuer):
    application_id = uuid.uuid4()
    consumer = a_consumer(issuer.service, issuer.pool)
    await consumer.take([a_tombstone(application_id)])
    key = a_wrapped_data_key(application_id)
    headers = (*a_record(key).headers, ("akashi_origin_topic", topics.DATA_KEYS.name.encode()))

    await consumer.take([a_record(key, topic=topics.redrive("issuer"), headers=headers)])

    assert await keys_at(issuer) == set()
    assert await parked(issuer.pool) == []


async def test_a_key_and_its_tombstone_in_two_processes_at_once_leave_no_key(issuer):
    event = a_wrapped_data_key(uuid.uuid4())
    async with transaction(issuer.pool) as tx:
        await issuer_handlers.keep_data_keys(tx, [received(event)])
        forgetting = asyncio.create_task(
            a_consumer(issuer.service, issuer.pool).take([a_tombstone(event.application_id)])
        )
        await eventually(lambda: issuer.pool.fetchval(WAITING))
        assert not forgetting.done()
    await forgetting

    assert await keys_at(issuer) == set()


async def test_a_tombstone_of_nothing_is_parked_by_the_issuer(issuer):
    record = a_record(a_wrapped_data_key(uuid.uuid4()), key=b"nobody", value=None)

    await a_consumer(issuer.service, issuer.pool).take([record])

    assert await parked(issuer.pool) == [("key_is_not_an_application", b"nobody")]


async def test_keys_of_the_issuers_release_before_are_kept_and_its_statements_still_work(databases):
    files = migrations_of("issuer")
    await databases.fresh("issuer", migrated=False)
    connection = await asyncpg.connect(**databases.address("issuer"))
    before, after = uuid.uuid4(), uuid.uuid4()
    keep = (
        "INSERT INTO data_key (application_id, data_key_id, wrapped) VALUES ($1, $1, 'x')"
        " ON CONFLICT (application_id) DO NOTHING"
    )
    try:
        await migrate(connection, [file for file in files if file.name < "issuer_0003"])
        await connection.execute(keep, before)
        await migrate(connection, files)
        await connection.execute(keep, before)
        await connection.execute(keep, after)
        assert await connection.fetchval("SELECT count(*) FROM data_key") == 2
        assert await connection.execute("DELETE FROM data_key WHERE application_id = $1", after) == "DELETE 1"
    finally:
        await connection.close()
