"""What of certificates and views that were there before the log?

When the registry starts, they get their leaves, in the order in which they came. Their events are on Kafka already, and
tell neither place nor salt: from the topics alone a log that began so cannot be rebuilt, its own tables are needed.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from chassis.lifecycle import Progress
from chassis.postgres import Pool, transaction
from services.registry.log import store
from services.registry.log.appending import append_old_certificates, append_old_views
from transparency.leaves import CERTIFICATE, VIEW

log = structlog.get_logger()

BATCH: Final = 500


async def catch_up(pool: Pool, draw: Callable[[], bytes], progress: Progress | None = None) -> int:
    """Give everything its leaf; return how many certificates and views had none.

    A batch is a transaction of few statements; what is new is appended in between. Harmless to repeat, and in several
    processes at once. A view that comes while its certificate is not in the log yet gets its leaf here, after it.
    """
    caught = 0
    for kind, append in ((CERTIFICATE, append_old_certificates), (VIEW, append_old_views)):
        async with transaction(pool) as tx:
            waiting = await store.without_leaf(tx, kind)
        for begin in range(0, len(waiting), BATCH):
            batch = waiting[begin : begin + BATCH]
            async with transaction(pool) as tx:
                await append(tx, batch, [draw() for _ in batch])
            if progress is not None:
                progress.beat()
            await asyncio.sleep(0)
        if waiting:
            log.info("log.caught_up", kind=kind, count=len(waiting))
        caught += len(waiting)
    return caught
