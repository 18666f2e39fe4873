"""The registry rebuilt from the event log and swapped in. Each test leaves a registry that a replay finds equal."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from console import store
from console.audit import rebuild_swap as swapping
from console.audit import shadow as shadows
from console.audit.rebuild import rebuild
from console.audit.replay import Silent
from console.environment import Stack
from deploy.local.problem import Problem
from schemas.certificates import CertificateIssued
from services.registry.log import store as log_store
from tests.integration.console.rebuilding import TABLES, checked, content
from tests.integration.console.world import ACCOUNT, CLOCK, World, open_world, schemas_left, stack_of_its_own
from transparency import checkpoints
from transparency.checkpoints import Checkpoint
from transparency.notes import Note

#: Everything about the tables that a swap must leave as it was: columns, constraints, indexes, owners and rights.
SELECT_CATALOG = """
SELECT 'column', table_name::text, column_name::text, data_type || is_nullable || coalesce(collation_name, '')
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname::text,
    pg_get_constraintdef(oid) || convalidated FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'index', tablename::text, indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'table', relname::text, pg_get_userbyid(relowner)::text, coalesce(relacl::text, '')
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
UNION ALL SELECT 'rights to a column', attrelid::regclass::text, attname::text, attacl::text
FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid::regclass::text IN ('certificate', 'view')
ORDER BY 1, 2, 3, 4
"""


@pytest.fixture(scope="module")
def ready() -> Iterator[Stack]:
    with stack_of_its_own() as stack:
        yield stack


@pytest.fixture
async def world(ready: Stack) -> AsyncIterator[World]:
    async with open_world(ready) as opened:
        yield opened


async def as_superuser(stack: Stack, *statements: str) -> None:
    async with shadows.as_superuser(stack, "registry") as admin:
        for statement in statements:
            await admin.execute(statement)


async def drop(stack: Stack, *names: str) -> None:
    await as_superuser(stack, *(f'DROP SCHEMA "{name}" CASCADE' for name in names))


async def test_an_equal_registry_stays_equal(world: World) -> None:
    await world.traffic(20)
    before = await content(world)

    done = await rebuild(world.stack)

    await checked(world, done)
    assert done.differences == ()
    assert done.checkpoints == 1
    assert await content(world) == before


async def test_tables_are_as_before_in_everything_but_their_rows(world: World) -> None:
    await as_superuser(
        world.stack,
        "CREATE ROLE reader",
        "GRANT SELECT ON certificate, leaf TO reader",
        "GRANT SELECT (viewed_at) ON view TO reader",
    )
    before = [tuple(row) for row in await world.registry.fetch(SELECT_CATALOG)]
    assert any("reader" in row[3] for row in before)

    await checked(world, await rebuild(world.stack))

    assert [tuple(row) for row in await world.registry.fetch(SELECT_CATALOG)] == before


DAMAGES = {
    "altered": "UPDATE certificate SET purchaser_id = 'gunma' WHERE certificate_id = $1",
    "dated otherwise": "UPDATE certificate SET registered_at = registered_at + interval '1 day' WHERE certificate_id = $1",
    "view lost": "DELETE FROM view WHERE certificate_id = $1",
    "view dated otherwise": "UPDATE view SET viewed_at = viewed_at + interval '1 h' WHERE certificate_id = $1",
    "leaf altered": "UPDATE leaf SET commitment = sha256('x') WHERE subject = $1",
    "salt altered": "UPDATE leaf SET salt = sha256('x') WHERE subject = $1",
    "leaf lost": "DELETE FROM leaf WHERE subject = $1",
    "log lost": "WITH a AS (DELETE FROM leaf), b AS (DELETE FROM tile_node) DELETE FROM log_head WHERE $1::uuid IS NOT NULL",
    "head altered": "UPDATE log_head SET size = size + 5 WHERE $1::uuid IS NOT NULL",
    "two swapped": """
        UPDATE certificate AS c SET content = other.content, key_digest = other.key_digest
        FROM (SELECT content, key_digest FROM certificate WHERE certificate_id <> $1 LIMIT 1) AS other
        WHERE c.certificate_id = $1""",
}


async def test_whatever_was_damaged_is_named_and_mended(world: World) -> None:
    issued = (await world.traffic(5))[2]
    before = await content(world)
    for damage, statement in DAMAGES.items():
        await world.registry.execute(statement, issued.certificate_id)
        assert await content(world) != before, damage

        done = await rebuild(world.stack)

        assert done.swapped, (damage, done.refusals)
        assert done.differences, damage
        assert await content(world) == before, damage
    await checked(world, await rebuild(world.stack))
    await world.view(issued)
    assert (await world.replay()).equal


async def test_a_removed_certificate_comes_back_with_the_time_of_then(world: World) -> None:
    issued = await world.issue(2)
    await world.register(issued)
    before = await content(world)
    await world.registry.execute("DELETE FROM certificate WHERE certificate_id = $1", issued[0].certificate_id)

    done = await rebuild(world.stack)

    assert ("certificate_is_missing", issued[0].contract_number) in [(d.kind, d.subject) for d in done.differences]
    assert await content(world) == before
    await world.view(issued[0])
    assert (await world.replay()).equal


async def test_what_no_event_tells_leaves_the_registry_and_is_kept_aside(world: World) -> None:
    issued = (await world.traffic(1))[0]
    forged = uuid.uuid4()
    await world.registry.execute(
        "INSERT INTO view VALUES ($1, $2, $3, $4)", forged, issued.certificate_id, ACCOUNT, CLOCK.now()
    )

    done = await rebuild(world.stack)

    assert [(each.kind, each.subject) for each in done.differences] == [("view_is_superfluous", issued.contract_number)]
    assert done.untold == 1
    (kept,) = done.kept
    assert kept.startswith(swapping.KEPT)
    assert await world.registry.fetchval(f'SELECT count(*) FROM "{kept}".view WHERE view_id = $1', forged) == 1
    await checked(world, done)
    await drop(world.stack, kept)


async def test_an_empty_registry_is_rebuilt_from_the_topics_alone(world: World) -> None:
    await world.traffic(30)
    before = await content(world)
    signed = await world.registry.fetch("SELECT size, note, signed_at FROM checkpoint ORDER BY size")
    head = await log_store.head(world.registry)
    await world.registry.execute(
        f"TRUNCATE opened_certificate, {TABLES}, throttle, token, session, sign_in, account, outbox, checkpoint"
    )
    await world.registry.execute("INSERT INTO log_head (size, frontier) VALUES (0, '{}')")

    done = await rebuild(world.stack)

    await checked(world, done)
    assert await content(world) == before
    assert done.root == head.root()
    assert done.accounts == 1
    account = await world.registry.fetchrow("SELECT person, disabled_at FROM account WHERE id = $1", ACCOUNT)
    assert account is not None
    assert account["person"] == "不明"
    assert account["disabled_at"] is not None
    # What was signed before is the same log.
    await world.registry.executemany(
        "INSERT INTO checkpoint (size, note, signed_at) VALUES ($1, $2, $3)", [tuple(row) for row in signed]
    )
    assert (await world.replay()).checkpoints == len(signed)
    # What is read again from certificates.v1 finds its row, and gets no second time of issue.
    assert await world.registry.fetchval("SELECT count(*) FROM outbox") == 0


async def test_what_waits_in_the_outbox_is_carried_and_told_once(world: World) -> None:
    issued = await world.issue(3)
    await world.register(issued, published=False)
    await world.view(issued[0], published=False)
    waiting = await world.registry.fetchval("SELECT count(*) FROM outbox")

    done = await rebuild(world.stack)

    assert done.swapped
    assert done.differences == ()
    assert await world.registry.fetchval("SELECT count(*) FROM outbox") == waiting == 4
    await world.register(issued, published=False)
    assert await world.registry.fetchval("SELECT count(*) FROM outbox") == waiting
    await world.publish()
    assert (await world.replay()).equal


async def test_a_signed_root_that_is_contradicted_is_refused_and_nothing_touched(world: World) -> None:
    await world.traffic(2)
    before = await content(world)
    head = await log_store.head(world.registry)
    note = await world.registry.fetchval("SELECT note FROM checkpoint WHERE size = $1", head.size)
    wrong = str(checkpoints.sign(Checkpoint(world.signer.name, head.size, bytes(32)), world.signer, at=1))
    put = "UPDATE checkpoint SET note = $2 WHERE size = $1"
    await world.registry.execute(put, head.size, wrong)

    done = await rebuild(world.stack)

    await world.registry.execute(put, head.size, note)
    assert [(each.kind, each.subject) for each in done.refusals] == [
        ("checkpoint.root_differs", f"checkpoint {head.size}")
    ]
    assert not done.swapped
    assert await content(world) == before
    assert await schemas_left(world.stack) == []


async def test_a_root_signed_beyond_what_is_told_is_refused(world: World) -> None:
    await world.traffic(2)
    head = await log_store.head(world.registry)
    note = str(checkpoints.sign(Checkpoint(world.signer.name, head.size + 3, bytes(32)), world.signer, at=1))
    await world.registry.execute("INSERT INTO checkpoint VALUES ($1, $2, now())", head.size + 3, note)

    done = await rebuild(world.stack)

    await world.registry.execute("DELETE FROM checkpoint WHERE size = $1", head.size + 3)
    assert [each.kind for each in done.refusals] == ["checkpoint_is_beyond_the_log"]
    assert not done.swapped


async def test_a_salt_that_was_erased_stays_erased(world: World) -> None:
    issued = (await world.traffic(1))[0]
    was = await world.registry.fetch("SELECT index, salt FROM leaf WHERE subject = $1", issued.certificate_id)
    await world.registry.execute("UPDATE leaf SET salt = NULL WHERE subject = $1", issued.certificate_id)

    done = await rebuild(world.stack)

    assert (done.swapped, done.erased) == (True, 2)
    left = await world.registry.fetch("SELECT salt FROM leaf WHERE subject = $1", issued.certificate_id)
    assert [row["salt"] for row in left] == [None, None]
    await world.registry.executemany("UPDATE leaf SET salt = $2 WHERE index = $1", [tuple(row) for row in was])
    assert (await world.replay()).equal


async def test_only_one_at_a_time(world: World) -> None:
    await world.traffic(1)
    async with shadows.open_shadow(world.stack) as other:
        assert await other.admin.fetchval(shadows.LOCK, shadows.RUNS, "rebuild")
        with pytest.raises(Problem, match="Another rebuild"):
            await rebuild(world.stack)
    await checked(world, await rebuild(world.stack))


async def test_a_view_made_of_the_tables_is_no_silent_victim(world: World) -> None:
    await world.registry.execute("CREATE VIEW numbers AS SELECT contract_number FROM certificate")
    try:
        with pytest.raises(Problem, match="numbers would go on"):
            await rebuild(world.stack)
    finally:
        await world.registry.execute("DROP VIEW numbers")


class Swapping(Silent):
    """Tells when the swap is tried."""

    def __init__(self) -> None:
        self.begins = asyncio.Event()

    def stage(self, what: str, total: int) -> None:
        if what.startswith("swapping"):
            self.begins.set()


@pytest.mark.parametrize(
    ("add", "name", "remove"),
    [
        ("CREATE INDEX by_product ON certificate (product)", "index by_product", "DROP INDEX by_product"),
        (
            "CREATE TABLE note (of uuid CONSTRAINT note_of REFERENCES certificate)",
            "constraint note_of of note",
            "DROP TABLE note",
        ),
        (
            "ALTER TABLE view ADD CONSTRAINT late CHECK (viewed_at > 'epoch')",
            "constraint late",
            "ALTER TABLE view DROP CONSTRAINT late",
        ),
    ],
)
async def test_what_people_added_to_the_tables_is_named_before_anything_is_done(
    world: World, add, name, remove
) -> None:
    await world.registry.execute(add)
    try:
        with pytest.raises(Problem, match=f"lost by a rebuild: {name}\\."):
            await rebuild(world.stack)
    finally:
        await world.registry.execute(remove)


async def test_tables_of_another_version_are_not_swapped_away(world: World) -> None:
    """Somebody migrates while it is under way."""
    await world.traffic(1)
    progress = Swapping()
    async with store.connect(world.stack, "registry", idle_in_transaction_timeout="0") as reader:
        # Nobody swaps while this one reads.
        transaction = reader.transaction(isolation="repeatable_read", readonly=True)
        await transaction.start()
        await reader.fetchval("SELECT count(*) FROM view")
        running = asyncio.create_task(rebuild(world.stack, progress=progress))
        await progress.begins.wait()
        await world.registry.execute(
            "INSERT INTO schema_migration (name, sha256) VALUES ('registry_9999_later.sql', '')"
        )
        try:
            with pytest.raises(Problem, match=r"registry_9999_later\.sql was applied meanwhile"):
                await running
        finally:
            await world.registry.execute("DELETE FROM schema_migration WHERE name = 'registry_9999_later.sql'")
            await transaction.rollback()
    await checked(world, await rebuild(world.stack))


async def test_a_damaged_signature_beside_the_logs_own_is_named_and_no_reason_to_refuse(world: World) -> None:
    await world.traffic(1)
    size = (await log_store.head(world.registry)).size
    was = await world.registry.fetchval("SELECT note FROM checkpoint WHERE size = $1", size)
    note = Note.parse(was)
    own, with_time = note.signatures
    last = with_time.blob[-1] ^ 1
    damaged = Note(note.text, (own, replace(with_time, blob=with_time.blob[:-1] + bytes([last]))))
    put = "UPDATE checkpoint SET note = $2 WHERE size = $1"
    await world.registry.execute(put, size, str(damaged))

    done = await rebuild(world.stack)

    await world.registry.execute(put, size, was)
    assert [(each.kind, each.subject) for each in done.differences] == [
        ("checkpoint.note_differs", f"checkpoint {size}")
    ]
    await checked(world, done)


async def test_it_waits_for_a_reader_of_an_older_state_and_gives_writers_way_meanwhile(world: World) -> None:
    """A reader who holds no lock yet: after a swap it would find the new tables, and none of their rows."""
    issued = (await world.traffic(1))[0]
    seen = await world.registry.fetchval("SELECT count(*) FROM view")
    async with store.connect(world.stack, "registry", idle_in_transaction_timeout="0") as reader:
        transaction = reader.transaction(isolation="repeatable_read", readonly=True)
        await transaction.start()
        await reader.fetchval("SELECT count(*) FROM account")
        progress = Swapping()
        running = asyncio.create_task(rebuild(world.stack, progress=progress))
        await progress.begins.wait()
        for _ in range(20):
            await world.view(issued)
        assert not running.done()
        assert await reader.fetchval("SELECT count(*) FROM view") == seen
        await transaction.rollback()
        done = await running
    assert done.attempts > 1
    await checked(world, done)


async def test_nothing_that_happens_meanwhile_is_lost(world: World) -> None:
    stop = asyncio.Event()
    registered: list[CertificateIssued] = []

    async def busy() -> None:
        while not stop.is_set():
            issued = await world.issue(2)
            await world.register(issued, published=len(registered) % 4 == 0)
            await world.view(issued[0], published=False)
            registered.extend(issued)
            if len(registered) % 10 == 0:
                await world.sign()

    traffic = asyncio.create_task(busy())
    done = [await rebuild(world.stack) for _ in range(3)]
    stop.set()
    await traffic
    await world.publish()

    assert [(each.swapped, each.differences) for each in done] == [(True, ())] * 3
    assert len(registered) > 10
    held = await world.registry.fetchval(
        "SELECT count(*) FROM certificate WHERE certificate_id = ANY($1::uuid[])",
        [event.certificate_id for event in registered],
    )
    assert held == len(registered)
    assert (await world.replay()).differences == ()
    assert await schemas_left(world.stack) == []


async def test_the_old_tables_can_be_kept(world: World) -> None:
    issued = (await world.traffic(1))[0]
    await world.registry.execute(
        "UPDATE certificate SET product = 'x' WHERE certificate_id = $1", issued.certificate_id
    )

    done = await rebuild(world.stack, keep=True)

    (kept,) = done.kept
    assert await world.registry.fetchval(f"SELECT count(*) FROM \"{kept}\".certificate WHERE product = 'x'") == 1
    await checked(world, done)
    await drop(world.stack, kept)


def test_the_command_exits_by_what_it_did(akashi, ready: Stack) -> None:
    async def execute(statement: str) -> None:
        async with store.connect(ready, "registry") as registry:
            await registry.execute(statement)

    asyncio.run(execute("UPDATE certificate SET change_number = change_number + 1"))
    would = akashi("audit", "rebuild", "--dry-run")
    still = akashi("audit", "replay")
    done = akashi("audit", "rebuild", "--json")
    fine = akashi("audit", "replay")
    asyncio.run(execute("UPDATE checkpoint SET note = 'x' WHERE size = (SELECT max(size) FROM checkpoint)"))
    refused = akashi("audit", "rebuild")
    asyncio.run(execute("DELETE FROM checkpoint WHERE note = 'x'"))

    assert (would.exit_code, still.exit_code, done.exit_code, fine.exit_code) == (0, 1, 0, 0), would.output
    assert "certificate.change_number_differs 31072-" in would.stdout
    assert "nothing was changed" in would.stderr
    assert json.loads(done.stdout)["swapped"] is True
    assert refused.exit_code == 1
    assert "checkpoint.note_differs" in refused.stdout
    assert "the registry was not touched" in refused.stderr


async def test_without_the_superuser_it_cannot_be_done(ready: Stack, tmp_path) -> None:
    elsewhere = Stack(ready.kafka_bootstrap, ready.postgres_host, ready.postgres_port, tmp_path)

    with pytest.raises(Problem):
        await rebuild(elsewhere)
