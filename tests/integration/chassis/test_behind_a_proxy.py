"""Whose address is it that failed sign-ins are counted by? A real process, which sees who connects."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from chassis.web import sessions
from deploy.local.state import CLONE, free_port
from tests.support.browser import PASSWORD
from tests.support.databases import Databases
from tests.support.keys import Keyring
from tests.support.pages import Reader, let_in
from tests.support.running import TRUSTING_NOBODY
from tests.support.services import Site
from tests.support.waiting import eventually

#: Both are this machine: one is the proxy, where there is one.
ONE, ANOTHER = "127.0.0.1", "127.0.0.2"
WRONG = "wrong-password"
TOO_MANY = sessions.PER_LOGIN + 1


@dataclass
class Pages:
    """Intake's pages, of a process of their own."""

    url: str
    clients: AsyncExitStack

    async def reader(self, *, from_: str, says: str | None = None) -> Reader:
        """A browser at one of our addresses, with something before it that may name another."""
        transport = httpx.AsyncHTTPTransport(local_address=from_, verify=TRUSTING_NOBODY)
        headers = {} if says is None else {"X-Forwarded-For": says}
        client = httpx.AsyncClient(transport=transport, base_url=self.url, headers=headers, timeout=60)
        return Reader(await self.clients.enter_async_context(client), "contractor")

    async def is_ready(self) -> bool:
        try:
            async with httpx.AsyncClient(verify=TRUSTING_NOBODY) as client:
                return (await client.get(f"{self.url}/health/ready")).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


@asynccontextmanager
async def _running(databases: Databases, keys: Keyring, **more: str) -> AsyncIterator[Pages]:
    """On the database that the test has."""
    port = free_port()
    settings = {
        "ROLE": "web",
        "SECRETS_DIR": str(keys.of("intake")),
        "POSTGRES_HOST": databases.server.host,
        "POSTGRES_PORT": str(databases.server.port),
        "HTTP_PORT": str(port),
        "COOKIES_SECURE": "false",
        **more,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.intake"),
        cwd=CLONE,
        env={**os.environ, **{f"AKASHI_{name}": value for name, value in settings.items()}},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with AsyncExitStack() as clients:
            pages = Pages(f"http://127.0.0.1:{port}", clients)
            await eventually(pages.is_ready, 60)
            yield pages
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def alone(intake: Site, databases: Databases, keys: Keyring) -> AsyncIterator[Pages]:
    """Told of no proxy."""
    await let_in(intake, await intake.contractor(), "takasaki")
    async with _running(databases, keys) as pages:
        yield pages


@pytest.fixture
async def proxied(intake: Site, databases: Databases, keys: Keyring) -> AsyncIterator[Pages]:
    """Trusts a proxy at `ANOTHER`."""
    await let_in(intake, await intake.contractor(), "takasaki")
    async with _running(databases, keys, TRUSTED_PROXIES=ANOTHER) as pages:
        yield pages


async def _tried(pages: Pages, *, from_: str, says: str | None = None, password: str = PASSWORD) -> int:
    """How 高崎's log-in and a password are answered in a new browser."""
    return (await (await pages.reader(from_=from_, says=says)).sign_in("takasaki", password)).status


async def test_who_forges_another_address_is_counted_as_themselves(alone: Pages) -> None:
    statuses = [await _tried(alone, from_=ONE, says=f"203.0.113.{n}", password=WRONG) for n in range(TOO_MANY)]

    assert statuses == [422] * sessions.PER_LOGIN + [429]
    assert await _tried(alone, from_=ANOTHER) == 200


async def test_a_trusted_proxy_is_believed_and_an_address_that_is_shut_out_shuts_no_other(proxied: Pages) -> None:
    # What a client wrote into the header itself stands before what the proxy adds.
    for n in range(TOO_MANY):
        shut_out = await _tried(proxied, from_=ANOTHER, says=f"198.51.100.{n}, 203.0.113.1", password=WRONG)

    assert shut_out == 429
    assert await _tried(proxied, from_=ANOTHER, says="203.0.113.2") == 200


async def test_who_comes_past_the_proxy_is_not_believed(proxied: Pages) -> None:
    for n in range(TOO_MANY):
        shut_out = await _tried(proxied, from_=ONE, says=f"203.0.113.{n}", password=WRONG)

    assert shut_out == 429


async def test_an_address_is_shut_out_after_failures_of_many_log_ins_and_another_is_not(alone: Pages) -> None:
    stranger = await alone.reader(from_=ONE)
    for n in range(sessions.PER_ADDRESS):
        await stranger.sign_in(f"not-there-{n}", WRONG)
    assert stranger.status == 422

    assert await _tried(alone, from_=ONE) == 429
    assert await _tried(alone, from_=ANOTHER) == 200
