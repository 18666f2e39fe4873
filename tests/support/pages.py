"""Pages without a browser: a client that keeps cookies, follows 303 and sends forms back as they came."""

import re
from dataclasses import dataclass, field
from typing import Any

import httpx

from chassis.postgres import transaction
from chassis.web import passwords, sessions
from chassis.web.complete import CompletePortal
from tests.support.browser import PASSWORD
from tests.support.services import Person, Site

_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


@dataclass
class Reader:
    """Somebody before a portal's pages."""

    http: httpx.AsyncClient
    portal: str
    text: str = ""
    status: int = 0
    path: str = ""
    headers: Any = field(default_factory=dict)

    async def get(self, path: str, **headers: str) -> "Reader":
        return self._seen(await self.http.get(path, headers=headers, follow_redirects=True))

    async def post(self, path: str, fields: dict[str, Any] | None = None, **headers: str) -> "Reader":
        """Send a form with the token of the page seen last, unless `fields` holds another."""
        found = _CSRF.search(self.text)
        form = {"csrf": found.group(1) if found else "", **(fields or {})}
        return self._seen(await self.http.post(path, data=form, headers=headers, follow_redirects=True))

    async def sign_in(self, login: str, password: str = PASSWORD, **fields: str) -> "Reader":
        await self.get(f"/{self.portal}/sign-in")
        return await self.post(f"/{self.portal}/sign-in", {"login": login, "password": password, **fields})

    def _seen(self, answer: httpx.Response) -> "Reader":
        self.text, self.status, self.path, self.headers = (
            answer.text,
            answer.status_code,
            answer.url.path,
            answer.headers,
        )
        return self


def reader(site: Site) -> Reader:
    """A new browser, with no cookie in it."""
    own = site.service.site
    assert isinstance(own, CompletePortal)
    transport = site.http._transport
    return Reader(
        httpx.AsyncClient(transport=transport, base_url="https://akashi.test", timeout=60), own.site.portal.name
    )


async def let_in(site: Site, person: Person, login: str, *, must_change: bool = False) -> str:
    """Let a person sign in on pages; the log-in."""
    stored = await passwords.hashed(PASSWORD)
    async with transaction(site.pool) as tx:
        await sessions.set_password(
            tx,
            person.account_id,
            login=login,
            password_hash=stored,
            must_change=must_change,
            now=site.service.runtime.clock.now(),
        )
    return login


async def signed_in(site: Site, person: Person, login: str) -> Reader:
    """A browser in which the person has signed in."""
    await let_in(site, person, login)
    signed = reader(site)
    await signed.sign_in(login)
    assert "sign-in" not in signed.path, signed.text
    return signed
