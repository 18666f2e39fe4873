"""Is an application acknowledged and lost? It would be one of which no other service ever tells."""

import asyncio

import structlog
from prometheus_client import Gauge

from chassis.lifecycle import Progress
from chassis.postgres import UNAVAILABLE
from chassis.service import Runtime
from services.intake import store

log = structlog.get_logger()

LOOK_SECONDS = 15.0
OLDEST_UNANSWERED = Gauge(
    "akashi_oldest_unanswered_seconds", "Age of the oldest application of the week without any answer; alert on minutes"
)


async def watch_unanswered(progress: Progress, *, runtime: Runtime) -> None:
    """Keep the gauge true for as long as the process lives."""
    while True:
        progress.beat()
        try:
            async with runtime.require_pool().acquire(timeout=5) as connection:
                OLDEST_UNANSWERED.set(await store.oldest_unanswered_seconds(connection, runtime.clock.now()))
        except UNAVAILABLE as error:
            log.warning("watch.unavailable", error=type(error).__name__)
        await asyncio.sleep(LOOK_SECONDS)
