"""Which migrations has each service's database had, and which are still to come?"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from chassis.migrations import migrate
from console import store
from console.environment import Stack
from console.services import migrations_of
from deploy.local.problem import Problem


@dataclass(frozen=True)
class Migration:
    """One file of one service, and what became of it."""

    service: str
    file: str
    #: `applied`, `pending`, `changed` since it was applied, or `unknown` to this version of the program
    state: str
    applied_at: datetime | None = None


async def apply(stack: Stack, service: str) -> list[str]:
    """Apply what is missing and return its names. Safe beside running services, and beside itself."""
    async with store.connect(stack, service) as connection:
        try:
            return await migrate(connection, migrations_of(service))
        except asyncpg.PostgresError as error:
            where = ", ".join([service, *getattr(error, "__notes__", ())])
            is_held = isinstance(error, asyncpg.LockNotAvailableError)
            again = " Something else uses the table: run it again." if is_held else ""
            raise Problem(f"{where}: {type(error).__name__}, {error}.{again}") from None


async def status(stack: Stack, service: str) -> list[Migration]:
    """Every migration of a service. Changes nothing."""
    async with store.connect(stack, service) as connection:
        try:
            rows = await connection.fetch(store.SELECT_APPLIED)
        except asyncpg.UndefinedTableError:
            rows = []
    return states(service, migrations_of(service), {row["name"]: dict(row) for row in rows})


def states(service: str, files: Sequence[Path], applied: Mapping[str, Mapping[str, Any]]) -> list[Migration]:
    """Files beside what was applied, in the order of the files; what has no file comes last."""
    found = []
    for file in files:
        row = applied.get(file.name)
        if row is None:
            found.append(Migration(service, file.name, "pending"))
            continue
        same = row["sha256"] == hashlib.sha256(file.read_text().encode()).hexdigest()
        found.append(Migration(service, file.name, "applied" if same else "changed", row["applied_at"]))
    names = {file.name for file in files}
    found += [
        Migration(service, name, "unknown", row["applied_at"])
        for name, row in sorted(applied.items())
        if name not in names
    ]
    return found
