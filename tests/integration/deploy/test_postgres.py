import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.databases import ensure_databases
from deploy.local.postgres import LocalPostgres
from deploy.local.state import free_port


@pytest.fixture
def postgres(state: Path) -> Iterator[LocalPostgres]:
    with LocalPostgres(state, free_port()) as server:
        yield server


async def run(dsn: str, statement: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_a_row_is_still_there_after_a_kill_and_on_another_port(postgres: LocalPostgres) -> None:
    await run(postgres.dsn(), "CREATE TABLE kept (name text)")
    await run(postgres.dsn(), "INSERT INTO kept VALUES ('証書')")
    session = await asyncpg.connect(postgres.dsn())
    postgres.kill()
    assert not postgres.is_ready()

    postgres.port = free_port()
    postgres.start()

    assert await run(postgres.dsn(), "SELECT name FROM kept") == "証書"
    session.terminate()


async def test_it_starts_although_another_process_has_the_pid_in_a_stale_postmaster_pid(
    postgres: LocalPostgres,
) -> None:
    postgres.kill()
    next(postgres.state.rglob("data")).joinpath("postmaster.pid").write_text("1\n")

    postgres.start()

    assert await run(postgres.dsn(), "SELECT 1") == 1


async def test_nobody_comes_in_without_the_password(postgres: LocalPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.dsn(password="guessed"))


async def test_text_is_sorted_by_code_point_and_upper_case_knows_unicode(postgres: LocalPostgres) -> None:
    assert await run(postgres.dsn(), "SELECT upper('é') || ('Z' < 'a')::text") == "Étrue"


async def test_each_service_has_a_database_that_no_other_can_enter(postgres: LocalPostgres) -> None:
    passwords = {"intake": "ein'fach", "issuer": "zwei"}

    async def ensure() -> None:
        await ensure_databases("127.0.0.1", postgres.port, postgres.admin_password, passwords)

    await asyncio.gather(*(ensure() for _ in range(4)))
    await ensure()

    assert await run(postgres.dsn("intake", "intake", "ein'fach"), "CREATE TABLE own ()") is None
    for closed in ("issuer", "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(postgres.dsn(closed, "intake", "ein'fach"))


async def test_a_changed_password_is_changed_in_the_server(postgres: LocalPostgres) -> None:
    await ensure_databases("127.0.0.1", postgres.port, postgres.admin_password, {"intake": "old"})
    await ensure_databases("127.0.0.1", postgres.port, postgres.admin_password, {"intake": "new"})

    assert await run(postgres.dsn("intake", "intake", "new"), "SELECT 1") == 1
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.dsn("intake", "intake", "old"))


async def test_the_servers_log_never_shows_a_password(postgres: LocalPostgres) -> None:
    await run(postgres.dsn(), "ALTER SYSTEM SET log_statement = 'all'")
    await run(postgres.dsn(), "SELECT pg_reload_conf()")
    await ensure_databases("127.0.0.1", postgres.port, postgres.admin_password, {"intake": "hitotsu-himitsu"})

    assert "CREATE DATABASE" in postgres.log.read_text()
    assert "hitotsu-himitsu" not in postgres.log.read_text()
