"""A real broker and a real database, set up by the commands themselves."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from console.environment import Stack
from console.main import app
from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from deploy.local.state import free_port
from deploy.secrets import make_secrets

Akashi = Callable[..., Result]


@contextlib.contextmanager
def started() -> Iterator[Stack]:
    """A broker and a database server with nothing on them."""
    folder = Path(tempfile.mkdtemp(prefix="akashi-test-", dir="/var/tmp" if os.geteuid() == 0 else None))
    folder.chmod(0o711)
    secrets = folder / "secrets"
    make_secrets(secrets)
    password = secrets / "postgres" / "superuser_password"
    try:
        with (
            LocalKafka(folder / "kafka", free_port(), secrets=secrets) as kafka,
            LocalPostgres(folder / "postgres", free_port(), password_file=password) as postgres,
        ):
            yield Stack(kafka.address, "127.0.0.1", postgres.port, secrets)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with started() as empty:
        yield empty


def environment_of(stack: Stack) -> dict[str, str]:
    """Where a command finds it."""
    return {
        "AKASHI_KAFKA_BOOTSTRAP": stack.kafka_bootstrap,
        "AKASHI_KAFKA_SECURITY_PROTOCOL": stack.kafka_security_protocol,
        "AKASHI_POSTGRES_HOST": stack.postgres_host,
        "AKASHI_POSTGRES_PORT": str(stack.postgres_port),
        "AKASHI_SECRETS_DIR": str(stack.secrets_dir),
    }


def typed(stack: Stack, *arguments: str) -> Result:
    return CliRunner(env={**environment_of(stack), "COLUMNS": "250"}).invoke(app, arguments, catch_exceptions=False)


@pytest.fixture(scope="session")
def ready(stack: Stack) -> Stack:
    """The stack with databases, tables and topics."""
    for command in ("setup", "migrate"):
        done = typed(stack, command)
        assert done.exit_code == 0, done.output
    return stack


@pytest.fixture
def akashi(ready: Stack) -> Akashi:
    """Type a command. For tests that are no coroutines: a command has an event loop of its own."""

    def run(*arguments: str) -> Result:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return typed(ready, *arguments)

    return run
