"""How does each test get databases of its own? Copied from templates that were migrated once."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from chassis import migrations
from chassis.postgres import SESSION
from deploy.databases import ensure_databases
from deploy.secrets import SERVICES
from tests.support.keys import Keyring
from tests.support.stack import Server

#: Which tables of the chassis each service has, as its `app.py` says.
SHARED_TABLES: Final[dict[str, Sequence[str]]] = {
    "intake": ("chassis_0001_outbox", "chassis_0002_accounts", "chassis_0003_sign_in"),
    "issuer": ("chassis_0001_outbox", "chassis_0002_accounts", "chassis_0003_sign_in"),
    "registry": ("chassis_0001_outbox", "chassis_0002_accounts", "chassis_0003_sign_in"),
    "notifier": ("chassis_0001_outbox",),
}


class Databases:
    """The databases of the four services on one server."""

    def __init__(self, server: Server, keys: Keyring) -> None:
        self.server = server
        self._keys = keys
        self._templates: set[str] = set()

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
        template = await self._template(service) if migrated else "template0"
        async with _Superuser(self.server) as connection:
            await connection.execute(f'DROP DATABASE IF EXISTS "{service}" WITH (FORCE)')
            await connection.execute(f'CREATE DATABASE "{service}" OWNER "{service}" TEMPLATE "{template}"')

    async def drop(self, service: str) -> None:
        async with _Superuser(self.server) as connection:
            await connection.execute(f'DROP DATABASE IF EXISTS "{service}" WITH (FORCE)')

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
                await migrations.migrate(connection, migrations.files_of(service, SHARED_TABLES[service]))
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
    def __init__(self, server: Server) -> None:
        self._server = server

    async def __aenter__(self) -> "asyncpg.Connection[asyncpg.Record]":
        self._connection = await asyncpg.connect(
            host=self._server.host,
            port=self._server.port,
            user="postgres",
            database="postgres",
            password=self._server.password,
        )
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()
