"""The auditor's replay, over real topics and a registry that its own code filled. Each test leaves the two equal."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition

from chassis.clock import JST
from console import store
from console.audit import replay as replaying
from console.audit import replay_feeding
from console.audit import shadow as shadows
from console.audit.replay import replay
from console.audit.replay_compare import TABLES, TILE
from console.audit.replay_facts import TOPICS
from console.environment import Stack
from console.kafka_reading import open_reader
from deploy.databases import ensure_role
from deploy.local.problem import Problem
from schemas import topics
from services.registry import store as registry_store
from services.registry.checking import recorded_of
from services.registry.handlers import draw_salt
from services.registry.log import appending
from services.registry.log import store as log_store
from services.registry.log.store import StoredLeaf
from tests.integration.console.world import (
    ACCOUNT,
    CLOCK,
    KEY,
    NUMBERS,
    World,
    open_world,
    schemas_left,
    stack_of_its_own,
)
from tests.support.builders import a_certificate
from tests.support.waiting import eventually
from tests.unit.console import events
from transparency import checkpoints
from transparency.checkpoints import Checkpoint
from transparency.merkle import leaf_hash


@pytest.fixture
async def world(ready: Stack) -> AsyncIterator[World]:
    async with open_world(ready) as opened:
        yield opened


@pytest.fixture(scope="module")
def ready() -> Iterator[Stack]:
    with stack_of_its_own() as stack:
        yield stack


async def all_ends(stack: Stack) -> dict[TopicPartition, int]:
    names = [name for topic in topics.BUSINESS for name in (topic.name,)]
    names += [name for group in topics.GROUPS for name in (topics.dead_letters(group), topics.redrive(group))]
    async with open_reader(stack.kafka, names) as reader:
        return await reader.ends(*names)


async def _row(world: "World", statement: str, *values: object) -> asyncpg.Record:
    row = await world.registry.fetchrow(statement, *values)
    assert row is not None
    return row


async def test_what_the_registry_did_is_done_again_row_for_row(world: World) -> None:
    before = await world.replay()
    await world.traffic(20)

    found = await world.replay()

    assert found.differences == ()
    assert (found.certificates, found.views) == (before.certificates + 20, before.views + 10)
    assert found.size == before.size + 50
    assert found.checkpoints == before.checkpoints + 1
    head = await log_store.head(world.registry)
    assert (found.size, found.root) == (head.size, head.root())
    assert not any(found.newer.values())
    assert await schemas_left(world.stack) == []


@pytest.mark.parametrize("at_once", [1, 2, 1000])
async def test_it_comes_to_the_same_however_much_is_fed_while_it_reads(
    world: World, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    await world.traffic(5)
    await world.traffic(2)
    head = await log_store.head(world.registry)
    monkeypatch.setattr(replay_feeding, "BATCH", at_once)

    found = await world.replay()

    assert found.differences == ()
    assert (found.size, found.root) == (head.size, head.root())


async def test_of_two_certificates_under_one_id_the_one_told_later_may_be_the_one_that_was_registered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_feeding, "BATCH", 1)
    issued = a_certificate(key=KEY, contract=next(NUMBERS), issued_at=CLOCK.now())
    other = issued.model_copy(update={"content_sha256": "0" * 64})
    await world.tell([other, issued])
    await world.register([issued])

    assert (await world.replay()).differences == ()


async def test_it_has_no_effect(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a replay may not do this")

    await world.traffic()
    ends = await all_ends(world.stack)
    for place in (
        "aiokafka.AIOKafkaProducer.__init__",
        "aiokafka.AIOKafkaConsumer.commit",
        "aiosmtplib.SMTP.__init__",
        "smtplib.SMTP.__init__",
        "chassis.outbox.Outbox.add_messages",
        "chassis.relay.Relay.__init__",
        "services.registry.handlers.draw_salt",
        "services.registry.handlers.uuid7",
    ):
        monkeypatch.setattr(place, forbidden)
    found = await world.replay()

    monkeypatch.undo()
    assert found.equal
    assert await all_ends(world.stack) == ends
    assert await world.registry.fetchval("SELECT count(*) FROM outbox") == 0


async def test_the_live_registry_cannot_be_written_by_it(ready: Stack) -> None:
    async with replaying.snapshots(ready, "registry") as live:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await live.execute("INSERT INTO outbox (topic, headers) VALUES ('x', '[]')")


async def test_a_shadow_reaches_nothing_but_itself(ready: Stack) -> None:
    async with shadows.open_shadow(ready) as shadow:
        rights = await shadow.admin.fetch(
            "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
            " AND has_table_privilege($1, oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')",
            shadow.name,
        )
        assert rights == []
        for statement in ("SELECT FROM public.certificate", "UPDATE public.log_head SET size = 0"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await shadow.connection.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await shadow.connection.execute("CREATE TABLE public.certificates (id int)")
        password = await _password_of(ready, shadow.name)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(
                host=ready.postgres_host,
                port=ready.postgres_port,
                user=shadow.name,
                database="issuer",
                password=password,
            )


async def _password_of(stack: Stack, name: str) -> str:
    """A new one: nobody but the run knows the other."""
    async with shadows.as_superuser(stack, "registry") as admin:
        await admin.execute(f"ALTER ROLE \"{name}\" PASSWORD 'changed'")
    return "changed"


CHANGES = {
    "change_number": "change_number + 1",
    "application_id": "gen_random_uuid()",
    "product": "'performance'",
    "surety_id": "'other'",
    "purchaser_id": "'gunma'",
    "issued_at": "issued_at - interval '1 ms'",
    "content": "replace(content, '20000000', '90000000')",
    "content_sha256": "repeat('0', 64)",
    "key_digest": "repeat('0', 64)",
    "pepper_id": "'other'",
    "registered_at": "registered_at + interval '1 ms'",
    "version": "version + 1",
}


async def test_each_column_of_a_certificate_that_was_altered_is_found_and_named(world: World) -> None:
    issued = (await world.traffic())[1]
    row = dict(await _row(world, "SELECT * FROM certificate WHERE certificate_id = $1", issued.certificate_id))
    for column, to in CHANGES.items():
        found = await world.found(
            f"UPDATE certificate SET {column} = {to} WHERE certificate_id = $1",
            issued.certificate_id,
            undo=f"UPDATE certificate SET {column} = $2 WHERE certificate_id = $1",
            values=(issued.certificate_id, row[column]),
        )
        assert found == [(f"certificate.{column}_differs", issued.contract_number)], column
    assert (await world.replay()).equal


async def test_a_number_that_was_altered_is_named_by_the_one_that_was_told(world: World) -> None:
    issued = (await world.traffic(1))[0]

    found = await world.found(
        "UPDATE certificate SET contract_number = '31072-99999X' WHERE certificate_id = $1",
        issued.certificate_id,
        undo="UPDATE certificate SET contract_number = $2 WHERE certificate_id = $1",
        values=(issued.certificate_id, issued.contract_number),
    )

    assert found == [("certificate.contract_number_differs", issued.contract_number)]


async def test_every_column_of_the_tables_is_compared(world: World) -> None:
    for table in TABLES:
        rows = await world.registry.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = $1", table.name
        )
        prepared = await world.registry.prepare(table.statement)
        compared = {attribute.name for attribute in prepared.get_attributes()}
        assert {row["column_name"] for row in rows} <= compared, table.name


async def test_an_altered_a_lost_and_a_forged_view_are_found(world: World) -> None:
    issued = (await world.traffic(1))[0]
    view = await _row(world, "SELECT * FROM view WHERE certificate_id = $1", issued.certificate_id)
    number, restore = issued.contract_number, "INSERT INTO view VALUES ($1, $2, $3, $4)"
    put = "UPDATE view SET viewed_at = $2 WHERE view_id = $1"

    assert await world.found(
        put, view["view_id"], CLOCK.now(), undo=put, values=(view["view_id"], view["viewed_at"])
    ) == [("view.viewed_at_differs", number)]
    assert await world.found(
        "DELETE FROM view WHERE view_id = $1", view["view_id"], undo=restore, values=tuple(view.values())
    ) == [("view_is_missing", number)]
    forged = (uuid.uuid4(), issued.certificate_id, ACCOUNT, CLOCK.now())
    assert await world.found(restore, *forged, undo="DELETE FROM view WHERE view_id = $1", values=forged[:1]) == [
        ("view_is_superfluous", number)
    ]


async def test_a_lost_and_a_forged_certificate_are_found(world: World) -> None:
    forged = events.issued(uuid.uuid4(), uuid.uuid4(), next(NUMBERS))
    lost = await world.issue()
    await world.register(lost)
    row = await _row(world, "SELECT * FROM certificate WHERE certificate_id = $1", lost[0].certificate_id)
    columns = ", ".join(f"${n}" for n in range(1, 15))
    names = ", ".join(row.keys())
    insert = f"INSERT INTO certificate ({names}) VALUES ({columns})"
    delete = "DELETE FROM certificate WHERE certificate_id = $1"

    assert await world.found(delete, lost[0].certificate_id, undo=insert, values=tuple(row.values())) == [
        ("certificate_is_missing", lost[0].contract_number)
    ]
    values = [events.held(forged)[name] for name in dict(row)]
    assert await world.found(insert, *values, undo=delete, values=(forged.certificate_id,)) == [
        ("certificate_is_superfluous", forged.contract_number)
    ]
    assert (await world.replay()).equal


async def test_each_altered_leaf_is_found_and_so_is_their_order(world: World) -> None:
    await world.traffic(3)
    number = await world.registry.fetchval(
        "SELECT contract_number FROM leaf JOIN certificate ON subject = certificate_id WHERE index = 0"
    )
    for column, to in {"commitment": "sha256('x')", "salt": "sha256('x')"}.items():
        was = await world.registry.fetchval(f"SELECT {column} FROM leaf WHERE index = 0")
        found = await world.found(
            f"UPDATE leaf SET {column} = {to} WHERE index = 0",
            undo=f"UPDATE leaf SET {column} = $1 WHERE index = 0",
            values=(was,),
        )
        # Two tables tell of a commitment: its own row, and the root that was signed.
        assert (f"leaf.{column}_differs", number) in found
    first, second = 1, 3

    async def swapped() -> None:
        async with world.registry.transaction():
            for frm, to in ((first, -1), (second, first), (-1, second)):
                await world.registry.execute("UPDATE leaf SET index = $2 WHERE index = $1", frm, to)

    await swapped()
    try:
        kinds = {(each.kind, each.detail.split(",")[0]) for each in (await world.replay()).differences}
    finally:
        await swapped()
    assert {
        ("leaf.subject_differs", "leaf 1 (registration)"),
        ("leaf.subject_differs", "leaf 3 (registration)"),
    } <= kinds
    assert (await world.replay()).equal


async def test_a_lost_leaf_an_altered_head_tile_and_checkpoint_are_found(world: World) -> None:
    issued = (await world.traffic(130))[-1]
    leaf = await _row(world, "SELECT * FROM leaf WHERE index = 7")
    assert ("leaf_is_missing", "leaf 7") not in [
        (each.kind, each.subject) for each in (await world.replay()).differences
    ]
    found = await world.found(
        "DELETE FROM leaf WHERE index = 7",
        undo="INSERT INTO leaf VALUES ($1, $2, $3, $4, $5)",
        values=tuple(leaf.values()),
    )
    assert "leaf_is_missing" in {kind for kind, _ in found}
    tile = await _row(world, "SELECT * FROM tile_node LIMIT 1")
    assert tile is not None
    assert await world.found(
        "UPDATE tile_node SET hash = sha256('x') WHERE level = $1 AND index = $2",
        tile["level"],
        tile["index"],
        undo="UPDATE tile_node SET hash = $3 WHERE level = $1 AND index = $2",
        values=tuple(tile.values()),
    ) == [(f"{TILE.name}.hash_differs", f"tile {tile['level']}/{tile['index']}")]
    head = await _row(world, "SELECT * FROM log_head")
    broken = [bytes(32), *head["frontier"][1:]]
    put = "UPDATE log_head SET frontier = $1"
    assert await world.found(put, broken, undo=put, values=(head["frontier"],)) == [
        ("log_head.frontier_differs", "log_head")
    ]
    note = await world.registry.fetchval("SELECT note FROM checkpoint WHERE size = $1", head["size"])
    at = await world.registry.fetchval("SELECT signed_at FROM checkpoint WHERE size = $1", head["size"])
    forged = Checkpoint(world.signer.name, head["size"], bytes(32))
    wrong = str(checkpoints.sign(forged, world.signer, at=int(at.timestamp())))
    put = "UPDATE checkpoint SET note = $2 WHERE size = $1"
    assert await world.found(put, head["size"], wrong, undo=put, values=(head["size"], note)) == [
        ("checkpoint.root_differs", f"checkpoint {head['size']}")
    ]
    assert issued
    assert (await world.replay()).equal


async def test_a_registry_that_was_set_back_is_found(world: World) -> None:
    """The end of everything is cut off, consistently, as an old backup would."""
    await world.traffic(2)
    head = await _row(world, "SELECT * FROM log_head")
    (last,) = await world.issue()
    await world.register([last])
    gone = await _row(world, "SELECT * FROM log_head")
    rows = await world.registry.fetch("SELECT * FROM leaf WHERE index >= $1", head["size"])
    kept = await _row(world, "SELECT * FROM certificate WHERE certificate_id = $1", last.certificate_id)
    await world.registry.execute("DELETE FROM leaf WHERE index >= $1", head["size"])
    await world.registry.execute("DELETE FROM certificate WHERE certificate_id = $1", last.certificate_id)
    await world.registry.execute("UPDATE log_head SET size = $1, frontier = $2", head["size"], head["frontier"])

    found = await world.replay()

    await world.registry.executemany("INSERT INTO leaf VALUES ($1, $2, $3, $4, $5)", [tuple(r.values()) for r in rows])
    names, places = ", ".join(kept.keys()), ", ".join(f"${n}" for n in range(1, 15))
    await world.registry.execute(f"INSERT INTO certificate ({names}) VALUES ({places})", *kept.values())
    await world.registry.execute("UPDATE log_head SET size = $1, frontier = $2", gone["size"], gone["frontier"])
    assert {(each.kind, each.subject) for each in found.differences} >= {
        ("certificate_is_missing", last.contract_number),
        ("leaf_is_missing", last.contract_number),
        ("log_head.size_differs", "log_head"),
    }
    assert (await world.replay()).equal


async def test_repeats_and_garbage_disturb_nothing(world: World) -> None:
    issued = await world.traffic(2)
    before = await world.replay()
    await world.tell([*issued, issued[0]])
    for topic in TOPICS:
        await world.garbage(topic.name, b"\xff")
        await world.garbage(topic.name, None)
    await world.tell([issued[0].model_copy(update={"certificate_id": uuid.uuid4(), "content_sha256": "0" * 64})])

    found = await world.replay()

    assert found.equal
    assert found.repeats == before.repeats + 3
    assert sum(found.unreadable.values()) == sum(before.unreadable.values()) + 6
    assert found.unregistered == before.unregistered + 1


async def test_what_is_in_flight_is_no_difference(world: World) -> None:
    first = await world.issue(3)
    await world.register(first, published=False)
    second = await world.issue(2)
    await world.register(second, published=False)
    await world.view(first[0], published=False)

    found = await world.replay()

    assert found.differences == ()
    assert found.newer["certificate"] == 5
    assert found.newer["view"] == 1
    assert found.newer["leaf"] == 11
    await world.publish()
    assert not any((await world.replay()).newer.values())


async def test_it_runs_beside_traffic(world: World) -> None:
    async def busy() -> None:
        for _ in range(60):
            await world.traffic(2)

    traffic = asyncio.create_task(busy())
    found = [await world.replay() for _ in range(3)]
    await traffic

    assert [each.differences for each in found] == [(), (), ()]
    assert (await world.replay()).equal


async def test_a_log_that_began_later_takes_the_salts_from_the_registry_and_checks_them(world: World) -> None:
    issued = await world.traffic(2)
    (old,) = await world.issue()
    moment = CLOCK.now()
    async with world.registry.transaction():
        await registry_store.add_certificates(world.registry, [(recorded_of(old), moment)])
        await appending.append_old_certificates(world.registry, [old.certificate_id], [draw_salt()])
    await world.tell([events.registered(old, registered_at=moment)])
    await world.view(old)
    await world.register(await world.issue())
    before = await world.replay()
    assert before.differences == ()
    assert before.taken_over == 2

    first = await world.registry.fetchval("SELECT min(index) FROM leaf WHERE subject = $1", old.certificate_id)
    was = await world.registry.fetchval("SELECT commitment FROM leaf WHERE index = $1", first)
    put = "UPDATE leaf SET commitment = $2 WHERE index = $1"
    found = await world.found(put, first, bytes(32), undo=put, values=(first, was))

    assert ("leaf.commitment_differs", old.contract_number) in found
    assert issued
    # Something is told of its subject, and nothing of its place.
    edge = (await log_store.head(world.registry)).size
    found = await world.found(
        "INSERT INTO leaf VALUES ($1, 'view', $2, $3, $3)",
        edge,
        old.certificate_id,
        bytes(32),
        undo="DELETE FROM leaf WHERE index = $1",
        values=(edge,),
    )
    assert found == [("leaf_is_superfluous", old.contract_number)]


async def test_a_certificate_that_was_never_issued_is_named_and_the_rest_still_compared(world: World) -> None:
    untold = a_certificate(key=KEY, contract=next(NUMBERS), issued_at=CLOCK.now())
    await world.register([untold, *await world.issue(2)])
    await world.view(untold)
    await world.traffic(2)

    found = await world.replay()

    await world.tell([untold])
    assert {(each.kind, each.subject) for each in found.differences} == {
        ("registration_refused", untold.contract_number),
        ("view_refused", untold.contract_number),
        ("certificate_is_superfluous", untold.contract_number),
        ("view_is_superfluous", untold.contract_number),
    }
    assert (await world.replay()).equal


async def test_a_leaf_that_no_event_tells_is_found_however_well_it_fits(world: World) -> None:
    await world.traffic(2)
    head = await _row(world, "SELECT * FROM log_head")
    async with world.registry.transaction():
        frontier = await log_store.lock_head(world.registry)
        leaf = StoredLeaf(frontier.size, "view", uuid.uuid4(), draw_salt(), draw_salt())
        grown, gained = frontier.extend([leaf_hash(leaf.commitment)])
        await log_store.append(world.registry, grown, gained, [leaf])

    found = await world.replay()

    await world.registry.execute("DELETE FROM leaf WHERE index = $1", leaf.index)
    await world.registry.execute(
        "DELETE FROM tile_node WHERE (level, index) IN (SELECT * FROM unnest($1::smallint[], $2::bigint[]))",
        *zip(*[(level, index) for level, index, _ in gained if level] or [(0, 0)], strict=True),
    )
    await world.registry.execute("UPDATE log_head SET size = $1, frontier = $2", head["size"], head["frontier"])
    assert [(each.kind, each.subject) for each in found.differences] == [("leaf_is_untold", f"leaf {leaf.index}")]
    assert (await world.replay()).equal


async def test_until_a_time_is_the_registry_of_that_time(world: World) -> None:
    await world.traffic(4)
    head = await log_store.head(world.registry)
    rows = await _row(world, "SELECT (SELECT count(*) FROM certificate), (SELECT count(*) FROM view)")
    moment = CLOCK.now()
    await world.traffic(4)

    found = await world.replay(until=moment)

    assert found.differences == ()
    assert (found.size, found.root) == (head.size, head.root())
    assert (found.certificates, found.views) == tuple(rows)
    assert found.newer["certificate"] == 4
    assert found.newer["view"] == 2
    assert (await world.replay(until=datetime(2000, 1, 1, tzinfo=UTC))).size == 0


async def test_what_a_killed_run_left_is_dropped_and_what_was_kept_stays(world: World) -> None:
    await world.traffic(1)
    kept = (await world.replay(keep=True)).kept
    assert kept is not None
    running = asyncio.create_task(world.replay())

    async def has_begun() -> bool:
        return len(await schemas_left(world.stack)) == 2

    await eventually(has_begun, 60)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert await schemas_left(world.stack) == [kept]
    left = "registry_shadow_left"
    async with shadows.as_superuser(world.stack, "registry") as admin:
        await ensure_role(admin, left, "x" * 32)
        await admin.execute(shadows.MAKE.format(name=left, service="registry"))

    await world.replay()

    assert await schemas_left(world.stack) == [kept]
    # The registry's own role opens what was kept.
    connection = await asyncpg.connect(
        host=world.stack.postgres_host,
        port=world.stack.postgres_port,
        user="registry",
        database="registry",
        password=world.stack.secret("registry/database_password"),
        server_settings={"search_path": kept},
    )
    assert await connection.fetchval("SELECT count(*) FROM leaf") > 0
    assert await connection.fetchval("SELECT count(*) FROM outbox") == 0
    await connection.close()
    async with shadows.as_superuser(world.stack, "registry") as admin:
        await shadows._drop(admin, kept)


async def test_without_the_superuser_there_is_no_answer(ready: Stack, tmp_path) -> None:
    elsewhere = Stack(ready.kafka_bootstrap, ready.postgres_host, ready.postgres_port, tmp_path)

    with pytest.raises(Problem, match="superuser_password"):
        await replay(elsewhere)


def test_the_command_exits_by_what_it_found(akashi, ready: Stack) -> None:
    async def execute(statement: str) -> None:
        async with store.connect(ready, "registry") as registry:
            await registry.execute(statement)

    fine = akashi("audit", "replay")
    asyncio.run(execute("UPDATE certificate SET change_number = change_number + 1"))
    told = akashi("audit", "replay")
    told_json = akashi("audit", "replay", "--json")
    asyncio.run(execute("UPDATE certificate SET change_number = change_number - 1"))

    assert fine.exit_code == 0, fine.output
    assert "They are equal." in fine.stderr
    assert told.exit_code == told_json.exit_code == 1
    assert "certificate.change_number_differs 31072-" in told.stdout
    assert json.loads(told_json.stdout)["equal"] is False
    at = datetime(2026, 11, 20, 3, tzinfo=UTC).astimezone(JST).strftime("%Y-%m-%dT%H:%M")
    before = akashi("audit", "replay", "--until", at)
    assert before.exit_code == 0
    assert "0 certificates" in before.stderr
    assert akashi("audit", "replay", "--until", "yesterday").exit_code == 2
