"""How a database gets its tables: plain numbered .sql files, each applied once, by whoever comes first.

Safe to start in many processes at once. The lock is polled, never waited for inside PostgreSQL: a session that
blocks on an advisory lock holds a snapshot, and `CREATE INDEX CONCURRENTLY` in the holder would wait for it for ever.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg
import structlog

log = structlog.get_logger()

SHARED = Path(__file__).parent / "sql"
LOCK = 0x616B_6173_6869  # "akashi"

CREATE_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migration (
    name text COLLATE "C" PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
SELECT_LEDGER = "SELECT to_regclass('schema_migration')"
SELECT_APPLIED = "SELECT name, sha256 FROM schema_migration"
INSERT_APPLIED = "INSERT INTO schema_migration (name, sha256) VALUES ($1, $2)"
#: A session is idle only while its process is frozen: then PostgreSQL ends it, and with it the lock.
IDLE_SESSION_TIMEOUT = "15s"
#: First line of a file that must run outside a transaction. It may run again: see `_apply`.
NO_TRANSACTION = "-- transaction: none"
#: Such a file waits for every transaction that began before it, an audit's and a backup's too: given up after the
#: seconds of an ordinary statement, it would begin from nothing again and again. Only who migrates waits for it.
WAIT_FOR_OLDER = "SET lock_timeout = 0"
NO_TRANSACTION_SECONDS = 86_400
#: Indexes that were not built to their end. No migration builds one now: we have the lock. Queries do not use them.
SELECT_HALF_BUILT = """
SELECT format('%I.%I', namespace.nspname, class.relname) FROM pg_index AS index
JOIN pg_class AS class ON class.oid = index.indexrelid
JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE NOT index.indisvalid AND class.relkind = 'i' AND class.relowner = current_user::regrole
"""


class MigrationChanged(Exception):
    """A file that was applied before reads differently now."""


def files_of(service: str, shared: Sequence[str]) -> tuple[Path, ...]:
    """The service's migrations: the chassis tables it names first, then its own in order."""
    own = Path(__file__).parent.parent / "services" / service / "migrations"
    return (*(SHARED / f"{name}.sql" for name in shared), *sorted(own.glob("*.sql")))


async def migrate(connection: "asyncpg.Connection[asyncpg.Record]", files: Sequence[Path]) -> list[str]:
    """Apply what is missing and return its names. Durable file by file; a repeat does nothing.

    What a newer release applied stays, and is only told: an older one runs beside it, and after it was taken back. One
    that misses nothing asks for no lock, so that it starts while the newer one builds an index for hours.
    """
    applied = await _applied(connection)
    if newer := sorted(applied.keys() - {file.name for file in files}):
        log.warning("migration.of_a_newer_release", files=newer)
    if not _missing(files, applied):
        return []
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
        await asyncio.sleep(0.2)
    try:
        await connection.execute(f"SET idle_session_timeout = '{IDLE_SESSION_TIMEOUT}'")
        await connection.execute(CREATE_LEDGER)
        # Another process may have been at it until now.
        missing = _missing(files, await _applied(connection))
        for name, sql in missing.items():
            try:
                await _apply(connection, name, sql)
            except Exception as error:
                error.add_note(f"{name} was not applied")
                raise
        return list(missing)
    finally:
        await connection.execute("RESET idle_session_timeout")
        await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)


async def _applied(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, str]:
    """What was applied, and as which text."""
    if await connection.fetchval(SELECT_LEDGER) is None:
        return {}
    return {row["name"]: row["sha256"] for row in await connection.fetch(SELECT_APPLIED)}


def _missing(files: Sequence[Path], applied: Mapping[str, str]) -> dict[str, str]:
    """What is to be applied, in order: names and texts. Raises `MigrationChanged`."""
    missing = {}
    for file in files:
        sql = file.read_text()
        if file.name not in applied:
            missing[file.name] = sql
        elif applied[file.name] != _digest(sql):
            raise MigrationChanged(f"{file.name} was applied as another text: write a new file instead.")
    return missing


def _digest(sql: str) -> str:
    return hashlib.sha256(sql.encode()).hexdigest()


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", name: str, sql: str) -> None:
    if sql.startswith(NO_TRANSACTION):
        await connection.execute(WAIT_FOR_OLDER)
        # Whoever tried before may have been killed in the middle, or before it noted what was done.
        for (index,) in await connection.fetch(SELECT_HALF_BUILT):
            await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}", timeout=NO_TRANSACTION_SECONDS)
            log.warning("migration.half_built_dropped", index=index)
        await connection.execute(sql, timeout=NO_TRANSACTION_SECONDS)
        await connection.execute("RESET lock_timeout")
        await connection.execute(INSERT_APPLIED, name, _digest(sql))
    else:
        async with connection.transaction():
            await connection.execute(sql)
            await connection.execute(INSERT_APPLIED, name, _digest(sql))
    log.info("migration.applied", file=name)
