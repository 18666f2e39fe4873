import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chassis.tls import trusting
from deploy.databases import ensure_databases
from deploy.local.postgres import LocalPostgres, programs
from deploy.local.problem import Problem
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


def test_data_of_another_version_is_left_alone(postgres: LocalPostgres) -> None:
    postgres.stop()
    (data,) = postgres.state.rglob("data/PG_VERSION")
    data.write_text("14\n")

    with pytest.raises(Problem, match=r"PostgreSQL 14 made the data .*AKASHI_PG_BIN"):
        postgres.prepare()


async def test_with_a_certificate_it_lets_nobody_in_but_by_tls_and_shows_a_renewed_one(state: Path, keys) -> None:
    try:
        programs(tls=True)
    except Problem as none_here:
        pytest.skip(str(none_here))
    shown = state / "tls.pem"
    shown.write_text((keys.folder / "database" / "tls.pem").read_text())
    with LocalPostgres(state / "postgres", free_port(), certificate_file=shown) as server:
        before = await serial(server, keys)
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
            await asyncpg.connect(server.dsn(), ssl=False)
        server.stop()

        # As good as any other of this authority.
        shown.write_text((keys.folder / "intake" / "tls.pem").read_text())
        server.start()

        assert await serial(server, keys) != before
        copies = [path for path in server.state.rglob("tls.pem") if path.stat().st_mode & 0o077]
        assert copies == []


async def serial(server: LocalPostgres, keys) -> str:
    connection = await asyncpg.connect(server.dsn(), ssl=trusting(keys.folder / "operator" / "ca.pem"))
    try:
        return str(connection._transport.get_extra_info("peercert")["serialNumber"])  # type: ignore[attr-defined]
    finally:
        await connection.close()


def test_who_asks_for_tls_is_told_where_there_is_none(state: Path) -> None:
    inside = programs()
    if inside == programs(tls=True):
        pytest.skip("the PostgreSQL that is taken first speaks TLS")

    with pytest.raises(Problem, match="was built without TLS"):
        programs({"AKASHI_PG_BIN": str(inside)}, tls=True)
    with pytest.raises(Problem, match=r"No PostgreSQL here speaks TLS: .*apt install postgresql"):
        programs({}, debian=state, tls=True)


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
