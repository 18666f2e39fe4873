"""A database of the version before: what it holds is found, shown and decided after its tables were brought up to date."""

import json

import asyncpg
import pytest

from chassis.migrations import migrate
from chassis.postgres import transaction
from console.services import migrations_of
from services.issuer import views
from tests.support.builders import a_performance_product, a_product, an_application

FILES = migrations_of("issuer")
BEFORE = [file for file in FILES if file.name < "issuer_0002"]


@pytest.fixture
async def old_pool(databases):
    """A pool on a database as the first version left it."""
    await databases.fresh("issuer", migrated=False)
    await brought_to(databases, BEFORE)
    async with asyncpg.create_pool(**databases.address("issuer"), min_size=1, max_size=3) as pool:
        yield pool


async def brought_to(databases, files):
    connection = await asyncpg.connect(**databases.address("issuer"))
    try:
        await migrate(connection, files)
    finally:
        await connection.close()


async def test_what_was_decided_before_is_found_and_shown(old_pool, databases, keys, reference):
    event = an_application(products=(a_product(), a_performance_product(form="paper")))
    account = "INSERT INTO account (id, role, subject_id, person) VALUES ($1, 'desk', 'toto', '東都　審子')"
    await old_pool.execute(account, event.submitted_by)
    await old_pool.execute(
        "INSERT INTO application (id, surety_id, contractor_id, status, submitted, correlation_id, queued_at, decided_at,"
        " decided_by, desk_outcome) VALUES ($1, 'toto', 'takasaki', 'decided', $2, 'c', now(), now(), $3, 'accepted')",
        event.application_id,
        event.model_dump_json(),
        event.submitted_by,
    )
    await old_pool.execute(
        "INSERT INTO guarantee (contract_number, version, change_number, application_id, product, surety_id,"
        " contractor_id, form, amount_yen, issued_at, certificate_id, content, content_sha256) VALUES"
        " ('10226-000015', 1, 0, $1, 'performance', 'toto', 'takasaki', 'paper', 1, now(), gen_random_uuid(), $2, '')",
        event.application_id,
        json.dumps({}),
    )

    await brought_to(databases, FILES)

    async with transaction(old_pool) as tx:
        found = await views.search(tx, "toto", query="高崎建設")
        shown = await views.application(
            tx, event.application_id, "toto", private_key=keys.private_key("issuer"), reference=reference
        )
    assert [item.application_id for item in found.items] == [event.application_id]
    assert shown is not None
    assert shown.decider == "東都　審子"
    assert [(o.product, o.outcome, o.contract_number, o.fee) for o in shown.outcomes] == [
        ("advance_payment", "returned", None, None),
        ("performance", "accepted", "10226-000015", None),
    ]
