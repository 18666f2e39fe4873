"""A stack of its own, and a registry that its own handlers fill: what replays and rebuilds are tried on."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaProducer

from chassis.outbox import Outbox, unpack
from chassis.web.problems import Problem
from chassis.web.tokens import Principal
from console import store
from console.audit.replay import Replayed, replay
from console.audit.shadow import as_superuser
from console.environment import Stack
from schemas import authentication_key, topics
from schemas.certificates import CertificateIssued
from schemas.contract_number import compose
from schemas.envelope import Cause, message_of
from schemas.event import Event
from services.registry import handlers
from services.registry.domain import Limits
from services.registry.handlers import Arriving, Registering
from services.registry.log import store as log_store
from tests.integration.console.conftest import started, typed
from tests.support.builders import a_certificate, received
from transparency import checkpoints
from transparency.checkpoints import Checkpoint
from transparency.signatures import SignerKey

#: More than a block has.
NUMBERS = (compose(block, serial) for block in ("31072", "31073", "31074") for serial in range(20_000, 90_000))
ACCOUNT = uuid.uuid4()
KEY = "Z28YUE4J3Bux"


class Later:
    """A clock that goes on by a millisecond each time."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 20, 3, tzinfo=UTC)

    def now(self) -> datetime:
        self.moment += timedelta(milliseconds=1)
        return self.moment


class World:
    """The issuer by hand, and the registry by its own handlers; the relay is `publish`."""

    def __init__(self, stack: Stack, producer: AIOKafkaProducer, registry: store.Connection, signer: SignerKey) -> None:
        self.stack, self.registry, self.signer = stack, registry, signer
        self._producer = producer
        self.registering = Registering(
            clock=CLOCK,
            outbox=Outbox("registry"),
            limits=Limits(5, 30, timedelta(minutes=15)),
            arrivals=Arriving(CLOCK),
            peppers={authentication_key.secret_id(b"pepper"): b"pepper"},
        )

    async def issue(self, count: int = 1) -> list[CertificateIssued]:
        issued = [a_certificate(key=KEY, contract=next(NUMBERS), issued_at=CLOCK.now()) for _ in range(count)]
        await self.tell(issued)
        return issued

    async def register(self, issued: Sequence[CertificateIssued], *, published: bool = True) -> None:
        async with self.registry.transaction():
            batch = [received(event) for event in issued]
            await handlers.register_certificates(self.registry, batch, registering=self.registering)
        if published:
            await self.publish()

    async def view(self, issued: CertificateIssued, *, published: bool = True) -> None:
        """A purchaser opens it with number and key."""
        await self.registry.execute(
            "INSERT INTO account (id, role, subject_id, person) VALUES ($1, 'purchaser', 'tochigi', '見本')"
            " ON CONFLICT DO NOTHING",
            ACCOUNT,
        )
        principal = Principal(ACCOUNT, "purchaser", "tochigi", "見本", frozenset())
        asked = handlers.Asked(issued.contract_number, KEY, principal, Cause("test"))
        async with self.registry.transaction():
            (found,) = await handlers.find(self.registry, [asked], registering=self.registering)
            assert not isinstance(found, Problem)
            await handlers.record_looks(self.registry, [handlers.Look(asked, found)], registering=self.registering)
        if published:
            await self.publish()

    async def traffic(self, certificates: int = 5) -> list[CertificateIssued]:
        issued = await self.issue(certificates)
        await self.register(issued)
        for event in issued[::2]:
            await self.view(event)
        await self.sign()
        return issued

    async def sign(self) -> None:
        async with self.registry.transaction():
            head = await log_store.head(self.registry)
            now = CLOCK.now()
            signed = checkpoints.sign(Checkpoint.of(self.signer.name, head), self.signer, at=int(now.timestamp()))
            await self.registry.execute(
                "INSERT INTO checkpoint (size, note, signed_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                head.size,
                str(signed),
                now,
            )

    async def publish(self) -> None:
        """What the relay does."""
        rows = await self.registry.fetch("SELECT id, topic, key, value, headers FROM outbox ORDER BY id")
        await asyncio.gather(*[await self._send(row, unpack(row["headers"])) for row in rows])
        await self.registry.execute("DELETE FROM outbox WHERE id = ANY($1::bigint[])", [row["id"] for row in rows])

    async def tell(self, told: Sequence[Event]) -> None:
        messages = [
            message_of(event, source="test", topic=topics.of_event(type(event)).name, cause=Cause("test"))
            for event in told
        ]
        await asyncio.gather(*[await self._send(vars(message), list(message.headers)) for message in messages])

    async def garbage(self, topic: str, value: bytes | None) -> None:
        await self._producer.send_and_wait(topic, key=b"x", value=value, headers=[])

    async def _send(self, row: Any, headers: list[tuple[str, bytes]]) -> "asyncio.Future[Any]":
        sent: asyncio.Future[Any] = await self._producer.send(
            row["topic"], key=row["key"], value=row["value"], headers=headers
        )
        return sent

    async def replay(self, **options: Any) -> Replayed:
        return await replay(self.stack, **options)

    async def found(self, change: str, *arguments: Any, undo: str, values: Sequence[Any] | None = None) -> list[Any]:
        """(kind, subject) of what is found while a change is there."""
        await self.registry.execute(change, *arguments)
        try:
            return [(each.kind, each.subject) for each in (await self.replay()).differences]
        finally:
            await self.registry.execute(undo, *(arguments if values is None else values))


CLOCK = Later()


@contextlib.asynccontextmanager
async def open_world(stack: Stack) -> AsyncIterator[World]:
    signer = SignerKey.parse(stack.secret("registry/log_key"))
    async with (
        AIOKafkaProducer(**stack.kafka_administrator.options(), enable_idempotence=True) as producer,
        store.connect(stack, "registry", idle_in_transaction_timeout="0") as registry,
    ):
        yield World(stack, producer, registry, signer)


@contextlib.contextmanager
def stack_of_its_own() -> Iterator[Stack]:
    """Whatever else is on these topics would be replayed, too."""
    with started() as stack:
        for command in ("setup", "migrate"):
            done = typed(stack, command)
            assert done.exit_code == 0, done.output
        yield stack


async def schemas_left(stack: Stack) -> list[str]:
    """Schemas and roles of shadows, and of what was before a rebuild."""
    async with as_superuser(stack, "registry") as admin:
        rows = await admin.fetch(
            "SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname, 'registry_')"
            " UNION SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'registry_') ORDER BY 1"
        )
        return [row["name"] for row in rows]
