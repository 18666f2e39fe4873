"""How does a test talk to a service? In this process, over ASGI, with its real database (and broker, if it asks)."""

import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import httpx
from fastapi import FastAPI

from chassis.kafka import KafkaAccess
from chassis.postgres import Pool, connect_pool, transaction
from chassis.service import Service, make_app
from chassis.web import tokens
from services.intake import store as intake_store
from services.intake.app import make_service as make_intake
from services.intake.settings import IntakeSettings
from services.issuer.app import make_service as make_issuer
from services.issuer.settings import IssuerSettings
from services.registry.app import make_service as make_registry
from services.registry.settings import RegistrySettings
from tests.support.builders import CONTRACTOR
from tests.support.databases import Databases
from tests.support.keys import Keyring
from tests.support.waiting import eventually

#: Service → (its role for accounts, the scopes of its tokens).
PEOPLE: Final = {
    "intake": ("contractor", ("applications", "guarantees")),
    "issuer": ("desk", ("desk",)),
    "registry": ("purchaser", ("lookup",)),
}
_MAKERS: Final[dict[str, tuple[Callable[[Any], Service], Callable[..., Any]]]] = {
    "intake": (make_intake, IntakeSettings),
    "issuer": (make_issuer, IssuerSettings),
    "registry": (make_registry, RegistrySettings),
}


@dataclass(frozen=True)
class Person:
    """Somebody with a token."""

    account_id: UUID
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True)
class Site:
    """A service that answers, and its database."""

    service: Service
    pool: Pool
    http: httpx.AsyncClient

    async def person(self, subject_id: str, *, name: str = "見本　太郎") -> Person:
        """A person of a contractor, surety or purchaser who may sign in here."""
        role, scopes = PEOPLE[self.service.runtime.service]
        account_id = uuid.uuid4()
        async with transaction(self.pool) as tx:
            await tokens.add_account(tx, account_id, role=role, subject_id=subject_id, person=name)
        return Person(account_id, await self.token(account_id, scopes=scopes))

    async def token(self, account_id: UUID, *, scopes: tuple[str, ...] | None = None, hours: float = 1) -> str:
        chosen = PEOPLE[self.service.runtime.service][1] if scopes is None else scopes
        expires_at = datetime.now(UTC) + timedelta(hours=hours)
        async with transaction(self.pool) as tx:
            return await tokens.add_token(tx, account_id, label="test", scopes=chosen, expires_at=expires_at)

    async def contractor(self, identity: str = CONTRACTOR["id"]) -> Person:
        """A registered contractor's person (intake only)."""
        fields = {**CONTRACTOR, "id": identity}
        await self.pool.execute(
            intake_store.INSERT_CONTRACTOR, *(fields[name] for name in ("id", "name", "address", "representative"))
        )
        return await self.person(identity)

    async def outbox(self, event: str) -> list[Any]:
        """The values of the messages of one event type that wait to be published, oldest first."""
        rows = await self.pool.fetch("SELECT value, headers FROM outbox ORDER BY id")
        return [row["value"].decode() for row in rows if f'"akashi.{event}.v1"' in row["headers"]]


#: For a service that shall do nothing with it.
NOWHERE: Final = KafkaAccess("127.0.0.1:1")


def make_service(
    name: str, databases: Databases, keys: Keyring, *, kafka: KafkaAccess = NOWHERE, **settings: Any
) -> Service:
    """A service as its `app.py` wires it, on the tests' stack."""
    make, settings_class = _MAKERS[name]
    return make(
        settings_class(
            secrets_dir=keys.of(name),
            postgres_host=databases.server.host,
            postgres_port=databases.server.port,
            kafka_bootstrap=kafka.bootstrap,
            kafka_security_protocol=kafka.protocol,
            **settings,
        )
    )


@dataclass(frozen=True)
class Built:
    """A service and its application. To put them together takes longer than most tests, so it is done once for many."""

    service: Service
    app: FastAPI


def build(service: Service) -> Built:
    return Built(service, make_app(service))


@contextlib.asynccontextmanager
async def answering(built: Built) -> AsyncIterator[Site]:
    """The HTTP side alone, with its pool set by hand: nothing consumes, and what is in the outbox stays there. What a
    test changes of its runtime is changed back.
    """
    runtime = built.service.runtime
    clock = runtime.clock
    runtime.pool = await connect_pool(runtime.settings, runtime.service)
    try:
        async with _client(built.app) as http:
            yield Site(built.service, runtime.pool, http)
    finally:
        await runtime.pool.close()
        runtime.clock = clock
        runtime.outbox.committed.clear()


@contextlib.asynccontextmanager
async def running(service: Service) -> AsyncIterator[Site]:
    """The whole service, from the beginning of its lifespan to its drain. (ASGITransport knows no lifespan.)"""
    app = make_app(service)
    async with app.router.lifespan_context(app), _client(app) as http:

        async def is_ready() -> bool:
            return (await http.get("/health/ready")).status_code == httpx.codes.OK

        await eventually(is_ready, 60)
        yield Site(service, service.runtime.require_pool(), http)


def _client(app: FastAPI) -> httpx.AsyncClient:
    # Errors of ours are answered with a problem document, as in production, and not raised into the test.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://akashi.test", timeout=60)
