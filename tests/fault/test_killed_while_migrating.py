"""A deploy whose processes, four at once, die halfway through making their tables: the next one finishes, nothing is lost."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from console import store
from deploy.local.stack import SERVICES
from tests.fault.faults import deadly
from tests.fault.load import Sent
from tests.fault.people import steady_load
from tests.fault.settling import settled
from tests.fault.steps import EACH, Step, migrating
from tests.support import tomorrow
from tests.support.lines import SIDES, Side
from tests.support.waiting import eventually
from tests.support.wired import WiredStack, wired_stack

AT_ONCE: Final = 4
FIRES_SECONDS: Final = 60
WHOLE_SECONDS: Final = 60


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[WiredStack]:
    """Of its own: nobody takes back what a migration did."""
    async with wired_stack() as running:
        yield running


@pytest.fixture(scope="module")
async def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return await tomorrow.make(tmp_path_factory.mktemp("release") / "tomorrow")


async def _all_die_at(stack: WiredStack, release: Path, step: Step, side: Side) -> None:
    """Four of the new release start at once. As one of them comes to the step, all die, and the old one with them."""
    with deadly(stack, step, side) as tripwire:
        async with AsyncExitStack() as beside:
            starts = (stack.second(step.service, release=release) for _ in range(AT_ONCE))
            await asyncio.gather(*(beside.enter_async_context(start) for start in starts))
            async with asyncio.timeout(FIRES_SECONDS):
                await tripwire.fired.wait()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("service", SERVICES if EACH else SERVICES[-1:])
async def test_four_that_die_halfway_through_their_migrations_leave_them_to_the_next_and_lose_nothing(
    stack: WiredStack, new: Path, service: str, tmp_path: Path
) -> None:
    contractor = await stack.contractor(f"migrating-{uuid.uuid4().hex[:8]}")
    mails_before = await stack.mails_by_message_id()
    deaths, sent = list(product(migrating(service), SIDES)), Sent()

    async with steady_load(contractor, sent):
        for step, side in deaths:
            await _all_die_at(stack, new, step, side)
        await eventually(stack.is_whole, WHOLE_SECONDS)
        await stack.replace(service, new)

    strikes = len(deaths) if service == "notifier" else 0
    await settled(stack, contractor, sent, mails_before, tmp_path / "export", strikes=strikes)
    async with store.connect(stack.console, service) as connection:
        applied = [row["name"] for row in await connection.fetch("SELECT name FROM schema_migration")]
        half_built = await connection.fetch("SELECT 1 FROM pg_index WHERE NOT indisvalid")
        index = await connection.fetchval("SELECT to_regclass($1)::text", f"{tomorrow.TABLES[service]}_by_way")
    assert set(tomorrow.files_of(service)) <= set(applied)
    assert (half_built, index is not None) == ([], True)
