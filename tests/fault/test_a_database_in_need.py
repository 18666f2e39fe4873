"""PostgreSQL without a connection to spare, and without a byte: what was accepted comes to its end, nothing comes twice."""

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import pytest

from deploy.local.stack import SERVICES
from tests.fault.load import Sent, steady_load
from tests.fault.settling import settled
from tests.support.running import Client, RunningStack, eventually
from tests.support.wired import WiredStack

END_OURS: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'akashi-%'"
NO_SPACE: Final = "No space left on device"
REFUSALS: Final = 5
SAID_SECONDS: Final = 60


@asynccontextmanager
async def _all_connections(stack: WiredStack) -> AsyncIterator[None]:
    """Hold every connection that the server gives, those of the services included."""
    async with stack.superuser() as first:
        held: list[asyncpg.Connection[asyncpg.Record]] = []
        try:
            await _take_all(stack, held)
            # Whoever is quick gets one back.
            while await first.fetch(END_OURS):
                await _take_all(stack, held)
            yield
        finally:
            await asyncio.gather(*(connection.close() for connection in held))


async def _take_all(stack: WiredStack, held: "list[asyncpg.Connection[asyncpg.Record]]") -> None:
    while True:
        try:
            held.append(await stack.connect_superuser())
        except asyncpg.TooManyConnectionsError:
            return


def _said(stack: RunningStack, service: str, error: str) -> int:
    return (stack.state / "logs" / f"{service}.log").read_text(errors="replace").count(error)


async def _turned_away(stack: RunningStack, contractor: Client) -> bool:
    """Whether intake answers openly that it cannot: 503, and when to come again."""
    async with stack.http("intake") as client:
        answer = await client.get("/api/applications", headers={"Authorization": f"Bearer {contractor.token}"})
    return answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and "retry-after" in answer.headers


@contextmanager
def _filled(disk: Path) -> Iterator[None]:
    """Not a page is left on it."""
    ballast = disk / "ballast"
    try:
        with ballast.open("wb") as file:
            while free := shutil.disk_usage(disk).free:
                os.posix_fallocate(file.fileno(), ballast.stat().st_size, free)
        yield
    finally:
        ballast.unlink()


async def test_out_of_connections_nothing_is_lost_and_given_back_everything_goes_on(
    wired: WiredStack, tmp_path: Path
) -> None:
    contractor = await wired.contractor(f"crowded-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    before = {service: _said(wired, service, "TooManyConnectionsError") for service in SERVICES}
    sent = Sent()

    async with steady_load(contractor, sent):
        async with _all_connections(wired):
            await eventually(lambda: _turned_away(wired, contractor), SAID_SECONDS)
            for service, times in before.items():
                await eventually(
                    lambda service=service, times=times: _said(wired, service, "TooManyConnectionsError") > times,
                    SAID_SECONDS,
                )

    await settled(wired, contractor, sent, mails_before, tmp_path)


async def test_a_full_disk_loses_nothing_and_with_room_again_everything_goes_on(
    wired: WiredStack, tmp_path: Path
) -> None:
    disk = wired.disk
    if disk is None:
        pytest.skip("Only root may mount a small disk for the database")
    contractor = await wired.contractor(f"full-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    before, sent = _said(wired, "postgres", NO_SPACE), Sent()

    async with steady_load(contractor, sent):
        with _filled(disk):
            await eventually(lambda: _said(wired, "postgres", NO_SPACE) >= before + REFUSALS, SAID_SECONDS)

    await settled(wired, contractor, sent, mails_before, tmp_path)
