"""A database gets its tables once, whoever comes first."""

import asyncio
import threading
from functools import partial
from pathlib import PosixPath
from unittest.mock import Mock

import asyncpg
import pytest

from chassis import migrations
from chassis.migrations import MigrationChanged, migrate
from chassis.postgres import UNAVAILABLE
from deploy.local.stack import SERVICES
from tests.support.waiting import eventually


@pytest.fixture
async def connect(databases):
    """Connections to an empty database."""
    await databases.fresh("intake", migrated=False)
    opened = []

    async def open_one():
        opened.append(await asyncpg.connect(**databases.address("intake")))
        return opened[-1]

    yield open_one
    for connection in opened:
        await connection.close()


@pytest.fixture
def files(tmp_path):
    """Three files: a slow one, one outside a transaction, and one that would fail if it ran twice."""
    texts = [
        "SELECT pg_sleep(0.3); CREATE TABLE a (x integer);",
        "-- transaction: none\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a_x ON a (x);",
        "INSERT INTO a VALUES (1);",
    ]
    paths = [tmp_path / f"t_000{n}.sql" for n in range(1, 4)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


async def is_valid(connection):
    return await connection.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_x'::regclass")


async def test_of_four_at_once_one_applies_each_file(connect, files):
    connections = [await connect() for _ in range(4)]

    applied = await asyncio.gather(*(migrate(connection, files) for connection in connections))

    assert sorted(name for names in applied for name in names) == [file.name for file in files]
    assert await connections[0].fetchval("SELECT count(*) FROM a") == 1
    assert await is_valid(connections[0])


async def test_a_repeat_does_nothing(connect, files):
    connection = await connect()
    await migrate(connection, files)

    assert await migrate(connection, files) == []


async def test_a_file_added_later_is_applied_alone(connect, files):
    connection = await connect()
    await migrate(connection, files[:2])

    assert await migrate(connection, files) == [files[2].name]


async def test_an_older_release_goes_on_with_the_tables_of_a_newer_one_and_says_so(connect, files, monkeypatch):
    connection = await connect()
    await migrate(connection, files)

    # How others configured logs would decide what can be heard of them here.
    log = Mock()
    monkeypatch.setattr(migrations, "log", log)

    assert await migrate(connection, files[:2]) == []

    log.warning.assert_called_once_with("migration.of_a_newer_release", files=[files[2].name])


async def test_a_file_that_was_applied_as_another_text_is_refused(connect, files):
    connection = await connect()
    await migrate(connection, files)
    files[0].write_text("CREATE TABLE a (x bigint);")

    with pytest.raises(MigrationChanged, match=r"t_0001\.sql"):
        await migrate(connection, files)


async def test_a_file_that_fails_leaves_nothing_and_lets_the_next_one_try(connect, files):
    connection, another = await connect(), await connect()
    files[2].write_text("INSERT INTO a VALUES (7); SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, files)
    assert await connection.fetchval("SELECT count(*) FROM a") == 0

    files[2].write_text("INSERT INTO a VALUES (7);")

    async with asyncio.timeout(5):
        assert await migrate(another, files) == [files[2].name]


async def test_an_index_that_was_left_half_built_is_built_again(connect, files):
    connection, another, beside = await connect(), await connect(), await connect()
    await migrate(connection, files[:1])

    async with another.transaction():
        # What it is built beside must come to its end first.
        await another.execute("INSERT INTO a VALUES (7)")
        building = asyncio.create_task(migrate(connection, files))
        await eventually(partial(waits, beside, connection))
        await another.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        with pytest.raises(UNAVAILABLE):
            await building
    assert not await is_valid(another)

    assert await migrate(another, files) == [file.name for file in files[1:]]
    assert await is_valid(another)


async def test_an_index_waits_for_whoever_began_before_it_longer_than_anything_else_may(databases, connect, files):
    another, beside = await connect(), await connect()
    await migrate(another, files[:1])
    soon = {"server_settings": {"lock_timeout": "200ms"}, "command_timeout": 0.5}
    connection = await asyncpg.connect(**{**databases.address("intake"), **soon})

    async with another.transaction(isolation="repeatable_read"):
        # An audit, or a backup.
        await another.fetch("SELECT * FROM a")
        building = asyncio.create_task(migrate(connection, files))
        await eventually(partial(waits, beside, connection, seconds=1))
        async with asyncio.timeout(5):
            assert await migrate(beside, files[:1]) == [], "a process of the release before starts meanwhile"

    assert await building == [file.name for file in files[1:]]
    assert await is_valid(another)
    assert await connection.fetchval("SHOW lock_timeout") == "200ms"
    await connection.close()


async def waits(beside, connection, seconds=0):
    """Whether a session has waited for others for so long; asked in no transaction, which would see the same again."""
    return await beside.fetchval(
        "SELECT wait_event_type = 'Lock' AND query_start < clock_timestamp() - make_interval(secs => $2)"
        " FROM pg_stat_activity WHERE pid = $1",
        connection.get_server_pid(),
        float(seconds),
    )


async def test_an_index_that_was_built_and_not_noted_is_only_noted(connect, files):
    connection = await connect()
    await migrate(connection, files[:1])
    await connection.execute(files[1].read_text())

    assert await migrate(connection, files) == [file.name for file in files[1:]]


async def test_one_that_is_frozen_in_the_middle_holds_up_the_next_ones_for_a_while_only(
    connect, files, databases, monkeypatch
):
    monkeypatch.setattr(migrations, "IDLE_SESSION_TIMEOUT", "200ms")
    another, frozen, thawed = await connect(), threading.Event(), threading.Event()

    has_lock = iter((False, True))

    class Freezing(PosixPath):
        def read_text(self, *_args, **_named):
            if next(has_lock):
                frozen.set()
                thawed.wait(30)
            return files[0].read_text()

    async def freeze():
        connection = await asyncpg.connect(**databases.address("intake"))
        try:
            await migrate(connection, [Freezing(files[0])])
        finally:
            await connection.close()

    freezing = asyncio.create_task(asyncio.to_thread(asyncio.run, freeze()))
    await eventually(frozen.is_set)
    try:
        async with asyncio.timeout(10):
            assert await migrate(another, files) == [file.name for file in files]
    finally:
        thawed.set()
        with pytest.raises(UNAVAILABLE):
            await freezing


@pytest.mark.parametrize("service", ["intake", "issuer", "registry"])
async def test_each_services_files_fit_together(service, databases):
    await databases.fresh(service)
    connection = await asyncpg.connect(**databases.address(service))
    try:
        applied = await connection.fetch("SELECT name FROM schema_migration")
        own = {file.name for file in migrations.files_of(service, ())}
        assert own
        assert own <= {row["name"] for row in applied}
    finally:
        await connection.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_what_runs_outside_a_transaction_may_run_again(service, databases):
    await databases.fresh(service)
    connection = await asyncpg.connect(**databases.address(service))
    try:
        for text in (file.read_text() for file in migrations.files_of(service, ())):
            if text.startswith(migrations.NO_TRANSACTION):
                await connection.execute(text)
    finally:
        await connection.close()
