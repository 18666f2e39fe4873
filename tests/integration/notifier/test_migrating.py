"""A ledger of the release before goes on, and so do processes of that release beside the new one."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from chassis.migrations import migrate
from console.services import migrations_of
from services.notifier import store
from tests.support.databases import Databases

#: As the release before writes: its columns, and the key it knows.
OLD_DELIVERY = """
INSERT INTO delivery (application_id, wished_at, surety_id, branch_id, contractor_name, works_name, wanted)
VALUES ($1, now(), 'toto', 'tochigi', '見本建設株式会社', '市道1号線舗装工事', true)
"""
OLD_LETTER = """
INSERT INTO letter (certificate_id, letter, application_id, contract_number, product, registered_at, message_id,
    correlation_id, state, arrived_at, ended_at)
VALUES ($1, 'completion', $2, '10226-00001M', 'advance_payment', now(), $3, 'corr-00000001', 'sent', now(), now())
ON CONFLICT (certificate_id, letter) DO UPDATE SET state = 'waiting' WHERE letter.state = 'parked'
"""


@pytest.fixture
async def connection(databases: Databases) -> AsyncIterator[Any]:
    """A database that has nothing yet."""
    await databases.fresh("notifier", migrated=False)
    connection = await asyncpg.connect(**databases.address("notifier"))
    yield connection
    await connection.close()


async def write_as_the_release_before(connection: Any) -> Any:
    certificate_id, application_id = uuid4(), uuid4()
    await connection.execute(OLD_DELIVERY, application_id)
    await connection.execute(OLD_LETTER, certificate_id, application_id, f"<{certificate_id}.completion@a.example>")
    return certificate_id, application_id


async def test_letters_of_the_release_before_keep_their_place_in_the_ledger(connection: Any) -> None:
    files = migrations_of("notifier")
    await migrate(connection, [file for file in files if "notifier_0002" not in file.name])
    certificate_id, application_id = await write_as_the_release_before(connection)

    assert await migrate(connection, files) == ["notifier_0002_more_letters.sql"]

    (row,) = await connection.fetch("SELECT * FROM letter")
    assert (row["about_id"], row["letter"], row["state"]) == (certificate_id, "completion", "sent")
    wishes = await connection.fetchrow("SELECT * FROM delivery WHERE application_id = $1", application_id)
    assert (wishes["wanted"], wishes["returned_wanted"], wishes["viewed_wanted"]) == (True, False, False)


async def test_the_release_before_writes_on_and_repeats_nothing(connection: Any) -> None:
    await migrate(connection, migrations_of("notifier"))

    certificate_id, application_id = await write_as_the_release_before(connection)
    await connection.execute(OLD_LETTER, certificate_id, application_id, "<again@a.example>")

    (row,) = await connection.fetch("SELECT * FROM letter")
    assert (row["about_id"], row["message_id"]) == (certificate_id, f"<{certificate_id}.completion@a.example>")


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (store.FORGET_NOT_WISHED, "letter_not_wished"),
        (store.COUNT_ALONE, "delivery_sealed_without_key"),
    ],
)
async def test_the_sweeper_finds_its_rows_by_index(
    world: Any, a_case: Callable[..., Any], statement: str, index: str
) -> None:
    await world.take(a_case().wish)
    argument = "500" if "$1" in statement and "LIMIT $1" in statement else "now()"
    async with world.pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")
        plan = await connection.fetch("EXPLAIN " + statement.replace("$1", argument))

    assert index in "\n".join(row[0] for row in plan)
