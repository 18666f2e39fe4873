"""One stack for all fault tests: each leaves it whole, and ends with the auditor's check."""

from collections.abc import AsyncIterator

import pytest

from tests.support.running import RunningStack, running_stack


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[RunningStack]:
    async with running_stack() as running:
        yield running
