"""The life of a service process: come up in any order, serve, drain on SIGTERM, die loudly when broken."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Protocol

import asyncpg
import structlog
import uvicorn
from aiokafka.errors import KafkaError
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from faststream.kafka import KafkaBroker
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from chassis import migrations
from chassis.clock import Clock, SystemClock
from chassis.consumer import MAX_POLL_SECONDS, Consumer, Reading, make_broker, subscribe
from chassis.lifecycle import Background, Part, Progress, settle, watch
from chassis.metrics import CERTIFICATE_GOOD_UNTIL, CONSUMER_LAG
from chassis.outbox import Outbox
from chassis.postgres import UNAVAILABLE, Pool, Transaction, address, connect_pool, transaction
from chassis.relay import Relay
from chassis.settings import SecretUnusable, ServiceSettings, in_words
from chassis.telemetry import configure_logs
from chassis.tls import CertificateUnusable, distrust, good_until
from chassis.web import problems, tokens
from chassis.web.body_limit import BodyLimit
from chassis.web.connections import BACKLOG, Limits, Loop, limited_by
from chassis.web.correlation import Correlation
from chassis.web.headers import SafeHeaders
from chassis.web.links import Link
from chassis.web.links import declare as declare_links

log = structlog.get_logger()

LAG_SECONDS = 5.0


@dataclass
class Runtime:
    """What a running service hands to its routes, consumers and tasks."""

    service: str
    settings: ServiceSettings
    clock: Clock
    outbox: Outbox
    pool: Pool | None = None

    def require_pool(self) -> Pool:
        if self.pool is None:
            raise ConnectionError("PostgreSQL was not reached yet.")
        return self.pool

    @contextlib.asynccontextmanager
    async def transaction(self, *, of_one_moment: bool = False) -> AsyncIterator[Transaction]:
        """The one transaction of a request. Problem 503 when the database is away; wakes the relay after commit.

        A request that only shows asks for `of_one_moment`: else a decision that is committed between two of its
        statements would show with half of what belongs to it.
        """
        try:
            async with transaction(self.require_pool(), timeout_seconds=5, of_one_moment=of_one_moment) as tx:
                yield tx
        except UNAVAILABLE as error:
            log.warning("request.unavailable", error=type(error).__name__)
            raise problems.unavailable() from None
        self.outbox.wake()


@dataclass(frozen=True)
class Task:
    """Background work of a service's own, started once the database is there."""

    name: str
    work: Callable[[Progress], Any]
    #: Liveness fails when the work does not beat for so long.
    stale_after_seconds: float = 120.0


class Pages(Protocol):
    """Pages for people: `chassis.web.complete`, which a service without any does not even import."""

    def install(self, app: FastAPI) -> None: ...

    def answer(self, request: Request, problem: problems.Problem) -> Response | None: ...


@dataclass(frozen=True)
class Service:
    """All that makes one service different from the others."""

    runtime: Runtime
    title: str
    #: Names in `chassis/sql`, applied before the service's own migrations.
    shared_tables: Sequence[str]
    routers: Sequence[APIRouter]
    readings: Sequence[Reading] = ()
    tasks: Sequence[Task] = ()
    #: Its pages for people, whose own routes are among the routers.
    site: Pages | None = None
    #: Definitions that OpenAPI needs beside those of the routes' models.
    schemas: Mapping[str, Any] = field(default_factory=dict)
    #: Where its answers lead, for OpenAPI.
    links: Sequence[Link] = ()
    consumers: list[Consumer] = field(default_factory=list)


def make_runtime(service: str, settings: ServiceSettings, clock: Clock | None = None) -> Runtime:
    return Runtime(service=service, settings=settings, clock=clock or SystemClock(), outbox=Outbox(service))


def make_app(service: Service) -> FastAPI:
    """The ASGI application. Nothing connects before its lifespan begins."""
    running = _Running(service)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running.background.start("come-up", running.come_up(), ends=True)
        yield
        await running.drain()

    app = FastAPI(
        title=f"Akashi {service.runtime.service}",
        summary=service.title,
        version="1",
        lifespan=lifespan,
        # They would run scripts of somebody else's among the portals' pages. What they show is in `/openapi.json`.
        docs_url=None,
        redoc_url=None,
        # A trailing slash is another address, not a redirect that loses the body.
        redirect_slashes=False,
        # We have logs and metrics of our own: it shall not ask at each request whether somebody set up OpenTelemetry.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    site = service.site if service.runtime.settings.role != "worker" else None
    problems.install(app, site.answer if site is not None else None)
    app.add_middleware(BodyLimit, largest_bytes=problems.LARGEST_BODY_BYTES)
    app.add_middleware(Correlation)
    app.add_middleware(SafeHeaders)
    app.include_router(_health(running))
    if service.runtime.settings.role != "worker":
        for router in service.routers:
            app.include_router(router, dependencies=[Depends(problems.nothing_strange)])
        if site is not None:
            site.install(app)
        app.openapi = _contract(app.openapi, service)  # type: ignore[method-assign]  # as FastAPI has it extended
    return app


def _contract(generate: Callable[[], dict[str, Any]], service: Service) -> Callable[[], dict[str, Any]]:
    """The document with what FastAPI cannot know of. Made when somebody asks for it, and once."""

    @cache
    def contract() -> dict[str, Any]:
        document = generate()
        if service.schemas:
            document["components"]["schemas"].update(service.schemas)
        tokens.declare(document)
        problems.declare(document)
        declare_links(document, service.links)
        return document

    return contract


def serve(name: str, put_together: Callable[[], Service], *unusable: type[Exception]) -> None:
    """Run until SIGTERM. Ends with 0 after a drain, with 70 when a background task broke or hung.

    With 1 and a sentence where something that it was given can't be used; `unusable` say so in their own words.
    """
    in_their_words: tuple[type[Exception], ...] = (SettingsError, SecretUnusable, CertificateUnusable, *unusable)
    try:
        service = put_together()
        service.runtime.settings.require_certificates()
    except ValidationError as error:
        sys.exit(f"{name} does not start: {in_words(error)}")
    except in_their_words as error:
        sys.exit(f"{name} does not start: {error}")
    settings = service.runtime.settings
    configure_logs(service.runtime.service, settings.log_level)
    if settings.http_certificate_file is not None:
        CERTIFICATE_GOOD_UNTIL.set(good_until(settings.http_certificate_file))
    # Until uvicorn listens to it, there is nothing to drain. After a clean stop uvicorn raises the signal once more:
    # the process shall end with 0, not by it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app = make_app(service)
    settle()
    uvicorn.run(
        app,
        host=settings.http_host,
        port=settings.http_port,
        loop=f"{Loop.__module__}:{Loop.__qualname__}",
        ssl_certfile=settings.http_certificate_file,
        forwarded_allow_ips=settings.trusted_proxies,
        http=limited_by(
            Limits(
                request_seconds=settings.http_request_seconds,
                answer_seconds=settings.http_answer_seconds,
                connections=settings.http_connections,
            )
        ),
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(settings.drain_seconds),
        server_header=False,
    )


class _Running:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.runtime = service.runtime
        self.background = Background()
        #: Whoever must move.
        self.parts: list[Part] = []
        settings = self.runtime.settings
        #: None before it is up, and where nothing is read.
        self.broker: KafkaBroker | None = None
        self.relay: Relay | None = None
        self.works = settings.role != "web"
        self.consuming = not (self.works and service.readings)

    async def come_up(self) -> None:
        """Wait for PostgreSQL, migrate, then start what needs Kafka, which may come later still."""
        runtime, settings = self.runtime, self.runtime.settings
        pool = await connect_pool(settings, runtime.service)
        await self._until_done("migrate", UNAVAILABLE, self._migrate)
        runtime.pool = pool
        if not self.works:
            return
        self.background.start("liveness", watch(self.parts))
        for task in self.service.tasks:
            self.background.start(task.name, task.work(self._progress(task.name, task.stale_after_seconds)))
        kafka = settings.kafka(runtime.service)
        relay = self.relay = Relay(
            connection=address(settings, runtime.service),
            kafka=kafka,
            outbox=runtime.outbox,
            progress=self._progress("relay", 120),
        )
        self.background.start("relay", relay.run())
        if self.service.readings:
            broker = self.broker = make_broker(
                kafka, client_id=f"akashi-{runtime.service}", drain_seconds=settings.drain_seconds
            )
            loops = [
                subscribe(broker, self._consumer(reading), batch_records=settings.batch_records)
                for reading in self.service.readings
            ]
            await self._until_done("kafka", (KafkaError, OSError), partial(_start, broker))
            self.consuming = True
            self.parts.extend(loops)
            self.background.start("lag", _watch_lag(broker))
        log.info("service.up", role=settings.role)

    def _consumer(self, reading: Reading) -> Consumer:
        consumer = Consumer(
            reading,
            pool=self.runtime.require_pool,
            outbox=self.runtime.outbox,
            clock=self.runtime.clock,
            progress=self._progress(f"consumer {reading.group}", MAX_POLL_SECONDS),
            parked_per_minute_limit=self.runtime.settings.parked_per_minute_limit,
        )
        self.service.consumers.append(consumer)
        return consumer

    def _progress(self, name: str, stale_after_seconds: float) -> Progress:
        progress = Progress(name, stale_after_seconds=stale_after_seconds)
        self.parts.append(progress)
        return progress

    async def _migrate(self) -> None:
        name = self.runtime.service
        connection = await asyncpg.connect(**{**address(self.runtime.settings, name), "command_timeout": 600})
        try:
            await migrations.migrate(connection, migrations.files_of(name, self.service.shared_tables))
        finally:
            await connection.close()

    async def _until_done(self, what: str, again: tuple[type[Exception], ...], attempt: Callable[[], Any]) -> None:
        delay = 0.2
        while True:
            try:
                await attempt()
            except again as error:
                log.warning("service.waiting", for_=what, error=type(error).__name__, **distrust(error))
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)
            else:
                return

    async def drain(self) -> None:
        """Finish the batch in hand, publish no more, and give everything back. What is left is in the outbox."""
        log.info("service.draining")
        # Who is told to end does not hang.
        self.parts.clear()
        for consumer in self.service.consumers:
            consumer.stop()
        if self.broker is not None:
            with contextlib.suppress(TimeoutError, KafkaError):
                # Longer than FastStream itself waits for the batch: cut off in between, it would not leave its group.
                async with asyncio.timeout(self.runtime.settings.drain_seconds + 5):
                    await self.broker.stop()
        await self.background.stop()
        if self.runtime.pool is not None:
            with contextlib.suppress(TimeoutError, *UNAVAILABLE):
                async with asyncio.timeout(5):
                    await self.runtime.pool.close()
        log.info("service.down")

    async def missing(self) -> list[str]:
        """The neighbours that cannot be reached now."""
        missing = []
        try:
            async with asyncio.timeout(3):
                await self.runtime.require_pool().fetchval("SELECT 1")
        except (TimeoutError, *UNAVAILABLE):
            missing.append("postgres")
        if not await self._kafka_answers() or (self.relay is not None and self.relay.is_overdue):
            missing.append("kafka")
        missing.extend(
            f"consumer {consumer.reading.group} stopped"
            for consumer in self.service.consumers
            if consumer.guard.tripped
        )
        return missing

    async def _kafka_answers(self) -> bool:
        """Asks through the consumers themselves. (FastStream's `ping` needs an admin client, which we do not open.)"""
        if not self.consuming:
            return False
        try:
            async with asyncio.timeout(3):
                for subscriber in self.broker.subscribers if self.broker else ():
                    await subscriber.consumer.topics()  # type: ignore[attr-defined]
        except (TimeoutError, KafkaError, OSError):
            return False
        return True


def _health(running: _Running) -> APIRouter:
    router = APIRouter(tags=["operations"])

    or_not: dict[int | str, dict[str, Any]] = {503: {"description": "No"}}

    @router.get("/health/live", summary="Is this process moving? Asks no neighbour.", responses=or_not)
    async def live() -> JSONResponse:
        stale = [part.name for part in running.parts if part.is_stale]
        return JSONResponse({"live": not stale, "stale": stale}, status_code=503 if stale else 200)

    @router.get("/health/ready", summary="Can this process do its work now?", responses=or_not)
    async def ready() -> JSONResponse:
        missing = await running.missing()
        return JSONResponse({"ready": not missing, "missing": missing}, status_code=503 if missing else 200)

    @router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


async def _start(broker: KafkaBroker) -> None:
    try:
        await broker.start()
    except (KafkaError, OSError):
        # A second start would forget the consumer of the first, and leave its connections open.
        await broker.stop()
        raise


async def _watch_lag(broker: KafkaBroker) -> None:
    """Tell how far behind we are: what the issuer is scaled on."""
    while True:
        for subscriber in broker.subscribers:
            consumer = subscriber.consumer  # type: ignore[attr-defined]
            behind = 0
            for partition in consumer.assignment() if consumer else ():
                # A rebalance may take a partition away between two questions.
                with contextlib.suppress(KafkaError, AssertionError):
                    end = consumer.highwater(partition)
                    behind += max(0, end - await consumer.position(partition)) if end is not None else 0
            CONSUMER_LAG.labels(subscriber.group_id).set(behind)  # type: ignore[attr-defined]
        await asyncio.sleep(LAG_SECONDS)
