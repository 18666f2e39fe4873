"""Each address, asked by everybody who may not: without a token, with somebody else's, about what is somebody else's."""

import json
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from chassis.service import make_app
from console.openapi import path_of
from console.services import SERVICES, make_service
from schemas.contract_number import compose
from tests.fault.load import nth_form
from tests.support.pages import Reader
from tests.support.running import Client, RunningStack, eventually

METHODS: Final = {"get", "post", "put", "patch", "delete"}
#: What is for everybody: how we are, what the log is, what anybody may read, and where one signs in.
PUBLIC_API: Final = {
    "/health/live",
    "/health/ready",
    "/metrics",
    "/log/checkpoint",
    "/log/key",
    "/log/consistency",
    "/log/tile/{path}",
}
#: An application and a contract number that never were.
NOBODYS: Final = ("00000000-0000-4000-8000-000000000000", compose("31099", 1))
#: What would be taken, were it not for who asks: else it would be refused for what it says.
BODIES: Final[dict[str, Any]] = {
    "/api/applications": nth_form(1)[0],
    "/api/applications/{application_id}/messages": {"text": "見本"},
    "/api/desk/applications/{application_id}/messages": {"text": "見本"},
    "/api/desk/applications/{application_id}/accept": {},
    "/api/desk/applications/{application_id}/return": {"message": "見本"},
    "/api/desk/applications/{application_id}/approve": {},
    "/api/desk/applications/{application_id}/reject": {"message": "見本"},
    "/api/certificates/lookup": {"contract_number": "31072-000012", "authentication_key": "Z28YUE4J3Bux"},
}


PORTALS: Final = {"intake": "contractor", "issuer": "desk", "registry": "purchaser"}
DRAFTED: Final = "見本の下書き"


@dataclass(frozen=True)
class Operation:
    service: str
    method: str
    path: str
    takes_body: bool = False

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path}"


def operations() -> list[Operation]:
    return [
        Operation(service, method.upper(), path, "requestBody" in found[method])
        for service in SERVICES
        for path, found in json.loads(path_of(service).read_text())["paths"].items()
        for method in found.keys() & METHODS
    ]


GUARDED: Final = sorted((each for each in operations() if each.path not in PUBLIC_API), key=str)


@dataclass(frozen=True)
class Scene:
    """An application that became a certificate, and people of every role, of its owner and of others."""

    application: str
    number: str
    surety: str
    #: The owner's, and the browser in which they see it.
    draft: str
    owner: Reader
    #: Service → whose token is good for something there, but who has nothing to do with this application.
    outsiders: dict[str, Client]


@pytest.fixture(scope="module")
async def scene(stack: RunningStack) -> AsyncIterator[Scene]:
    owner = await stack.contractor(f"owner-{uuid.uuid4().hex[:8]}")
    form, _, _ = nth_form(1)
    application = await owner.apply(form, uuid.uuid4().hex)

    async def has_arrived() -> bool:
        return len(await owner.all_items("/api/guarantees")) == 1

    await eventually(has_arrived, 60)
    (shown,) = await owner.all_items("/api/guarantees")
    number = shown["contract_number"]
    assert (await owner.document(f"/api/guarantees/{number}"))["contract_number"] == number
    other_surety = {"toto": "nankai", "nankai": "toto"}[form["surety_id"]]
    outsiders = {
        "intake": await stack.contractor(f"other-{uuid.uuid4().hex[:8]}"),
        "issuer": await stack.desk(other_surety),
        "registry": await stack.purchaser("yomitan"),
    }
    async with stack.http("intake") as http:
        reader = Reader(http, PORTALS["intake"])
        await reader.sign_in(await stack.sign_in_of(owner, f"owner-{uuid.uuid4().hex[:8]}"))
        draft = str(uuid.uuid4())
        await reader.get("/contractor/account")
        await reader.post(f"/contractor/{form['surety_id']}/drafts/{draft}", {"works.name": DRAFTED})
        assert DRAFTED in reader.text
        yield Scene(application, number, form["surety_id"], draft, reader, outsiders)


def address(path: str, application: str, number: str) -> str:
    return path.format(application_id=application, number=number, contract_number=number)


async def ask(
    stack: RunningStack, operation: Operation, scene: Scene, headers: dict[str, str], *, existing: bool = True
) -> httpx.Response:
    """About what there is, or about what there never was."""
    ids = (scene.application, scene.number) if existing else NOBODYS
    async with stack.http(operation.service) as client:
        return await client.request(
            operation.method,
            address(operation.path, *ids),
            json=BODIES[operation.path] if operation.takes_body else None,
            headers={"Idempotency-Key": uuid.uuid4().hex, **headers},
        )


def said(answer: httpx.Response) -> tuple[int, dict[str, Any]]:
    """Without what differs each time."""
    return answer.status_code, {name: value for name, value in answer.json().items() if name != "correlation_id"}


@pytest.mark.parametrize("operation", GUARDED, ids=str)
async def test_without_a_good_token_nobody_learns_anything(
    operation: Operation, stack: RunningStack, scene: Scene
) -> None:
    strangers = {
        "nobody": {},
        "garbage": {"Authorization": "Bearer akashi_" + "x" * 43},
        "another scheme": {"Authorization": "Basic YWthc2hpOmFrYXNoaQ=="},
        "empty": {"Authorization": "Bearer"},
        **{
            f"who acts at {service}": {"Authorization": f"Bearer {outsider.token}"}
            for service, outsider in scene.outsiders.items()
            if service != operation.service
        },
    }
    for name, headers in strangers.items():
        about = {
            existing: said(await ask(stack, operation, scene, headers, existing=existing)) for existing in (True, False)
        }
        assert about[True][0] == 401, name
        assert about[True] == about[False], name


OWNED: Final = [each for each in GUARDED if "{" in each.path]


@pytest.mark.parametrize("operation", OWNED, ids=str)
async def test_what_is_somebody_elses_is_as_if_it_were_not_there(
    operation: Operation, stack: RunningStack, scene: Scene
) -> None:
    token = {"Authorization": f"Bearer {scene.outsiders[operation.service].token}"}

    elses = said(await ask(stack, operation, scene, token))
    nobodys = said(await ask(stack, operation, scene, token, existing=False))

    assert elses == nobodys
    # Not 422: what is refused for what it says was not refused for whose it is.
    assert elses[0] == 404


@pytest.mark.parametrize("operation", [each for each in GUARDED if each not in OWNED and each.method == "GET"], ids=str)
async def test_a_list_holds_nothing_of_anybody_else(operation: Operation, stack: RunningStack, scene: Scene) -> None:
    token = {"Authorization": f"Bearer {scene.outsiders[operation.service].token}"}

    answer = await ask(stack, operation, scene, token)

    assert answer.status_code == 200, answer.text
    assert scene.application not in answer.text
    assert scene.number not in answer.text


# --- pages ------------------------------------------------------------------------------------------------------------

#: What may be read, and filled in, by who has not signed in.
OPEN_PAGES: Final = {
    "/",
    "/purchasers",
    "/submission",
    "/questions",
    "/language/{language}",
    "/purchaser/help",
    *(
        f"/{portal}/{page}"
        for portal in ("contractor", "desk", "purchaser")
        for page in ("sign-in", "language/{language}")
    ),
}


def pages() -> list[Operation]:
    return [
        Operation(service, method, route.path or "")
        for service in SERVICES
        for route in iter_route_contexts(make_app(make_service(service)).routes)
        if isinstance(route.original_route, APIRoute) and not route.include_in_schema and route.path not in OPEN_PAGES
        for method in sorted(route.methods or ())
    ]


CLOSED: Final = pages()


def page_address(page: Operation, scene: Scene, *, existing: bool = True) -> str:
    application, number = (scene.application, scene.number) if existing else NOBODYS
    query = f"?earlier={application}" if page.path.endswith("/already") else ""
    names = {
        "application_id": application,
        "number": number,
        "contract_number": number,
        "surety_id": scene.surety,
        "draft_id": scene.draft if existing else uuid.uuid4(),
    }
    return page.path.format(**names, version=1) + query


@pytest.mark.parametrize("page", CLOSED, ids=str)
async def test_a_page_leads_who_is_not_signed_in_to_the_sign_in_and_does_nothing(
    page: Operation, stack: RunningStack, scene: Scene
) -> None:
    async with stack.http(page.service) as client:
        answer = await client.request(
            page.method, page_address(page, scene), data={} if page.method == "POST" else None
        )

    assert answer.status_code in {303, 403}, answer.text
    assert answer.status_code == 403 or answer.headers["location"].startswith(f"/{PORTALS[page.service]}/sign-in")


@pytest.fixture(scope="module")
async def others(stack: RunningStack, scene: Scene) -> AsyncIterator[dict[str, Reader]]:
    """Browsers in which people have signed in who have nothing to do with the application."""
    async with AsyncExitStack() as opened:
        readers = {}
        for service, outsider in scene.outsiders.items():
            login = await stack.sign_in_of(outsider, f"outsider-{uuid.uuid4().hex[:8]}")
            readers[service] = Reader(await opened.enter_async_context(stack.http(service)), PORTALS[service])
            assert (await readers[service].sign_in(login)).status == 200
        yield readers


ELSES: Final = [
    page for page in CLOSED if {"{application_id}", "{number}", "{draft_id}"} & set(re.findall("{.*?}", page.path))
]
#: Its id is drawn with the empty form, so that one that never was becomes a draft of one's own.
SAVING: Final = Operation("intake", "POST", "/contractor/{surety_id}/drafts/{draft_id}")


@pytest.mark.parametrize("page", ELSES, ids=str)
async def test_a_page_about_somebody_elses_says_what_it_says_of_nothing(
    page: Operation, scene: Scene, others: dict[str, Reader]
) -> None:
    reader = others[page.service]
    seen = []
    for existing in (True, False):
        address = page_address(page, scene, existing=existing)
        await reader.get(f"/{PORTALS[page.service]}/account")
        await (reader.post(address) if page.method == "POST" else reader.get(address))
        path = address.partition("?")[0]
        seen.append((reader.status, reader.path == path or reader.path))

    assert seen[0] == seen[1] or page == SAVING
    # A purchaser's certificate is asked for again, with its key; and what is not there need not be deleted.
    lists = [(200, "/purchaser/certificates"), (200, f"/contractor/{scene.surety}/drafts")]
    assert seen[0][0] == 404 or seen[0] in lists
    if "{draft_id}" in page.path:
        assert DRAFTED in (await scene.owner.get(f"/contractor/{scene.surety}/drafts/{scene.draft}")).text


SIGN_INS: Final = [Operation(service, "POST", f"/{portal}/sign-in") for service, portal in PORTALS.items()]


@pytest.mark.parametrize("operation", [each for each in GUARDED + CLOSED + SIGN_INS if each.method == "POST"], ids=str)
async def test_nobody_has_a_larger_body_read_than_any_may_be(
    operation: Operation, stack: RunningStack, scene: Scene
) -> None:
    kind = {"Content-Type": "application/json" if operation in GUARDED else "application/x-www-form-urlencoded"}
    async with stack.http(operation.service) as client:
        answer = await client.post(page_address(operation, scene), content=b" " * 2**20, headers=kind)

    # Or, before it was read, not to this one.
    assert answer.status_code in {413, 401, 303}, answer.text
    if answer.status_code == 413 and operation in GUARDED:
        assert answer.json()["type"] == "urn:akashi:problem:too-large"


def test_every_address_is_tried() -> None:
    """So that a new one is open to all, or guarded, by somebody's decision."""
    assert {each.service for each in GUARDED} == {each.service for each in CLOSED} == set(PORTALS)
    assert OWNED
    assert ELSES
    assert {each.path for each in GUARDED if each.takes_body} == BODIES.keys()
