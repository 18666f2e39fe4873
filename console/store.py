"""Every SQL statement of the console, and the way to each service's database."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from chassis.postgres import SESSION, over_tls
from chassis.tls import why_distrusted
from console.environment import Stack
from deploy.local.problem import Problem

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    Record = asyncpg.Record
else:
    Connection = Record = Any

#: Keep a contractor unless there is one of this id.
INSERT_CONTRACTOR: Final = """
INSERT INTO contractor (id, name, address, representative) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO NOTHING RETURNING id
"""
SELECT_CONTRACTOR: Final = "SELECT id, name, address, representative FROM contractor WHERE id = $1"
SELECT_ACCOUNT: Final = "SELECT id, role, subject_id, person, disabled_at FROM account WHERE id = $1"
#: Revoke the one token that begins with these digits.
REVOKE_TOKEN: Final = """
UPDATE token SET revoked_at = now()
WHERE encode(substring(sha256 FROM 1 FOR 4), 'hex') = $1 AND revoked_at IS NULL RETURNING account_id
"""
#: Which migrations a database has had.
SELECT_APPLIED: Final = "SELECT name, sha256, applied_at FROM schema_migration"
#: Everything the registry keeps of a certificate; streamed, so the order is the table's own.
SELECT_REGISTRY: Final = """
SELECT certificate_id, contract_number, version, change_number, application_id, product, surety_id, purchaser_id,
       issued_at, content, content_sha256, key_digest, pepper_id, registered_at
FROM certificate
"""
#: The log's newest signed states.
SELECT_CHECKPOINTS: Final = "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 5"
#: Leaves, each with what its document is made of; of what the registry does not have, nulls. $1 first, $2 end
SELECT_LEAVES: Final = """
SELECT leaf.index, leaf.kind, leaf.salt, leaf.commitment, view.view_id, view.account_id AS viewed_by, view.viewed_at,
    certificate.certificate_id, contract_number, version, change_number, application_id, product, surety_id,
    purchaser_id, issued_at, content_sha256, key_digest, pepper_id, registered_at
FROM leaf
    LEFT JOIN view ON leaf.kind = 'view' AND view.view_id = leaf.subject
    LEFT JOIN certificate
        ON certificate.certificate_id = CASE WHEN leaf.kind = 'view' THEN view.certificate_id ELSE leaf.subject END
WHERE leaf.index >= $1 AND leaf.index < $2 ORDER BY leaf.index
"""

#: Others hold what a statement needs: it may have it a moment later.
BUSY: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
#: Somebody else dropped it.
NOT_THERE: Final = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)
#: Something else is made of what was to be dropped.
STILL_NEEDED: Final = asyncpg.DependentObjectsStillExistError

_FETCH: Final = 2000


@contextlib.asynccontextmanager
async def connect(
    stack: Stack, service: str, *, role: str | None = None, idle_in_transaction_timeout: str = "10s"
) -> AsyncIterator[Connection]:
    """A connection to a service's database, as that service, unless another role is named."""
    password = stack.secret(f"{role or service}/database_password")
    try:
        connection = await asyncpg.connect(
            host=stack.postgres_host,
            port=stack.postgres_port,
            user=role or service,
            database=service,
            password=password,
            server_settings={
                **SESSION,
                "application_name": "akashi-console",
                "idle_in_transaction_session_timeout": idle_in_transaction_timeout,
            },
            timeout=10,
            **over_tls(stack.postgres_ca_file),
            # A migration may take its time; a server that is frozen must not take ours.
            command_timeout=600,
        )
    except (OSError, TimeoutError) as error:
        if why := why_distrusted(error):
            raise Problem(
                f"What answers at {stack.postgres_host}:{stack.postgres_port} is not the PostgreSQL to trust ({why}), "
                "and was told nothing: correct AKASHI_POSTGRES_CA_FILE, or find out who listens there."
            ) from None
        raise Problem(
            f"PostgreSQL at {stack.postgres_host}:{stack.postgres_port} can't be reached ({type(error).__name__}): "
            "start the stack with `akashi up`, or correct AKASHI_POSTGRES_HOST and AKASHI_POSTGRES_PORT."
        ) from None
    try:
        yield connection
    finally:
        try:
            await connection.close(timeout=5)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            connection.terminate()


async def registry_rows(connection: Connection) -> AsyncIterator[Record]:
    """Every certificate of the registry, as the open transaction sees them, without holding them all."""
    async for row in connection.cursor(SELECT_REGISTRY, prefetch=_FETCH):
        yield row


async def newest_checkpoints(connection: Connection) -> Sequence[Record]:
    """Some of them, the newest first."""
    return await connection.fetch(SELECT_CHECKPOINTS)


async def leaves_of(connection: Connection, first: int, end: int) -> AsyncIterator[Sequence[Record]]:
    """The log's leaves in their order, some at a time; they never change, but for salts that are erased."""
    for index in range(first, end, _FETCH):
        yield await connection.fetch(SELECT_LEAVES, index, min(index + _FETCH, end))
