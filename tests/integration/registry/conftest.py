"""Browsers of purchasers' people, as far as a cookie makes one."""

import re
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from chassis.postgres import transaction
from chassis.web import sessions
from tests.support.builders import a_certificate, a_record
from tests.support.clock import NOON
from tests.support.consuming import a_consumer

KEY, WRONG = "Z28YUE4J3Bux", "Z28YUE4J3Buy"
PLACE = "/purchaser/certificates"
COOKIE = "__Host-akashi_purchaser"
#: Whether a session of this database waits for a lock.
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@dataclass
class Window:
    """One browser in which somebody is signed in."""

    http: httpx.AsyncClient
    account_id: uuid.UUID
    token: str = field(repr=False)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers={"Cookie": f"{COOKIE}={self.token}", **headers})

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        form = {"csrf": sessions.csrf_of(self.token), **fields}
        return await self.http.post(path, data=form, headers={"Cookie": f"{COOKIE}={self.token}", **headers})

    async def look_up(self, number: str, key: str = KEY, **headers: str) -> httpx.Response:
        return await self.post(PLACE, {"number": number, "key": key}, **headers)

    async def opens(self, number: str, key: str = KEY) -> bool:
        """Whether number and key lead to the certificate's page, and the page shows it."""
        answer = await self.look_up(number, key)
        return answer.status_code == 303 and (await self.get(answer.headers["location"])).status_code == 200

    async def has_open(self, number: str, rest: str = "") -> bool:
        """Whether the certificate can be had without the key; else the key is asked for."""
        answer = await self.get(f"{PLACE}/{number}{rest}")
        if answer.status_code == 200:
            return True
        assert (answer.status_code, answer.headers["location"]) == (303, f"{PLACE}?number={number}&closed=yes")
        return False


@pytest.fixture
def window(registry):
    """Signs a person in, in a new browser."""

    async def open_window(person: Any) -> Window:
        async with transaction(registry.pool) as tx:
            await sessions.set_password(
                tx, person.account_id, login=f"l-{person.account_id}", password_hash="-", must_change=False, now=NOON
            )
            now = registry.service.runtime.clock.now()
            token = await sessions.begin(tx, person.account_id, code_due=False, browser="", now=now)
        return Window(registry.http, person.account_id, token)

    return open_window


@pytest.fixture
async def tochigi(registry):
    return await registry.person("tochigi")


@pytest.fixture
async def at_tochigi(window, tochigi):
    return await window(tochigi)


@pytest.fixture
def issue(registry, keys):
    """Lets a certificate arrive."""

    async def arrive(**changes: Any):
        event = a_certificate(keys=keys, key=KEY, **changes)
        await a_consumer(registry.service, registry.pool).take([a_record(event)])
        return event

    return arrive


@pytest.fixture
async def certificate(issue):
    return await issue()


@pytest.fixture
def texts():
    """What a page says, without its tags and line breaks."""

    def of(answer: httpx.Response) -> str:
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))

    return of
