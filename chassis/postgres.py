"""How we talk to PostgreSQL: one pool per process, bounded waits, one transaction per poll or request."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import structlog

from chassis.settings import ServiceSettings
from chassis.tls import distrust, trusting

if TYPE_CHECKING:
    #: A connection inside an open transaction. Handlers get one; they neither commit nor open their own.
    Transaction = asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Transaction = Any
    Pool = asyncpg.Pool

log = structlog.get_logger()

#: The database is away, busy or restarting: the same statement may work later. `InternalClientError` and
#: `InterfaceError` are what asyncpg raises when a server is killed in the middle of a protocol exchange.
UNAVAILABLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
)

#: What the database's own checks refuse: this statement will never work.
REFUSED: Final = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

#: A frozen process must not hold its locks for ever: PostgreSQL closes its session and others go on.
SESSION: Final = {
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "5s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "timezone": "UTC",
}


def address(settings: ServiceSettings, service: str) -> dict[str, Any]:
    """Connection arguments: a service's database and role bear its name."""
    return {
        "host": settings.postgres_host,
        "port": settings.postgres_port,
        "user": service,
        "database": service,
        "password": settings.secrets.text("database_password"),
        "server_settings": {**SESSION, "application_name": f"akashi-{service}"},
        "command_timeout": 60,
        "timeout": 10,
        **over_tls(settings.postgres_ca_file),
    }


def over_tls(ca_file: Path | None) -> dict[str, Any]:
    """Connection arguments: with a file, nothing is said before the server has shown a certificate for its name from
    one of these authorities. Raises `CertificateUnusable`.
    """
    return {} if ca_file is None else {"ssl": trusting(ca_file)}


async def connect_pool(settings: ServiceSettings, service: str) -> "Pool":
    """Open the pool, waiting as long as PostgreSQL takes to come up."""
    delay = 0.1
    while True:
        try:
            return await asyncpg.create_pool(
                **address(settings, service), min_size=1, max_size=settings.postgres_pool_size, reset=_nothing_is_left
            )
        except (*UNAVAILABLE, asyncpg.InvalidCatalogNameError, asyncpg.InvalidAuthorizationSpecificationError) as error:
            log.warning("postgres.waiting", error=type(error).__name__, **distrust(error))
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2.0)


async def _nothing_is_left(connection: Any) -> None:
    """Spares a statement at every end of a transaction: ours set nothing that outlives them. (asyncpg itself has rolled
    back what was open.)
    """


@contextlib.asynccontextmanager
async def transaction(
    pool: "Pool", *, timeout_seconds: float = 10.0, of_one_moment: bool = False
) -> AsyncIterator["Transaction"]:
    """A transaction that is committed when the block ends, and rolled back when it raises.

    `of_one_moment`: all its statements read the same state (REPEATABLE READ), whatever others commit meanwhile.
    """
    async with (
        pool.acquire(timeout=timeout_seconds) as connection,
        connection.transaction(isolation="repeatable_read" if of_one_moment else None),
    ):
        yield connection


@contextlib.asynccontextmanager
async def unless_done_meanwhile(tx: "Transaction") -> AsyncIterator[None]:
    """In a transaction of one moment: where another did the same meanwhile, this block is undone; the rest goes on."""
    with contextlib.suppress(asyncpg.SerializationError):
        async with tx.transaction():
            yield
