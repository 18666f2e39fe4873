"""Does every service have its role and its database, and nobody another's?"""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from chassis.postgres import over_tls

#: Any number, as long as it is always this one: "akashi" on a telephone keypad.
_LOCK = 252744
_ITERATIONS = 4096


async def ensure_databases(
    host: str, port: int, superuser_password: str, passwords: Mapping[str, str], *, ca_file: Path | None = None
) -> None:
    """Each service named in `passwords` has a role and a database of its own name, and only that role may connect.

    Can be repeated and run by several at once. A password that changed is changed in the server, too.
    """
    connection = await asyncpg.connect(
        host=host,
        port=port,
        user="postgres",
        password=superuser_password,
        database="postgres",
        **over_tls(ca_file),
    )
    try:
        # CREATE DATABASE refuses a transaction, so the lock is the session's.
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await _close_to_public(connection, "postgres")
        await _close_to_public(connection, "template1")
        for service, password in passwords.items():
            await ensure_role(connection, service, password)
            await _ensure_database(connection, service)
    finally:
        await connection.close()


async def ensure_role(connection: asyncpg.Connection, role: str, password: str) -> None:
    """A role that may log in with this password. It has no rights yet."""
    stored = await connection.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", role)
    if stored is not None and _fits(password, stored):
        return
    known = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
    # Only the verifier goes to the server, whose log may repeat a statement.
    verifier = _scram_verifier(password, os.urandom(16), _ITERATIONS)
    command = "ALTER ROLE" if known else "CREATE ROLE"
    await connection.execute(f"{command} {_quoted(role)} LOGIN PASSWORD '{verifier}'")


async def _ensure_database(connection: asyncpg.Connection, name: str) -> None:
    if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
        # From template0, because nobody can be connected to it.
        await connection.execute(f"CREATE DATABASE {_quoted(name)} OWNER {_quoted(name)} TEMPLATE template0")
    await _close_to_public(connection, name)


async def _close_to_public(connection: asyncpg.Connection, database: str) -> None:
    await connection.execute(f"REVOKE ALL ON DATABASE {_quoted(database)} FROM PUBLIC")


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _fits(password: str, verifier: str) -> bool:
    try:
        method, rounds_and_salt, _keys = verifier.split("$")
        rounds, salt = rounds_and_salt.split(":")
    except ValueError:
        return False
    expected = _scram_verifier(password, base64.b64decode(salt), int(rounds))
    return method == "SCRAM-SHA-256" and hmac.compare_digest(expected, verifier)


def _scram_verifier(password: str, salt: bytes, iterations: int) -> str:
    """What PostgreSQL stores for a password (RFC 5803). Ours are ASCII, so SASLprep would change nothing."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    return "SCRAM-SHA-256${}:{}${}:{}".format(
        iterations, *(base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    )
