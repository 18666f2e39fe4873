"""How does each test get databases of its own? Copied from templates that were migrated once, and then emptied again."""

import asyncio
import io
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from chassis.migrations import migrate
from chassis.postgres import SESSION
from console.services import migrations_of
from deploy.databases import ensure_databases
from deploy.secrets import SERVICES
from tests.support.keys import Keyring
from tests.support.stack import Server

#: Another one after every change of the tables themselves, of what belongs to them and of who may use them.
SHAPE: Final = """
SELECT md5(string_agg(made, ' ' ORDER BY made)) FROM (
    SELECT oid || ':' || xmin FROM pg_class WHERE oid >= 16384
    UNION ALL SELECT attrelid || '.' || attnum || ':' || xmin FROM pg_attribute WHERE attrelid >= 16384
    UNION ALL SELECT oid || ':' || xmin FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT oid || ':' || xmin FROM pg_trigger WHERE oid >= 16384
    UNION ALL SELECT oid || ':' || xmin FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT oid || ':' || xmin FROM pg_namespace
) AS all_of_them (made)
"""
TABLES: Final = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
#: Foreign keys and triggers aside.
EMPTY: Final = f"""
SET LOCAL session_replication_role = replica;
DO $$ DECLARE name text; BEGIN
    FOR name IN {TABLES} LOOP EXECUTE format('DELETE FROM public.%I', name); END LOOP;
END $$;
SELECT setval(seqrelid, seqstart, false) FROM pg_sequence;
"""
END_SESSIONS: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Copied:
    """A database as it was when it had just been copied."""

    shape: str
    #: Of each table that has some: as COPY writes them.
    rows: dict[str, bytes]


class Databases:
    """The databases of the four services on one server."""

    def __init__(self, server: Server, keys: Keyring) -> None:
        self.server = server
        self._keys = keys
        self._templates: set[str] = set()
        self._copied: dict[str, Copied] = {}

    def address(self, service: str, database: str | None = None) -> dict[str, Any]:
        """Arguments for asyncpg, as that service."""
        return {
            "host": self.server.host,
            "port": self.server.port,
            "user": service,
            "database": database or service,
            "password": self._keys.database_password(service),
            "server_settings": {**SESSION, "application_name": f"akashi-{service}"},
        }

    async def ensure_roles(self) -> None:
        passwords = {service: self._keys.database_password(service) for service in SERVICES}
        await ensure_databases(self.server.host, self.server.port, self.server.password, passwords)

    async def fresh(self, service: str, *, migrated: bool = True) -> None:
        """Replace a service's database by one without rows; without tables, too, when not `migrated`."""
        copied = self._copied.pop(service, None)
        if not (migrated and copied and await self._emptied(service, copied)):
            template = await self._template(service) if migrated else "template0"
            async with _Superuser(self.server) as connection:
                await connection.execute(f'DROP DATABASE IF EXISTS "{service}" WITH (FORCE)')
                await connection.execute(f'CREATE DATABASE "{service}" OWNER "{service}" TEMPLATE "{template}"')
            copied = await self._as_copied(service) if migrated else None
        if copied:
            self._copied[service] = copied

    async def _as_copied(self, service: str) -> Copied:
        rows = {}
        async with _Superuser(self.server, service) as connection:
            for (table,) in await connection.fetch(TABLES):
                await connection.copy_from_table(table, output=(written := io.BytesIO()))
                if written.getvalue():
                    rows[table] = written.getvalue()
            return Copied(await connection.fetchval(SHAPE), rows)

    async def _emptied(self, service: str, copied: Copied) -> bool:
        """Bring a database back to what it was: an eighth of the time that a copy takes. False where it has changed by
        more than its rows.
        """
        async with _Superuser(self.server, service) as connection:
            while await connection.fetch(END_SESSIONS, service):
                await asyncio.sleep(0.01)
            if await connection.fetchval(SHAPE) != copied.shape:
                return False
            async with connection.transaction():
                await connection.execute(EMPTY)
                for table, rows in copied.rows.items():
                    await connection.copy_to_table(table, source=io.BytesIO(rows))
        return True

    async def drop(self, service: str) -> None:
        self._copied.pop(service, None)
        async with _Superuser(self.server) as connection:
            await connection.execute(f'DROP DATABASE IF EXISTS "{service}" WITH (FORCE)')

    async def take_away(self, service: str) -> None:
        """End all its sessions and let nobody in, as if the server were gone for it."""
        async with _Superuser(self.server) as connection:
            await connection.execute(f'ALTER DATABASE "{service}" ALLOW_CONNECTIONS false')
            await connection.execute(END_SESSIONS, service)

    async def give_back(self, service: str) -> None:
        async with _Superuser(self.server) as connection:
            await connection.execute(f'ALTER DATABASE "{service}" ALLOW_CONNECTIONS true')

    async def end_sessions(self, application_name: str) -> int:
        """Close the server's side of these sessions, as a restart of the server would; return how many there were."""
        async with _Superuser(self.server) as connection:
            return len(
                await connection.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
                    application_name,
                )
            )

    async def _template(self, service: str) -> str:
        name = f"template_{service}"
        if name not in self._templates:
            async with _Superuser(self.server) as connection:
                await connection.execute(f'CREATE DATABASE "{name}" OWNER "{service}" TEMPLATE template0')
            connection = await asyncpg.connect(**self.address(service, name))
            try:
                await migrate(connection, migrations_of(service))
            finally:
                await connection.close()
            await self._until_left(name)
            self._templates.add(name)
        return name

    async def _until_left(self, database: str) -> None:
        """A database can be copied once the last session has really ended."""
        async with _Superuser(self.server) as connection:
            while await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE datname = $1", database):
                await asyncio.sleep(0.01)


class _Superuser:
    def __init__(self, server: Server, database: str = "postgres") -> None:
        self._server = server
        self._database = database

    async def __aenter__(self) -> "asyncpg.Connection[asyncpg.Record]":
        self._connection = await asyncpg.connect(
            host=self._server.host,
            port=self._server.port,
            user="postgres",
            database=self._database,
            password=self._server.password,
        )
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()
