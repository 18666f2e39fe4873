"""Every page of every portal, asked with what nobody types: whatever is sent, no answer is a fault of ours.

Pages are in no contract, so they are taken from the applications' routes, and the names of fields from what the pages
themselves ask for: a new page is asked like the others.
"""

import asyncio
import random
import re
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from html import unescape
from typing import Final
from urllib.parse import quote, urlencode

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from chassis.service import make_app
from chassis.web import sessions
from console import store
from console.services import make_service
from tests.fault.load import nth_form
from tests.support.builders import an_application_form
from tests.support.pages import Reader
from tests.support.running import RunningStack, eventually

PORTALS: Final = {"intake": "contractor", "issuer": "desk", "registry": "purchaser"}
#: As they are sent: percent-encoded, or not quite.
VALUES: Final = {
    "nothing": "",
    "a NUL": "%00",
    "an address that is none": "//[",
    "a page in Japanese": "{home}%E3%81%82",
    "lines and a header": "{home}%0D%0AX-Mine:%20yes",
    "half a surrogate": "%ED%A0%80",
    "half a character": "%E3%81",
    "no hexadecimal": "%zz%u0041%",
    "too many digits": "9" * 4400,
    "a negative number": "-1",
    "brackets in base64": "W1tb" * 400,
    "a JSON of nothing": "bnVsbA",
    "markup and SQL": "%3Cscript%3E'%22;--%7B%7B7*7%7D%7D",
}
AS_A_SCRIPT: Final = (b"HX-Request", b"1")
HEADERS: Final[Mapping[str, tuple[bytes, bytes]]] = {
    "an origin that is none": (b"Origin", b"http://["),
    "an origin of no characters": (b"Origin", b"\xff"),
    "a host that is none": (b"Host", b"["),
    "a host with a path": (b"Host", b"akashi.test/desk/?"),
    "a script": AS_A_SCRIPT,
    "another language": (b"Cookie", b'akashi_language="\\000\\377'),
    "no cookie": (b"Cookie", b"\xff=\xfe; =; ;;"),
    "a browser of no name": (b"User-Agent", b"\xff" * 3000),
    "another kind of body": (b"Content-Type", b"multipart/form-data; boundary="),
    "a body of no characters": (b"Content-Type", b"application/x-www-form-urlencoded; charset=\xff"),
    "no correlation": (b"X-Correlation-ID", b"\xff"),
    "somewhere else": (b"Sec-Fetch-Site", b"\xff"),
}
BODIES: Final = (b"&&&===", b"%", b"\xff\xfe", b"csrf", b"a=1&" * 1000, b'{"login": "x"}', b"csrf=%00&csrf=%ED%A0%80")
#: Read by pages, but on none of their forms.
ELSEWHERE: Final = ("next", "page", "version", "done", "told")
#: Of the headers and of the bodies each page gets others.
SOME: Final = 3
MIXED: Final = 2
AT_ONCE: Final = 4
#: Of a form or a query here: h11 and `BodyLimit` refuse one of more than 64 KiB without reading it.
LONGEST: Final = 30_000


@dataclass(frozen=True)
class Page:
    service: str
    method: str
    path: str
    #: What FastAPI reads of the query.
    declared: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path}"


def pages() -> list[Page]:
    return [
        Page(
            service, method, route.path or "", tuple(each.alias for each in route.original_route.dependant.query_params)
        )
        for service in PORTALS
        for route in iter_route_contexts(make_app(make_service(service)).routes)
        if isinstance(route.original_route, APIRoute) and not route.include_in_schema
        for method in sorted(route.methods or ())
    ]


PAGES: Final = pages()


@dataclass
class Person:
    """Somebody who has signed in to a portal, and what is theirs there."""

    reader: Reader
    login: str
    #: For the names in addresses.
    own: dict[str, str]
    #: For pages that change what they are about: one for each.
    waiting: list[str] = field(default_factory=list)
    #: Number and key.
    certificate: dict[str, str] = field(default_factory=dict)
    #: What the forms of the portal ask for, with what stands in them.
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def cookie(self) -> tuple[str, str]:
        return next(each for each in self.reader.http.cookies.items() if each[0].endswith(self.reader.portal))

    async def be_there(self, stack: RunningStack) -> None:
        """As before, whatever the last page did and however often it was tried."""
        home = f"/{self.reader.portal}/account"
        if (await self.reader.get(home)).path == home:
            return
        await forgive(stack)
        self.reader.http.cookies.clear()
        assert "sign-in" not in (await self.reader.sign_in(self.login)).path
        if self.certificate:
            assert (await self.reader.get("/purchaser/")).status == 200
            await self.reader.post("/purchaser/certificates", self.certificate)
            assert self.certificate["number"] in self.reader.path

    async def values_for(self, page: Page) -> dict[str, str]:
        """What stands in the page's address: something that is the person's own, and new where pages change it."""
        own = dict(self.own)
        if "{application_id}" in page.path:
            own["application_id"] = self.waiting.pop()
        if "{draft_id}" in page.path:
            own["draft_id"] = str(uuid.uuid4())
            await self.reader.post(f"/contractor/toto/drafts/{own['draft_id']}", {"works.name": "見本"})
        return own


@pytest.fixture(scope="module")
async def people(stack: RunningStack) -> AsyncIterator[dict[str, Person]]:
    contractor = await stack.contractor(f"hostile-{uuid.uuid4().hex[:8]}")
    desk, purchaser = await stack.desk("toto"), await stack.purchaser("tochigi")
    # One certificate for the purchaser and one on paper, and for each page an application that waits for the desk.
    await contractor.apply(nth_form(5)[0], uuid.uuid4().hex)
    waiting = [
        await contractor.apply(
            an_application_form(
                works__name=f"見本工事　{uuid.uuid4().hex}", products__advance_payment__amount_yen=25_000_000
            ),
            uuid.uuid4().hex,
        )
        for page in PAGES
        if "{application_id}" in page.path
    ]

    async def all_have_arrived() -> bool:
        listed = await contractor.all_items("/api/applications")
        statuses = [product["status"] for item in listed for product in item["products"]]
        return {*statuses} <= {"queued", "issued", "issued_on_paper"} and len(
            await desk.all_items("/api/desk/paper")
        ) > 0

    await eventually(all_have_arrived, 60)
    found = {item["product"]: item["contract_number"] for item in await contractor.all_items("/api/guarantees")}
    number = found["advance_payment"]
    key = (await contractor.document(f"/api/guarantees/{number}/authentication-key"))["authentication_key"]
    paper = (await desk.all_items("/api/desk/paper"))[0]["contract_number"]
    of_issuer = sum(page.service == "issuer" and "{application_id}" in page.path for page in PAGES)
    async with AsyncExitStack() as opened:
        made = {}
        for client, own, theirs, certificate in (
            (contractor, {"surety_id": "toto", "number": number}, waiting[of_issuer:], {}),
            (desk, {"number": paper}, waiting[:of_issuer], {}),
            (purchaser, {"number": number, "version": "1"}, [], {"number": number, "key": key}),
        ):
            login = await stack.sign_in_of(client, f"hostile-{uuid.uuid4().hex[:8]}")
            reader = Reader(await opened.enter_async_context(stack.http(client.service)), PORTALS[client.service])
            person = made[client.service] = Person(reader, login, {**own, "language": "en"}, theirs, certificate)
            # The form that nobody sees who has signed in.
            person.fields = _names_in((await reader.get(f"/{reader.portal}/sign-in")).text)
            await person.be_there(stack)
            person.fields |= await _fields_of(person, client.service)
            assert {"login", "password", "old", "next"} <= person.fields.keys()
        yield made
    await forgive(stack)


async def forgive(stack: RunningStack) -> None:
    """Whoever comes from here may sign in again, after all the failures."""
    for service in PORTALS:
        async with store.connect(stack.console, service) as connection:
            await connection.execute("DELETE FROM sign_in_attempt")


async def _fields_of(person: Person, service: str) -> dict[str, str]:
    """Every name that is in a form or a link of the portal, with what stands there."""
    example = {**person.own, "application_id": person.waiting[0] if person.waiting else "", "draft_id": uuid.uuid4()}
    found = dict.fromkeys(ELSEWHERE, "")
    for page in PAGES:
        if page.service == service and page.method == "GET" and not page.path.endswith((".pdf", ".json")):
            found |= _names_in((await person.reader.get(page.path.format_map(example))).text)
    return found


def _names_in(text: str) -> dict[str, str]:
    found = dict.fromkeys(re.findall(r"[?&]([a-z_]+)=", unescape(text)), "")
    for tag in re.findall(r"<(?:input|textarea|select|button)\b[^>]*>", text):
        name, value = (re.search(rf'\b{attribute}="([^"]*)"', tag) for attribute in ("name", "value"))
        if name and name.group(1) != "csrf":
            found[name.group(1)] = unescape(value.group(1)) if value else ""
    return found


@dataclass(frozen=True)
class Asked:
    """One request, as it goes over the line."""

    what: str
    path: str
    query: str = ""
    body: bytes | None = None
    headers: Sequence[tuple[bytes, bytes]] = ()


def requests(page: Page, person: Person, values: Mapping[str, str], csrf: str) -> Iterator[Asked]:
    """What the page is asked by who has signed in, with forms of its own site."""
    own = page.path.format_map(values)
    names = sorted({*page.declared, *person.fields})
    chance = random.Random(str(page))

    def form(fields: str) -> bytes | None:
        return f"csrf={csrf}&{fields}".encode() if page.method == "POST" else None

    for what, header in chance.sample([*HEADERS.items()], SOME):
        yield Asked(what, own, body=form(urlencode(person.fields)), headers=[header])
    if page.method == "POST":
        for body in chance.sample(BODIES, SOME):
            yield Asked(f"a body that begins with {body[:10]!r}", own, body=(form("") or b"") + body)
    for what, value in hostile(page):
        for name in values.keys() & set(re.findall(r"{(\w+)}", page.path)):
            yield Asked(f"{what} as {name}", page.path.format_map({**values, name: value}), body=form(""))
        for name in page.declared:
            yield Asked(f"{what} as {name}, twice", own, f"{name}={value}&{name}={value}")
    for n in range(MIXED):
        fields = "&".join(
            f"{quote(name)}={chance.choice([quote(person.fields.get(name, '')), *(value for _, value in hostile(page))])}"
            for name in chance.sample(names, min(len(names), 8))
        )
        yield Asked(f"a mixture ({n})", own, fields, form(fields), [chance.choice([*HEADERS.values()])])
    wanted = {name: person.fields[name] for name in page.declared if person.fields.get(name)}
    yield Asked("what it is for", own, urlencode(wanted), form(urlencode(person.fields)))


def in_every_field(page: Page, person: Person, values: Mapping[str, str], csrf: str) -> Iterator[Asked]:
    """What FastAPI reads itself is left out: a page that is refused for one value would not look at the others."""
    chance = random.Random(str(page))
    names = sorted(person.fields.keys() - set(page.declared))
    for what, value in hostile(page):
        some = chance.sample(names, min(len(names), LONGEST // (len(value) + 20)))
        fields = "&".join(f"{quote(name)}={value}" for name in some)
        body = f"csrf={csrf}&{fields}".encode() if page.method == "POST" else None
        yield Asked(f"{what} in every field", page.path.format_map(values), fields, body)


def hostile(page: Page) -> list[tuple[str, str]]:
    return [(what, value.replace("{home}", f"/{PORTALS[page.service]}/")) for what, value in VALUES.items()]


async def answer_to(http: httpx.AsyncClient, method: str, asked: Asked, cookie: bytes) -> str:
    """Its status, or what became of the connection."""
    headers = {b"Host": b"127.0.0.1", b"Content-Type": b"application/x-www-form-urlencoded", b"Cookie": cookie}
    given = {**headers, **dict(asked.headers)}
    target = f"{asked.path}?{asked.query}".encode()
    try:
        request = http.build_request(method, "/", content=asked.body, headers=list(given.items()))
        request.extensions["target"] = target
        return str((await http.send(request)).status_code)
    except httpx.HTTPError as error:
        return repr(error)


@pytest.mark.parametrize("page", PAGES, ids=str)
async def test_whatever_a_page_is_asked_it_is_no_fault_of_ours(
    page: Page, stack: RunningStack, people: dict[str, Person]
) -> None:
    person = people[page.service]
    await person.be_there(stack)
    values = await person.values_for(page)
    name, token = person.cookie
    nobodys = sessions.draw_token()
    line = asyncio.Semaphore(AT_ONCE)
    async with stack.http(page.service) as http:

        async def fault_of(asked: Asked, token: str) -> str | None:
            async with line:
                status = await answer_to(http, page.method, asked, f"{name}={token}".encode())
            return None if re.fullmatch("[234]..", status) else f"{asked.what}: {status}"

        strangers = in_every_field(page, person, values, sessions.csrf_of(nobodys))
        script = [
            replace(asked, headers=[AS_A_SCRIPT])
            for asked in in_every_field(page, person, values, sessions.csrf_of(token))
        ]
        found = await asyncio.gather(
            *(fault_of(asked, nobodys) for asked in strangers),
            *(fault_of(asked, token) for asked in [*script, *requests(page, person, values, sessions.csrf_of(token))]),
        )
    assert not [fault for fault in found if fault]
