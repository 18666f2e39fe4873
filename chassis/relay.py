"""How outbox rows reach Kafka: oldest first, all acknowledged, then deleted. At least once, in order per key.

One relay is active per outbox, by a session advisory lock; the others stand by. A frozen one loses its session
(`idle_session_timeout`) and with it the lock; when it thaws it may repeat old rows after new ones, which is why
consumers take facts as a set or compare versions.

Never `id > last`: ids are drawn before commit, so a later id can be visible before an earlier one.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from chassis.kafka import KafkaAccess
from chassis.lifecycle import Progress
from chassis.metrics import OUTBOX_PENDING, OUTBOX_PUBLISHED
from chassis.outbox import Outbox, unpack
from chassis.postgres import UNAVAILABLE
from schemas.topics import MAX_DEAD_LETTER_BYTES, MAX_EVENT_BYTES

log = structlog.get_logger()

LOCK: Final = 0x6F75_7462_6F78  # "outbox"
BATCH: Final = 500
POLL_SECONDS: Final = 0.02
#: When there was nothing for a second.
IDLE_AFTER: Final = 50
IDLE_POLL_SECONDS: Final = 0.25
STANDBY_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 3.0
IDLE_SESSION_TIMEOUT: Final = "15s"
#: That a topic which is not there, or a client that is full, is waited for. Shorter than the session may be idle.
HAND_OVER_SECONDS: Final = 10.0
#: A client whose broker goes away while it starts would try for ever, and nobody would see the relay move. Shorter than
#: the session may be idle.
START_SECONDS: Final = 10.0
END_SECONDS: Final = 5.0
FIRST_DELAY_SECONDS: Final = 0.1
#: What fails after so long is something new.
WORKED_SECONDS: Final = 10.0

SELECT_OLDEST = "SELECT id, topic, key, value, headers FROM outbox ORDER BY id LIMIT $1"
DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
#: An estimate that costs nothing: exact counts are for the auditor.
COUNT = "SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT 10000) AS waiting"


class Relay:
    """Publishes one service's outbox. `run` ends only by cancellation; what goes wrong is retried for ever."""

    def __init__(
        self, *, connection: Mapping[str, Any], kafka: KafkaAccess, outbox: Outbox, progress: Progress
    ) -> None:
        self._connection_arguments = {
            **connection,
            "server_settings": {
                **connection["server_settings"],
                "idle_session_timeout": IDLE_SESSION_TIMEOUT,
                # Planned while the outbox is empty, each look would read a whole table of rows that are long gone.
                "enable_seqscan": "off",
            },
        }
        self._kafka = kafka
        self._outbox = outbox
        self._progress = progress
        #: Something waits that Kafka did not acknowledge in time.
        self.is_overdue = False
        #: Looks in a row that found nothing.
        self._looked_in_vain = 0

    async def run(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            began = time.monotonic()
            try:
                await self._publish_while_leading()
            except (*UNAVAILABLE, asyncpg.PostgresError, KafkaError) as error:
                self.is_overdue = self.is_overdue or isinstance(error, KafkaError)
                if time.monotonic() - began > WORKED_SECONDS:
                    delay = FIRST_DELAY_SECONDS
                # Whatever failed, session and producer are made anew: an idempotent producer can stay broken.
                log.warning("relay.retrying", error=type(error).__name__, detail=str(error)[:200])
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)
            self._progress.beat()

    async def _publish_while_leading(self) -> None:
        connection = await asyncpg.connect(**self._connection_arguments)
        try:
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                self._progress.beat()
                # Another publishes what waits, and says whether it can.
                self.is_overdue = False
                await asyncio.sleep(STANDBY_SECONDS)
            OUTBOX_PENDING.set(await connection.fetchval(COUNT))
            producer = AIOKafkaProducer(
                **self._kafka.options(),
                enable_idempotence=True,
                max_request_size=MAX_DEAD_LETTER_BYTES + 64 * 1024,
                linger_ms=2,
                # One look is one request, and not as many after each other as fill up (16 KiB by default).
                max_batch_size=MAX_EVENT_BYTES,
            )
            try:
                await _start(producer)
                log.info("relay.leading", service=self._outbox.service)
                while True:
                    await self._publish_oldest(connection, producer)
            finally:
                await _end(producer)
        finally:
            connection.terminate()

    async def _publish_oldest(
        self, connection: "asyncpg.Connection[asyncpg.Record]", producer: AIOKafkaProducer
    ) -> None:
        self._outbox.committed.clear()
        rows = await connection.fetch(SELECT_OLDEST, BATCH)
        self._progress.beat()
        if not rows:
            self.is_overdue = False
            OUTBOX_PENDING.set(0)
            self._looked_in_vain += 1
            pause = POLL_SECONDS if self._looked_in_vain < IDLE_AFTER else IDLE_POLL_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._outbox.committed.wait()
            return
        self._looked_in_vain = 0
        sent, refused = await _hand_over(producer, rows)
        if sent:
            await self._all_acknowledged(connection, producer, sent)
            await connection.execute(DELETE, [row["id"] for row in rows[: len(sent)]])
            OUTBOX_PUBLISHED.inc(len(sent))
        OUTBOX_PENDING.set(await connection.fetchval(COUNT) if refused or len(rows) == BATCH else 0)
        if refused is not None:
            raise refused

    async def _all_acknowledged(
        self,
        connection: "asyncpg.Connection[asyncpg.Record]",
        producer: AIOKafkaProducer,
        sent: list["asyncio.Future[Any]"],
    ) -> None:
        """Wait for every acknowledgement, keeping the session (and so the lock) alive while Kafka is away."""
        waiting = set(sent)
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=HEARTBEAT_SECONDS)
            for acknowledgement in done:
                acknowledgement.result()
            if waiting:
                if producer._sender.sender_task.done():  # noqa: SLF001 - one that was cancelled tells nobody
                    raise KafkaTimeoutError("nobody sends any more")
                self.is_overdue = True
                OUTBOX_PENDING.set(await connection.fetchval(COUNT))
                self._progress.beat()
        self.is_overdue = False


async def _hand_over(
    producer: AIOKafkaProducer, rows: Sequence[asyncpg.Record]
) -> tuple[list["asyncio.Future[Any]"], KafkaError | None]:
    """Of each, in order, what will tell that it is acknowledged; up to the first for which there is no place.

    Those before it are on their way: if nobody noted that, they would be published again at each attempt.
    """
    sent: list[asyncio.Future[Any]] = []
    try:
        async with asyncio.timeout(HAND_OVER_SECONDS):
            for row in rows:
                headers = unpack(row["headers"])
                sent.append(await producer.send(row["topic"], key=row["key"], value=row["value"], headers=headers))
    except KafkaError as error:
        return sent, error
    except TimeoutError:
        return sent, KafkaTimeoutError("no place was found in time")
    return sent, None


async def _start(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            await producer.start()
    except TimeoutError:
        raise KafkaTimeoutError from None


async def _end(producer: AIOKafkaProducer) -> None:
    """Nothing is sent after this; what was not acknowledged is still in the outbox. `stop` would wait for it, and let a
    producer whose broker is away try for ever, and publish old rows after newer ones.
    """
    producer._closed = True  # noqa: SLF001 - nothing public ends one without flushing it
    for end in (producer._sender.close, producer.client.close):  # noqa: SLF001
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                # Gathered: a sender that is cancelled before its first step raises that in whoever waits for it.
                ended: BaseException | None = (await asyncio.gather(end(), return_exceptions=True))[0]
                if isinstance(ended, Exception):
                    raise ended
