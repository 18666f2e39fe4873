"""Makes a fresh broker and a fresh database server ready for the services, as soon as they answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
from aiokafka.errors import KafkaError

from chassis.kafka import KafkaAccess
from chassis.kafka_acls import ensure_acls
from chassis.kafka_topics import ensure_topics
from chassis.postgres import UNAVAILABLE
from chassis.tls import why_distrusted
from console.environment import Stack
from deploy.databases import ensure_databases
from deploy.local.problem import Problem
from deploy.secrets import SERVICES

T = TypeVar("T")


async def set_up(stack: Stack, *, timeout_seconds: float) -> list[str]:
    """Databases, roles, topics and their rules are there when it returns; the topics it made. Can be repeated."""
    superuser = stack.secret("postgres/superuser_password")
    passwords = {service: stack.secret(f"postgres/{service}_password") for service in SERVICES}
    give_up_at = time.monotonic() + timeout_seconds
    await _until(
        give_up_at,
        f"PostgreSQL at {stack.postgres_host}:{stack.postgres_port}",
        (*UNAVAILABLE, asyncpg.CannotConnectNowError),
        lambda: ensure_databases(
            stack.postgres_host, stack.postgres_port, superuser, passwords, ca_file=stack.postgres_ca_file
        ),
    )
    return await _until(
        give_up_at,
        f"Kafka at {stack.kafka_bootstrap}",
        (KafkaError, OSError),
        lambda: _set_up_kafka(stack.kafka_administrator),
    )


async def _set_up_kafka(kafka: KafkaAccess) -> list[str]:
    made = await ensure_topics(kafka)
    await ensure_acls(kafka)
    return made


async def _until(
    give_up_at: float, what: str, again: tuple[type[Exception], ...], attempt: Callable[[], Awaitable[T]]
) -> T:
    delay = 0.2
    while True:
        try:
            async with asyncio.timeout(max(0.0, give_up_at - time.monotonic())):
                return await attempt()
        except again as error:
            if time.monotonic() + delay > give_up_at:
                said = why_distrusted(error) or type(error).__name__
                raise Problem(
                    f"{what} did not answer in time ({said}): look at its log, or give more --timeout."
                ) from None
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2.0)
