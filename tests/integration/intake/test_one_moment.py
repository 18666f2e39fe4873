"""What one request shows is of one moment, whatever is committed while it is answered."""

import asyncio

from schemas.decisions import ApplicationDecided, ProductOutcome
from tests.integration.intake.told import decided
from tests.support.clock import NOON
from tests.support.waiting import eventually

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_an_outcome_never_shows_without_the_message_that_came_with_it(contractor) -> None:
    application_id = await contractor.apply()
    told: ApplicationDecided = decided(application_id)
    returned = told.model_copy(
        update={
            "message": "決算書の写しをご提出ください。",
            "outcomes": tuple(
                ProductOutcome(product=one.product, form=one.form, outcome="returned") for one in told.outcomes
            ),
        }
    )
    pool = contractor.site.pool
    async with pool.acquire() as other, other.transaction():
        # The request reads the application, and then waits for us before it reads its products.
        await other.execute("LOCK TABLE outcome IN ACCESS EXCLUSIVE MODE")
        asked = asyncio.create_task(contractor.standing(application_id))

        async def waits() -> bool:
            return bool(await pool.fetchval(WAITING))

        await eventually(waits, 20)
        await other.execute(
            "INSERT INTO decided (application_id, decided_at, decided_by, message) VALUES ($1, $2, 'desk', $3)",
            application_id,
            NOON,
            returned.message,
        )
        await other.execute(
            "INSERT INTO outcome (application_id, product, outcome, reasons) VALUES ($1, $2, 'returned', '[]')",
            application_id,
            returned.outcomes[0].product,
        )
    standing = await asked

    shown = {product["status"] for product in standing["products"]}
    assert (shown, standing["message"]) in [({"submitted"}, ""), ({"returned"}, returned.message)]
