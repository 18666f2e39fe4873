"""The fixtures that a conftest imports: one stack per session, fresh databases per test."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path

import asyncpg
import pytest

from chassis.kafka_topics import ensure_topics
from chassis.postgres import Pool
from deploy.secrets import make_secrets
from reference import reader
from reference.reader import Reference
from tests.support import stack
from tests.support.clock import StoppedClock
from tests.support.databases import Databases
from tests.support.kafka import skip_history
from tests.support.keys import Keyring
from tests.support.services import Built, Site, answering, build, make_service
from tests.support.stack import Broker, Server


@pytest.fixture(scope="session")
def reference() -> Reference:
    """The purchasers and sureties that come with the program."""
    return reader.load()


@pytest.fixture(scope="session")
def keys() -> Iterator[Keyring]:
    """Every service's secrets, made once."""
    with tempfile.TemporaryDirectory(prefix="akashi-secrets-") as folder:
        make_secrets(Path(folder))
        yield Keyring(Path(folder))


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A real PostgreSQL server."""
    with stack.running_server() as running:
        yield running


@pytest.fixture(scope="session")
async def databases(server: Server, keys: Keyring) -> Databases:
    made = Databases(server, keys)
    await made.ensure_roles()
    return made


@pytest.fixture(scope="session")
async def running_broker() -> AsyncIterator[Broker]:
    with stack.running_broker() as broker:
        yield broker
    # A client that is stopped while it connects leaves the connection to us: let the loop see that it is gone.
    await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
async def _topics(running_broker: Broker) -> None:
    await ensure_topics(running_broker.access)


@pytest.fixture
async def broker(running_broker: Broker, _topics: None) -> Broker:
    """A real broker with every topic; no group has anything to read yet."""
    await skip_history(running_broker.access)
    return running_broker


@pytest.fixture
async def intake_pool(databases: Databases) -> AsyncIterator[Pool]:
    async for pool in _pool(databases, "intake"):
        yield pool


@pytest.fixture
async def issuer_pool(databases: Databases) -> AsyncIterator[Pool]:
    async for pool in _pool(databases, "issuer"):
        yield pool


@pytest.fixture
async def registry_pool(databases: Databases) -> AsyncIterator[Pool]:
    async for pool in _pool(databases, "registry"):
        yield pool


@pytest.fixture(scope="session")
def built(databases: Databases, keys: Keyring) -> Callable[[str], Built]:
    """A service by its name, as its `app.py` wires it."""
    return cache(lambda name: build(make_service(name, databases, keys)))


@pytest.fixture
async def intake(databases: Databases, built: Callable[[str], Built]) -> AsyncIterator[Site]:
    """Intake's HTTP side on a fresh database."""
    await databases.fresh("intake")
    async with answering(built("intake")) as site:
        yield site


@pytest.fixture
async def issuer(databases: Databases, built: Callable[[str], Built]) -> AsyncIterator[Site]:
    """The desk on a fresh database."""
    await databases.fresh("issuer")
    async with answering(built("issuer")) as site:
        yield site


@pytest.fixture
async def registry(databases: Databases, built: Callable[[str], Built]) -> AsyncIterator[Site]:
    """The purchasers' side on a fresh database; a window of the throttle is as long as in production."""
    await databases.fresh("registry")
    async with answering(built("registry")) as site:
        yield site


async def _pool(databases: Databases, service: str) -> AsyncIterator[Pool]:
    await databases.fresh(service)
    async with asyncpg.create_pool(**databases.address(service), min_size=1, max_size=10) as pool:
        yield pool
