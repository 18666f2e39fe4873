"""Is there a half that nobody will ever complete? Counted and logged; what would have made a letter ends with the dead
letters. Is there one that nobody wished for? Forgotten. And one that a wrong clock told to wait? Called back.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from chassis import dead_letters
from chassis.clock import Clock
from chassis.lifecycle import Progress
from chassis.postgres import UNAVAILABLE, transaction
from services.notifier import store
from services.notifier.ledger import Ledger, told_of
from services.notifier.metrics import HALVES_ALONE, HALVES_PARKED, MAILS_UNKNOWN

log = structlog.get_logger()

GROUP: Final = "notifier"
#: Parked or forgotten in one transaction; the next sweep takes more.
BATCH: Final = 500


@dataclass(frozen=True)
class Sweeper:
    """Looks after what waits too long. Safe to run in every process."""

    ledger: Ledger
    clock: Clock
    every_seconds: float
    alone_after_seconds: float
    park_after_seconds: float

    async def run(self, progress: Progress) -> None:
        while True:
            progress.beat()
            try:
                await self.sweep()
            except Exception as error:
                # The database is away, or we are at fault: the next sweep comes.
                log.warning("sweeper.retrying", error=type(error).__name__, exc_info=not isinstance(error, UNAVAILABLE))
            await asyncio.sleep(self.every_seconds)

    async def sweep(self) -> None:
        """Look once."""
        await self._count_alone()
        await self._call_back()
        await self._park_waiting()
        await self._forget_not_wished()
        if not self.ledger.resend_unknown:
            await self._park_unclear()

    async def _count_alone(self) -> None:
        async with transaction(self.ledger.pool()) as tx:
            alone = await store.count_alone(tx, self.clock.now(), timedelta(seconds=self.alone_after_seconds))
        for missing, count in alone.items():
            HALVES_ALONE.labels(missing).set(count)
            if count:
                log.error("halves.alone", missing=missing, count=count)

    async def _call_back(self) -> None:
        if count := await self.ledger.call_back():
            log.warning("letters.called_back", count=count)

    async def _park_waiting(self) -> None:
        now = self.clock.now()
        async with transaction(self.ledger.pool()) as tx:
            rows = await store.park_waiting(tx, now, timedelta(seconds=self.park_after_seconds), BATCH)
            records = [
                (
                    store.record_of(row),
                    "application_never_came" if row["without_application"] else "data_key_never_came",
                )
                for row in rows
            ]
            await dead_letters.park(tx, self.ledger.outbox, records, group=GROUP, now=now)
        if rows:
            self.ledger.outbox.wake()
        for row, (_, reason) in zip(rows, records, strict=True):
            HALVES_PARKED.labels(row["letter"]).inc()
            log.error("half.parked", reason=reason, **told_of(row))

    async def _forget_not_wished(self) -> None:
        async with transaction(self.ledger.pool()) as tx:
            await store.forget_not_wished(tx, BATCH)

    async def _park_unclear(self) -> None:
        async with transaction(self.ledger.pool()) as tx:
            rows = await store.park_unclear(tx)
        for row in rows:
            log.error("letter.unknown", **told_of(row))
            MAILS_UNKNOWN.labels("parked").inc()
