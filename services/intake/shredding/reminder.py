"""Has every tombstone been told again, so that Kafka lets go of the key before it?"""

import asyncio
from typing import Final

import structlog

from chassis.lifecycle import Progress
from chassis.postgres import UNAVAILABLE, transaction
from chassis.service import Runtime
from services.intake.shredding import handlers

log = structlog.get_logger()

LOOK_SECONDS: Final = 60.0


async def remind(progress: Progress, *, runtime: Runtime) -> None:
    """Look every minute for as long as the process lives."""
    while True:
        progress.beat()
        try:
            await tell_due(runtime)
        except UNAVAILABLE as error:
            log.warning("reminder.unavailable", error=type(error).__name__)
        await asyncio.sleep(LOOK_SECONDS)


async def tell_due(runtime: Runtime) -> int:
    """Look once; how many were told."""
    async with transaction(runtime.require_pool()) as tx:
        told = await handlers.tell_again(tx, outbox=runtime.outbox, now=runtime.clock.now())
    if told:
        runtime.outbox.wake()
        log.info("tombstones.told_again", count=told)
    return told
