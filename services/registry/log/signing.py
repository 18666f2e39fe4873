"""Who says how large the log is, and with which root? One process at a time, and never two things that contradict."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from chassis.clock import Clock
from chassis.lifecycle import Progress
from chassis.metrics import MUST_NEVER
from chassis.postgres import UNAVAILABLE, Pool, Transaction, transaction
from services.registry.log import proving, store
from services.registry.log.catching_up import catch_up
from services.registry.log.metrics import LOG_SIZE, LOG_STOPPED
from services.registry.log.proving import Signed
from transparency import checkpoints
from transparency.checkpoints import Checkpoint
from transparency.errors import DoesNotVerify
from transparency.merkle import Frontier, verify_consistency
from transparency.signatures import SignerKey

log = structlog.get_logger()

#: A restart looks again; nothing else does.
STOPPED_SECONDS: Final = 10.0


class ContradictsItself(Exception):
    """The log is not a continuation of what was signed."""


@dataclass
class Signing:
    """Signs the newest size of the log, at most once every so often. Safe to run in every process."""

    pool: Callable[[], Pool]
    clock: Clock
    signer: SignerKey
    origin: str
    draw: Callable[[], bytes]
    every_seconds: float = 1.0
    #: Set for good by whoever sees the log contradict itself: here, or a witness. A person must look.
    stopped: bool = False

    async def run(self, progress: Progress) -> None:
        has_caught_up = False
        while True:
            progress.beat()
            try:
                if not has_caught_up:
                    await catch_up(self.pool(), self.draw, progress)
                    has_caught_up = True
                if not self.stopped:
                    await self.sign_newest()
            except ContradictsItself as error:
                self.stop("log_contradicts_itself", str(error))
            except Exception as error:
                # The database is away, or we are at fault: the next second comes.
                log.warning("log.retrying", error=type(error).__name__, exc_info=not isinstance(error, UNAVAILABLE))
            await asyncio.sleep(STOPPED_SECONDS if self.stopped else self.every_seconds)

    def stop(self, what: str, why: str) -> None:
        """Sign no more in this process."""
        self.stopped = True
        LOG_STOPPED.set(1)
        MUST_NEVER.labels(what).inc()
        log.critical("log.stopped", what=what, why=why)

    async def sign_newest(self) -> Signed | None:
        """The checkpoint that is new, if there is one. Raises `ContradictsItself`, and then nothing was signed."""
        async with transaction(self.pool()) as tx:
            if not await store.may_sign(tx):
                return None
            # One row, changed with its leaves: whatever is read here is a log that was committed as a whole.
            head = await store.head(tx)
            last = await proving.newest(tx)
            if last is not None:
                await _check_continues(tx, last.checkpoint, head)
                LOG_SIZE.set(last.size)
                if last.size == head.size:
                    return None
            now = self.clock.now()
            checkpoint = Checkpoint.of(self.origin, head)
            note = str(checkpoints.sign(checkpoint, self.signer, at=int(now.timestamp())))
            await store.add_checkpoint(tx, head.size, note, now)
        # Committed, so it may be shown: what was not stored could be contradicted by the next one.
        LOG_SIZE.set(head.size)
        return Signed(checkpoint, note, now)


async def _check_continues(tx: Transaction, last: Checkpoint, head: Frontier) -> None:
    """The log as it is begins with what was signed last. Computed from the leaves' rows, and of O(log size)."""
    if head.size < last.size:
        raise ContradictsItself(f"{last.size} leaves were signed, and there are {head.size}")
    try:
        proof = await proving.consistency(tx, last.size, head.size)
        verify_consistency(last.size, last.root, head.size, head.root(), proof)
    except DoesNotVerify as error:
        raise ContradictsItself(str(error)) from None
