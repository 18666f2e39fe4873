"""Where does a replay write? Into a schema of its own beside the live tables, as a role that may touch nothing else.

The role has no right to any live table, and its search path holds its own schema alone. Names of shadows begin with
`registry_shadow_`, or another service's name in its place. What a killed run left behind the next one drops; what was
kept stays.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from chassis.migrations import migrate
from chassis.postgres import UNAVAILABLE
from console.environment import Stack
from console.services import migrations_of
from console.store import STILL_NEEDED, Connection, connect
from deploy.databases import ensure_role
from deploy.local.problem import Problem

#: Held by whoever uses a shadow, so that nobody takes it for a leftover: "shadow" on a telephone keypad.
RUNS: Final = 742369

LOCK: Final = "SELECT pg_try_advisory_lock($1, hashtext($2))"
UNLOCK: Final = "SELECT pg_advisory_unlock($1, hashtext($2))"
#: Shadows of runs that were killed: a kept one's role may not log in. $1 the prefix
SELECT_LEFT: Final = """
SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1) AND rolcanlogin ORDER BY rolname
"""
#: Its only rights: to connect, and whatever it likes within its own schema.
MAKE: Final = """
GRANT CONNECT ON DATABASE "{service}" TO "{name}";
ALTER ROLE "{name}" SET search_path = "{name}";
CREATE SCHEMA "{name}" AUTHORIZATION "{name}"
"""
#: What a killed run began its session goes on with until it notices. $1 the role
END_SESSIONS: Final = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = $1"
DROP_SCHEMA: Final = 'DROP SCHEMA IF EXISTS "{name}" CASCADE'
SELECT_ROLE: Final = "SELECT true FROM pg_roles WHERE rolname = $1"
DROP_ROLE: Final = 'DROP OWNED BY "{name}"; DROP ROLE "{name}"'
#: The service's own role can read what is kept.
KEEP: Final = 'GRANT "{name}" TO "{service}"; ALTER ROLE "{name}" NOLOGIN'
#: A shadow that a power cut loses is made again.
HURRY: Final = "SET synchronous_commit = off"


@dataclass(frozen=True)
class _Lent(Stack):
    """A server with the passwords of some roles. It knows no broker."""

    passwords: Mapping[str, str] = field(repr=False, default_factory=dict)

    def secret(self, name: str) -> str:
        return self.passwords[name]


@dataclass
class Shadow:
    """A service's tables, without rows."""

    #: Of its schema, and of its role.
    name: str
    connection: Connection
    #: The superuser's session, in the same database.
    admin: Connection = field(repr=False)
    #: Set by whoever wants to look at it afterwards.
    keep: bool = False


@contextlib.asynccontextmanager
async def open_shadow(stack: Stack, service: str = "registry") -> AsyncIterator[Shadow]:
    """A schema with a service's tables. Dropped when the block ends, however it ends, unless it is to be kept.

    Raises `Problem` without the superuser's secret: nobody else may make a role.
    """
    prefix = f"{service}_shadow_"
    name, password = prefix + secrets.token_hex(4), secrets.token_urlsafe(24)
    async with as_superuser(stack, service) as admin:
        await admin.fetchval(LOCK, RUNS, name)
        await _drop_left(admin, prefix)
        kept = False
        try:
            async with admin.transaction():
                await ensure_role(admin, name, password)
                await admin.execute(MAKE.format(name=name, service=service))
            lent = _lent(stack, name, password)
            async with connect(lent, service, role=name, idle_in_transaction_timeout="0") as connection:
                await migrate(connection, migrations_of(service))
                await connection.execute(HURRY)
                shadow = Shadow(name, connection, admin)
                yield shadow
                kept = shadow.keep
        finally:
            # A second Ctrl-C must not leave it there.
            await asyncio.shield(_end(stack, service, name, kept=kept))


def _lent(stack: Stack, role: str, password: str) -> _Lent:
    return _Lent(
        kafka_bootstrap="",
        postgres_host=stack.postgres_host,
        postgres_port=stack.postgres_port,
        secrets_dir=stack.secrets_dir,
        passwords={f"{role}/database_password": password},
    )


def as_superuser(stack: Stack, service: str) -> contextlib.AbstractAsyncContextManager[Connection]:
    """A service's database, for whoever may do everything. Raises `Problem` without that secret."""
    return connect(_lent(stack, "postgres", stack.secret("postgres/superuser_password")), service, role="postgres")


async def _end(stack: Stack, service: str, name: str, *, kept: bool) -> None:
    try:
        # A session of its own: the other one may have been cut off in the middle.
        async with as_superuser(stack, service) as admin:
            if kept:
                await admin.execute(KEEP.format(name=name, service=service))
            else:
                await _drop(admin, name)
    except (Problem, *UNAVAILABLE):
        # The server is away, and the run fails of it. The next one drops what is left.
        return


async def _drop_left(admin: Connection, prefix: str) -> None:
    for row in await admin.fetch(SELECT_LEFT, prefix):
        name = row["rolname"]
        if await admin.fetchval(LOCK, RUNS, name):
            try:
                # Not one that something else was made of.
                with contextlib.suppress(STILL_NEEDED):
                    await _drop(admin, name)
            finally:
                await admin.fetchval(UNLOCK, RUNS, name)


async def _drop(admin: Connection, name: str) -> None:
    await admin.fetch(END_SESSIONS, name)
    await admin.execute(DROP_SCHEMA.format(name=name))
    if await admin.fetchval(SELECT_ROLE, name):
        await admin.execute(DROP_ROLE.format(name=name))
