"""kill -9 at step 11, right before and right after: the command, intake's relay, the readers. All is erased in the end."""

import asyncio
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from chassis.kafka import KafkaAccess
from console import privacy, store
from deploy.local.stack import SERVICES
from deploy.local.state import CLONE
from schemas import topics
from tests.fault.load import Sent, has_come_to_its_end, mails_told, send
from tests.fault.settling import settled
from tests.fault.steps import FORGETTING, SHRED
from tests.support.kafka import bury, uncommitted
from tests.support.lines import SIDES, Side
from tests.support.running import Client, eventually
from tests.support.wired import WiredStack

QUIET_SECONDS: Final = 60
FIRES_SECONDS: Final = 30
FIRST, SECOND = ("監査 見本", "本人の申出"), ("別人 見本", "もう一度")


async def _is_quiet(stack: WiredStack) -> bool:
    """Nothing is on its way: the next record that is published, or read, is the one that a test waits for."""
    for service in SERVICES:
        async with store.connect(stack.console, service) as connection:
            if await connection.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
                return False
    kafka: KafkaAccess = stack.console.kafka_administrator
    read = [(group, topic.name) for group in topics.GROUPS for topic in topics.read_by(group)]
    return not any([await uncommitted(kafka, group, name) for group, name in read])


async def _applied(stack: WiredStack, contractor: Client, count: int) -> Sent:
    """So many applications that came to their end, mails and all."""
    sent = await send(contractor, count)
    await eventually(lambda: has_come_to_its_end(contractor, sent), QUIET_SECONDS)

    async def mailed() -> bool:
        return await mails_told(contractor, "sent") == sent.wished_mails

    await eventually(mailed, QUIET_SECONDS)
    return sent


async def _begin_to_shred(
    stack: WiredStack, application_id: str, noted: tuple[str, str] = FIRST
) -> asyncio.subprocess.Process:
    """`akashi privacy shred`, over intake's line to the database."""
    by, reason = noted
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "console.main", "privacy", "shred", application_id, "--yes", "--keep-drafts"),
        *("--by", by, "--reason", reason),
        cwd=CLONE,
        env={**stack.environment, "AKASHI_POSTGRES_PORT": str(stack.line("intake", "postgres").port)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def _noted(stack: WiredStack, application_id: str) -> list[tuple[str, str]]:
    return [
        (one["shredded_by"], one["reason"])
        for one in await privacy.all_shreddings(stack.console)
        if str(one["application_id"]) == application_id
    ]


async def _is_forgotten(stack: WiredStack, contractor: Client, application_id: str) -> bool:
    """No database has a copy of its key, and nobody is shown what it sealed."""
    places = await privacy.places(stack.console, uuid.UUID(application_id))
    shown = await contractor.document(f"/api/applications/{application_id}")
    return not any("database" in place for place in places) and shown["contact"] is None


@pytest.mark.parametrize("side", SIDES)
async def test_a_command_killed_at_its_commit_erased_all_or_nothing_and_a_repeat_completes_it(
    wired: WiredStack, side: Side, tmp_path: Path
) -> None:
    contractor = await wired.contractor(f"shredded-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    sent = await _applied(wired, contractor, 2)
    (application_id, kept) = sent.ends

    killed = asyncio.get_running_loop().create_future()
    tripwire = wired.line("intake", "postgres").trip(*SHRED.words, side=side, pull=lambda: killed.result().kill())
    process = await _begin_to_shred(wired, application_id)
    killed.set_result(process)
    async with asyncio.timeout(FIRES_SECONDS):
        assert await process.wait() < 0, "it was killed"
    assert tripwire.fired.is_set()

    # PostgreSQL learns that it is gone, and rolls back what was not committed.
    done = side == "after"
    assert await _noted(wired, application_id) == ([FIRST] if done else [])
    shown = await contractor.document(f"/api/applications/{application_id}")
    assert (shown["contact"] is None) is done

    assert await (await _begin_to_shred(wired, application_id, SECOND)).wait() == 0
    assert await _noted(wired, application_id) == [FIRST if done else SECOND]
    await eventually(partial(_is_forgotten, wired, contractor, application_id), QUIET_SECONDS)
    assert (await contractor.document(f"/api/applications/{kept}"))["contact"] is not None
    await settled(wired, contractor, sent, mails_before, tmp_path)


@pytest.mark.parametrize("side", SIDES)
async def test_whoever_is_killed_while_the_tombstone_is_told_and_read_it_is_forgotten_everywhere(
    wired: WiredStack, side: Side, tmp_path: Path
) -> None:
    contractor = await wired.contractor(f"forgotten-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    sent = await _applied(wired, contractor, len(FORGETTING) + 1)
    (kept, *shredded) = sent.ends

    for step, application_id in zip(FORGETTING, shredded, strict=True):
        await eventually(wired.is_whole, QUIET_SECONDS)
        await eventually(partial(_is_quiet, wired), QUIET_SECONDS)
        pid = wired.part(step.service).pid
        line = wired.line(step.service, step.neighbour)
        tripwire = line.trip(*step.words, side=side, pull=partial(wired.kill, step.service))
        assert await (await _begin_to_shred(wired, application_id)).wait() == 0
        async with asyncio.timeout(FIRES_SECONDS):
            await tripwire.fired.wait()
        await bury(wired.console.kafka_administrator, step.service)
        await eventually(partial(wired.has_another, step.service, pid))
        await eventually(partial(_is_forgotten, wired, contractor, application_id), QUIET_SECONDS)
        assert await _noted(wired, application_id) == [FIRST]

    assert (await contractor.document(f"/api/applications/{kept}"))["contact"] is not None
    await settled(wired, contractor, sent, mails_before, tmp_path)
