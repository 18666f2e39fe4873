"""Where does a replay write? Into a database of its own, as a role that may open nothing else.

Names of shadows begin with `registry_shadow_`, or another service's name in its place. What a killed run left behind
the next one drops; what was kept stays.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from chassis.migrations import files_of, migrate
from chassis.postgres import UNAVAILABLE
from console.environment import Stack
from console.services import make_service
from console.store import Connection, connect
from deploy.databases import ensure_databases
from deploy.local.problem import Problem

PREFIX: Final = "registry_shadow_"
#: Held by whoever uses a shadow, so that nobody takes it for a leftover: "shadow" on a telephone keypad.
_LOCK: Final = 742369

LOCK: Final = "SELECT pg_try_advisory_lock($1, hashtext($2))"
UNLOCK: Final = "SELECT pg_advisory_unlock($1, hashtext($2))"
#: Shadows of runs that were killed: a kept one's role may not log in. $1 the prefix
SELECT_LEFT: Final = """
SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1) AND rolcanlogin ORDER BY rolname
"""
DROP_DATABASE: Final = 'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'
DROP_ROLE: Final = 'DROP ROLE IF EXISTS "{name}"'
#: The service's own role can open what is kept.
KEEP: Final = 'GRANT "{name}" TO "{service}"; ALTER ROLE "{name}" NOLOGIN'
#: A shadow that a power cut loses is made again.
HURRY: Final = "SET synchronous_commit = off"


@dataclass(frozen=True)
class _Lent(Stack):
    """One database of a server, with the one password for it. It knows no broker."""

    passwords: Mapping[str, str] = field(repr=False, default_factory=dict)

    def secret(self, name: str) -> str:
        return self.passwords[name]


@dataclass
class Shadow:
    """A service's tables, without rows."""

    name: str
    connection: Connection
    #: Set by whoever wants to look at it afterwards.
    keep: bool = False


@contextlib.asynccontextmanager
async def open_shadow(stack: Stack, service: str = "registry") -> AsyncIterator[Shadow]:
    """A database with a service's tables. Dropped when the block ends, however it ends, unless it is to be kept.

    Raises `Problem` without the superuser's secret: nobody else may make a database.
    """
    superuser = stack.secret("postgres/superuser_password")
    prefix = f"{service}_shadow_"
    name, password = prefix + secrets.token_hex(4), secrets.token_urlsafe(24)
    async with _as_superuser(stack, superuser) as admin:
        await admin.fetchval(LOCK, _LOCK, name)
        await _drop_left(admin, prefix)
        kept = False
        try:
            await ensure_databases(stack.postgres_host, stack.postgres_port, superuser, {name: password})
            lent = _lent(stack, name, password)
            async with connect(lent, name, idle_in_transaction_timeout="0") as connection:
                await migrate(connection, files_of(service, make_service(service).shared_tables))
                await connection.execute(HURRY)
                shadow = Shadow(name, connection)
                yield shadow
                kept = shadow.keep
        finally:
            # A second Ctrl-C must not leave it there.
            await asyncio.shield(_end(stack, superuser, name, kept_for=service if kept else None))


def _lent(stack: Stack, name: str, password: str) -> _Lent:
    return _Lent(
        kafka_bootstrap="",
        postgres_host=stack.postgres_host,
        postgres_port=stack.postgres_port,
        secrets_dir=stack.secrets_dir,
        passwords={f"{name}/database_password": password},
    )


def _as_superuser(stack: Stack, password: str) -> contextlib.AbstractAsyncContextManager[Connection]:
    return connect(_lent(stack, "postgres", password), "postgres")


async def _end(stack: Stack, superuser: str, name: str, *, kept_for: str | None) -> None:
    try:
        # A session of its own: the other one may have been cut off in the middle.
        async with _as_superuser(stack, superuser) as admin:
            if kept_for:
                await admin.execute(KEEP.format(name=name, service=kept_for))
            else:
                await _drop(admin, name)
    except (Problem, *UNAVAILABLE):
        # The server is away, and the run fails of it. The next one drops what is left.
        return


async def _drop_left(admin: Connection, prefix: str) -> None:
    for row in await admin.fetch(SELECT_LEFT, prefix):
        name = row["rolname"]
        if await admin.fetchval(LOCK, _LOCK, name):
            try:
                await _drop(admin, name)
            finally:
                await admin.fetchval(UNLOCK, _LOCK, name)


async def _drop(admin: Connection, name: str) -> None:
    await admin.execute(DROP_DATABASE.format(name=name))
    await admin.execute(DROP_ROLE.format(name=name))
